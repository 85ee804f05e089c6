//! The routes: one table says all of them, who may use each, and what it answers.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRef, Query, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{MethodRouter, get, post};
use serde::{Deserialize, Serialize};
use weir_core::name::RepositoryName;

use crate::view::{ReadModel, RepositoryView};
use crate::webhooks::{Webhooks, deliver};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Whoever can reach the port. Read-only, and without a body.
    Anyone,
    /// Whoever signs what is sent with the secret of the repository that is named. Has it looked at, and nothing else.
    Signed,
}

/// What the routes answer with.
#[derive(Clone)]
pub(crate) struct Site {
    model: ReadModel,
    /// Where there are none, their route says so.
    pub(crate) webhooks: Option<Webhooks>,
}

impl FromRef<Site> for ReadModel {
    fn from_ref(site: &Site) -> ReadModel {
        site.model.clone()
    }
}

/// One route.
struct Route {
    path: &'static str,
    access: Access,
    handler: fn() -> MethodRouter<Site>,
}

/// Every route that there is. What is not here is answered with 404.
const ROUTES: &[Route] = &[
    Route {
        path: "/healthz",
        access: Access::Anyone,
        handler: || get(healthz),
    },
    Route {
        path: "/readyz",
        access: Access::Anyone,
        handler: || get(readyz),
    },
    Route {
        path: "/metrics",
        access: Access::Anyone,
        handler: || get(metrics),
    },
    Route {
        path: "/api/v1/apps",
        access: Access::Anyone,
        handler: || get(apps),
    },
    Route {
        path: "/hooks/v1/{repository}",
        access: Access::Signed,
        handler: || post(deliver),
    },
];

/// What every answer carries: never guessed at, kept, framed or run by a browser.
const HEADERS: &[(HeaderName, &str)] = &[
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// The API over a read model, and where webhooks are delivered on the same port.
pub fn router(model: ReadModel, webhooks: Option<Webhooks>) -> Router {
    routes(Access::Anyone)
        .fallback(not_found)
        .method_not_allowed_fallback(only_get)
        .layer(from_fn(guard))
        .merge(signed())
        .with_state(Site { model, webhooks })
}

/// Where webhooks are delivered, and nothing else: for a port of their own.
pub fn webhook_router(model: ReadModel, webhooks: Webhooks) -> Router {
    let webhooks = Some(webhooks);
    let nothing = Router::new().fallback(not_found).layer(from_fn(guard));
    nothing.merge(signed()).with_state(Site { model, webhooks })
}

/// The routes that ask for a signature: their bodies are read, within limits of their own.
fn signed() -> Router<Site> {
    routes(Access::Signed)
        .method_not_allowed_fallback(only_post)
        .layer(from_fn(with_body))
}

fn routes(access: Access) -> Router<Site> {
    let of = ROUTES.iter().filter(|route| route.access == access);
    of.fold(Router::new(), |router, route| {
        router.route(route.path, (route.handler)())
    })
}

/// The process lives.
async fn healthz() -> &'static str {
    "ok\n"
}

/// The host does its work, or says why not.
async fn readyz(State(model): State<ReadModel>) -> Response {
    match &model.view().ready {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics(State(model): State<ReadModel>) -> Response {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match model.metrics().encode(&model.view()) {
        Ok(text) => ([(header::CONTENT_TYPE, content_type)], text).into_response(),
        Err(_) => refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics could not be written",
        ),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    repository: Option<RepositoryName>,
}

#[derive(Serialize)]
struct Apps<'a> {
    repositories: Vec<&'a Arc<RepositoryView>>,
}

/// Where the apps stand, of one repository or of all.
async fn apps(
    State(model): State<ReadModel>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Response {
    let Ok(Query(filter)) = filter else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "expected no parameters, or ?repository=NAME",
        );
    };
    let view: Arc<_> = model.view();
    let wanted = |r: &&Arc<RepositoryView>| {
        filter
            .repository
            .as_ref()
            .is_none_or(|name| *name == r.name)
    };
    let repositories: Vec<_> = view.repositories.iter().filter(wanted).collect();
    if repositories.is_empty() && filter.repository.is_some() {
        return refuse(
            StatusCode::NOT_FOUND,
            "no repository of that name is followed here",
        );
    }
    Json(Apps { repositories }).into_response()
}

pub(crate) async fn not_found() -> Response {
    refuse(StatusCode::NOT_FOUND, "there is nothing at this path")
}

async fn only_get() -> Response {
    refuse(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path is only read: use GET",
    )
}

async fn only_post() -> Response {
    refuse(
        StatusCode::METHOD_NOT_ALLOWED,
        "a webhook is delivered with POST",
    )
}

/// Refuses bodies, which no route that is only read has, and adds the headers.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    headed(if request.body().is_end_stream() {
        next.run(request).await
    } else {
        let mut response = refuse(StatusCode::PAYLOAD_TOO_LARGE, "a request here has no body");
        // Whatever comes on this connection is not read.
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    })
}

/// Adds the headers where a body is read.
async fn with_body(request: Request, next: Next) -> Response {
    headed(next.run(request).await)
}

/// An answer with the headers that all have.
pub(crate) fn headed(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name.clone(), HeaderValue::from_static(value));
    }
    response
}

/// An error as JSON.
pub(crate) fn refuse(status: StatusCode, error: impl Into<Cow<'static, str>>) -> Response {
    #[derive(Serialize)]
    struct Refusal {
        error: Cow<'static, str>,
    }
    let error = error.into();
    (status, Json(Refusal { error })).into_response()
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
