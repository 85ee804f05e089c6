//! A commit after another one: what its changes cannot concern is not looked at.
//!
//! Of the commit before are known its tree, what its manifest came to, what each app was told and read, and what came of it.
//! An app whose inputs and whose answers are the same keeps its render as it is in memory: no file is opened for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_core::digest::Digest;
use weir_core::manifest::{App, Manifest, may_differ};
use weir_core::name::{AppName, PluginName, RepoPath};
use weir_core::random::SecretId;
use weir_core::reuse::Told;
use weir_core::routing::Routes;
use weir_core::tree::{Change, Snapshot, Tree, View};
use weir_sandbox::Domain;

use super::pipeline::{How, told};
use super::{
    Described, Given, Host, ManifestFrom, Prepared, PreparedApp, called, describe, each, heard,
    here, lost,
};
use crate::error::Error;
use crate::externals;
use crate::open::blocking;
use crate::plugins::registry;
use crate::random::{Random, Whose};
use crate::renders::{PART, Pack, WORTH};

/// How many changes are looked at one by one for what they mean for the manifest: where they are more, it is read anew.
const ASKED: usize = 1000;

/// What the commit before came to. Whoever prepares a repository's commits owns it.
#[derive(Default)]
pub(crate) struct Last(Option<Known>);

/// A commit with all that says what of it holds at the next one.
struct Known {
    tree: Arc<Tree>,
    described: Arc<Described>,
    /// The plugins that some app calls.
    called: BTreeSet<PluginName>,
    /// Those that this host has.
    here: BTreeMap<PluginName, Digest>,
    /// What stable random bytes were made from, where some were given.
    secret: Option<SecretId>,
    told: Arc<BTreeMap<AppName, Told>>,
    prepared: Prepared,
    index: Index,
    /// How many renders are not in the file where all are packed.
    unpacked: usize,
}

/// Who read what.
#[derive(Default)]
struct Index {
    /// Apps by what they read; nobody's name stands for the manifest and the lock.
    routes: Routes<Option<AppName>>,
    /// Apps of which that is not known.
    unsure: BTreeSet<AppName>,
}

impl Last {
    /// The tree of the commit before.
    pub(crate) fn tree(&self) -> Option<Arc<Tree>> {
        self.0.as_ref().map(|known| known.tree.clone())
    }
}

/// What is to be done for a commit.
struct Work {
    /// Apps that are made, or found among what was made before.
    render: Vec<App>,
    /// Apps whose render stays and whose entry is another.
    entries: Vec<App>,
    /// Apps that are no more.
    gone: Vec<AppName>,
}

impl Work {
    /// Every app of a manifest.
    fn all(manifest: &Manifest) -> Work {
        Work {
            render: manifest.apps.clone(),
            entries: Vec::new(),
            gone: Vec::new(),
        }
    }
}

/// What a commit begins with: what the one before came to, who read what there, and how many renders are not packed.
fn begun(before: Option<Known>, is_packed: bool) -> (Prepared, Index, usize) {
    match before {
        Some(known) => (known.prepared.after(), known.index, known.unpacked),
        // What was found packed is packed; what was not may be all of them.
        None if is_packed => (Prepared::default(), Index::default(), 0),
        None => (Prepared::default(), Index::default(), usize::MAX / 2),
    }
}

/// Reads a commit, and renders what may be another than at the one before.
pub(crate) async fn prepare_next(
    host: &Arc<Host>,
    snapshot: &Snapshot,
    from: &ManifestFrom,
    whose: &Whose,
    last: &mut Last,
) -> Result<Prepared, Error> {
    let repository = whose.repository.as_str();
    let known = last.0.as_ref();
    let changes = known.map(|known| known.tree.changes(&snapshot.tree));
    let changes = changes.unwrap_or_default();
    let described = match known.filter(|known| known.describes(&changes)) {
        Some(known) => known.described.clone(),
        None => Arc::new(describe(snapshot, from)?),
    };
    let (manifest, lock) = (&described.manifest, described.lock.as_deref());
    let snapshot = externals::shown(host, snapshot, lock).await?;
    let is_described = known.is_some_and(|known| Arc::ptr_eq(&known.described, &described));
    let called = match known.filter(|_| is_described) {
        Some(known) => known.called.clone(),
        None => called(&manifest.apps),
    };
    let pinned = registry::ready(host, manifest, lock, &called, &whose.rules).await?;
    let here = here(host, &snapshot, manifest, &pinned, called.clone()).await?;
    let random = Random::of(&host.secret, whose, manifest, &called).await;
    let as_before = known.filter(|k| is_described && k.here == here && k.secret == random.id());
    let told: Arc<BTreeMap<AppName, Told>> = match as_before {
        Some(known) => known.told.clone(),
        None => Arc::new(each_told(manifest, |app| {
            told(host, manifest, &here, lock, &random, app)
        })),
    };
    let work = match (known, as_before.is_some()) {
        (Some(known), true) => known.touched(&snapshot, &changes),
        (Some(known), false) => known.compared(&snapshot, &changes, &described, &told),
        (None, _) => Work::all(manifest),
    };
    let told_each = work.render.iter().map(|a| told.get(&a.name).copied());
    let told_each: Vec<Option<Told>> = told_each.collect();
    let pack = match known {
        Some(_) => None,
        None => packed(host, repository).await?.map(Arc::new),
    };
    let given = Given {
        manifest,
        lock,
        pinned: &pinned,
        pack: pack.as_ref(),
        before: known.map(|known| &known.prepared.apps),
        domain: &Domain::new(repository),
        random: &random,
    };
    let made = each(host, &snapshot, given, &work.render, &told_each, How::Whole).await?;
    let is_packed = pack.is_some();
    let before = last.0.take();
    let (mut prepared, index, unpacked) = begun(before, is_packed);
    prepared.commit = snapshot.tree.commit();
    prepared.warnings = heard(&described);
    prepared.basis = Some(Arc::new(described.basis(host, &snapshot)));
    prepared.snapshot = Some(snapshot.clone());
    for name in &work.gone {
        prepared.take(name);
    }
    for app in work.entries {
        prepared.rewrite(app);
    }
    let (mut indexed, mut made_now) = (Vec::new(), 0);
    for (app, rendered) in work.render.into_iter().zip(made) {
        let rendered = rendered.and_then(|r| r.map(Arc::new).ok_or_else(lost));
        let reads = rendered.as_ref().ok().map(|r| r.reads.clone());
        made_now += usize::from(rendered.as_ref().is_ok_and(|r| !r.reused));
        indexed.push((app.name.clone(), app.roots.clone(), reads));
        prepared.set(PreparedApp::new(app, rendered));
    }
    let (tree, gone) = (snapshot.tree.clone(), work.gone);
    let read = (!is_described).then(|| described.clone());
    let index = blocking("render", move || {
        let mut index = index;
        index.update(&snapshot, read.as_deref(), indexed, &gone);
        Ok(index)
    })
    .await?;
    let unpacked = unpacked + made_now;
    let unpacked = match unpacked > prepared.apps.size() / PART {
        true => pack_all(host, repository, &prepared, &told),
        false => unpacked,
    };
    last.0 = Some(Known {
        tree,
        described,
        called,
        here,
        secret: random.id(),
        told,
        prepared: prepared.clone(),
        index,
        unpacked,
    });
    Ok(prepared)
}

/// What each app of a manifest is told, where that is known.
fn each_told(manifest: &Manifest, told: impl Fn(&App) -> Option<Told>) -> BTreeMap<AppName, Told> {
    let apps = manifest.apps.iter();
    let told = apps.filter_map(|app| Some((app.name.clone(), told(app)?)));
    told.collect()
}

/// What the last host packed of this repository, read and checked.
async fn packed(host: &Arc<Host>, repository: &str) -> Result<Option<Pack>, Error> {
    let (host, repository) = (host.clone(), repository.to_owned());
    blocking("render", move || Ok(host.renders.packed(&repository))).await
}

/// Packs all renders beside the loop, where they are worth it; how many are not packed then.
fn pack_all(
    host: &Arc<Host>,
    repository: &str,
    prepared: &Prepared,
    told: &BTreeMap<AppName, Told>,
) -> usize {
    if prepared.apps.size() < WORTH {
        return 0;
    }
    let key = |app: &PreparedApp| Some((told.get(&app.app.name)?.key, app.rendered.clone().ok()?));
    let renders: Vec<_> = prepared.apps.values().filter_map(key).collect();
    let (host, repository) = (host.clone(), repository.to_owned());
    // Nobody waits for it: what is not packed is read one by one.
    tokio::task::spawn_blocking(move || host.renders.pack(&repository, renders));
    0
}

impl Known {
    /// Whether manifest and lock mean the same after these changes.
    fn describes(&self, changes: &[Change]) -> bool {
        let asks = |change| may_differ(&self.described.manifest, change);
        let concerned = self.index.routes.touched(changes);
        !concerned.contains(&None) && changes.len() <= ASKED && !changes.iter().any(asks)
    }

    /// Whether what an app came to would come out the same: it was told the same, and would read the same.
    fn holds(&self, snapshot: &Snapshot, app: &App) -> bool {
        let known = self.prepared.apps.get(&app.name);
        let rendered = known.and_then(|known| known.rendered.as_ref().ok());
        rendered.is_some_and(|r| {
            r.reads
                .holds(&View::new(snapshot.clone(), app.roots.clone()))
        })
    }

    /// The apps that changes of files may concern.
    fn concerned(&self, changes: &[Change]) -> BTreeSet<&AppName> {
        let touched = self.index.routes.touched(changes);
        let touched = touched.into_iter().filter_map(Option::as_ref);
        touched.chain(&self.index.unsure).collect()
    }

    /// The work where each app is told the same as before.
    fn touched(&self, snapshot: &Snapshot, changes: &[Change]) -> Work {
        let failed = &self.prepared.unrendered;
        let concerned = self.concerned(changes).into_iter().chain(failed);
        let concerned: BTreeSet<&AppName> = concerned.collect();
        let apps = concerned
            .into_iter()
            .filter_map(|name| self.prepared.apps.get(name));
        let apps = apps.map(|known| &known.app);
        Work {
            render: apps
                .filter(|app| !self.holds(snapshot, app))
                .cloned()
                .collect(),
            entries: Vec::new(),
            gone: Vec::new(),
        }
    }

    /// The work where manifest, lock or plugins are others.
    fn compared(
        &self,
        snapshot: &Snapshot,
        changes: &[Change],
        described: &Described,
        told: &BTreeMap<AppName, Told>,
    ) -> Work {
        let mut concerned = self.concerned(changes);
        // The lock says what an external is.
        concerned.extend(
            self.index
                .routes
                .of_externals()
                .into_iter()
                .filter_map(Option::as_ref),
        );
        let (mut render, mut entries) = (Vec::new(), Vec::new());
        for app in &described.manifest.apps {
            let name = &app.name;
            let known = self.prepared.apps.get(name);
            let is_told = told.contains_key(name) && self.told.get(name) == told.get(name);
            let stays = is_told
                && known.is_some_and(|known| known.rendered.is_ok())
                && (!concerned.contains(name) || self.holds(snapshot, app));
            match known.filter(|_| stays) {
                None => render.push(app.clone()),
                Some(known) if known.app != *app => entries.push(app.clone()),
                Some(_) => {}
            }
        }
        let there: BTreeSet<&AppName> = described.manifest.apps.iter().map(|a| &a.name).collect();
        let gone = self
            .prepared
            .apps
            .keys()
            .filter(|name| !there.contains(name));
        Work {
            render,
            entries,
            gone: gone.cloned().collect(),
        }
    }
}

impl Index {
    /// From now on these apps, and the manifest where it was read anew, depend on what they read.
    fn update(
        &mut self,
        snapshot: &Snapshot,
        read: Option<&Described>,
        apps: Vec<(
            AppName,
            Vec<RepoPath>,
            Option<Arc<weir_core::tree::ReadSet>>,
        )>,
        gone: &[AppName],
    ) {
        if let Some(described) = read {
            let view = View::new(snapshot.clone(), vec![RepoPath::root()]);
            let watches = view.watches(&described.reads).unwrap_or_default();
            self.routes.put(None, watches);
        }
        for name in gone {
            self.unsure.remove(name);
            self.routes.take(&Some(name.clone()));
        }
        for (name, roots, reads) in apps {
            self.unsure.remove(&name);
            let view = View::new(snapshot.clone(), roots);
            let watches = reads.map(|reads| view.watches(&reads));
            let key = Some(name.clone());
            match watches {
                Some(Some(watches)) => self.routes.put(key, watches),
                // One that failed is looked at in any case.
                None => self.routes.take(&key),
                Some(None) => {
                    self.routes.take(&key);
                    self.unsure.insert(name);
                }
            }
        }
    }
}
