//! Compiling a component: in a child process that limits itself, watched by its parent.

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};
use wasmtime::{Engine, Precompiled};

use crate::config::{CompileLimits, CompileMode};
use crate::engine;

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(1);
/// What a child says that got no memory, for data or for the stack of a thread.
const OUT_OF_MEMORY: [&str; 3] = [
    "Cannot allocate memory",
    "memory allocation of",
    "Resource temporarily unavailable",
];
/// Seconds between the signal that says that the processor time is over and the one that cannot be ignored.
const GRACE: u64 = 5;
/// What is kept of a child's standard error, in bytes.
const STDERR: u64 = 4 << 10;

/// Why a component could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The component is not valid, or needs something that is off.
    #[error("it is not valid, or needs a feature of Wasm that is off: {0}")]
    Component(String),
    /// A limit of compiling was reached.
    #[error("compiling it went over {limit} ({value})")]
    Limit {
        /// Which limit.
        limit: &'static str,
        /// Its value.
        value: String,
    },
    /// The child was ended by a signal that no limit of ours sends.
    #[error(
        "the compile worker was ended by {signal}, which none of its limits sends: {likely}{words}"
    )]
    Ended {
        /// The signal's name or number.
        signal: String,
        /// What is most likely behind it, and what to do.
        likely: &'static str,
        /// The end of what it said, in parentheses; empty where it said nothing.
        words: String,
    },
    /// The host could not compile: no child process, no pipe, no engine.
    #[error("the compiler could not be run: {0}")]
    Host(#[from] io::Error),
}

/// Compiles a component.
pub(crate) fn compile(
    engine: &Engine,
    mode: &CompileMode,
    limits: &CompileLimits,
    component: &[u8],
    progress: &dyn Fn(&str),
) -> Result<Vec<u8>, CompileError> {
    progress("compiling");
    let code = match mode {
        CompileMode::InProcess => engine
            .precompile_component(component)
            .map_err(|e| CompileError::Component(format!("{e:#}")))?,
        CompileMode::Child { program, args } => {
            #[expect(
                clippy::disallowed_methods,
                reason = "our own binary, as the compile worker"
            )]
            let mut command = Command::new(program);
            command.args(args);
            in_child(command, limits, component, progress)?
        }
    };
    if Engine::detect_precompiled(&code) != Some(Precompiled::Component) {
        return Err(CompileError::Host(io::Error::other(
            "the compile worker gave back something else than code",
        )));
    }
    Ok(code)
}

/// The compile worker: reads a component from standard input and writes its code to standard output, under
/// the limits, which it sets on its own process first. `host/weir` calls this from a hidden subcommand.
///
/// # Errors
/// When a limit cannot be set, the component does not compile, or a pipe breaks.
pub fn compile_worker(limits: &CompileLimits) -> Result<(), CompileError> {
    limit(Resource::As, limits.address_space, limits.address_space)?;
    // The soft limit sends SIGXCPU. Were the hard one the same, Linux would send SIGKILL, as it does when
    // the machine has no memory left, and the parent could not tell the two apart.
    limit(
        Resource::Cpu,
        limits.cpu_seconds,
        limits.cpu_seconds.saturating_add(GRACE),
    )?;
    limit(Resource::Core, 0, 0)?;
    limit(Resource::Fsize, limits.output_bytes, limits.output_bytes)?;
    let mut component = Vec::new();
    io::stdin()
        .lock()
        .take(limits.component_bytes + 1)
        .read_to_end(&mut component)?;
    if component.len() as u64 > limits.component_bytes {
        return Err(too_large(limits));
    }
    let engine = engine::engine().map_err(|e| io::Error::other(format!("{e:#}")))?;
    let code = engine
        .precompile_component(&component)
        .map_err(|e| CompileError::Component(format!("{e:#}")))?;
    let mut out = io::stdout().lock();
    out.write_all(&code)?;
    out.flush()?;
    Ok(())
}

pub(crate) fn too_large(limits: &CompileLimits) -> CompileError {
    CompileError::Limit {
        limit: "component size in bytes",
        value: limits.component_bytes.to_string(),
    }
}

fn limit(resource: Resource, soft: u64, hard: u64) -> Result<(), CompileError> {
    setrlimit(
        resource,
        Rlimit {
            current: Some(soft),
            maximum: Some(hard),
        },
    )
    .map_err(io::Error::from)?;
    Ok(())
}

fn in_child(
    mut command: Command,
    limits: &CompileLimits,
    component: &[u8],
    progress: &dyn Fn(&str),
) -> Result<Vec<u8>, CompileError> {
    let child = command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut child = Killed(child);
    let (stdin, stdout, stderr) = (
        child.0.stdin.take(),
        child.0.stdout.take(),
        child.0.stderr.take(),
    );
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
        return Err(io::Error::other("the child has no pipes").into());
    };
    let (done, result) = mpsc::channel();
    std::thread::scope(|scope| {
        // A broken pipe here only means that the child is gone; its exit tells why.
        scope.spawn(move || stdin.write_all(component));
        let words = scope.spawn(move || {
            let mut text = Vec::new();
            let read = stderr.take(STDERR).read_to_end(&mut text);
            read.map(|_| String::from_utf8_lossy(&text).trim().to_owned())
        });
        scope.spawn(move || {
            let mut code = Vec::new();
            let read = stdout.take(limits.output_bytes + 1).read_to_end(&mut code);
            done.send(read.map(|_| code))
        });
        let read = wait(&result, limits, progress);
        // Past a limit the child may still be running; without this the threads would wait for it.
        if !matches!(&read, Ok(code) if code.len() as u64 <= limits.output_bytes) {
            child.0.kill()?;
        }
        let status = child.0.wait()?;
        let words = words.join().ok().and_then(Result::ok).unwrap_or_default();
        let code = read?;
        if code.len() as u64 > limits.output_bytes {
            let value = limits.output_bytes.to_string();
            return Err(CompileError::Limit {
                limit: "compiled size in bytes",
                value,
            });
        }
        if status.success() {
            Ok(code)
        } else {
            Err(failed(status, &words, limits))
        }
    })
}

/// Waits for the code, until the wall time is over.
fn wait(
    result: &mpsc::Receiver<io::Result<Vec<u8>>>,
    limits: &CompileLimits,
    progress: &dyn Fn(&str),
) -> Result<Vec<u8>, CompileError> {
    let started = Instant::now();
    loop {
        let left = limits.wall.saturating_sub(started.elapsed());
        match result.recv_timeout(left.min(PROGRESS)) {
            Ok(read) => return Ok(read?),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other("the child's output broke off").into());
            }
            Err(RecvTimeoutError::Timeout) if started.elapsed() >= limits.wall => {
                return Err(CompileError::Limit {
                    limit: "its wall time",
                    value: format!("{:?}", limits.wall),
                });
            }
            Err(RecvTimeoutError::Timeout) => {
                progress(&format!("compiling, {} s", started.elapsed().as_secs()));
            }
        }
    }
}

/// What a child's end means. Its own words come before its signal: an allocation that fails aborts, too.
fn failed(status: ExitStatus, words: &str, limits: &CompileLimits) -> CompileError {
    use std::os::unix::process::ExitStatusExt as _;
    if OUT_OF_MEMORY.iter().any(|sign| words.contains(sign)) {
        return CompileError::Limit {
            limit: "its address space in bytes",
            value: limits.address_space.to_string(),
        };
    }
    let ended = |signal: String, likely| CompileError::Ended {
        signal,
        likely,
        words: if words.is_empty() {
            String::new()
        } else {
            format!(" ({words})")
        },
    };
    // The numbers are those of POSIX on every Unix that we build for.
    match status.signal() {
        Some(24) => CompileError::Limit {
            limit: "its processor time in seconds",
            value: limits.cpu_seconds.to_string(),
        },
        Some(9) => ended(
            "SIGKILL".to_owned(),
            "most likely the machine or the container has no memory left: give it more, or run fewer things beside it; it is tried again",
        ),
        Some(number @ (6 | 11)) => ended(
            if number == 6 {
                "SIGABRT".to_owned()
            } else {
                "SIGSEGV".to_owned()
            },
            "the compiler failed on this component: report it to Weir, with the component",
        ),
        Some(number) => ended(
            format!("signal {number}"),
            "somebody or something outside of Weir sent it; it is tried again",
        ),
        None if words.is_empty() => {
            CompileError::Component(format!("the compile worker ended with {status}"))
        }
        None => CompileError::Component(words.to_owned()),
    }
}

/// A child that does not outlive its parent's interest.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both fail only when it has been waited for already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
