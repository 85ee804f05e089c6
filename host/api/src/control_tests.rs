//! Tests of the control socket: both ends in one process.

use std::path::PathBuf;

use tokio::net::UnixListener;
use tokio::sync::oneshot;

use super::*;
use crate::serve::{ApiLimits, serve};

/// Answers each of its repositories with what it is given for it, or never.
struct Scripted(BTreeMap<RepositoryName, Option<Result<Refreshed, Stopping>>>);

impl Control for Scripted {
    fn repositories(&self) -> Vec<RepositoryName> {
        self.0.keys().cloned().collect()
    }

    async fn refresh(&self, repository: RepositoryName) -> Result<Refreshed, Stopping> {
        match &self.0[&repository] {
            Some(answer) => answer.clone(),
            None => std::future::pending().await,
        }
    }

    /// An app named `no` is refused.
    async fn decide(&self, asked: Asked) -> Result<(), NotDecided> {
        match asked.app.as_str() {
            "no" => Err(NotDecided::Refused("app no is not held".to_owned())),
            "stop" => Err(NotDecided::Stopping),
            _ => Ok(()),
        }
    }
}

fn approval(repository: &str, app: &str, why: Option<String>) -> Asked {
    let hold = weir_core::digest::Digest::of(b"hold");
    Asked {
        repository: name(repository),
        app: app.parse().unwrap(),
        ask: weir_core::decision::Ask::Approve { hold },
        by: "ann".to_owned(),
        why,
    }
}

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

fn at(n: u8) -> Refreshed {
    Refreshed {
        commit: Some(CommitId::from_bytes([n; 20])),
        ..Refreshed::default()
    }
}

struct Host {
    dir: tempfile::TempDir,
    _stop: oneshot::Sender<()>,
}

impl Host {
    fn socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }
}

async fn host(answer: Option<Result<Refreshed, Stopping>>, within: Duration) -> Host {
    hosting([("shop", answer)], within)
}

fn hosting<const N: usize>(
    answers: [(&str, Option<Result<Refreshed, Stopping>>); N],
    within: Duration,
) -> Host {
    let answers = answers.map(|(repository, answer)| (name(repository), answer));
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("control.sock")).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let router = router(Scripted(answers.into()), within);
    tokio::spawn(serve(listener, router, ApiLimits::HOST, async move {
        let _ = stopped.await;
    }));
    Host { dir, _stop: stop }
}

#[tokio::test]
async fn what_a_refresh_came_to_arrives_as_it_was_said() {
    for refreshed in [
        Refreshed {
            commit: Some(CommitId::from_bytes([7; 20])),
            ..Refreshed::default()
        },
        Refreshed {
            problem: Some("the server is away".to_owned()),
            ..Refreshed::default()
        },
    ] {
        let host = host(Some(Ok(refreshed.clone())), ANSWER_WITHIN).await;
        assert_eq!(
            ask_refresh(&host.socket(), &[]).await.unwrap(),
            [(name("shop"), refreshed)].into()
        );
    }
}

#[tokio::test]
async fn a_host_that_stops_says_so() {
    let host = host(Some(Err(Stopping)), ANSWER_WITHIN).await;
    let error = ask_refresh(&host.socket(), &[]).await.unwrap_err();
    assert!(
        matches!(&error, ControlError::Refused(why) if why.contains("stopping")),
        "{error}"
    );
}

#[tokio::test]
async fn a_fetch_without_end_is_answered_all_the_same() {
    let host = host(None, Duration::from_millis(20)).await;
    let error = ask_refresh(&host.socket(), &[]).await.unwrap_err();
    assert!(
        matches!(&error, ControlError::Refused(why) if why.contains("goes on")),
        "{error}"
    );
}

#[tokio::test]
async fn no_socket_and_a_stale_one_both_mean_no_host() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("control.sock");
    let none = ask_refresh(&socket, &[]).await.unwrap_err();
    assert!(matches!(none, ControlError::NoHost), "{none}");
    drop(UnixListener::bind(&socket).unwrap());
    let stale = ask_refresh(&socket, &[]).await.unwrap_err();
    assert!(matches!(stale, ControlError::NoHost), "{stale}");
    assert!(!is_listening(&socket).await);
}

#[tokio::test]
async fn something_else_behind_the_socket_is_no_answer() {
    use tokio::io::AsyncWriteExt as _;
    for words in [
        &b""[..],
        b"hello\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("control.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(words).await;
        });
        let error = ask_refresh(&socket, &[]).await.unwrap_err();
        assert!(matches!(error, ControlError::NoAnswer(_)), "{error}");
    }
}

#[tokio::test]
async fn only_a_post_to_the_one_path_refreshes() {
    use tower::ServiceExt as _;
    for (method, path, expected) in [
        (Method::POST, REFRESH, StatusCode::OK),
        (Method::GET, REFRESH, StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/v1/other", StatusCode::NOT_FOUND),
    ] {
        let router = router(Scripted(BTreeMap::new()), ANSWER_WITHIN);
        let request = Request::builder().method(&method).uri(path);
        let request = request.body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), expected, "{method} {path}");
    }
}

#[tokio::test]
async fn all_are_refreshed_or_only_those_that_are_named() {
    let host = hosting(
        [
            ("a", Some(Ok(at(1)))),
            ("b", Some(Ok(at(2)))),
            ("c", Some(Ok(at(3)))),
        ],
        ANSWER_WITHIN,
    );
    let all = ask_refresh(&host.socket(), &[]).await.unwrap();
    assert_eq!(
        all.keys().map(RepositoryName::as_str).collect::<String>(),
        "abc"
    );
    let two = ask_refresh(&host.socket(), &[name("c"), name("a")])
        .await
        .unwrap();
    assert_eq!(two, [(name("a"), at(1)), (name("c"), at(3))].into());
}

#[tokio::test]
async fn a_name_that_is_not_followed_is_said_with_those_that_are() {
    let host = hosting([("a", Some(Ok(at(1)))), ("b", None)], ANSWER_WITHIN);
    let error = ask_refresh(&host.socket(), &[name("a"), name("shop")])
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the host answers: no repository \"shop\" is followed here; there are: a, b"
    );
}

#[tokio::test]
async fn one_fetch_without_end_hides_no_other_one() {
    let host = hosting(
        [("a", Some(Ok(at(1)))), ("b", None)],
        Duration::from_millis(20),
    );
    let all = ask_refresh(&host.socket(), &[]).await.unwrap();
    assert_eq!(all[&name("a")], at(1));
    assert_eq!(all[&name("b")].problem.as_deref(), Some(STILL_GOING));
}

#[tokio::test]
async fn a_decision_arrives_and_a_refusal_comes_back_in_its_words() {
    let host = host(None, ANSWER_WITHIN).await;
    let long = Some("x".repeat(weir_core::decision::WHY_CHARS + 1));
    for (asked, expected) in [
        (approval("shop", "yes", None), Ok(())),
        (approval("shop", "no", None), Err("app no is not held")),
        (approval("shop", "stop", None), Err("the host is stopping")),
        (
            approval("other", "yes", None),
            Err("no repository other is followed here"),
        ),
        (
            approval("shop", "yes", long),
            Err("why: expected at most 1000 characters"),
        ),
    ] {
        let answer = crate::ask_decide(&host.socket(), &asked).await;
        let expected = expected.map_err(|text| format!("the host answers: {text}"));
        assert_eq!(answer.map_err(|e| e.to_string()), expected);
    }
}

#[tokio::test]
async fn a_decision_that_is_no_decision_or_too_large_is_refused() {
    let host = host(None, ANSWER_WITHIN).await;
    for (body, status) in [
        (b"{}".to_vec(), StatusCode::BAD_REQUEST),
        (b"not JSON".to_vec(), StatusCode::BAD_REQUEST),
        (vec![b' '; BODY_BYTES + 1], StatusCode::BAD_REQUEST),
    ] {
        let (answered, text) = post_json(&host.socket(), DECIDE, body).await.unwrap();
        assert_eq!(answered, status, "{}", String::from_utf8_lossy(&text));
    }
}
