//! Where apps land: observe what is there, apply what was staked, prune what is owned. A directory, or a
//! Kubernetes cluster, which this crate alone sees through `kube`.
//!
//! ```text
//! Object*, ResourceId* ─observe→ Live     Staked<Plan> ─apply→ ─prune→ Outcome*
//! ```
//!
//! What could not be read is [`weir_core::live::Live::Unknown`], never absent. Nothing is overwritten or
//! removed that is not what was seen when the plan was made.

pub mod dir;
mod error;
pub mod kube;
mod notices;
pub mod service;
mod target;

pub use error::TargetError;
pub use notices::{Noticed, Notices};
pub use target::{ApplyEvent, OnEvent, Target};
