//! A call of a plugin that does nothing: store and instance made, called, dropped.

use std::hint::black_box;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use weir_core::tree::{Snapshot, View};
use weir_sandbox::{Plugin, Role};

use super::Size;
use super::measure::{Pairs, seconds};
use super::table::{Row, Unit};
use super::work::{self, Bench};

/// Calls in one figure: one is too short for the clock and too exposed to chance.
const CALLS: u32 = 50;
/// Native calls in one figure.
const NATIVE: u32 = 100_000;

/// All rows of this group.
///
/// # Errors
/// The guest is not built, or a call fails.
pub(crate) fn rows(size: Size) -> Result<Vec<Row>> {
    let bench = Bench::new()?;
    let plugin = bench.load(Role::Validator, &work::guest("echo-validator")?)?;
    let snapshot = work::snapshot(&[])?;
    let call = || call(&bench, &plugin, &snapshot);
    let native = Pairs::take(size.rounds, call, native)?;
    let process = Pairs::take(size.rounds, call, spawn)?;
    let what = "one call of a plugin that does nothing, instance included";
    let row = |against: &str, pairs, note: &str| Row {
        what: what.to_owned(),
        against: against.to_owned(),
        unit: Unit::Seconds,
        pairs,
        notes: vec![note.to_owned()],
    };
    Ok(vec![
        row(
            "a native function call",
            native,
            &format!(
                "each figure is the mean of {CALLS} calls, of the function of {NATIVE}; the function is what no sandbox can reach"
            ),
        ),
        row(
            "starting a process (`/bin/true`)",
            process,
            "a process is what a host without a sandbox would start for each call",
        ),
    ])
}

fn call(bench: &Bench, plugin: &Plugin, snapshot: &Snapshot) -> Result<f64> {
    let spent = seconds(|| {
        for _ in 0..CALLS {
            let view = View::new(snapshot.clone(), work::roots());
            let call = bench.sandbox.validate(plugin, bench.call(), &[], view);
            let validated = bench.runtime.block_on(call);
            let (findings, _, _) = validated.map_err(|e| anyhow::anyhow!("{e}"))?;
            ensure!(findings.is_empty(), "findings about no object");
        }
        Ok(())
    })?;
    Ok(spent / f64::from(CALLS))
}

#[inline(never)]
fn nothing(objects: &[Vec<u8>]) -> Vec<u32> {
    objects.iter().map(|_| 0).collect()
}

fn native() -> Result<f64> {
    let objects: Vec<Vec<u8>> = Vec::new();
    let spent = seconds(|| {
        for _ in 0..NATIVE {
            black_box(nothing(black_box(&objects)));
        }
        Ok(())
    })?;
    Ok(spent / f64::from(NATIVE))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a process that does nothing is what the row is held against"
)]
fn spawn() -> Result<f64> {
    seconds(|| {
        let status = Command::new("/bin/true").stdin(Stdio::null()).status()?;
        ensure!(status.success(), "/bin/true: {status}");
        Ok(())
    })
}
