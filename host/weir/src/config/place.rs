//! Where a target's name leads on this host: a directory or a cluster, as flags and the host's file say it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use weir_cluster::kube::{Account, KubePlace};
use weir_core::allow::Allow;
use weir_core::name::TargetName;

use crate::error::Error;

/// What a place looks like.
const EXPECTED: &str = "expected dir:PATH, kube: (the current context, or the pod's own cluster), kube:CONTEXT or kube-secret:NAMESPACE/NAME";

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TargetPlace {
    /// A directory of YAML files.
    Dir(PathBuf),
    /// A Kubernetes cluster.
    Kube(KubePlace),
}

impl TargetPlace {
    /// The same place, with a relative directory meant from here.
    pub(crate) fn based_at(self, base: &Path) -> TargetPlace {
        match self {
            TargetPlace::Dir(dir) => TargetPlace::Dir(base.join(dir)),
            TargetPlace::Kube(place) => TargetPlace::Kube(place),
        }
    }
}

impl fmt::Display for TargetPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TargetPlace::Dir(dir) => write!(f, "dir:{}", dir.display()),
            TargetPlace::Kube(place) => place.fmt(f),
        }
    }
}

impl FromStr for TargetPlace {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s.split_once(':') {
            Some(("dir", path)) if !path.is_empty() => Ok(TargetPlace::Dir(path.into())),
            Some(("kube", "")) => Ok(TargetPlace::Kube(KubePlace::Current)),
            Some(("kube", context)) => {
                Ok(TargetPlace::Kube(KubePlace::Context(context.to_owned())))
            }
            Some(("kube-secret", at)) => match at.split_once('/') {
                Some((namespace, name))
                    if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
                {
                    Ok(TargetPlace::Kube(KubePlace::Secret {
                        namespace: namespace.to_owned(),
                        name: name.to_owned(),
                    }))
                }
                _ => Err(format!("kube-secret:{at}: {EXPECTED}")),
            },
            _ => Err(EXPECTED.to_owned()),
        }
    }
}

/// What a target's name is bound to on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Where it is.
    pub(crate) place: TargetPlace,
    /// The cluster's service account that objects are read and written as; `None` for the host's own.
    pub(crate) account: Option<Account>,
    /// What a repository may have there; `None` for all that its own rules allow.
    pub(crate) allow: Option<Allow>,
}

impl Bound {
    /// A place, used as the host's own account, where all may land.
    pub(crate) fn to(place: TargetPlace) -> Bound {
        Bound {
            place,
            account: None,
            allow: None,
        }
    }
}

/// One of the manifest's targets and its place: `PLACE`, or `NAME=PLACE`.
#[derive(Debug, Clone)]
pub(crate) struct TargetBinding {
    /// The manifest's name for it.
    pub(crate) name: TargetName,
    /// Where it is.
    pub(crate) place: TargetPlace,
}

impl FromStr for TargetBinding {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        // A path and a context's name may hold "=" themselves; a target's name never holds ":".
        let (name, place) = match s.split_once('=') {
            Some((name, place)) if !name.contains(':') => {
                (name.parse().map_err(|e| format!("{e}"))?, place)
            }
            _ => (TargetName::default_target(), s),
        };
        let place = place.parse();
        let place = place
            .map_err(|e: String| format!("{e}; before it, NAME= for a target of the manifest"))?;
        Ok(TargetBinding { name, place })
    }
}

/// One of the manifest's targets and the service account that is used there: `NAMESPACE/NAME`, or
/// `TARGET=NAMESPACE/NAME`.
#[derive(Debug, Clone)]
pub(crate) struct AccountBinding {
    /// The manifest's name for the target.
    name: TargetName,
    /// The account.
    account: Account,
}

impl FromStr for AccountBinding {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let (name, account) = match s.split_once('=') {
            Some((name, account)) => (name.parse().map_err(|e| format!("{e}"))?, account),
            None => (TargetName::default_target(), s),
        };
        let account = account.parse();
        let account = account
            .map_err(|e: String| format!("{e}; before it, NAME= for a target of the manifest"))?;
        Ok(AccountBinding { name, account })
    }
}

/// The targets that this host binds, by name, and the accounts that are used there.
pub(crate) fn bindings(
    given: &[TargetBinding],
    accounts: &[AccountBinding],
) -> Result<BTreeMap<TargetName, Bound>, Error> {
    let mut out = BTreeMap::new();
    for TargetBinding { name, place } in given {
        if out.insert(name.clone(), Bound::to(place.clone())).is_some() {
            return Err(Error::Usage(format!("--target: {name} is bound twice")));
        }
    }
    for AccountBinding { name, account } in accounts {
        let why = match out.get_mut(name) {
            None => format!(
                "no --target binds {name}: expected the name of one that is bound, as in NAME=NAMESPACE/ACCOUNT"
            ),
            Some(bound) if bound.account.is_some() => format!("{name} has an account already"),
            Some(bound) if matches!(bound.place, TargetPlace::Dir(_)) => {
                format!("{name} is a directory, which has no service accounts: leave it out")
            }
            Some(bound) => {
                bound.account = Some(account.clone());
                continue;
            }
        };
        return Err(Error::Usage(format!("--as: {why}")));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_directory_or_a_cluster_bound_to_a_name() {
        let secret = |namespace: &str, name: &str| {
            TargetPlace::Kube(KubePlace::Secret {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            })
        };
        let context = |name: &str| TargetPlace::Kube(KubePlace::Context(name.to_owned()));
        for (text, name, place) in [
            ("dir:./live", "default", TargetPlace::Dir("./live".into())),
            ("prod=dir:/a=b:c", "prod", TargetPlace::Dir("/a=b:c".into())),
            ("dir:/a=b", "default", TargetPlace::Dir("/a=b".into())),
            ("kube:", "default", TargetPlace::Kube(KubePlace::Current)),
            ("prod=kube:", "prod", TargetPlace::Kube(KubePlace::Current)),
            ("kube:kind-weir", "default", context("kind-weir")),
            (
                "kube:arn:aws:eks:eu-1:1:cluster/a=b",
                "default",
                context("arn:aws:eks:eu-1:1:cluster/a=b"),
            ),
            ("prod=kube:admin@prod=1", "prod", context("admin@prod=1")),
            ("kube-secret:fleet/prod", "default", secret("fleet", "prod")),
            (
                "prod=kube-secret:fleet/prod",
                "prod",
                secret("fleet", "prod"),
            ),
        ] {
            let binding: TargetBinding = text.parse().unwrap();
            assert_eq!(
                (binding.name.as_str(), &binding.place),
                (name, &place),
                "{text}"
            );
            assert!(
                text.ends_with(&binding.place.to_string()),
                "{text}: {}",
                binding.place
            );
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_what_was_expected() {
        for bad in [
            "",
            "live",
            "dir:",
            "prod=live",
            "Prod=dir:x",
            "ftp:x",
            "kube",
            "kube-secret:",
            "kube-secret:prod",
            "kube-secret:/prod",
            "kube-secret:fleet/",
            "kube-secret:a/b/c",
        ] {
            let error = bad.parse::<TargetBinding>().unwrap_err();
            let named = error.contains("kube:CONTEXT") || bad.starts_with("Prod");
            assert!(named, "{bad}: {error}");
        }
    }

    #[test]
    fn an_account_is_used_at_the_target_that_it_names_and_nowhere_else() {
        let bound = |targets: &[&str], accounts: &[&str]| {
            let targets: Vec<TargetBinding> = targets.iter().map(|t| t.parse().unwrap()).collect();
            let accounts: Result<Vec<AccountBinding>, String> =
                accounts.iter().map(|a| a.parse()).collect();
            let bound = bindings(&targets, &accounts?).map_err(|e| e.to_string())?;
            let all = bound.into_iter().map(|(name, bound)| {
                let account = bound.account.map(|a| a.to_string());
                format!("{name} {} {}", bound.place, account.unwrap_or_default())
            });
            Ok::<_, String>(all.collect::<Vec<String>>())
        };
        assert_eq!(
            bound(&["kube:", "eu=kube:eu"], &["shop/a"]).unwrap(),
            ["default kube: shop/a", "eu kube:eu "]
        );
        assert_eq!(
            bound(&["kube:", "eu=kube:eu"], &["eu=shop/b", "shop/a"]).unwrap(),
            ["default kube: shop/a", "eu kube:eu shop/b"]
        );
        for (targets, accounts, expected) in [
            (
                &["eu=kube:eu"][..],
                &["shop/a"][..],
                "--as: no --target binds default: ",
            ),
            (&["kube:"], &["us=shop/a"], "--as: no --target binds us: "),
            (
                &["kube:"],
                &["shop/a", "shop/b"],
                "--as: default has an account already",
            ),
            (&["dir:x"], &["shop/a"], "--as: default is a directory"),
            (&["kube:"], &[""], "NAMESPACE/NAME"),
            (&["kube:"], &["default="], "NAMESPACE/NAME"),
            (&["kube:"], &["deployer"], "NAMESPACE/NAME"),
            (&["kube:"], &["=shop/a"], "target name"),
            (
                &["kube:"],
                &["system:serviceaccount:shop:a"],
                "NAMESPACE/NAME",
            ),
        ] {
            let error = bound(targets, accounts).unwrap_err();
            assert!(error.contains(expected), "{accounts:?}: {error}");
        }
    }

    #[test]
    fn only_directories_are_relative_to_a_file() {
        let base = Path::new("/etc/weir");
        let place = |s: &str| s.parse::<TargetPlace>().unwrap().based_at(base).to_string();
        assert_eq!(place("dir:live"), "dir:/etc/weir/live");
        assert_eq!(place("dir:/live"), "dir:/live");
        assert_eq!(place("kube:live"), "kube:live");
    }
}
