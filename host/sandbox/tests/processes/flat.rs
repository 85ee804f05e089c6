//! The host's own memory while guests do their worst, as the kernel counts it: in a process of its own for each way, so
//! that nothing else is in the figure.

use std::process::{Command, Stdio};

use libtest_mimic::Failed;
use weir_core::grant::{Bytes, Fuel, Limits};

use crate::guests::{LIMITS, renderer, renderer_with};
use crate::scene::{Scene, Way, told};
use crate::{Named, Role, WorkerLimits};

pub(crate) const TRIALS: &[Named] = &[
    (
        "the_hosts_memory_stays_flat_over_hundreds_of_hostile_calls_in_its_own_process",
        || flat("in-process"),
    ),
    (
        "the_hosts_memory_stays_flat_over_hundreds_of_hostile_calls_in_workers",
        || flat("workers"),
    ),
];

/// Rounds over all guests, after those that warm up.
const ROUNDS: usize = 40;
/// What the host may have more at its peak after them, in KiB: noise of its allocator, and far less than one guest wants.
const MORE: u64 = 24 << 10;

const LOG: &str = r#"(import "weir:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
const READ: &str = r#"(import "weir:plugin/tree@0.1.0" "read" (func $read (param i32 i32 i32)))"#;

fn hostile() -> Vec<Vec<u8>> {
    let grows = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 100)) (i32.const -1)))) (unreachable)";
    let tables = "(loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 100000)) (i32.const -1)))) (unreachable)";
    let many = "(i32.store8 (i32.const 1024) (i32.const 0)) (i32.store (i32.const 1028) (i32.const 131072))
        (i32.store (i32.const 1032) (i32.const 100001)) (drop (memory.grow (i32.const 100))) (i32.const 1024)";
    let flood = "(loop $more (call $log (i32.const 0) (i32.const 0) (i32.const 60000)) (br $more)) (unreachable)";
    let reads = "(loop $more (call $read (i32.const 3100) (i32.const 1) (i32.const 4000)) (br $more)) (unreachable)";
    let large =
        "(drop (memory.grow (i32.const 900))) (call $answer (i32.const 0) (i32.const 50000000))";
    vec![
        renderer("(loop $more (br $more)) (unreachable)"),
        renderer(grows),
        renderer_with("", tables, "(table $t 1 funcref)"),
        renderer(many),
        renderer(large),
        renderer_with(LOG, flood, ""),
        renderer_with(READ, reads, r#"(data (i32.const 3100) "f")"#),
        renderer("(unreachable)"),
        renderer_with(
            "",
            "(call $deep) (unreachable)",
            "(func $deep (call $deep) (call $deep))",
        ),
    ]
}

/// Starts this binary once more, and has it say how its peak grew.
fn flat(way: &str) -> Result<(), Failed> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this test binary, as a host whose memory is looked at"
    )]
    let mut command = Command::new(std::env::current_exe()?);
    let done = command.args(["flat", way]).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    match done.status.success() {
        true => Ok(()),
        false => Err(format!("{way}: {said}").into()),
    }
}

/// Runs hostile calls, and compares this process' peak before and after.
pub(crate) fn hostile_calls(way: &str) -> Result<(), String> {
    let way = match way {
        "workers" => Way::Workers(WorkerLimits::HOST),
        _ => Way::InProcess,
    };
    let scene = Scene::new(&way, Role::Renderer, &renderer("(unreachable)"));
    let guests: Vec<_> = hostile()
        .iter()
        .map(|guest| scene.load(Role::Renderer, guest))
        .collect();
    let limits = Limits {
        fuel: Fuel(5_000_000),
        memory: Bytes(256 << 20),
        host_calls: 200,
        ..LIMITS
    };
    let file = "x".repeat(4000);
    let round = || {
        for guest in &guests {
            let files = told(&[("f", &file)], |_| {});
            let ended = scene.render_of("shop", guest, limits, files);
            assert!(ended.is_err(), "each of them is stopped");
        }
    };
    (0..4).for_each(|_| round());
    let before = peak()?;
    (0..ROUNDS).for_each(|_| round());
    let after = peak()?;
    let calls = ROUNDS * guests.len();
    match after.saturating_sub(before) <= MORE {
        true => Ok(()),
        false => Err(format!(
            "{calls} hostile calls took the peak from {before} KiB to {after} KiB"
        )),
    }
}

/// The most memory that this process ever had, in KiB.
fn peak() -> Result<u64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|e| e.to_string())?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let number = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| "the kernel does not say it".to_owned())
}
