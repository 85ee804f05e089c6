//! What the host says about its sandbox: where compiled code is kept, how compiling is done and bounded.

use std::path::PathBuf;
use std::time::Duration;

/// Everything a sandbox needs to know. There is no `Default`: whoever makes one says it.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Where compiled code is kept. Made with mode 0700 and refused when others may write to it: whoever
    /// writes here runs code as this host.
    pub cache_dir: PathBuf,
    /// The sum of all cached entries, in bytes, at most; the least recently used go first.
    pub cache_bytes: u64,
    /// Compiled plugins kept in memory, at most; the least recently used go first.
    pub plugins_in_memory: usize,
    /// How compiling is done.
    pub compile: CompileMode,
    /// What one compilation may cost.
    pub compile_limits: CompileLimits,
}

/// Where a component is compiled. Compiling is not covered by Wasmtime's promise of bounded cost.
#[derive(Debug, Clone)]
pub enum CompileMode {
    /// In a child process that limits itself: this host's own binary, with the arguments that lead it to
    /// [`compile_worker`](crate::compile_worker). It gets no environment.
    Child {
        /// The binary.
        program: PathBuf,
        /// Its arguments.
        args: Vec<String>,
    },
    /// In this process: for tests and for tools on their author's own components.
    InProcess,
}

/// What one compilation may cost. Required wherever something is compiled.
#[derive(Debug, Clone, Copy)]
pub struct CompileLimits {
    /// Bytes of the component.
    pub component_bytes: u64,
    /// Address space of the child, in bytes (`RLIMIT_AS`).
    pub address_space: u64,
    /// Processor time of the child, in seconds, over all its threads (`RLIMIT_CPU`).
    pub cpu_seconds: u64,
    /// Wall time of the child.
    pub wall: Duration,
    /// Bytes of compiled code.
    pub output_bytes: u64,
}

impl CompileLimits {
    /// What a host allows that was told nothing else. Time is generous: the largest plugins take ten
    /// seconds in a release build on an idle machine, and a minute or more in a debug build on a busy one.
    pub const HOST: CompileLimits = CompileLimits {
        component_bytes: 256 << 20,
        address_space: 8 << 30,
        cpu_seconds: 600,
        wall: Duration::from_secs(300),
        output_bytes: 1 << 30,
    };
}

impl SandboxConfig {
    /// The default for [`SandboxConfig::cache_bytes`].
    pub const CACHE_BYTES: u64 = 2 << 30;
    /// The default for [`SandboxConfig::plugins_in_memory`].
    pub const PLUGINS_IN_MEMORY: usize = 64;
}
