//! The same small transform as a script in each engine, against a process that reads the objects on its stdin: what an exec
//! plugin costs.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use weir_core::tree::{Snapshot, View};
use weir_sandbox::{Plugin, Role};
use weir_tests::places;

use super::Size;
use super::measure::{Pairs, seconds};
use super::table::{Row, Unit};
use super::work::{self, Bench};

/// Calls in one figure.
const CALLS: u32 = 20;
/// Objects of one call.
const OBJECTS: usize = 10;

/// The transform in each language: a label, and at most three replicas.
const STARLARK: &str = "def transform_object(object, params):
    object[\"metadata\"].setdefault(\"labels\", {})[\"team\"] = params.values[\"team\"]
    if object[\"kind\"] == \"Deployment\":
        object[\"spec\"][\"replicas\"] = min(object[\"spec\"][\"replicas\"], params.values[\"most\"])
    return object
";
const JS: &str = "export function transformObject(object, { values }) {
  object.metadata.labels = { ...object.metadata.labels, team: values.team };
  if (object.kind === \"Deployment\") object.spec.replicas = Math.min(object.spec.replicas, values.most);
  return object;
}
";
const CEL: &str = "transform:
- patch: \"{'metadata': {'labels': {'team': params.values.team}}}\"
- kinds: [Deployment]
  patch: \"{'spec': {'replicas': [object.spec.replicas, params.values.most].min()}}\"
";
/// The same as programs of their own.
const NODE: &str = "const all = JSON.parse(require('fs').readFileSync(0, 'utf8'));
for (const o of all) { o.metadata.labels = { ...o.metadata.labels, team: 'red' }; if (o.kind === 'Deployment') o.spec.replicas = Math.min(o.spec.replicas, 3); }
process.stdout.write(JSON.stringify(all));";
const PYTHON: &str = "import json, sys
all = json.load(sys.stdin)
for o in all:
    o['metadata'].setdefault('labels', {})['team'] = 'red'
    if o['kind'] == 'Deployment': o['spec']['replicas'] = min(o['spec']['replicas'], 3)
json.dump(all, sys.stdout)";

/// One engine, and the process that it is held against.
struct Case {
    plugin: &'static str,
    file: &'static str,
    script: &'static str,
    against: &'static str,
    program: [&'static str; 3],
}

/// Neither Starlark nor CEL has a program that people run for this: Python is the nearest that they would take.
const CASES: [Case; 3] = [
    Case {
        plugin: "starlark",
        file: "x.star",
        script: STARLARK,
        against: "a `python3` process that reads stdin",
        program: ["python3", "-c", PYTHON],
    },
    Case {
        plugin: "js",
        file: "x.js",
        script: JS,
        against: "a `node` process that reads stdin",
        program: ["node", "-e", NODE],
    },
    Case {
        plugin: "cel",
        file: "x.yaml",
        script: CEL,
        against: "a `python3` process that reads stdin",
        program: ["python3", "-c", PYTHON],
    },
];

/// All rows of this group.
///
/// # Errors
/// The plugins are not built, node or python3 is not there, or the sides give different objects.
pub(crate) fn rows(size: Size) -> Result<Vec<Row>> {
    let bench = Bench::sharing(&places::dev_cache()?.join("engines/compiled"))?;
    CASES.iter().map(|case| row(&bench, case, size)).collect()
}

fn row(bench: &Bench, case: &Case, size: Size) -> Result<Row> {
    let component = places::bundled(case.plugin)?;
    let plugin = bench.load(Role::Transformer, &component)?;
    let snapshot = work::snapshot(&[(format!("app/{}", case.file), case.script.to_owned())])?;
    let objects = objects()?;
    let config = json!({ "script": case.file, "values": { "team": "red", "most": 3 } });
    let scene = Scene {
        bench,
        plugin,
        snapshot,
        objects,
        config,
    };
    let (given, fuel, memory) = scene.call()?;
    let other = process(case, &scene.stdin()?)?;
    ensure!(
        given == other,
        "{}: the sides differ: {given:?} and {other:?}",
        case.plugin
    );
    let stdin = scene.stdin()?;
    let pairs = Pairs::take(
        size.rounds,
        || scene.calls(),
        || seconds(|| process(case, &stdin)),
    )?;
    Ok(Row {
        what: format!(
            "bundled:{}, a transform of {OBJECTS} objects, warm",
            case.plugin
        ),
        against: case.against.to_owned(),
        unit: Unit::Seconds,
        pairs,
        notes: vec![format!(
            "a component of {:.1} MiB; one call: {:.2} M fuel, {:.1} MiB of linear memory; each figure of Weir is the mean of {CALLS} calls",
            component.len() as f64 / f64::from(1 << 20),
            fuel as f64 / 1e6,
            memory as f64 / f64::from(1 << 20),
        )],
    })
}

struct Scene<'a> {
    bench: &'a Bench,
    plugin: Plugin,
    snapshot: Snapshot,
    objects: Vec<Vec<u8>>,
    config: Value,
}

impl Scene<'_> {
    /// One call: the objects, fuel and memory.
    fn call(&self) -> Result<(Vec<Value>, u64, u64)> {
        let view = View::new(self.snapshot.clone(), work::roots());
        let call = self.bench.call_at(work::APP, &self.config);
        let made = self
            .bench
            .sandbox
            .transform(&self.plugin, call, &self.objects, view);
        let (objects, _, usage) = self
            .bench
            .runtime
            .block_on(made)
            .map_err(|e| anyhow::anyhow!("{e}"))?;
        let objects: Result<Vec<Value>, _> =
            objects.iter().map(|o| serde_json::from_slice(o)).collect();
        Ok((objects?, usage.fuel, usage.memory))
    }

    fn calls(&self) -> Result<f64> {
        let spent = seconds(|| (0..CALLS).try_for_each(|_| self.call().map(|_| ())))?;
        Ok(spent / f64::from(CALLS))
    }

    /// All objects as one list.
    fn stdin(&self) -> Result<Vec<u8>> {
        let all: Result<Vec<Value>, _> = self
            .objects
            .iter()
            .map(|o| serde_json::from_slice(o))
            .collect();
        Ok(serde_json::to_vec(&all?)?)
    }
}

fn objects() -> Result<Vec<Vec<u8>>> {
    let object = |n: usize| {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": format!("web-{n}") },
            "spec": { "replicas": n, "template": { "spec": { "containers": [{ "name": "web", "image": "nginx:1.27" }] } } } })
    };
    (0..OBJECTS)
        .map(|n| Ok(serde_json::to_vec(&object(n))?))
        .collect()
}

/// What a process gives for the objects on its stdin.
#[expect(
    clippy::disallowed_methods,
    reason = "a process is what the row is held against"
)]
fn process(case: &Case, stdin: &[u8]) -> Result<Vec<Value>> {
    let [program, word, text] = case.program;
    let mut child = Command::new(program)
        .args([word, text])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    // Less than a pipe holds, so that writing never waits for reading.
    child
        .stdin
        .take()
        .context("a pipe was asked for")?
        .write_all(stdin)?;
    let ended = child.wait_with_output()?;
    ensure!(ended.status.success(), "{program}: {}", ended.status);
    Ok(serde_json::from_slice(&ended.stdout)?)
}
