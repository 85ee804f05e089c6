//! From a core module, as a language's own compiler makes it for `wasip1`, to a plugin's component.
//!
//! The steps, each in a module of its own: [`segments`] joins data segments, [`warm`] runs `_initialize` once and keeps
//! the memory as it is then, [`realloc`] adds the allocator that the host calls, [`encode`] wraps the module for the world of its role; then its imports are checked as at
//! a load. The same module gives the same component everywhere.

mod encode;
mod realloc;
mod segments;
mod warm;

use std::time::Duration;

use weir_core::digest::Digest;
use weir_core::fault::{Blame, Fault, Retry};

use crate::inspect;
use crate::load::LoadError;
use crate::{INTERFACE, Role};

/// What making one component may cost.
#[derive(Debug, Clone, Copy)]
pub struct BuildLimits {
    /// Bytes of the module and of the component.
    pub bytes: usize,
    /// Linear memory after `_initialize`, in bytes.
    pub memory: usize,
    /// Wall time of `_initialize`.
    pub start: Duration,
}

impl BuildLimits {
    /// What `weir plugin build` allows. The largest bundled plugin has a module of 30 MiB and starts in a second.
    pub const AUTHOR: BuildLimits = BuildLimits {
        bytes: 256 << 20,
        memory: 512 << 20,
        start: Duration::from_secs(120),
    };
}

/// A component that was made.
#[derive(Debug, Clone)]
pub struct BuiltComponent {
    /// Its roles, one at least, as the module's exports say it.
    pub roles: Vec<Role>,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their digest.
    pub digest: Digest,
}

/// A module that does not become a component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The bytes are not a core module that can be read.
    #[error("the compiler's output is not a WebAssembly module: {0}")]
    NotAModule(String),
    /// It exports the function of no role.
    #[error(
        "the module exports none of a plugin's functions `render`, `transform` and `validate`: import one of the SDK's packages for a role, and call its Export in an init"
    )]
    NoRole,
    /// It is larger than is allowed.
    #[error("{what}: {size} bytes; at most {limit} are allowed: leave packages out")]
    TooLarge {
        /// The module or its memory.
        what: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// `_initialize` did not come to its end.
    #[error("the program does not start: {0}")]
    Start(String),
    /// It does not fit its world.
    #[error(
        "the module does not fit the world of a {} of weir:plugin@{INTERFACE}: {why}",
        words(roles)
    )]
    World {
        /// The roles.
        roles: Vec<Role>,
        /// What does not fit.
        why: String,
    },
    /// It imports what its role may not have.
    #[error(transparent)]
    Import(#[from] LoadError),
}

impl Blame for BuildError {
    fn fault(&self) -> Fault {
        Fault::Plugin
    }
    fn retry(&self) -> Retry {
        Retry::OnChange
    }
}

/// Makes a component of a core module. It blocks, for some seconds with large ones.
///
/// # Errors
/// See [`BuildError`].
pub fn build_component(module: &[u8], limits: &BuildLimits) -> Result<BuiltComponent, BuildError> {
    within("the module", module.len(), limits.bytes)?;
    let roles = roles_of(module)?;
    let joined = segments::join(module)?;
    let (warmed, arena) = warm::warm(&joined, limits)?;
    // The snapshot has a segment for each run of memory that is not zero.
    let mut joined = segments::join(&warmed)?;
    if let Some(arena) = arena {
        joined = realloc::add(&joined, arena)?;
    }
    let bytes = encode::encode(joined, &roles)?;
    within("the component", bytes.len(), limits.bytes)?;
    let digest = Digest::of(&bytes);
    for role in &roles {
        inspect::check(digest, *role, &bytes)?;
    }
    Ok(BuiltComponent {
        roles,
        bytes,
        digest,
    })
}

fn within(what: &'static str, size: usize, limit: usize) -> Result<(), BuildError> {
    if size > limit {
        return Err(BuildError::TooLarge { what, size, limit });
    }
    Ok(())
}

/// The roles of a module by what it exports.
fn roles_of(module: &[u8]) -> Result<Vec<Role>, BuildError> {
    let not = |e: wasmparser::BinaryReaderError| BuildError::NotAModule(e.to_string());
    let mut found = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(module) {
        if let wasmparser::Payload::ExportSection(exports) = payload.map_err(not)? {
            for export in exports {
                found.extend(match export.map_err(not)?.name {
                    "render" => Some(Role::Renderer),
                    "transform" => Some(Role::Transformer),
                    "validate" => Some(Role::Validator),
                    _ => None,
                });
            }
        }
    }
    if found.is_empty() {
        return Err(BuildError::NoRole);
    }
    Ok(found)
}

/// `transformer and validator`.
fn words(roles: &[Role]) -> String {
    let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    names.join(" and ")
}
