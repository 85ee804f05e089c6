//! What a new build of Helm changes over many apps, told by `weir impact`, against `helm template` for each of them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use weir_tests::native::command;
use weir_tests::weir::text;
use weir_tests::{Repo, Weir, places};

use super::Size;
use super::measure::{Pairs, seconds};
use super::render::trees::{self, Tool};
use super::table::{Row, Unit};

/// Pairs of runs: one takes half a minute on the other side.
const PAIRS: usize = 3;
/// Longer than a development build compiles Helm for on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// All rows of this group.
///
/// # Errors
/// The plugins or the native programs are not built, or a side fails.
pub(crate) fn rows(size: Size) -> Result<Vec<Row>> {
    let scene = Scene::new(size.charts)?;
    let first = scene.prepare()?;
    let rounds = size.processes.min(PAIRS);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut rows = Vec::new();
    for (at_once, words) in [
        (1, "one after the other".to_owned()),
        (cores, format!("{cores} at once, one for each core")),
    ] {
        rows.push(Row {
            what: format!(
                "`weir impact` of another build of Helm over {} apps, a small chart each, whole process",
                size.charts
            ),
            against: format!("a `helm template` process for each app, {words}"),
            unit: Unit::Seconds,
            pairs: Pairs::take(rounds, || scene.impact(), || scene.templates(at_once))?,
            notes: vec![
                "both render each app once with the new build. Weir has the renders of the old one from before, holds all objects against them and keeps what it made; the other side writes what it renders to nowhere and compares nothing".to_owned(),
                format!("the new build is compiled already: a first run takes {first:.1} s in all where it is not"),
            ],
        });
    }
    Ok(rows)
}

struct Scene {
    repo: Repo,
    weir: Weir,
    home: TempDir,
    /// The other build.
    build: PathBuf,
    apps: usize,
}

impl Scene {
    fn new(apps: usize) -> Result<Scene> {
        let mut repo = Repo::empty()?;
        let case = trees::small_chart();
        for n in 0..apps {
            for (path, text) in &case.files {
                let path = path.trim_start_matches(trees::APP);
                repo.write(&format!("apps/a{n:03}{path}"), text)?;
            }
        }
        repo.write(
            "weir.yaml",
            "version: 1\napps:\n- each: 'apps/*'\n  name: '{1}'\n  render: { plugin: helm, config: { release: bench, values: [values-prod.yaml] } }\n",
        )?;
        repo.commit("the work")?;
        let weir = Weir::new()?;
        weir.begin_with_engines()?;
        let build = weir.path("helm.wasm");
        let mut bytes = places::bundled(Tool::Helm.name())?;
        // A custom section: other bytes, so another digest, and the same code.
        bytes.extend(b"\0\x07\x05build\x01");
        fs::write(&build, bytes)?;
        let home = tempfile::Builder::new().prefix("weir-bench-").tempdir()?;
        let scene = Scene {
            repo,
            weir,
            home,
            build,
            apps,
        };
        scene.run(&["lock"])?;
        scene.repo.git(["add", "--all"])?;
        scene.repo.git(["commit", "--quiet", "--message", "lock"])?;
        Ok(scene)
    }

    fn run(&self, words: &[&str]) -> Result<String> {
        let path = self.repo.path();
        let (command, more) = words.split_first().context("a command")?;
        let start = [*command, "--repo", text(&path)?];
        let words: Vec<OsString> = start.iter().chain(more).map(OsString::from).collect();
        let mut running = self.weir.start(words)?;
        let code = running.wait(PATIENCE)?;
        ensure!(code == Some(0), "weir {command}: {}", running.stderr());
        Ok(running.stdout())
    }

    /// Renders all apps with the old build, and compiles the new one: the seconds of a first impact.
    fn prepare(&self) -> Result<f64> {
        self.run(&["render", "-o", "json"])?;
        let old = self.kept()?;
        let first = seconds(|| self.told())?;
        self.forget(&old)?;
        Ok(first)
    }

    /// Seconds of one impact, of which the apps' renders by the new build are forgotten then.
    fn impact(&self) -> Result<f64> {
        let old = self.kept()?;
        ensure!(old.len() == self.apps, "{} renders are kept", old.len());
        let spent = seconds(|| self.told())?;
        self.forget(&old)?;
        Ok(spent)
    }

    /// One impact, which has to say that all apps were rendered by both, and that none changes.
    fn told(&self) -> Result<()> {
        let plugin = format!("helm={}", text(&self.build)?);
        let said: Value =
            serde_json::from_str(&self.run(&["impact", "--plugin", &plugin, "-o", "json"])?)?;
        let (apps, changed) = (&said["plugins"][0]["apps"], &said["changed"]);
        ensure!(
            *apps == self.apps && *changed == 0 && said["apps"] == self.apps,
            "not the work that was meant: {said:#}"
        );
        Ok(())
    }

    fn renders(&self) -> PathBuf {
        self.weir.cache_dir().join("renders")
    }

    fn kept(&self) -> Result<BTreeSet<PathBuf>> {
        let mut kept = BTreeSet::new();
        for entry in fs::read_dir(self.renders())? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "render") {
                kept.insert(path);
            }
        }
        Ok(kept)
    }

    fn forget(&self, old: &BTreeSet<PathBuf>) -> Result<()> {
        let all = self.kept()?;
        let new: Vec<&PathBuf> = all.difference(old).collect();
        ensure!(new.len() == self.apps, "{} apps were rendered", new.len());
        for file in new {
            fs::remove_file(file)?;
        }
        Ok(())
    }

    /// Seconds of `helm template` for each app, so many processes at once.
    fn templates(&self, at_once: usize) -> Result<f64> {
        let program = places::native()?.join(Tool::Helm.name());
        let next = AtomicUsize::new(0);
        seconds(|| {
            std::thread::scope(|scope| {
                let work = || -> Result<()> {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= self.apps {
                            return Ok(());
                        }
                        let dir = self.repo.path().join(format!("apps/a{n:03}"));
                        template(command(&program, &self.home), &dir)?;
                    }
                };
                let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
                for worker in workers {
                    let ended = worker.join();
                    ended.map_err(|_| anyhow::anyhow!("a thread ended early"))??;
                }
                Ok(())
            })
        })
    }
}

fn template(mut helm: Command, dir: &Path) -> Result<()> {
    helm.args(Tool::Helm.arguments())
        .arg(dir)
        .arg("--values")
        .arg(dir.join("values-prod.yaml"))
        .stdout(Stdio::null());
    let status = helm.status().with_context(|| format!("{helm:?}"))?;
    ensure!(status.success(), "{helm:?}: {status}");
    Ok(())
}
