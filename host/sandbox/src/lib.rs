//! Plugins run here: load, limits, capabilities, calls, compiled cache. The only crate that sees wasmtime.
//!
//! [`Sandbox::load`] turns a component's bytes into a [`Plugin`]; [`Sandbox::render`], [`Sandbox::transform`]
//! and [`Sandbox::validate`] call it, each time in a new store that is dropped afterwards. A guest yields to
//! the other tasks of its thread at every tick of the engine's clock ([`TICK`]), so calls may run on the
//! ordinary executor: dropping the future stops the guest at the next tick, which a thread of the blocking
//! pool could not do.
//!
//! Where [`Isolation::Processes`] says so, calls run in workers: processes of this same binary that have no rights, one
//! repository's each. Whoever calls sees no difference but the time it takes.

mod answer;
mod bindings;
mod build;
mod cache;
mod call;
mod channel;
mod compile;
mod config;
mod confinement;
mod engine;
mod error;
mod files;
mod inspect;
mod link;
mod load;
mod metadata;
mod pool;
mod random;
mod run;
mod state;
mod values;
mod wasi;
mod wire;
mod worker;
mod world;

#[cfg(test)]
mod tests;

pub use build::{BuildError, BuildLimits, BuiltComponent, build_component};
pub use compile::{CompileError, compile_worker};
pub use config::{CompileLimits, CompileMode, Isolation, SandboxConfig, WorkerLimits, Workers};
pub use confinement::{Attempts, Job, Tried};
pub use engine::{TICK, engine_config};
pub use error::{CallError, Diagnostic, Failure};
pub use inspect::{Import, Inspected, inspect};
pub use load::{LoadCounts, LoadError, Plugin, Sandbox, SandboxError};
pub use metadata::{Claim, Claims, Metadata, with_claims};
pub use values::{
    Call, Document, Domain, Finding, Level, LogLine, Params, Severity, TargetFacts, Usage,
};
pub use weir_confine::{Confinement, Probe};
pub use worker::render_worker;
pub use world::WIT;

use std::fmt;

/// The version of the package `weir:plugin` in `wit/` that this host has.
pub const INTERFACE: &str = "0.1.0";

/// What a plugin is for. Each role has its own world in `wit/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Turns files into documents.
    Renderer,
    /// Turns objects into objects.
    Transformer,
    /// Looks at objects and says what it found.
    Validator,
}

impl Role {
    /// Each of them.
    pub const ALL: [Role; 3] = [Role::Renderer, Role::Transformer, Role::Validator];

    /// The function that a plugin of this role exports.
    pub fn function(self) -> &'static str {
        match self {
            Role::Renderer => "render",
            Role::Transformer => "transform",
            Role::Validator => "validate",
        }
    }

    /// The name of the world and the word in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Renderer => "renderer",
            Role::Transformer => "transformer",
            Role::Validator => "validator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
