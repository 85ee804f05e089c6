//! What a manifest and a lock ask for, through the real binary: globs, targets, order, pins, refusals.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::path::Path;

use weir_tests::{Ran, Repo, Weir};

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: one }\n";

fn repository(manifest: &str, files: &[(&str, &str)]) -> Repo {
    let mut repo = Repo::empty().unwrap();
    repo.write("weir.yaml", manifest).unwrap();
    for (path, text) in files {
        repo.write(path, text).unwrap();
    }
    repo.commit("Begin").unwrap();
    repo
}

fn run(weir: &Weir, repo: &Repo, command: &str, more: &[&str]) -> Ran {
    let path = repo.path();
    let start = [command, "--repo", path.to_str().unwrap()];
    weir.run(start.iter().chain(more).copied()).unwrap()
}

fn target(name: &str, dir: &Path) -> String {
    format!("{name}=dir:{}", dir.display())
}

#[test]
fn a_glob_gives_an_app_for_each_directory() {
    let manifest = "version: 1\napps:\n  - { each: \"teams/*/apps/*\", name: \"{1}-{2}\", target: { namespace: \"{1}\" } }\n";
    let files = [
        ("teams/red/apps/web/a.yaml", MAP),
        ("teams/blue/apps/api/a.yaml", MAP),
    ];
    let repo = repository(manifest, &files);
    let weir = Weir::new().unwrap();
    let live = weir.path("live");
    run(
        &weir,
        &repo,
        "sync",
        &["--target", &target("default", &live)],
    )
    .success()
    .unwrap();
    assert!(live.join("red/configmap/one.yaml").is_file());
    assert!(live.join("blue/configmap/one.yaml").is_file());
    let apps = weir.run(["apps"]).unwrap().success().unwrap();
    assert!(
        apps.contains("red-web") && apps.contains("blue-api"),
        "{apps}"
    );
}

#[test]
fn one_app_lands_in_several_targets_with_its_differences_in_one_place() {
    let manifest = "version: 1\nplugins: { metadata: { source: \"bundled:metadata\" } }\n\
        targets:\n  staging: { config: { metadata: { labels: { stage: staging } } } }\n  prod: { config: { metadata: { labels: { stage: prod } } } }\n\
        apps:\n  - { name: shop, path: shop, targets: [staging, prod], target: { namespace: shop }, transform: [{ plugin: metadata, config: { labels: { team: red } } }] }\n";
    let repo = repository(manifest, &[("shop/a.yaml", MAP)]);
    let weir = Weir::new().unwrap();
    let (staging, prod) = (weir.path("staging"), weir.path("prod"));
    let both = [
        "--target",
        &target("staging", &staging),
        "--target",
        &target("prod", &prod),
    ];
    run(&weir, &repo, "sync", &both).success().unwrap();
    for (dir, stage) in [(&staging, "stage: staging"), (&prod, "stage: prod")] {
        let text = std::fs::read_to_string(dir.join("shop/configmap/one.yaml")).unwrap();
        assert!(text.contains(stage) && text.contains("team: red"), "{text}");
    }
}

#[test]
fn a_target_that_no_flag_binds_is_said_and_never_passed_over_in_silence() {
    let manifest = "version: 1\ntargets: { prod: {} }\napps:\n  - { name: a, path: a }\n  - { name: b, path: b, target: { name: prod } }\n";
    let repo = repository(manifest, &[("a/a.yaml", MAP), ("b/b.yaml", MAP)]);
    let weir = Weir::new().unwrap();
    let live = weir.path("live");
    let ran = run(
        &weir,
        &repo,
        "sync",
        &["--target", &target("default", &live)],
    )
    .code(0)
    .unwrap();
    assert!(ran.stderr.contains("b (target prod)"), "{}", ran.stderr);
    let other = weir.path("other");
    run(
        &weir,
        &repo,
        "sync",
        &["--target", &target("elsewhere", &other)],
    )
    .code(2)
    .unwrap();
}

#[test]
fn an_app_that_names_another_target_is_held_and_nothing_is_left_behind() {
    let manifest = |target: &str| {
        format!(
            "version: 1\ntargets: {{ red: {{}}, blue: {{}} }}\napps:\n  - {{ name: a, path: a, target: {{ name: {target} }} }}\n"
        )
    };
    let mut repo = repository(&manifest("red"), &[("a/a.yaml", MAP)]);
    let weir = Weir::new().unwrap();
    let (red, blue) = (weir.path("red"), weir.path("blue"));
    let flags = [
        "--target",
        &target("red", &red),
        "--target",
        &target("blue", &blue),
    ];
    run(&weir, &repo, "sync", &flags).success().unwrap();
    repo.write("weir.yaml", manifest("blue")).unwrap();
    repo.commit("Move to blue").unwrap();
    let ran = run(&weir, &repo, "sync", &flags).code(4).unwrap();
    let said = format!("{}{}", ran.stdout, ran.stderr);
    for part in ["app a has 1 objects in target red", "now names target blue"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let file = "default/configmap/one.yaml";
    assert!(red.join(file).is_file() && !blue.join(file).exists());
    repo.write("weir.yaml", manifest("red")).unwrap();
    repo.commit("Back to red").unwrap();
    run(&weir, &repo, "sync", &flags).success().unwrap();
    assert!(red.join(file).is_file());
}

#[test]
fn what_is_wrong_is_refused_at_its_place_with_exit_code_two() {
    let weir = Weir::new().unwrap();
    for (app, place) in [
        ("{ name: a, path: nowhere }", "weir.yaml:3:"),
        ("{ name: A, path: a }", "weir.yaml:3:"),
        ("{ name: a, path: a, after: [b] }", "weir.yaml:3:"),
        ("{ name: a, path: a, after: [a] }", "weir.yaml:3:"),
        ("{ name: a, path: ../a }", "weir.yaml:3:"),
        (
            "{ name: a, path: a, target: { name: prod } }",
            "weir.yaml:3:",
        ),
        (
            "{ name: a, path: a, render: { plugin: nothing } }",
            "weir.yaml:3:",
        ),
        ("{ name: a, path: a, roots: [b] }", "weir.yaml:3:"),
        ("{ name: a, path: a, tagret: {} }", "weir.yaml:3:"),
    ] {
        let manifest = format!("version: 1\napps:\n  - {app}\n");
        let repo = repository(&manifest, &[("a/a.yaml", MAP), ("b/b.yaml", MAP)]);
        let ran = run(&weir, &repo, "render", &[])
            .code(2)
            .unwrap_or_else(|e| panic!("{app}: {e}"));
        assert!(ran.stderr.contains(place), "{app}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{app}");
    }
    let repo = repository("version: 2\napps: []\n", &[]);
    run(&weir, &repo, "render", &[]).code(2).unwrap();
    let twice = "version: 1\napps:\n  - { name: a, path: a }\n  - { name: a, path: a }\n";
    let ran = run(
        &weir,
        &repository(twice, &[("a/a.yaml", MAP)]),
        "render",
        &[],
    )
    .code(2)
    .unwrap();
    assert!(ran.stderr.contains("weir.yaml:4:"), "{}", ran.stderr);
}

#[test]
fn a_lock_pins_every_plugin_implied_ones_too_and_is_kept() {
    let mut repo = repository(
        "version: 1\napps:\n  - { name: a, path: a }\n",
        &[("a/a.yaml", MAP)],
    );
    let weir = Weir::new().unwrap();
    run(&weir, &repo, "lock", &["--check"]).code(3).unwrap();
    run(&weir, &repo, "lock", &[]).success().unwrap();
    let file = repo.path().join("weir.lock");
    let lock = std::fs::read_to_string(&file).unwrap();
    assert!(
        lock.contains("bundled:yaml") && lock.contains("sha256:"),
        "{lock}"
    );
    run(&weir, &repo, "lock", &[]).success().unwrap();
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        lock,
        "the instant is kept, too"
    );
    repo.commit("Lock").unwrap();
    let ran = run(&weir, &repo, "render", &[]).code(0).unwrap();
    assert!(
        !ran.stderr.contains("there is no weir.lock"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_locked_digest_that_the_host_does_not_have_is_never_replaced() {
    let mut repo = repository(
        "version: 1\napps:\n  - { name: a, path: a }\n",
        &[("a/a.yaml", MAP)],
    );
    let weir = Weir::new().unwrap();
    run(&weir, &repo, "lock", &[]).success().unwrap();
    let file = repo.path().join("weir.lock");
    let lock = std::fs::read_to_string(&file).unwrap();
    let at = lock.find("sha256:").unwrap() + "sha256:".len();
    let other = format!("{}{}{}", &lock[..at], "0".repeat(64), &lock[at + 64..]);
    std::fs::write(&file, other).unwrap();
    repo.commit("A plugin that nobody has").unwrap();
    let ran = run(&weir, &repo, "render", &[]).code(1).unwrap();
    assert!(
        ran.stderr.contains("weir.lock pins") && ran.stdout.is_empty(),
        "{}",
        ran.stderr
    );
    repo.write("weir.lock", "version: 1\nplugins: {}\ntargets: {}\n")
        .unwrap();
    repo.commit("A lock without the plugin").unwrap();
    let ran = run(&weir, &repo, "render", &[]).code(1).unwrap();
    assert!(
        ran.stderr.contains("weir.lock") && ran.stderr.contains("weir lock"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_object_that_moves_to_another_app_is_taken_and_never_gone() {
    let manifest = "version: 1\napps:\n  - { name: a, path: a, target: { namespace: ns } }\n  - { name: b, path: b, target: { namespace: ns } }\n";
    let two = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: two }\n";
    let three = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: three }\n";
    let mut repo = repository(
        manifest,
        &[
            ("a/one.yaml", MAP),
            ("a/two.yaml", two),
            ("b/three.yaml", three),
        ],
    );
    let weir = Weir::new().unwrap();
    let live = weir.path("live");
    let bound = target("default", &live);
    run(&weir, &repo, "sync", &["--target", &bound])
        .success()
        .unwrap();
    let file = live.join("ns/configmap/two.yaml");
    let before = std::fs::metadata(&file).unwrap().modified().unwrap();
    repo.rename("a/two.yaml", "b/two.yaml").unwrap();
    repo.commit("Move two from a to b").unwrap();
    run(&weir, &repo, "sync", &["--target", &bound])
        .success()
        .unwrap();
    assert_eq!(
        std::fs::metadata(&file).unwrap().modified().unwrap(),
        before,
        "the file was not touched"
    );
    repo.remove("b/two.yaml").unwrap();
    repo.commit("Take it away").unwrap();
    run(&weir, &repo, "sync", &["--target", &bound])
        .success()
        .unwrap();
    assert!(!file.exists(), "b owns it now, so b prunes it");
}

#[test]
fn an_app_that_leaves_is_held_and_one_that_said_prune_is_pruned() {
    let both = |remove: &str| {
        format!(
            "version: 1\napps:\n  - {{ name: a, path: a, target: {{ namespace: a }} }}\n  - {{ name: b, path: b, remove: {remove}, target: {{ namespace: b }} }}\n"
        )
    };
    for (remove, code, stays) in [("hold", 4, true), ("prune", 0, false)] {
        let mut repo = repository(&both(remove), &[("a/a.yaml", MAP), ("b/b.yaml", MAP)]);
        let weir = Weir::new().unwrap();
        let live = weir.path("live");
        let bound = target("default", &live);
        run(&weir, &repo, "sync", &["--target", &bound])
            .success()
            .unwrap();
        repo.write(
            "weir.yaml",
            "version: 1\napps:\n  - { name: a, path: a, target: { namespace: a } }\n",
        )
        .unwrap();
        repo.commit("b leaves").unwrap();
        run(&weir, &repo, "sync", &["--target", &bound])
            .code(code)
            .unwrap();
        assert_eq!(
            live.join("b/configmap/one.yaml").exists(),
            stays,
            "{remove}"
        );
        assert!(live.join("a/configmap/one.yaml").exists());
    }
}
