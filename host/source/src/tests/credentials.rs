//! Credentials: read anew at each fetch, and in no message of any failure.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use super::git::{config, fetch, open};
use super::refusals::{basic, token};
use super::remote::Rig;
use super::server::{Reply, Server, backend};
use super::tls;
use crate::{CredentialsFrom, FetchLimits, HttpOptions, RefChange, SourceConfig, SourceError};

/// The secret as it is, and as `ann:hunter2` and `x-access-token:hunter2` are sent.
const FORMS: [&str; 3] = [
    "hunter2",
    "YW5uOmh1bnRlcjI",
    "eC1hY2Nlc3MtdG9rZW46aHVudGVyMg",
];

/// An error and all that caused it, in no form of which a credential may be.
fn silent(name: &str, config: SourceConfig) {
    for credentials in [basic("ann", "hunter2"), token("hunter2")] {
        let config = SourceConfig {
            credentials,
            ..config.clone()
        };
        let error = match open(config) {
            Ok(source) => {
                let result = fetch(&source);
                let url = source.url();
                assert!(!FORMS.iter().any(|form| url.contains(form)), "{url}");
                result.unwrap_err()
            }
            Err(error) => error,
        };
        let mut said = format!("{error} {error:?} {error:#?}");
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            said.push_str(&format!(" {next} {next:?}"));
            cause = next.source();
        }
        for form in FORMS {
            assert!(!said.contains(form), "{name}: {said}");
        }
    }
}

#[test]
fn no_failure_on_any_way_to_a_server_repeats_a_credential() {
    let rig = Rig::with(&[("a", "1")]);
    let answers = |reply: fn() -> Reply| rig.server.answer(move |_| reply());
    for (name, reply) in [
        ("401", (|| Reply::status(401)) as fn() -> Reply),
        ("401 and asks for Basic", || {
            Reply::status(401).with("WWW-Authenticate", "Basic realm=\"hunter2\"")
        }),
        ("403", || Reply::status(403)),
        ("404", || Reply::status(404)),
        ("407", || Reply::status(407)),
        ("429", || Reply::status(429)),
        ("500", || Reply::status(500)),
        ("a redirect", || {
            let to = "https://ann:hunter2@elsewhere.example/x?token=hunter2#hunter2";
            Reply::status(302).with("Location", to)
        }),
        ("a redirect to nothing", || Reply::status(302)),
        ("no Git", || Reply {
            body: b"<html>hunter2</html>".to_vec(),
            ..Reply::status(200)
        }),
        ("broken off", || Reply {
            cut: Some(3),
            body: b"hunter2".to_vec(),
            ..Reply::status(200)
        }),
    ] {
        answers(reply);
        silent(name, rig.config());
    }
    rig.server.answer(|_| Reply {
        silent: true,
        ..Reply::default()
    });
    let http = HttpOptions {
        read_timeout: Duration::from_millis(50),
        ..HttpOptions::host()
    };
    silent(
        "silence",
        SourceConfig {
            http,
            ..rig.config()
        },
    );
    let fetch_limits = FetchLimits {
        deadline: Duration::from_millis(50),
        ..FetchLimits::HOST
    };
    silent(
        "the deadline",
        SourceConfig {
            fetch_limits,
            ..rig.config()
        },
    );
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let elsewhere = |url: &str| config(url, "main", rig.cache.path());
    silent("nobody listens", elsewhere(&format!("http://{gone}/x")));
    silent("no such name", elsewhere("https://nope.invalid/x"));
    silent(
        "TLS at a plain server",
        elsewhere(&format!("https://{}/x", rig.server.address)),
    );
    let tls = tls::rig(false);
    silent("a certificate of nobody", tls.config(HttpOptions::host()));
    let plain = elsewhere(&format!("http://{}/x", tls.server.address));
    silent("plain at a TLS server", plain);
    let seen = rig.server.take_seen();
    assert!(
        seen.iter().any(|r| r.header("authorization").is_some()),
        "they were shown"
    );
}

#[test]
fn a_token_or_a_password_that_is_rotated_on_disk_is_used_by_the_same_source() {
    let rig = Rig::with(&[("a", "1")]);
    let file = rig.cache.path().join("secret");
    let root = rig.root();
    // x-access-token is never asked for: each is sent as it is.
    rig.server
        .answer(move |request| match request.header("authorization") {
            // ann:second
            Some("Bearer second" | "Basic YW5uOnNlY29uZA==") => backend(&root, request),
            _ => Reply::status(401),
        });
    for from in [
        CredentialsFrom::TokenFile(file.clone()),
        CredentialsFrom::PasswordFile {
            user: "ann".into(),
            file: file.clone(),
        },
    ] {
        std::fs::write(&file, "first\n").unwrap();
        let source = open(SourceConfig {
            credentials: Some(from),
            ..rig.config()
        })
        .unwrap();
        let error = fetch(&source).unwrap_err();
        assert!(matches!(error, SourceError::Unauthorized { .. }), "{error}");
        std::fs::write(&file, "second\n").unwrap();
        fetch(&source).unwrap();
        // While a volume is changed there may be no file: that is said, and nothing is sent without it.
        std::fs::remove_file(&file).unwrap();
        rig.server.take_seen();
        let error = fetch(&source).unwrap_err();
        assert!(
            error.to_string().contains(file.to_str().unwrap()),
            "{error}"
        );
        assert!(rig.server.take_seen().is_empty());
    }
}

#[test]
fn a_token_that_is_rotated_in_the_middle_of_a_fetch_is_read_once_more() {
    let rig = Rig::with(&[("a", "1")]);
    let file = rig.cache.path().join("secret");
    std::fs::write(&file, "first").unwrap();
    let (root, rotated) = (rig.root(), file.clone());
    rig.server.answer(move |request| {
        let shown = request.header("authorization").unwrap_or_default();
        if shown == "Bearer first" && request.method == "GET" {
            // It is good for this one request.
            std::fs::write(&rotated, "second").unwrap();
            return backend(&root, request);
        }
        match shown {
            "Bearer second" => backend(&root, request),
            _ => Reply::status(401),
        }
    });
    let source = open(SourceConfig {
        credentials: Some(CredentialsFrom::TokenFile(file.clone())),
        ..rig.config()
    })
    .unwrap();
    assert_eq!(fetch(&source).unwrap().change, RefChange::First);
    // One that is wrong for good is shown once, and not again and again.
    std::fs::write(&file, "third").unwrap();
    rig.server.take_seen();
    fetch(&source).unwrap_err();
    assert_eq!(rig.server.take_seen().len(), 1);
}

#[test]
fn a_file_that_is_no_secret_is_refused_when_a_source_is_opened() {
    let rig = Rig::with(&[("a", "1")]);
    let refused = |file: &Path| {
        let config = SourceConfig {
            credentials: Some(CredentialsFrom::TokenFile(file.to_owned())),
            ..rig.config()
        };
        open(config).map(drop).unwrap_err().to_string()
    };
    let file = rig.cache.path().join("secret");
    assert!(refused(&file).contains("reading the token file"));
    for (content, said) in [
        (String::new(), "the token is empty"),
        (
            "hunter2 hunter2\n".to_owned(),
            "not one line of visible ASCII",
        ),
        ("x".repeat(70_000), "more than 65536 bytes"),
    ] {
        std::fs::write(&file, content).unwrap();
        let error = refused(&file);
        assert!(
            error.contains(said) && !error.contains("hunter2"),
            "{error}"
        );
    }
}

#[test]
fn what_is_shown_to_one_server_is_shown_to_it_alone_by_scheme_host_and_port() {
    let first = Rig::with(&[("a", "1")]);
    let second = Server::new(|_| Reply::status(401));
    let source = open(SourceConfig {
        credentials: token("hunter2"),
        ..first.config()
    })
    .unwrap();
    assert_eq!(fetch(&source).unwrap().change, RefChange::First);
    assert!(
        first
            .server
            .take_seen()
            .iter()
            .all(|r| r.header("authorization") == Some("Bearer hunter2"))
    );
    let none = open(config(&second.url("/x"), "main", first.cache.path())).unwrap();
    fetch(&none).unwrap_err();
    assert!(
        second
            .take_seen()
            .iter()
            .all(|r| r.header("authorization").is_none())
    );
}
