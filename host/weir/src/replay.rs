//! A receipt made again: its app is rendered anew from the commit, with just what the receipt names, and compared.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_core::digest::{CommitId, Digest};
use weir_core::external::{Carried, LockedExternal, Reference};
use weir_core::grant::Limits;
use weir_core::manifest::{App, PluginSource};
use weir_core::name::PluginName;
use weir_core::random::SecretId;
use weir_core::receipt::{
    Basis, Difference, Inputs, ManifestSeen, Part, Receipt, first_difference,
};
use weir_core::tree::Snapshot;
use weir_receipt::Bundle;

use crate::cli::engine;
use crate::config::Places;
use crate::error::Error;
use crate::externals::{self, ExternalsHere};
use crate::open::blocking;
use crate::plugins::rules::Rules;
use crate::plugins::{self, Store};
use crate::prepare::{Described, Host, ManifestFrom, describe, prepare};
use crate::random::{SecretFrom, Whose};

/// What a receipt says, with what came with it.
pub(crate) struct Replay {
    /// The receipt, its signature checked.
    pub(crate) receipt: Receipt,
    /// The bundle that it came in.
    pub(crate) bundle: Option<Arc<Bundle>>,
}

/// How to come by what is missing.
const BUNDLE: &str =
    "a bundle has it: `weir receipts export --bundle FILE.tar` on the host that signed";

impl Replay {
    /// Whether this Weir can do it at all.
    ///
    /// # Errors
    /// Where it would need a secret that is not here, or more than this host lets a call spend.
    pub(crate) fn check(&self, places: &Places) -> Result<(), Error> {
        if let Some(id) = self.receipt.random_secret {
            is_here(id, places)?;
        }
        for plugin in &self.receipt.inputs.plugins {
            if let Some((limit, asked, most)) = plugin.limits.above(&Limits::HOST) {
                return Err(Error::host(
                    "verify",
                    format!(
                        "plugin {}: the receipt lets it spend {limit} {asked}, and this host allows {most} at most: verify it where more is allowed",
                        plugin.name
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Where the manifest is: the tree, the bundle, or what the flags say.
    ///
    /// # Errors
    /// Where it was a file of the host's and is not here.
    pub(crate) fn manifest(&self, given: ManifestFrom) -> Result<ManifestFrom, Error> {
        match (self.receipt.inputs.manifest, &self.bundle, given) {
            (ManifestSeen::Repository { .. }, _, _) => Ok(ManifestFrom::Tree),
            (ManifestSeen::Absent, _, _) => {
                Ok(ManifestFrom::Path(self.receipt.inputs.app.path.clone()))
            }
            (ManifestSeen::Host { .. }, Some(bundle), _) => {
                let text = bundle.manifest.clone().unwrap_or_default();
                Ok(ManifestFrom::Host(
                    "weir.yaml of the bundle".to_owned(),
                    text,
                ))
            }
            (ManifestSeen::Host { .. }, None, given @ ManifestFrom::Host(..)) => Ok(given),
            (ManifestSeen::Host { .. }, None, _) => Err(Error::Usage(format!(
                "the manifest was a file of the host that signed: give it with --manifest FILE; {BUNDLE}"
            ))),
        }
    }

    /// The first difference between the receipt and what a commit gives now; `None` where they are equal.
    ///
    /// # Errors
    /// Where it could not be found out.
    pub(crate) async fn run(
        &self,
        places: &Places,
        snapshot: &Snapshot,
        from: &ManifestFrom,
    ) -> Result<Option<Difference>, Error> {
        let said = &self.receipt.inputs;
        if snapshot.tree.id() != Some(said.tree) {
            let found = snapshot.tree.id().map(|id| id.to_string());
            let found = found.unwrap_or_else(|| "none".to_owned());
            let tree = said.tree.to_string();
            return Ok(Some(Difference::new(
                Part::Tree,
                "the commit's tree",
                tree,
                found,
            )));
        }
        let host = self.host(places).await?;
        let described = describe(snapshot, from)?;
        let basis = described.basis(&host, snapshot);
        let Some(app) = described.manifest.app(said.app.name.as_str()) else {
            return Ok(Some(self.no_app(&described)));
        };
        let Some(inputs) = inputs(&host, &basis, said.commit, app, &described)? else {
            return Ok(Some(no_commit(said.commit)));
        };
        if let Some(difference) = said.difference(&inputs) {
            return Ok(Some(difference));
        }
        if let Some(difference) = self.missing(&host, snapshot, &described).await? {
            return Ok(Some(difference));
        }
        let name = said.app.name.clone();
        let whose = Whose {
            repository: self.receipt.repository.name.clone(),
            may: true,
            // Of what is made again nothing is applied.
            rules: Rules::default(),
        };
        let prepared = prepare(&host, snapshot, from, &whose, std::slice::from_ref(&name)).await?;
        let app = prepared.apps.get(&name);
        let app =
            app.ok_or_else(|| Error::host("verify", format!("app {name} was not rendered")))?;
        let rendered = app.rendered.clone()?;
        let output = rendered.validated.output();
        let repository = self.receipt.repository.clone();
        let random = rendered.random;
        let again = basis.receipt(repository, inputs, &rendered.reads, output, random);
        let Some(difference) = self.receipt.difference(&again) else {
            return Ok(None);
        };
        Ok(Some(match difference.part {
            Part::Output => {
                let text = self.bundle.as_ref();
                let text = text.and_then(|b| std::str::from_utf8(&b.output).ok());
                let first = text.and_then(|text| first_difference(text, &rendered.validated));
                difference.with_hint(first.unwrap_or_else(|| {
                    "with a bundle, which holds the bytes, it is said which object differs".to_owned()
                }))
            }
            Part::Random if self.receipt.random_secret.is_none() => difference
                .with_hint("whoever signed says that no plugin took random bytes, and one did here"),
            Part::Reads if output == self.receipt.output => difference.with_hint(
                "the output is the same all the same: the plugins asked other questions than those that were signed",
            ),
            _ => difference,
        }))
    }

    /// What renders it: the components and externals of the bundle alone, or those that are here; nothing that was made
    /// before, and no server.
    async fn host(&self, places: &Places) -> Result<Arc<Host>, Error> {
        let plugins = &self.receipt.inputs.plugins;
        let bundled: BTreeMap<String, Digest> = plugins
            .iter()
            .filter_map(|plugin| match plugin.source.parse() {
                Ok(PluginSource::Bundled(name)) => Some((name, plugin.digest)),
                _ => None,
            })
            .collect();
        let limits = plugins.iter().map(|p| (p.name.clone(), p.limits));
        let limits: BTreeMap<PluginName, Limits> = limits.collect();
        let externals = ExternalsHere::offline(&places.cache);
        let secret = match self.receipt.random_secret {
            Some(id) => SecretFrom::Just(places.random.clone(), id),
            None => SecretFrom::Nobodys,
        };
        let Some(bundle) = &self.bundle else {
            let store = Store::to_look_at(places, bundled);
            return engine::host_to_replay(places, store, externals, limits, secret);
        };
        let store = Store::of_carried(bundle.components.clone(), bundled);
        let (given, bundle) = (self.receipt.externals.clone(), Arc::clone(bundle));
        let offline = externals.clone();
        let carried = blocking("verify", move || unpacked(&offline, &given, &bundle)).await?;
        let externals = externals.with_carried(carried);
        engine::host_to_replay(places, store, externals, limits, secret)
    }

    fn no_app(&self, described: &Described) -> Difference {
        let apps = described.manifest.apps.iter().map(|a| a.name.as_str());
        let apps: Vec<&str> = apps.take(20).collect();
        let name = self.receipt.inputs.app.name.to_string();
        Difference::new(Part::App, "the app", name, apps.join(", "))
    }

    /// A component or an external that is not here.
    async fn missing(
        &self,
        host: &Arc<Host>,
        snapshot: &Snapshot,
        described: &Described,
    ) -> Result<Option<Difference>, Error> {
        let (host, snapshot) = (host.clone(), snapshot.clone());
        let manifest = Arc::clone(&described.manifest);
        let receipt = self.receipt.clone();
        let has_bundle = self.bundle.is_some();
        blocking("verify", move || {
            for plugin in &receipt.inputs.plugins {
                let (name, digest) = (&plugin.name, plugin.digest);
                if !plugins::is_here(&host.store, &snapshot, &manifest, name, digest) {
                    let what = format!("plugin {name} ({})", plugin.source);
                    let difference =
                        Difference::new(Part::Plugin, what, digest.to_string(), "none here");
                    let hint = format!(
                        "{BUNDLE}; or put {}.wasm into a plugin folder",
                        digest.hex()
                    );
                    return Ok(Some(difference.with_hint(hint)));
                }
            }
            if has_bundle {
                return Ok(None);
            }
            let externals = host.externals.open();
            let stop = host.turns.ended();
            for (reference, locked) in &receipt.externals {
                if let Err(e) = externals::show(&externals, reference, locked, &stop) {
                    tracing::debug!("{e}");
                    let what = format!("external `{reference}`");
                    let (said, found) = (locked.to_string(), "none here");
                    let difference = Difference::new(Part::Externals, what, said, found);
                    return Ok(Some(difference.with_hint(format!(
                        "{BUNDLE}; or `weir render` once, which fetches it"
                    ))));
                }
            }
            Ok(None)
        })
        .await
    }
}

/// Whether the secret of random bytes is here.
fn is_here(id: SecretId, places: &Places) -> Result<(), Error> {
    let (at, path) = (&places.random, places.random.path());
    let found = at.find().map_err(|e| Error::stage("verify", &e))?;
    let here = match found.map(|secret| secret.id()) {
        Some(here) if here == id => return Ok(()),
        Some(here) => format!("the one in {} is {here}", path.display()),
        None => format!("{} is not there", path.display()),
    };
    Err(Error::host(
        "verify",
        format!(
            "the render took stable random bytes, which only a host with the secret {id} can give again, and {here}: verify it on the host that signed, or give its secret with --random-secret FILE"
        ),
    ))
}

/// What a commit's render of an app is told.
fn inputs(
    host: &Host,
    basis: &Basis,
    commit: CommitId,
    app: &App,
    described: &Described,
) -> Result<Option<Inputs>, Error> {
    let pinned = plugins::pin(&described.manifest, described.lock.as_deref(), &host.store);
    let mut digests = BTreeMap::new();
    for (name, digest) in pinned {
        // A plugin that the app does not call may stand for nothing here.
        if let Ok(digest) = digest {
            digests.insert(name, digest);
        }
    }
    let inputs = basis.inputs(commit, app, &digests);
    inputs.map_err(|e| Error::host("verify", e.to_string()))
}

fn no_commit(commit: CommitId) -> Difference {
    Difference::new(Part::Tree, "the commit's tree", commit.to_string(), "none")
}

/// The externals of a bundle, each compared with its pin.
fn unpacked(
    here: &ExternalsHere,
    pins: &BTreeMap<Reference, LockedExternal>,
    bundle: &Bundle,
) -> Result<BTreeMap<Reference, Snapshot>, Error> {
    let externals = here.open();
    let mut shown = BTreeMap::new();
    for (reference, locked) in pins {
        let carried = match locked {
            LockedExternal::Chart { digest, .. } => {
                let archive = bundle.archives.get(digest).cloned();
                archive.map(Carried::Archive)
            }
            LockedExternal::Commit(commit) => {
                let objects = bundle.objects.get(commit).cloned();
                objects.map(Carried::Objects)
            }
        };
        let Some(carried) = carried else {
            continue;
        };
        let snapshot = externals.carried(reference, locked, &carried);
        let snapshot = snapshot.map_err(|e| Error::stage("verify", &e))?;
        shown.insert(reference.clone(), snapshot);
    }
    Ok(shown)
}
