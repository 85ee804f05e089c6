//! Servers that have no such repository, break off, hang, go away, or speak the protocol of old.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use weir_core::fault::{Blame as _, Fault, Retry};
use weir_source::{FetchLimits, FetchProgress, RefChange, Source, SourceConfig, SourceError};
use weir_tests::deaf::Deaf;
use weir_tests::sshd::{Does, Setup, left_over};

use super::scene::{Scene, fetch, open, text};

/// Far below all time-outs, far above what a stop takes on a busy machine.
const SOON: Duration = Duration::from_secs(12);

/// Nothing that compresses, so that a pack is at least as long.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    })
    .take(bytes)
    .collect()
}

#[test]
fn a_clone_then_new_commits_a_rewrite_and_a_deleted_branch() {
    let mut scene = Scene::new();
    let source = open(scene.good()).unwrap();
    let change = || fetch(&source).map(|f| f.change).unwrap();
    assert_eq!(change(), RefChange::First);
    assert_eq!(change(), RefChange::Unchanged);
    let first = source.last_good().unwrap();
    scene.commit("2");
    let source_text = || text(&source);
    assert_eq!(change(), RefChange::FastForward { from: first });
    assert_eq!(source_text(), "2");
    let second = source.last_good().unwrap();
    scene.repo.reset("HEAD~1").unwrap();
    scene.commit("3");
    assert_eq!(change(), RefChange::Rewritten { from: second });
    assert_eq!(source_text(), "3");
    scene.repo.delete_branch("main").unwrap();
    let error = fetch(&source).unwrap_err();
    assert!(matches!(error, SourceError::RefNotFound { .. }), "{error}");
    assert_eq!(source_text(), "3", "the last good state stays");
    assert_eq!(left_over(scene.sshd.dir()).unwrap(), Vec::<String>::new());
}

#[test]
fn a_server_that_takes_no_variable_speaks_the_old_protocol_and_that_works() {
    let mut scene = Scene::with(Setup {
        protocol: false,
        ..Setup::default()
    });
    let source = open(scene.good()).unwrap();
    fetch(&source).unwrap();
    scene.commit("2");
    fetch(&source).unwrap();
    assert_eq!(text(&source), "2");
}

#[test]
fn a_path_with_quotes_is_one_word_for_git_shell_and_for_a_plain_shell() {
    let scene = Scene::new();
    let name = "it's!$(touch${IFS}pwned)`touch${IFS}pwned`\"&;|<>*";
    let odd = scene.repo.parent().join(name);
    fs::rename(scene.repo.path(), &odd).unwrap();
    for does in [Does::Git, Does::Shell] {
        scene.sshd.does(does).unwrap();
        let url = scene.sshd.url_of(&format!("{}/.git", odd.display()));
        let mut config = scene.good();
        config.url = url.parse().unwrap();
        config.cache_dir = scene.cache.path().join(format!("{does:?}"));
        let source = open(config).unwrap();
        fetch(&source).unwrap();
        assert_eq!(text(&source), "1", "{does:?}");
    }
    let pwned = [scene.repo.parent().join("pwned"), odd.join("pwned")];
    assert!(!pwned.iter().any(|p| p.exists()));
}

#[test]
fn a_repository_that_is_not_there_is_said_with_the_servers_words() {
    let scene = Scene::new();
    let mut config = scene.good();
    config.url = scene.sshd.url("nope").parse().unwrap();
    let error = fetch(&open(config).unwrap()).unwrap_err();
    assert!(matches!(error, SourceError::NotFound { .. }), "{error:?}");
    assert_eq!(
        (error.fault(), error.retry()),
        (Fault::Host, Retry::Backoff)
    );
    assert!(
        error
            .to_string()
            .contains("does not appear to be a git repository"),
        "{error}"
    );
    let source = open(scene.good()).unwrap();
    for (does, words) in [
        (
            Does::Say("ERROR: Repository not found.", 1),
            "ERROR: Repository not found.",
        ),
        (
            Does::Say("This account is not for Git.", 0),
            "not answer as a Git server (This account",
        ),
        (
            Does::Say("sh: git-upload-pack: not found", 127),
            "not answer as a Git server (sh: git-up",
        ),
        (Does::Say("", 1), "did not answer as a Git server: check"),
    ] {
        scene.sshd.does(does).unwrap();
        let error = fetch(&source).unwrap_err();
        assert!(
            matches!(error, SourceError::NotFound { .. }),
            "{does:?}: {error:?}"
        );
        assert!(error.to_string().contains(words), "{does:?}: {error}");
    }
    scene.sshd.does(Does::Git).unwrap();
    fetch(&source).unwrap();
}

#[test]
fn a_server_that_breaks_off_leaves_the_last_good_commit_and_the_next_fetch_succeeds() {
    let scene = Scene::new();
    let source = open(scene.good()).unwrap();
    fetch(&source).unwrap();
    let first = source.last_good();
    scene.repo.write("big", noise(200_000)).unwrap();
    let mut scene = scene;
    scene.commit("2");
    // In the list of refs, and in the pack.
    for bytes in [20, 50_000] {
        scene.sshd.does(Does::Cut(bytes)).unwrap();
        let error = fetch(&source).unwrap_err();
        assert!(
            matches!(error, SourceError::Unreachable { .. }),
            "{bytes}: {error:?}"
        );
        assert!(error.to_string().contains("broke off"), "{bytes}: {error}");
        assert_eq!(source.last_good(), first);
        assert_eq!(text(&source), "1");
    }
    scene.sshd.does(Does::Git).unwrap();
    fetch(&source).unwrap();
    assert_eq!(text(&source), "2");
    assert_eq!(left_over(scene.sshd.dir()).unwrap(), Vec::<String>::new());
}

/// Stops a fetch once it was seen to be under way.
fn stopped(source: &Source, reached: impl FnOnce()) -> (SourceError, Duration) {
    let stop = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let fetching = scope.spawn(|| source.fetch(&stop, &|_: FetchProgress| {}));
        reached();
        assert!(!fetching.is_finished(), "{:?}", fetching.join());
        let start = Instant::now();
        stop.store(true, Ordering::Relaxed);
        let error = fetching.join().unwrap().unwrap_err();
        (error, start.elapsed())
    })
}

#[test]
fn a_stop_ends_a_fetch_from_a_server_that_hangs_before_and_after_the_login() {
    let mut scene = Scene::new();
    let source = open(scene.good()).unwrap();
    fetch(&source).unwrap();
    scene.commit("2");
    scene.sshd.does(Does::Nothing).unwrap();
    // What was logged for the first fetch is passed over.
    scene.sshd.wait_for("Starting session").unwrap();
    scene.sshd.wait_for("Starting session").unwrap();
    let sshd = &mut scene.sshd;
    let (error, took) = stopped(&source, || {
        sshd.wait_for("Starting session").unwrap();
    });
    assert!(matches!(error, SourceError::Stopped { .. }), "{error}");
    assert!(took < SOON, "{took:?}");
    let deaf = Deaf::new().unwrap();
    let port = deaf.address().port();
    let key = scene.sshd.host_key("ed25519").unwrap();
    let known = scene
        .sshd
        .known_hosts(&format!("[127.0.0.1]:{port} {key}"))
        .unwrap();
    let url = format!("ssh://git@127.0.0.1:{port}/x");
    let silent = open(scene.config(&url, &scene.key, &known)).unwrap();
    let (error, took) = stopped(&silent, || deaf.wait_for(1, SOON).unwrap());
    assert!(matches!(error, SourceError::Stopped { .. }), "{error}");
    assert!(took < SOON, "{took:?}");
    assert_eq!(left_over(scene.sshd.dir()).unwrap(), Vec::<String>::new());
    scene.sshd.does(Does::Git).unwrap();
    fetch(&source).unwrap();
    assert_eq!(text(&source), "2", "the next one works");
}

#[test]
fn a_silent_server_is_given_up_and_so_is_one_that_takes_longer_than_the_deadline() {
    let scene = Scene::new();
    scene.sshd.does(Does::Nothing).unwrap();
    let mut config = scene.good();
    config.ssh.read_timeout = Duration::from_millis(900);
    let by_silence = fetch(&open(config).unwrap()).unwrap_err();
    let limits = FetchLimits {
        deadline: Duration::from_millis(300),
        ..FetchLimits::HOST
    };
    let by_deadline = fetch(
        &open(SourceConfig {
            fetch_limits: limits,
            ..scene.good()
        })
        .unwrap(),
    )
    .unwrap_err();
    for (error, words) in [(by_silence, "said nothing"), (by_deadline, "its deadline")] {
        assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(left_over(scene.sshd.dir()).unwrap(), Vec::<String>::new());
}

#[test]
fn a_flood_ends_at_the_byte_limit() {
    let mut scene = Scene::new();
    scene.repo.write("big", noise(300_000)).unwrap();
    scene.commit("2");
    let limits = FetchLimits {
        response_bytes: 100_000,
        ..FetchLimits::HOST
    };
    let error = fetch(
        &open(SourceConfig {
            fetch_limits: limits,
            ..scene.good()
        })
        .unwrap(),
    )
    .unwrap_err();
    assert!(
        matches!(&error, SourceError::Limit { which, .. } if which.contains("response_bytes")),
        "{error}"
    );
    assert_eq!(left_over(scene.sshd.dir()).unwrap(), Vec::<String>::new());
}

#[test]
fn a_server_that_is_away_or_has_no_name_is_unreachable_and_tried_again() {
    let mut scene = Scene::new();
    let source = open(scene.good()).unwrap();
    fetch(&source).unwrap();
    scene.commit("2");
    scene.sshd.stop();
    let away = fetch(&source).unwrap_err();
    assert!(away.to_string().contains("Connection refused"), "{away}");
    let key = scene.sshd.host_key("ed25519").unwrap();
    let known = scene
        .sshd
        .known_hosts(&format!("nope.invalid {key}"))
        .unwrap();
    let unknown = open(scene.config("git@nope.invalid:x", &scene.key, &known)).unwrap();
    let unknown = fetch(&unknown).unwrap_err();
    assert!(
        unknown.to_string().contains("does not resolve"),
        "{unknown}"
    );
    for error in [away, unknown] {
        assert!(
            matches!(error, SourceError::Unreachable { .. }),
            "{error:?}"
        );
        assert_eq!(
            (error.fault(), error.retry()),
            (Fault::Host, Retry::Backoff)
        );
    }
    assert_eq!(text(&source), "1");
    scene.sshd.again().unwrap();
    fetch(&source).unwrap();
    assert_eq!(text(&source), "2");
}
