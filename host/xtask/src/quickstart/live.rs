//! What the quickstart keeps equal to its repository: a directory, or a namespace of the cluster of `cargo xtask cluster up`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::cluster::Up;
use crate::run::{Run, program};

/// Where the apps of `examples/quickstart` land.
pub(super) const NAMESPACE: &str = "shop";
/// Where they land in a check: a person may use the cluster at the same time.
pub(super) const CHECKED: &str = "quickstart-check";
/// What the example's four apps have, as kubectl names it; the overlay's ConfigMap has a hash in its name.
const OBJECTS: [&str; 6] = [
    "configmap/settings",
    "deployment.apps/web",
    "service/web",
    "configmap/cache",
    "deployment.apps/cache",
    "deployment.apps/api",
];
/// Longer than a namespace takes to go, as kubectl reads it.
const GONE: &str = "--timeout=60s";

/// Where the quickstart's apps land.
pub(super) enum Live {
    /// A directory.
    Folder(PathBuf),
    /// A namespace of a cluster.
    Cluster(Rig),
}

/// One namespace of the cluster of `cargo xtask cluster up`.
#[derive(Clone)]
pub(super) struct Rig {
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    namespace: &'static str,
}

impl Live {
    /// What `weir serve` is told of it.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        match self {
            Live::Folder(path) => vec!["--target".into(), format!("dir:{}", path.display()).into()],
            Live::Cluster(rig) => vec![
                "--target".into(),
                "kube:".into(),
                "--kubeconfig".into(),
                rig.kubeconfig.clone().into(),
            ],
        }
    }

    /// Makes what weir itself does not: the namespace.
    pub(super) fn prepare(&self) -> Result<()> {
        match self {
            Live::Folder(_) => Ok(()),
            Live::Cluster(rig) => rig.with_namespace(),
        }
    }

    /// Has a copy of the example's manifest name this namespace.
    pub(super) fn adapt(&self, manifest: &Path) -> Result<()> {
        match self {
            Live::Folder(_) => Ok(()),
            Live::Cluster(rig) => {
                let text = fs::read_to_string(manifest)
                    .with_context(|| format!("reading {}", manifest.display()))?;
                fs::write(manifest, adapted(&text, rig.namespace)?)
                    .with_context(|| format!("writing {}", manifest.display()))
            }
        }
    }

    /// Whether all that the example has is there.
    pub(super) fn is_whole(&self) -> Result<bool> {
        match self {
            Live::Folder(path) => {
                let text = contents(path)?;
                let names = OBJECTS.iter().filter_map(|object| object.split_once('/'));
                let is_there = |name| text.contains(&format!("\n  name: {name}\n"));
                Ok(names.map(|(_, name)| name).all(is_there))
            }
            Live::Cluster(rig) => {
                let names = rig.get("name")?;
                Ok(OBJECTS
                    .iter()
                    .all(|object| names.lines().any(|n| n == *object)))
            }
        }
    }

    /// The text of everything that is there.
    pub(super) fn contents(&self) -> Result<String> {
        match self {
            Live::Folder(path) => contents(path),
            Live::Cluster(rig) => rig.get("yaml"),
        }
    }
}

impl Rig {
    pub(super) fn of(up: Up, namespace: &'static str) -> Rig {
        Rig {
            kubeconfig: up.kubeconfig,
            kubectl: up.kubectl,
            namespace,
        }
    }

    pub(super) fn namespace(&self) -> &str {
        self.namespace
    }

    /// How a person looks at it: kubectl of the machine where it has one.
    pub(super) fn look(&self) -> String {
        let on_path = program("kubectl", Path::new("."))
            .args(["version", "--client"])
            .succeeds();
        let kubectl = if on_path {
            "kubectl".to_owned()
        } else {
            self.kubectl.display().to_string()
        };
        format!(
            "export KUBECONFIG='{}'\n    {kubectl} get deploy,svc,cm -n {} -l weir.dev/app=web",
            self.kubeconfig.display(),
            self.namespace
        )
    }

    /// Removes the namespace and waits until it is gone; none that is there is as good.
    pub(super) fn without_namespace(&self) -> Result<()> {
        self.kubectl(&["delete", "namespace", self.namespace])
            .args(["--ignore-not-found", "--wait", GONE])
            .run()
    }

    fn with_namespace(&self) -> Result<()> {
        if self
            .kubectl(&["get", "namespace", self.namespace])
            .succeeds()
        {
            return Ok(());
        }
        self.kubectl(&["create", "namespace", self.namespace]).run()
    }

    /// The apps' objects, as kubectl shows them in a form.
    fn get(&self, form: &str) -> Result<String> {
        self.kubectl(&["get", "deployments,services,configmaps"])
            .args(["--namespace", self.namespace])
            .args(["--selector", "weir.dev/app", "--output", form])
            .output()
    }

    fn kubectl(&self, arguments: &[&str]) -> Run {
        program(&self.kubectl, Path::new("."))
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
    }
}

/// The example's manifest with every app in this namespace.
fn adapted(manifest: &str, namespace: &str) -> Result<String> {
    let said = format!("namespace: {NAMESPACE} }}");
    let targets = manifest.matches("target: {").count();
    ensure!(
        targets > 0 && manifest.matches(&said).count() == targets,
        "examples/quickstart/weir.yaml: expected `{said}` on every target"
    );
    Ok(manifest.replace(&said, &format!("namespace: {namespace} }}")))
}

/// Every file's text below a folder, joined; empty while there is none.
fn contents(dir: &Path) -> Result<String> {
    let mut text = String::new();
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(text);
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            text.push_str(&contents(&entry.path())?);
        } else if let Ok(bytes) = fs::read(entry.path()) {
            // A file may go between the listing and the reading: the next look is right.
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../../examples/quickstart/weir.yaml");

    #[test]
    fn the_examples_apps_all_land_in_the_namespace_of_the_check() {
        let text = adapted(EXAMPLE, CHECKED).unwrap_or_default();
        assert_eq!(text.matches(&format!("namespace: {CHECKED} }}")).count(), 4);
        assert!(!text.contains("namespace: shop"), "{text}");
        assert_eq!(adapted(EXAMPLE, NAMESPACE).ok().as_deref(), Some(EXAMPLE));
    }

    #[test]
    fn a_manifest_with_an_app_elsewhere_is_no_example_for_a_check() {
        for text in ["", "apps: []", "target: { namespace: other }"] {
            assert!(adapted(text, CHECKED).is_err(), "{text}");
        }
    }
}
