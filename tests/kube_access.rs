//! The ways to a cluster, on real API servers: a context by its name, a kubeconfig in a Secret, two clusters at once.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use weir_tests::Weir;
use weir_tests::control_plane::{ControlPlane, Kubectl, With, wait};
use weir_tests::scene::{SOON, Scene};

/// A kubeconfig with its certificates inside, as a person would put it into a Secret.
fn flat(kubectl: &Kubectl) -> String {
    kubectl
        .text(&["config", "view", "--raw", "--flatten"])
        .unwrap()
}

/// A kubeconfig in which all has this one name, and which has no current context.
fn renamed(weir: &Weir, kubectl: &Kubectl, name: &str) -> PathBuf {
    let mut config: Value = serde_json::from_str(
        &kubectl
            .text(&["config", "view", "--raw", "--flatten", "--output=json"])
            .unwrap(),
    )
    .unwrap();
    for list in ["clusters", "contexts", "users"] {
        config[list][0]["name"] = json!(name);
    }
    for part in ["cluster", "user"] {
        config["contexts"][0]["context"][part] = json!(name);
    }
    config["current-context"] = json!("");
    let path = weir.path("renamed.yaml");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

fn there(kubectl: &Kubectl, namespace: &str) -> bool {
    let get = ["get", "configmap", "a", "--namespace", namespace];
    kubectl.run(&get).unwrap().ok
}

fn sync(scene: &Scene<'_>, kubeconfig: &Path, targets: &[&str]) -> weir_tests::Ran {
    let url = scene.server.url("work");
    let kubeconfig = kubeconfig.to_str().unwrap();
    let mut arguments = vec!["--kubeconfig", kubeconfig, "sync", "--repo", &url];
    for target in targets {
        arguments.extend(["--target", target]);
    }
    scene.weir.run(arguments).unwrap()
}

#[test]
fn a_context_is_found_by_its_name_whatever_stands_in_it() {
    let scene = Scene::new(ControlPlane::shared().unwrap(), "context").unwrap();
    let name = "arn:aws:eks:eu-west-1:1:cluster/shop=prod";
    let kubeconfig = renamed(&scene.weir, &scene.kubectl, name);
    let said = sync(&scene, &kubeconfig, &["kube:"])
        .code(1)
        .unwrap()
        .stderr;
    assert!(said.contains("no current context"), "{said}");
    let target = format!("kube:{name}");
    sync(&scene, &kubeconfig, &[&target]).code(0).unwrap();
    assert!(there(&scene.kubectl, &scene.namespace));
}

#[test]
fn a_kubeconfig_in_a_secret_leads_to_its_cluster_as_its_user() {
    let home = ControlPlane::shared().unwrap();
    let away = ControlPlane::start(With::ApiServer).unwrap();
    let scene = Scene::new(&away, "secret").unwrap();
    let (admin, places) = (home.admin(), home.namespace("places").unwrap());
    let file = scene.weir.path("flat.yaml");
    std::fs::write(&file, flat(&scene.kubectl)).unwrap();
    let from = format!("--from-file=value={}", file.display());
    admin
        .text(&[
            "create",
            "secret",
            "generic",
            "shop",
            &from,
            "--namespace",
            &places,
        ])
        .unwrap();
    let target = format!("kube-secret:{places}/shop");
    sync(&scene, admin.kubeconfig(), &[&target])
        .code(0)
        .unwrap();
    assert!(there(&scene.kubectl, &scene.namespace));
    assert!(!there(&admin, &scene.namespace));
    let missing = format!("kube-secret:{places}/none");
    let said = sync(&scene, admin.kubeconfig(), &[&missing])
        .code(1)
        .unwrap();
    assert!(
        said.stderr.contains(&format!("{places}/none")),
        "{}",
        said.stderr
    );
    // Whoever may not read the Secret is told so, and by what name.
    let user = home.user("nobody-there", None).unwrap();
    let said = sync(&scene, user.kubeconfig(), &[&target])
        .code(1)
        .unwrap()
        .stderr;
    assert!(
        said.contains("nobody-there") && said.contains("secrets"),
        "{said}"
    );
}

#[test]
fn one_repository_lands_in_two_clusters_each_app_in_its_own() {
    let away = ControlPlane::start(With::ApiServer).unwrap();
    let home = ControlPlane::shared().unwrap();
    let mut scene = Scene::new(home, "both").unwrap();
    let there_too = away.admin();
    there_too
        .text(&["create", "namespace", &scene.namespace])
        .unwrap();
    let manifest = format!(
        "version: 1\ntargets: {{ far: {{}} }}\napps:\n\
         - {{ name: web, path: web, target: {{ namespace: {0} }} }}\n\
         - {{ name: far, path: web, target: {{ name: far, namespace: {0} }} }}\n",
        scene.namespace
    );
    scene.push("weir.yaml", &manifest).unwrap();
    let far = renamed(&scene.weir, &there_too, "far");
    let both = format!("{}:{}", scene.kubectl.kubeconfig().display(), far.display());
    scene.weir.variable("KUBECONFIG", &both);
    let url = scene.server.url("work");
    let ran = scene.weir.run([
        "sync",
        "--repo",
        &url,
        "--target",
        "kube:",
        "--target",
        "far=kube:far",
    ]);
    ran.unwrap().code(0).unwrap();
    for (kubectl, app) in [(&scene.kubectl, "web"), (&there_too, "far")] {
        let shown = wait::until(SOON, "the map", || {
            let get = ["get", "configmap", "a", "--namespace", &scene.namespace];
            Ok(kubectl.json(&get).ok())
        });
        assert_eq!(shown.unwrap()["metadata"]["labels"]["weir.dev/app"], app);
    }
}
