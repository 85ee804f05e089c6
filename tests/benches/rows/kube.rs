//! A thousand objects into a real API server, by Weir and by the plainest program on the same client; then nothing changes, and what is held in memory.

use std::cell::Cell;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use weir_core::object::Object;
use weir_core::render::{self, Document};
use weir_core::yaml::Budget;
use weir_tests::control_plane::{AuditEntry, ControlPlane, With};
use weir_tests::weir::text;
use weir_tests::{Repo, Weir};

use super::Size;
use super::measure::{Pairs, seconds};
use super::serving::{LOOK, Serve, Stages};
use super::table::{Row, Unit};
use super::work;

mod bare;
mod many;
mod memory;
mod own;

use bare::Bare;
pub(crate) use memory::{HOLD, hold};
use own::Own;

/// All rows of this group.
///
/// # Errors
/// The control plane, the binary or the plugins are not built, or a run fails.
pub(crate) fn rows(size: Size) -> Result<Vec<Row>> {
    let scene = Scene::new()?;
    let mut rows = first(&scene, size.objects, size.processes)?;
    rows.extend(unchanged(&scene, size)?);
    rows.extend(many::rows(&scene, size)?);
    rows.extend(memory::rows(&scene, size)?);
    Ok(rows)
}

/// An API server that nobody else uses, a machine for `weir`, and both sides on clients of one kind.
struct Scene {
    plane: ControlPlane,
    weir: Weir,
    own: Own,
    bare: Bare,
    runs: Cell<usize>,
}

/// A namespace, and the objects that go there as a repository and as values.
struct Work {
    namespace: String,
    repo: Repo,
    objects: Vec<Object>,
    state: PathBuf,
}

impl Scene {
    fn new() -> Result<Scene> {
        let plane = ControlPlane::start(With::ApiServer)?;
        let runtime = bare::runtime()?;
        let kubeconfig = plane.admin().kubeconfig().to_owned();
        Ok(Scene {
            own: Own::open(&runtime, &kubeconfig)?,
            bare: Bare::open(runtime, &kubeconfig)?,
            weir: Weir::new()?,
            plane,
            runs: Cell::new(0),
        })
    }

    /// Work that nobody did yet.
    fn work(&self, objects: usize) -> Result<Work> {
        self.runs.set(self.runs.get() + 1);
        let namespace = self.plane.namespace("bench")?;
        let documents: Vec<Document> = work::files_in(&namespace, objects, 1)
            .into_iter()
            .map(|(origin, text)| Document {
                origin,
                body: text.into_bytes(),
            })
            .collect();
        Ok(Work {
            repo: work::repository_in(&namespace, objects)?,
            objects: render::parse(&documents, &Budget::HOST)?,
            state: self.weir.path(&format!("kube-state-{}", self.runs.get())),
            namespace,
        })
    }

    fn arguments(&self, command: &str, work: &Work) -> Result<Vec<String>> {
        let (kubectl, repo) = (self.plane.admin(), work.repo.path());
        let words = [
            command,
            "--state",
            text(&work.state)?,
            "--repo",
            text(&repo)?,
            "--target",
            "kube:",
            "--kubeconfig",
            text(kubectl.kubeconfig())?,
        ];
        Ok(words.map(str::to_owned).to_vec())
    }

    fn sync(&self, work: &Work) -> Result<()> {
        let arguments = self.arguments("sync", work)?;
        self.weir.run(arguments)?.success().map(drop)
    }

    /// What is measured, on new work that is taken away after the clock has stopped.
    fn fresh(&self, objects: usize, run: impl FnOnce(&Work) -> Result<f64>) -> Result<f64> {
        let work = self.work(objects)?;
        let figure = run(&work)?;
        self.clear(&work)?;
        Ok(figure)
    }

    /// Empties the namespace: how much a server holds is no part of what is measured.
    fn clear(&self, work: &Work) -> Result<()> {
        let there = self.bare.delete_all(&work.namespace)?;
        let wanted = work.objects.len();
        ensure!(there == wanted, "{there} objects were made of {wanted}");
        Ok(())
    }

    /// The requests that some work makes.
    fn audited(&self, work: impl FnOnce() -> Result<()>) -> Result<Vec<AuditEntry>> {
        let audit = self.plane.audit();
        let mark = audit.mark()?;
        work()?;
        audit.since(mark)
    }

    /// How many requests some work makes. It must not write.
    fn requests(&self, work: impl FnOnce() -> Result<()>) -> Result<f64> {
        let entries = self.audited(work)?;
        let write = entries
            .iter()
            .find(|e| !matches!(e.verb.as_str(), "get" | "list" | "watch"));
        if let Some(write) = write {
            anyhow::bail!("nothing had changed, and it was written: {write:?}");
        }
        Ok(entries.len() as f64)
    }
}

fn first(scene: &Scene, count: usize, rounds: usize) -> Result<Vec<Row>> {
    let bare = || {
        scene.fresh(count, |work| {
            seconds(|| scene.bare.apply_each(&work.namespace, &work.objects))
        })
    };
    let library = Pairs::take(
        rounds,
        || {
            scene.fresh(count, |work| {
                seconds(|| scene.bare.wait(scene.own.first(&work.objects)))
            })
        },
        bare,
    )?;
    let mut stages = Stages::default();
    let process = Pairs::take(
        rounds,
        || {
            scene.fresh(count, |work| {
                let spent = seconds(|| scene.sync(work))?;
                stages.add(&scene.weir, &work.state)?;
                Ok(spent)
            })
        },
        bare,
    )?;
    let against = format!(
        "a bare loop of server-side applies, {} at once, same client",
        own::IN_FLIGHT
    );
    let row = |what: String, pairs, note: String| Row {
        what,
        against: against.clone(),
        unit: Unit::Seconds,
        pairs,
        notes: vec![note],
    };
    Ok(vec![
        row(
            format!("first sync of {count} objects to `kube:`, the target alone"),
            library,
            "observe, plan and apply, on a client that was used before, with no ledger; the loop sends the same objects without labels and owner, and reads whole objects back".to_owned(),
        ),
        row(
            format!("first `weir sync` of {count} objects to `kube:`"),
            process,
            format!(
                "the whole process, plugins compiled before; stages by its own record (median ms): {stages}"
            ),
        ),
    ])
}

fn unchanged(scene: &Scene, size: Size) -> Result<Vec<Row>> {
    let work = scene.work(size.objects)?;
    scene.sync(&work)?;
    let get_each = || scene.bare.get_each(&work.namespace, &work.objects);
    let sync = Pairs::take(
        size.processes,
        || seconds(|| scene.sync(&work)),
        || seconds(get_each),
    )?;
    let rounds = size.processes.min(3);
    let asked_by_sync = Pairs::take(
        rounds,
        || scene.requests(|| scene.sync(&work)),
        || scene.requests(get_each),
    )?;
    scene.clear(&work)?;
    // A service of its own from its first sync on.
    let work = scene.work(size.objects)?;
    let get_each = || scene.bare.get_each(&work.namespace, &work.objects);
    let mut serve = Serve::start(&scene.weir, scene.arguments("serve", &work)?)?;
    let before = serve.stages()?;
    let wall = Pairs::take(size.rounds, || serve.refresh(LOOK), || seconds(get_each))?;
    let stages = Stages::between(&before, &serve.stages()?);
    let asked_by_serve = Pairs::take(
        rounds,
        || scene.requests(|| serve.refresh(LOOK).map(drop)),
        || scene.requests(get_each),
    )?;
    serve.stop()?;
    scene.clear(&work)?;
    let row = |what: &str, unit, pairs, note: &str| Row {
        what: format!("{what}, {} objects in `kube:`", size.objects),
        against: "a bare loop that gets each object".to_owned(),
        unit,
        pairs,
        notes: vec![note.to_owned()],
    };
    let audit = "by the API server's audit log; a write would fail the row";
    Ok(vec![
        row(
            "unchanged `weir sync`",
            Unit::Seconds,
            sync,
            "the whole process: it starts, reads the ledger, renders again and looks at every object",
        ),
        row(
            "requests of an unchanged `weir sync`",
            Unit::Requests,
            asked_by_sync,
            audit,
        ),
        row(
            "unchanged refresh of `weir serve`, wall",
            Unit::Seconds,
            wall,
            &format!(
                "from SIGHUP to its end as /metrics tells it; stages by its metrics (mean ms): {stages}"
            ),
        ),
        row(
            "requests of an unchanged refresh of `weir serve`",
            Unit::Requests,
            asked_by_serve,
            audit,
        ),
    ])
}
