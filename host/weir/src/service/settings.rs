//! A Repository of the cluster as this host is to follow it: the same settings that the host's file gives, with the same
//! checks.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde_json::json;
use weir_cluster::kube::KubePlace;
use weir_cluster::service::{AllowSpec, HealSpec, Key, RepositorySpec};
use weir_core::allow::Allow;
use weir_core::grant::Millis;
use weir_core::guard::GuardLimits;
use weir_core::name::{NameError, RepositoryName, TargetName};
use weir_core::policy::Heal;
use weir_source::RepoUrl;

use super::secret::Shown;
use crate::config::file::check_interval;
use crate::config::{Bound, TargetPlace, check_patterns};
use crate::keyring::Decrypt;
use crate::repository::{Bounds, ManifestAt, Policy, Reach, RepositorySettings};

/// The most targets of one repository.
const MAX_TARGETS: usize = 100;

/// What this host calls a Repository. Neither part has a dot, so that no other one comes to the same.
pub(super) fn name(key: &Key) -> Result<RepositoryName, String> {
    let Key { namespace, name } = key;
    format!("{namespace}.{name}").parse().map_err(|_: NameError| {
        format!(
            "metadata.name: {namespace}.{name} has {} characters: with its namespace and a dot a name may have 63, of a-z, 0-9 and -: give it another name",
            namespace.len() + 1 + name.len()
        )
    })
}

/// Where it is. A path is no place for a team: it is one of the host's.
pub(super) fn url(spec: &RepositorySpec) -> Result<RepoUrl, String> {
    match read("url", &spec.url)? {
        RepoUrl::Local(_) => Err(
            "spec.url: expected https://HOST/PATH, http://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH".to_owned(),
        ),
        url @ (RepoUrl::Http(_) | RepoUrl::Ssh(_)) => Ok(url),
    }
}

/// All of it, within what the host allows. `suspend`: its annotation says so.
pub(super) fn settings(
    key: &Key,
    spec: &RepositorySpec,
    shown: Shown,
    suspend: bool,
    bounds: &Bounds,
) -> Result<RepositorySettings, String> {
    let name = name(key)?;
    let interval: Millis = read("interval", &spec.interval)?;
    check_interval(interval).map_err(|e| format!("spec.interval: {e}"))?;
    Ok(RepositorySettings {
        reach: Reach {
            url: url(spec)?,
            auth: shown.auth,
            ca_file: shown.ca_file,
            client_cert: shown.client_cert,
            proxy: None,
            name,
        },
        reference: read("ref", &spec.reference)?,
        manifest: manifest(key, spec)?,
        interval,
        policy: policy(spec, suspend)?,
        targets: targets(key, spec)?,
        bound: bounds.allow.clone(),
        allow: allow("allow", key, spec.allow.as_ref())?,
        commits: None,
        decrypt: Decrypt::default(),
        plugins: bounds.plugins.clone(),
    })
}

fn manifest(key: &Key, spec: &RepositorySpec) -> Result<ManifestAt, String> {
    let of = format!("Repository {}/{}", key.namespace, key.name);
    match (&spec.path, &spec.manifest) {
        (Some(_), Some(_)) => Err(
            "spec.path: give either path or manifest: a path means that there is no manifest"
                .to_owned(),
        ),
        (None, Some(text)) => Ok(ManifestAt::Text(
            format!("spec.manifest of {of}"),
            text.clone(),
        )),
        (None, None) => Ok(ManifestAt::Tree),
        (Some(path), None) => {
            // Objects that name no namespace have one here, which a path alone cannot say.
            let manifest = json!({
                "version": 1,
                "apps": [{ "name": key.name, "path": path, "target": { "namespace": key.namespace } }],
            });
            Ok(ManifestAt::Text(
                format!("spec.path of {of}"),
                manifest.to_string(),
            ))
        }
    }
}

fn policy(spec: &RepositorySpec, suspend: bool) -> Result<Policy, String> {
    let guard = &spec.policy.guard;
    let percent = usize::try_from(guard.percent).ok().filter(|p| *p <= 100);
    let objects = usize::try_from(guard.objects).ok();
    Ok(Policy {
        suspend: suspend || spec.policy.suspend,
        heal: match spec.policy.heal {
            HealSpec::Enforce => Heal::Enforce,
            HealSpec::Report => Heal::Report,
        },
        guard: GuardLimits {
            percent: percent.ok_or("spec.policy.guard.percent: expected a number from 0 to 100")?,
            objects: objects.ok_or("spec.policy.guard.objects: expected a number from 0 on")?,
        },
        ..Policy::default()
    })
}

/// This cluster, as accounts of the Repository's own namespace: nobody can name another team's.
fn targets(key: &Key, spec: &RepositorySpec) -> Result<BTreeMap<TargetName, Bound>, String> {
    let count = spec.targets.len();
    if !(1..=MAX_TARGETS).contains(&count) {
        return Err(format!(
            "spec.targets: {count} items: expected 1 to {MAX_TARGETS}"
        ));
    }
    let mut all = BTreeMap::new();
    for (n, target) in spec.targets.iter().enumerate() {
        let at = format!("targets[{n}]");
        let name: TargetName = read(&format!("{at}.name"), &target.name)?;
        let account = target
            .service_account
            .as_ref()
            .unwrap_or(&spec.service_account);
        let account = format!("{}/{account}", key.namespace);
        let bound = Bound {
            place: TargetPlace::Kube(KubePlace::Current),
            account: Some(read(&format!("{at}.serviceAccount"), &account)?),
            allow: allow(&format!("{at}.allow"), key, target.allow.as_ref())?,
        };
        if all.insert(name, bound).is_some() {
            return Err(format!("spec.{at}.name: {} is there already", target.name));
        }
    }
    Ok(all)
}

fn allow(at: &str, key: &Key, spec: Option<&AllowSpec>) -> Result<Option<Allow>, String> {
    let Some(spec) = spec else {
        return Ok(None);
    };
    Ok(Some(Allow {
        said_by: format!("`{at}` of Repository {}/{}", key.namespace, key.name),
        namespaces: patterns(&format!("{at}.namespaces"), spec.namespaces.as_deref())?,
        kinds: patterns(&format!("{at}.kinds"), spec.kinds.as_deref())?,
        cluster_kinds: patterns(&format!("{at}.clusterKinds"), Some(&spec.cluster_kinds))?
            .unwrap_or_default(),
    }))
}

fn patterns<P: FromStr<Err: Display>>(
    at: &str,
    texts: Option<&[String]>,
) -> Result<Option<Vec<P>>, String> {
    let Some(texts) = texts else {
        return Ok(None);
    };
    check_patterns(texts.len()).map_err(|e| format!("spec.{at}: {e}"))?;
    let all = texts.iter().enumerate();
    all.map(|(n, text)| read(&format!("{at}[{n}]"), text))
        .collect::<Result<Vec<P>, String>>()
        .map(Some)
}

fn read<T: FromStr<Err: Display>>(at: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|e| format!("spec.{at}: {e}"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::repository::Auth;

    fn key() -> Key {
        Key {
            namespace: "team".to_owned(),
            name: "shop".to_owned(),
        }
    }

    fn meant(spec: Value) -> Result<RepositorySettings, String> {
        let spec: RepositorySpec = serde_json::from_value(spec).unwrap();
        let shown = Shown {
            auth: Auth::None,
            ca_file: None,
            client_cert: None,
        };
        settings(&key(), &spec, shown, false, &Bounds::default())
    }

    #[test]
    fn a_repository_runs_as_accounts_of_its_own_namespace_and_as_no_others() {
        let all = meant(json!({
            "url": "https://h/x",
            "targets": [{ "name": "default" }, { "name": "admin", "serviceAccount": "boss" }],
        }))
        .unwrap();
        assert_eq!(all.reach.name.as_str(), "team.shop");
        let accounts: Vec<String> = all
            .targets
            .values()
            .filter_map(|bound| bound.account.as_ref().map(ToString::to_string))
            .collect();
        assert_eq!(accounts, ["team/boss", "team/default"]);
        for account in ["other/boss", "../boss", "a b", ""] {
            let spec = json!({ "url": "https://h/x", "serviceAccount": account });
            let error = meant(spec).unwrap_err();
            assert!(
                error.starts_with("spec.targets[0].serviceAccount: "),
                "{error}"
            );
        }
    }

    #[test]
    fn a_path_of_the_hosts_own_is_no_place_for_a_team() {
        for url in ["/etc", "./x", "file:///etc", "x"] {
            let error = meant(json!({ "url": url })).unwrap_err();
            assert!(
                error.starts_with("spec.url: expected https://"),
                "{url}: {error}"
            );
        }
        let error = meant(json!({ "url": "https://bot:s3cret@h/x" })).unwrap_err();
        assert!(
            error.starts_with("spec.url: ") && !error.contains("s3cret"),
            "{error}"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (part, expected) in [
            (json!({ "interval": "5" }), "spec.interval: "),
            (
                json!({ "interval": "25h" }),
                "spec.interval: expected a time from 100ms to 24h",
            ),
            (json!({ "ref": "a..b" }), "spec.ref: "),
            (
                json!({ "path": "a", "manifest": "b" }),
                "spec.path: give either path or manifest",
            ),
            (json!({ "targets": [] }), "spec.targets: 0 items"),
            (
                json!({ "targets": [{ "name": "a" }, { "name": "a" }] }),
                "spec.targets[1].name: a is there already",
            ),
            (
                json!({ "targets": [{ "name": "A" }] }),
                "spec.targets[0].name: ",
            ),
            (
                json!({ "policy": { "guard": { "percent": 101 } } }),
                "spec.policy.guard.percent: ",
            ),
            (
                json!({ "policy": { "guard": { "objects": -1 } } }),
                "spec.policy.guard.objects: ",
            ),
            (
                json!({ "allow": { "clusterKinds": [], "kinds": ["Pod"] } }),
                "spec.allow.kinds[0]: ",
            ),
            (
                json!({ "allow": { "clusterKinds": [], "namespaces": ["a/b"] } }),
                "spec.allow.namespaces[0]: ",
            ),
        ] {
            let mut spec = json!({ "url": "https://h/x" });
            for (key, value) in part.as_object().unwrap() {
                spec[key] = value.clone();
            }
            let error = meant(spec).unwrap_err();
            assert!(error.starts_with(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused_with_its_length() {
        let long = Key {
            namespace: "a".repeat(32),
            name: "b".repeat(31),
        };
        let error = name(&long).unwrap_err();
        assert!(
            error.contains("64 characters") && error.contains("63"),
            "{error}"
        );
        assert!(
            name(&Key {
                name: "b.c".to_owned(),
                ..key()
            })
            .is_err()
        );
    }

    #[test]
    fn a_path_makes_one_app_in_the_repositorys_own_namespace() {
        let settings = meant(json!({ "url": "https://h/x", "path": "deploy" })).unwrap();
        let ManifestAt::Text(_, text) = settings.manifest else {
            panic!("{:?}", settings.manifest)
        };
        let manifest: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            manifest["apps"][0],
            json!({ "name": "shop", "path": "deploy", "target": { "namespace": "team" } })
        );
    }
}
