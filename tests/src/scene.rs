//! A repository over http, one namespace of a control plane, one machine: what a suite of the `kube:` target needs.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::control_plane::{ControlPlane, Kubectl};
use crate::{GitServer, Ran, Repo, Serving, Weir};

/// Where an app's objects go: one namespace, seen by whoever `kubectl` is.
pub struct Scene<'a> {
    /// The cluster.
    pub plane: &'a ControlPlane,
    /// The namespace.
    pub namespace: String,
    /// The repository.
    pub repo: Repo,
    /// Who serves it.
    pub server: GitServer,
    /// The machine that Weir runs on.
    pub weir: Weir,
    /// The cluster's administrator, who Weir runs as too.
    pub kubectl: Kubectl,
}

impl<'a> Scene<'a> {
    /// Two maps, `a` and `b`, in app `web`.
    ///
    /// # Errors
    /// Something of it cannot be made.
    pub fn new(plane: &'a ControlPlane, prefix: &str) -> Result<Scene<'a>> {
        let namespace = plane.namespace(prefix)?;
        let mut repo = Repo::empty()?;
        repo.write_text(&format!(
            "//- weir.yaml\n\
             version: 1\n\
             apps: [{{ name: web, path: web, target: {{ namespace: {namespace} }} }}]\n"
        ))?;
        for name in ["a", "b"] {
            repo.write(&format!("web/{name}.yaml"), map(name, "one"))?;
        }
        repo.commit("first")?;
        let server = GitServer::of(&repo)?;
        let kubectl = plane.admin();
        let mut weir = Weir::new()?;
        weir.variable("KUBECONFIG", kubectl.kubeconfig());
        Ok(Scene {
            plane,
            namespace,
            repo,
            server,
            weir,
            kubectl,
        })
    }

    /// One more commit, which writes one file.
    ///
    /// # Errors
    /// Git or the disk refuses.
    pub fn push(&mut self, path: &str, content: &str) -> Result<()> {
        self.repo.write(path, content)?;
        self.repo.commit("change")?;
        Ok(())
    }

    /// `weir sync` with further flags.
    ///
    /// # Errors
    /// It cannot be run; how it ends is in the answer.
    pub fn sync(&self, flags: &[&str]) -> Result<Ran> {
        let url = self.server.url("work");
        let sync = ["sync", "--repo", &url, "--target", "kube:"];
        self.weir.run(sync.iter().chain(flags))
    }

    /// What a `weir sync` that does well says.
    ///
    /// # Errors
    /// It does not end with 0.
    pub fn synced(&self) -> Result<String> {
        Ok(self.sync(&[])?.code(0)?.stderr)
    }

    /// `weir serve` that polls so often, and has synced once.
    ///
    /// # Errors
    /// It does not come so far.
    pub fn serve(&self, interval: &str) -> Result<Serving> {
        let url = self.server.url("work");
        let mut serving = self.weir.start([
            "serve",
            "--repo",
            &url,
            "--target",
            "kube:",
            "--interval",
            interval,
            "--listen",
            "127.0.0.1:0",
        ])?;
        serving.wait_for("the first sync", SOON, |line| {
            line.contains("synced to") || line.contains("nothing to change")
        })?;
        Ok(serving)
    }

    /// A config map of the namespace, with its managed fields.
    ///
    /// # Errors
    /// It is not there.
    pub fn map(&self, name: &str) -> Result<Value> {
        self.kubectl.json(&[
            "get",
            "configmap",
            name,
            "--namespace",
            &self.namespace,
            "--show-managed-fields",
        ])
    }

    /// The app's maps, found by the label that people select by.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub fn names(&self) -> Result<BTreeSet<String>> {
        let found = self.kubectl.json(&[
            "get",
            "configmap",
            "--namespace",
            &self.namespace,
            "--selector",
            "weir.dev/app=web",
        ])?;
        let items = found["items"].as_array().context("a list")?;
        let name = |item: &Value| item["metadata"]["name"].as_str().map(str::to_owned);
        Ok(items.iter().filter_map(name).collect())
    }

    /// Somebody sets a map's value by hand.
    ///
    /// # Errors
    /// The cluster refuses.
    pub fn set_by_hand(&self, name: &str, value: &str) -> Result<()> {
        let patch = serde_json::json!({ "data": { "value": value } }).to_string();
        self.edit(&["patch", "configmap", name, "--patch", &patch])?;
        Ok(())
    }

    /// Another field manager takes these fields of an object, by an apply of its own.
    ///
    /// # Errors
    /// The cluster refuses.
    pub fn apply_as(&self, manager: &str, yaml: &str) -> Result<()> {
        let arguments = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager",
            manager,
            "--namespace",
            &self.namespace,
            "-f",
            "-",
        ];
        let answer = self.kubectl.run_with(&arguments, yaml)?;
        anyhow::ensure!(answer.ok, "{}", answer.stderr);
        Ok(())
    }

    /// `kubectl` in the namespace, as somebody who edits by hand.
    ///
    /// # Errors
    /// It refuses.
    pub fn edit(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl
            .text(&[&["--namespace", &*self.namespace], arguments].concat())
    }
}

/// Longer than anything takes that a test waits for.
pub const SOON: Duration = Duration::from_secs(60);

/// A config map with one value, as a file of the repository.
#[must_use]
pub fn map(name: &str, value: &str) -> String {
    format!(
        "{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: {name} }}, data: {{ value: {value} }} }}\n"
    )
}
