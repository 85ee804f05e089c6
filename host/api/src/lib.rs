//! HTTP out: health, readiness, metrics and where the apps stand. The only crate that sees axum.
//!
//! ```text
//! host/weir ─View→ watch ─→ ReadModel ─→ GET /readyz, /api/v1/apps, /metrics
//! host/weir ─counts→ Metrics ──────────→ GET /metrics
//! host/weir ←Hooks─── Webhooks ←──────── POST /hooks/v1/REPOSITORY, signed, from a forge
//! host/weir ←Control─ control socket ←── POST /v1/refresh, from `weir refresh`
//!                                    ←── POST /v1/decide, from `weir approve`
//! ```
//!
//! What the network port answers is read-only and shows only what is in [`View`]: a list of allowed fields,
//! never an internal value. Deliberately absent there: any route that changes something, and any login, so
//! that the host listens on the loopback address unless told otherwise. A webhook has a repository looked at and
//! does nothing else. What changes something is asked for over a Unix socket that only the host's own user may open.

mod control;
mod decide;
mod metrics;
mod routes;
mod serve;
mod view;
mod webhooks;

/// What [`serve`] answers with; made by [`router`] and [`control_router`] only.
pub use axum::Router;
pub use control::{
    AllRefreshed, Control, ControlError, MAX_NAMES, Refreshed, Stopping, ask_refresh,
    control_router, is_listening,
};
pub use decide::{Asked, NotDecided, ask_decide};
pub use metrics::{CanaryResult, FetchResult, Metrics, RenderResult, SyncResult, WebhookResult};
pub use routes::{router, webhook_router};
pub use serve::{ApiLimits, Listen, serve};
pub use view::{AppView, HealthView, PublicUrl, ReadModel, RefusedView, RepositoryView, View};
pub use webhooks::{Hooks, Looks, Webhooks};
