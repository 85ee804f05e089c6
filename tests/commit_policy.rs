//! Which commits a host follows: real signatures, pushes with force and protected paths, through the real binary over http.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use weir_tests::signing::Signers;
use weir_tests::weir::http_get;
use weir_tests::{GitServer, Ran, Repo, Serving, Weir, tree_digest};

#[path = "commit_policy/scene.rs"]
mod scene;
use scene::{SOON, Scene};

#[path = "commit_policy/in_repository.rs"]
mod in_repository;

#[test]
fn a_signed_commit_lands_and_the_records_say_whose_it_is() {
    let mut scene = Scene::new();
    let commit = scene.by("ann", "one");
    let mut host = scene.serve(&["--allowed-signers", "ann"]);
    host.lands(&commit, "one");
    host.serving
        .wait_for_text("is signed by ann@e (SHA256:", SOON)
        .unwrap();
    let history = scene.says(&["history"]);
    assert!(history.contains("signed by ann@e (SHA256:"), "{history}");
    let trace = scene.says(&["trace", "configmap/shop"]);
    assert!(
        trace.contains("signed by") && trace.contains("ann@e (SHA256:"),
        "{trace}"
    );
    let export = scene.says(&["audit", "export"]);
    let lines: Vec<Value> = export
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let commits: Vec<&Value> = lines
        .iter()
        .filter(|l| l["event"]["type"] == "commit")
        .collect();
    assert_eq!(commits[0]["event"]["signer"]["name"], "ann@e");
    assert_eq!(
        commits[0]["event"]["author"],
        "Ada Writer <ada@example.test>"
    );
    let synced = lines
        .iter()
        .find(|l| l["event"]["type"] == "synced")
        .unwrap();
    assert_eq!(synced["of"]["signer"]["name"], "ann@e");
    scene.says(&["audit", "verify"]);
    host.stops();
}

#[test]
fn what_nobody_signed_who_is_listed_is_held_and_mended_by_a_good_commit() {
    let mut scene = Scene::new();
    scene.signers.ssh_key("mallory").unwrap();
    let first = scene.by("ann", "one");
    let mut host = scene.serve(&["--allowed-signers", "ann"]);
    host.lands(&first, "one");
    let mut good = first;
    for (n, (what, words)) in [
        ("unsigned", "it is not signed"),
        ("mallory", "which is not among the keys that may sign"),
        ("tampered", "the commit was changed after it was signed"),
        ("moved", "the signature was taken from another one"),
    ]
    .into_iter()
    .enumerate()
    {
        let bad = match what {
            "unsigned" => scene.unsigned("bad"),
            "mallory" => scene.by("mallory", "bad"),
            "tampered" => {
                // What Ann signed, with another author and another parent.
                let text = scene.repo.git(["cat-file", "commit", &good]).unwrap();
                let text = text.replace(
                    "Ada Writer <ada@example.test> 1",
                    "Eve <eve@example.test> 1",
                );
                let parent = scene.repo.git(["rev-parse", &format!("{good}^")]).unwrap();
                let text = text.replace(&format!("parent {parent}"), &format!("parent {good}"));
                scene
                    .repo
                    .raw_commit(format!("{text}\n").as_bytes())
                    .unwrap()
            }
            _ => {
                // Ann's signature of the commit that is live, in one of somebody else.
                let good = scene.repo.git(["cat-file", "commit", &good]).unwrap();
                let signature = good.find("gpgsig ").unwrap()..good.find("\n\n").unwrap();
                scene.unsigned("bad");
                let text = scene.repo.git(["cat-file", "commit", "HEAD"]).unwrap();
                let (head, message) = text.split_once("\n\n").unwrap();
                let text = format!("{head}\n{}\n\n{message}\n", &good[signature]);
                scene.repo.raw_commit(text.as_bytes()).unwrap()
            }
        };
        host.holds(&scene, &bad, words);
        let value = format!("good {n}");
        // On top of what was refused: it stays in the history, and only the head is asked.
        good = scene.by("ann", &value);
        host.lands(&good, &value);
        host.is_well();
    }
    host.stops();
}

#[test]
fn people_and_programs_are_told_which_commit_is_refused_and_why() {
    let mut scene = Scene::new();
    let first = scene.by("ann", "one");
    let mut host = scene.serve(&["--allowed-signers", "ann"]);
    host.lands(&first, "one");
    let bad = scene.unsigned("bad");
    host.holds(&scene, &bad, "it is not signed");
    let (short, stays) = (
        &bad[..10],
        format!("the last accepted commit {} stays", &first[..10]),
    );
    let view = host.view();
    let repository = &view["repositories"][0];
    assert_eq!(repository["commit"], *first);
    assert_eq!(repository["refused"]["commit"], *bad);
    assert_eq!(repository["refused"]["kind"], "unsigned");
    assert_eq!(repository["fault"], "repository");
    let (status, metrics) = http_get(&host.address, "/metrics").unwrap();
    assert_eq!(status, 200);
    let refused = |line: &&str| line.starts_with("weir_fetches_total") && line.contains("refused");
    assert!(metrics.lines().any(|line| refused(&line)), "{metrics}");
    let gauge = metrics
        .lines()
        .find(|l| l.starts_with("weir_commit_refused"));
    assert!(gauge.is_some_and(|line| line.ends_with(" 1")), "{gauge:?}");
    let apps = scene.says(&["apps"]);
    for words in [short, "it is not signed", "git commit -S", &stays] {
        assert!(apps.contains(words), "{words}: {apps}");
    }
    let apps: Value = serde_json::from_str(&scene.says(&["apps", "-o", "json"])).unwrap();
    assert_eq!(apps[0]["refused"]["commit"], *bad);
    assert_eq!(apps[0]["trusted"]["signer"]["name"], "ann@e");
    let history = scene.says(&["history"]);
    assert!(
        history.contains("refused") && history.contains("it is not signed"),
        "{history}"
    );
    let asked = scene.weir.run(["refresh"]).unwrap().code(1).unwrap();
    assert!(
        asked.stderr.contains(short) && asked.stderr.contains(&stays),
        "{}",
        asked.stderr
    );
    // However often it is asked, one record says it.
    let export = scene.says(&["audit", "export"]);
    let records = export
        .lines()
        .filter(|line| line.contains("\"type\":\"refused\""));
    assert_eq!(records.count(), 1, "{export}");
    let (status, _) = http_get(&host.address, "/readyz").unwrap();
    assert_eq!(status, 200);
    host.stops();
}

#[test]
fn a_refused_commit_stays_refused_after_a_restart_and_what_was_good_is_put_back() {
    let mut scene = Scene::new();
    let first = scene.by("ann", "one");
    let host = scene.serve_until_live(&["--allowed-signers", "ann"], &first, "one");
    host.stops();
    let bad = scene.unsigned("bad");
    for lost in [false, true] {
        if lost {
            fs::remove_dir_all(scene.weir.cache_dir().join("git")).unwrap();
        }
        // What somebody changes meanwhile is as the last good commit says again.
        let file = scene.weir.path("live/a/configmap/shop.yaml");
        fs::remove_file(&file).unwrap();
        let mut host = scene.serve(&["--allowed-signers", "ann"]);
        host.serving
            .wait_for_text(&format!("commit {} is refused", &bad[..10]), SOON)
            .unwrap();
        host.until("the file is back", |_| file.exists());
        host.good = (
            tree_digest(&scene.weir.path("live")).unwrap(),
            first.clone(),
        );
        host.says(&first, Some("it is not signed"));
        host.stops();
    }
    let mut host = scene.serve(&["--allowed-signers", "ann"]);
    let good = scene.by("ann", "two");
    host.lands(&good, "two");
    host.stops();
}

#[test]
fn a_push_with_force_is_refused_where_only_what_comes_after_is_followed() {
    let mut scene = Scene::new();
    let first = scene.by("ann", "one");
    let flags = ["--allowed-signers", "ann", "--fast-forward-only"];
    let mut host = scene.serve(&flags);
    host.lands(&first, "one");
    let second = scene.by("ann", "two");
    host.lands(&second, "two");
    // An older commit, signed well: a replay.
    scene.repo.reset(&first).unwrap();
    host.holds(
        &scene,
        &first,
        &format!("it is an older commit than {}", &second[..10]),
    );
    // Another one beside.
    let aside = scene.by("ann", "aside");
    host.holds(
        &scene,
        &aside,
        "history was rewritten: it does not come after",
    );
    host.stops();
    // The cache is lost, and nothing but the server has the last good one: it is brought by its id.
    fs::remove_dir_all(scene.weir.cache_dir().join("git")).unwrap();
    let file = scene.weir.path("live/a/configmap/shop.yaml");
    fs::remove_file(&file).unwrap();
    let mut host = scene.serve(&flags);
    host.until("the file is back", |_| file.exists());
    host.good.1.clone_from(&second);
    host.says(&second, Some("does not come after"));
    // Back to what was followed, then on.
    scene.repo.reset(&second).unwrap();
    host.serving.signal(Signal::HUP).unwrap();
    host.says(&second, None);
    let third = scene.by("ann", "three");
    host.lands(&third, "three");
    host.stops();
}

#[test]
fn a_push_with_force_is_followed_and_said_where_it_may_be_and_still_has_to_be_signed() {
    let mut scene = Scene::new();
    let first = scene.by("ann", "one");
    let mut host = scene.serve(&["--allowed-signers", "ann"]);
    host.lands(&first, "one");
    let second = scene.by("ann", "two");
    host.lands(&second, "two");
    scene.repo.reset(&first).unwrap();
    host.lands(&first, "one");
    let said = format!(
        "history was rewritten: {} is now {}",
        &second[..10],
        &first[..10]
    );
    host.serving.wait_for_text(&said, SOON).unwrap();
    let unsigned = scene.unsigned("three");
    host.holds(&scene, &unsigned, "it is not signed");
    host.stops();
}

#[test]
fn each_commit_has_to_be_signed_where_each_one_is_asked() {
    let mut scene = Scene::new();
    let first = scene.by("ann", "one");
    let mut host = scene.serve(&["--allowed-signers", "ann", "--every-commit"]);
    host.lands(&first, "one");
    let between = scene.unsigned("two");
    let head = scene.by("ann", "three");
    let words = format!("commit {}: it is not signed", &between[..10]);
    host.holds(&scene, &head, &words);
    // Without the one that is not signed: that is no rewrite of what was followed.
    scene.repo.reset(&first).unwrap();
    let good = scene.by("ann", "four");
    host.lands(&good, "four");
    host.stops();
}

#[test]
fn openpgp_keys_sign_too_and_those_that_are_not_listed_do_not() {
    let mut scene = Scene::new();
    let (ann, by_ann) = scene.signers.gpg_key("ann").unwrap();
    let (_, by_eve) = scene.signers.gpg_key("eve").unwrap();
    let keys = scene.signers.write("keys.asc", &ann).unwrap();
    let first = scene.signed(&by_ann, "one");
    let mut host = scene.serve(&["--gpg-keys", keys.to_str().unwrap()]);
    host.lands(&first, "one");
    let export = scene.says(&["audit", "export"]);
    assert!(
        export.contains("\"signer\":{\"name\":\"ann@e\",\"key\":\""),
        "{export}"
    );
    let bad = scene.signed(&by_eve, "two");
    host.holds(&scene, &bad, "it is signed by the OpenPGP key ");
    let by_ssh = scene.by("ann", "three");
    host.holds(&scene, &by_ssh, "and this list has no SSH keys");
    let good = scene.signed(&by_ann, "four");
    host.lands(&good, "four");
    host.stops();
}

#[test]
fn nothing_is_done_before_a_first_commit_is_accepted() {
    let mut scene = Scene::new();
    let bad = scene.unsigned("one");
    let mut host = scene.serve(&["--allowed-signers", "ann"]);
    let words = format!("commit {} is refused", &bad[..10]);
    let line = host.serving.wait_for_text(&words, SOON).unwrap();
    assert!(
        line.contains("nothing is done before a commit is accepted"),
        "{line}"
    );
    assert!(!scene.weir.path("live/a").exists());
    host.until("not ready, with the reason", |host| {
        let (status, body) = http_get(&host.address, "/readyz").unwrap();
        status == 503 && body.contains("it is not signed")
    });
    let good = scene.by("ann", "two");
    host.lands(&good, "two");
    host.stops();
}

#[test]
fn a_rollback_works_while_a_commit_is_refused_and_so_does_following_again() {
    let mut scene = Scene::new();
    let first = scene.by("ann", "one");
    let mut host = scene.serve(&["--allowed-signers", "ann"]);
    host.lands(&first, "one");
    let second = scene.by("ann", "two");
    host.lands(&second, "two");
    let bad = scene.unsigned("bad");
    host.holds(&scene, &bad, "it is not signed");
    let history: Value =
        serde_json::from_str(&scene.says(&["history", "shop", "-o", "json"])).unwrap();
    let records = history[0]["records"].as_array().unwrap();
    let oldest = records
        .iter()
        .rfind(|r| r["event"]["type"] == "synced")
        .unwrap();
    scene.says(&[
        "rollback",
        "shop",
        "--to",
        &oldest["seq"].to_string(),
        "--yes",
    ]);
    host.until("it is back", |_| scene.value() == "one");
    host.until("and pinned", |host| {
        host.view()["repositories"][0]["apps"][0]["state"] == "pinned"
    });
    let view = host.view();
    assert_eq!(view["repositories"][0]["refused"]["commit"], *bad);
    scene.says(&["resume", "shop", "--yes"]);
    host.until("it follows the last good one", |_| scene.value() == "two");
    host.stops();
}

#[test]
fn sync_alone_holds_with_code_4_and_brings_the_last_good_commit() {
    let mut scene = Scene::new();
    let bad = scene.unsigned("bad");
    let ran = scene.sync(&["--allowed-signers", "ann"]).code(4).unwrap();
    let words = format!(
        "commit {} is refused: commit {0}: it is not signed",
        &bad[..10]
    );
    assert!(ran.stderr.contains(&words), "{}", ran.stderr);
    assert!(!scene.weir.path("live/a").exists());
    let good = scene.by("ann", "one");
    scene.sync(&["--allowed-signers", "ann"]).code(0).unwrap();
    assert_eq!(scene.value(), "one");
    scene.unsigned("two");
    fs::remove_file(scene.weir.path("live/a/configmap/shop.yaml")).unwrap();
    let ran = scene.sync(&["--allowed-signers", "ann"]).code(4).unwrap();
    assert!(
        ran.stderr
            .contains(&format!("the last accepted commit {} stays", &good[..10]))
    );
    assert_eq!(scene.value(), "one");
    // Looking at a commit is no following: it needs nobody's signature.
    let url = scene.server.url("work");
    let render = scene.says(&["render", "--repo", &url]);
    assert!(render.contains("value: two"), "{render}");
    let diff = scene
        .weir
        .run(["diff", "--repo", &url, "--from", &good, "--to", "HEAD"]);
    assert!(diff.unwrap().success().unwrap().contains("two"));
}

#[test]
fn a_host_that_asks_for_more_than_before_does_nothing_with_what_is_not_enough() {
    let mut scene = Scene::new();
    let first = scene.unsigned("one");
    let host = scene.serve_until_live(&[], &first, "one");
    host.stops();
    // What is live stays, and is not touched any more: nobody vouches for it.
    let mut host = scene.serve(&["--allowed-signers", "ann"]);
    let words = format!("commit {} is refused", &first[..10]);
    let line = host.serving.wait_for_text(&words, SOON).unwrap();
    assert!(
        line.contains("nothing is done before a commit is accepted"),
        "{line}"
    );
    assert_eq!(scene.value(), "one");
    let good = scene.by("ann", "two");
    host.lands(&good, "two");
    host.stops();
    // Somebody who is listed no more signed what is live: it stays followed, and the next one has to be another's.
    scene.allow("ann", &["bob"]);
    let file = scene.weir.path("live/a/configmap/shop.yaml");
    fs::remove_file(&file).unwrap();
    let mut host = scene.serve(&["--allowed-signers", "ann"]);
    host.until("the file is back", |_| file.exists());
    host.good = (tree_digest(&scene.weir.path("live")).unwrap(), good);
    let late = scene.by("ann", "three");
    host.holds(&scene, &late, "which is not among the keys that may sign");
    let good = scene.by("bob", "four");
    host.lands(&good, "four");
    host.stops();
    // And one that asks for nothing follows all, and forgets the refusal.
    let unsigned = scene.unsigned("five");
    let host = scene.serve_until_live(&[], &unsigned, "five");
    host.stops();
}

#[test]
fn keys_that_cannot_be_used_end_the_start_or_hold_while_a_host_runs() {
    let mut scene = Scene::new();
    let first = scene.by("ann", "one");
    let ann = scene.signers.path("ann.list");
    let missing = scene.signers.path("missing").display().to_string();
    let private = scene.signers.path("ann").display().to_string();
    for (flags, words) in [
        (
            vec!["--every-commit"],
            "--every-commit: give --allowed-signers FILE",
        ),
        (
            vec!["--allowed-signers", &missing],
            "expected a file of keys that may sign commits",
        ),
        (vec!["--allowed-signers", &private], "ann:1:"),
        (vec!["--gpg-keys", &private], "it lists no key"),
    ] {
        let ran = scene.sync(&flags).code(2).unwrap();
        assert!(ran.stderr.contains(words), "{flags:?}: {}", ran.stderr);
    }
    let words = ["serve", "--config", "x", "--fast-forward-only"];
    let ran = scene.weir.run(words).unwrap().code(2).unwrap();
    assert!(ran.stderr.contains("cannot be used with"), "{}", ran.stderr);
    let mut host = scene.serve(&["--allowed-signers", "ann"]);
    host.lands(&first, "one");
    // While it runs, a list that cannot be read holds what is new.
    let list = fs::read_to_string(&ann).unwrap();
    fs::write(&ann, "nobody\n").unwrap();
    let second = scene.by("ann", "two");
    host.serving.signal(Signal::HUP).unwrap();
    let line = host
        .serving
        .wait_for_text("ann.list:1:7: expected a key", SOON)
        .unwrap();
    assert!(line.contains("the last good state stays"), "{line}");
    fs::write(&ann, list).unwrap();
    host.lands(&second, "two");
    host.stops();
}
