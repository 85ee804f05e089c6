//! Charts, plugins and signatures got by processes of their own: the same as in the host's process, to the word; what such a process
//! is given and what it is not; and what becomes of one that is killed or lies.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

/// What such a process is given, and what it cannot do.
#[path = "fetching_externals/given.rs"]
mod given;
/// Processes that are none of ours, or are killed.
#[path = "fetching_externals/liars.rs"]
mod liars;
/// What cannot be got, in both ways.
#[path = "fetching_externals/refused.rs"]
mod refused;
/// A server, caches, and both ways.
#[path = "fetching_externals/rig.rs"]
mod rig;
/// What is got, in both ways.
#[path = "fetching_externals/same.rs"]
mod same;
/// Processes, as the suite of repositories starts them.
#[path = "fetching/scene.rs"]
#[expect(dead_code, reason = "shared with the suite that needs more of it")]
mod scene;
