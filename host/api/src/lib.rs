//! HTTP out: health, readiness, metrics and where the apps stand. The only crate that sees axum.
//!
//! ```text
//! host/weir ─View→ watch ─→ ReadModel ─→ GET /readyz, /api/v1/apps, /metrics
//! host/weir ─counts→ Metrics ──────────→ GET /metrics
//! ```
//!
//! Everything here is read-only and shows only what is in [`View`]: a list of allowed fields, never an
//! internal value. Deliberately absent: any route that changes something, and any login, so that the host
//! listens on the loopback address unless told otherwise.

mod metrics;
mod routes;
mod serve;
mod view;

pub use metrics::{FetchResult, Metrics, SyncResult};
pub use routes::router;
pub use serve::{ApiLimits, serve};
pub use view::{AppView, PublicUrl, ReadModel, RepositoryView, View};
