//! Whose an object is, as it is written on the object: an annotation that names the ledger, the repository,
//! the app and the object itself. A copy of it on another object proves nothing.

use std::fmt;

use crate::live::Owner;
use crate::name::{AppName, RepositoryName};
use crate::object::{Object, ResourceId};

/// The annotation that says whose an object is.
pub const ANNOTATION: &str = "weir.dev/owner";
/// The label to select an app's objects by. It proves nothing.
pub const APP_LABEL: &str = "weir.dev/app";
/// The label to select a repository's objects by. It proves nothing.
pub const REPOSITORY_LABEL: &str = "weir.dev/repository";

/// Who asks: one app of one repository, as one ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The ledger's id.
    pub ledger: String,
    /// The repository.
    pub repository: RepositoryName,
    /// The app.
    pub app: AppName,
}

impl Claim {
    /// The annotation's value on this object: `LEDGER/REPOSITORY/APP:GROUP/KIND/NAMESPACE/NAME`.
    pub fn on(&self, id: &ResourceId) -> String {
        format!("{self}:{}", Place(id))
    }

    /// Whose an object with this annotation is.
    pub fn read(&self, id: &ResourceId, annotation: Option<&str>) -> Owner {
        let Some(text) = annotation else {
            return Owner::Nobody;
        };
        let Some((claim, place)) = text.split_once(':') else {
            return Owner::Foreign(format!(
                "somebody wrote {ANNOTATION} on it in a form that Weir does not know, so someone else"
            ));
        };
        // A copy from another object, as controllers make on what they derive: it is nobody's.
        if place != Place(id).to_string() {
            return Owner::Nobody;
        }
        let mut parts = claim.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(ledger), Some(repository), Some(app))
                if ledger == self.ledger && repository == self.repository.as_str() =>
            {
                match app.parse::<AppName>() {
                    Ok(app) if app == self.app => Owner::Us,
                    Ok(app) => Owner::App(app),
                    Err(_) => Owner::Foreign(format!("an app of this ledger named {app:?}")),
                }
            }
            (Some(ledger), Some(repository), Some(app)) if ledger == self.ledger => {
                Owner::Foreign(format!("app {app} of repository {repository}"))
            }
            (Some(ledger), Some(repository), Some(app)) => Owner::Foreign(format!(
                "app {app} of repository {repository} on another host (ledger {ledger})"
            )),
            _ => Owner::Foreign(format!(
                "somebody wrote {ANNOTATION} on it in a form that Weir does not know, so someone else"
            )),
        }
    }
}

/// Whose an object is that this annotation stands on, by any ledger; `None` where it says nothing of this object, as on
/// what controllers derive from one of ours.
pub fn proven(id: &ResourceId, annotation: &str) -> Option<Claim> {
    let (claim, place) = annotation.split_once(':')?;
    let mut parts = claim.splitn(3, '/');
    let mut part = || parts.next().filter(|part| !part.is_empty());
    let (ledger, repository, app) = (part()?, part()?, part()?);
    (place == Place(id).to_string()).then_some(())?;
    Some(Claim {
        ledger: ledger.to_owned(),
        repository: repository.parse().ok()?,
        app: app.parse().ok()?,
    })
}

/// The app of this ledger and repository that an object with this annotation belongs to, whichever that is.
pub fn app_on(
    ledger: &str,
    repository: &RepositoryName,
    id: &ResourceId,
    annotation: &str,
) -> Option<AppName> {
    let claim = proven(id, annotation)?;
    (claim.ledger == ledger && claim.repository == *repository).then_some(claim.app)
}

/// What a rendered object says of its owner, which is Weir's alone to say: `label weir.dev/app`. A repository that
/// could say it would speak for another one.
pub fn reserved(object: &Object) -> Vec<String> {
    let annotations = object.annotations().filter(|key| *key == ANNOTATION);
    let labels = object.labels().map(|key| format!("label {key}"));
    annotations
        .map(|key| format!("annotation {key}"))
        .chain(labels)
        .collect()
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.ledger, self.repository, self.app)
    }
}

/// An object's identity as the annotation holds it.
struct Place<'a>(&'a ResourceId);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ResourceId {
            group,
            kind,
            namespace,
            name,
        } = self.0;
        let namespace = namespace.as_ref().map_or("", |n| n.as_str());
        write!(f, "{group}/{kind}/{namespace}/{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(ledger: &str, repository: &str, app: &str) -> Claim {
        Claim {
            ledger: ledger.to_owned(),
            repository: repository.parse().unwrap(),
            app: app.parse().unwrap(),
        }
    }

    fn id(group: &str, namespace: Option<&str>, name: &str) -> ResourceId {
        ResourceId {
            group: group.to_owned(),
            kind: "Role".to_owned(),
            namespace: namespace.map(|n| n.parse().unwrap()),
            name: name.to_owned(),
        }
    }

    #[test]
    fn what_an_app_wrote_it_reads_as_its_own_on_every_kind_of_name() {
        let us = claim("1f00", "shop", "web");
        for id in [
            id("", None, "a"),
            id("rbac.authorization.k8s.io", Some("prod"), "system:node"),
            id("a", Some("b"), "c:d:e"),
        ] {
            assert_eq!(us.read(&id, Some(&us.on(&id))), Owner::Us, "{id}");
        }
    }

    #[test]
    fn a_copy_on_another_object_proves_nothing() {
        let us = claim("1f00", "shop", "web");
        let service = id("", Some("prod"), "web");
        for slice in [
            id("discovery.k8s.io", Some("prod"), "web"),
            id("", Some("prod"), "web-x7k"),
            id("", Some("test"), "web"),
            id("", None, "web"),
        ] {
            assert_eq!(
                us.read(&slice, Some(&us.on(&service))),
                Owner::Nobody,
                "{slice}"
            );
        }
        assert_eq!(us.read(&service, None), Owner::Nobody);
    }

    #[test]
    fn the_app_on_an_object_is_found_only_in_its_own_ledger_and_repository() {
        let (us, id) = (claim("1f00", "shop", "web"), id("", Some("prod"), "web"));
        let find = |ledger: &str, repository: &str, annotation: &str| {
            app_on(ledger, &repository.parse().unwrap(), &id, annotation)
        };
        let own = us.on(&id);
        assert_eq!(find("1f00", "shop", &own), Some(us.app.clone()));
        for (ledger, repository) in [("1f0", "shop"), ("1f00", "sho"), ("2e11", "shop")] {
            assert_eq!(find(ledger, repository, &own), None);
        }
        let elsewhere = ResourceId {
            name: "other".to_owned(),
            ..id.clone()
        };
        for text in ["", "1f00/shop/web", "1f00/shop/No App:", &us.on(&elsewhere)] {
            assert_eq!(find("1f00", "shop", text), None, "{text:?}");
        }
    }

    #[test]
    fn another_app_repository_ledger_or_form_is_named() {
        let (us, id) = (claim("1f00", "shop", "web"), id("", Some("prod"), "web"));
        let read = |other: &Claim| us.read(&id, Some(&other.on(&id)));
        assert_eq!(
            read(&claim("1f00", "shop", "db")),
            Owner::App("db".parse().unwrap())
        );
        for (other, expected) in [
            (claim("1f00", "blog", "web"), "app web of repository blog"),
            (
                claim("2e11", "shop", "web"),
                "on another host (ledger 2e11)",
            ),
        ] {
            let Owner::Foreign(who) = read(&other) else {
                panic!("{other} is not foreign");
            };
            assert!(who.contains(expected), "{who}");
        }
        for text in [
            "",
            "yes",
            ":",
            "a:b",
            "1f00/shop:/Role/prod/web",
            "1f00/shop/No App:/Role/prod/web",
        ] {
            let owner = us.read(&id, Some(text));
            assert!(
                !matches!(owner, Owner::Us | Owner::App(_)),
                "{text:?}: {owner:?}"
            );
        }
    }
}
