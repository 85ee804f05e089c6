//! Hooks on a real cluster: Jobs and Pods before and after an app's own objects, once for each output, whatever is killed.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use serde_json::Value;
use weir_tests::control_plane::{AuditEntry, ControlPlane, Mark, wait};
use weir_tests::scene::{SOON, Scene, map};
use weir_tests::{Repo, Serving, Weir};

/// Longer than the test: nothing is looked at because a poll says so.
const NEVER: &str = "1h";
const OPEN: &str = "terminationGracePeriodSeconds: 1";

/// App `web` has the map `a` and nothing else yet.
fn scene() -> Scene<'static> {
    let mut scene = Scene::new(ControlPlane::shared().unwrap(), "hooks").unwrap();
    scene.repo.remove("web/b.yaml").unwrap();
    scene.repo.commit("one map").unwrap();
    scene
}

/// A Job as the Helm plugin gives a chart's hook.
fn job(name: &str, hook: &str, policy: &str, spec: &str, pod: &str) -> String {
    let wave = if hook == "pre" { "-1" } else { "1" };
    let policy = match policy {
        "" => String::new(),
        words => format!(", weir.dev/hook-delete-policy: '{words}'"),
    };
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  \
         annotations: {{ weir.dev/hook: {hook}, weir.dev/wave: '{wave}', weir.dev/hook-weight: '0'{policy} }}\n\
         spec:\n  backoffLimit: 0\n  {spec}\n  template:\n    \
         spec: {{ restartPolicy: Never, {pod}, containers: [{{ name: run, image: 'registry.test/run:1' }}] }}\n"
    )
}

/// Runs where the gate is open.
fn gate(scene: &Scene<'_>) -> String {
    format!("nodeSelector: {{ gate-{}: open }}", scene.namespace)
}

fn open_the_gate(scene: &Scene<'_>) {
    let label = format!("gate-{}=open", scene.namespace);
    scene
        .kubectl
        .text(&["label", "node", "fake", &label])
        .unwrap();
}

fn start(scene: &Scene<'_>, command: &str) -> Serving {
    let url = scene.server.url("work");
    let mut words = vec![command, "--repo", &url, "--target", "kube:"];
    if command == "serve" {
        words.extend(["--interval", NEVER, "--listen", "127.0.0.1:0"]);
    }
    scene.weir.start(words).unwrap()
}

fn uid(scene: &Scene<'_>, kind: &str, name: &str) -> Option<String> {
    let words = ["get", kind, name, "--output=jsonpath={.metadata.uid}"];
    scene.edit(&words).ok()
}

/// What Weir wrote in the scene's namespace since.
fn writes(scene: &Scene<'_>, mark: Mark) -> Vec<AuditEntry> {
    let mut entries = scene.plane.audit().since(mark).unwrap();
    entries.retain(|e| {
        e.user_agent.starts_with("weir/")
            && e.namespace == scene.namespace
            && ["create", "patch", "delete"].contains(&e.verb.as_str())
            && !e.uri.contains("dryRun")
    });
    entries
}

fn made(scene: &Scene<'_>, mark: Mark) -> usize {
    let writes = writes(scene, mark);
    writes.iter().filter(|e| e.verb == "create").count()
}

fn records(scene: &Scene<'_>) -> Vec<Value> {
    let text = scene
        .weir
        .run(["history", "web", "-n", "100", "-o", "json"])
        .unwrap();
    let all: Value = serde_json::from_str(&text.success().unwrap()).unwrap();
    all[0]["records"].as_array().unwrap().clone()
}

/// What `weir diff --live` shows.
fn differences(scene: &Scene<'_>) -> String {
    let url = scene.server.url("work");
    let words = ["diff", "--live", "--repo", &url, "--target", "kube:"];
    scene.weir.run(words).unwrap().success().unwrap()
}

/// How many objects the ledger says that the app has.
fn held(scene: &Scene<'_>) -> Value {
    let text = scene.weir.run(["apps", "-o", "json"]).unwrap();
    let all: Value = serde_json::from_str(&text.success().unwrap()).unwrap();
    all[0]["apps"][0]["objects"].clone()
}

#[test]
fn a_pre_hook_runs_before_the_apps_own_objects_a_post_hook_after_and_each_once_for_an_output() {
    let mut scene = scene();
    let mark = scene.plane.audit().mark().unwrap();
    let used = map("used", "one").replace(
        "name: used",
        "name: used, annotations: { weir.dev/hook: pre, weir.dev/wave: '-1' }",
    );
    scene.repo.write("web/used.yaml", used).unwrap();
    scene
        .repo
        .write("web/post.yaml", job("notify", "post", "", "", OPEN))
        .unwrap();
    let pre = job("migrate", "pre", "", "", &gate(&scene));
    scene.push("web/pre.yaml", &pre).unwrap();
    assert!(differences(&scene).contains("created Job.batch"));
    let mut sync = start(&scene, "sync");
    sync.wait_for_text("migrate started (pre)", SOON).unwrap();
    assert!(scene.map("used").is_ok(), "what the hook uses is there");
    assert!(scene.map("a").is_err(), "the app's own comes after it");
    assert_eq!(uid(&scene, "job", "notify"), None);
    open_the_gate(&scene);
    assert_eq!(sync.wait(SOON).unwrap(), Some(0), "{}", sync.transcript());
    let writes_of = |mark| {
        let writes = writes(&scene, mark).into_iter();
        writes
            .map(|e| format!("{} {}", e.verb, e.name))
            .collect::<Vec<_>>()
    };
    let first = writes_of(mark);
    let place = |what: &str| first.iter().position(|w| w.starts_with(what)).unwrap();
    assert!(place("patch used") < place("patch a"), "{first:?}");
    let creates: Vec<_> = (0..first.len())
        .filter(|n| first[*n].starts_with("create"))
        .collect();
    assert_eq!(creates.len(), 2, "{first:?}");
    assert!(
        creates[0] < place("patch a") && place("patch a") < creates[1],
        "{first:?}"
    );
    assert_eq!(
        held(&scene),
        4,
        "hooks are in the inventory while they are there"
    );

    let (kept, mark) = (records(&scene).len(), scene.plane.audit().mark().unwrap());
    scene.synced().unwrap();
    assert_eq!(writes_of(mark), Vec::<String>::new());
    assert_eq!(records(&scene).len(), kept);

    let nothing = "0 created, 0 updated, 0 pruned\n";
    assert_eq!(differences(&scene), nothing, "what ran is no difference");
    let jobs =
        |scene: &Scene<'_>| ["migrate", "notify"].map(|name| uid(scene, "job", name).unwrap());
    let before = jobs(&scene);
    scene.push("web/a.yaml", &map("a", "two")).unwrap();
    scene.synced().unwrap();
    let after = jobs(&scene);
    assert!(
        before[0] != after[0] && before[1] != after[1],
        "{before:?} {after:?}"
    );
    let shown = scene
        .weir
        .run(["history", "web"])
        .unwrap()
        .success()
        .unwrap();
    assert!(shown.contains("notify (post): succeeded"), "{shown}");
}

#[test]
fn killed_at_any_step_a_hook_is_found_again_by_its_uid_and_made_once() {
    for step in ["hook-staked", "hook-made", "hook-started", "hook-ended"] {
        let mut scene = scene();
        let mark = scene.plane.audit().mark().unwrap();
        let pre = job("migrate", "pre", "", "", OPEN);
        scene.push("web/pre.yaml", &pre).unwrap();
        scene.weir.variable("FAILPOINTS", format!("{step}=return"));
        let killed = scene.sync(&[]).unwrap();
        assert_eq!(killed.code, None, "{step}: {}", killed.stderr);
        assert!(scene.map("a").is_err(), "{step}");
        scene.weir.without_variable("FAILPOINTS");
        scene.synced().unwrap();
        assert!(scene.map("a").is_ok(), "{step}");
        assert_eq!(made(&scene, mark), 1, "{step}");
    }
}

#[test]
fn a_hook_that_runs_when_the_host_is_killed_is_waited_for_by_the_next_one() {
    let mut scene = scene();
    let pre = job("migrate", "pre", "", "", &gate(&scene));
    scene.push("web/pre.yaml", &pre).unwrap();
    let mut serving = start(&scene, "serve");
    serving.wait_for_text("migrate started", SOON).unwrap();
    let before = uid(&scene, "job", "migrate").unwrap();
    serving.kill().unwrap();
    let mut again = start(&scene, "serve");
    again.wait_for_text("which runs already", SOON).unwrap();
    // A stop does not wait for it either.
    assert_eq!(again.terminate(SOON).unwrap(), Some(0));
    let mut sync = start(&scene, "sync");
    sync.wait_for_text("which runs already", SOON).unwrap();
    open_the_gate(&scene);
    assert_eq!(sync.wait(SOON).unwrap(), Some(0), "{}", sync.transcript());
    assert_eq!(uid(&scene, "job", "migrate"), Some(before));
    assert!(scene.map("a").is_ok());
}

#[test]
fn a_pre_hook_that_fails_stops_the_app_and_is_not_run_again_until_the_app_changes() {
    let mut scene = scene();
    scene.push("web/old.yaml", &map("old", "one")).unwrap();
    scene.synced().unwrap();
    let mark = scene.plane.audit().mark().unwrap();
    scene.repo.remove("web/old.yaml").unwrap();
    scene.repo.write("web/a.yaml", map("a", "two")).unwrap();
    let pre = job(
        "migrate",
        "pre",
        "",
        "activeDeadlineSeconds: 1",
        &gate(&scene),
    );
    scene.push("web/pre.yaml", &pre).unwrap();
    let said = scene.sync(&[]).unwrap().code(1).unwrap().stderr;
    let namespace = &scene.namespace;
    for text in [
        &format!("hook Job.batch {namespace}/migrate (pre) failed"),
        "DeadlineExceeded",
        &format!("kubectl logs -n {namespace} job/migrate"),
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
    assert_eq!(scene.map("a").unwrap()["data"]["value"], "one");
    assert!(scene.map("old").is_ok(), "nothing is pruned");

    let kept = records(&scene).len();
    for _ in 0..2 {
        let again = scene.sync(&[]).unwrap().code(1).unwrap().stderr;
        assert!(again.contains("(pre) failed"), "{again}");
    }
    assert_eq!(made(&scene, mark), 1);
    assert_eq!(records(&scene).len(), kept, "it is said once");

    scene
        .push("web/pre.yaml", &job("migrate", "pre", "", "", OPEN))
        .unwrap();
    scene.synced().unwrap();
    assert_eq!(scene.map("a").unwrap()["data"]["value"], "two");
    assert!(scene.map("old").is_err());
}

#[test]
fn a_post_hook_that_fails_leaves_the_apps_objects_and_prunes_nothing() {
    let mut scene = scene();
    scene.push("web/old.yaml", &map("old", "one")).unwrap();
    scene.synced().unwrap();
    scene.repo.remove("web/old.yaml").unwrap();
    scene.repo.write("web/a.yaml", map("a", "two")).unwrap();
    let post = job(
        "notify",
        "post",
        "",
        "activeDeadlineSeconds: 1",
        &gate(&scene),
    );
    scene.push("web/post.yaml", &post).unwrap();
    scene.sync(&[]).unwrap().code(1).unwrap();
    assert_eq!(scene.map("a").unwrap()["data"]["value"], "two");
    assert!(scene.map("old").is_ok());
    let (kept, mark) = (records(&scene).len(), scene.plane.audit().mark().unwrap());
    let again = scene.sync(&[]).unwrap().code(1).unwrap().stderr;
    assert!(again.contains("(post) failed"), "{again}");
    assert_eq!(records(&scene).len(), kept, "it is said once");
    assert!(writes(&scene, mark).is_empty());
    // What is edited by hand is put back all the same.
    let by_hand = r#"{"data":{"value":"by hand"}}"#;
    scene
        .edit(&["patch", "configmap", "a", "--patch", by_hand])
        .unwrap();
    scene.sync(&[]).unwrap().code(1).unwrap();
    assert_eq!(scene.map("a").unwrap()["data"]["value"], "two");
    scene
        .push("web/post.yaml", &job("notify", "post", "", "", OPEN))
        .unwrap();
    scene.synced().unwrap();
    assert!(scene.map("old").is_err());
}

#[test]
fn a_hook_goes_as_its_policy_says_and_does_not_run_again_because_it_is_gone() {
    let mut scene = scene();
    let mark = scene.plane.audit().mark().unwrap();
    let policy = "before-hook-creation,hook-succeeded";
    scene
        .push("web/pre.yaml", &job("migrate", "pre", policy, "", OPEN))
        .unwrap();
    scene.synced().unwrap();
    assert_eq!(uid(&scene, "job", "migrate"), None);
    assert_eq!(held(&scene), 1);
    let kept = records(&scene).len();
    scene.synced().unwrap();
    assert_eq!((made(&scene, mark), records(&scene).len()), (1, kept));

    let failing = |policy: &str| {
        job(
            "migrate",
            "pre",
            policy,
            "activeDeadlineSeconds: 1",
            &gate(&scene),
        )
    };
    let (goes, stays) = (failing("hook-failed"), failing("hook-succeeded"));
    scene.push("web/pre.yaml", &goes).unwrap();
    scene.sync(&[]).unwrap().code(1).unwrap();
    assert_eq!(uid(&scene, "job", "migrate"), None);
    scene.push("web/pre.yaml", &stays).unwrap();
    scene.sync(&[]).unwrap().code(1).unwrap();
    let there = uid(&scene, "job", "migrate");
    assert!(there.is_some());
    // Nothing says that the one of an earlier run may go.
    scene.push("web/a.yaml", &map("a", "two")).unwrap();
    let said = scene.sync(&[]).unwrap().code(1).unwrap().stderr;
    assert!(said.contains("does not say before-hook-creation"), "{said}");
    assert_eq!(uid(&scene, "job", "migrate"), there);
}

#[test]
fn a_hook_that_leaves_git_is_pruned() {
    let mut scene = scene();
    scene
        .push("web/post.yaml", &job("notify", "post", "", "", OPEN))
        .unwrap();
    scene.synced().unwrap();
    assert!(uid(&scene, "job", "notify").is_some());
    scene.repo.remove("web/post.yaml").unwrap();
    scene.repo.commit("no hook").unwrap();
    scene.synced().unwrap();
    assert_eq!(uid(&scene, "job", "notify"), None);
    assert_eq!(held(&scene), 1);
}

#[test]
fn a_pod_is_a_hook_too() {
    let mut scene = scene();
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: { name: check, annotations: { weir.dev/hook: pre } }\n\
        spec: { restartPolicy: Never, containers: [{ name: run, image: 'registry.test/run:1' }] }\n";
    scene.push("web/pre.yaml", pod).unwrap();
    let mut sync = start(&scene, "sync");
    sync.wait_for_text("check started (pre)", SOON).unwrap();
    wait::until(SOON, "it runs", || {
        let phase = scene.edit(&["get", "pod", "check", "--output=jsonpath={.status.phase}"]);
        Ok((phase? == "Running").then_some(()))
    })
    .unwrap();
    assert!(scene.map("a").is_err(), "a pod that runs has not ended");
    let ended = r#"{"status":{"phase":"Succeeded"}}"#;
    scene
        .edit(&[
            "patch",
            "pod",
            "check",
            "--subresource=status",
            "--patch",
            ended,
        ])
        .unwrap();
    assert_eq!(sync.wait(SOON).unwrap(), Some(0), "{}", sync.transcript());
    assert!(scene.map("a").is_ok());
}

#[test]
fn a_host_that_stays_does_not_run_a_hook_again_whose_job_went_by_itself() {
    let mut scene = scene();
    let mark = scene.plane.audit().mark().unwrap();
    let post = job("notify", "post", "", "ttlSecondsAfterFinished: 4", OPEN);
    scene.push("web/post.yaml", &post).unwrap();
    let mut serving = start(&scene, "serve");
    serving.wait_for_text("notify succeeded", SOON).unwrap();
    wait::until(SOON, "the ledger knows that it is gone", || {
        let gone = records(&scene)
            .iter()
            .any(|r| r["event"]["progress"] == "gone");
        Ok(gone.then_some(()))
    })
    .unwrap();
    assert_eq!((made(&scene, mark), held(&scene)), (1, Value::from(1)));
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
    scene.synced().unwrap();
    assert_eq!(made(&scene, mark), 1);
}

#[test]
fn a_newer_commit_ends_the_wait_for_a_hook() {
    let mut scene = scene();
    let pre = job("migrate", "pre", "", "", &gate(&scene));
    scene.push("web/pre.yaml", &pre).unwrap();
    let mut serving = start(&scene, "serve");
    serving.wait_for_text("migrate started", SOON).unwrap();
    let before = uid(&scene, "job", "migrate");
    scene
        .push("web/pre.yaml", &job("migrate", "pre", "", "", OPEN))
        .unwrap();
    scene.weir.run(["refresh"]).unwrap().code(0).unwrap();
    wait::until(SOON, "the map is there", || Ok(scene.map("a").ok())).unwrap();
    assert_ne!(uid(&scene, "job", "migrate"), before);
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn what_somebody_else_made_is_no_hook_of_ours() {
    let mut scene = scene();
    let theirs = "{ apiVersion: v1, kind: Pod, metadata: { name: check }, spec: { restartPolicy: Never, containers: [{ name: c, image: 'registry.test/c:1' }] } }";
    let words = [
        "create",
        "--namespace",
        scene.namespace.as_str(),
        "--filename=-",
    ];
    assert!(scene.kubectl.run_with(&words, theirs).unwrap().ok);
    let before = uid(&scene, "pod", "check");
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: { name: check, annotations: { weir.dev/hook: pre } }\n\
        spec: { restartPolicy: Never, containers: [{ name: run, image: 'registry.test/run:1' }] }\n";
    scene.push("web/pre.yaml", pod).unwrap();
    let said = scene.sync(&[]).unwrap().code(1).unwrap().stderr;
    assert!(
        said.contains("something is already there that Weir did not make"),
        "{said}"
    );
    assert_eq!(uid(&scene, "pod", "check"), before);
    assert!(scene.map("a").is_err());
}

#[test]
fn in_a_directory_a_hook_is_a_file_like_all_others() {
    let mut repo = Repo::empty().unwrap();
    let manifest = "version: 1\napps: [{ name: web, path: web, target: { namespace: shop } }]\n";
    repo.write("weir.yaml", manifest).unwrap();
    repo.write("web/pre.yaml", job("migrate", "pre", "", "", OPEN))
        .unwrap();
    repo.write("web/a.yaml", map("a", "one")).unwrap();
    repo.commit("first").unwrap();
    let weir = Weir::new().unwrap();
    let (path, live) = (repo.path(), weir.path("live"));
    let target = format!("dir:{}", live.display());
    let words = [
        "sync",
        "--repo",
        path.to_str().unwrap(),
        "--target",
        &target,
    ];
    weir.run(words).unwrap().success().unwrap();
    assert!(live.join("shop/job.batch/migrate.yaml").is_file());
    assert!(live.join("shop/configmap/a.yaml").is_file());
}

#[test]
fn a_hook_moves_with_the_other_objects_of_an_app_that_is_renamed() {
    let mut scene = scene();
    let post = job("notify", "post", "", "", OPEN);
    scene.push("web/post.yaml", &post).unwrap();
    scene.synced().unwrap();
    let before = uid(&scene, "job", "notify").unwrap();
    let manifest = format!(
        "version: 1\napps: [{{ name: shop, path: web, target: {{ namespace: {} }} }}]\n",
        scene.namespace
    );
    scene.push("weir.yaml", &manifest).unwrap();
    scene.synced().unwrap();
    // Another app runs it anew.
    assert_ne!(uid(&scene, "job", "notify").unwrap(), before);
    let text = scene.weir.run(["apps", "-o", "json"]).unwrap();
    let all: Value = serde_json::from_str(&text.success().unwrap()).unwrap();
    let apps = all[0]["apps"].as_array().unwrap();
    assert_eq!(
        (apps.len(), &apps[0]["objects"]),
        (1, &Value::from(2)),
        "{apps:?}"
    );
    scene.synced().unwrap();
}
