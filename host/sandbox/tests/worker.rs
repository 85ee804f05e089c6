//! Compiling in a child process: this test binary is its own compile worker, as `weir` is.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test says what is wrong by failing"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use tempfile::TempDir;
use weir_core::digest::Digest;
use weir_core::fault::{Blame, Fault, Retry};
use weir_sandbox::{
    CompileError, CompileLimits, CompileMode, Isolation, LoadError, Role, Sandbox, SandboxConfig,
    compile_worker,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

const LIMITS: CompileLimits = CompileLimits {
    wall: Duration::from_secs(120),
    ..CompileLimits::HOST
};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, address_space, cpu_seconds] = args.as_slice()
        && word == "compile-worker"
    {
        return worker(address_space, cpu_seconds);
    }
    let trials = vec![
        Trial::test(
            "a_plugin_is_compiled_in_a_child_and_found_on_disk_again",
            compiles,
        ),
        Trial::test(
            "a_component_that_does_not_compile_is_the_plugins_fault",
            refuses,
        ),
        Trial::test(
            "a_child_that_uses_too_much_processor_time_is_stopped",
            processor_time,
        ),
        Trial::test(
            "a_child_that_needs_too_much_memory_is_stopped",
            address_space,
        ),
        Trial::test(
            "whatever_keeps_a_compiler_busy_ends_within_its_limits_and_the_next_one_compiles",
            bombs,
        ),
        Trial::test(
            "a_child_that_is_killed_from_outside_is_not_said_to_have_used_its_processor_time",
            killed,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn worker(address_space: &str, cpu_seconds: &str) -> ExitCode {
    assert_eq!(
        std::env::vars_os().count(),
        0,
        "the worker gets no environment"
    );
    let address_space = address_space.parse().unwrap();
    let limits = CompileLimits {
        address_space,
        cpu_seconds: cpu_seconds.parse().unwrap(),
        ..LIMITS
    };
    match compile_worker(&limits) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

fn sandbox(dir: &Path, limits: CompileLimits) -> std::sync::Arc<Sandbox> {
    let args = vec![
        "compile-worker".into(),
        limits.address_space.to_string(),
        limits.cpu_seconds.to_string(),
    ];
    Sandbox::new(SandboxConfig {
        cache_dir: dir.join("code"),
        cache_bytes: SandboxConfig::CACHE_BYTES,
        plugins_in_memory: SandboxConfig::PLUGINS_IN_MEMORY,
        compile: CompileMode::Child {
            program: std::env::current_exe().unwrap(),
            args,
        },
        compile_limits: limits,
        isolation: Isolation::InProcess,
    })
    .unwrap()
}

/// A validator that has these functions too.
fn validator(functions: &str) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve
        .push_dir(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")))
        .unwrap();
    let world = resolve.select_world(&[package], Some("validator")).unwrap();
    let text = format!(
        r#"(module (memory (export "memory") 1) {functions}
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        (func (export "validate") (param i32) (result i32) (unreachable)))"#
    );
    let mut module = wat::parse_str(text).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .encode()
        .unwrap()
}

fn load(limits: CompileLimits, bytes: &[u8]) -> Result<(), LoadError> {
    let dir = TempDir::new().unwrap();
    sandbox(dir.path(), limits)
        .load(Digest::of(bytes), Role::Validator, bytes, &|_| {})
        .map(|_| ())
}

fn compiles() -> Result<(), Failed> {
    let dir = TempDir::new()?;
    let bytes = validator("");
    for (compiled, cache) in [(1, 0), (0, 1)] {
        let sandbox = sandbox(dir.path(), LIMITS);
        sandbox.load(Digest::of(&bytes), Role::Validator, &bytes, &|_| {})?;
        assert_eq!(
            (sandbox.counts().compiled, sandbox.counts().cache),
            (compiled, cache)
        );
    }
    Ok(())
}

fn refuses() -> Result<(), Failed> {
    // A component whose module adds a number to nothing: only the compiler looks that far.
    let mut bytes = validator("(func (result i32) (i32.add (i32.const 77777) (i32.const 1)))");
    let add = bytes
        .windows(5)
        .position(|w| w == [0xd1, 0xdf, 0x04, 0x41, 0x01])
        .ok_or("the code is not there")?;
    bytes[add + 3] = 0x01;
    bytes[add + 4] = 0x01;
    let error = load(LIMITS, &bytes).unwrap_err();
    assert!(
        matches!(
            error,
            LoadError::Compile {
                source: CompileError::Component(_),
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(error.retry(), Retry::OnChange);
    Ok(())
}

/// A validator that takes Cranelift many seconds.
fn slow() -> Vec<u8> {
    let mut functions = String::new();
    for i in 0..3000 {
        write!(
            functions,
            "(func (param $x i64) (result i64) (local.get $x)"
        )
        .unwrap();
        for j in 0..200 {
            write!(
                functions,
                "(i64.mul (i64.load8_u (i32.const {j}))) (i64.xor (i64.const {}))",
                i * j
            )
            .unwrap();
        }
        functions.push(')');
    }
    validator(&functions)
}

fn processor_time() -> Result<(), Failed> {
    let error = load(
        CompileLimits {
            cpu_seconds: 1,
            ..LIMITS
        },
        &slow(),
    )
    .unwrap_err();
    assert!(
        error.to_string().contains("processor time in seconds (1)"),
        "{error}"
    );
    assert_eq!(error.retry(), Retry::Backoff);
    Ok(())
}

/// Modules that are small to write down and large to compile.
fn compile_bombs() -> Vec<(&'static str, String)> {
    let huge = "(local.set 0 (i64.mul (local.get 0) (i64.load8_u (i32.const 7))))".repeat(150_000);
    let deep = format!("{}{}", "(block ".repeat(40_000), ")".repeat(40_000));
    let targets = "0 ".repeat(500_000);
    let table = format!("(func (param i32) (block (br_table {targets} (local.get 0))))");
    let calls: String = (0..20_000).map(|n| format!("(call $f{n})")).collect();
    let named: String = (0..20_000).map(|n| format!("(func $f{n})")).collect();
    vec![
        ("one huge function", format!("(func (param i64) {huge})")),
        (
            "a hundred thousand functions",
            "(func (result i32) (i32.const 1))".repeat(100_000),
        ),
        ("blocks in blocks", format!("(func {deep})")),
        (
            "a giant data segment",
            format!("(data \"{}\")", "x".repeat(32 << 20)),
        ),
        ("jump tables", table.repeat(8)),
        ("calls of everything", format!("{named} (func {calls})")),
    ]
}

fn bombs() -> Result<(), Failed> {
    let dir = TempDir::new()?;
    let limits = CompileLimits {
        cpu_seconds: 2,
        address_space: 2 << 30,
        ..LIMITS
    };
    let sandbox = sandbox(dir.path(), limits);
    let mut stopped = 0;
    for (what, functions) in compile_bombs() {
        let bytes = validator(&functions);
        let digest = Digest::of(&bytes);
        match sandbox.load(digest, Role::Validator, &bytes, &|_| {}) {
            Ok(_) => {}
            Err(LoadError::Compile {
                digest: named,
                source: CompileError::Limit { limit, value },
            }) => {
                stopped += 1;
                assert_eq!(named, digest, "{what}");
                assert!(!limit.is_empty() && !value.is_empty(), "{what}");
            }
            Err(LoadError::Compile {
                source: CompileError::Component(why),
                ..
            }) => assert!(!why.is_empty(), "{what}"),
            Err(other) => return Err(format!("{what}: {other}").into()),
        }
        // The next one has its own process, and its own limits.
        let good = validator("");
        sandbox.load(Digest::of(&good), Role::Validator, &good, &|_| {})?;
    }
    assert!(stopped > 0, "none of them was stopped by a limit");
    Ok(())
}

fn killed() -> Result<(), Failed> {
    let bytes = slow();
    let dir = TempDir::new()?;
    // This thread started the child, so the kernel lists it here and no other test's.
    let kill = |_: &str| {
        let children = std::fs::read_to_string("/proc/thread-self/children").unwrap();
        for child in children.split_whitespace() {
            let pid = rustix::process::Pid::from_raw(child.parse().unwrap()).unwrap();
            // As the kernel does when there is no memory left.
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
    };
    let error = sandbox(dir.path(), LIMITS)
        .load(Digest::of(&bytes), Role::Validator, &bytes, &kill)
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("SIGKILL") && text.contains("no memory left") && !text.contains("processor"),
        "{text}"
    );
    assert_eq!(
        (error.fault(), error.retry()),
        (Fault::Host, Retry::Backoff)
    );
    Ok(())
}

fn address_space() -> Result<(), Failed> {
    let error = load(
        CompileLimits {
            address_space: 16 << 20,
            ..LIMITS
        },
        &validator(""),
    )
    .unwrap_err();
    assert!(
        error.to_string().contains("address space in bytes"),
        "{error}"
    );
    Ok(())
}
