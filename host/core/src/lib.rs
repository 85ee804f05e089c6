//! Weir's domain: what Git says, what the target holds, and what to do about it. Pure: no tokio, gix,
//! kube, wasmtime, clock or files.
//!
//! ```text
//! repository ─fetch→ commit ─snapshot→ Tree ─manifest→ App*
//!   ─render→ Documents ─transform→ Objects ─validate→ Validated
//!   ─observe→ Live ─plan→ Plan ─stake→ Staked<Plan>
//!   ─apply→ ─prune→ Outcome* ─settle→ Health ─record→ Record ─fold→ Status
//! ```
//!
//! IO gathers (the adapters), this crate decides, IO executes. Deliberately absent: any way to read the
//! world, and any default for a limit.

pub mod allow;
pub mod canary;
pub mod commit_policy;
pub mod decision;
pub mod digest;
pub mod external;
pub mod fault;
pub mod fields;
pub mod grant;
pub mod guard;
pub mod heals;
pub mod health;
pub mod hook;
pub mod impact;
pub mod inventory;
pub mod kept;
pub mod live;
pub mod lock;
pub mod manifest;
pub mod name;
pub mod object;
pub mod owner;
pub mod pin;
pub mod placed;
pub mod plan;
pub mod plugin;
pub mod policy;
pub mod random;
pub mod receipt;
pub mod record;
pub mod redact;
pub mod remade;
pub mod render;
pub mod retention;
pub mod reuse;
pub mod reveal;
pub mod routing;
pub mod schedule;
pub mod scope;
pub mod settle;
pub mod stake;
pub mod status;
pub mod tree;
pub mod turns;
pub mod validate;
pub mod webhook;

pub use weir_yaml as yaml;
