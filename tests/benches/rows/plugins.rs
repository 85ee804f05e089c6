//! The same transformer in each language and as a script in each engine, against a process in the same language that reads
//! the objects on its stdin: what an exec plugin costs.

use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};
use weir_core::tree::{Snapshot, View};
use weir_sandbox::{Plugin, Role};

use super::Size;
use super::measure::{Pairs, seconds};
use super::table::{Row, Unit};
use super::work::{self, Bench};

mod cases;
mod process;

use cases::Case;

/// Calls in one figure.
const CALLS: u32 = 20;
/// Objects of one call.
const OBJECTS: usize = 10;
/// The label's value.
const TEAM: &str = "red";

/// All rows of this group.
///
/// # Errors
/// A plugin is not built and cannot be, a language's program is not there, or the sides give different objects.
pub(crate) fn rows(size: Size) -> Result<Vec<Row>> {
    let home = tempfile::Builder::new().prefix("weir-bench-").tempdir()?;
    let cache = cases::compiled()?;
    let bench = Bench::sharing(&cache)?;
    let mut rows = Vec::new();
    for case in cases::all(size, home.path())? {
        let scene = Scene::new(&bench, &case)?;
        rows.push(scene.warm(size)?);
        rows.push(scene.cold(size, &cache)?);
        rows.push(scene.memory(size)?);
    }
    Ok(rows)
}

/// A case, loaded, with its work for both sides.
struct Scene<'a> {
    bench: &'a Bench,
    case: &'a Case,
    plugin: Plugin,
    snapshot: Snapshot,
    objects: Vec<Vec<u8>>,
    stdin: Vec<u8>,
}

/// What one call gave and took.
struct Made {
    objects: Vec<Value>,
    fuel: u64,
    /// Linear memory, in bytes.
    memory: u64,
}

impl<'a> Scene<'a> {
    /// With both sides' objects compared.
    fn new(bench: &'a Bench, case: &'a Case) -> Result<Scene<'a>> {
        let objects: Vec<Value> = (0..OBJECTS).map(object).collect();
        let scene = Scene {
            bench,
            case,
            plugin: bench.load(Role::Transformer, &case.component)?,
            snapshot: work::snapshot(&case.files)?,
            objects: objects
                .iter()
                .map(serde_json::to_vec)
                .collect::<Result<_, _>>()?,
            stdin: serde_json::to_vec(&objects)?,
        };
        let given = scene.call(bench, &scene.plugin)?.objects;
        let other = case.process.run(&scene.stdin)?;
        ensure!(
            given == other,
            "{}: the sides differ: {given:?} and {other:?}",
            case.what
        );
        Ok(scene)
    }

    fn warm(&self, size: Size) -> Result<Row> {
        let made = self.call(self.bench, &self.plugin)?;
        let calls = || {
            let all = || (0..CALLS).try_for_each(|_| self.call(self.bench, &self.plugin).map(drop));
            Ok(seconds(all)? / f64::from(CALLS))
        };
        Ok(Row {
            what: format!("{}, a transform of {OBJECTS} objects, warm", self.case.what),
            against: self.case.process.name.clone(),
            unit: Unit::Seconds,
            pairs: Pairs::take(size.rounds, calls, || self.process())?,
            notes: vec![format!(
                "a component of {:.1} MiB; one call: {:.2} M fuel; each figure of Weir is the mean of {CALLS} calls",
                mebibytes(self.case.component.len() as u64),
                made.fuel as f64 / 1e6,
            )],
        })
    }

    /// A host that starts again has the machine code in its cache and nothing in memory.
    fn cold(&self, size: Size, cache: &std::path::Path) -> Result<Row> {
        let first = || {
            seconds(|| {
                let bench = Bench::sharing(cache)?;
                let plugin = bench.load(Role::Transformer, &self.case.component)?;
                self.call(&bench, &plugin)
            })
        };
        Ok(Row {
            what: format!(
                "{}, the same after a host's restart, from the compiled cache",
                self.case.what
            ),
            against: self.case.process.name.clone(),
            unit: Unit::Seconds,
            pairs: Pairs::take(size.processes, first, || self.process())?,
            notes: vec!["a new engine, the entry authenticated, the first call".to_owned()],
        })
    }

    fn memory(&self, size: Size) -> Result<Row> {
        let linear = || Ok(self.call(self.bench, &self.plugin)?.memory as f64);
        let process = || self.case.process.peak(&self.stdin);
        Ok(Row {
            what: format!("{}, linear memory of a call", self.case.what),
            against: format!("peak resident memory of {}", self.case.process.name),
            unit: Unit::Bytes,
            pairs: Pairs::take(size.processes, linear, process)?,
            notes: vec![
                "linear memory that is only mapped counts as well; the process is looked at until it ends".to_owned(),
            ],
        })
    }

    fn call(&self, bench: &Bench, plugin: &Plugin) -> Result<Made> {
        let view = View::new(self.snapshot.clone(), work::roots());
        let call = bench.call_at(work::APP, &self.case.config);
        let made = bench.sandbox.transform(plugin, call, &self.objects, view);
        let (objects, _, usage) = bench
            .runtime
            .block_on(made)
            .map_err(|e| anyhow!("{}: {e}", self.case.what))?;
        let objects: Result<Vec<Value>, _> =
            objects.iter().map(|o| serde_json::from_slice(o)).collect();
        Ok(Made {
            objects: objects?,
            fuel: usage.fuel,
            memory: usage.memory,
        })
    }

    fn process(&self) -> Result<f64> {
        seconds(|| self.case.process.run(&self.stdin))
    }
}

fn object(n: usize) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": format!("web-{n}"), "labels": { "app": "web" } },
        "spec": { "replicas": n, "template": { "spec": { "containers": [{ "name": "web", "image": "nginx:1.27" }] } } } })
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
