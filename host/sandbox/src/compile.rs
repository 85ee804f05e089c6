//! Compiling a component: in a child process that limits itself, watched by its parent.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use wasmtime::{Engine, Precompiled};
use weir_confine::{Calls, Confinement, Limit, Network, Probe, Resource, Rights};

use crate::config::{CompileLimits, CompileMode};
use crate::confinement::Attempts;
use crate::engine;
use crate::wire::{Reply, Report};

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(1);
/// What a child says that got no memory, for data or for the stack of a thread.
pub(crate) const OUT_OF_MEMORY: [&str; 3] = [
    "Cannot allocate memory",
    "memory allocation of",
    "Resource temporarily unavailable",
];
/// Files that a child may have open: its pipes, and what the system's own libraries look at for a moment.
const OPEN_FILES: u64 = 64;
/// The first byte that a child is sent: what it is to do.
const COMPILE: u8 = b'c';
/// That it says what confines it instead.
const TRY: u8 = b't';
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
            let command = child(program, args);
            in_child(command, limits, COMPILE, component, progress)?
        }
    };
    if Engine::detect_precompiled(&code) != Some(Precompiled::Component) {
        return Err(CompileError::Host(io::Error::other(
            "the compile worker gave back something else than code",
        )));
    }
    Ok(code)
}

/// The compile worker: gives up all rights, then reads a component from standard input and writes its code to standard
/// output. `host/weir` calls this from a hidden subcommand, before anything else of the process has begun.
///
/// # Errors
/// When it cannot be confined, the component does not compile, or a pipe breaks.
pub fn compile_worker(limits: &CompileLimits) -> Result<(), CompileError> {
    let begun = weir_confine::begin(&rights(limits))?;
    let engine = engine::engine().map_err(|e| io::Error::other(format!("{e:#}")))?;
    let confined = begun.finish()?;
    let mut input = io::stdin().lock();
    let mut job = [0];
    input.read_exact(&mut job)?;
    let mut out = io::stdout().lock();
    if job == [TRY] {
        say_attempts(&confined, &mut out)?;
        return Ok(());
    }
    let mut component = Vec::new();
    input
        .take(limits.component_bytes + 1)
        .read_to_end(&mut component)?;
    if component.len() as u64 > limits.component_bytes {
        return Err(too_large(limits));
    }
    let code = engine
        .precompile_component(&component)
        .map_err(|e| CompileError::Component(format!("{e:#}")))?;
    out.write_all(&code)?;
    out.flush()?;
    Ok(())
}

/// What a compiling process may use, and nothing else.
fn rights(limits: &CompileLimits) -> Rights {
    Rights {
        files: Vec::new(),
        network: Network::default(),
        calls: Calls::ComputeWithThreads,
        limits: vec![
            Limit::fixed(Resource::AddressSpace, limits.address_space),
            Limit::processor_time(limits.cpu_seconds),
            Limit::fixed(Resource::FileSize, limits.output_bytes),
            Limit::fixed(Resource::OpenFiles, OPEN_FILES),
            Limit::fixed(Resource::CoreDump, 0),
        ],
        dies_with_parent: true,
    }
}

/// Says what confines this process, and what comes of each attempt, as frames with their lengths.
fn say_attempts(confined: &Confinement, out: &mut impl Write) -> io::Result<()> {
    let report = Reply::Ready(Report {
        landlock: confined.landlock.unwrap_or(0),
        filter: confined.filter,
        powerless: confined.powerless,
    });
    let tried = Probe::ALL.map(|probe| Reply::Tried(probe.attempt().map(|refused| refused.0)));
    for reply in std::iter::once(report).chain(tried) {
        let frame = reply.encode();
        let len = u32::try_from(frame.len()).map_err(io::Error::other)?;
        out.write_all(&len.to_le_bytes())?;
        out.write_all(&frame)?;
    }
    out.flush()
}

/// Asks a compiling process what confines it, and has it try what it must not do.
pub(crate) fn try_compiler(
    program: &Path,
    args: &[String],
    limits: &CompileLimits,
) -> Result<Attempts, String> {
    let said = in_child(child(program, args), limits, TRY, &[], &|_| {});
    let mut said = &said.map_err(|e| e.to_string())?[..];
    let mut next = || -> Result<Reply, String> {
        let short = || "it said too little".to_owned();
        let (len, rest) = said.split_first_chunk().ok_or_else(short)?;
        let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|e| e.to_string())?;
        let (frame, rest) = rest.split_at_checked(len).ok_or_else(short)?;
        said = rest;
        Reply::decode(frame).map_err(|e| e.to_string())
    };
    let Reply::Ready(report) = next()? else {
        return Err("it did not say what confines it".to_owned());
    };
    let mut attempts = Vec::new();
    for probe in Probe::ALL {
        match next()? {
            Reply::Tried(result) => attempts.push((probe, result)),
            _ => return Err("it did not say what came of an attempt".to_owned()),
        }
    }
    Ok(Attempts {
        confinement: Confinement {
            landlock: (report.landlock > 0).then_some(report.landlock),
            filter: report.filter,
            powerless: report.powerless,
            limits: rights(limits).limits,
        },
        attempts,
    })
}

/// This host's own binary, as the compile worker.
fn child(program: &Path, args: &[String]) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "our own binary, as the compile worker"
    )]
    let mut command = Command::new(program);
    command.arg0("weir").args(args);
    command
}

pub(crate) fn too_large(limits: &CompileLimits) -> CompileError {
    CompileError::Limit {
        limit: "component size in bytes",
        value: limits.component_bytes.to_string(),
    }
}

fn in_child(
    mut command: Command,
    limits: &CompileLimits,
    job: u8,
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
        scope.spawn(move || {
            stdin.write_all(&[job])?;
            stdin.write_all(component)
        });
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
        Some(31) => ended(
            "SIGSYS".to_owned(),
            "the compiler made a system call that ends a process: a bug in Weir, or a component that breaks the compiler; report it to Weir, with the component",
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
