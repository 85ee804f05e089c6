//! Git over ssh against the real sshd: who may answer, who may ask, and what is refused before anything is sent.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

#[path = "ssh/hosts.rs"]
mod hosts;
#[path = "ssh/keys.rs"]
mod keys;
#[path = "ssh/scene.rs"]
mod scene;
#[path = "ssh/servers.rs"]
mod servers;
#[path = "ssh/words.rs"]
mod words;
