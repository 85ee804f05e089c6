//! Redirects: within the origin, and never a step out of it, whatever the location is made to look like.

use weir_core::fault::{Blame as _, Retry};

use super::git::{config, fetch, open};
use super::refusals::{basic, error, token};
use super::remote::Rig;
use super::server::{Reply, Server, backend};
use super::tls;
use crate::{HttpOptions, RefChange, SourceConfig, SourceError};

const REFS: &str = "/.git/info/refs?service=git-upload-pack";

#[test]
fn a_redirect_to_another_origin_is_an_error_that_names_it_and_carries_no_credentials() {
    let rig = Rig::with(&[("a", "1")]);
    let root = rig.root();
    let other = Server::new(move |request| backend(&root, request));
    for status in [301, 302, 303, 307, 308] {
        for target in [
            other.url("/.git/info/refs?service=git-upload-pack"),
            format!("//{}/.git/info/refs?service=git-upload-pack", other.address),
            format!(
                "http://ann:hunter2@{}/.git/info/refs?service=git-upload-pack",
                rig.server.address
            ),
        ] {
            rig.server
                .answer(move |_| Reply::status(status).with("Location", &target));
            let error = error(SourceConfig {
                credentials: basic("ann", "hunter2"),
                ..rig.config()
            });
            assert!(
                matches!(&error, SourceError::BadUrl { why, .. } if why.contains("/.git;")),
                "{error}"
            );
            assert_eq!(error.retry(), Retry::OnChange);
        }
    }
    assert_eq!(
        other.take_seen().len(),
        0,
        "the other server was never asked"
    );
}

#[test]
fn a_redirect_within_the_origin_is_followed_for_the_first_request() {
    let rig = Rig::with(&[("a", "1")]);
    let root = rig.root();
    let address = rig.server.address;
    rig.server
        .answer(move |request| match request.path.as_str() {
            "/old/info/refs" => {
                Reply::status(301).with("Location", "/older/info/refs?service=git-upload-pack")
            }
            "/older/info/refs" => Reply::status(302).with(
                "Location",
                &format!("http://{address}/.git/info/refs?service=git-upload-pack"),
            ),
            path if path.starts_with("/.git/") => backend(&root, request),
            _ => Reply::status(404),
        });
    let source = open(SourceConfig {
        credentials: token("t"),
        ..config(&rig.server.url("/old"), "main", rig.cache.path())
    });
    assert_eq!(fetch(&source.unwrap()).unwrap().change, RefChange::First);
    // Round and round, and to something that is not a repository.
    let same = "/old/info/refs?service=git-upload-pack";
    for target in [same, "/login", "?", "http://[", ""] {
        rig.server
            .answer(move |_| Reply::status(302).with("Location", target));
        let error = error(config(&rig.server.url("/old"), "main", rig.cache.path()));
        assert!(
            matches!(error, SourceError::BadUrl { .. }),
            "{target:?}: {error}"
        );
    }
}

#[test]
fn a_redirect_of_the_second_request_is_not_followed() {
    let rig = Rig::with(&[("a", "1")]);
    let root = rig.root();
    rig.server
        .answer(move |request| match request.method.as_str() {
            "POST" => Reply::status(307).with("Location", "/.git/git-upload-pack?x"),
            _ => backend(&root, request),
        });
    let error = error(rig.config());
    assert!(matches!(error, SourceError::BadUrl { .. }), "{error}");
}

#[test]
fn no_way_to_write_a_location_leads_to_another_host_port_or_scheme() {
    let rig = Rig::with(&[("a", "1")]);
    let root = rig.root();
    let other = Server::new(move |request| backend(&root, request));
    let (here, there) = (rig.server.address, other.address);
    let port = there.port();
    for target in [
        // Another port, another name of this machine, another scheme.
        format!("http://{there}{REFS}"),
        format!("http://localhost:{}{REFS}", here.port()),
        format!("http://localhost:{port}{REFS}"),
        format!("https://{here}{REFS}"),
        format!("HTTP://{there}{REFS}"),
        format!("ssh://git@{here}{REFS}"),
        format!("file:///etc/passwd{REFS}"),
        // What one reader takes for the host and another for user, query or path.
        format!("http://{here}?@{there}{REFS}"),
        format!("http://{here}#@{there}{REFS}"),
        format!("http://{here}\\@{there}{REFS}"),
        format!("http://{here}/\\@{there}{REFS}"),
        format!("http://{here}@{there}{REFS}"),
        format!("http://{here}:x@{there}{REFS}"),
        format!("http://ann:hunter2@{here}@{there}{REFS}"),
        format!("http://{here}%2f@{there}{REFS}"),
        format!("http://@{there}{REFS}"),
        format!("http:\\\\{there}{REFS}"),
        format!("http:/{there}{REFS}"),
        format!("http:{there}{REFS}"),
        format!("//{there}{REFS}"),
        format!("///{there}{REFS}"),
        format!("/\\{there}{REFS}"),
        format!("\\\\{there}{REFS}"),
        format!("/\t/{there}{REFS}"),
        format!("\t//{there}{REFS}"),
        format!(" http://{there}{REFS}"),
        format!("@{there}{REFS}"),
        format!(":{port}{REFS}"),
    ] {
        let (location, root) = (target.clone(), rig.root());
        rig.server
            .answer(move |request| match request.path.as_str() {
                "/start/info/refs" => Reply::status(302).with("Location", &location),
                _ => backend(&root, request),
            });
        let credentials = basic("ann", "hunter2");
        let start = rig.server.url("/start");
        let mut config = config(&start, "main", rig.cache.path());
        config.credentials = credentials;
        let error = error(config);
        assert!(
            matches!(
                error,
                SourceError::BadUrl { .. }
                    | SourceError::NotFound { .. }
                    | SourceError::Unreachable { .. }
            ),
            "{target:?}: {error}"
        );
        assert_eq!(other.take_seen().len(), 0, "{target:?}");
    }
}

#[test]
fn a_token_in_the_query_of_a_redirect_is_not_repeated() {
    let rig = Rig::with(&[("a", "1")]);
    for target in [
        "https://elsewhere.example/x?sig=hunter2&se=1",
        "https://elsewhere.example/x#hunter2",
        "https://ann:hunter2@elsewhere.example/x",
        "https://hunter2@elsewhere.example/x",
        "/x?private_token=hunter2",
        "//ann:hunter2@elsewhere.example/x",
        "https://ann:hunter2\\@elsewhere.example/x?hunter2",
    ] {
        rig.server
            .answer(move |_| Reply::status(302).with("Location", target));
        // Looks for the secret itself.
        let error = error(rig.config());
        assert!(matches!(error, SourceError::BadUrl { .. }), "{error}");
    }
}

#[test]
fn https_never_becomes_http_and_http_never_https() {
    let tls = tls::rig(false);
    let plain = Rig::with(&[("a", "1")]);
    let to = plain.server.url(REFS);
    tls.server
        .answer(move |_| Reply::status(301).with("Location", &to));
    let http = HttpOptions {
        ca_file: tls.ca_file(),
        ..HttpOptions::host()
    };
    let downgraded = error(SourceConfig {
        credentials: token("hunter2"),
        ..tls.config(http)
    });
    let to = format!("https://localhost:{}{REFS}", tls.server.address.port());
    plain
        .server
        .answer(move |_| Reply::status(301).with("Location", &to));
    tls.server.take_seen();
    let upgraded = error(SourceConfig {
        credentials: token("hunter2"),
        ..plain.config()
    });
    for error in [downgraded, upgraded] {
        assert!(matches!(error, SourceError::BadUrl { .. }), "{error}");
        assert!(
            error.to_string().contains("write that URL instead"),
            "{error}"
        );
    }
    assert_eq!(tls.server.take_seen().len(), 0);
    let shown = plain.server.take_seen();
    assert_eq!(shown.len(), 1, "asked once, as the repository itself");
}
