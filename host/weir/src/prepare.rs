//! From a snapshot to rendered apps: manifest, plugins, then render, transform and validate for each app.
//! `render`, `diff`, `sync` and `serve` all go through here, so that they cannot differ.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rpds::RedBlackTreeMapSync;
use tokio::task::JoinSet;
use weir_core::digest::{CommitId, Digest};
use weir_core::grant::Limits;
use weir_core::lock::{self, Lock};
use weir_core::manifest::{App, Manifest};
use weir_core::name::{AppName, PluginName};
use weir_core::pin::Deployed;
use weir_core::placed::Placed;
use weir_core::plan::{ByObject, Desired, Wanted};
use weir_core::random::SecretId;
use weir_core::receipt::Basis;
use weir_core::record::Made;
use weir_core::reuse::Told;
use weir_core::tree::{ReadSet, Snapshot};
use weir_core::validate::{OutputLimits, Validated};
use weir_sandbox::{Domain, Sandbox};

use crate::crash::Spoiled;
use crate::error::Error;
use crate::externals::{self, ExternalsHere};
use crate::open::blocking;
use crate::plugins::{self, Pinned, Store, registry};
use crate::progress::{Line, rendering};
use crate::random::{Random, SecretFrom, Whose};
use crate::renders::{Pack, Renders};
use crate::turns::Turns;

mod canary;
mod describe;
mod next;
mod pipeline;
mod reused;
mod values;

pub(crate) use canary::Canary;
use describe::heard;
pub(crate) use describe::{Described, ManifestFrom, describe, read_file};
pub(crate) use next::{Last, prepare_next};
pub(crate) use pipeline::json_of;
use pipeline::{How, Render, calls, load_all, told};
use reused::reused;

/// What renders need of this host.
pub(crate) struct Host {
    /// Where plugins run.
    pub(crate) sandbox: Arc<Sandbox>,
    /// Renders that were made before.
    pub(crate) renders: Arc<Renders>,
    /// The components that are here.
    pub(crate) store: Store,
    /// How charts and other repositories are got.
    pub(crate) externals: ExternalsHere,
    /// What one call may spend at most.
    pub(crate) limits: Limits,
    /// What calls of these plugins may spend instead, where a receipt says it.
    pub(crate) given: BTreeMap<PluginName, Limits>,
    /// How large one app may be.
    pub(crate) output: OutputLimits,
    /// How many apps render at once, over all repositories.
    pub(crate) turns: Turns,
    /// Which renders run twice.
    pub(crate) canary: Canary,
    /// What stable random bytes are made from.
    pub(crate) secret: SecretFrom,
}

/// The apps of a commit, by name. Two commits share those that are the same.
pub(crate) type Apps = RedBlackTreeMapSync<AppName, PreparedApp>;

/// A commit, read and rendered. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Prepared {
    /// The commit; `None` for a work tree.
    pub(crate) commit: Option<CommitId>,
    /// What the author should hear.
    pub(crate) warnings: Vec<String>,
    /// Every app of the manifest, each rendered or not.
    pub(crate) apps: Apps,
    /// What each app wants, by identity; `None` for one that could not be rendered.
    pub(crate) desired: Desired,
    /// The same by object.
    pub(crate) wants: ByObject,
    /// The apps that could not be rendered.
    pub(crate) unrendered: BTreeSet<AppName>,
    /// The commit that was prepared before, and is shared with.
    pub(crate) since: Option<CommitId>,
    /// The apps that are others than at that one: in what they render to, or in their entry.
    pub(crate) fresh: BTreeSet<AppName>,
    /// Those of them whose render is the same.
    pub(crate) rewritten: BTreeSet<AppName>,
    /// How long it took from the commit to the renders, where somebody looked at a clock.
    pub(crate) spent: Duration,
    /// Its files, with what lies outside and was shown with them; `None` where no commit was read.
    pub(crate) snapshot: Option<Snapshot>,
    /// What receipts say that all apps were rendered from; `None` where no commit was read.
    pub(crate) basis: Option<Arc<Basis>>,
}

/// One app of a commit. Cheap to clone but for its entry.
#[derive(Clone)]
pub(crate) struct PreparedApp {
    /// What the manifest says; of one that was rolled back, what it said then.
    pub(crate) app: App,
    /// Its objects, or why there are none; of one that was rolled back, those of then.
    pub(crate) rendered: Result<Arc<Rendered>, Error>,
    /// Where it was rolled back to, and what this commit has for it.
    pub(crate) pinned: Option<RolledBack>,
}

/// What is not applied of an app that was rolled back.
#[derive(Clone)]
pub(crate) struct RolledBack {
    /// What is applied instead.
    pub(crate) to: Deployed,
    /// The app as this commit has it; `None` where no commit was read.
    pub(crate) commits: Option<Arc<PreparedApp>>,
}

impl Prepared {
    /// What these apps come to, taken together.
    pub(crate) fn of(
        commit: Option<CommitId>,
        warnings: Vec<String>,
        apps: impl IntoIterator<Item = PreparedApp>,
    ) -> Prepared {
        let mut prepared = Prepared {
            commit,
            warnings,
            ..Prepared::default()
        };
        for app in apps {
            prepared.set(app);
        }
        prepared
    }

    /// The same apps, of a commit that follows.
    fn after(self) -> Prepared {
        Prepared {
            since: self.commit,
            fresh: BTreeSet::new(),
            rewritten: BTreeSet::new(),
            ..self
        }
    }

    /// An app is this one now. Costs what it wants.
    pub(crate) fn set(&mut self, app: PreparedApp) {
        let (name, wanted) = (app.app.name.clone(), app.wanted());
        self.want(&name, Some(wanted));
        self.fresh.insert(name.clone());
        self.apps.insert_mut(name, app);
    }

    /// An app's entry is this one now, and its render stays. One that only stands elsewhere in its file is no other.
    fn rewrite(&mut self, app: App) {
        let Some(known) = self.apps.get(&app.name) else {
            return;
        };
        let mark = known.app.mark;
        let only_moved = known.app
            == (App {
                mark,
                ..app.clone()
            });
        let now = PreparedApp::new(app, known.rendered.clone());
        if only_moved {
            self.apps.insert_mut(now.app.name.clone(), now);
            return;
        }
        self.rewritten.insert(now.app.name.clone());
        self.set(now);
    }

    /// An app is no more.
    fn take(&mut self, name: &AppName) {
        self.want(name, None);
        self.fresh.remove(name);
        self.apps.remove_mut(name);
    }

    fn want(&mut self, name: &AppName, now: Option<Option<Wanted>>) {
        let before = self.desired.get(name).cloned().flatten();
        let wanted = now.as_ref().and_then(Option::as_ref);
        self.wants.wants_now(name, before.as_ref(), wanted);
        match now {
            Some(None) => drop(self.unrendered.insert(name.clone())),
            Some(Some(_)) | None => drop(self.unrendered.remove(name)),
        }
        match now {
            Some(now) => self.desired.insert_mut(name.clone(), now),
            None => drop(self.desired.remove_mut(name)),
        }
    }
}

impl PreparedApp {
    /// An app of a commit, as that has it.
    pub(crate) fn new(app: App, rendered: Result<Arc<Rendered>, Error>) -> PreparedApp {
        PreparedApp {
            app,
            rendered,
            pinned: None,
        }
    }

    /// What it wants; `None` where it could not be rendered.
    fn wanted(&self) -> Option<Wanted> {
        let rendered = self.rendered.as_ref().ok()?;
        let objects = rendered.validated.objects().iter();
        Some(Arc::new(objects.map(|o| o.id().clone()).collect()))
    }
}

/// An app's objects and what made them.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// The objects.
    pub(crate) validated: Validated,
    /// The plugins that were called.
    pub(crate) plugins: BTreeMap<PluginName, Digest>,
    /// What was asked of the tree, and answered.
    pub(crate) reads: Arc<ReadSet>,
    /// What its documents came to, for the next render of it; `None` where that was not made now, or changed by plugins.
    pub(crate) placed: Option<Placed>,
    /// What it was made of, where all of that is known, and by whom.
    pub(crate) made: Option<Made>,
    /// The secret of the stable random bytes that a plugin took for it, where one took some.
    pub(crate) random: Option<SecretId>,
    /// Whether it was made before, from the same inputs.
    pub(crate) reused: bool,
    /// Microseconds of each stage that was run for it.
    pub(crate) micros: BTreeMap<String, u64>,
}

/// Reads and renders a commit: all apps, or those that are named.
pub(crate) async fn prepare(
    host: &Arc<Host>,
    snapshot: &Snapshot,
    from: &ManifestFrom,
    whose: &Whose,
    only: &[AppName],
) -> Result<Prepared, Error> {
    let described = describe(snapshot, from)?;
    let basis = Arc::new(described.basis(host, snapshot));
    let warnings = heard(&described);
    let Described { manifest, lock, .. } = described;
    if let Some(unknown) = only
        .iter()
        .find(|name| manifest.app(name.as_str()).is_none())
    {
        let known: Vec<&str> = manifest.apps.iter().map(|a| a.name.as_str()).collect();
        return Err(Error::Usage(format!(
            "app {unknown} is not in the manifest; it has: {}",
            known.join(", ")
        )));
    }
    let apps: Vec<App> = manifest
        .apps
        .iter()
        .filter(|a| only.is_empty() || only.contains(&a.name))
        .cloned()
        .collect();
    let lock = lock.as_deref();
    let snapshot = externals::shown(host, snapshot, lock).await?;
    let called = called(&apps);
    let pinned = registry::ready(host, &manifest, lock, &called, &whose.rules).await?;
    let random = Random::of(&host.secret, whose, &manifest, &called).await;
    let here = here(host, &snapshot, &manifest, &pinned, called).await?;
    let told = |app| told(host, &manifest, &here, lock, &random, app);
    let told: Vec<Option<Told>> = apps.iter().map(told).collect();
    let given = Given {
        manifest: &manifest,
        lock,
        pinned: &pinned,
        pack: None,
        before: None,
        domain: &alone(),
        random: &random,
    };
    let rendered = each(host, &snapshot, given, &apps, &told, How::Whole).await?;
    let apps = apps.into_iter().zip(rendered).map(|(app, rendered)| {
        let rendered = rendered.and_then(|r| r.map(Arc::new).ok_or_else(lost));
        PreparedApp::new(app, rendered)
    });
    let mut prepared = Prepared::of(snapshot.tree.commit(), warnings, apps);
    prepared.basis = Some(basis);
    prepared.snapshot = Some(snapshot);
    Ok(prepared)
}

/// Calls the renderers of these apps only for what they ask for: what each call ended with.
pub(crate) async fn ask(
    host: &Arc<Host>,
    snapshot: &Snapshot,
    manifest: &Manifest,
    lock: &Lock,
    whose: &Whose,
    apps: &[App],
) -> Result<Vec<Result<(), Error>>, Error> {
    let manifest = Arc::new(manifest.clone());
    let called = called(apps);
    // Nothing of it is kept, and nothing but what was asked for counts.
    let random = Random::of(&SecretFrom::Nobodys, whose, &manifest, &called).await;
    let pinned = registry::ready(host, &manifest, Some(lock), &called, &whose.rules).await?;
    let given = Given {
        manifest: &manifest,
        lock: Some(lock),
        pinned: &pinned,
        pack: None,
        before: None,
        domain: &alone(),
        random: &random,
    };
    let told = vec![None; apps.len()];
    let called = each(host, snapshot, given, apps, &told, How::RendererOnly).await?;
    Ok(called.into_iter().map(|r| r.map(drop)).collect())
}

/// What all renders of a commit have in common.
#[derive(Clone, Copy)]
struct Given<'a> {
    manifest: &'a Arc<Manifest>,
    lock: Option<&'a Lock>,
    pinned: &'a Arc<Pinned>,
    /// What was made before, where that was packed.
    pack: Option<&'a Arc<Pack>>,
    /// What the apps came to at the commit before.
    before: Option<&'a Apps>,
    /// With whose other renders these may share a process.
    domain: &'a Domain,
    /// What their random bytes are made from.
    random: &'a Random,
}

/// What an app came to; nothing where only its renderer was called.
type Come = Result<Option<Rendered>, Error>;

/// What each of these apps comes to: what was made before, or made now, as many at once as there are turns.
async fn each(
    host: &Arc<Host>,
    snapshot: &Snapshot,
    given: Given<'_>,
    apps: &[App],
    told_each: &[Option<Told>],
    how: How,
) -> Result<Vec<Come>, Error> {
    let Given {
        manifest,
        lock,
        pinned,
        pack,
        before,
        domain,
        random,
    } = given;
    let mut results = reused(host, snapshot, told_each, apps, random, pack.cloned()).await?;
    let missing = results
        .iter()
        .zip(apps)
        .filter(|(found, _)| found.is_none());
    let missing: Vec<&App> = missing.map(|(_, app)| app).collect();
    let found = apps.len() - missing.len();
    tracing::debug!(
        "{found} of {} apps were rendered before, from the same",
        apps.len()
    );
    let ready = load_all(host, snapshot, manifest, pinned, &missing, how).await?;
    let turns = host.turns.own();
    let mut tasks = JoinSet::new();
    for (n, app) in apps.iter().enumerate() {
        if results.get(n).is_some_and(Option::is_some) {
            continue;
        }
        let told = told_each.get(n).copied().flatten();
        let facts = lock::facts_for(lock, &app.target).map_err(|e| Error::stage("manifest", &e));
        let (host, snapshot, app) = (host.clone(), snapshot.clone(), app.clone());
        let (manifest, ready, turns) = (manifest.clone(), ready.clone(), turns.clone());
        let (domain, random) = (domain.clone(), random.clone());
        let before = before.and_then(|apps| apps.get(&app.name)?.rendered.clone().ok());
        tasks.spawn(async move {
            let turn = turns.take(None).await;
            let result = match facts {
                _ if turn.is_none() => Err(Error::host("render", "the host is stopping")),
                Ok(facts) => {
                    let render = Render {
                        host: &host,
                        manifest: &manifest,
                        ready: &ready,
                        app: &app,
                        facts: &facts,
                        sandbox: &host.sandbox,
                        domain: &domain,
                        before: before.as_deref(),
                        random: &random,
                        spoiled: Spoiled::first(),
                        trace: None,
                    };
                    render.run(snapshot, how, told).await
                }
                Err(e) => Err(e),
            };
            (n, result)
        });
    }
    let (mut done, of) = (0, missing.len());
    let line = Line::begin(rendering(done, of));
    while let Some(ended) = tasks.join_next().await {
        let (n, result) =
            ended.map_err(|e| Error::host("render", format!("a render task ended early: {e}")))?;
        if let Some(slot) = results.get_mut(n) {
            *slot = Some(result);
        }
        done += 1;
        line.say(rendering(done, of));
    }
    let each = results.into_iter();
    Ok(each.map(|r| r.unwrap_or_else(|| Err(lost()))).collect())
}

/// The domain of a command: it looks at one repository, and has a host of its own.
fn alone() -> Domain {
    Domain::new("")
}

/// The plugins that these apps call.
fn called(apps: &[App]) -> BTreeSet<PluginName> {
    let called = apps.iter().flat_map(calls);
    let called: BTreeSet<&PluginName> = called.map(|(_, call)| &call.plugin).collect();
    called.into_iter().cloned().collect()
}

/// The digests of these plugins that this host could load.
async fn here(
    host: &Arc<Host>,
    snapshot: &Snapshot,
    manifest: &Arc<Manifest>,
    pinned: &Arc<Pinned>,
    called: BTreeSet<PluginName>,
) -> Result<BTreeMap<PluginName, Digest>, Error> {
    let (host, snapshot) = (host.clone(), snapshot.clone());
    let (manifest, pinned) = (manifest.clone(), pinned.clone());
    blocking("render", move || {
        let find = |name: PluginName| {
            let digest = *pinned.get(&name)?.as_ref().ok()?;
            let is_here = plugins::is_here(&host.store, &snapshot, &manifest, &name, digest);
            is_here.then_some((name, digest))
        };
        Ok(called.into_iter().filter_map(find).collect())
    })
    .await
}

fn lost() -> Error {
    Error::host("render", "a render task ended without a result")
}
