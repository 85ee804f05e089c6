//! Against the real git: repositories that it makes, its HTTP back end, and servers that misbehave.

mod credentials;
mod damage;
mod faults;
mod git;
mod hostile;
mod local;
mod proxies;
mod redirects;
mod refnames;
mod refusals;
mod remote;
mod server;
mod stop;
mod tls;
mod worktree;
