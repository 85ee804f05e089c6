//! `weir serve --config FILE`: several repositories in one process, each for itself, through the real binary.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use weir_tests::remote::{Remote, one_map};
use weir_tests::server::Fault;
use weir_tests::weir::{Serving, http_get};
use weir_tests::{Repo, Weir};

const SOON: Duration = Duration::from_secs(60);
/// What a host may take to stop, and a little for a slow machine to say so.
const STOP: Duration = Duration::from_secs(40);

/// A machine with a host's file.
struct Scene {
    weir: Weir,
    file: String,
}

impl Scene {
    fn new() -> Scene {
        Scene {
            weir: Weir::new().unwrap(),
            file: "version: 1\nlisten: 127.0.0.1:0\nrepositories:\n".to_owned(),
        }
    }

    /// One more repository, which lands in a directory of its name beside the file.
    fn with(mut self, name: &str, url: &str, more: &str) -> Scene {
        let one = format!(
            "- name: {name}\n  url: {url}\n  interval: 1h\n  targets: {{ default: \"dir:./{name}\" }}\n"
        );
        self.file.push_str(&one);
        for line in more.lines() {
            writeln!(self.file, "  {line}").unwrap();
        }
        self
    }

    fn config(&self) -> PathBuf {
        let path = self.weir.path("host.yaml");
        fs::write(&path, &self.file).unwrap();
        path
    }

    fn start(&self) -> Serving {
        let config = self.config();
        let words = ["serve", "--log", "weir=debug", "--config"];
        let words = words.iter().map(Into::into).chain([config.into()]);
        self.weir
            .start(words.collect::<Vec<std::ffi::OsString>>())
            .unwrap()
    }

    fn live(&self, name: &str) -> String {
        let path = self.weir.path(name).join("shop/configmap/map.yaml");
        fs::read_to_string(path).unwrap_or_default()
    }

    fn refuse(&self, file: &str) -> String {
        fs::write(self.weir.path("home/host.yaml"), file).unwrap();
        self.refuse_words(&["serve", "--config", "host.yaml"])
    }

    /// What is said to words that must be refused.
    fn refuse_words(&self, words: &[&str]) -> String {
        let ran = self.weir.run(words).unwrap().code(2).unwrap();
        ran.stderr.trim_end().to_owned()
    }
}

/// Waits until a repository's app has landed; their lines come in any order.
fn wait_synced(host: &mut Serving, names: &[&str]) {
    let mut left: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    while !left.is_empty() {
        let line = host.wait_for_text("synced to", SOON).unwrap();
        left.retain(|name| !line.contains(&format!("\"repository\":\"{name}\"")));
    }
}

/// Where the API answers, as the host says it.
fn api(host: &mut Serving) -> String {
    let line = host.wait_for_text("says how apps stand", SOON).unwrap();
    let url = line.split("http://").nth(1).unwrap();
    url.split('/').next().unwrap().to_owned()
}

/// A repository as the API shows it.
fn shown(address: &str, name: &str) -> Value {
    let (status, body) = http_get(address, "/api/v1/apps").unwrap();
    assert_eq!(status, 200, "{body}");
    let all: Value = serde_json::from_str(&body).unwrap();
    let all = all["repositories"].as_array().unwrap().clone();
    let one = all.into_iter().find(|r| r["name"] == name);
    one.unwrap_or_else(|| panic!("no {name} in {body}"))
}

#[test]
fn two_repositories_over_http_land_in_their_own_directories() {
    let (red, mut blue) = (
        Remote::new(&one_map("red")).unwrap(),
        Remote::new(&one_map("blue")).unwrap(),
    );
    let scene = Scene::new()
        .with("red", &red.url(), "")
        .with("blue", &blue.url(), "");
    let mut host = scene.start();
    let address = api(&mut host);
    wait_synced(&mut host, &["red", "blue"]);
    assert!(
        scene.live("red").contains("value: red"),
        "{}",
        scene.live("red")
    );
    assert!(
        scene.live("blue").contains("value: blue"),
        "{}",
        scene.live("blue")
    );

    let commit = blue.push("green").unwrap();
    let printed = scene.weir.run(["refresh"]).unwrap().success().unwrap();
    let expected = format!("blue {commit}\nred {}\n", red.repo.head().unwrap());
    assert_eq!(printed, expected);
    wait_synced(&mut host, &["blue"]);
    assert!(scene.live("blue").contains("value: green"));
    assert!(scene.live("red").contains("value: red"));
    let (red, blue) = (shown(&address, "red"), shown(&address, "blue"));
    assert_eq!(blue["commit"], commit);
    assert_eq!(
        (&red["apps"][0]["state"], &blue["apps"][0]["state"]),
        (&"synced".into(), &"synced".into())
    );
    assert_eq!(http_get(&address, "/readyz").unwrap().0, 200);
    assert_eq!(host.terminate(STOP).unwrap(), Some(0));
}

#[test]
fn a_repository_that_cannot_be_opened_stops_no_other_one_and_is_opened_when_it_can_be() {
    let good = Remote::new(&one_map("good")).unwrap();
    let late = Repo::from_text(&one_map("late")).unwrap();
    let scene = Scene::new()
        .with("late", "./late-repo", "")
        .with("good", &good.url(), "");
    let mut host = scene.start();
    let address = api(&mut host);
    wait_synced(&mut host, &["good"]);
    // Its answer is that of a try that began after the question.
    let ran = scene
        .weir
        .run(["refresh", "late"])
        .unwrap()
        .code(1)
        .unwrap();
    assert!(ran.stderr.contains("late-repo"), "{}", ran.stderr);
    let late_shown = shown(&address, "late");
    let message = late_shown["message"].as_str().unwrap();
    assert!(message.contains("late-repo"), "{late_shown}");
    assert_eq!(http_get(&address, "/readyz").unwrap().0, 200);

    symlink(late.path(), scene.weir.path("late-repo")).unwrap();
    // Nobody has to ask: it is tried again after a while.
    wait_synced(&mut host, &["late"]);
    assert!(scene.live("late").contains("value: late"));
    assert!(shown(&address, "late")["message"].is_null());
    assert_eq!(host.terminate(STOP).unwrap(), Some(0));
}

#[test]
fn a_refresh_by_name_asks_that_repository_only() {
    let (red, mut blue) = (
        Remote::new(&one_map("red")).unwrap(),
        Remote::new(&one_map("blue")).unwrap(),
    );
    let scene = Scene::new()
        .with("red", &red.url(), "")
        .with("blue", &blue.url(), "")
        .with("idle", &red.url(), "suspend: true");
    let mut host = scene.start();
    wait_synced(&mut host, &["red", "blue"]);
    let before = red.server.requests().len();
    let commit = blue.push("new").unwrap();
    let printed = scene.weir.run(["refresh", "blue"]).unwrap();
    assert_eq!(printed.success().unwrap(), format!("{commit}\n"));
    wait_synced(&mut host, &["blue"]);
    let printed = scene.weir.run(["refresh", "blue", "idle"]).unwrap();
    assert_eq!(
        printed.success().unwrap(),
        format!("blue {commit}\nidle suspended\n")
    );
    assert_eq!(red.server.requests().len(), before, "red was not meant");
    assert!(!scene.weir.path("idle").exists(), "idle is left alone");

    let ran = scene
        .weir
        .run(["refresh", "blue", "gone"])
        .unwrap()
        .code(1)
        .unwrap();
    let words = "no repository \"gone\" is followed here; there are: blue, idle, red";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert_eq!(host.terminate(STOP).unwrap(), Some(0));
}

#[test]
fn killed_and_started_again_each_repository_goes_on_where_it_was() {
    let (mut red, mut blue) = (
        Remote::new(&one_map("red")).unwrap(),
        Remote::new(&one_map("blue")).unwrap(),
    );
    let scene = Scene::new()
        .with("red", &red.url(), "")
        .with("blue", &blue.url(), "");
    let mut host = scene.start();
    wait_synced(&mut host, &["red", "blue"]);
    // Killed with one fetch under way.
    blue.server.fault(Fault::Stall);
    let asked = blue.server.requests().len() + 1;
    host.signal(Signal::HUP).unwrap();
    blue.server.wait_for_requests(asked, SOON).unwrap();
    host.kill().unwrap();
    blue.server.fault(Fault::None);
    red.push("red-two").unwrap();
    blue.push("blue-two").unwrap();

    let mut host = scene.start();
    wait_synced(&mut host, &["red", "blue"]);
    assert!(scene.live("red").contains("value: red-two"));
    assert!(scene.live("blue").contains("value: blue-two"));
    assert_eq!(host.terminate(STOP).unwrap(), Some(0));
    weir_tests::invariants::healthy(&scene.weir).unwrap();
}

#[test]
fn a_silent_server_holds_no_other_repository_up_and_no_stop() {
    let (good, silent) = (
        Remote::new(&one_map("good")).unwrap(),
        Remote::new(&one_map("silent")).unwrap(),
    );
    silent.server.fault(Fault::Stall);
    let scene = Scene::new()
        .with("silent", &silent.url(), "")
        .with("good", &good.url(), "");
    let mut host = scene.start();
    silent.server.wait_for_requests(1, SOON).unwrap();
    wait_synced(&mut host, &["good"]);
    let asked = Instant::now();
    assert_eq!(host.terminate(STOP).unwrap(), Some(0));
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(30), "stopping took {took:?}");
    assert!(host.stderr().contains("stopped: "), "{}", host.stderr());
    assert!(!scene.weir.state_dir().join("control.sock").exists());
}

#[test]
fn a_repository_with_many_apps_makes_one_with_few_wait_for_a_few_of_them() {
    const APPS: usize = 150;
    let mut many = String::from("//- weir.yaml\nversion: 1\napps:\n");
    for n in 0..APPS {
        writeln!(
            many,
            "- {{ name: app-{n}, path: app-{n}, target: {{ namespace: ns-{n} }} }}"
        )
        .unwrap();
    }
    for n in 0..APPS {
        writeln!(many, "//- app-{n}/map.yaml\n{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: map }}, data: {{ a: b }} }}").unwrap();
    }
    let (many, few) = (
        Remote::new(&many).unwrap(),
        Remote::new(&one_map("few")).unwrap(),
    );
    few.server.fault(Fault::Stall);
    let scene = Scene::new()
        .with("many", &many.url(), "")
        .with("few", &few.url(), "");
    let scene = Scene {
        file: scene
            .file
            .replace("repositories:", "parallel: 1\nrepositories:"),
        ..scene
    };
    let mut host = scene.start();
    few.server.wait_for_requests(1, SOON).unwrap();
    // Its commit comes when the other one has the only turn, and many more to take.
    host.wait_for_text("synced to", SOON).unwrap();
    few.server.fault(Fault::None);
    wait_synced(&mut host, &["few"]);
    let log = host.stderr();
    let before = log.lines().filter(|l| l.contains("synced to")).count() - 1;
    assert!(before < APPS, "it was the last of all");
    // All of the others still get their turn.
    for _ in before..APPS {
        host.wait_for_text("synced to", SOON).unwrap();
    }
    assert_eq!(host.terminate(STOP).unwrap(), Some(0));
}

#[test]
fn a_file_that_is_wrong_is_refused_at_its_place_before_anything_is_made() {
    let scene = Scene::new();
    let one = "version: 1\nrepositories:\n- url: https://h/x\n  targets: { default: dir:x }\n";
    for (file, expected) in [
        (
            "version: 1\n".to_owned(),
            "host.yaml:1:1: expected at least one repository",
        ),
        (
            "version: 1\nrepos: []\n".to_owned(),
            "host.yaml:2:1: unknown key \"repos\": expected one of version, listen, webhooks, parallel, repositories, externals, plugins, canary, isolation, ledger, retention, random-secret; did you mean \"repositories\"?",
        ),
        (
            format!("{one}  intervall: 5s\n"),
            "host.yaml:5:3: unknown key \"intervall\": expected one of name, url, ref, path, manifest, interval, suspend, heal, guard, targets, allow, commits, plugins, grants, decrypt, webhook, auth, tls, proxy; did you mean \"interval\"?",
        ),
        (
            format!("{one}  name: a\n- {{ name: a, url: ./r, targets: {{ default: dir:y }} }}\n"),
            "host.yaml:6:11: a repository a is there already, at line 3: give each a name of its own",
        ),
        (
            format!("{one}parallel: 1000\n"),
            "host.yaml:5:11: expected a number from 1 to 256",
        ),
    ] {
        let refused = scene.refuse(&file);
        assert!(refused.ends_with(expected), "{refused}\n{file}");
    }
    let secret = scene.refuse("version: 1\nrepositories:\n- url: https://ann:hunter2@h/x\n  targets: { default: dir:x }\n");
    assert!(secret.contains("host.yaml:3:8: "), "{secret}");
    assert!(!secret.contains("hunter2"), "{secret}");
    assert!(!scene.weir.state_dir().exists(), "nothing was made");
}

#[test]
fn a_file_and_the_flags_of_one_repository_exclude_each_other() {
    let scene = Scene::new();
    for flag in [
        ["--repo", "."],
        ["--target", "dir:x"],
        ["--ref", "main"],
        ["--interval", "5s"],
    ] {
        let words = ["serve", "--config", "host.yaml", flag[0], flag[1]];
        let refused = scene.refuse_words(&words);
        assert!(
            refused.contains("--config") && refused.contains(flag[0]),
            "{refused}"
        );
    }
    let refused = scene.refuse_words(&["serve"]);
    assert!(refused.contains("--target"), "{refused}");
    let refused = scene.refuse_words(&["serve", "--config", "absent.yaml"]);
    assert!(refused.contains("--config absent.yaml: "), "{refused}");
}
