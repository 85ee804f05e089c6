//! Plugins in registries: a locked digest that is here is asked of nobody, any other is fetched by its pin and kept.
//!
//! All that is called is made ready before the first app of a commit is rendered. What cannot be had, or is not allowed, fails the
//! apps that call it and no other.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use weir_core::digest::Digest;
use weir_core::fault::{Fault, Retry};
use weir_core::lock::{Lock, LockedPlugin};
use weir_core::manifest::{Manifest, PluginSource};
use weir_core::name::PluginName;
use weir_core::plugin::{PluginReference, RegistryPin};
use weir_source::cosign::Signed;
use weir_source::{Externals, GotPlugin, PluginError};

use super::rules::{RuleError, Rules};
use super::{Pinned, Store, pin, read_capped, write_atomic};
use crate::error::Error;
use crate::externals::watched;
use crate::open::blocking;
use crate::prepare::Host;

/// The largest note of where a plugin came from, in bytes: a manifest, and what is said about it.
const MAX_ORIGIN: u64 = 16 << 20;

/// What is known of a plugin that came from a registry, kept beside its component: so that a registry that is gone leaves
/// known digests working under rules that are about where they come from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Origin {
    /// The repository that it came from, without tag and digest.
    repository: String,
    /// The manifest, byte by byte.
    manifest: String,
    /// The signatures that it had there, where somebody has to have signed it. They are checked each time.
    #[serde(default)]
    signatures: Vec<Signed>,
}

/// What a manifest's plugin names stand for, where those that are called are here: fetched from their registries if need be.
///
/// # Errors
/// The host is stopping. What is wrong with one plugin is in its place.
pub(crate) async fn ready(
    host: &Arc<Host>,
    manifest: &Manifest,
    lock: Option<&Lock>,
    called: &BTreeSet<PluginName>,
    rules: &Rules,
) -> Result<Arc<Pinned>, Error> {
    let mut pinned = pin(manifest, lock, &host.store);
    let mut remote = Vec::new();
    for name in called {
        let (Some(spec), Some(digest)) = (manifest.plugins.get(name), pinned.get_mut(name)) else {
            continue;
        };
        if digest.is_err() {
            continue;
        }
        if let Err(e) = rules.allow(&spec.source) {
            *digest = Err(Error::stage("plugins", &e));
            continue;
        }
        let locked = lock.and_then(|lock| lock.plugins.get(name));
        if let (PluginSource::Oci(reference), Some(locked)) = (&spec.source, locked) {
            remote.push((name.clone(), reference.clone(), locked.clone()));
        }
    }
    if remote.is_empty() {
        return Ok(Arc::new(pinned));
    }
    let (host, rules) = (host.clone(), rules.clone());
    let failed = blocking("plugins", move || {
        let bringing = Bringing {
            store: &host.store,
            externals: &host.externals.open(),
            rules: &rules,
            stop: &host.turns.ended(),
        };
        let each = remote.into_iter().filter_map(|(name, reference, locked)| {
            let brought = bringing.bring(&reference, &locked);
            Some((name, brought.err()?))
        });
        Ok(each.collect::<Vec<_>>())
    })
    .await?;
    for (name, error) in failed {
        pinned.insert(name, Err(error));
    }
    Ok(Arc::new(pinned))
}

/// What a reference means now, and its component, kept. Asks the registry.
///
/// # Errors
/// It cannot be had, or is no plugin.
pub(crate) fn resolve(
    store: &Store,
    externals: &Externals,
    reference: &PluginReference,
    stop: &Arc<AtomicBool>,
) -> Result<RegistryPin, Error> {
    let named = named(externals, reference, stop)?;
    let bringing = Bringing {
        store,
        externals,
        rules: &Rules::default(),
        stop,
    };
    bringing.bring(reference, &LockedPlugin::in_registry(reference, named.pin))?;
    Ok(named.pin)
}

/// What a reference means now. Asks the registry.
///
/// # Errors
/// It cannot be had, or is no plugin.
pub(crate) fn named(
    externals: &Externals,
    reference: &PluginReference,
    stop: &Arc<AtomicBool>,
) -> Result<GotPlugin, Error> {
    let named = watched(&reference.to_string(), stop, |watch| {
        externals.plugin_named(reference, watch)
    });
    named.map_err(|e| Error::stage("plugins", &e))
}

/// What it takes to bring plugins here.
struct Bringing<'a> {
    store: &'a Store,
    externals: &'a Externals,
    rules: &'a Rules,
    stop: &'a Arc<AtomicBool>,
}

impl Bringing<'_> {
    /// A plugin is here afterwards, and what the rules ask of it is so.
    fn bring(&self, reference: &PluginReference, locked: &LockedPlugin) -> Result<(), Error> {
        let is_here = self.store.has(locked.digest)?;
        if is_here && !self.rules.ask_where(reference) {
            return Ok(());
        }
        let pin = locked.registry_pin().ok_or_else(|| not_pinned(reference))?;
        let known = match is_here {
            true => self.known(reference, pin)?,
            false => None,
        };
        let refused = |e: RuleError| Error::stage("plugins", &e);
        if let Some(origin) = &known {
            match self.are_signers(reference, pin, &origin.signatures) {
                Ok(()) => return Ok(()),
                // Somebody else may have signed it since.
                Err(RuleError::NotSigned { .. }) => {}
                Err(e) => return Err(refused(e)),
            }
        }
        // Before the component: of what nobody signed no byte is fetched.
        let signatures = self.signatures(reference, pin)?;
        self.are_signers(reference, pin, &signatures)
            .map_err(refused)?;
        let got = watched(&reference.to_string(), self.stop, |watch| match is_here {
            true => self.externals.plugin_manifest(reference, pin, watch),
            false => self.externals.plugin(reference, pin, watch),
        });
        let got = got.map_err(|e| Error::stage("plugins", &e))?;
        // The component first: a note alone would say that something is here.
        if let Some(component) = &got.component {
            self.store.keep_anew(pin.component, component)?;
        }
        self.note(reference, pin, &got, signatures)
    }

    /// The signatures that the registry has; nothing where nobody has to have signed.
    fn signatures(
        &self,
        reference: &PluginReference,
        pin: RegistryPin,
    ) -> Result<Vec<Signed>, Error> {
        if self.rules.signers(reference).next().is_none() {
            return Ok(Vec::new());
        }
        let found = watched(&reference.to_string(), self.stop, |watch| {
            self.externals.signatures(reference, pin.manifest, watch)
        });
        found.map_err(|e| Error::stage("plugins", &e))
    }

    /// Whether each rule has one of its keys among those who signed. The keys are read anew.
    fn are_signers(
        &self,
        reference: &PluginReference,
        pin: RegistryPin,
        signatures: &[Signed],
    ) -> Result<(), RuleError> {
        let mut signers = self.rules.signers(reference);
        signers.try_for_each(|(said_by, signers)| {
            signers.have_signed(reference, said_by, pin.manifest, signatures)
        })
    }

    /// What was noted of a plugin when it came from this repository, where that is still what is pinned.
    fn known(
        &self,
        reference: &PluginReference,
        pin: RegistryPin,
    ) -> Result<Option<Origin>, Error> {
        let Some(path) = self.store.origin_at(reference, pin) else {
            return Ok(None);
        };
        let Some(bytes) = read_capped(&path, MAX_ORIGIN)? else {
            return Ok(None);
        };
        let origin: Option<Origin> = serde_json::from_slice(&bytes).ok();
        let origin = origin.filter(|origin| origin.repository == reference.repository());
        let Some(origin) = origin else {
            tracing::warn!(path = %path.display(), "is not what its name says: it is asked for anew");
            return Ok(None);
        };
        let manifest = origin.manifest.as_bytes();
        match self.externals.check_manifest(reference, pin, manifest) {
            Ok(()) => Ok(Some(origin)),
            Err(e @ PluginError::NotAsLocked { .. }) => Err(Error::stage("plugins", &e)),
            Err(e) => {
                tracing::warn!(path = %path.display(), "is not what its name says: it is asked for anew: {e}");
                Ok(None)
            }
        }
    }

    fn note(
        &self,
        reference: &PluginReference,
        pin: RegistryPin,
        got: &GotPlugin,
        signatures: Vec<Signed>,
    ) -> Result<(), Error> {
        let Some(path) = self.store.origin_at(reference, pin) else {
            return Ok(());
        };
        let failed = |why: String| Error::host("plugins", format!("{}: {why}", path.display()));
        let origin = Origin {
            repository: reference.repository(),
            manifest: String::from_utf8(got.manifest.clone()).map_err(|e| failed(e.to_string()))?,
            signatures,
        };
        let bytes = serde_json::to_vec(&origin).map_err(|e| failed(e.to_string()))?;
        write_atomic(&path, &bytes).map_err(|e| failed(e.to_string()))
    }
}

impl Store {
    /// Where it is noted what is known of a plugin from just this repository with just this manifest.
    fn origin_at(&self, reference: &PluginReference, pin: RegistryPin) -> Option<PathBuf> {
        let of = format!("{}@{}", reference.repository(), pin.manifest);
        let name = format!("{}.origin.json", Digest::of(of.as_bytes()).hex());
        Some(self.keep.as_ref()?.join(name))
    }
}

fn not_pinned(reference: &PluginReference) -> Error {
    Error::Stage {
        stage: "plugins",
        fault: Fault::Repository,
        retry: Retry::OnChange,
        message: format!(
            "{reference}: weir.lock does not pin its manifest and its size, so that it cannot be fetched: run `weir lock` and commit the file"
        ),
    }
}
