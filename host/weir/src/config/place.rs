//! Where a target's name leads on this host: a directory or a cluster, as flags and the host's file say it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use weir_cluster::kube::KubePlace;
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

/// The targets that this host binds, by name.
pub(crate) fn bindings(
    given: &[TargetBinding],
) -> Result<BTreeMap<TargetName, TargetPlace>, Error> {
    let mut out = BTreeMap::new();
    for TargetBinding { name, place } in given {
        if out.insert(name.clone(), place.clone()).is_some() {
            return Err(Error::Usage(format!("--target: {name} is bound twice")));
        }
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
    fn only_directories_are_relative_to_a_file() {
        let base = Path::new("/etc/weir");
        let place = |s: &str| s.parse::<TargetPlace>().unwrap().based_at(base).to_string();
        assert_eq!(place("dir:live"), "dir:/etc/weir/live");
        assert_eq!(place("dir:/live"), "dir:/live");
        assert_eq!(place("kube:live"), "kube:live");
    }
}
