//! Plugins in processes of their own: this test binary is its own worker, as `weir` is, and a worker that lies.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::result_large_err,
    reason = "a test says what is wrong by failing"
)]

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use weir_sandbox::{
    Call, CallError, CompileLimits, CompileMode, Document, Domain, Isolation, Params, Plugin, Role,
    Sandbox, SandboxConfig, TargetFacts, Usage, WorkerLimits,
};

/// How calls end, and what of them comes over.
#[path = "processes/calls.rs"]
mod calls;
/// What the host keeps of its memory while guests do their worst.
#[path = "processes/flat.rs"]
mod flat;
/// Guests from text, as the unit tests have them.
#[path = "../src/tests/guests.rs"]
#[expect(dead_code, reason = "the unit tests use more of it")]
mod guests;
/// A worker that lies.
#[path = "processes/liar.rs"]
mod liar;
/// Which process runs what, and what its end means.
#[path = "processes/lives.rs"]
mod lives;
/// A sandbox with workers, and what watches them.
#[path = "processes/scene.rs"]
mod scene;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["render-worker", data, cpu] => return worker(data, cpu),
        ["compile-worker"] => return ended(weir_sandbox::compile_worker(&scene::COMPILE)),
        ["liar", lie] => return ended(liar::lie(lie)),
        ["flat", way] => return ended(flat::hostile_calls(way)),
        _ => {}
    }
    let all = [calls::TRIALS, lives::TRIALS, liar::TRIALS, flat::TRIALS];
    let trials = all.into_iter().flatten();
    let trials = trials.map(|(name, run)| Trial::test(*name, *run)).collect();
    // One after another: some look at this process' children.
    let arguments = Arguments {
        test_threads: Some(1),
        ..Arguments::from_args()
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A trial: its name, and what it does.
type Named = (&'static str, fn() -> Result<(), Failed>);

fn worker(data: &str, cpu: &str) -> ExitCode {
    assert_eq!(
        std::env::vars_os().count(),
        0,
        "the worker gets no environment"
    );
    ended(weir_sandbox::render_worker(&WorkerLimits {
        data_bytes: data.parse().unwrap(),
        cpu_seconds: cpu.parse().unwrap(),
        ..WorkerLimits::HOST
    }))
}

fn ended<E: std::fmt::Display>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
