//! Nobody waits for somebody else: one repository with very many apps, a cluster that never answers, a webhook that hangs, and beside each a commit that is live at once.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use weir_tests::control_plane::{ControlPlane, With};
use weir_tests::deaf::Deaf;
use weir_tests::{Repo, Serving, Weir};

const SOON: Duration = Duration::from_secs(60);
/// Less than any request to a deaf server takes until it is given up, and more than a commit takes on a busy machine.
const NOT_HELD_UP: Duration = Duration::from_secs(25);
/// Apps of the repository that is in the way.
const MANY: usize = 300;

fn map(name: &str, value: &str) -> String {
    format!(
        "---\n{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: {name} }}, data: {{ value: {value} }} }}\n"
    )
}

/// Apps by name, each with its target's name and namespace.
fn manifest<'a>(apps: impl IntoIterator<Item = (String, &'a str, &'a str)>) -> String {
    let mut text = String::from("version: 1\ntargets: { files: {} }\napps:\n");
    for (name, target, namespace) in apps {
        let target = format!("{{ name: {target}, namespace: {namespace} }}");
        writeln!(
            text,
            "- {{ name: {name}, path: {name}.yaml, target: {target} }}"
        )
        .unwrap();
    }
    text
}

fn numbered(n: usize) -> String {
    format!("app-{n:03}")
}

/// One app `web` with one map, in the default target.
fn small() -> Repo {
    let repo = Repo::empty().unwrap();
    repo.write(
        "weir.yaml",
        manifest([("web".to_owned(), "default", "shop")]),
    )
    .unwrap();
    repo
}

fn push(repo: &mut Repo, app: &str, value: &str) {
    repo.write(&format!("{app}.yaml"), map("map", value))
        .unwrap();
    repo.commit(value).unwrap();
}

/// A host that runs so many apps at once, with repositories and what they say of their targets.
fn host(weir: &Weir, parallel: usize, repositories: &[(&str, &Repo, String)]) -> Serving {
    let mut file =
        format!("version: 1\nlisten: 127.0.0.1:0\nparallel: {parallel}\nrepositories:\n");
    for (name, repo, targets) in repositories {
        let url = repo.path();
        writeln!(
            file,
            "- {{ name: {name}, url: {}, interval: 1h, targets: {targets} }}",
            url.display()
        )
        .unwrap();
    }
    let path = weir.path("host.yaml");
    fs::write(&path, file).unwrap();
    weir.start(["serve", "--config", path.to_str().unwrap()])
        .unwrap()
}

fn dir(name: &str) -> String {
    format!("{{ default: \"dir:./{name}\" }}")
}

/// Waits until an app of a repository says that it changed something.
fn synced(host: &mut Serving, repository: &str, app: &str, within: Duration) {
    let what = format!("{app} of {repository} is synced");
    let parts = [
        format!("\"repository\":\"{repository}\""),
        format!("\"app\":\"{app}\""),
        "synced to".to_owned(),
    ];
    host.wait_for(&what, within, |line| {
        parts.iter().all(|part| line.contains(part))
    })
    .unwrap();
}

fn refresh(weir: &Weir, repository: &str) {
    weir.run(["refresh", repository])
        .unwrap()
        .success()
        .unwrap();
}

/// A kubeconfig whose cluster is that deaf.
fn kubeconfig(path: &Path, deaf: &Deaf) {
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "deaf",
        "clusters": [{ "name": "deaf", "cluster": { "server": format!("http://{}", deaf.address()) } }],
        "contexts": [{ "name": "deaf", "context": { "cluster": "deaf", "user": "anybody" } }],
        "users": [{ "name": "anybody", "user": {} }],
    });
    fs::write(path, text.to_string()).unwrap();
}

#[test]
fn a_commit_of_one_repository_is_live_while_another_one_has_hundreds_of_apps_to_sync() {
    let mut many = Repo::empty().unwrap();
    many.write(
        "weir.yaml",
        manifest((0..MANY).map(|n| (numbered(n), "default", "shop"))),
    )
    .unwrap();
    let write = |repo: &Repo, value: &str| {
        for n in 0..MANY {
            repo.write(&format!("{}.yaml", numbered(n)), map(&numbered(n), value))
                .unwrap();
        }
    };
    write(&many, "one");
    many.commit("one").unwrap();
    let mut few = small();
    push(&mut few, "web", "one");
    let weir = Weir::new().unwrap();
    let mut host = host(
        &weir,
        1,
        &[("many", &many, dir("many")), ("few", &few, dir("few"))],
    );
    synced(&mut host, "few", "web", SOON);
    synced(&mut host, "many", &numbered(0), SOON);
    push(&mut few, "web", "two");
    refresh(&weir, "few");
    synced(&mut host, "few", "web", SOON);
    let log = host.stderr();
    let many_done = log
        .lines()
        .filter(|l| l.contains("\"many\"") && l.contains("synced to"))
        .count();
    assert!(
        many_done + 100 < MANY,
        "{many_done} of {MANY} were synced before it"
    );
    let live = fs::read_to_string(weir.path("few/shop/configmap/map.yaml")).unwrap();
    assert!(live.contains("value: two"), "{live}");
}

#[test]
fn a_cluster_that_never_answers_holds_up_no_other_repository_and_no_other_target_of_its_own() {
    let deaf = Deaf::new().unwrap();
    let mut stuck = Repo::empty().unwrap();
    let apps = (0..MANY).map(|n| (numbered(n), "default", "shop"));
    let apps = apps.chain([("side".to_owned(), "files", "shop")]);
    stuck.write("weir.yaml", manifest(apps)).unwrap();
    for n in 0..MANY {
        stuck
            .write(&format!("{}.yaml", numbered(n)), map(&numbered(n), "one"))
            .unwrap();
    }
    push(&mut stuck, "side", "one");
    let mut good = small();
    push(&mut good, "web", "one");
    let mut weir = Weir::new().unwrap();
    let config = weir.path("kubeconfig");
    kubeconfig(&config, &deaf);
    weir.variable("KUBECONFIG", config);
    let targets = "{ default: \"kube:\", files: \"dir:./files\" }".to_owned();
    let mut host = host(
        &weir,
        2,
        &[("stuck", &stuck, targets), ("good", &good, dir("good"))],
    );
    // Both turns are those of apps whose questions nobody answers.
    deaf.wait_for(1, SOON).unwrap();
    push(&mut good, "web", "two");
    refresh(&weir, "good");
    let live = weir.path("good/shop/configmap/map.yaml");
    host.wait_for("the good one is live", NOT_HELD_UP, |line| {
        line.contains("\"good\"") && line.contains("synced to") && is_two(&live)
    })
    .unwrap();
    push(&mut stuck, "side", "two");
    refresh(&weir, "stuck");
    let live = weir.path("files/shop/configmap/map.yaml");
    host.wait_for("the other target is live", NOT_HELD_UP, |line| {
        line.contains("\"side\"") && line.contains("synced to") && is_two(&live)
    })
    .unwrap();
    assert!(
        !host.stderr().contains("no answer within"),
        "{}",
        host.stderr()
    );
}

fn is_two(live: &Path) -> bool {
    fs::read_to_string(live).is_ok_and(|text| text.contains("value: two"))
}

#[test]
fn a_webhook_that_hangs_for_one_namespace_holds_up_no_other_namespace_of_its_cluster() {
    let (plane, deaf) = (
        ControlPlane::start(With::ApiServer).unwrap(),
        Deaf::new().unwrap(),
    );
    let (stuck, good) = (
        plane.namespace("stuck").unwrap(),
        plane.namespace("good").unwrap(),
    );
    let webhook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": "hangs" },
        "webhooks": [{
            "name": "hangs.example.test", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 30, "failurePolicy": "Fail",
            "clientConfig": {
                "url": format!("https://{}/", deaf.address()), "caBundle": STANDARD.encode(plane.authority_pem()),
            },
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"],
            }],
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": stuck } },
        }],
    });
    plane.admin().apply(&webhook.to_string()).unwrap();
    let mut repo = Repo::empty().unwrap();
    let apps = (0..20).map(|n| (numbered(n), "default", &*stuck));
    let apps = apps.chain([("web".to_owned(), "default", &*good)]);
    repo.write("weir.yaml", manifest(apps)).unwrap();
    for n in 0..20 {
        // More than are sent at once.
        let maps: String = (0..40)
            .map(|m| map(&format!("{}-{m}", numbered(n)), "one"))
            .collect();
        repo.write(&format!("{}.yaml", numbered(n)), maps).unwrap();
    }
    push(&mut repo, "web", "one");
    let mut weir = Weir::new().unwrap();
    weir.variable("KUBECONFIG", plane.admin().kubeconfig());
    let mut host = host(
        &weir,
        2,
        &[("shop", &repo, "{ default: \"kube:\" }".to_owned())],
    );
    deaf.wait_for(1, SOON).unwrap();
    push(&mut repo, "web", "two");
    refresh(&weir, "shop");
    let commit = repo.head().unwrap();
    host.wait_for("the other namespace is live", NOT_HELD_UP, |line| {
        let is_there = line.contains("synced to") || line.contains("nothing to change");
        is_there && line.contains("\"web\"") && line.contains(&commit[..7])
    })
    .unwrap();
    let live = plane.admin();
    let live = live
        .json(&["get", "configmap", "map", "--namespace", &good])
        .unwrap();
    assert_eq!(live["data"]["value"], "two");
}
