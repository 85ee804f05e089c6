//! Control: what someone on this machine asks of the running host over its Unix socket; both ends of the wire.
//!
//! Who may open the socket (mode 0600) may do all that is asked here, so that there is no login.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::time::timeout;
use weir_core::digest::CommitId;

use crate::routes::{guard, not_found, refuse};

/// Where a refresh is asked for.
const REFRESH: &str = "/v1/refresh";
/// How long the host waits for the fetch before it answers that it still goes on. Under the time that
/// [`crate::ApiLimits::HOST`] gives a connection, so that there is an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(280);
/// How long a caller waits for the answer.
const WAIT_FOR_ANSWER: Duration = Duration::from_secs(300);
/// How long a caller waits until the host takes its connection.
const WAIT_FOR_HOST: Duration = Duration::from_secs(10);
/// The most bytes of an answer that a caller reads.
const ANSWER_BYTES: usize = 1 << 20;

/// What a refresh came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshed {
    /// The commit that the ref points to; `None` where the fetch failed.
    pub commit: Option<CommitId>,
    /// Why the fetch failed, for a person.
    pub problem: Option<String>,
}

/// The host is stopping: nothing new is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopping;

/// Who can refresh: the host's loop.
pub trait Refresh: Send + Sync + 'static {
    /// Has the repository asked now; ends with the end of a fetch that began after the call.
    ///
    /// # Errors
    /// When the host stops before that.
    fn refresh(&self) -> impl Future<Output = Result<Refreshed, Stopping>> + Send;
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
pub fn control_router(refresh: impl Refresh) -> Router {
    router(refresh, ANSWER_WITHIN)
}

fn router<R: Refresh>(refresh: R, within: Duration) -> Router {
    let answer = async move |State(it): State<Arc<R>>| match timeout(within, it.refresh()).await {
        Ok(Ok(refreshed)) => Json(refreshed).into_response(),
        Ok(Err(Stopping)) => refuse(StatusCode::SERVICE_UNAVAILABLE, "the host is stopping"),
        Err(_) => refuse(
            StatusCode::GATEWAY_TIMEOUT,
            "the fetch takes long and goes on; the host's log says how it ends",
        ),
    };
    Router::new()
        .route(REFRESH, post(answer))
        .fallback(not_found)
        .method_not_allowed_fallback(only_post)
        .layer(from_fn(guard))
        .with_state(Arc::new(refresh))
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

/// Asks the host that listens on this socket to refresh, and waits for what comes of it.
///
/// # Errors
/// See [`ControlError`].
pub async fn ask_refresh(socket: &Path) -> Result<Refreshed, ControlError> {
    let answered = timeout(WAIT_FOR_ANSWER, ask(socket, REFRESH)).await;
    let (status, body) = answered.map_err(|_| {
        ControlError::NoAnswer(format!(
            "the host has not answered within {} s",
            WAIT_FOR_ANSWER.as_secs()
        ))
    })??;
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

/// One POST without a body: the answer's status and bytes.
async fn ask(socket: &Path, path: &str) -> Result<(StatusCode, Vec<u8>), ControlError> {
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
        .body(Body::empty())
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
