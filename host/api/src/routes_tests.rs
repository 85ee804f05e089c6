//! The routes, asked the way a client asks them.

use axum::body::{Body, to_bytes};
use axum::http::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;
use weir_core::digest::{CommitId, Digest};
use weir_core::fault::Fault;

use super::*;
use crate::metrics::{CanaryResult, FetchResult, Metrics, RenderResult, SyncResult};
use crate::view::{AppView, PublicUrl, View};

fn app(name: &str, state: weir_core::status::State) -> AppView {
    AppView {
        health: None,
        name: name.parse().unwrap(),
        target: Some("default".parse().unwrap()),
        state,
        commit: Some(CommitId::from_bytes([0xab; 20])),
        objects: 3,
        kept: 0,
        drifted: Vec::new(),
        output: Some(Digest::of(b"output")),
        message: None,
        since: 1_700_000_000,
        hold: None,
        record: None,
    }
}

fn view() -> View {
    use weir_core::status::State;
    let shop = RepositoryView {
        name: "shop".parse().unwrap(),
        url: PublicUrl::of("https://bot:s3cret@git.example/shop.git?token=s3cret"),
        reference: "main".into(),
        suspended: false,
        commit: Some(CommitId::from_bytes([0xab; 20])),
        fault: None,
        message: None,
        refused: None,
        apps: vec![app("web", State::Synced), app("db", State::Failed)],
        is_known: true,
        waiting: None,
        fetched: None,
    };
    let infra = RepositoryView {
        name: "infra".parse().unwrap(),
        url: PublicUrl::of("/srv/infra"),
        reference: "main".into(),
        suspended: false,
        commit: None,
        fault: Some(Fault::Host),
        message: Some("no such repository".into()),
        refused: None,
        apps: Vec::new(),
        is_known: true,
        waiting: None,
        fetched: None,
    };
    View {
        ready: Ok(()),
        repositories: vec![Arc::new(shop), Arc::new(infra)],
    }
}

fn model(view: View) -> (ReadModel, watch::Sender<Arc<View>>) {
    let (sender, receiver) = watch::channel(Arc::new(view));
    (ReadModel::new(receiver, Metrics::new("1.2.3")), sender)
}

async fn send(
    model: &ReadModel,
    request: axum::http::Request<Body>,
) -> (StatusCode, axum::http::HeaderMap, String) {
    let response = router(model.clone()).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    (
        parts.status,
        parts.headers,
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

fn request(method: Method, path: &str) -> axum::http::Request<Body> {
    axum::http::Request::builder()
        .method(method)
        .uri(path)
        .body(Body::empty())
        .unwrap()
}

async fn get_text(model: &ReadModel, path: &str) -> (StatusCode, String) {
    let (status, _, text) = send(model, request(Method::GET, path)).await;
    (status, text)
}

async fn get_json(model: &ReadModel, path: &str) -> (StatusCode, Value) {
    let (status, text) = get_text(model, path).await;
    (status, serde_json::from_str(&text).unwrap())
}

#[test]
fn every_route_is_in_the_table_and_says_who_may_use_it() {
    let table: Vec<_> = ROUTES
        .iter()
        .map(|route| (route.path, route.access))
        .collect();
    let expected = [
        ("/healthz", Access::Anyone),
        ("/readyz", Access::Anyone),
        ("/metrics", Access::Anyone),
        ("/api/v1/apps", Access::Anyone),
    ];
    assert_eq!(table, expected);
}

#[tokio::test]
async fn every_route_answers_a_get_and_refuses_what_would_change_something() {
    let (model, _sender) = model(view());
    for route in ROUTES {
        assert_eq!(
            get_text(&model, route.path).await.0,
            StatusCode::OK,
            "{}",
            route.path
        );
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let (status, _, text) = send(&model, request(method.clone(), route.path)).await;
            assert_eq!(
                status,
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {}",
                route.path
            );
            assert_eq!(text, r#"{"error":"this path is only read: use GET"}"#);
        }
    }
}

#[tokio::test]
async fn every_answer_carries_the_headers_whatever_its_status() {
    let (model, _sender) = model(view());
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/v1/apps",
        "/nothing",
        "/api/v1/apps?x=1",
    ] {
        let (_, headers, _) = send(&model, request(Method::GET, path)).await;
        for (name, value) in HEADERS {
            assert_eq!(
                headers.get(name).and_then(|v| v.to_str().ok()),
                Some(*value),
                "{path} {name}"
            );
        }
    }
}

#[tokio::test]
async fn unknown_paths_are_a_404_in_json() {
    let (model, _sender) = model(view());
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/apps/",
        "/api/v2/apps",
        "/healthz/..",
        "/%2e%2e/etc/passwd",
        "/debug/pprof",
    ] {
        let (status, answer) = get_json(&model, path).await;
        assert_eq!(
            (status, answer),
            (
                StatusCode::NOT_FOUND,
                json!({"error": "there is nothing at this path"})
            ),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_body_is_refused_unread() {
    let (model, _sender) = model(view());
    let endless = futures_body();
    let request = axum::http::Request::builder()
        .uri("/api/v1/apps")
        .body(endless)
        .unwrap();
    let (status, headers, _) = send(&model, request).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(headers[header::CONNECTION], "close");
}

/// A body that never comes: reading it would hang the test.
fn futures_body() -> Body {
    struct Never;
    impl axum::body::HttpBody for Never {
        type Data = axum::body::Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }
    Body::new(Never)
}

#[tokio::test]
async fn alive_is_not_ready() {
    let mut unready = view();
    unready.ready = Err("the ledger's disk is full".into());
    let (model, sender) = model(unready);
    assert_eq!(
        get_text(&model, "/healthz").await,
        (StatusCode::OK, "ok\n".into())
    );
    let answer = get_text(&model, "/readyz").await;
    assert_eq!(
        answer,
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the ledger's disk is full\n".into()
        )
    );
    sender.send(Arc::new(view())).unwrap();
    assert_eq!(
        get_text(&model, "/readyz").await.0,
        StatusCode::OK,
        "the next view counts"
    );
}

#[tokio::test]
async fn apps_are_shown_with_the_allowed_fields_and_no_others() {
    let (model, _sender) = model(view());
    let (status, answer) = get_json(&model, "/api/v1/apps").await;
    let app = |name: &str, state: &str| {
        json!({
            "name": name, "target": "default", "state": state, "commit": "ab".repeat(20), "objects": 3,
            "output": Digest::of(b"output").to_string(), "message": null, "since": 1_700_000_000,
        })
    };
    let expected = json!({"repositories": [
        {
            "name": "shop", "url": "https://git.example/shop.git", "ref": "main", "commit": "ab".repeat(20),
            "fault": null, "message": null, "apps": [app("web", "synced"), app("db", "failed")],
        },
        {
            "name": "infra", "url": "/srv/infra", "ref": "main", "commit": null,
            "fault": "host", "message": "no such repository", "apps": [],
        },
    ]});
    assert_eq!((status, answer), (StatusCode::OK, expected));
}

#[tokio::test]
async fn apps_can_be_those_of_one_repository() {
    let (model, _sender) = model(view());
    let (status, answer) = get_json(&model, "/api/v1/apps?repository=infra").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["repositories"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["repositories"][0]["name"], "infra");
    assert_eq!(
        get_json(&model, "/api/v1/apps?repository=other").await.0,
        StatusCode::NOT_FOUND
    );
    for bad in [
        "repository=..%2Fetc",
        "repository=A",
        "repo=infra",
        "repository=a&repository=b",
        "repository=",
    ] {
        assert_eq!(
            get_json(&model, &format!("/api/v1/apps?{bad}")).await.0,
            StatusCode::BAD_REQUEST,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn metrics_count_what_happened_and_show_the_apps_by_state() {
    let (model, sender) = model(view());
    let shop = "shop".parse().unwrap();
    model.metrics().synced(&shop, SyncResult::Changed);
    model.metrics().synced(&shop, SyncResult::Changed);
    model.metrics().synced(&shop, SyncResult::Failed);
    model.metrics().fetched(&shop, FetchResult::Moved);
    model.metrics().rendered(&shop, RenderResult::Reused);
    model.metrics().canary(CanaryResult::Equal);
    model.metrics().stage("render", 0.003);
    let (_, headers, text) = send(&model, request(Method::GET, "/metrics")).await;
    assert!(
        headers[header::CONTENT_TYPE]
            .to_str()
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    for line in [
        r#"weir_build_info{version="1.2.3"} 1"#,
        r#"weir_syncs_total{repository="shop",result="changed"} 2"#,
        r#"weir_syncs_total{repository="shop",result="failed"} 1"#,
        r#"weir_fetches_total{repository="shop",result="moved"} 1"#,
        r#"weir_renders_total{repository="shop",result="reused"} 1"#,
        r#"weir_canary_total{outcome="equal"} 1"#,
        r#"weir_stage_seconds_count{stage="render"} 1"#,
        r#"weir_apps{repository="shop",state="synced"} 1"#,
        r#"weir_apps{repository="shop",state="held"} 0"#,
        r#"weir_commit_refused{repository="shop"} 0"#,
        "weir_ready 1",
    ] {
        assert!(
            text.lines().any(|l| l == line),
            "{line} is missing in\n{text}"
        );
    }
    assert!(text.ends_with("# EOF\n"));
    sender
        .send(Arc::new(View {
            ready: Ok(()),
            repositories: Vec::new(),
        }))
        .unwrap();
    let (_, text) = get_text(&model, "/metrics").await;
    assert!(
        !text.contains("weir_apps{"),
        "an app that is gone leaves no series behind"
    );
    assert!(
        text.contains("weir_syncs_total"),
        "what happened stays counted"
    );
}

#[tokio::test]
async fn no_answer_holds_a_credential() {
    let (model, _sender) = model(view());
    for route in ROUTES {
        let (_, headers, text) = send(&model, request(Method::GET, route.path)).await;
        assert!(
            !text.contains("s3cret") && !format!("{headers:?}").contains("s3cret"),
            "{}",
            route.path
        );
    }
}
