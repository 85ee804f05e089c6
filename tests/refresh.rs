//! Refresh on request: `weir refresh` asks the host that runs on the same state, over its control socket.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use weir_tests::server::Fault;
use weir_tests::weir::Serving;
use weir_tests::{GitServer, Repo, Weir};

const SOON: Duration = Duration::from_secs(60);

const FIRST: &str = "//- weir.yaml\n\
version: 1\n\
apps: [{ name: web, path: web, target: { namespace: shop } }]\n\
//- web/map.yaml\n\
{ apiVersion: v1, kind: ConfigMap, metadata: { name: map }, data: { value: one } }\n";

/// A repository behind a server, and a host that asks it once an hour.
struct Scene {
    repo: Repo,
    server: GitServer,
    weir: Weir,
}

impl Scene {
    fn new() -> Scene {
        let repo = Repo::from_text(FIRST).unwrap();
        let server = GitServer::of(&repo).unwrap();
        let weir = Weir::new().unwrap();
        Scene { repo, server, weir }
    }

    fn follow(&self, command: &str, more: &[&str]) -> Vec<String> {
        let target = format!("dir:{}", self.weir.path("live").display());
        let url = self.server.url("work");
        let words = [command, "--repo", &url, "--target", &target];
        let words = words.iter().chain(more).copied();
        words.map(str::to_owned).collect()
    }

    /// A host that has synced what is there, and does nothing by itself from now on.
    fn serve(&self) -> Serving {
        let flags = [
            "--interval",
            "1h",
            "--listen",
            "127.0.0.1:0",
            "--log",
            "weir=debug",
        ];
        let mut host = self.weir.start(self.follow("serve", &flags)).unwrap();
        host.wait_for_text("synced to", SOON).unwrap();
        host
    }

    fn socket(&self) -> PathBuf {
        self.weir.state_dir().join("control.sock")
    }

    fn live(&self) -> String {
        std::fs::read_to_string(self.weir.path("live/shop/configmap/map.yaml")).unwrap()
    }

    fn push(&mut self, value: &str) -> String {
        let text = FIRST.replace("value: one", &format!("value: {value}"));
        self.repo.write_text(&text).unwrap();
        self.repo.commit(value).unwrap()
    }

    /// How often the server was asked for its refs: once for each fetch that finds nothing new.
    fn fetches(&self) -> usize {
        let requests = self.server.requests();
        let asked = requests.iter().filter(|r| r.path.ends_with("/info/refs"));
        asked.count()
    }
}

#[test]
fn a_commit_is_live_when_it_is_asked_for_long_before_the_next_poll() {
    let mut scene = Scene::new();
    let mut host = scene.serve();
    let commit = scene.push("two");
    let printed = scene.weir.run(["refresh"]).unwrap().success().unwrap();
    assert_eq!(printed, format!("{commit}\n"));
    host.wait_for_text("synced to", SOON).unwrap();
    assert!(scene.live().contains("value: two"), "{}", scene.live());
    // Nothing is new: the answer is the same commit.
    let printed = scene.weir.run(["refresh"]).unwrap().success().unwrap();
    assert_eq!(printed, format!("{commit}\n"));
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn a_hundred_requests_at_once_are_answered_by_one_more_fetch_than_the_one_under_way() {
    let scene = Scene::new();
    let mut host = scene.serve();
    let before = scene.fetches();
    scene.server.fault(Fault::Stall);
    let arrived = scene.server.requests().len() + 1;
    let mut callers = vec![ask(&scene)];
    scene.server.wait_for_requests(arrived, SOON).unwrap();
    // One fetch is under way and waits; all others come while it does.
    callers.extend((0..100).map(|_| ask(&scene)));
    for _ in 0..=100 {
        host.wait_for_text("a refresh is asked for", SOON).unwrap();
    }
    let commit = scene.repo.head().unwrap();
    scene.server.fault(Fault::None);
    for mut caller in callers {
        let mut answer = String::new();
        caller.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains(&commit), "{commit} is not in {answer}");
    }
    assert_eq!(scene.fetches() - before, 2);
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

/// Sends a request; its answer is read from the stream when there is one.
fn ask(scene: &Scene) -> UnixStream {
    let mut stream = UnixStream::connect(scene.socket()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let request = "POST /v1/refresh HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

#[test]
fn where_no_host_runs_the_error_says_what_to_do() {
    let weir = Weir::new().unwrap();
    let ran = weir.run(["refresh"]).unwrap().code(1).unwrap();
    assert_eq!(ran.stdout, "");
    for words in ["no host runs", "weir serve", "weir sync", "--state"] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
}

#[test]
fn the_socket_is_the_owners_alone_and_goes_with_the_host() {
    let mut scene = Scene::new();
    scene.weir.umask(0o000);
    let mut host = scene.serve();
    let metadata = std::fs::symlink_metadata(scene.socket()).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(host.interrupt(SOON).unwrap(), Some(0));
    assert!(!scene.socket().exists());
    let ran = scene.weir.run(["refresh"]).unwrap().code(1).unwrap();
    assert!(ran.stderr.contains("no host runs"), "{}", ran.stderr);
}

#[test]
fn what_a_killed_host_left_is_no_host_and_is_replaced_by_the_next_one() {
    let scene = Scene::new();
    let mut host = scene.serve();
    host.kill().unwrap();
    assert!(scene.socket().exists(), "a killed host leaves its socket");
    let ran = scene.weir.run(["refresh"]).unwrap().code(1).unwrap();
    assert!(ran.stderr.contains("no host runs"), "{}", ran.stderr);

    let flags = ["--interval", "1h", "--listen", "127.0.0.1:0"];
    let mut host = scene.weir.start(scene.follow("serve", &flags)).unwrap();
    host.wait_for_text("says how apps stand", SOON).unwrap();
    let printed = scene.weir.run(["refresh"]).unwrap().success().unwrap();
    assert_eq!(printed.trim_end(), scene.repo.head().unwrap());
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn a_server_that_is_away_is_the_answer_and_the_next_request_finds_it_back() {
    let mut scene = Scene::new();
    let mut host = scene.serve();
    scene.server.down().unwrap();
    let ran = scene.weir.run(["refresh"]).unwrap().code(1).unwrap();
    assert_eq!(ran.stdout, "");
    let address = scene.server.origin().replace("http://", "");
    assert!(ran.stderr.contains(&address), "{}", ran.stderr);
    assert!(scene.live().contains("value: one"), "{}", scene.live());

    scene.server.up().unwrap();
    let commit = scene.push("two");
    let printed = scene.weir.run(["refresh"]).unwrap().success().unwrap();
    assert_eq!(printed, format!("{commit}\n"));
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn a_sync_on_the_state_of_a_running_host_is_told_to_ask_that_one() {
    let scene = Scene::new();
    let mut host = scene.serve();
    let ran = scene.weir.run(scene.follow("sync", &[])).unwrap();
    let ran = ran.code(1).unwrap();
    for words in [
        "in use by process",
        "A host is running there",
        "weir refresh",
    ] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn a_host_that_stops_answers_who_still_waits() {
    let scene = Scene::new();
    let mut host = scene.serve();
    scene.server.fault(Fault::Stall);
    let arrived = scene.server.requests().len() + 1;
    let mut caller = ask(&scene);
    scene.server.wait_for_requests(arrived, SOON).unwrap();
    let mut late = ask(&scene);
    for _ in 0..2 {
        host.wait_for_text("a refresh is asked for", SOON).unwrap();
    }
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
    let mut answer = String::new();
    caller.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("problem"), "{answer}");
    answer.clear();
    late.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("stopping"),
        "{answer}"
    );
}

#[test]
fn a_state_too_deep_for_a_socket_is_refused_with_its_length() {
    let scene = Scene::new();
    let deep = scene.weir.path(&"x".repeat(100));
    let state = deep.to_str().unwrap();
    for words in [
        vec!["refresh".to_owned()],
        scene.follow("serve", &["--listen", "127.0.0.1:0"]),
    ] {
        let words = words
            .into_iter()
            .chain(["--state".to_owned(), state.to_owned()]);
        let ran = scene.weir.run(words).unwrap().code(2).unwrap();
        assert!(ran.stderr.contains("107 bytes"), "{}", ran.stderr);
    }
}

#[test]
fn a_host_whose_log_nobody_reads_any_more_goes_on_and_stops_when_told() {
    let mut scene = Scene::new();
    scene.push("one");
    let live = scene.weir.path("live/shop/configmap/map.yaml");
    let words = scene.follow("serve", &["--interval", "1h", "--listen", "127.0.0.1:0"]);
    // The reader of its log ends with the first line.
    let script = format!(
        "weir {} 2> >(head -n 1 >/dev/null) & pid=$!\n\
         for _ in $(seq 600); do [ -e {live} ] && break; sleep 0.1; done\n\
         weir refresh && weir refresh && kill -TERM $pid\n\
         code=0; wait $pid || code=$?; echo \"ended with $code\"\n",
        words.join(" "),
        live = live.display()
    );
    let ran = scene.weir.shell(&script, &[]).unwrap().code(0).unwrap();
    assert!(ran.stdout.ends_with("ended with 0\n"), "{}", ran.stdout);
}
