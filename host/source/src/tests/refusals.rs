//! Servers that refuse, mislead, stall or flood.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use weir_core::fault::{Blame as _, Retry};

use super::git::{config, fetch, open};
use super::remote::Rig;
use super::server::{Reply, Server, backend};
use crate::{
    Credentials, CredentialsFrom, FetchLimits, HttpOptions, RefChange, Secret, SourceConfig,
    SourceError,
};

pub(super) fn token(text: &str) -> Option<CredentialsFrom> {
    let token = Credentials::Token(Secret::new(text));
    Some(CredentialsFrom::Given(token))
}

pub(super) fn basic(user: &str, password: &str) -> Option<CredentialsFrom> {
    Some(CredentialsFrom::Given(Credentials::Basic {
        user: user.into(),
        password: Secret::new(password),
    }))
}

/// What a source that is asked says, the secret not in it.
pub(super) fn error(config: SourceConfig) -> SourceError {
    let error = open(config).and_then(|s| fetch(&s)).unwrap_err();
    assert!(
        !format!("{error} {error:?}").contains("hunter2"),
        "{error:?}"
    );
    error
}

#[test]
fn each_answer_of_a_server_has_its_own_error() {
    let rig = Rig::with(&[("a", "1")]);
    let kind_of = |status| {
        rig.server.answer(move |_| Reply::status(status));
        error(rig.config()).kind()
    };
    for (status, kind) in [
        (401, "unauthorized"),
        (403, "unauthorized"),
        (404, "not-found"),
        (410, "not-found"),
        (407, "unreachable"),
        (429, "unreachable"),
        (500, "unreachable"),
        (503, "unreachable"),
        (204, "unreachable"),
    ] {
        assert_eq!(kind_of(status), kind, "{status}");
    }
    rig.server.answer(|_| Reply {
        status: 200,
        body: b"<html>hello</html>".to_vec(),
        ..Reply::default()
    });
    let not_git = error(rig.config());
    assert!(matches!(not_git, SourceError::NotFound { .. }), "{not_git}");
    assert!(
        not_git.to_string().contains("not as a Git server"),
        "{not_git}"
    );
    let advertisement = "application/x-git-upload-pack-advertisement";
    rig.server.answer(move |_| {
        Reply {
            body: b"zzzz".to_vec(),
            ..Reply::status(200)
        }
        .with("Content-Type", advertisement)
    });
    assert_eq!(error(rig.config()).kind(), "unreachable");
}

#[test]
fn the_real_back_end_says_404_for_a_repository_that_is_not_there() {
    let rig = Rig::with(&[("a", "1")]);
    let error = error(config(
        &rig.server.url("/nope.git"),
        "main",
        rig.cache.path(),
    ));
    assert!(matches!(error, SourceError::NotFound { .. }), "{error}");
}

#[test]
fn a_dead_server_and_an_unknown_host_are_unreachable_and_tried_again() {
    let rig = Rig::with(&[("a", "1")]);
    let address = Server::new(|_| Reply::status(200)).address; // Closed again at once.
    let dead = error(config(
        &format!("http://{address}/x"),
        "main",
        rig.cache.path(),
    ));
    let unknown = error(config("http://nope.invalid/x", "main", rig.cache.path()));
    for error in [dead, unknown] {
        assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
        assert_eq!(error.retry(), Retry::Backoff);
    }
}

#[test]
fn a_silent_server_is_given_up() {
    let rig = Rig::with(&[("a", "1")]);
    rig.server.answer(|_| Reply {
        silent: true,
        ..Reply::default()
    });
    let quick = HttpOptions {
        read_timeout: Duration::from_millis(50),
        ..HttpOptions::host()
    };
    let by_read = error(SourceConfig {
        http: quick,
        ..rig.config()
    });
    let limits = FetchLimits {
        deadline: Duration::from_millis(50),
        ..FetchLimits::HOST
    };
    let by_deadline = error(SourceConfig {
        fetch_limits: limits,
        ..rig.config()
    });
    for error in [by_read, by_deadline] {
        assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    }
}

#[test]
fn basic_credentials_and_tokens_are_accepted_or_refused_by_the_server() {
    let rig = Rig::with(&[("a", "1")]);
    let root = rig.root();
    rig.server
        .answer(move |request| match request.header("authorization") {
            // ann:hunter2
            Some("Basic YW5uOmh1bnRlcjI=" | "Bearer hunter2") => backend(&root, request),
            _ => Reply::status(401),
        });
    let with = |credentials| SourceConfig {
        credentials,
        ..rig.config()
    };
    for good in [
        basic("ann", "hunter2"),
        token("hunter2"),
        token("hunter2\n"),
    ] {
        fetch(&open(with(good)).unwrap()).unwrap();
    }
    assert!(
        rig.server
            .take_seen()
            .iter()
            .all(|r| r.header("authorization").is_some()),
        "POST as well as GET"
    );
    for bad in [basic("ann", "hunter22"), token("hunter22")] {
        let error = error(with(bad));
        assert!(
            matches!(error, SourceError::Unauthorized { status: 401, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("wrong, expired"), "{error}");
    }
    let none = error(with(None));
    assert!(none.to_string().contains("give credentials"), "{none}");
    let broken = open(with(token("hunter2 x"))).err().unwrap();
    assert!(
        matches!(broken, SourceError::BadUrl { .. }) && !broken.to_string().contains("hunter2"),
        "{broken}"
    );
}

#[test]
fn a_token_is_sent_as_basic_to_a_server_that_asks_for_it() {
    let rig = Rig::with(&[("a", "1")]);
    let root = rig.root();
    rig.server
        .answer(move |request| match request.header("authorization") {
            // x-access-token:hunter2
            Some("Basic eC1hY2Nlc3MtdG9rZW46aHVudGVyMg==") => backend(&root, request),
            _ => Reply::status(401).with("WWW-Authenticate", "Basic realm=\"Git\""),
        });
    let source = open(SourceConfig {
        credentials: token("hunter2"),
        ..rig.config()
    })
    .unwrap();
    fetch(&source).unwrap();
    let refused = rig
        .server
        .take_seen()
        .iter()
        .filter(|r| r.header("authorization").unwrap().starts_with("Bearer"))
        .count();
    assert_eq!(refused, 1, "learned at once");
}

#[test]
fn a_flood_ends_at_the_byte_limit() {
    let rig = Rig::with(&[("a", "1")]);
    let limits = FetchLimits {
        response_bytes: 200,
        ..FetchLimits::HOST
    };
    let error_small = error(SourceConfig {
        fetch_limits: limits,
        ..rig.config()
    });
    assert!(
        matches!(&error_small, SourceError::Limit { which, .. } if which.contains("response_bytes")),
        "{error_small}"
    );
    // A few kilobytes that unpack to 100 MB count as what they unpack to.
    let bomb = gzip(&vec![b'0'; 100 << 20]);
    assert!(bomb.len() < 200_000);
    let advertisement = "application/x-git-upload-pack-advertisement";
    rig.server.answer(move |_| {
        Reply {
            body: bomb.clone(),
            ..Reply::status(200)
        }
        .with("Content-Type", advertisement)
        .with("Content-Encoding", "gzip")
    });
    let limits = FetchLimits {
        response_bytes: 1 << 20,
        ..FetchLimits::HOST
    };
    let error = error(SourceConfig {
        fetch_limits: limits,
        ..rig.config()
    });
    assert!(
        matches!(
            error,
            SourceError::Limit { .. } | SourceError::Unreachable { .. }
        ),
        "{error}"
    );
}

#[test]
fn an_answer_in_gzip_is_understood() {
    let rig = Rig::with(&[("a", "1")]);
    let root = rig.root();
    rig.server.answer(move |request| {
        let reply = backend(&root, request);
        assert!(
            request
                .header("accept-encoding")
                .is_some_and(|e| e.contains("gzip"))
        );
        Reply {
            body: gzip(&reply.body),
            ..reply
        }
        .with("Content-Encoding", "gzip")
    });
    assert_eq!(fetch(&rig.source()).unwrap().change, RefChange::First);
}

#[test]
fn an_object_above_the_limit_is_not_taken_in() {
    let big = "x".repeat(2 << 20);
    let rig = Rig::with(&[("big", &big)]);
    let limits = FetchLimits {
        object_bytes: 1 << 20,
        ..FetchLimits::HOST
    };
    let error = error(SourceConfig {
        fetch_limits: limits,
        ..rig.config()
    });
    assert!(matches!(error, SourceError::Limit { .. }), "{error}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "a gzip that is not the one under test"
)]
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let out = child.wait_with_output().unwrap().stdout;
    feeder.join().unwrap();
    out
}
