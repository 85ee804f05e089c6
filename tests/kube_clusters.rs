//! One app in two clusters, on two real API servers: each has its own values and its own inventory, and one that is away
//! holds nobody up.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use weir_tests::control_plane::{ControlPlane, Kubectl, With, wait};
use weir_tests::weir::http_get;
use weir_tests::{GitServer, Repo, Serving, Weir, told};

/// Longer than anything takes that a test waits for: pauses between tries grow to a minute and more.
const SOON: Duration = Duration::from_secs(150);

/// The cluster that is always there.
fn near() -> &'static ControlPlane {
    static NEAR: OnceLock<ControlPlane> = OnceLock::new();
    NEAR.get_or_init(|| ControlPlane::start(With::ApiServer).unwrap())
}

fn map(name: &str, value: &str) -> String {
    format!(
        "{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: {name} }}, data: {{ value: {value} }} }}\n"
    )
}

/// A repository whose app `web` lands in both clusters, and the host that follows it.
struct Pair {
    namespace: String,
    near: Kubectl,
    far: Kubectl,
    repo: Repo,
    server: GitServer,
    weir: Weir,
}

impl Pair {
    /// With so many more apps that land in the far cluster alone.
    fn new(far: &ControlPlane, more: usize) -> Pair {
        let namespace = near().namespace("pair").unwrap();
        let (near, far) = (near().admin(), far.admin());
        // Both may be the same one.
        far.run(&["create", "namespace", &namespace]).unwrap();
        let mut repo = Repo::empty().unwrap();
        let region = |name: &str| {
            format!(
                "{name}: {{ namespace: {namespace}, config: {{ metadata: {{ labels: {{ region: {name} }} }} }} }}"
            )
        };
        let mut manifest = format!(
            "version: 1\nplugins: {{ metadata: {{ source: 'bundled:metadata' }} }}\n\
             targets: {{ {}, {} }}\n\
             defaults: {{ transform: [{{ plugin: metadata, config: {{ labels: {{ team: shop, region: none }} }} }}] }}\n\
             apps:\n- {{ name: web, path: web, targets: [near, far] }}\n",
            region("near"),
            region("far")
        );
        for n in 0..more {
            manifest.push_str(&format!(
                "- {{ name: more-{n}, path: more/{n}, target: {{ name: far }} }}\n"
            ));
            repo.write(
                &format!("more/{n}/map.yaml"),
                map(&format!("more-{n}"), "one"),
            )
            .unwrap();
        }
        repo.write("weir.yaml", manifest).unwrap();
        repo.write("web/a.yaml", map("a", "one")).unwrap();
        repo.write("web/b.yaml", map("b", "one")).unwrap();
        repo.commit("first").unwrap();
        let server = GitServer::of(&repo).unwrap();
        let mut weir = Weir::new().unwrap();
        let files = [
            named(&weir, &near, "near", None),
            named(&weir, &far, "far", None),
        ];
        weir.variable("KUBECONFIG", std::env::join_paths(files).unwrap());
        Pair {
            namespace,
            near,
            far,
            repo,
            server,
            weir,
        }
    }

    fn serve(&self, far: &str) -> Serving {
        let url = self.server.url("work");
        let file = format!(
            "version: 1\nlisten: 127.0.0.1:0\nrepositories:\n- name: shop\n  url: {url}\n  interval: 1s\n\
             \u{20} targets: {{ near: kube:near, far: '{far}' }}\n"
        );
        let path = self.weir.path("host.yaml");
        std::fs::write(&path, file).unwrap();
        let words = ["serve", "--config", path.to_str().unwrap()];
        self.weir.start(words).unwrap()
    }

    fn push(&mut self, path: &str, content: &str) {
        self.repo.write(path, content).unwrap();
        self.repo.commit("change").unwrap();
    }

    fn get(&self, cluster: &Kubectl, name: &str) -> Option<Value> {
        let get = ["get", "configmap", name, "-n", &self.namespace];
        cluster.json(&get).ok()
    }

    /// Waits until a map of a cluster has that value.
    fn becomes(&self, cluster: &Kubectl, name: &str, value: &str) {
        wait::until(SOON, &format!("{name} is {value}"), || {
            let found = self.get(cluster, name);
            Ok(found.filter(|map| map["data"]["value"] == value))
        })
        .unwrap();
    }

    fn edit(&self, cluster: &Kubectl, name: &str) {
        let patch = r#"{"data":{"value":"by hand"}}"#;
        let edit = [
            "patch",
            "configmap",
            name,
            "-n",
            &self.namespace,
            "--patch",
            patch,
        ];
        cluster.text(&edit).unwrap();
    }

    /// The near cluster is synced and healed, from this value on, whatever the far one does.
    fn near_goes_on(&mut self, value: &str) {
        self.push("web/a.yaml", &map("a", value));
        self.becomes(&self.near, "a", value);
        self.edit(&self.near, "b");
        self.becomes(&self.near, "b", "one");
    }
}

/// A kubeconfig of a cluster in which all has this name, and perhaps another server.
fn named(weir: &Weir, kubectl: &Kubectl, name: &str, server: Option<&str>) -> PathBuf {
    let view = ["config", "view", "--raw", "--flatten"];
    let mut config = kubectl.json(&view).unwrap();
    for list in ["clusters", "contexts", "users"] {
        config[list][0]["name"] = json!(name);
    }
    for part in ["cluster", "user"] {
        config["contexts"][0]["context"][part] = json!(name);
    }
    config["current-context"] = json!(name);
    if let Some(server) = server {
        config["clusters"][0]["cluster"]["server"] = json!(server);
    }
    let path = weir.path(&format!("{name}.kubeconfig"));
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

fn wait_app(host: &mut Serving, app: &str, text: &str) {
    told::wait_app(host, app, text, SOON).unwrap();
}

/// An app as the host's API shows it.
fn shown(host: &Serving, name: &str) -> Value {
    let stderr = host.stderr();
    let line = stderr.lines().find(|l| l.contains("says how apps stand"));
    let address = line.unwrap().split("http://").nth(1).unwrap();
    let (_, body) = http_get(address.split('/').next().unwrap(), "/api/v1/apps").unwrap();
    let all: Value = serde_json::from_str(&body).unwrap();
    let apps = all["repositories"][0]["apps"].as_array().unwrap().clone();
    apps.into_iter().find(|app| app["name"] == name).unwrap()
}

fn stop(host: Serving) {
    told::stop(host, SOON).unwrap();
}

#[test]
fn one_app_lands_in_two_clusters_each_with_its_values_and_its_own_inventory() {
    let far = ControlPlane::start(With::ApiServer).unwrap();
    let mut pair = Pair::new(&far, 1);
    let host = pair.serve("kube:far");
    for (cluster, region) in [(&pair.near, "near"), (&pair.far, "far")] {
        pair.becomes(cluster, "b", "one");
        let map = pair.get(cluster, "a").unwrap();
        let labels = &map["metadata"]["labels"];
        assert_eq!(labels["region"], region);
        assert_eq!(labels["team"], "shop");
        assert_eq!(labels["weir.dev/app"], format!("web.{region}"));
    }
    pair.becomes(&pair.far, "more-0", "one");
    assert!(pair.get(&pair.near, "more-0").is_none());

    // Gone by hand in one cluster, it comes back there, as what it is there.
    let delete = ["delete", "configmap", "a", "-n", &pair.namespace];
    let in_near = pair.get(&pair.near, "a").unwrap();
    pair.far.text(&delete).unwrap();
    pair.becomes(&pair.far, "a", "one");
    assert_eq!(
        pair.get(&pair.far, "a").unwrap()["metadata"]["labels"]["region"],
        "far"
    );
    assert_eq!(pair.get(&pair.near, "a").unwrap(), in_near);

    // One app leaves the far cluster: what the near one holds is its own.
    let manifest = std::fs::read_to_string(pair.repo.path().join("weir.yaml")).unwrap();
    let manifest = manifest.replace("targets: [near, far]", "targets: [near]");
    pair.repo.remove("web/b.yaml").unwrap();
    pair.push("weir.yaml", &manifest);
    let mut host = host;
    wait_app(
        &mut host,
        "web.far",
        "left the manifest and still has 2 objects",
    );
    wait::until(SOON, "b leaves the near cluster", || {
        Ok(pair.get(&pair.near, "b").is_none().then_some(()))
    })
    .unwrap();
    assert!(pair.get(&pair.far, "b").is_some());
    let objects = |app: &str| shown(&host, app)["objects"].clone();
    wait::until(SOON, "one object is left in the near cluster", || {
        Ok((objects("web.near") == 1).then_some(()))
    })
    .unwrap();
    assert_eq!(objects("web.far"), 2);
    assert_eq!(objects("more-0"), 1);
    stop(host);
}

#[test]
fn while_one_cluster_is_down_the_other_is_synced_and_healed() {
    let far = ControlPlane::start(With::ApiServer).unwrap();
    let mut pair = Pair::new(&far, 20);
    let mut host = pair.serve("kube:far");
    pair.becomes(&pair.near, "b", "one");
    pair.becomes(&pair.far, "b", "one");
    far.api_server_down().unwrap();
    pair.near_goes_on("two");
    wait_app(&mut host, "web.far", "does not answer");
    assert_eq!(shown(&host, "web.near")["state"], "synced");
    pair.near_goes_on("three");
    far.api_server_up().unwrap();
    pair.becomes(&pair.far, "a", "three");
    stop(host);
}

/// Stops processes, and has them go on when it is dropped.
struct Stopped(Vec<Pid>);

impl Stopped {
    fn of(plane: &ControlPlane) -> Stopped {
        let all = plane.processes().unwrap();
        let all = all
            .iter()
            .map(|pid| Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap());
        let stopped = Stopped(all.collect());
        for pid in &stopped.0 {
            kill_process(*pid, Signal::STOP).unwrap();
        }
        stopped
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for pid in &self.0 {
            // One that ended needs nothing.
            let _ = kill_process(*pid, Signal::CONT);
        }
    }
}

#[test]
fn while_one_cluster_is_silent_the_other_is_synced_and_healed() {
    let far = ControlPlane::start(With::ApiServer).unwrap();
    let mut pair = Pair::new(&far, 0);
    let mut host = pair.serve("kube:far");
    wait_app(&mut host, "web.near", "synced to");
    pair.becomes(&pair.far, "b", "one");
    let silent = Stopped::of(&far);
    pair.near_goes_on("two");
    pair.near_goes_on("three");
    let commit = |app: &str| shown(&host, app)["commit"].clone();
    assert_ne!(commit("web.far"), commit("web.near"));
    drop(silent);
    pair.becomes(&pair.far, "a", "three");
    stop(host);
}

#[test]
fn a_cluster_that_cannot_be_reached_at_all_is_the_problem_of_its_own_apps() {
    let mut pair = Pair::new(near(), 0);
    // Nobody listens on port 1; and a context that is not there.
    let dead = named(&pair.weir, &pair.near, "dead", Some("https://127.0.0.1:1"));
    let files = [pair.weir.path("near.kubeconfig"), dead];
    pair.weir
        .variable("KUBECONFIG", std::env::join_paths(files).unwrap());
    for (far, value, said) in [
        (
            "kube:dead",
            "two",
            "the API server of kube:dead does not answer",
        ),
        ("kube:nowhere", "three", "it has no context"),
        ("kube-secret:fleet/none", "four", "fleet/none"),
    ] {
        let mut host = pair.serve(far);
        wait_app(&mut host, "web.far", said);
        pair.near_goes_on(value);
        assert_eq!(shown(&host, "web.near")["state"], "synced");
        assert_eq!(shown(&host, "web.far")["state"], "failed");
        stop(host);
    }
}
