//! The target `kube:` on a real API server: what is in Git is there, whose it is stands on it, nothing else is touched.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeSet;

use serde_json::Value;
use weir_tests::control_plane::{ControlPlane, Kubectl};
use weir_tests::weir::Ran;
use weir_tests::{GitServer, Repo, Weir};

/// A repository over http, one namespace, one machine.
struct Scene {
    plane: &'static ControlPlane,
    namespace: String,
    repo: Repo,
    server: GitServer,
    weir: Weir,
    kubectl: Kubectl,
}

impl Scene {
    /// Two maps and a Service in app `web`.
    fn new() -> Scene {
        let plane = ControlPlane::shared().unwrap();
        let namespace = plane.namespace("sync").unwrap();
        let mut repo = Repo::empty().unwrap();
        repo.write_text(&format!(
            "//- weir.yaml\n\
             version: 1\n\
             apps: [{{ name: web, path: web, target: {{ namespace: {namespace} }} }}]\n"
        ))
        .unwrap();
        for name in ["a", "b"] {
            repo.write(&format!("web/{name}.yaml"), map(name, "one"))
                .unwrap();
        }
        repo.commit("first").unwrap();
        let server = GitServer::of(&repo).unwrap();
        let kubectl = plane.admin();
        let mut weir = Weir::new().unwrap();
        weir.variable("KUBECONFIG", kubectl.kubeconfig());
        Scene {
            plane,
            namespace,
            repo,
            server,
            weir,
            kubectl,
        }
    }

    fn push(&mut self, path: &str, content: &str) {
        self.repo.write(path, content).unwrap();
        self.repo.commit("change").unwrap();
    }

    fn sync(&self) -> Ran {
        let url = self.server.url("work");
        self.weir
            .run(["sync", "--repo", &url, "--target", "kube:"])
            .unwrap()
    }

    fn synced(&self) -> String {
        self.sync().code(0).unwrap().stderr
    }

    fn map(&self, name: &str) -> Value {
        self.kubectl
            .json(&[
                "get",
                "configmap",
                name,
                "--namespace",
                &self.namespace,
                "--show-managed-fields",
            ])
            .unwrap()
    }

    /// The app's maps, found by the label that people select by.
    fn names(&self) -> BTreeSet<String> {
        let found = self
            .kubectl
            .json(&[
                "get",
                "configmap",
                "--namespace",
                &self.namespace,
                "--selector",
                "weir.dev/app=web",
            ])
            .unwrap();
        let items = found["items"].as_array().unwrap();
        items
            .iter()
            .map(|i| i["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    }

    fn edit(&self, arguments: &[&str]) {
        let mut all = vec!["--namespace", &self.namespace];
        all.extend(arguments);
        self.kubectl.text(&all).unwrap();
    }
}

fn map(name: &str, value: &str) -> String {
    format!(
        "{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: {name} }}, data: {{ value: {value} }} }}\n"
    )
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

/// What stands in the manager's entry of an object.
fn entry(object: &Value) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    entries
        .iter()
        .find(|e| e["manager"] == "weir")
        .unwrap()
        .clone()
}

#[test]
fn what_is_in_git_is_in_the_cluster_and_what_leaves_git_leaves_it() {
    let mut scene = Scene::new();
    scene.synced();
    assert_eq!(scene.names(), names(&["a", "b"]));
    let first = scene.map("a");
    assert_eq!(first["data"]["value"], "one");
    let owner = first["metadata"]["annotations"]["weir.dev/owner"]
        .as_str()
        .unwrap();
    let place = format!("/web:/ConfigMap/{}/a", scene.namespace);
    assert!(owner.ends_with(&place), "{owner}");

    scene.push("web/a.yaml", &map("a", "two"));
    scene.synced();
    assert_eq!(scene.map("a")["data"]["value"], "two");
    assert_eq!(scene.map("a")["metadata"]["uid"], first["metadata"]["uid"]);

    scene.repo.remove("web/b.yaml").unwrap();
    scene.repo.commit("b leaves").unwrap();
    scene.synced();
    assert_eq!(scene.names(), names(&["a"]));
}

#[test]
fn the_readmes_way_to_look_at_an_app_shows_its_objects() {
    let scene = Scene::new();
    scene.synced();
    let readme = std::fs::read_to_string(weir_tests::places::root().join("README.md")).unwrap();
    let way = "get deploy,svc,cm,secret,job -A -l weir.dev/app=web";
    assert!(readme.contains(&format!("kubectl {way}\n")));
    let words: Vec<&str> = way.split(' ').collect();
    let shown = scene.kubectl.text(&words).unwrap();
    let mut here = shown
        .lines()
        .filter(|line| line.starts_with(&scene.namespace));
    assert!(here.any(|line| line.contains("configmap/a")), "{shown}");
}

#[test]
fn a_second_sync_writes_nothing() {
    let scene = Scene::new();
    scene.synced();
    let mark = scene.plane.audit().mark().unwrap();
    scene.synced();
    let entries = scene.plane.audit().since(mark).unwrap();
    let here = entries.iter().filter(|e| e.namespace == scene.namespace);
    let writes: Vec<_> = here
        .filter(|e| !matches!(e.verb.as_str(), "get" | "list" | "watch"))
        .collect();
    assert!(writes.is_empty(), "{writes:?}");
}

#[test]
fn what_somebody_changed_or_deleted_by_hand_is_put_back() {
    let scene = Scene::new();
    scene.synced();
    scene.edit(&[
        "patch",
        "configmap",
        "a",
        "--patch",
        r#"{"data":{"value":"by hand"}}"#,
    ]);
    scene.edit(&["delete", "configmap", "b"]);
    scene.synced();
    assert_eq!(scene.map("a")["data"]["value"], "one");
    assert_eq!(scene.names(), names(&["a", "b"]));
}

#[test]
fn a_field_that_git_does_not_set_stays_somebody_elses_and_is_no_drift() {
    let scene = Scene::new();
    scene.synced();
    let before = entry(&scene.map("a"));
    scene.edit(&[
        "patch",
        "configmap",
        "a",
        "--patch",
        r#"{"data":{"other":"theirs"}}"#,
    ]);
    let said = scene.synced();
    assert!(!said.contains("ConfigMap"), "{said}");
    assert_eq!(scene.map("a")["data"]["other"], "theirs");
    assert_eq!(entry(&scene.map("a")), before);
}

#[test]
fn what_somebody_else_made_is_neither_changed_nor_deleted() {
    let mut scene = Scene::new();
    scene.edit(&["create", "configmap", "a", "--from-literal=value=theirs"]);
    let said = scene.sync().code(1).unwrap().stderr;
    let expected = format!(
        "ConfigMap {}/a: something is already there that Weir did not make",
        scene.namespace
    );
    assert!(said.contains(&expected), "{said}");
    assert_eq!(scene.map("a")["data"]["value"], "theirs");
    scene.repo.remove("web/a.yaml").unwrap();
    scene.repo.commit("a leaves").unwrap();
    scene.synced();
    assert_eq!(scene.map("a")["data"]["value"], "theirs");
}

#[test]
fn an_object_of_another_ledger_is_refused_and_its_owner_named() {
    let scene = Scene::new();
    scene.synced();
    let mut other = Weir::new().unwrap();
    other.variable("KUBECONFIG", scene.kubectl.kubeconfig());
    let url = scene.server.url("work");
    let said = other
        .run(["sync", "--repo", &url, "--target", "kube:"])
        .unwrap()
        .code(1)
        .unwrap()
        .stderr;
    assert!(
        said.contains("app web of repository") && said.contains("on another host"),
        "{said}"
    );
}
