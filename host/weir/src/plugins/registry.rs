//! Plugins in registries: a locked digest that is here is asked of nobody, any other is fetched by its pin and kept.
//!
//! All that is called is made ready before the first app of a commit is rendered. What cannot be had, or is not allowed, fails the
//! apps that call it and no other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use weir_core::digest::Digest;
use weir_core::fault::{Fault, Retry};
use weir_core::lock::{Lock, LockedPlugin};
use weir_core::manifest::{Manifest, PluginSource};
use weir_core::name::PluginName;
use weir_core::plugin::{PluginReference, RegistryPin};
use weir_source::cosign::Signed;
use weir_source::{Externals, GotPlugin, PluginError, Watch};

use super::rules::{RuleError, Rules};
use super::{Pinned, Shelf, Store, pin, read_capped, write_atomic};
use crate::error::Error;
use crate::externals::{watched, watched_since};
use crate::open::blocking;
use crate::prepare::Host;

/// How many plugins are fetched at once.
const AT_ONCE: usize = 4;
/// The largest note of where a plugin came from, in bytes: a manifest, and the signatures that counted.
const MAX_ORIGIN: u64 = 32 << 20;
/// The most signatures that are noted, of those that counted for some repository.
const MAX_NOTED: usize = 20;

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
    let each = remote.into_iter().map(|(name, reference, locked)| {
        let (host, rules) = (host.clone(), rules.clone());
        blocking("plugins", move || {
            let bringing = Bringing {
                store: &host.store,
                externals: &host.externals.open(),
                rules: &rules,
                stop: &host.turns.ended(),
                since: Instant::now(),
            };
            Ok((name, bringing.bring(&reference, &locked)))
        })
    });
    // A registry that answers nothing holds up its own plugins alone.
    let mut all = futures::stream::iter(each).buffer_unordered(AT_ONCE);
    while let Some(brought) = all.next().await {
        let (name, brought) = brought?;
        if let Err(error) = brought {
            pinned.insert(name, Err(error));
        }
    }
    // What a stop broke off is no app's failure.
    match host.turns.ended().load(Ordering::Relaxed) {
        true => Err(Error::host("plugins", "the host is stopping")),
        false => Ok(Arc::new(pinned)),
    }
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
        since: Instant::now(),
    };
    bringing.bring(reference, &LockedPlugin::in_registry(reference, named.pin))?;
    // One that was here is held against what the registry says of it, as on a machine that has to fetch it.
    let here = store.bytes(Shelf::Registry, named.pin.component)?;
    if let Some(here) = here.filter(|bytes| bytes.len() as u64 != named.pin.size) {
        let wrong = externals.wrong_size(reference, named.pin, here.len() as u64);
        return Err(Error::stage("plugins", &wrong));
    }
    bringing.note(reference, named.pin, named.manifest, Vec::new())?;
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
    /// When the time of all requests for this plugin began.
    since: Instant,
}

impl Bringing<'_> {
    /// A plugin is here afterwards, and what the rules ask of it is so.
    fn bring(&self, reference: &PluginReference, locked: &LockedPlugin) -> Result<(), Error> {
        let is_here = self.store.has(Shelf::Registry, locked.digest)?;
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
            match self.counting(reference, pin, &origin.signatures) {
                Ok(_) => return Ok(()),
                // Somebody else may have signed it since.
                Err(RuleError::NotSigned { .. }) => {}
                Err(e) => return Err(refused(e)),
            }
        }
        // Before the component: of what nobody signed no byte is fetched.
        let signatures = self.signatures(reference, pin)?;
        let counting = self
            .counting(reference, pin, &signatures)
            .map_err(refused)?;
        if let Some(origin) = known {
            return self.note(reference, pin, origin.manifest.into_bytes(), counting);
        }
        let got = self.watched(reference, |watch| match is_here {
            true => self.externals.plugin_manifest(reference, pin, watch),
            false => self.externals.plugin(reference, pin, watch),
        });
        let got = got.map_err(|e| Error::stage("plugins", &e))?;
        // The component first: a note alone would say that something is here.
        if let Some(component) = &got.component {
            self.store.keep_anew(pin.component, component)?;
        }
        self.note(reference, pin, got.manifest, counting)
    }

    /// A request for this plugin, which shares its time with the others for it.
    fn watched<T, E>(
        &self,
        reference: &PluginReference,
        work: impl FnOnce(Watch<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        watched_since(self.since, &reference.to_string(), self.stop, work)
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
        let found = self.watched(reference, |watch| {
            self.externals.signatures(reference, pin.manifest, watch)
        });
        found.map_err(|e| Error::stage("plugins", &e))
    }

    /// For each rule a signature by one of its keys. The keys are read anew.
    fn counting(
        &self,
        reference: &PluginReference,
        pin: RegistryPin,
        signatures: &[Signed],
    ) -> Result<Vec<Signed>, RuleError> {
        let signers = self.rules.signers(reference);
        signers
            .map(|(said_by, signers)| {
                signers.have_signed(reference, said_by, pin.manifest, signatures)
            })
            .collect()
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
        let noted = noted(&path);
        if matches!(noted, Ok(None)) {
            return Ok(None);
        }
        let origin = noted.ok().flatten();
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

    /// Notes what was got, with the signatures that counted for this repository and those that did for others before:
    /// what one of them was satisfied by goes on.
    fn note(
        &self,
        reference: &PluginReference,
        pin: RegistryPin,
        manifest: Vec<u8>,
        counting: Vec<Signed>,
    ) -> Result<(), Error> {
        let Some(path) = self.store.origin_at(reference, pin) else {
            return Ok(());
        };
        let failed = |why: String| Error::host("plugins", format!("{}: {why}", path.display()));
        let _one_at_a_time = self.store.noting();
        let before = noted(&path).ok().flatten();
        let before = before.into_iter().flat_map(|origin| origin.signatures);
        let mut signatures: Vec<Signed> = Vec::new();
        // One signature may count for several rules.
        for signed in counting.into_iter().chain(before) {
            if signatures.len() < MAX_NOTED && !signatures.contains(&signed) {
                signatures.push(signed);
            }
        }
        let origin = Origin {
            repository: reference.repository(),
            manifest: String::from_utf8(manifest).map_err(|e| failed(e.to_string()))?,
            signatures,
        };
        let bytes = serde_json::to_vec(&origin).map_err(|e| failed(e.to_string()))?;
        write_atomic(&path, &bytes).map_err(|e| failed(e.to_string()))
    }
}

/// What a file notes; nothing where there is none.
fn noted(path: &Path) -> Result<Option<Origin>, Error> {
    let Some(bytes) = read_capped(path, MAX_ORIGIN)? else {
        return Ok(None);
    };
    let failed = |e| Error::host("plugins", format!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).map(Some).map_err(failed)
}

impl Store {
    /// Where it is noted what is known of a plugin from just this repository with just this manifest.
    fn origin_at(&self, reference: &PluginReference, pin: RegistryPin) -> Option<PathBuf> {
        let of = format!("{}@{}", reference.repository(), pin.manifest);
        let name = format!("{}.origin.json", Digest::of(of.as_bytes()).hex());
        let dir = self.keep.as_ref().and(self.from_registries.as_ref())?;
        Some(dir.join(name))
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
