//! Externals of a lock: found by rendering until nothing new is asked for, resolved, fetched, pinned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_core::external::{LockedExternal, MAX_EXTERNALS, Reference};
use weir_core::lock::{LOCK_FILE, Lock};
use weir_core::manifest::{App, Manifest, PluginSource};
use weir_core::tree::{self, Snapshot};
use weir_source::Externals;

use crate::error::Error;
use crate::externals::{resolve, show, unavailable};
use crate::open::blocking;
use crate::prepare::{Host, ask};
use crate::random::Whose;

/// How many times apps are rendered to hear what they ask for: an external may lead to another one.
const MAX_ROUNDS: usize = 16;

/// What is to be locked.
pub(super) struct Locking<'a> {
    pub(super) host: &'a Arc<Host>,
    pub(super) whose: &'a Whose,
    pub(super) snapshot: &'a Snapshot,
    pub(super) manifest: &'a Manifest,
    /// Plugins and targets, pinned already.
    pub(super) lock: &'a Lock,
    /// What was pinned so far.
    pub(super) old: BTreeMap<Reference, LockedExternal>,
    /// Nothing of it is kept.
    pub(super) update: bool,
}

/// Externals with their files, or why those cannot be had.
type Shown = BTreeMap<Reference, Result<Snapshot, tree::Unavailable>>;

/// One round of rendering.
struct Round {
    /// What was asked for, shown or not.
    asked: BTreeSet<Reference>,
    /// Whether all apps rendered, so that nobody can ask for more.
    whole: bool,
}

impl Locking<'_> {
    /// The pins: old ones that are used, new ones for what is asked for, none that is not.
    ///
    /// # Errors
    /// What has to be pinned and cannot be resolved or fetched; too many rounds or externals.
    pub(super) async fn run(self) -> Result<BTreeMap<Reference, LockedExternal>, Error> {
        let apps: Vec<App> = self
            .manifest
            .apps
            .iter()
            .filter(|a| self.may_ask(a))
            .cloned()
            .collect();
        if apps.is_empty() && self.manifest.externals.is_empty() {
            return Ok(BTreeMap::new());
        }
        let kept = if self.update {
            BTreeMap::new()
        } else {
            self.old.clone()
        };
        let mut pins = kept;
        let mut shown = self.shown(&pins).await?;
        let declared = self.manifest.externals.iter();
        let mut wanted: BTreeSet<Reference> = declared
            .filter(|r| !pins.contains_key(*r))
            .cloned()
            .collect();
        for _ in 0..MAX_ROUNDS {
            self.pin(wanted, &mut pins, &mut shown).await?;
            let round = self.round(&apps, &shown).await?;
            wanted = round
                .asked
                .iter()
                .filter(|r| !pins.contains_key(*r))
                .cloned()
                .collect();
            if wanted.is_empty() {
                return Ok(self.used(pins, &round));
            }
        }
        Err(Error::Usage(format!(
            "externals: after {MAX_ROUNDS} rounds of rendering apps still ask for more, such as `{}`: declare them under `externals:` in the manifest",
            wanted.first().map_or("", Reference::as_str)
        )))
    }

    /// Whether an app's renderer may look at externals: the bundled one for plain YAML reads its path alone.
    fn may_ask(&self, app: &App) -> bool {
        let source = self
            .manifest
            .plugins
            .get(&app.render.plugin)
            .map(|p| &p.source);
        !matches!(source, Some(PluginSource::Bundled(name)) if name == "yaml")
    }

    /// What is used. Where an app could not be rendered, nobody knows what it would have asked for: all stays.
    fn used(
        &self,
        pins: BTreeMap<Reference, LockedExternal>,
        round: &Round,
    ) -> BTreeMap<Reference, LockedExternal> {
        let used = |r: &Reference| {
            round.asked.contains(r) || self.manifest.externals.contains(r) || !round.whole
        };
        let mut pins: BTreeMap<_, _> = pins.into_iter().filter(|(r, _)| used(r)).collect();
        if !round.whole {
            for (reference, locked) in &self.old {
                if !pins.contains_key(reference) {
                    tracing::warn!(
                        "external `{reference}` stays as it is pinned: not every app could be rendered, so {LOCK_FILE} may still need it"
                    );
                    pins.insert(reference.clone(), locked.clone());
                }
            }
        }
        pins
    }

    /// Renders, and hears what is asked for.
    async fn round(&self, apps: &[App], shown: &Shown) -> Result<Round, Error> {
        let externals = tree::Externals::new(shown.clone());
        let snapshot = self.snapshot.with_externals(externals.clone());
        let results = ask(
            self.host,
            &snapshot,
            self.manifest,
            self.lock,
            self.whose,
            apps,
        )
        .await?;
        let mut asked = BTreeSet::new();
        for name in externals.asked() {
            let reference = Reference::unescaped(&name).map_err(|e| {
                Error::Usage(format!(
                    "an app asks for something that is no external: {e}"
                ))
            })?;
            asked.insert(reference);
        }
        let missing = asked.iter().any(|r| !shown.contains_key(r));
        let failed = results
            .iter()
            .zip(apps)
            .filter_map(|(r, app)| Some((r.as_ref().err()?, app)));
        let mut whole = true;
        for (error, app) in failed {
            whole = false;
            // What is missing is fetched now, and the app is asked again.
            if !missing {
                tracing::warn!(app = %app.name, "could not be rendered while locking: {error}");
            }
        }
        Ok(Round { asked, whole })
    }

    /// Resolves what is new.
    async fn pin(
        &self,
        wanted: BTreeSet<Reference>,
        pins: &mut BTreeMap<Reference, LockedExternal>,
        shown: &mut Shown,
    ) -> Result<(), Error> {
        if pins.len() + wanted.len() > MAX_EXTERNALS {
            return Err(Error::Usage(format!(
                "externals: more than {MAX_EXTERNALS} are asked for, such as `{}`: split the repository",
                wanted.last().map_or("", Reference::as_str)
            )));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let stop = self.host.turns.ended();
        let resolved = self
            .with(move |externals| {
                let all = wanted.into_iter().map(|reference| {
                    let found = resolve(&externals, &reference, &stop);
                    let (locked, files) = found.map_err(|e| Error::stage("externals", &e))?;
                    Ok((reference, locked, files))
                });
                all.collect::<Result<Vec<_>, Error>>()
            })
            .await?;
        for (reference, locked, files) in resolved {
            pins.insert(reference.clone(), locked);
            shown.insert(reference, Ok(files));
        }
        Ok(())
    }

    /// The files behind pins that stay.
    async fn shown(&self, pins: &BTreeMap<Reference, LockedExternal>) -> Result<Shown, Error> {
        if pins.is_empty() {
            return Ok(Shown::new());
        }
        let (pins, stop) = (pins.clone(), self.host.turns.ended());
        self.with(move |externals| {
            let all = pins.into_iter().map(|(reference, locked)| {
                let files = show(&externals, &reference, &locked, &stop);
                (reference, files.map_err(|e| unavailable(&e)))
            });
            Ok(all.collect())
        })
        .await
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(Externals) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let externals = self.host.externals.open();
        blocking("externals", move || work(externals)).await
    }
}
