//! Against the real git: repositories that it makes, its HTTP back end, and servers that misbehave.

mod broken;
mod collision;
mod damage;
mod deltas;
mod faults;
mod git;
mod hostile;
mod life;
mod lines;
mod local;
mod maker;
mod names;
mod packs;
mod refusals;
mod remote;
mod server;
mod stop;
mod tls;
mod worktree;
