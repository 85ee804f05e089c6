//! What `weir serve` sees of a cluster by itself: drift at once, health as it changes, nothing that it has to ask for.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::time::Duration;

use serde_json::Value;
use weir_tests::Serving;
use weir_tests::control_plane::{ControlPlane, With, wait};
use weir_tests::scene::{SOON, Scene, map};

/// Longer than the test: nothing is looked at because a poll says so.
const NEVER: &str = "1h";

fn scene() -> Scene<'static> {
    Scene::new(ControlPlane::shared().unwrap(), "watch").unwrap()
}

/// Waits until a map's value is that.
fn becomes(scene: &Scene<'_>, name: &str, value: &str) {
    wait::until(SOON, &format!("{name} is {value}"), || {
        let found = scene.map(name).ok();
        Ok(found.filter(|m| m["data"]["value"] == value))
    })
    .unwrap();
}

fn patch(scene: &Scene<'_>, name: &str, patch: &str) {
    scene
        .edit(&["patch", "configmap", name, "--patch", patch])
        .unwrap();
}

/// What the host's API answers.
fn asked(serving: &Serving, path: &str) -> String {
    let stderr = serving.stderr();
    let line = stderr.lines().find(|l| l.contains("says how apps stand"));
    let address = line.unwrap().split("http://").nth(1).unwrap();
    let address = address.split('/').next().unwrap();
    let (status, body) = weir_tests::weir::http_get(address, path).unwrap();
    assert_eq!(status, 200, "{body}");
    body
}

/// App `web` as the API shows it.
fn shown(serving: &Serving) -> Value {
    let view: Value = serde_json::from_str(&asked(serving, "/api/v1/apps")).unwrap();
    view["repositories"][0]["apps"][0].clone()
}

/// How many looks at apps have ended.
fn looks(serving: &Serving) -> u64 {
    let metrics = asked(serving, "/metrics");
    let lines = metrics
        .lines()
        .filter(|l| l.starts_with("weir_syncs_total"));
    let counts = lines.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok());
    counts.map(|n| n as u64).sum()
}

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: registry.test/web:1 }] }
";

#[test]
fn what_is_edited_by_hand_is_put_back_without_a_poll() {
    let scene = scene();
    let mut serving = scene.serve(NEVER).unwrap();
    patch(&scene, "a", r#"{"data":{"value":"by hand"}}"#);
    serving.wait_for_text("~ ConfigMap", SOON).unwrap();
    becomes(&scene, "a", "one");
    scene.edit(&["delete", "configmap", "b"]).unwrap();
    serving.wait_for_text("+ ConfigMap", SOON).unwrap();
    becomes(&scene, "b", "one");
}

#[test]
fn what_loses_our_label_or_our_name_is_put_back_too() {
    let scene = scene();
    let _serving = scene.serve(NEVER).unwrap();
    for (edit, pointer) in [
        (
            ["label", "configmap", "a", "weir.dev/repository-"],
            "/metadata/labels/weir.dev~1repository",
        ),
        (
            ["annotate", "configmap", "a", "weir.dev/owner-"],
            "/metadata/annotations/weir.dev~1owner",
        ),
    ] {
        scene.edit(&edit).unwrap();
        wait::until(SOON, pointer, || {
            Ok(scene.map("a").unwrap().pointer(pointer).cloned())
        })
        .unwrap();
    }
}

#[test]
fn what_others_do_to_their_own_fields_is_no_drift() {
    let scene = scene();
    let mut serving = scene.serve(NEVER).unwrap();
    patch(&scene, "a", r#"{"data":{"other":"theirs"}}"#);
    patch(&scene, "b", r#"{"data":{"value":"by hand"}}"#);
    // `b` is put back, so what came before it was heard too.
    becomes(&scene, "b", "one");
    assert_eq!(scene.map("a").unwrap()["data"]["other"], "theirs");
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
    let said = serving.stderr();
    let lines = said
        .lines()
        .filter(|l| l.contains(&format!("ConfigMap {}/a", scene.namespace)));
    assert_eq!(lines.count(), 1, "{said}");
}

#[test]
fn polls_of_an_unchanged_commit_ask_the_cluster_nothing() {
    let scene = scene();
    let mut serving = scene.serve("100ms").unwrap();
    let more = |n: u64| {
        let until = looks(&serving) + n;
        let enough = || Ok((looks(&serving) >= until).then_some(()));
        wait::until(SOON, "more looks", enough).unwrap();
    };
    // The looks that the first sync's own events cause are among these.
    more(3);
    let mark = scene.plane.audit().mark().unwrap();
    more(5);
    let asked = scene.plane.audit().since(mark).unwrap();
    let ours: Vec<_> = asked
        .iter()
        .filter(|e| e.user_agent.starts_with("weir/") && e.namespace == scene.namespace)
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn the_api_shows_how_healthy_an_app_is() {
    let mut scene = scene();
    scene.push("web/deployment.yaml", DEPLOYMENT).unwrap();
    let mut serving = scene.serve(NEVER).unwrap();
    let health = wait::until(SOON, "web is healthy", || {
        let health = shown(&serving)["health"].clone();
        Ok((health["state"] == "healthy").then_some(health))
    })
    .unwrap();
    assert_eq!(
        (&health["healthy"], &health["objects"]),
        (&Value::from(3), &Value::from(3))
    );
    // No node has room for this one.
    let stuck = DEPLOYMENT.replace("containers", "nodeSelector: { no: node }, containers");
    scene.push("web/deployment.yaml", &stuck).unwrap();
    scene.weir.run(["refresh"]).unwrap().code(0).unwrap();
    let health = wait::until(SOON, "web is on its way", || {
        let health = shown(&serving)["health"].clone();
        Ok((health["state"] == "progressing").then_some(health))
    })
    .unwrap();
    let message = health["message"].as_str().unwrap();
    assert!(
        message.contains("2 of 3 objects are healthy; Deployment.apps"),
        "{message}"
    );
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn a_sync_that_waits_ends_when_all_is_healthy_or_says_what_is_not() {
    let mut scene = scene();
    scene.push("web/deployment.yaml", DEPLOYMENT).unwrap();
    scene.sync(&["--wait=60s"]).unwrap().code(0).unwrap();
    let available = scene
        .edit(&[
            "get",
            "deployment",
            "web",
            "--output=jsonpath={.status.availableReplicas}",
        ])
        .unwrap();
    assert_eq!(available, "2");
    let stuck = DEPLOYMENT.replace("containers", "nodeSelector: { no: node }, containers");
    scene.push("web/deployment.yaml", &stuck).unwrap();
    let said = scene.sync(&["--wait=1s"]).unwrap().code(1).unwrap().stderr;
    assert!(
        said.contains("app web was synced and is not healthy after 1 s: progressing: 2 of 3"),
        "{said}"
    );
    let failing = stuck.replace("replicas: 2", "replicas: 2\n  progressDeadlineSeconds: 1");
    scene.push("web/deployment.yaml", &failing).unwrap();
    let said = scene.sync(&["--wait=60s"]).unwrap().code(1).unwrap().stderr;
    assert!(
        said.contains("app web was synced and failed: 2 of 3"),
        "{said}"
    );
}

#[test]
fn a_kind_that_may_not_be_watched_is_looked_at_by_each_poll() {
    let mut scene = scene();
    let user = scene.plane.user("watchless", None).unwrap();
    let role = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{ name: writer, namespace: {0} }}\n\
         rules: [{{ apiGroups: [''], resources: [configmaps], verbs: [get, list, create, patch, delete] }}]\n\
         ---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{ name: writer, namespace: {0} }}\n\
         roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: Role, name: writer }}\n\
         subjects: [{{ kind: User, name: watchless, apiGroup: rbac.authorization.k8s.io }}]\n",
        scene.namespace
    );
    scene.kubectl.apply(&role).unwrap();
    let get = ["get", "configmaps", "--namespace", scene.namespace.as_str()];
    wait::until(SOON, "the binding is seen", || {
        Ok(user.run(&get)?.ok.then_some(()))
    })
    .unwrap();
    scene.weir.variable("KUBECONFIG", user.kubeconfig());
    let mut serving = scene.serve("200ms").unwrap();
    patch(&scene, "a", r#"{"data":{"value":"by hand"}}"#);
    becomes(&scene, "a", "one");
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn what_changed_while_the_api_server_was_away_is_seen_when_it_is_back() {
    let plane = ControlPlane::start(With::ApiServer).unwrap();
    let scene = Scene::new(&plane, "away").unwrap();
    let mut serving = scene.serve(NEVER).unwrap();
    patch(&scene, "a", r#"{"data":{"value":"by hand"}}"#);
    becomes(&scene, "a", "one");
    plane.api_server_down().unwrap();
    plane.api_server_up().unwrap();
    patch(&scene, "b", r#"{"data":{"value":"by hand"}}"#);
    becomes(&scene, "b", "one");
    assert_eq!(serving.terminate(Duration::from_secs(30)).unwrap(), Some(0));
}

#[test]
fn a_new_commit_and_its_own_events_write_each_object_once() {
    let mut scene = scene();
    let mut serving = scene.serve(NEVER).unwrap();
    let mark = scene.plane.audit().mark().unwrap();
    scene.push("web/a.yaml", &map("a", "two")).unwrap();
    scene.weir.run(["refresh"]).unwrap().code(0).unwrap();
    becomes(&scene, "a", "two");
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
    let entries = scene.plane.audit().since(mark).unwrap();
    let writes: Vec<_> = entries
        .iter()
        .filter(|e| e.namespace == scene.namespace && e.verb == "patch")
        .map(|e| e.name.as_str())
        .collect();
    assert_eq!(writes, ["a"]);
}

#[test]
fn a_stop_in_the_middle_of_an_apply_finishes_it() {
    let mut scene = scene();
    for n in 0..300 {
        let name = format!("m{n}");
        scene
            .repo
            .write(&format!("web/{name}.yaml"), map(&name, "one"))
            .unwrap();
    }
    scene.repo.commit("many").unwrap();
    let url = scene.server.url("work");
    let words = [
        "serve",
        "--repo",
        &url,
        "--target",
        "kube:",
        "--listen",
        "127.0.0.1:0",
    ];
    let mut serving = scene.weir.start(words).unwrap();
    wait::until(SOON, "the first objects", || {
        Ok((!scene.names()?.is_empty()).then_some(()))
    })
    .unwrap();
    assert_eq!(serving.terminate(Duration::from_secs(30)).unwrap(), Some(0));
    assert_eq!(scene.names().unwrap().len(), 302);
    // What it said to the ledger is all that is there: nothing is left to do.
    let said = scene.synced().unwrap();
    assert!(!said.contains("ConfigMap"), "{said}");
}
