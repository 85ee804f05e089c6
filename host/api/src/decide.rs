//! Decisions over the control socket: what a person decided about an app goes to the loop that owns it.

use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use serde::{Deserialize, Serialize};
use weir_core::decision::{Ask, WHY_CHARS};
use weir_core::name::{AppName, RepositoryName};

use crate::control::{Control, ControlError, answered, post_json};
use crate::routes::refuse;

/// Where a decision is brought.
pub(crate) const DECIDE: &str = "/v1/decide";
/// The longest name of whoever decides, in characters.
const BY_CHARS: usize = 200;

/// What a person decided, on its way to the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The app's repository, as the host calls it.
    pub repository: RepositoryName,
    /// The app.
    pub app: AppName,
    /// What is to happen.
    pub ask: Ask,
    /// Who decides.
    pub by: String,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Why a decision was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDecided {
    /// The host is stopping.
    Stopping,
    /// It does not fit how things stand: why, and what to do.
    Refused(String),
}

impl Asked {
    /// Whether its texts are of a length that is kept.
    fn fits(&self) -> Result<(), String> {
        let why = self.why.as_deref().unwrap_or_default();
        for (what, text, most) in [("by", &*self.by, BY_CHARS), ("why", why, WHY_CHARS)] {
            if text.chars().count() > most {
                return Err(format!("{what}: expected at most {most} characters"));
            }
        }
        Ok(())
    }
}

/// Keeps what was decided, or says why not.
pub(crate) async fn decide<C: Control>(
    State(it): State<Arc<C>>,
    asked: Result<Json<Asked>, JsonRejection>,
) -> Response {
    let asked = match asked {
        Ok(Json(asked)) => asked,
        Err(e) => return refuse(StatusCode::BAD_REQUEST, e.body_text()),
    };
    if let Err(message) = asked.fits() {
        return refuse(StatusCode::BAD_REQUEST, message);
    }
    if !it.repositories().contains(&asked.repository) {
        let message = format!("no repository {} is followed here", asked.repository);
        return refuse(StatusCode::NOT_FOUND, message);
    }
    match it.decide(asked).await {
        Ok(()) => Json(serde_json::json!({})).into_response(),
        Err(NotDecided::Stopping) => {
            refuse(StatusCode::SERVICE_UNAVAILABLE, "the host is stopping")
        }
        Err(NotDecided::Refused(why)) => refuse(StatusCode::CONFLICT, why),
    }
}

/// Brings a decision to the host that listens on this socket.
///
/// # Errors
/// See [`ControlError`].
pub async fn ask_decide(socket: &Path, asked: &Asked) -> Result<(), ControlError> {
    let body = serde_json::to_vec(asked)
        .map_err(|e| ControlError::NoAnswer(format!("it cannot be sent: {e}")))?;
    answered::<serde_json::Value>(post_json(socket, DECIDE, body).await?).map(drop)
}
