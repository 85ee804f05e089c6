//! Control: what someone on this machine asks of the running host over its Unix socket; both ends of the wire.
//!
//! Who may open the socket (mode 0600) may do all that is asked here, so that there is no login.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use weir_core::digest::CommitId;
use weir_core::name::RepositoryName;

use crate::decide::{Asked, DECIDE, NotDecided, decide};
use crate::routes::{guard, headed, not_found, refuse};

/// Where a refresh is asked for.
const REFRESH: &str = "/v1/refresh";
/// How long the host waits for the fetch before it answers that it still goes on. Under the time that
/// [`crate::ApiLimits::HOST`] gives a connection, so that there is an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(280);
/// How long a caller waits for the answer.
const WAIT_FOR_ANSWER: Duration = Duration::from_secs(300);
/// How long a caller waits until the host takes its connection.
const WAIT_FOR_HOST: Duration = Duration::from_secs(10);
/// The most bytes that a caller may send: an adoption names each object, of which an app may have thousands.
const BODY_BYTES: usize = 8 << 20;
/// The most bytes of an answer that a caller reads.
const ANSWER_BYTES: usize = 1 << 20;

/// The most names of one request. More than that are all, or several requests.
pub const MAX_NAMES: usize = 100;
/// How many of the known names an answer lists.
const SHOWN_NAMES: usize = 20;
/// What is said of a fetch that takes longer than anyone waits.
const STILL_GOING: &str = "the fetch takes long and goes on; the host's log says how it ends";

/// What a refresh came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshed {
    /// The commit that the ref points to; `None` where the fetch failed.
    pub commit: Option<CommitId>,
    /// Why the fetch failed, for a person.
    pub problem: Option<String>,
    /// Nothing was fetched: the host is told to leave the repository alone.
    #[serde(default)]
    pub suspended: bool,
}

/// What a refresh of several repositories came to, by their names on that host.
pub type AllRefreshed = BTreeMap<RepositoryName, Refreshed>;

/// The host is stopping: nothing new is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopping;

/// Who does what is asked: the host's loops.
pub trait Control: Send + Sync + 'static {
    /// The repositories that there are.
    fn repositories(&self) -> Vec<RepositoryName>;

    /// Has a repository asked now; ends with the end of a fetch that began after the call.
    ///
    /// # Errors
    /// When the host stops before that, or has no such repository.
    fn refresh(
        &self,
        repository: RepositoryName,
    ) -> impl Future<Output = Result<Refreshed, Stopping>> + Send;

    /// Keeps what a person decided about an app, where it fits how the app stands, and has the app looked at.
    ///
    /// # Errors
    /// When it does not fit, or the host stops.
    fn decide(&self, asked: Asked) -> impl Future<Output = Result<(), NotDecided>> + Send;
}

/// Why a caller has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens: the socket is not there, or left over from a host that was killed.
    #[error("nobody listens")]
    NoHost,
    /// A host may be there, but not for this caller, or it does not answer.
    #[error("{0}")]
    NoAnswer(String),
    /// The host says that it cannot.
    #[error("the host answers: {0}")]
    Refused(String),
}

/// What the control socket answers.
pub fn control_router(control: impl Control) -> Router {
    router(control, ANSWER_WITHIN)
}

fn router<R: Control>(control: R, within: Duration) -> Router {
    let answer = async move |State(it): State<Arc<R>>,
                             only: Result<Query<Only>, QueryRejection>| match only
    {
        Ok(Query(only)) => answer(it, only, within).await,
        Err(_) => refuse(
            StatusCode::BAD_REQUEST,
            "expected no parameters, or ?repositories=NAME,NAME",
        ),
    };
    Router::new()
        .route(REFRESH, post(answer))
        .route(DECIDE, post(decide::<R>))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .fallback(not_found)
        .method_not_allowed_fallback(only_post)
        .layer(from_fn(guard_but_decisions))
        .with_state(Arc::new(control))
}

/// Which repositories are meant: names with commas between; all where it is left out.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Only {
    repositories: Option<String>,
}

/// Has all that are meant refreshed at once, each for itself.
async fn answer<R: Control>(it: Arc<R>, only: Only, within: Duration) -> Response {
    let names = match wanted(&*it, only) {
        Ok(names) => names,
        Err(unknown) => return refuse(StatusCode::NOT_FOUND, unknown),
    };
    let mut asked = JoinSet::new();
    for name in names {
        let it = it.clone();
        asked.spawn(async move {
            let refreshed = timeout(within, it.refresh(name.clone())).await;
            (name, refreshed)
        });
    }
    let (mut all, mut late) = (AllRefreshed::new(), 0);
    while let Some(ended) = asked.join_next().await {
        match ended {
            Ok((name, Ok(Ok(refreshed)))) => drop(all.insert(name, refreshed)),
            Ok((name, Err(_))) => {
                late += 1;
                let refreshed = Refreshed {
                    problem: Some(STILL_GOING.to_owned()),
                    ..Refreshed::default()
                };
                all.insert(name, refreshed);
            }
            Ok((_, Ok(Err(Stopping)))) | Err(_) => {
                return refuse(StatusCode::SERVICE_UNAVAILABLE, "the host is stopping");
            }
        }
    }
    if late > 0 && late == all.len() {
        return refuse(StatusCode::GATEWAY_TIMEOUT, STILL_GOING);
    }
    Json(all).into_response()
}

/// The repositories that are meant, or what to say of one that there is not.
fn wanted(it: &impl Control, only: Only) -> Result<BTreeSet<RepositoryName>, String> {
    let known: BTreeSet<RepositoryName> = it.repositories().into_iter().collect();
    let Some(only) = only.repositories else {
        return Ok(known);
    };
    only.split(',')
        .map(|name| {
            let found = known.iter().find(|known| known.as_str() == name);
            found.cloned().ok_or_else(|| {
                let mut names: Vec<&str> =
                    known.iter().take(SHOWN_NAMES).map(|n| n.as_str()).collect();
                let more = known.len() - names.len();
                let more = format!("... and {more} more");
                if known.len() > SHOWN_NAMES {
                    names.push(&more);
                }
                let name: String = name.chars().take(80).collect();
                format!(
                    "no repository {name:?} is followed here; there are: {}",
                    names.join(", ")
                )
            })
        })
        .collect()
}

/// A decision is the one request that has a body, which has a limit of its own.
async fn guard_but_decisions(request: axum::extract::Request, next: Next) -> Response {
    match request.uri().path() {
        DECIDE => headed(next.run(request).await),
        _ => guard(request, next).await,
    }
}

async fn only_post() -> Response {
    refuse(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path changes something: use POST",
    )
}

/// Whether a host listens on this socket.
pub async fn is_listening(socket: &Path) -> bool {
    connect(socket).await.is_ok()
}

/// Asks the host that listens on this socket to refresh these repositories, or all where none is named, and
/// waits for what comes of it. At most [`MAX_NAMES`] may be named.
///
/// # Errors
/// See [`ControlError`].
pub async fn ask_refresh(
    socket: &Path,
    only: &[RepositoryName],
) -> Result<AllRefreshed, ControlError> {
    let names: Vec<&str> = only.iter().map(RepositoryName::as_str).collect();
    let path = match names.as_slice() {
        [] => REFRESH.to_owned(),
        // A name is one or two DNS labels: nothing in it needs escaping.
        names => format!("{REFRESH}?repositories={}", names.join(",")),
    };
    answered(post_json(socket, &path, Vec::new()).await?)
}

/// What the host answered, read; a refusal in its words.
pub(crate) fn answered<T: DeserializeOwned>(
    (status, body): (StatusCode, Vec<u8>),
) -> Result<T, ControlError> {
    if status == StatusCode::OK {
        return serde_json::from_slice(&body)
            .map_err(|e| ControlError::NoAnswer(format!("an answer that is not Weir's: {e}")));
    }
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    Err(match serde_json::from_slice::<Refusal>(&body) {
        Ok(refusal) => ControlError::Refused(refusal.error),
        Err(_) => ControlError::Refused(status.to_string()),
    })
}

async fn connect(socket: &Path) -> Result<UnixStream, ControlError> {
    let connected = timeout(WAIT_FOR_HOST, UnixStream::connect(socket)).await;
    let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    connected.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::ConnectionRefused => ControlError::NoHost,
        _ => ControlError::NoAnswer(e.to_string()),
    })
}

/// One POST, and its answer's status and bytes, within the time that a caller waits.
pub(crate) async fn post_json(
    socket: &Path,
    path: &str,
    body: Vec<u8>,
) -> Result<(StatusCode, Vec<u8>), ControlError> {
    let answered = timeout(WAIT_FOR_ANSWER, ask(socket, path, body)).await;
    answered.map_err(|_| {
        ControlError::NoAnswer(format!(
            "the host has not answered within {} s",
            WAIT_FOR_ANSWER.as_secs()
        ))
    })?
}

async fn ask(
    socket: &Path,
    path: &str,
    body: Vec<u8>,
) -> Result<(StatusCode, Vec<u8>), ControlError> {
    let stream = connect(socket).await?;
    let broken = |e: &dyn std::error::Error| {
        ControlError::NoAnswer(format!("the host ended the connection early: {e}"))
    };
    let (mut send, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| broken(&e))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        // HTTP wants one; there is only one host behind this socket.
        .header(header::HOST, HeaderValue::from_static("weir"))
        .header(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )
        .body(Body::from(body))
        .map_err(|e| broken(&e))?;
    // Moves the bytes; how it ends is what the exchange says. It ends when the sender is dropped.
    tokio::spawn(connection);
    let response = send.send_request(request).await.map_err(|e| broken(&e))?;
    let status = response.status();
    let body = to_bytes(Body::new(response.into_body()), ANSWER_BYTES).await;
    Ok((status, body.map_err(|e| broken(&e))?.to_vec()))
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
