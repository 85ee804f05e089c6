//! What the commands do beside a plain sync, through the real binary: order, roots, own plugins, host-side manifests,
//! locks, outputs, exit codes.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::path::Path;

use serde_json::Value;
use weir_tests::{Ran, Repo, Weir};

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: one }\n";

fn repository(files: &[(&str, &str)]) -> Repo {
    let mut repo = Repo::empty().unwrap();
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

fn sync(weir: &Weir, repo: &Repo, live: &Path) -> Ran {
    let target = format!("dir:{}", live.display());
    run(weir, repo, "sync", &["--target", &target])
}

fn json(weir: &Weir, arguments: &[&str]) -> Value {
    let text = weir.run(arguments).unwrap().success().unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The apps that records of this kind are about, oldest first.
fn recorded(weir: &Weir, event: &str) -> Vec<String> {
    let history = json(weir, &["history", "-n", "100", "-o", "json"]);
    let records = history[0]["records"].as_array().unwrap();
    let of_kind = records
        .iter()
        .filter(|record| record["event"]["type"] == event);
    let mut apps: Vec<String> = of_kind
        .map(|record| record["app"].as_str().unwrap().to_owned())
        .collect();
    apps.reverse();
    apps
}

const IN_ORDER: &str = "version: 1\napps:\n  - { name: a, path: a, after: [b] }\n  - { name: b, path: b, after: [c] }\n  - { name: c, path: c }\n";

fn map(name: &str) -> String {
    MAP.replace("one", name)
}

#[test]
fn apps_sync_after_those_that_they_name() {
    let repo = repository(&[
        ("weir.yaml", IN_ORDER),
        ("a/a.yaml", &map("a")),
        ("b/b.yaml", &map("b")),
        ("c/c.yaml", &map("c")),
    ]);
    let weir = Weir::new().unwrap();
    sync(&weir, &repo, &weir.path("live")).success().unwrap();
    assert_eq!(recorded(&weir, "synced"), ["c", "b", "a"]);
}

#[test]
fn apps_wait_while_one_that_they_come_after_fails() {
    let mut repo = repository(&[
        ("weir.yaml", IN_ORDER),
        ("a/a.yaml", &map("a")),
        ("b/b.yaml", &map("b")),
        ("c/c.yaml", "kind: ConfigMap\n"),
    ]);
    let weir = Weir::new().unwrap();
    let live = weir.path("live");
    let ran = sync(&weir, &repo, &live).code(1).unwrap();
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("app `c`"), "{said}");
    for app in ["a", "b"] {
        let waits = |line: &&str| {
            line.contains("an app that it comes after is not synced")
                && line.contains(&format!("\"app\":\"{app}\""))
        };
        assert!(said.lines().any(|line| waits(&line)), "{app}: {said}");
    }
    assert_eq!(recorded(&weir, "synced"), Vec::<String>::new());
    assert!(!live.join("default").exists());
    repo.write("c/c.yaml", map("c")).unwrap();
    repo.commit("Mend c").unwrap();
    sync(&weir, &repo, &live).success().unwrap();
    assert_eq!(recorded(&weir, "synced"), ["c", "b", "a"]);
}

#[test]
fn an_app_reads_inside_its_roots_and_roots_without_its_path_are_refused() {
    let manifest =
        |roots: &str| format!("version: 1\napps:\n  - {{ name: a, path: a, roots: [{roots}] }}\n");
    let mut repo = repository(&[("a/a.yaml", MAP), ("b/b.yaml", &map("two"))]);
    repo.write("weir.yaml", manifest("a")).unwrap();
    repo.commit("Inside").unwrap();
    let weir = Weir::new().unwrap();
    let text = run(&weir, &repo, "render", &[]).success().unwrap();
    assert!(text.contains("name: one"), "{text}");
    repo.write("weir.yaml", manifest("b")).unwrap();
    repo.commit("Outside").unwrap();
    let ran = run(&weir, &repo, "render", &[]).code(2).unwrap();
    assert!(ran.stdout.is_empty());
    let said = "weir.yaml:3:32: the path a lies in none of these roots";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
}

/// A component that comes with Weir, to be committed as a repository's own.
fn component(name: &str) -> Vec<u8> {
    let dir = weir_tests::places::plugin_dir().unwrap();
    let index = std::fs::read(dir.join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let digest = index["plugins"][name].as_str().unwrap();
    let file = format!("{}.wasm", digest.trim_start_matches("sha256:"));
    std::fs::read(dir.join(file)).unwrap()
}

#[test]
fn a_plugin_in_the_tree_is_used_as_locked_and_refused_when_it_changed_since() {
    let manifest = "version: 1\nplugins: { own: { source: \"file:plugins/own.wasm\" } }\n\
        apps:\n  - { name: a, path: a, transform: [{ plugin: own, config: { labels: { team: red } } }] }\n";
    let mut repo = repository(&[("weir.yaml", manifest), ("a/a.yaml", MAP)]);
    repo.write("plugins/own.wasm", component("metadata"))
        .unwrap();
    repo.commit("A plugin of our own").unwrap();
    let weir = Weir::new().unwrap();
    let unlocked = run(&weir, &repo, "render", &[]);
    assert_ne!(unlocked.code, Some(0));
    assert!(unlocked.stderr.contains("weir lock"), "{}", unlocked.stderr);
    run(&weir, &repo, "lock", &[]).success().unwrap();
    repo.commit("Lock").unwrap();
    let text = run(&weir, &repo, "render", &[]).success().unwrap();
    assert!(text.contains("team: red"), "{text}");
    let lock = std::fs::read_to_string(repo.path().join("weir.lock")).unwrap();
    repo.write("plugins/own.wasm", component("baseline"))
        .unwrap();
    repo.commit("Another component under its name").unwrap();
    let ran = run(&weir, &repo, "render", &[]);
    assert_ne!(ran.code, Some(0));
    assert!(ran.stdout.is_empty());
    let locked = pin_of_own(&lock);
    run(&weir, &repo, "lock", &["--update"]).success().unwrap();
    let updated = std::fs::read_to_string(repo.path().join("weir.lock")).unwrap();
    let found = pin_of_own(&updated);
    assert_ne!(locked, found);
    for part in ["own", "weir lock", locked, found] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
}

fn pin_of_own(lock: &str) -> &str {
    let own = lock.split("own:").nth(1).unwrap();
    &own[own.find("sha256:").unwrap()..][.."sha256:".len() + 64]
}

#[test]
fn a_pin_that_no_longer_fits_its_file_fails_the_check_and_is_kept_until_update() {
    let manifest = "version: 1\nplugins: { own: { source: \"file:own.wasm\" } }\n\
        apps:\n  - { name: a, path: a, transform: [{ plugin: own }] }\n";
    let repo = repository(&[("weir.yaml", manifest), ("a/a.yaml", MAP)]);
    repo.write("own.wasm", component("metadata")).unwrap();
    let weir = Weir::new().unwrap();
    run(&weir, &repo, "lock", &[]).success().unwrap();
    run(&weir, &repo, "lock", &["--check"]).code(0).unwrap();
    repo.write("own.wasm", component("baseline")).unwrap();
    let ran = run(&weir, &repo, "lock", &["--check"]).code(3).unwrap();
    assert!(
        ran.stdout.contains("plugin own") && ran.stdout.contains("weir lock --update"),
        "{}",
        ran.stdout
    );
    let file = repo.path().join("weir.lock");
    let before = std::fs::read_to_string(&file).unwrap();
    let ran = run(&weir, &repo, "lock", &[]).code(0).unwrap();
    assert!(ran.stderr.contains("weir lock --update"), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    run(&weir, &repo, "lock", &["--update"]).success().unwrap();
    run(&weir, &repo, "lock", &["--check"]).code(0).unwrap();
}

#[test]
fn a_directory_without_a_manifest_is_one_app() {
    let repo = repository(&[
        ("deploy/Web_App/a.yaml", MAP),
        ("other/b.yaml", &map("two")),
    ]);
    let weir = Weir::new().unwrap();
    let text = run(&weir, &repo, "render", &["--path", "deploy/Web_App"])
        .success()
        .unwrap();
    assert!(
        text.contains("name: one") && !text.contains("two"),
        "{text}"
    );
    let ran = run(&weir, &repo, "render", &["--path", "nowhere"])
        .code(2)
        .unwrap();
    assert!(ran.stderr.contains("nowhere"), "{}", ran.stderr);
    let ran = run(&weir, &repo, "render", &[]).code(2).unwrap();
    for part in ["weir.yaml", "--path"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
}

#[test]
fn a_directory_with_nothing_to_render_is_an_error_and_never_an_empty_success() {
    let repo = repository(&[("docs/README.md", "# Nothing here\n")]);
    let weir = Weir::new().unwrap();
    let ran = run(&weir, &repo, "render", &["--path", "docs"])
        .code(1)
        .unwrap();
    assert!(ran.stdout.is_empty() && !ran.stderr.is_empty());
    let live = weir.path("live");
    let target = format!("dir:{}", live.display());
    run(
        &weir,
        &repo,
        "sync",
        &["--path", "docs", "--target", &target],
    )
    .code(1)
    .unwrap();
}

#[test]
fn a_manifest_of_the_hosts_is_used_and_its_errors_name_its_file_as_given() {
    let repo = repository(&[("a/a.yaml", MAP)]);
    let weir = Weir::new().unwrap();
    let file = weir.path("host.yaml");
    let flag = ["--manifest", file.to_str().unwrap()];
    std::fs::write(&file, "version: 1\napps:\n  - { name: web, path: a }\n").unwrap();
    let text = run(&weir, &repo, "render", &flag).success().unwrap();
    assert!(text.contains("name: one"), "{text}");
    std::fs::write(&file, "version: 1\napps:\n  - { name: web, paht: a }\n").unwrap();
    let ran = run(&weir, &repo, "render", &flag).code(2).unwrap();
    let place = format!("{}:3:18: ", file.display());
    assert!(ran.stderr.contains(&place), "{place} in {}", ran.stderr);
    std::fs::remove_file(&file).unwrap();
    let ran = run(&weir, &repo, "render", &flag).code(2).unwrap();
    assert!(
        ran.stderr.contains(file.to_str().unwrap()),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_lock_is_kept_until_update_pins_everything_anew() {
    let manifest = "version: 1\napps:\n  - { name: a, path: a }\n";
    let repo = repository(&[("weir.yaml", manifest), ("a/a.yaml", MAP)]);
    let weir = Weir::new().unwrap();
    run(&weir, &repo, "lock", &[]).success().unwrap();
    run(&weir, &repo, "lock", &["--check"]).code(0).unwrap();
    let file = repo.path().join("weir.lock");
    let lock = std::fs::read_to_string(&file).unwrap();
    let instant = lock
        .split("instant:")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    let old = lock.replace(instant, " \"2020-02-02T02:02:02Z\"");
    std::fs::write(&file, &old).unwrap();
    run(&weir, &repo, "lock", &[]).success().unwrap();
    assert!(
        std::fs::read_to_string(&file)
            .unwrap()
            .contains("2020-02-02")
    );
    run(&weir, &repo, "lock", &["--update"]).success().unwrap();
    let new = std::fs::read_to_string(&file).unwrap();
    assert!(
        !new.contains("2020-02-02") && new.contains("sha256:"),
        "{new}"
    );
}

#[test]
fn what_a_host_knows_is_shown_in_every_form_before_and_after_a_sync() {
    let manifest = "version: 1\napps:\n  - { name: a, path: a }\n";
    let repo = repository(&[("weir.yaml", manifest), ("a/a.yaml", MAP)]);
    let weir = Weir::new().unwrap();
    for command in ["apps", "history"] {
        let ran = weir.run([command]).unwrap().code(2).unwrap();
        assert!(
            ran.stderr.contains("no ledger is there yet"),
            "{}",
            ran.stderr
        );
    }
    weir.run(["doctor"]).unwrap().code(0).unwrap();
    sync(&weir, &repo, &weir.path("live")).success().unwrap();
    for command in ["apps", "history"] {
        let text = weir.run([command]).unwrap().success().unwrap();
        assert!(text.contains('a') && text.lines().count() > 1, "{text}");
        let yaml = weir
            .run([command, "-o", "yaml"])
            .unwrap()
            .success()
            .unwrap();
        assert!(yaml.contains("repository:"), "{yaml}");
        assert!(
            !json(&weir, &[command, "-o", "json"])
                .as_array()
                .unwrap()
                .is_empty()
        );
    }
    let checks = json(&weir, &["doctor", "-o", "json"]);
    let checks = checks.as_array().unwrap();
    assert!(checks.iter().any(|c| c["what"] == "ledger"), "{checks:?}");
    assert!(checks.iter().all(|c| c["ok"] == true), "{checks:?}");
    for shell in ["bash", "zsh", "fish"] {
        let text = weir.run(["completions", shell]).unwrap().success().unwrap();
        assert!(text.contains("weir") && text.contains("refresh"), "{shell}");
    }
}

#[test]
fn each_exit_code_says_how_a_command_ended_and_help_names_them_all() {
    let weir = Weir::new().unwrap();
    let manifest = |apps: &str| format!("version: 1\napps:\n  - {{ name: a, path: a }}\n{apps}");
    let second = "  - { name: b, path: b, target: { namespace: b } }\n";
    let mut repo = repository(&[
        ("weir.yaml", &manifest(second)),
        ("a/a.yaml", MAP),
        ("b/b.yaml", MAP),
    ]);
    let live = weir.path("live");
    sync(&weir, &repo, &live).code(0).unwrap();
    run(&weir, &repo, "lock", &["--check"]).code(3).unwrap();
    repo.write("weir.yaml", manifest("")).unwrap();
    repo.commit("b leaves").unwrap();
    sync(&weir, &repo, &live).code(4).unwrap();
    repo.write("a/a.yaml", "kind: ConfigMap\n").unwrap();
    repo.commit("Not an object").unwrap();
    run(&weir, &repo, "render", &[]).code(1).unwrap();
    weir.run(["render", "--no-such-flag"])
        .unwrap()
        .code(2)
        .unwrap();
    let help = weir.run(["--help"]).unwrap().success().unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "0 done",
        "1 failed",
        "2 wrong usage",
        "3 there are",
        "4 held",
        "lock --check",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
}

#[test]
fn a_sync_says_of_each_app_that_failed_why_also_where_it_failed_so_before() {
    let manifest = "version: 1\napps:\n  - { name: a, path: a }\n  - { name: b, path: b }\n";
    let repo = repository(&[
        ("weir.yaml", manifest),
        ("a/map.yaml", "a: [\n"),
        ("b/map.yaml", "b: [\n"),
    ]);
    let weir = Weir::new().unwrap();
    let live = weir.path("live");
    for time in ["first", "second"] {
        let said = sync(&weir, &repo, &live).code(1).unwrap().stderr;
        for file in ["a/map.yaml", "b/map.yaml"] {
            assert!(
                said.contains(file),
                "the {time} time, {file} is not in {said}"
            );
        }
    }
}
