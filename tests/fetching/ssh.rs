//! Over ssh: the same commits and the same words in both ways, and no ssh that stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use weir_source::{
    FetchProgress, Fetching, RefChange, Source, SourceConfig, SourceError, SshOptions,
};
use weir_tests::Repo;
use weir_tests::sshd::{Does, Setup, Sshd, left_over};

use super::scene::{self, fetch, process, same_error, text, ways};

struct Shell {
    repo: Repo,
    sshd: Sshd,
    cache: TempDir,
    key: PathBuf,
}

impl Shell {
    fn new() -> Shell {
        let repo = Repo::from_text("//- a\n1\n").unwrap();
        let sshd = Sshd::with(repo.parent(), Setup::default()).unwrap();
        let key = sshd.key("ed25519").unwrap();
        Shell {
            repo,
            sshd,
            cache: TempDir::new().unwrap(),
            key,
        }
    }

    fn with(&self, key: &Path, known_hosts: &Path, fetching: Fetching) -> SourceConfig {
        SourceConfig {
            ssh: SshOptions {
                key_file: Some(key.to_owned()),
                known_hosts_file: Some(known_hosts.to_owned()),
                ..SshOptions::host()
            },
            ..scene::config(&self.sshd.url("work"), &self.clones(), fetching)
        }
    }

    fn clones(&self) -> PathBuf {
        self.cache.path().join("clones")
    }

    fn good(&self, fetching: Fetching) -> SourceConfig {
        self.with(&self.key, &self.sshd.known().unwrap(), fetching)
    }
}

#[test]
fn a_clone_and_a_new_commit_over_ssh_are_the_same_in_both_ways() {
    for (way, fetching) in ways() {
        let mut shell = Shell::new();
        let source = Source::open(shell.good(fetching)).unwrap();
        let first = fetch(&source).unwrap();
        assert_eq!(first.change, RefChange::First, "{way}");
        assert_eq!(text(&source), "1", "{way}");
        assert_eq!(fetch(&source).unwrap().change, RefChange::Unchanged);
        shell.repo.write("a", "2").unwrap();
        shell.repo.commit("2").unwrap();
        let from = first.commit;
        let second = fetch(&source).unwrap();
        assert_eq!(second.change, RefChange::FastForward { from }, "{way}");
        assert_eq!(text(&source), "2", "{way}");
        assert!(left_over(shell.sshd.dir()).unwrap().is_empty(), "{way}");
    }
}

#[test]
fn each_failure_over_ssh_has_the_same_words_in_both_ways() {
    let shell = Shell::new();
    let known = shell.sshd.known().unwrap();
    let name = shell.sshd.name();
    let other = Sshd::with(shell.repo.parent(), Setup::default()).unwrap();
    let other = other.host_key("ed25519").unwrap();
    let ours = shell.sshd.host_key("ed25519").unwrap();
    let file = |lines: &str| shell.sshd.known_hosts(lines).unwrap();
    let lines = [
        ("another key", format!("{name} {other}"), "host-key-changed"),
        (
            "a revoked key",
            format!("@revoked {name} {ours}"),
            "host-key-revoked",
        ),
        (
            "no line",
            format!("elsewhere.example {ours}"),
            "host-key-unknown",
        ),
        (
            "a broken line",
            format!("{name} ssh-ed25519 AAAA"),
            "known-hosts",
        ),
    ];
    let clones = shell.clones();
    let mut told = Vec::new();
    for (what, text, kind) in &lines {
        let file = file(text);
        let make = |fetching| shell.with(&shell.key, &file, fetching);
        told.push((*kind, same_error(what, &clones, make)));
    }
    let stranger = shell.sshd.stranger("ed25519").unwrap();
    let public = shell.key.with_extension("pub");
    let open = shell.cache.path().join("open");
    std::fs::copy(&shell.key, &open).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&open, mode).unwrap();
    let keys = [
        ("a stranger", stranger, "key-refused"),
        ("the public half", public, "bad-key"),
        ("one that all may read", open, "bad-key"),
        ("none", shell.cache.path().join("nowhere"), "bad-key"),
    ];
    for (what, key, kind) in &keys {
        let make = |fetching| shell.with(key, &known, fetching);
        told.push((*kind, same_error(what, &clones, make)));
    }
    let good = |fetching| shell.good(fetching);
    for (does, kind) in [
        (Does::Say("ERROR: Repository not found.", 1), "not-found"),
        (Does::Cut(20), "unreachable"),
    ] {
        shell.sshd.does(does).unwrap();
        told.push((kind, same_error(kind, &clones, good)));
    }
    shell.sshd.does(Does::Git).unwrap();
    let elsewhere = |fetching| SourceConfig {
        url: shell.sshd.url("nothing").parse().unwrap(),
        ..shell.good(fetching)
    };
    told.push(("not-found", same_error("no repository", &clones, elsewhere)));
    let limited = |fetching| {
        let mut config = shell.good(fetching);
        config.fetch_limits.response_bytes = 100;
        config
    };
    told.push(("limit", same_error("too much", &clones, limited)));
    for (kind, said) in told {
        assert!(said.starts_with(&format!("{kind} ")), "{kind}: {said}");
    }
    assert!(left_over(shell.sshd.dir()).unwrap().is_empty());
}

#[test]
fn a_stop_ends_the_process_and_its_ssh_while_the_server_says_nothing() {
    let mut shell = Shell::new();
    let source = Source::open(shell.good(Fetching::Process(process()))).unwrap();
    fetch(&source).unwrap();
    shell.sshd.does(Does::Nothing).unwrap();
    let before = shell
        .sshd
        .log()
        .unwrap()
        .matches("Accepted publickey")
        .count();
    let stop = Arc::new(AtomicBool::new(false));
    let stops = stop.clone();
    let fetching = std::thread::spawn(move || {
        let ended = source.fetch(&stops, &|_: FetchProgress| {});
        (ended, source)
    });
    while shell
        .sshd
        .log()
        .unwrap()
        .matches("Accepted publickey")
        .count()
        == before
    {
        shell.sshd.wait_for("Accepted publickey").unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let (ended, source) = fetching.join().unwrap();
    assert!(
        matches!(ended, Err(SourceError::Stopped { .. })),
        "{ended:?}"
    );
    assert!(left_over(shell.sshd.dir()).unwrap().is_empty());
    shell.sshd.does(Does::Git).unwrap();
    assert_eq!(fetch(&source).unwrap().change, RefChange::Unchanged);
}
