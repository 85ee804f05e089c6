//! Charts and overlays: rendered by the bundled plugins in the sandbox, by the tools' processes, and by their libraries in a running native process.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tempfile::TempDir;
use weir_core::digest::Digest;
use weir_core::tree::{Snapshot, View};
use weir_sandbox::{Plugin, Role, Sandbox, Usage};
use weir_tests::native::{Native, command};
use weir_tests::places;

use super::Size;
use super::measure::{self, Pairs, seconds};
use super::table::{Row, Unit};
use super::work::{self, Bench};

pub(super) mod trees;

use trees::{Case, Tool};

/// Calls in one figure of a render: one is too exposed to chance.
const CALLS: u32 = 5;
/// A render that takes longer, in microseconds, is called once for a figure, and has so many pairs at most.
const SLOW: (u64, usize) = (500_000, 5);

/// All rows of this group.
///
/// # Errors
/// The plugins or the native programs are not built, or a side fails.
pub(crate) fn rows(size: Size) -> Result<Vec<Row>> {
    let mut scene = Scene::new()?;
    let mut rows = Vec::new();
    for case in trees::cases(size.objects, &places::native()?)? {
        rows.extend(scene.case(&case, size)?);
    }
    for tool in [Tool::Helm, Tool::Kustomize] {
        rows.push(scene.ready(tool, size)?);
    }
    rows.push(scene.in_flight(size)?);
    Ok(rows)
}

/// Both sides, and a folder for trees.
struct Scene {
    bench: Bench,
    helm: Plugin,
    kustomize: Plugin,
    native: Native,
    home: TempDir,
}

impl Scene {
    fn new() -> Result<Scene> {
        let bench = Bench::sharing(&places::dev_cache()?.join("engines/compiled"))?;
        let load = |tool: Tool| bench.load(Role::Renderer, &places::bundled(tool.name())?);
        Ok(Scene {
            helm: load(Tool::Helm)?,
            kustomize: load(Tool::Kustomize)?,
            native: Native::start()?,
            home: tempfile::Builder::new().prefix("weir-bench-").tempdir()?,
            bench,
        })
    }

    fn plugin(&self, tool: Tool) -> &Plugin {
        match tool {
            Tool::Helm => &self.helm,
            Tool::Kustomize => &self.kustomize,
        }
    }

    /// Against the process and against the library.
    fn case(&mut self, case: &Case, size: Size) -> Result<[Row; 2]> {
        let folder = self.home.path().join(case.name);
        case.write(&folder)?;
        let dir = folder.join(&case.dir);
        let snapshot = work::snapshot(&case.files)?;
        let (usage, bytes) = self.once(case, &snapshot)?;
        let by_library = self.library(case, &dir)?;
        let (calls, most) = match usage.micros > SLOW.0 {
            true => (1, SLOW.1),
            false => (CALLS, usize::MAX),
        };
        let process = Pairs::take(
            size.processes.min(most),
            || self.sandboxed(case, &snapshot, calls),
            || self.process(case, &dir).map(|(spent, _)| spent),
        )?;
        let library = {
            let (bench, plugin) = (&self.bench, self.plugin(case.tool).clone());
            let native = &mut self.native;
            Pairs::take(
                size.rounds.min(most),
                || sandboxed(bench, &plugin, case, &snapshot, calls),
                || Ok(ask(native, case, &dir)?.0),
            )?
        };
        let notes = vec![format!(
            "{} files, {bytes} bytes rendered ({by_library} by the library); one render: {:.1} M fuel, {:.0} MiB of linear memory",
            case.files.len(),
            usage.fuel as f64 / 1e6,
            usage.memory as f64 / f64::from(1 << 20),
        )];
        let row = |against: String, pairs| Row {
            what: format!("warm render of {}", case.what),
            against,
            unit: Unit::Seconds,
            pairs,
            notes: notes.clone(),
        };
        Ok([
            row(format!("`{}` process", case.tool.command()), process),
            row(
                "the same Go library in a running native process".to_owned(),
                library,
            ),
        ])
    }

    /// One render, for what it cost and how much came of it.
    fn once(&self, case: &Case, snapshot: &Snapshot) -> Result<(Usage, usize)> {
        let plugin = self.plugin(case.tool);
        let view = View::new(snapshot.clone(), work::roots());
        let call = self.bench.call_at(&case.dir, &case.config);
        let rendered = self
            .bench
            .runtime
            .block_on(self.bench.sandbox.render(plugin, call, view));
        let (documents, _, usage) = rendered.map_err(|e| anyhow::anyhow!("{}: {e}", case.name))?;
        let bytes = documents.iter().map(|d| d.body.len()).sum();
        ensure!(bytes > 0, "{}: nothing was rendered", case.name);
        Ok((usage, bytes))
    }

    fn sandboxed(&self, case: &Case, snapshot: &Snapshot, calls: u32) -> Result<f64> {
        sandboxed(&self.bench, self.plugin(case.tool), case, snapshot, calls)
    }

    fn library(&mut self, case: &Case, dir: &Path) -> Result<usize> {
        let (_, bytes) = ask(&mut self.native, case, dir)?;
        ensure!(bytes > 0, "{}: the library rendered nothing", case.name);
        Ok(bytes)
    }

    /// The tool's own program: its seconds, and the most memory that it had.
    fn process(&self, case: &Case, dir: &Path) -> Result<(f64, f64)> {
        let program = places::native()?.join(case.tool.name());
        let mut process = command(&program, &self.home);
        process.args(case.tool.arguments()).arg(dir);
        for file in &case.values {
            process.arg("--values").arg(dir.join(file));
        }
        run(process)
    }

    /// From nothing but the files of the compiled cache to a plugin that can be called.
    fn ready(&self, tool: Tool, size: Size) -> Result<Row> {
        let bytes = places::bundled(tool.name())?;
        let digest = Digest::of(&bytes);
        let cache = places::dev_cache()?.join("engines/compiled");
        let program = places::native()?.join(tool.name());
        let pairs = Pairs::take(
            size.processes,
            || {
                seconds(|| {
                    let sandbox = Sandbox::new(Bench::config(&cache))?;
                    Ok(sandbox.load(digest, Role::Renderer, &bytes, &|_| {})?)
                })
            },
            || {
                let mut process = command(&program, &self.home);
                process.arg("version");
                run(process).map(|(spent, _)| spent)
            },
        )?;
        Ok(Row {
            what: format!(
                "bundled:{} ready after a host's restart, from the compiled cache, authentication included",
                tool.name()
            ),
            against: format!("`{} version`", tool.name()),
            unit: Unit::Seconds,
            pairs,
            notes: vec![
                "a new engine, the entry read whole and its code checked, then mapped; the component's digest is known"
                    .to_owned(),
            ],
        })
    }

    /// What one render adds to a host that has the plugin.
    fn in_flight(&self, size: Size) -> Result<Row> {
        let cases = trees::cases(size.objects, &places::native()?)?;
        let case = cases
            .iter()
            .rfind(|case| case.tool == Tool::Helm)
            .context("there is a large chart")?;
        let dir = self.home.path().join(case.name).join(&case.dir);
        let snapshot = work::snapshot(&case.files)?;
        let own = i32::try_from(std::process::id())?;
        let pairs = Pairs::take(
            size.processes,
            || {
                // The kernel forgets the peak until now (proc(5), clear_refs).
                fs::write("/proc/self/clear_refs", "5")?;
                let (before, _) = measure::memory(own)?;
                self.sandboxed(case, &snapshot, 1)?;
                let (_, peak) = measure::memory(own)?;
                Ok((peak - before).max(1.0))
            },
            || self.process(case, &dir).map(|(_, memory)| memory),
        )?;
        Ok(Row {
            what: format!("memory of a render in flight: {}", case.what),
            against: "peak of the `helm template` process".to_owned(),
            unit: Unit::Bytes,
            pairs,
            notes: vec![
                "VmHWM of this process over its VmRSS before, which holds the plugin".to_owned(),
            ],
        })
    }
}

/// Seconds of one render in the sandbox, the mean of some.
fn sandboxed(
    bench: &Bench,
    plugin: &Plugin,
    case: &Case,
    snapshot: &Snapshot,
    calls: u32,
) -> Result<f64> {
    let spent = seconds(|| {
        for _ in 0..calls {
            let view = View::new(snapshot.clone(), work::roots());
            let call = bench.call_at(&case.dir, &case.config);
            let rendered = bench
                .runtime
                .block_on(bench.sandbox.render(plugin, call, view));
            rendered.map_err(|e| anyhow::anyhow!("{}: {e}", case.name))?;
        }
        Ok(())
    })?;
    Ok(spent / f64::from(calls))
}

/// Seconds that the library needed by its own clock, and the bytes that it gave.
fn ask(native: &mut Native, case: &Case, dir: &Path) -> Result<(f64, usize)> {
    let answer = native.ask(&json!({
        "tool": case.tool.name(),
        "dir": dir,
        "config": {
            "release": "bench", "namespace": "default", "kubernetes": "1.37.0", "values": case.values,
        },
    }))?;
    if let Some(error) = answer["error"].as_str() {
        anyhow::bail!("{}: {error}", case.name);
    }
    let micros = answer["micros"]
        .as_u64()
        .context("an answer has its time")?;
    let bytes = answer["output"].as_str().map_or(0, str::len);
    Ok((Duration::from_micros(micros).as_secs_f64(), bytes))
}

/// Runs a program to its end: seconds, and the most memory that it had as far as was seen.
fn run(mut program: std::process::Command) -> Result<(f64, f64)> {
    let started = Instant::now();
    let mut child = program
        .stdout(std::process::Stdio::null())
        .spawn()
        .with_context(|| format!("{program:?}"))?;
    let pid = i32::try_from(child.id())?;
    let mut most = 0.0_f64;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // One that has just ended has no memory to tell.
        if let Ok((_, peak)) = measure::memory(pid) {
            most = most.max(peak);
        }
        std::thread::sleep(super::serving::LOOK);
    };
    let spent = started.elapsed().as_secs_f64();
    ensure!(status.success(), "{program:?}: {status}");
    Ok((spent, most))
}
