//! A lost ledger, told anew by the objects themselves: on a real control plane, with controllers that copy what is written on them.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use weir_tests::control_plane::{ControlPlane, Kubectl, wait};
use weir_tests::scene::{SOON, Scene, map};
use weir_tests::{Ran, Weir};

/// Maps `a` and `b`, a Deployment and a Service of it, synced.
fn scene() -> Scene<'static> {
    let mut scene = Scene::new(ControlPlane::shared().unwrap(), "recover").unwrap();
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: db }\nspec:\n  replicas: 1\n  \
        selector: { matchLabels: { app: db } }\n  template:\n    metadata: { labels: { app: db } }\n    \
        spec: { terminationGracePeriodSeconds: 1, containers: [{ name: db, image: 'registry.test/db:1' }] }\n";
    let service = "apiVersion: v1\nkind: Service\nmetadata: { name: db }\nspec: { selector: { app: db }, ports: [{ port: 80 }] }\n";
    scene.repo.write("web/service.yaml", service).unwrap();
    scene.push("web/db.yaml", deployment).unwrap();
    scene.synced().unwrap();
    scene
}

/// What is written on map `a`: the ledger's id and the repository's name.
fn names(scene: &Scene<'_>) -> (String, String) {
    let map = scene.map("a").unwrap();
    let owner = map["metadata"]["annotations"]["weir.dev/owner"].as_str();
    let mut parts = owner.unwrap().split('/');
    (
        parts.next().unwrap().to_owned(),
        parts.next().unwrap().to_owned(),
    )
}

/// The ledger's folder, which a test loses.
fn lose(weir: &Weir) {
    fs::remove_dir_all(weir.state_dir().join("ledger")).unwrap();
}

/// `weir doctor --recover` for the scene's repository.
fn recover(scene: &Scene<'_>, more: &[&str]) -> Ran {
    let (_, repository) = names(scene);
    let words = ["doctor", "--recover", "--target", "kube:", "--repository"];
    let words = words.into_iter().chain([repository.as_str()]);
    scene.weir.run(words.chain(more.iter().copied())).unwrap()
}

/// What the recovery said was lost of the app.
fn lost(ran: &Ran) -> BTreeSet<String> {
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    let all = value["apps"][0]["lost"].as_array().unwrap().iter();
    let short = |id: &Value| {
        let id = id.as_str().unwrap();
        let (kind, name) = id.split_once(' ').unwrap();
        format!("{kind} {}", name.rsplit('/').next().unwrap())
    };
    all.map(short).collect()
}

fn all(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

/// The uid of the one object of this kind in the namespace that `db` owns or selects.
fn derived(scene: &Scene<'_>, kind: &str) -> Value {
    wait::until(SOON, kind, || {
        let found = ["get", kind, "--namespace", &scene.namespace];
        let found = scene.kubectl.json(&found)?;
        let mut items = found["items"].as_array().unwrap().iter();
        let of = |item: &&Value| {
            let name = item["metadata"]["name"].as_str();
            name.is_some_and(|name| name.starts_with("db-"))
        };
        Ok(items.find(of).cloned())
    })
    .unwrap()
}

#[test]
fn a_lost_ledger_is_told_by_the_objects_and_what_controllers_derived_from_them_is_nobodys() {
    let mut scene = scene();
    let (id, _) = names(&scene);
    // The controllers copied what is written on ours, labels and the proof itself.
    let set = derived(&scene, "replicasets");
    let copied = &set["metadata"]["annotations"]["weir.dev/owner"];
    assert!(
        copied.as_str().unwrap().contains("/Deployment/"),
        "{copied}"
    );
    let slice = derived(&scene, "endpointslices");
    assert_eq!(slice["metadata"]["labels"]["weir.dev/app"], "web");
    // Somebody took our labels off one of them.
    let off = [
        "label",
        "configmap",
        "b",
        "weir.dev/app-",
        "weir.dev/repository-",
    ];
    scene.edit(&off).unwrap();
    lose(&scene.weir);
    scene.repo.remove("web/b.yaml").unwrap();
    scene.push("web/a.yaml", &map("a", "two")).unwrap();

    let asked = recover(&scene, &[]).code(2).unwrap();
    assert!(asked.stderr.contains("give --yes"), "{}", asked.stderr);
    assert!(
        asked.stdout.contains("web  default  4        4"),
        "{}",
        asked.stdout
    );
    assert!(
        !scene.weir.state_dir().join("ledger").exists(),
        "showing makes none"
    );
    let ran = recover(&scene, &["--yes", "--why", "the disk died", "-o", "json"]);
    let ran = ran.code(0).unwrap();
    assert_eq!(
        lost(&ran),
        all(&[
            "ConfigMap a",
            "ConfigMap b",
            "Deployment.apps db",
            "Service db"
        ])
    );
    assert!(ran.stderr.contains("4 objects recovered"), "{}", ran.stderr);
    assert_eq!(names(&scene).0, id);

    // It goes on as if nothing had been: what changed is written, what left Git is pruned.
    let said = scene.synced().unwrap();
    assert!(said.contains("1 pruned"), "{said}");
    assert_eq!(scene.map("a").unwrap()["data"]["value"], "two");
    assert!(scene.map("b").is_err());
    assert_eq!(names(&scene).0, id);
    for (kind, before) in [("replicasets", set), ("endpointslices", slice)] {
        let after = derived(&scene, kind);
        assert_eq!(
            after["metadata"]["uid"], before["metadata"]["uid"],
            "{kind}"
        );
    }
    let quiet = scene.synced().unwrap();
    assert!(!quiet.contains("updated"), "{quiet}");
    let history = scene.weir.run(["history"]).unwrap().code(0).unwrap().stdout;
    let line = "4 objects in default are the app's, as is written on them (by";
    assert!(
        history.contains(line) && history.contains("the disk died"),
        "{history}"
    );
    // Nothing is left to recover.
    let again = recover(&scene, &["--yes", "-o", "json"]).code(0).unwrap();
    assert_eq!(lost(&again), BTreeSet::new());
    assert!(
        again.stderr.contains("nothing to recover"),
        "{}",
        again.stderr
    );
}

#[test]
fn an_app_that_left_while_its_ledger_was_lost_is_held_and_not_deleted() {
    let mut scene = scene();
    lose(&scene.weir);
    let namespace = &scene.namespace;
    let other = format!(
        "version: 1\napps: [{{ name: other, path: other, target: {{ namespace: {namespace} }} }}]\n"
    );
    scene.repo.write("weir.yaml", other).unwrap();
    scene.push("other/c.yaml", &map("c", "one")).unwrap();
    recover(&scene, &["--yes"]).code(0).unwrap();
    let held = scene.sync(&[]).unwrap().code(4).unwrap().stderr;
    assert!(held.contains("weir approve web"), "{held}");
    assert!(scene.map("a").is_ok() && scene.map("b").is_ok());
}

#[test]
fn what_may_not_be_listed_is_named_and_a_second_look_finds_the_rest() {
    let mut scene = scene();
    let secret =
        "{ apiVersion: v1, kind: Secret, metadata: { name: s }, stringData: { key: hunter2 } }\n";
    scene.push("web/secret.yaml", secret).unwrap();
    scene.synced().unwrap();
    lose(&scene.weir);
    let (user, role) = may_list_all_but_secrets(&scene);
    let admin = scene.kubectl.kubeconfig().to_owned();
    scene.weir.variable("KUBECONFIG", user.kubeconfig());
    let said = recover(&scene, &["--yes"]).code(1).unwrap().stderr;
    assert!(
        said.contains("kube:: core/Secret could not be looked at") && said.contains("--without"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
    assert!(!scene.weir.state_dir().join("ledger").exists(), "{said}");
    let without = ["--yes", "--without", "core/Secret"];
    let first = recover(&scene, &without).code(0).unwrap();
    assert!(
        first.stderr.contains("4 objects recovered"),
        "{}",
        first.stderr
    );
    scene.weir.variable("KUBECONFIG", admin);
    let rest = recover(&scene, &["--yes", "-o", "json"]).code(0).unwrap();
    assert_eq!(lost(&rest), all(&["Secret s"]));
    scene
        .kubectl
        .text(&["delete", "clusterrole,clusterrolebinding", &role])
        .unwrap();
}

/// Somebody who may list every kind but one; the role's name.
fn may_list_all_but_secrets(scene: &Scene<'_>) -> (Kubectl, String) {
    let role = format!("list-{}", scene.namespace);
    let kinds = ["api-resources", "--verbs=list", "-o", "name"];
    let kinds = scene.kubectl.text(&kinds).unwrap();
    let kinds: Vec<&str> = kinds.lines().filter(|kind| *kind != "secrets").collect();
    let resources = format!("--resource={}", kinds.join(","));
    let create = ["create", "clusterrole", &role, "--verb=list", &resources];
    scene.kubectl.text(&create).unwrap();
    let (of, to) = (format!("--clusterrole={role}"), format!("--user={role}"));
    let bind = ["create", "clusterrolebinding", &role, &of, &to];
    scene.kubectl.text(&bind).unwrap();
    (scene.plane.user(&role, None).unwrap(), role)
}

#[test]
fn another_ledger_is_never_taken_for_the_lost_one() {
    let (first, second) = (scene(), scene());
    let (lost_id, _) = names(&first);
    // The second machine has a ledger of its own, and looks for what is the first one's.
    let (_, repository) = names(&first);
    let words = ["doctor", "--recover", "--target", "kube:", "--yes"];
    let run = |more: &[&str]| {
        let words = words.iter().chain(more);
        second.weir.run(words).unwrap()
    };
    let said = run(&["--repository", &repository]).code(2).unwrap().stderr;
    assert!(
        said.contains("no object carries that") && said.contains(&lost_id),
        "{said}"
    );
    let said = run(&["--ledger-id", &lost_id]).code(2).unwrap().stderr;
    assert!(said.contains("move it away"), "{said}");
    // Without one, the names of several ledgers are there, and it has to say which.
    lose(&second.weir);
    let said = run(&[]).code(2).unwrap().stderr;
    assert!(
        said.contains("--ledger-id ID") && said.contains(&lost_id),
        "{said}"
    );
    let nobodys = "0".repeat(32);
    let said = run(&["--ledger-id", &nobodys]).code(0).unwrap().stdout;
    assert!(
        said.contains(&format!("carries the name of ledger {nobodys}")),
        "{said}"
    );
    assert!(!second.weir.state_dir().join("ledger").exists());
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_was_expected() {
    let weir = Weir::new().unwrap();
    for (words, expected) in [
        (&["--recover"][..], "needs a cluster to look at"),
        (
            &["--recover", "--target", "dir:live"],
            "A directory does not say",
        ),
        (
            &["--recover", "--target", "kube:", "--without", "Pod"],
            "expected GROUP/KIND",
        ),
        (
            &["--recover", "--target", "kube:", "--ledger-id", "mine"],
            "32 hex digits",
        ),
        (
            &["--recover", "--target", "kube:", "--config", "x"],
            "cannot be used with",
        ),
        (&["--yes"], "--recover"),
        (&["--target", "kube:"], "--recover"),
    ] {
        let ran = weir.run(["doctor"].iter().chain(words)).unwrap();
        let ran = ran.code(2).unwrap();
        assert!(ran.stderr.contains(expected), "{words:?}: {}", ran.stderr);
    }
}

#[test]
fn a_hosts_file_says_which_repository_is_where() {
    let scene = scene();
    let (_, repository) = names(&scene);
    lose(&scene.weir);
    let file = scene.weir.path("host.yaml");
    let url = scene.server.url("work");
    let of = |name: &str| {
        format!(
            "version: 1\nrepositories:\n- {{ name: {name}, url: '{url}', targets: {{ default: 'kube:', live: 'dir:live' }} }}\n"
        )
    };
    let run = || {
        let file = file.to_str().unwrap();
        let words = ["doctor", "--recover", "--yes", "--config", file];
        scene.weir.run(words).unwrap()
    };
    fs::write(&file, of("another")).unwrap();
    let said = run().code(0).unwrap().stdout;
    let unbound = format!("{repository} (4)");
    assert!(
        said.contains("does not bind there") && said.contains(&unbound),
        "{said}"
    );
    fs::write(&file, of(&repository)).unwrap();
    let said = run().code(0).unwrap();
    assert!(
        said.stderr.contains("4 objects recovered"),
        "{}",
        said.stderr
    );
    let quiet = scene.synced().unwrap();
    assert!(
        !quiet.contains("pruned") || quiet.contains("0 pruned"),
        "{quiet}"
    );
}

/// A kind that lives in no namespace, which no render defines.
fn define(scene: &Scene<'_>, group: &str) {
    let definition = format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{ name: worlds.{group} }}\n\
         spec:\n  group: {group}\n  scope: Cluster\n  names: {{ kind: World, plural: worlds, singular: world }}\n  \
         versions:\n  - name: v1\n    served: true\n    storage: true\n    \
         schema: {{ openAPIV3Schema: {{ type: object, x-kubernetes-preserve-unknown-fields: true }} }}\n"
    );
    scene.kubectl.apply(&definition).unwrap();
    let crd = format!("crd/worlds.{group}");
    let established = ["wait", "--for=condition=Established", &crd, "--timeout=60s"];
    scene.kubectl.text(&established).unwrap();
}

#[test]
fn an_object_that_lives_in_no_namespace_is_one_object_whatever_its_file_says() {
    let mut scene = scene();
    let group = "recover.example.test";
    define(&scene, group);
    let world = |namespace: &str, value: &str| {
        format!(
            "{{ apiVersion: {group}/v1, kind: World, metadata: {{ name: w{namespace} }}, value: {value} }}\n"
        )
    };
    let uid = |scene: &Scene<'_>| {
        let get = ["get", &format!("worlds.{group}"), "w"];
        let found = scene.kubectl.json(&get).unwrap();
        (found["metadata"]["uid"].clone(), found["value"].clone())
    };
    // The render takes it for one of the app's namespace.
    scene.push("web/world.yaml", &world("", "one")).unwrap();
    scene.synced().unwrap();
    let made = uid(&scene).0;
    // The cluster tells another name than the render: it is no second object.
    lose(&scene.weir);
    recover(&scene, &["--yes"]).code(0).unwrap();
    let said = scene.synced().unwrap();
    assert!(!said.contains("1 pruned"), "{said}");
    assert_eq!(uid(&scene).0, made);
    // Nor is it one when its file names another namespace.
    scene
        .push("web/world.yaml", &world(", namespace: elsewhere", "two"))
        .unwrap();
    scene.synced().unwrap();
    assert_eq!(uid(&scene), (made.clone(), Value::from("two")));
    // Twice in one app, it is refused, and stays as it is.
    let twice = format!(
        "{}---\n{}",
        world("", "three"),
        world(", namespace: elsewhere", "four")
    );
    scene.push("web/world.yaml", &twice).unwrap();
    let said = scene.sync(&[]).unwrap().code(1).unwrap().stderr;
    assert!(said.contains("it is the same object as"), "{said}");
    // One of the two is written, since both cannot be meant; it is never deleted.
    assert_eq!(uid(&scene).0, made);
}
