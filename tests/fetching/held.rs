//! What a process that fetches is: no arguments but one word, no environment, no rights beyond its clone and its server.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};

use weir_source::{
    Credentials, CredentialsFrom, Fetching, Secret, Source, SourceConfig, try_fetching,
};
use weir_tests::places;
use weir_tests::server::{Auth, Fault};

use super::scene::{SOON, Scene, children, fetch, nothing_was_possible, process};

#[test]
fn it_cannot_read_write_connect_start_or_look_elsewhere() {
    let scene = Scene::new();
    // Another repository's clone, its credentials, and what a host has besides.
    fetch(&scene.apart()).unwrap();
    let clone = scene.clone_dir();
    let files = vec![
        scene.file("token", "hunter2"),
        scene.file("kubeconfig", "apiVersion: v1"),
        scene.cache(),
        clone.join("HEAD"),
        clone.join("objects/pack"),
        "/etc/passwd".into(),
        "/proc/self/environ".into(),
        "/root".into(),
        "/tmp".into(),
        "/dev/null".into(),
    ];
    let tried = try_fetching(&process(), &scene.cache(), &files).unwrap();
    // Nothing is left of it, and what it was not to touch is as it was.
    assert_eq!(fs::read_dir(scene.cache()).unwrap().count(), 1);
    nothing_was_possible(&tried, "making a file beside its clone", &files);
}

#[test]
fn it_is_held_by_the_kernel_and_no_secret_is_in_its_arguments_or_environment() {
    let scene = Scene::new();
    scene.server.require(Auth::Token("hunter2".to_owned()));
    scene.server.fault(Fault::Stall);
    let token = Credentials::Token(Secret::new("hunter2"));
    let source = Source::open(SourceConfig {
        credentials: Some(CredentialsFrom::Given(token)),
        ..scene.config(Fetching::Process(process()))
    });
    let source = source.unwrap();
    let (say, said) = mpsc::channel();
    let fetching = std::thread::spawn(move || {
        say.send(rustix::thread::gettid().as_raw_nonzero().get())
            .unwrap();
        source.fetch(&Arc::default(), &|_| {})
    });
    let thread = said.recv().unwrap();
    scene.server.wait_for_requests(1, SOON).unwrap();
    let all = children(thread);
    assert_eq!(all.len(), 1, "{all:?}");
    let (pid, status) = &all[0];
    assert_eq!(status["NoNewPrivs"], "1", "{status:?}");
    assert_eq!(status["Seccomp"], "2", "{status:?}");
    for set in ["CapEff", "CapPrm", "CapInh"] {
        assert_eq!(status[set].trim_matches('0'), "", "{set}: {status:?}");
    }
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert_eq!(line, b"weir\0fetch-worker\0");
    // Who may not look sees nothing either.
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    assert_eq!(environment, b"");
    scene.server.fault(Fault::None);
    fetching.join().unwrap().unwrap();
}

#[test]
fn one_that_is_told_nonsense_ends_and_says_nothing_of_it() {
    for told in [
        "",
        "hunter2\n",
        "{}\n",
        "{\"work\":\"hunter2\"}\n",
        "\0\0\n",
    ] {
        let mut child = binary().spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It may have ended before it has heard all.
        let _ = stdin.write_all(told.as_bytes());
        drop(stdin);
        let out = child.wait_with_output().unwrap();
        assert_eq!(out.status.code(), Some(1), "{told:?}");
        assert!(out.stdout.is_empty(), "{told:?}");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(
            !said.contains("hunter2") && !said.contains("panicked"),
            "{said}"
        );
    }
}

#[expect(clippy::disallowed_methods, reason = "the real binary, told nonsense")]
fn binary() -> Command {
    let mut command = Command::new(places::weir_binary().unwrap());
    command.arg("fetch-worker").env_clear();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}
