//! A thousand objects into a directory: by the real `weir` process and by writing or hashing the same files.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use weir_core::digest::Digest;
use weir_tests::weir::{PATIENCE, text};
use weir_tests::{Repo, Weir};

use super::Size;
use super::measure::{self, Pairs, seconds};
use super::serving::{LOOK, SELDOM, Serve, Stages};
use super::table::{Row, Unit};
use super::work;

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
        stages.add(&self.weir, &state)?;
        fs::remove_dir_all(live)?;
        fs::remove_dir_all(state)?;
        Ok(spent)
    }

    /// A service with folders of its own that has synced.
    fn serve(&self) -> Result<Serve> {
        let arguments = self.arguments("serve", &self.fresh("state"), &self.fresh("live"))?;
        Serve::start(&self.weir, arguments)
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
    let mut serve = place.serve()?;
    let pid = serve.pid()?;
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
            let serve = place.serve()?;
            let (now, most) = measure::memory(serve.pid()?)?;
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
