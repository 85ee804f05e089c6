//! The crash loop: real syncs of changing commits, killed hundreds of times at random moments and at every named step, in a command and in a host that stays, while objects are edited by hand; the rules of [`crate::invariants::cluster`] are checked after each kill.
//!
//! All that is random comes from a seed, but for what a process was doing when a kill from outside hit it.

mod driver;
mod files;
mod history;
mod objects;
mod random;
mod scene;

pub use driver::{Done, Plan, run};
