//! A `weir serve` to measure: asked to look again, waited for by its metrics; and how long each stage took.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;
use weir_tests::weir::{PATIENCE, http_get, text};
use weir_tests::{Serving, Weir};

use super::table::median;

/// Between two looks at a process: short against what is measured, long enough not to disturb it.
pub(super) const LOOK: Duration = Duration::from_micros(500);
/// Between two looks where processor time is measured: one look is the rule.
pub(super) const SELDOM: Duration = Duration::from_millis(30);

/// A running `weir serve` that has synced.
pub(super) struct Serve {
    process: Serving,
    address: String,
}

impl Serve {
    /// Starts it with no polls of its own.
    pub(super) fn start(weir: &Weir, arguments: Vec<String>) -> Result<Serve> {
        let (mut process, address) = Serve::begin(weir, arguments)?;
        process.wait_for_text("synced to", PATIENCE)?;
        Ok(Serve { process, address })
    }

    /// Starts it with no polls of its own, and waits until so many apps were looked at, with or without a change.
    pub(super) fn start_with(weir: &Weir, arguments: Vec<String>, apps: usize) -> Result<Serve> {
        let (process, address) = Serve::begin(weir, arguments)?;
        let serve = Serve { process, address };
        let (started, mut seen) = (Instant::now(), 0.0);
        // Very many apps take their time: patience is for the next of them.
        let mut last = started;
        while last.elapsed() < PATIENCE {
            std::thread::sleep(SELDOM);
            let now = serve.syncs("changed")? + serve.syncs("unchanged")?;
            if now >= apps as f64 {
                return Ok(serve);
            }
            if now > seen {
                (seen, last) = (now, Instant::now());
            }
        }
        bail!(
            "only {seen} of {apps} apps were looked at: {}",
            serve.process.transcript()
        )
    }

    fn begin(weir: &Weir, mut arguments: Vec<String>) -> Result<(Serving, String)> {
        arguments.extend(["--interval", "1h", "--listen", "127.0.0.1:0"].map(str::to_owned));
        let mut process = weir.start(arguments)?;
        let line = process.wait_for_text("/api/v1/apps", PATIENCE)?;
        let address = line
            .split_once("http://")
            .and_then(|(_, rest)| rest.split_once("/api"))
            .map(|(address, _)| address.to_owned());
        let address = address.with_context(|| format!("no address in: {line}"))?;
        Ok((process, address))
    }

    /// Asks for a look at the repository and waits until the app was looked at, and was as it should be.
    pub(super) fn refresh(&mut self, look: Duration) -> Result<f64> {
        self.until_sync("unchanged", look)
    }

    /// Asks for a look at the repository and waits until what changed there was synced.
    pub(super) fn change(&mut self, look: Duration) -> Result<f64> {
        self.until_sync("changed", look)
    }

    /// Seconds from the request to the end of one more sync with this result.
    fn until_sync(&mut self, result: &str, look: Duration) -> Result<f64> {
        let before = self.syncs(result)?;
        let started = Instant::now();
        self.process.signal(Signal::HUP)?;
        while started.elapsed() < PATIENCE {
            std::thread::sleep(look);
            if self.syncs(result)? > before {
                return Ok(started.elapsed().as_secs_f64());
            }
        }
        bail!("no {result} sync within {PATIENCE:?} of a SIGHUP")
    }

    /// Where it answers.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Asks for a look at the repository, in the plainest way.
    pub(super) fn hang_up(&self) -> Result<()> {
        self.process.signal(Signal::HUP)
    }

    /// Its process.
    pub(super) fn pid(&self) -> Result<i32> {
        Ok(self.process.pid()?.as_raw_pid())
    }

    fn syncs(&self, result: &str) -> Result<f64> {
        let (_, metrics) = http_get(&self.address, "/metrics")?;
        let line = metrics
            .lines()
            .find(|l| l.starts_with("weir_syncs_total") && l.contains(&format!("\"{result}\"")));
        let number = line.and_then(|l| l.rsplit(' ').next());
        Ok(number.map_or(Ok(0.0), str::parse)?)
    }

    /// Sum in seconds and count of each stage so far.
    pub(super) fn stages(&self) -> Result<BTreeMap<String, (f64, f64)>> {
        let (_, metrics) = http_get(&self.address, "/metrics")?;
        let mut stages: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for line in metrics.lines() {
            let Some((name, rest)) = line.split_once("{stage=\"") else {
                continue;
            };
            let (Some((stage, _)), Some((_, number))) =
                (rest.split_once('"'), rest.rsplit_once(' '))
            else {
                continue;
            };
            let entry = stages.entry(stage.to_owned()).or_default();
            match name {
                "weir_stage_seconds_sum" => entry.0 = number.parse()?,
                "weir_stage_seconds_count" => entry.1 = number.parse()?,
                _ => {}
            }
        }
        Ok(stages)
    }

    pub(super) fn stop(mut self) -> Result<()> {
        let code = self.process.terminate(PATIENCE)?;
        ensure!(code == Some(0), "weir serve: {}", self.process.transcript());
        Ok(())
    }
}

/// Seconds of each stage, run for run.
#[derive(Debug, Default)]
pub(super) struct Stages(BTreeMap<String, Vec<f64>>);

impl Stages {
    /// Takes the newest sync of a state's history.
    pub(super) fn add(&mut self, weir: &Weir, state: &Path) -> Result<()> {
        let ran = weir.run(["history", "--state", text(state)?, "-o", "json"])?;
        let history: Value = serde_json::from_str(&ran.success()?)?;
        let micros = newest_micros(&history).context("the history has no sync")?;
        for (stage, micros) in micros {
            let micros = micros.as_f64().context("a stage is no number")?;
            self.0.entry(stage.clone()).or_default().push(micros / 1e6);
        }
        Ok(())
    }

    /// The means of what was between two looks.
    pub(super) fn between(
        before: &BTreeMap<String, (f64, f64)>,
        after: &BTreeMap<String, (f64, f64)>,
    ) -> Stages {
        let mean = |(stage, (sum, count)): (&String, &(f64, f64))| {
            let (sum_before, count_before) = before.get(stage).copied().unwrap_or_default();
            let runs = count - count_before;
            (runs > 0.0).then(|| (stage.clone(), vec![(sum - sum_before) / runs]))
        };
        Stages(after.iter().filter_map(mean).collect())
    }
}

impl std::fmt::Display for Stages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, (stage, runs)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{stage} {:.1}", median(runs) * 1e3)?;
        }
        Ok(())
    }
}

/// The first `micros` of a value, depth first: histories are newest first.
fn newest_micros(value: &Value) -> Option<&serde_json::Map<String, Value>> {
    match value {
        Value::Object(fields) => fields
            .get("micros")
            .and_then(Value::as_object)
            .or_else(|| fields.values().find_map(newest_micros)),
        Value::Array(items) => items.iter().find_map(newest_micros),
        _ => None,
    }
}
