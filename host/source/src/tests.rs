//! Against the real git: repositories that it makes, its HTTP back end, and servers that misbehave.

mod damage;
mod faults;
pub(crate) mod git;
mod hostile;
mod judged;
mod local;
mod refusals;
mod remote;
mod server;
pub(crate) mod signing;
mod stop;
mod tls;
mod worktree;
