//! One large app in a cluster: its first sync, a look when nothing changed, and a commit that changes one object of it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use weir_core::object::Object;
use weir_core::render::{self, Document};
use weir_core::yaml::Budget;
use weir_tests::control_plane::AuditEntry;

use super::super::Size;
use super::super::measure::{self, Pairs, seconds};
use super::super::serving::{LOOK, SELDOM, Serve, Stages};
use super::super::table::{Row, Unit};
use super::super::work::{self, APP};
use super::{Scene, Work, first};

/// The file that changes, and what in it.
const CHANGED: (&str, &str) = ("f0.yaml", "rev: \"r0\"");

/// All rows of this module.
///
/// # Errors
/// A run fails.
pub(super) fn rows(scene: &Scene, size: Size) -> Result<Vec<Row>> {
    let mut rows = first(scene, size.many, size.processes.min(3))?;
    let mut large = Large::start(scene, size.many)?;
    rows.extend(large.unchanged(size)?);
    rows.extend(large.changed(size)?);
    large.serve.stop()?;
    scene.clear(&large.work)?;
    Ok(rows)
}

/// A service that has synced one large app.
struct Large<'a> {
    scene: &'a Scene,
    work: Work,
    serve: Serve,
    /// How often the one object has changed.
    changes: usize,
}

impl Large<'_> {
    fn start(scene: &Scene, objects: usize) -> Result<Large<'_>> {
        let work = scene.work(objects)?;
        let serve = Serve::start(&scene.weir, scene.arguments("serve", &work)?)?;
        Ok(Large {
            scene,
            work,
            serve,
            changes: 0,
        })
    }

    /// A commit that changes the first object, and that object.
    fn commit(&mut self) -> Result<Object> {
        self.changes += 1;
        let files = work::files_in(&self.work.namespace, self.work.objects.len(), 10);
        let (path, text) = files.into_iter().next().context("there is a file")?;
        ensure!(
            path == format!("{APP}/{}", CHANGED.0),
            "the first file is {path}"
        );
        let changed = CHANGED.1.replace('0', &self.changes.to_string());
        let text = text.replacen(CHANGED.1, &changed, 1);
        self.work.repo.write(&path, &text)?;
        self.work.repo.commit("one object")?;
        let body = text.into_bytes();
        let objects = render::parse(&[Document { origin: path, body }], &Budget::HOST)?;
        objects.into_iter().next().context("there is an object")
    }

    fn unchanged(&mut self, size: Size) -> Result<Vec<Row>> {
        let (scene, work) = (self.scene, &self.work);
        let get_each = || scene.bare.get_each(&work.namespace, &work.objects);
        let rounds = size.processes.min(5);
        let before = self.serve.stages()?;
        let wall = Pairs::take(rounds, || self.serve.refresh(LOOK), || seconds(get_each))?;
        let stages = Stages::between(&before, &self.serve.stages()?);
        let asked = Pairs::take(
            rounds.min(2),
            || scene.requests(|| self.serve.refresh(LOOK).map(drop)),
            || scene.requests(get_each),
        )?;
        let row = |what: &str, unit, pairs, note: String| Row {
            what: format!("{what}, {} objects in `kube:`", size.many),
            against: "a bare loop that gets each object".to_owned(),
            unit,
            pairs,
            notes: vec![note],
        };
        Ok(vec![
            row(
                "unchanged refresh of `weir serve`, wall",
                Unit::Seconds,
                wall,
                format!("stages by its metrics (mean ms): {stages}"),
            ),
            row(
                "requests of an unchanged refresh of `weir serve`",
                Unit::Requests,
                asked,
                "by the API server's audit log; a write would fail the row".to_owned(),
            ),
        ])
    }

    fn changed(&mut self, size: Size) -> Result<Vec<Row>> {
        let rounds = size.processes;
        let before = self.serve.stages()?;
        let wall = self.pairs(rounds, |large| large.serve.change(LOOK))?;
        let stages = Stages::between(&before, &self.serve.stages()?);
        let pid = self.serve.pid()?;
        let processor = self.pairs(rounds, |large| {
            let before = measure::processor(pid)?;
            large.serve.change(SELDOM)?;
            Ok(measure::processor(pid)? - before)
        })?;
        let mut verbs = String::new();
        let asked = self.pairs(rounds.min(2), |large| {
            let entries = large.scene.audited(|| large.serve.change(LOOK).map(drop))?;
            verbs = counted(&entries);
            Ok(entries.len() as f64)
        })?;
        let asked = Pairs {
            other: vec![1.0; asked.weir.len()],
            ..asked
        };
        let row = |what: &str, unit, pairs, note: String| Row {
            what: format!("one changed object of {} in `kube:`, {what}", size.many),
            against: "one server-side apply of that object".to_owned(),
            unit,
            pairs,
            notes: vec![note],
        };
        Ok(vec![
            row(
                "wall",
                Unit::Seconds,
                wall,
                format!(
                    "from SIGHUP, so with the fetch, to the end of the sync as /metrics tells it; stages by its metrics (mean ms): {stages}"
                ),
            ),
            row(
                "processor time of the host",
                Unit::Seconds,
                processor,
                "the same from one look at /metrics to another; the other's is wall time"
                    .to_owned(),
            ),
            row(
                "requests",
                Unit::Requests,
                asked,
                format!("by the API server's audit log: {verbs}"),
            ),
        ])
    }

    /// Weir's figure of a commit that is made before the clock runs, and the plain apply of what it changes.
    fn pairs(
        &mut self,
        rounds: usize,
        mut weir: impl FnMut(&mut Self) -> Result<f64>,
    ) -> Result<Pairs> {
        let mut pairs = Pairs::default();
        for _ in 0..rounds {
            let mut object = self.commit()?;
            pairs.weir.push(weir(self)?);
            // Another value, or it would be no change; another manager and key, or it would be a conflict.
            let key = format!("bare-{}", self.changes);
            object = with_value(&object, &key)?;
            let apply = || {
                let (namespace, objects) = (&self.work.namespace, std::slice::from_ref(&object));
                self.scene.bare.apply_each(namespace, objects)
            };
            pairs.other.push(seconds(apply)?);
        }
        Ok(pairs)
    }
}

/// The object with one value of another manager's in it, and no other.
fn with_value(object: &Object, key: &str) -> Result<Object> {
    let mut body = object.body();
    body["data"] = json!({ key: "x" });
    if let Some(metadata) = body["metadata"].as_object_mut() {
        metadata.remove("labels");
    }
    let text = serde_json::to_vec(&body)?;
    let origin = APP.to_owned();
    let objects = render::parse(&[Document { origin, body: text }], &Budget::HOST)?;
    objects.into_iter().next().context("there is an object")
}

/// How often each kind of request was made.
fn counted(entries: &[AuditEntry]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries {
        *counts
            .entry(format!("{} {}", entry.verb, entry.resource))
            .or_default() += 1;
    }
    let all: Vec<String> = counts
        .iter()
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    all.join(", ")
}
