//! What the Apps of a namespace are called: as the app, or with its Repository where another one has an app of that name.

use std::collections::{BTreeMap, BTreeSet};

use weir_cluster::service::Key;
use weir_core::name::AppName;

/// Which Repositories of a namespace have an app of a name. The name alone is that of the first Repository in the order of
/// names, whichever came first.
#[derive(Debug, Default)]
pub(super) struct Names {
    claims: BTreeMap<(String, AppName), BTreeSet<String>>,
    of: BTreeMap<Key, BTreeSet<AppName>>,
}

impl Names {
    /// A Repository has these apps now: which others have to look at the names of theirs.
    pub(super) fn set(&mut self, repository: &Key, apps: BTreeSet<AppName>) -> BTreeSet<Key> {
        let before = self.of.get(repository).cloned().unwrap_or_default();
        let mut touched = BTreeSet::new();
        for app in before.symmetric_difference(&apps) {
            let at = (repository.namespace.clone(), app.clone());
            let claims = self.claims.entry(at.clone()).or_default();
            match apps.contains(app) {
                true => drop(claims.insert(repository.name.clone())),
                false => drop(claims.remove(&repository.name)),
            }
            touched.extend(claims.iter().cloned());
            if claims.is_empty() {
                self.claims.remove(&at);
            }
        }
        match apps.is_empty() {
            true => drop(self.of.remove(repository)),
            false => drop(self.of.insert(repository.clone(), apps)),
        }
        touched.remove(&repository.name);
        let key = |name| Key {
            namespace: repository.namespace.clone(),
            name,
        };
        touched.into_iter().map(key).collect()
    }

    /// What the cluster had when this host began: names stay what they were until each Repository has said which apps it has.
    pub(super) fn remember(&mut self, repository: &Key, app: AppName) {
        let mut apps = self.of.get(repository).cloned().unwrap_or_default();
        apps.insert(app);
        self.set(repository, apps);
    }

    /// What an app of a Repository is called. An app's own name has a dot at most, so that the longer form is nobody's.
    pub(super) fn of(&self, repository: &Key, app: &AppName) -> String {
        let at = (repository.namespace.clone(), app.clone());
        let first = self.claims.get(&at).and_then(BTreeSet::first);
        match first.is_none_or(|first| *first == repository.name) {
            true => app.to_string(),
            false => format!("{app}.of.{}", repository.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key {
            namespace: "team".to_owned(),
            name: name.to_owned(),
        }
    }

    fn apps(names: &[&str]) -> BTreeSet<AppName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn called(names: &Names, repository: &str, app: &str) -> String {
        names.of(&key(repository), &app.parse().unwrap())
    }

    #[test]
    fn what_an_app_is_called_does_not_depend_on_who_came_first() {
        let mut one = Names::default();
        one.set(&key("b"), apps(&["shop", "db"]));
        assert_eq!(called(&one, "b", "shop"), "shop");
        assert_eq!(
            one.set(&key("a"), apps(&["shop"])),
            BTreeSet::from([key("b")])
        );
        let mut other = Names::default();
        other.set(&key("a"), apps(&["shop"]));
        assert!(
            other
                .set(&key("b"), apps(&["shop", "db"]))
                .contains(&key("a"))
        );
        for names in [&one, &other] {
            assert_eq!(called(names, "a", "shop"), "shop");
            assert_eq!(called(names, "b", "shop"), "shop.of.b");
            assert_eq!(called(names, "b", "db"), "db");
        }
        assert_eq!(one.set(&key("a"), apps(&[])), BTreeSet::from([key("b")]));
        assert_eq!(called(&one, "b", "shop"), "shop");
    }

    #[test]
    fn no_two_apps_of_a_namespace_have_one_name() {
        let mut names = Names::default();
        let repositories = ["a", "b", "of", "prod"];
        let all = apps(&["shop", "shop.of", "shop.prod", "of", "prod", "of.prod"]);
        for repository in repositories {
            names.set(&key(repository), all.clone());
        }
        let mut seen = BTreeSet::new();
        for repository in repositories {
            for app in &all {
                assert!(
                    seen.insert(names.of(&key(repository), app)),
                    "{repository} {app}"
                );
            }
        }
    }

    #[test]
    fn another_namespace_is_none_of_its_business() {
        let mut names = Names::default();
        names.remember(&key("a"), "shop".parse().unwrap());
        let other = Key {
            namespace: "other".to_owned(),
            name: "b".to_owned(),
        };
        assert!(names.set(&other, apps(&["shop"])).is_empty());
        assert_eq!(names.of(&other, &"shop".parse().unwrap()), "shop");
    }
}
