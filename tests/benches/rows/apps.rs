//! Very many apps in one repository: a commit that touches one of them, a check of all after a restart, and the memory that
//! it takes; each against a hundred apps.

use std::cell::Cell;
use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use weir_core::name::AppName;
use weir_core::routing::Routes;
use weir_core::tree::View;
use weir_tests::weir::text;
use weir_tests::{Repo, Weir};

use super::Size;
use super::measure::{self, Pairs};
use super::serving::{LOOK, Serve};
use super::table::{Row, Unit};
use super::work;

/// The stage from a commit that is known to its renders.
const PREPARE: &str = "prepare";
/// The files of each app, one object each.
const FILES: usize = 2;

/// All rows of this group.
///
/// # Errors
/// The binary or the plugins are not built, or a run fails.
pub(crate) fn rows(size: Size) -> Result<Vec<Row>> {
    let few = Place::new(size.few_apps)?;
    let mut rows = Vec::new();
    for count in size.apps {
        let many = Place::new(count)?;
        rows.extend(touched(&many, &few, size)?);
        rows.push(restarted(&many, &few, size)?);
        rows.push(memory(&many, &few, size)?);
        rows.push(index(count, size)?);
    }
    Ok(rows)
}

/// A repository of so many apps, and a machine that has synced it.
struct Place {
    weir: Weir,
    repo: std::cell::RefCell<Repo>,
    apps: usize,
    commits: Cell<usize>,
}

impl Place {
    fn new(apps: usize) -> Result<Place> {
        let mut repo = Repo::empty()?;
        let manifest =
            "version: 1\napps:\n- { each: 'apps/*', name: '{1}', target: { namespace: '{1}' } }\n";
        repo.write("weir.yaml", manifest)?;
        for app in 0..apps {
            for file in 0..FILES {
                repo.write(&path(app, file), map(file, 0))?;
            }
        }
        repo.commit("all apps")?;
        // As a clone has it.
        repo.git(["gc", "--quiet"])?;
        let place = Place {
            weir: Weir::new()?,
            repo: repo.into(),
            apps,
            commits: Cell::new(0),
        };
        place.serve()?.stop()?;
        Ok(place)
    }

    fn serve(&self) -> Result<Serve> {
        let repo = self.repo.borrow().path();
        let target = format!("dir:{}", text(&self.weir.path("live"))?);
        let words = ["serve", "--repo", text(&repo)?, "--target", &target];
        let words = words.map(str::to_owned).to_vec();
        Serve::start_with(&self.weir, words, self.apps)
    }

    /// A commit that changes one app.
    fn commit(&self) -> Result<()> {
        self.commits.set(self.commits.get() + 1);
        let round = self.commits.get();
        let mut repo = self.repo.borrow_mut();
        repo.write(&path(round % self.apps, 0), map(0, round))?;
        repo.commit("one app").map(drop)
    }

    /// A commit that changes one app, until that is live: how long it took from the commit to the renders, and from the
    /// request to the end of the sync.
    fn touch(&self, serve: &mut Serve) -> Result<(f64, f64)> {
        let before = serve.stages()?;
        self.commit()?;
        let wall = serve.change(LOOK)?;
        Ok((took(&before, &serve.stages()?)?, wall))
    }
}

fn path(app: usize, file: usize) -> String {
    format!("apps/app-{app:05}/map-{file}.yaml")
}

fn map(file: usize, round: usize) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: map-{file}\n  labels:\n    bench: apps\ndata:\n  round: \"{round}\"\n  text: \"the quick brown fox jumps over the lazy dog\"\n"
    )
}

/// Seconds of the one time that a commit was prepared between two looks.
fn took(
    before: &BTreeMap<String, (f64, f64)>,
    after: &BTreeMap<String, (f64, f64)>,
) -> Result<f64> {
    let of = |all: &BTreeMap<String, (f64, f64)>| all.get(PREPARE).copied().unwrap_or_default();
    let ((sum_before, count_before), (sum, count)) = (of(before), of(after));
    let times = count - count_before;
    if (times - 1.0).abs() > f64::EPSILON {
        bail!("{times} commits were prepared, and one was pushed");
    }
    Ok(sum - sum_before)
}

fn touched(many: &Place, few: &Place, size: Size) -> Result<Vec<Row>> {
    let (mut large, mut small) = (many.serve()?, few.serve()?);
    let (mut renders, mut live) = (Pairs::default(), Pairs::default());
    for round in 0..=size.rounds {
        let (render, wall) = many.touch(&mut large)?;
        let (other_render, other_wall) = few.touch(&mut small)?;
        // The first round is not looked at.
        if round > 0 {
            renders.weir.push(render);
            renders.other.push(other_render);
            live.weir.push(wall);
            live.other.push(other_wall);
        }
    }
    large.stop()?;
    small.stop()?;
    let row = |until: &str, pairs, note: &str| Row {
        what: format!("a commit that touches 1 of {} apps, {until}", many.apps),
        against: format!("the same with {} apps", few.apps),
        unit: Unit::Seconds,
        pairs,
        notes: vec![note.to_owned()],
    };
    Ok(vec![
        row(
            "from the commit to its renders",
            renders,
            "the host's own clock: from the commit that is known until all apps are rendered or known to be the same",
        ),
        row(
            "from a request to live",
            live,
            "from SIGHUP to the end of the sync as /metrics tells it: fetch, prepare, observe, apply and record",
        ),
    ])
}

fn restarted(many: &Place, few: &Place, size: Size) -> Result<Row> {
    let one = |place: &Place| -> Result<f64> {
        let serve = place.serve()?;
        let stages = serve.stages()?;
        let spent = took(&BTreeMap::new(), &stages)?;
        let rendered = stages.get("render").is_some_and(|(_, count)| *count > 0.0);
        ensure!(!rendered, "a restart rendered something");
        serve.stop()?;
        Ok(spent)
    };
    let pairs = Pairs::take(size.processes, || one(many), || one(few))?;
    Ok(Row {
        what: format!(
            "after a restart, until each of {} unchanged apps is known to be the same",
            many.apps
        ),
        against: format!("the same with {} apps", few.apps),
        unit: Unit::Seconds,
        pairs,
        notes: vec![
            "tree, manifest, and the kept renders, checked; nothing is rendered".to_owned(),
        ],
    })
}

fn memory(many: &Place, few: &Place, size: Size) -> Result<Row> {
    let mut pairs = Pairs::default();
    for _ in 0..size.processes.min(3) {
        let (large, small) = (many.serve()?, few.serve()?);
        pairs.weir.push(measure::memory(large.pid()?)?.0);
        pairs.other.push(measure::memory(small.pid()?)?.0);
        large.stop()?;
        small.stop()?;
    }
    Ok(Row {
        what: format!("resident memory of `weir serve` with {} apps", many.apps),
        against: format!("the same with {} apps", few.apps),
        unit: Unit::Bytes,
        pairs,
        notes: vec![
            "VmRSS when all apps were looked at: index, trees, renders, status and all else"
                .to_owned(),
        ],
    })
}

/// What a host keeps to know which apps a change concerns: what each app read, and who read what.
fn index(apps: usize, size: Size) -> Result<Row> {
    let pairs = Pairs::take(1, || indexed(apps), || indexed(size.few_apps))?;
    Ok(Row {
        what: format!("memory of the index of {apps} apps alone"),
        against: format!("the same with {} apps", size.few_apps),
        unit: Unit::Bytes,
        pairs,
        notes: vec![
            "what this process's VmRSS grows by when the read sets and the index by path are made; the tree is there before"
                .to_owned(),
        ],
    })
}

/// Bytes of the index of so many apps.
fn indexed(apps: usize) -> Result<f64> {
    let files: Vec<(String, String)> = (0..apps)
        .flat_map(|app| (0..FILES).map(move |file| (path(app, file), map(file, 0))))
        .collect();
    let snapshot = work::snapshot(&files)?;
    drop(files);
    let own = i32::try_from(std::process::id())?;
    let before = measure::memory(own)?.0;
    let (mut routes, mut kept) = (Routes::default(), Vec::new());
    for app in 0..apps {
        let dir = format!("apps/app-{app:05}");
        let mut view = View::new(snapshot.clone(), vec![dir.parse()?]);
        view.entries(&dir)?;
        for file in 0..FILES {
            view.read(&path(app, file))?;
        }
        let asked = View::new(snapshot.clone(), vec![dir.parse()?]);
        let reads = view.into_read_set();
        let watches = asked.watches(&reads).context("all was answered")?;
        let name: AppName = format!("app-{app:05}").parse()?;
        routes.put(Some(name), watches);
        kept.push(reads);
    }
    let grown = measure::memory(own)?.0 - before;
    ensure!(
        routes.touched(&[]).is_empty() && kept.len() == apps,
        "nothing changed"
    );
    // The allocator may have had room for a small one.
    Ok(grown.max(1.0))
}
