//! Webhooks, from requests of every kind to what the host is asked, also over real sockets.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axum::Router;
use axum::http::Method;
use axum::http::request::Builder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt as _;

use super::*;
use crate::routes::router;
use crate::serve::{ApiLimits, serve};
use crate::view::{ReadModel, View};

/// GitHub's own example.
const SECRET: &str = "It's a Secret to Everybody";
const BODY: &str = "Hello, World!";
const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
const QUICK: Duration = Duration::from_millis(100);

/// `shop` and `docs` follow GitHub, each with its own secret, `asleep` is suspended, `last` is asked of a host that stops.
struct Told(mpsc::UnboundedSender<RepositoryName>);

impl Hooks for Told {
    fn keys(&self, repository: &RepositoryName) -> Option<Keys> {
        let secret = match repository.as_str() {
            "shop" | "asleep" | "last" => SECRET,
            "docs" => "another secret of another hook",
            _ => return None,
        };
        let mut keys = Keys::of(Forge::Github);
        keys.add(secret.as_bytes()).unwrap();
        Some(keys)
    }

    fn look(&self, repository: &RepositoryName) -> Looks {
        match repository.as_str() {
            "asleep" => Looks::Suspended,
            "last" => Looks::Stopping,
            _ => {
                self.0.send(repository.clone()).unwrap();
                Looks::Asked
            }
        }
    }
}

struct Scene {
    router: Router,
    model: ReadModel,
    looks: mpsc::UnboundedReceiver<RepositoryName>,
    _view: watch::Sender<Arc<View>>,
}

impl Scene {
    fn new() -> Scene {
        Scene::within(Duration::from_secs(30))
    }

    fn within(body_time: Duration) -> Scene {
        let (send, looks) = mpsc::unbounded_channel();
        let view = View {
            ready: Ok(()),
            repositories: Vec::new(),
        };
        let (sender, view) = watch::channel(Arc::new(view));
        let metrics = Metrics::new("1.2.3");
        let model = ReadModel::new(view, metrics.clone());
        let webhooks = Webhooks::within(Told(send), metrics, body_time);
        Scene {
            router: router(model.clone(), Some(webhooks)),
            model,
            looks,
            _view: sender,
        }
    }

    async fn send(&self, request: Request) -> (StatusCode, HeaderMap, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        (parts.status, parts.headers, text)
    }

    async fn deliver(&self, name: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let mut request = post(name);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (status, _, text) = self.send(request.body(BODY.into()).unwrap()).await;
        (status.as_u16(), text)
    }

    /// How many looks were asked for since the last time.
    fn looks(&mut self) -> usize {
        std::iter::from_fn(|| self.looks.try_recv().ok()).count()
    }

    /// What is counted, `FORGE OUTCOME` with the number.
    fn counted(&self, forge: &str, outcome: &str, number: u64) {
        let text = self.model.metrics().encode(&self.model.view()).unwrap();
        let line = format!(
            "weir_webhook_requests_total{{forge=\"{forge}\",outcome=\"{outcome}\"}} {number}"
        );
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }

    async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let forever = std::future::pending();
        tokio::spawn(serve(
            listener,
            self.router.clone(),
            ApiLimits::HOST,
            forever,
        ));
        address
    }
}

fn post(name: &str) -> Builder {
    axum::http::Request::builder()
        .method(Method::POST)
        .uri(format!("/hooks/v1/{name}"))
}

fn signed(id: &str) -> [(&str, &str); 3] {
    [
        ("x-hub-signature-256", SIGNATURE),
        ("x-github-event", "push"),
        ("x-github-delivery", id),
    ]
}

/// The head of a delivery that is right, without what it says of its body.
fn head(name: &str, more: &str) -> String {
    format!(
        "POST /hooks/v1/{name} HTTP/1.1\r\nhost: x\r\nx-hub-signature-256: {SIGNATURE}\r\n{more}\r\n"
    )
}

/// What a server says to these bytes until it hangs up.
async fn said(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may answer and hang up before it has taken all of them.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_delivery_that_is_right_asks_for_one_look_and_the_same_one_again_for_none() {
    let mut scene = Scene::new();
    let accepted = (202, r#"{"result":"accepted"}"#.to_owned());
    let seen = (200, r#"{"result":"seen"}"#.to_owned());
    assert_eq!(scene.deliver("shop", &signed("a")).await, accepted);
    assert_eq!(scene.looks.recv().await.unwrap().as_str(), "shop");
    for _ in 0..3 {
        assert_eq!(scene.deliver("shop", &signed("a")).await, seen);
    }
    assert_eq!(scene.looks(), 0);
    assert_eq!(scene.deliver("shop", &signed("b")).await, accepted);
    // One without an id is new each time.
    for _ in 0..2 {
        let got = scene
            .deliver("shop", &[("x-hub-signature-256", SIGNATURE)])
            .await;
        assert_eq!(got, accepted);
    }
    assert_eq!(scene.looks(), 3);
    scene.counted("github", "accepted", 4);
    scene.counted("github", "seen", 3);
}

#[tokio::test]
async fn what_moves_no_ref_is_answered_well_and_asks_for_nothing() {
    let mut scene = Scene::new();
    for event in ["ping", "issues", "an event of the year 2040"] {
        let headers = [
            ("x-hub-signature-256", SIGNATURE),
            ("x-github-event", event),
        ];
        let ignored = (200, r#"{"result":"ignored"}"#.to_owned());
        assert_eq!(scene.deliver("shop", &headers).await, ignored, "{event}");
    }
    let suspended = (200, r#"{"result":"suspended"}"#.to_owned());
    assert_eq!(scene.deliver("asleep", &signed("a")).await, suspended);
    // It is no replay when the repository wakes up.
    assert_eq!(scene.deliver("asleep", &signed("a")).await, suspended);
    let (status, text) = scene.deliver("last", &signed("a")).await;
    assert_eq!(status, 503, "{text}");
    assert_eq!(scene.looks(), 0);
    scene.counted("github", "ignored", 3);
    scene.counted("github", "suspended", 2);
    scene.counted("github", "stopping", 1);
}

#[tokio::test]
async fn who_knows_no_secret_gets_the_same_answer_for_every_name() {
    let mut scene = Scene::new();
    let wrong = SIGNATURE.replace('7', "8");
    let ways = [
        vec![],
        vec![("x-hub-signature-256", wrong.as_str())],
        vec![("x-gitea-signature", &wrong[7..])],
        vec![("x-gitlab-token", SECRET)],
        vec![("x-hub-signature-256", "sha256=xyz")],
    ];
    let long = "x".repeat(500);
    for headers in ways {
        let mut answers = BTreeSet::new();
        for name in [
            "shop", "docs", "asleep", "absent", "NO.NAME", "%ff", "a%00b", &long,
        ] {
            let mut request = post(name);
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            let (status, all, text) = scene.send(request.body(BODY.into()).unwrap()).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{name} {headers:?}");
            answers.insert(format!("{all:?} {text}"));
        }
        assert_eq!(answers.len(), 1, "{headers:?}: {answers:#?}");
    }
    assert_eq!(scene.looks(), 0);
    scene.counted("unknown", "unsigned", 8);
}

#[tokio::test]
async fn the_secret_of_one_repository_opens_no_other() {
    let mut scene = Scene::new();
    assert_eq!(scene.deliver("docs", &signed("a")).await.0, 401);
    assert_eq!(scene.deliver("shop", &signed("a")).await.0, 202);
    assert_eq!(scene.looks(), 1);
    scene.counted("github", "wrong", 1);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_right_deliveries_is_a_few_looks_and_one_that_comes_after_them() {
    let mut scene = Scene::new();
    for n in 0..50 {
        let id = n.to_string();
        assert_eq!(scene.deliver("shop", &signed(&id)).await.0, 202);
    }
    assert_eq!(scene.looks(), 5);
    // The other deliveries have their look, too: it is put off, not left out.
    assert_eq!(scene.looks.recv().await.unwrap().as_str(), "shop");
    assert_eq!(scene.looks(), 0, "one for all of them");
}

#[tokio::test]
async fn a_body_in_chunks_a_connection_for_several_and_one_that_waits_for_a_yes_are_all_taken() {
    let mut scene = Scene::new();
    let address = scene.listen().await;
    let chunked = head(
        "shop",
        "transfer-encoding: chunked\r\nconnection: close\r\n",
    );
    let chunked = chunked + "1\r\nH\r\n6\r\nello, \r\n6\r\nWorld!\r\n0\r\n\r\n";
    let answer = said(address, chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");

    let one = head("shop", "content-length: 13\r\n") + BODY;
    let last = head("shop", "content-length: 13\r\nconnection: close\r\n") + BODY;
    let answer = said(address, (one.clone() + &one + &last).as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 202").count(), 3, "{answer}");

    let mut stream = TcpStream::connect(address).await.unwrap();
    let waits = head("shop", "expect: 100-continue\r\ncontent-length: 13\r\n");
    stream.write_all(waits.as_bytes()).await.unwrap();
    let mut yes = [0; 25];
    stream.read_exact(&mut yes).await.unwrap();
    assert_eq!(&yes, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(BODY.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 202");
    assert_eq!(scene.looks(), 5);
}

#[tokio::test]
async fn who_waits_for_a_yes_without_a_signature_gets_a_no_before_the_body() {
    let scene = Scene::new();
    let address = scene.listen().await;
    let asks = "POST /hooks/v1/shop HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 13\r\n\r\n";
    let answer = said(address, asks.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

#[tokio::test]
async fn a_body_that_stops_coming_ends_with_its_time_and_one_that_breaks_off_at_once() {
    let mut scene = Scene::within(QUICK);
    let address = scene.listen().await;
    let slow = head("shop", "content-length: 13\r\n") + "Hello";
    let answer = said(address, slow.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    scene.counted("github", "slow", 1);
    // The same for a name that there is not.
    let slow = head("absent", "content-length: 13\r\n") + "Hello";
    let answer = said(address, slow.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");

    for broken in [
        head("shop", "transfer-encoding: chunked\r\n") + "5\r\nHello\r\nxyz\r\n",
        head(
            "shop",
            "content-length: 13\r\ntransfer-encoding: chunked\r\n",
        ) + "-1\r\n",
    ] {
        let answer = said(address, broken.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    // Fewer bytes than were said, and more: neither is what was signed.
    let fewer = head("shop", "content-length: 5\r\nconnection: close\r\n") + BODY;
    let answer = said(address, fewer.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert_eq!(scene.looks(), 0);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_before_it_comes_or_where_it_passes_it() {
    let mut scene = Scene::new();
    let address = scene.listen().await;
    let said_so = head("shop", "content-length: 26214401\r\n");
    let answer = said(address, said_so.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    scene.counted("unknown", "too-large", 1);

    // In chunks nothing says how long it is: it never ends, and the server hangs up.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let endless = head("shop", "transfer-encoding: chunked\r\n");
    stream.write_all(endless.as_bytes()).await.unwrap();
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
    let mut sent = 0;
    while stream.write_all(chunk.as_bytes()).await.is_ok() {
        sent += 1;
        assert!(sent < 100, "it takes a body without end");
    }
    assert!(sent >= 25, "it hung up after {sent} MiB");
    scene.counted("github", "too-large", 1);
    assert_eq!(scene.looks(), 0);
}
