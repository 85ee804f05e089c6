//! Against the real git: repositories that it makes, its HTTP back end, and servers that misbehave.

mod broken;
mod collision;
mod credentials;
mod damage;
mod faults;
mod git;
mod hostile;
mod life;
mod local;
mod maker;
mod packs;
mod proxies;
mod redirects;
mod refnames;
mod refusals;
mod remote;
mod server;
mod stop;
mod tls;
mod worktree;
