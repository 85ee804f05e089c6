//! Against the real git: repositories that it makes, its HTTP back end, and servers that misbehave.

mod broken;
mod collision;
mod credentials;
mod damage;
mod deltas;
mod faults;
pub(crate) mod git;
mod hostile;
mod judged;
mod life;
mod lines;
mod local;
mod maker;
mod names;
mod packs;
mod proxies;
mod redirects;
mod refnames;
mod refusals;
mod remote;
mod server;
pub(crate) mod signing;
mod stop;
mod tls;
mod worktree;
