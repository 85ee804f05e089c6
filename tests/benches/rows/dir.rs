//! A thousand objects into a directory: by the real `weir` process and by writing or hashing the same files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;
use weir_core::digest::Digest;
use weir_tests::weir::{PATIENCE, http_get, text};
use weir_tests::{Repo, Serving, Weir};

use super::Size;
use super::measure::{self, Pairs, seconds};
use super::table::{Row, Unit, median};
use super::work;

/// Between two looks at a process: short against what is measured, long enough not to disturb it.
const LOOK: Duration = Duration::from_micros(500);
/// Between two looks where processor time is measured: one look is the rule.
const SELDOM: Duration = Duration::from_millis(30);

/// All rows of this group.
///
/// # Errors
/// The binary or the plugins are not built, or a run fails.
pub(crate) fn rows(size: Size) -> Result<Vec<Row>> {
    let place = Place::new(size.objects)?;
    let mut rows = first(&place, size)?;
    rows.push(unchanged(&place, size)?);
    rows.extend(serving(&place, size)?);
    rows.extend(memory(&place, size)?);
    Ok(rows)
}

/// A machine for `weir` with compiled plugins, the repository, and what its render looks like as files.
struct Place {
    weir: Weir,
    repo: Repo,
    files: Vec<(PathBuf, Vec<u8>)>,
    state: PathBuf,
    live: PathBuf,
    runs: std::cell::Cell<usize>,
}

impl Place {
    fn new(objects: usize) -> Result<Place> {
        let weir = Weir::new()?;
        let mut place = Place {
            repo: work::repository(objects)?,
            files: Vec::new(),
            state: weir.path("first-state"),
            live: weir.path("first-live"),
            runs: std::cell::Cell::new(0),
            weir,
        };
        place.sync(&place.state, &place.live)?;
        read_all(&place.live, &place.live, &mut place.files)?;
        ensure!(
            place.files.len() == objects,
            "weir wrote {} files of {objects}",
            place.files.len()
        );
        Ok(place)
    }

    /// A folder that nothing else uses.
    fn fresh(&self, name: &str) -> PathBuf {
        self.runs.set(self.runs.get() + 1);
        self.weir.path(&format!("{name}-{}", self.runs.get()))
    }

    fn arguments(&self, command: &str, state: &Path, live: &Path) -> Result<Vec<String>> {
        let (state, live, repo) = (text(state)?, text(live)?, self.repo.path());
        let target = format!("dir:{live}");
        let words = [
            command,
            "--state",
            state,
            "--repo",
            text(&repo)?,
            "--target",
            &target,
        ];
        Ok(words.map(str::to_owned).to_vec())
    }

    fn sync(&self, state: &Path, live: &Path) -> Result<()> {
        let arguments = self.arguments("sync", state, live)?;
        self.weir.run(arguments)?.success().map(drop)
    }

    /// A first sync into new folders, which are taken away after the clock has stopped.
    fn first_sync(&self, stages: &mut Stages) -> Result<f64> {
        let (state, live) = (self.fresh("state"), self.fresh("live"));
        let spent = seconds(|| self.sync(&state, &live))?;
        stages.add(&self.history(&state)?)?;
        fs::remove_dir_all(live)?;
        fs::remove_dir_all(state)?;
        Ok(spent)
    }

    fn history(&self, state: &Path) -> Result<Value> {
        let ran = self
            .weir
            .run(["history", "--state", text(state)?, "-o", "json"])?;
        Ok(serde_json::from_str(&ran.success()?)?)
    }

    /// The same files written without Weir, the folder taken away after the clock has stopped.
    fn write(&self, durable: Durable) -> Result<f64> {
        let dir = self.fresh("native");
        let spent = seconds(|| write_all(&dir, &self.files, durable))?;
        fs::remove_dir_all(dir)?;
        Ok(spent)
    }

    /// The same files read and hashed without Weir.
    fn hash(&self) -> Result<f64> {
        seconds(|| {
            for (path, content) in &self.files {
                let there = Digest::of(&fs::read(self.live.join(path))?);
                ensure!(there == Digest::of(content), "{} changed", path.display());
            }
            Ok(())
        })
    }
}

/// How surely files are on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durable {
    /// Each one by itself.
    Each,
    /// All at once, by syncing the file system: what Weir does for many.
    Once,
    /// Left to the kernel.
    No,
}

fn first(place: &Place, size: Size) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (against, durable) in [
        ("writing the same files, an fsync each", Durable::Each),
        ("writing the same files, one syncfs", Durable::Once),
        ("writing the same files, no sync", Durable::No),
    ] {
        let mut stages = Stages::default();
        let pairs = Pairs::take(
            size.processes,
            || place.first_sync(&mut stages),
            || place.write(durable),
        )?;
        rows.push(Row {
            what: format!("first `weir sync` of {} objects to `dir:`", size.objects),
            against: against.to_owned(),
            unit: Unit::Seconds,
            pairs,
            notes: vec![format!(
                "the whole process, plugins compiled before; stages by its own record (median ms): {stages}"
            )],
        });
    }
    Ok(rows)
}

fn unchanged(place: &Place, size: Size) -> Result<Row> {
    let pairs = Pairs::take(
        size.processes,
        || seconds(|| place.sync(&place.state, &place.live)),
        || place.hash(),
    )?;
    Ok(Row {
        what: format!("unchanged `weir sync` of {} objects", size.objects),
        against: "reading and hashing the same files".to_owned(),
        unit: Unit::Seconds,
        pairs,
        notes: vec![
            "the whole process: it starts, reads the ledger, renders again and looks at every file"
                .to_owned(),
        ],
    })
}

fn serving(place: &Place, size: Size) -> Result<Vec<Row>> {
    let mut serve = Serve::start(place)?;
    let pid = serve.process.pid()?.as_raw_pid();
    let before = serve.stages()?;
    let wall = Pairs::take(size.rounds, || serve.refresh(LOOK), || place.hash())?;
    let stages = Stages::between(&before, &serve.stages()?);
    let processor = Pairs::take(
        size.rounds,
        || {
            let before = measure::processor(pid)?;
            serve.refresh(SELDOM)?;
            Ok(measure::processor(pid)? - before)
        },
        || {
            let before = measure::own_processor()?;
            place.hash()?;
            Ok(measure::own_processor()? - before)
        },
    )?;
    serve.stop()?;
    let row = |what: &str, pairs, note: String| Row {
        what: format!(
            "unchanged refresh of `weir serve`, {} objects, {what}",
            size.objects
        ),
        against: "reading and hashing the same files".to_owned(),
        unit: Unit::Seconds,
        pairs,
        notes: vec![note],
    };
    Ok(vec![
        row(
            "wall",
            wall,
            format!(
                "from SIGHUP to its end as /metrics tells it; stages by its metrics (mean ms): {stages}"
            ),
        ),
        row(
            "processor",
            processor,
            "all threads of the service, an answer of /metrics included".to_owned(),
        ),
    ])
}

fn memory(place: &Place, size: Size) -> Result<Vec<Row>> {
    let small = Place::new(1)?;
    let (mut resident, mut peak, mut sync) = (Pairs::default(), Pairs::default(), Pairs::default());
    for _ in 0..size.processes.min(5) {
        for (place, is_large) in [(place, true), (&small, false)] {
            let serve = Serve::start(place)?;
            let (now, most) = measure::memory(serve.process.pid()?.as_raw_pid())?;
            serve.stop()?;
            let once = sync_peak(place)?;
            for (pairs, figure) in [(&mut resident, now), (&mut peak, most), (&mut sync, once)] {
                if is_large {
                    pairs.weir.push(figure);
                } else {
                    pairs.other.push(figure);
                }
            }
        }
    }
    let row = |what: &str, pairs, note: &str| Row {
        what: format!("{what}, {} objects", size.objects),
        against: "the same with 1 object".to_owned(),
        unit: Unit::Bytes,
        pairs,
        notes: vec![note.to_owned()],
    };
    Ok(vec![
        row(
            "resident memory of an idle `weir serve`",
            resident,
            "VmRSS after the first sync",
        ),
        row(
            "peak resident memory of `weir serve`",
            peak,
            "VmHWM after the first sync",
        ),
        row(
            "peak resident memory of `weir sync`",
            sync,
            "VmHWM, looked at every half millisecond until its end",
        ),
    ])
}

fn sync_peak(place: &Place) -> Result<f64> {
    let (state, live) = (place.fresh("state"), place.fresh("live"));
    let mut process = place.weir.start(place.arguments("sync", &state, &live)?)?;
    let pid = process.pid()?.as_raw_pid();
    let mut most = 0.0_f64;
    // A process that has ended has no memory to tell.
    while let Ok((_, peak)) = measure::memory(pid) {
        most = most.max(peak);
        std::thread::sleep(LOOK);
    }
    let code = process.wait(PATIENCE)?;
    ensure!(code == Some(0), "weir sync: {}", process.transcript());
    ensure!(most > 0.0, "weir sync ended before its memory was seen");
    Ok(most)
}

/// A running `weir serve` that has synced.
struct Serve {
    process: Serving,
    address: String,
}

impl Serve {
    fn start(place: &Place) -> Result<Serve> {
        let mut arguments =
            place.arguments("serve", &place.fresh("state"), &place.fresh("live"))?;
        arguments.extend(["--interval", "1h", "--listen", "127.0.0.1:0"].map(str::to_owned));
        let mut process = place.weir.start(arguments)?;
        let line = process.wait_for_text("/api/v1/apps", PATIENCE)?;
        let address = line
            .split_once("http://")
            .and_then(|(_, rest)| rest.split_once("/api"))
            .map(|(address, _)| address.to_owned());
        let address = address.with_context(|| format!("no address in: {line}"))?;
        process.wait_for_text("synced to", PATIENCE)?;
        Ok(Serve { process, address })
    }

    /// Asks for a look at the repository and waits until the app was looked at.
    fn refresh(&mut self, look: Duration) -> Result<f64> {
        let before = self.unchanged()?;
        let started = Instant::now();
        self.process.signal(Signal::HUP)?;
        while started.elapsed() < PATIENCE {
            std::thread::sleep(look);
            if self.unchanged()? > before {
                return Ok(started.elapsed().as_secs_f64());
            }
        }
        bail!("no unchanged sync within {PATIENCE:?} of a SIGHUP")
    }

    fn unchanged(&self) -> Result<f64> {
        let (_, metrics) = http_get(&self.address, "/metrics")?;
        let line = metrics
            .lines()
            .find(|l| l.starts_with("weir_syncs_total") && l.contains("\"unchanged\""));
        let number = line.and_then(|l| l.rsplit(' ').next());
        Ok(number.map_or(Ok(0.0), str::parse)?)
    }

    /// Sum in seconds and count of each stage so far.
    fn stages(&self) -> Result<BTreeMap<String, (f64, f64)>> {
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

    fn stop(mut self) -> Result<()> {
        let code = self.process.terminate(PATIENCE)?;
        ensure!(code == Some(0), "weir serve: {}", self.process.transcript());
        Ok(())
    }
}

/// Seconds of each stage, run for run.
#[derive(Debug, Default)]
struct Stages(BTreeMap<String, Vec<f64>>);

impl Stages {
    /// Takes the newest sync of a history.
    fn add(&mut self, history: &Value) -> Result<()> {
        let micros = newest_micros(history).context("the history has no sync")?;
        for (stage, micros) in micros {
            let micros = micros.as_f64().context("a stage is no number")?;
            self.0.entry(stage.clone()).or_default().push(micros / 1e6);
        }
        Ok(())
    }

    /// The means of what was between two looks.
    fn between(
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

fn read_all(root: &Path, dir: &Path, out: &mut Vec<(PathBuf, Vec<u8>)>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            read_all(root, &path, out)?;
        } else {
            out.push((path.strip_prefix(root)?.to_owned(), fs::read(&path)?));
        }
    }
    Ok(())
}

fn write_all(dir: &Path, files: &[(PathBuf, Vec<u8>)], durable: Durable) -> Result<()> {
    for (path, content) in files {
        let path = dir.join(path);
        let folder = path.parent().context("a file has a folder")?;
        if !folder.exists() {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::create(&path)?;
        file.write_all(content)?;
        if durable == Durable::Each {
            file.sync_all()?;
        }
    }
    if durable == Durable::Once {
        rustix::fs::syncfs(File::open(dir)?)?;
    }
    Ok(())
}
