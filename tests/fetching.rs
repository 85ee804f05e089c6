//! Fetches in processes of their own: the same commits and the same words as in the host's process, what holds such a process, and
//! what becomes of one that is killed, lies or says nothing.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

/// What such a process is, and what it cannot do.
#[path = "fetching/held.rs"]
mod held;
/// Processes that are none of ours.
#[path = "fetching/liars.rs"]
mod liars;
/// Killed, stopped, and told what was exchanged meanwhile.
#[path = "fetching/lives.rs"]
mod lives;
/// Over http, in both ways.
#[path = "fetching/same.rs"]
mod same;
/// A repository, a server, a cache, and both ways.
#[path = "fetching/scene.rs"]
mod scene;
/// Over ssh, in both ways.
#[path = "fetching/ssh.rs"]
mod ssh;
