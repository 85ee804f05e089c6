//! What this binary is besides the command line: processes that a host starts for work that has to be done without its
//! rights. They are told what to do over standard input, never by arguments or the environment.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::ExitCode;

use weir_sandbox::{CompileLimits, CompileMode, Isolation, WorkerLimits, Workers};
use weir_source::{FetchProcess, FetcherLimits, Fetching};

use crate::cli::output;
use crate::config;
use crate::error::Error;

/// Compiles one component.
const COMPILE: &str = "compile-worker";
/// Runs plugins.
const RENDER: &str = "render-worker";
/// Fetches one repository, or gets one chart or plugin.
const FETCH: &str = "fetch-worker";

/// Does the work of a worker, if this process was started as one. Before anything else: a worker has opened nothing and
/// has one thread when it gives up its rights.
pub(crate) fn as_worker() -> Option<ExitCode> {
    let word = std::env::args_os().nth(1)?;
    let ended = match word.to_str()? {
        COMPILE => weir_sandbox::compile_worker(&CompileLimits::HOST).map_err(|e| e.to_string()),
        RENDER => weir_sandbox::render_worker(&WorkerLimits::HOST).map_err(|e| e.to_string()),
        FETCH => weir_source::fetch_worker().map_err(|e| e.to_string()),
        _ => return None,
    };
    Some(match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            output::complain(&message);
            ExitCode::FAILURE
        }
    })
}

/// How components are compiled.
pub(crate) fn compile() -> Result<CompileMode, Error> {
    Ok(CompileMode::Child {
        program: program()?,
        args: vec![COMPILE.to_owned()],
    })
}

/// Where calls of plugins run.
pub(crate) fn isolation(isolation: config::Isolation) -> Result<Isolation, Error> {
    let is_required = match isolation {
        config::Isolation::InProcess => return Ok(Isolation::InProcess),
        config::Isolation::Processes => false,
        config::Isolation::Confined => true,
    };
    Ok(Isolation::Processes(Workers {
        program: program()?,
        args: vec![RENDER.to_owned()],
        limits: WorkerLimits::HOST,
        is_required,
    }))
}

/// Where remote repositories, charts and plugins are fetched.
pub(crate) fn fetching(isolation: config::Isolation) -> Result<Fetching, Error> {
    let is_required = match isolation {
        config::Isolation::InProcess => return Ok(Fetching::InProcess),
        config::Isolation::Processes => false,
        config::Isolation::Confined => true,
    };
    Ok(Fetching::Process(FetchProcess {
        program: program()?,
        args: vec![FETCH.to_owned()],
        limits: FetcherLimits::HOST,
        is_required,
    }))
}

/// This binary. On Linux by the name that means the running one, also after its file was exchanged by an upgrade.
fn program() -> Result<PathBuf, Error> {
    let own = PathBuf::from(OsStr::new("/proc/self/exe"));
    if cfg!(target_os = "linux") && own.exists() {
        return Ok(own);
    }
    std::env::current_exe()
        .map_err(|e| Error::host("start", format!("this binary's own path: {e}")))
}
