//! What the loop's tasks do: open and fetch, read and render; and which apps a commit gives to sync.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use weir_core::digest::CommitId;
use weir_core::grant::Millis;
use weir_core::manifest::{App, SETTLE_WITHIN};
use weir_core::name::{AppName, TargetName};
use weir_core::schedule::Node;
use weir_core::turns::Lane;

use super::Follow;
use super::trust::Looked;
use crate::config::Bound;
use crate::error::Error;
use crate::open::Opened;
use crate::prepare::{Prepared, prepare_next};
use crate::progress::{Line, fetching};
use crate::sync::Syncer;

impl Follow {
    /// Opens the repository where it is not open yet, and fetches.
    pub(super) async fn fetch(
        &self,
        opened: Option<Arc<Opened>>,
        stop: Arc<AtomicBool>,
    ) -> (Option<Arc<Opened>>, Result<Looked, Error>) {
        let opened = match opened {
            Some(opened) => opened,
            None => match self.opening.open().await {
                Ok(opened) => Arc::new(opened),
                Err(e) => return (None, Err(e.at_start())),
            },
        };
        let Some(_turn) = self.queues.fetches.own().take(None).await else {
            let stopping = Error::host("fetch", "the host is stopping");
            return (Some(opened), Err(stopping));
        };
        let source = opened.source.clone();
        let judge = self.judge(&opened);
        let looked = tokio::task::spawn_blocking(move || {
            let line = Line::begin("fetching");
            let fetched = source.fetch(&stop, &|p| line.say(fetching(&p)));
            let fetched = fetched.map_err(|e| Error::stage("fetch", &e))?;
            judge(fetched, &stop)
        })
        .await;
        let looked = match looked {
            Ok(result) => result,
            Err(e) => Err(Error::host("fetch", format!("the fetch ended early: {e}"))),
        };
        (Some(opened), looked)
    }

    pub(super) async fn prepare(
        &self,
        opened: &Opened,
        commit: CommitId,
        stop: Arc<AtomicBool>,
    ) -> Result<Prepared, Error> {
        let begun = Instant::now();
        let whose = self.opening.settings().whose();
        let mut last = opened.last.lock().await;
        let (source, before) = (opened.source.clone(), last.tree());
        let snapshot = move || source.snapshot_anew(before.as_deref(), commit, &stop);
        let snapshot = tokio::task::spawn_blocking(snapshot).await;
        let snapshot = snapshot
            .map_err(|e| Error::host("snapshot", format!("reading the tree ended early: {e}")))?;
        let snapshot = snapshot.map_err(|e| Error::stage("snapshot", &e))?;
        let mut prepared =
            prepare_next(&self.host, &snapshot, &opened.from, &whose, &mut last).await?;
        drop(last);
        say_unbound(&opened.syncer, &mut prepared)?;
        prepared.spent = begun.elapsed();
        Ok(prepared)
    }
}

/// Apps whose target this host does not bind are another host's; where that is all of them, the
/// flags are wrong.
fn say_unbound(syncer: &Syncer, prepared: &mut Prepared) -> Result<(), Error> {
    let apps = prepared.apps.values();
    let unbound: Vec<String> = apps
        .filter(|a| !syncer.binds(&a.app.target))
        .map(|a| format!("{} (target {})", a.app.name, a.app.target))
        .collect();
    if unbound.is_empty() {
        return Ok(());
    }
    let text = format!(
        "{} of {} apps land in targets that this host does not bind, and are left to others: {}. Bind one with --target NAME=dir:PATH",
        unbound.len(),
        prepared.apps.size(),
        unbound.join(", ")
    );
    if unbound.len() == prepared.apps.size() {
        return Err(Error::Usage(text));
    }
    prepared.warnings.push(text);
    Ok(())
}

/// How long an app may take to become healthy, where it is waited for: others come after it, or it says so.
pub(super) fn within(app: &App, waited: bool) -> Option<Millis> {
    match app.settle {
        Some(settle) => Some(settle.within),
        None => waited.then_some(SETTLE_WITHIN),
    }
}

/// The apps that this host syncs, and those that the ledger knows and the manifest no longer has. The
/// latter go last: what moves from them to another app is taken first. `places` is where each target is; `same` says of
/// which apps nothing is another than at the commit before, and nothing is left to do.
pub(super) fn nodes(
    syncer: &Syncer,
    prepared: &Prepared,
    places: &BTreeMap<TargetName, Bound>,
    same: impl Fn(&AppName) -> bool,
) -> Vec<Node> {
    let bound = |name: &AppName| {
        prepared
            .apps
            .get(name)
            .is_some_and(|a| syncer.binds(&a.app.target))
    };
    let places: BTreeMap<&TargetName, Arc<str>> = places
        .iter()
        .map(|(name, bound)| (name, bound.place.to_string().into()))
        .collect();
    let lane = |target: &TargetName, part: &str| Lane {
        place: places.get(target).cloned().unwrap_or_default(),
        part: part.into(),
    };
    let mut nodes: Vec<Node> = Vec::new();
    let waited: BTreeSet<&AppName> = prepared
        .apps
        .iter()
        .filter(|(name, _)| bound(name))
        .flat_map(|(_, app)| &app.app.after)
        .collect();
    for (name, app) in prepared.apps.iter().filter(|(name, _)| bound(name)) {
        let after = app
            .app
            .after
            .iter()
            .filter(|dep| bound(dep))
            .cloned()
            .collect();
        let namespace = app.app.namespace.as_ref();
        nodes.push(Node {
            app: name.clone(),
            after,
            behind: Vec::new(),
            settle: within(&app.app, waited.contains(name)).map(|within| within.0),
            lane: lane(&app.app.target, namespace.map_or("", |n| n.as_str())),
            same: same(name),
        });
    }
    syncer.journal().status(|s| {
        let gone = s.apps.iter();
        for (app, known) in gone.filter(|(name, _)| !prepared.apps.contains_key(*name)) {
            let held = known.inventory.iter();
            let takers = held.flat_map(|(id, _)| prepared.wants.of(id));
            let target = known.target.clone();
            let target = target.unwrap_or_else(TargetName::default_target);
            // One identity in two targets is two objects.
            let lands_here = |name: &AppName| {
                let taker = prepared.apps.get(name);
                taker.is_some_and(|taker| taker.app.target == target)
            };
            let takers = takers.filter(|name| bound(name) && lands_here(name));
            let behind: BTreeSet<&AppName> = takers.collect();
            nodes.push(Node {
                app: app.clone(),
                after: Vec::new(),
                behind: behind.into_iter().cloned().collect(),
                settle: None,
                lane: lane(&target, ""),
                same: false,
            });
        }
    });
    nodes
}
