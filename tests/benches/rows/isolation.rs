//! What it costs to run plugins and to fetch in processes without rights: one render in a worker against the same in the host's own.

use anyhow::Result;
use serde_json::{Map, Value};
use weir_core::tree::{Snapshot, View};
use weir_sandbox::{
    CompileMode, Isolation, Plugin, Role, Sandbox, SandboxConfig, WorkerLimits, Workers,
};
use weir_tests::places;

use super::measure::{Pairs, seconds};
use super::render::trees;
use super::table::{Row, Unit};
use super::work::{self, Bench};
use super::{Size, fetching};

/// Calls in one figure: one is too exposed to chance.
const CALLS: u32 = 20;

/// All rows of this group.
///
/// # Errors
/// The binary or the plugins are not built, or a call fails.
pub(crate) fn rows(size: Size) -> Result<Vec<Row>> {
    let own = places::dev_cache()?.join("engines/compiled");
    let here = Side::new(Bench::config(&own))?;
    let worker = Side::new(in_workers(Bench::config(&own), WorkerLimits::HOST)?)?;
    // Each call has a worker that was started ahead of it.
    let once = WorkerLimits {
        calls: 1,
        ..WorkerLimits::HOST
    };
    let fresh = Side::new(in_workers(Bench::config(&own), once)?)?;
    let mut rows = Vec::new();
    for (what, plugin, work) in works()? {
        let one = |side: &Side| side.loaded(&plugin);
        let (ours, theirs, new) = (one(&worker)?, one(&here)?, one(&fresh)?);
        let pairs = Pairs::take(
            size.rounds,
            || worker.render(&ours, &work, CALLS),
            || here.render(&theirs, &work, CALLS),
        )?;
        rows.push(row(
            format!("{what}, in a worker that ran calls of its repository before"),
            pairs,
        ));
        let pairs = Pairs::take(
            size.rounds,
            || fresh.render(&new, &work, CALLS),
            || here.render(&theirs, &work, CALLS),
        )?;
        rows.push(row(format!("{what}, in a new worker each time"), pairs));
    }
    rows.extend(fetching::rows(size)?);
    Ok(rows)
}

fn row(what: String, pairs: Pairs) -> Row {
    let mut more: Vec<f64> = pairs
        .weir
        .iter()
        .zip(&pairs.other)
        .map(|(a, b)| (a - b) * 1e3)
        .collect();
    more.sort_by(f64::total_cmp);
    let middle = more.get(more.len() / 2).copied().unwrap_or_default();
    let (least, most) = (
        more.first().copied().unwrap_or_default(),
        more.last().copied().unwrap_or_default(),
    );
    Row {
        what,
        against: "the same in the host's own process".to_owned(),
        unit: Unit::Seconds,
        pairs,
        notes: vec![format!(
            "the process adds {middle:.3} ms to a render ({least:.3} to {most:.3}); each figure is the mean of {CALLS}"
        )],
    }
}

/// A tree, where the app lies in it, and its plugin's config.
struct Work {
    snapshot: Snapshot,
    path: String,
    config: Value,
}

fn works() -> Result<Vec<(String, Vec<u8>, Work)>> {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata: { a: b }\n";
    let files = (0..3).map(|n| (format!("{}/{n}.yaml", work::APP), map.to_owned()));
    let yaml = Work {
        snapshot: work::snapshot(&files.collect::<Vec<_>>())?,
        path: work::APP.to_owned(),
        config: Value::Object(Map::new()),
    };
    let chart = trees::small_chart();
    let helm = Work {
        snapshot: work::snapshot(&chart.files)?,
        path: chart.dir.clone(),
        config: chart.config.clone(),
    };
    Ok(vec![
        (
            "one render of three YAML files".to_owned(),
            places::bundled("yaml")?,
            yaml,
        ),
        (
            format!("one render of {}", chart.what),
            places::bundled("helm")?,
            helm,
        ),
    ])
}

/// A sandbox in one of the ways, with its compiled plugins shared with the other.
struct Side {
    bench: Bench,
}

impl Side {
    fn new(config: SandboxConfig) -> Result<Side> {
        let mut bench = Bench::sharing(&config.cache_dir)?;
        bench.sandbox = Sandbox::new(config)?;
        Ok(Side { bench })
    }

    fn loaded(&self, bytes: &[u8]) -> Result<Plugin> {
        self.bench.load(Role::Renderer, bytes)
    }

    /// Seconds of one render, the mean of some.
    fn render(&self, plugin: &Plugin, work: &Work, calls: u32) -> Result<f64> {
        let bench = &self.bench;
        let spent = seconds(|| {
            for _ in 0..calls {
                let view = View::new(work.snapshot.clone(), work::roots());
                let call = bench.call_at(&work.path, &work.config);
                let rendered = bench
                    .runtime
                    .block_on(bench.sandbox.render(plugin, call, view));
                rendered.map_err(|e| anyhow::anyhow!("{e}"))?;
            }
            Ok(())
        })?;
        Ok(spent / f64::from(calls))
    }
}

/// The same, with calls in workers: processes of the binary under test.
fn in_workers(config: SandboxConfig, limits: WorkerLimits) -> Result<SandboxConfig> {
    let workers = Workers {
        program: places::weir_binary()?,
        args: vec!["render-worker".to_owned()],
        limits,
        is_required: false,
    };
    Ok(SandboxConfig {
        isolation: Isolation::Processes(workers),
        compile: CompileMode::InProcess,
        ..config
    })
}
