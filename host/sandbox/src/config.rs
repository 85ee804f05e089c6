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
    /// Where calls run.
    pub isolation: Isolation,
}

/// Where calls of plugins run.
#[derive(Debug, Clone)]
pub enum Isolation {
    /// In this process, which keeps the rights that it has: Wasmtime is all that is between a plugin and them.
    InProcess,
    /// In processes without any rights.
    Processes(Workers),
}

/// The processes that calls run in.
#[derive(Debug, Clone)]
pub struct Workers {
    /// The binary: this host's own.
    pub program: PathBuf,
    /// The arguments that lead it to [`render_worker`](crate::render_worker). It gets no environment.
    pub args: Vec<String>,
    /// What they may use.
    pub limits: WorkerLimits,
    /// Whether to refuse where the kernel lacks something that confines them.
    pub is_required: bool,
}

/// What a worker may use, behind the limits of each call. Required wherever workers are started.
#[derive(Debug, Clone, Copy)]
pub struct WorkerLimits {
    /// Memory that it may write to, in bytes (`RLIMIT_DATA`). Address space is not limited: a guest's memory takes 4 GiB
    /// of it, used or not.
    pub data_bytes: u64,
    /// Processor time over its life, in seconds (`RLIMIT_CPU`).
    pub cpu_seconds: u64,
    /// Open files.
    pub open_files: u64,
    /// Calls after which it is replaced.
    pub calls: u32,
    /// Time in calls after which it is replaced.
    pub work: Duration,
    /// Time since its start after which it gets no other call: one that waits costs some processor time as well.
    pub life: Duration,
    /// Plugins that it holds; for one more it is replaced.
    pub plugins: usize,
    /// How many wait for another call of their repository, over all repositories.
    pub idle: usize,
    /// How long one may take to start.
    pub start: Duration,
    /// How much longer than a call's own time it may take to say what came of it.
    pub grace: Duration,
}

impl WorkerLimits {
    /// What a host allows that was told nothing else. Memory is that of the largest call: 512 MiB of the guest's, three
    /// times what it may return, and what the process itself needs. The time is one long call after many short ones.
    pub const HOST: WorkerLimits = WorkerLimits {
        data_bytes: 1536 << 20,
        cpu_seconds: 600,
        open_files: 64,
        calls: 1000,
        work: Duration::from_secs(60),
        life: Duration::from_secs(600),
        plugins: 16,
        idle: 8,
        start: Duration::from_secs(30),
        grace: Duration::from_secs(5),
    };
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
