//! Where apps land: observe what is there, apply what was staked, prune what is owned. Today a directory;
//! Kubernetes comes with `kube`, in this crate and nowhere else.
//!
//! ```text
//! ResourceId* ─observe→ Live     Staked<Plan> ─apply→ ─prune→ Outcome*
//! ```
//!
//! What could not be read is [`weir_core::plan::Live::Unknown`], never absent. Nothing is overwritten or
//! removed that is not what was seen when the plan was made. All calls block: run them off the async threads.

pub mod dir;
mod error;

pub use error::TargetError;
