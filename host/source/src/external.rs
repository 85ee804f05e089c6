//! Externals: charts and other repositories, resolved to pins, fetched by pin, shown as snapshots.
//!
//! - [`Externals::resolve`] asks the network what a reference means now and pins it.
//! - [`Externals::show`] gives the files behind a pin: from the cache by digest, else from the network by the same digest.
//!   What hashes to anything else is never shown.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use weir_core::digest::{CommitId, Digest};
use weir_core::external::{Carried, LockedExternal, Reference, ReferenceKind};
use weir_core::tree::Snapshot;

use crate::carried;
use crate::http::HttpOptions;
use crate::process::Fetching;
use crate::process::external::{Elsewhere, Of};
use crate::source::FetchProgress;

mod artifact;
mod chart;
mod error;
mod git;
mod held;
mod limits;
mod oci;
mod plugin;
mod policy;
mod push;
mod store;
#[cfg(test)]
mod tests;
mod unpack;
mod version;
mod web;

pub use artifact::{
    Artifact, ArtifactBlob, ArtifactError, CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE, parse_manifest,
};
pub use error::ExternalError;
pub(crate) use held::{Held, Lack};
pub use limits::ExternalLimits;
pub(crate) use oci::{Realm, Registry};
pub use plugin::{GotPlugin, PluginError};
pub use policy::{AccessHost, ExternalAccess, ExternalPolicy, HostPattern};

pub(crate) use chart::{At, Meant, Shelf};
pub(crate) use error::About;
pub(crate) use limits::{NAMES, PROCESS};
pub(crate) use plugin::{AWAY, artifact, checked, manifest_alone, named, pinned};
pub(crate) use policy::{Origin, RULES};
pub use push::{PluginToPush, PushedPlugin};
use store::Store;
pub(crate) use unpack::chart as unpacked;
pub(crate) use version::Wanted;
pub(crate) use web::{HINTS, Web, parsed};

/// What is said where a chart is asked for and another repository is named.
const NO_CHART: &str = "it is no chart";

/// How this host gets externals.
#[derive(Debug, Clone)]
pub struct Externals {
    /// What one may take.
    pub limits: ExternalLimits,
    /// Where they may come from.
    pub policy: ExternalPolicy,
    /// How servers are talked to; credentials and authorities come from the policy.
    pub http: HttpOptions,
    /// Where what was fetched is kept; safe to delete.
    pub cache_dir: PathBuf,
    /// Where they are fetched.
    pub fetching: Fetching,
}

/// What one fetch is told and tells.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// When the time of all requests began: several fetches may share one.
    pub since: Instant,
    /// Ends the fetch, several times a second.
    pub stop: &'a Arc<AtomicBool>,
    /// Called as long as something is fetched; never where all is in the cache.
    pub progress: &'a dyn Fn(FetchProgress),
}

impl Externals {
    /// What a reference means now, and its files. Asks the network.
    ///
    /// # Errors
    /// All of [`ExternalError`].
    pub fn resolve(
        &self,
        reference: &Reference,
        watch: Watch<'_>,
    ) -> Result<(LockedExternal, Snapshot), ExternalError> {
        let about = About(reference.as_str());
        if let ReferenceKind::Git { url, revision } = reference.kind() {
            let base = git::Base::open(self, about, url, revision)?;
            let (commit, snapshot) = base.resolve(watch)?;
            return Ok((LockedExternal::Commit(commit), snapshot));
        }
        let mut web = None;
        let (shelf, version) = self.shelf(&mut web, reference, about, watch)?;
        let meant = shelf.meant(version)?;
        let store = Store::new(about, &self.cache_dir, self.limits.kept_bytes);
        // Already here: its digest says so.
        let cached = match meant.digest {
            Some(digest) => store.read(digest, self.limits.archive_bytes)?,
            None => None,
        };
        let bytes = match cached {
            Some(bytes) => bytes,
            None => shelf.bytes(&meant)?,
        };
        let snapshot = unpack::chart(about, &bytes, &self.limits)?;
        let digest = Digest::of(&bytes);
        store.keep(digest, &bytes);
        let locked = LockedExternal::Chart {
            version: meant.version,
            digest,
            size: bytes.len() as u64,
        };
        Ok((locked, snapshot))
    }

    /// The files behind a pin. Asks the network only where the cache does not have them.
    ///
    /// # Errors
    /// All of [`ExternalError`]; `Changed` where a server has something else than what is pinned.
    pub fn show(
        &self,
        reference: &Reference,
        locked: &LockedExternal,
        watch: Watch<'_>,
    ) -> Result<Snapshot, ExternalError> {
        let about = About(reference.as_str());
        match (reference.kind(), locked) {
            (ReferenceKind::Git { url, revision }, LockedExternal::Commit(commit)) => {
                self.show_commit(about, (url, revision), *commit, watch)
            }
            (
                ReferenceKind::Oci { .. } | ReferenceKind::Chart { .. },
                LockedExternal::Chart {
                    version,
                    digest,
                    size,
                },
            ) => {
                let store = Store::new(about, &self.cache_dir, self.limits.kept_bytes);
                if let Some(bytes) = store.read(*digest, self.limits.archive_bytes)? {
                    return unpack::chart(about, &bytes, &self.limits);
                }
                let mut web = None;
                let (shelf, _) = self.shelf(&mut web, reference, about, watch)?;
                let meant: Meant = shelf.locked(version, *digest, *size)?;
                let bytes = shelf.bytes(&meant)?;
                let found = Digest::of(&bytes);
                if found != *digest {
                    return Err(about.changed(format!(
                        "the server now has other bytes as version {version}: {found}, but weir.lock pins {digest}: \
                         a version that was published must not change; find out why, and if it is meant, run `weir lock --update`"
                    )));
                }
                store.keep(*digest, &bytes);
                unpack::chart(about, &bytes, &self.limits)
            }
            _ => Err(about.refused(
                "weir.lock pins it as something else than it is: run `weir lock --update`",
            )),
        }
    }

    /// What is behind a pin, to be carried to another machine. Asks the network only where the cache does not have it.
    ///
    /// # Errors
    /// As [`Externals::show`].
    pub fn carry(
        &self,
        reference: &Reference,
        locked: &LockedExternal,
        watch: Watch<'_>,
    ) -> Result<Carried, ExternalError> {
        // Fetched where it is not here, and known to be whole.
        self.show(reference, locked, watch)?;
        let about = About(reference.as_str());
        match (reference.kind(), locked) {
            (ReferenceKind::Git { url, revision }, LockedExternal::Commit(commit)) => {
                let base = git::Base::open(self, about, url, revision)?;
                base.objects(*commit).map(Carried::Objects)
            }
            (_, LockedExternal::Chart { digest, .. }) => {
                let store = Store::new(about, &self.cache_dir, self.limits.kept_bytes);
                let bytes = store.read(*digest, self.limits.archive_bytes)?;
                let gone = || about.refused("its archive is not in the cache any more");
                bytes.map(Carried::Archive).ok_or_else(gone)
            }
            _ => Err(about.refused("weir.lock pins it as something else than it is")),
        }
    }

    /// The files behind a pin, from what was carried here. Nothing is asked, and nothing is kept.
    ///
    /// # Errors
    /// `Changed` where that is something else than what is pinned; as [`Externals::show`].
    pub fn carried(
        &self,
        reference: &Reference,
        locked: &LockedExternal,
        carried: &Carried,
    ) -> Result<Snapshot, ExternalError> {
        let about = About(reference.as_str());
        match (carried, locked) {
            (Carried::Archive(bytes), LockedExternal::Chart { digest, .. }) => {
                let found = Digest::of(bytes);
                if found != *digest {
                    let why = format!(
                        "what was carried here has the digest {found}, and {digest} is pinned"
                    );
                    return Err(about.changed(why));
                }
                unpack::chart(about, bytes, &self.limits)
            }
            (Carried::Objects(objects), LockedExternal::Commit(commit)) => {
                let snapshot =
                    carried::snapshot(reference.as_str(), *commit, objects, self.limits.tree);
                snapshot.map_err(|e| about.source(e))
            }
            _ => Err(about.refused("weir.lock pins it as something else than was carried here")),
        }
    }

    fn show_commit(
        &self,
        about: About<'_>,
        (url, revision): (&weir_core::external::WebUrl, &str),
        commit: CommitId,
        watch: Watch<'_>,
    ) -> Result<Snapshot, ExternalError> {
        git::Base::open(self, about, url, revision)?.show(commit, watch)
    }

    pub(crate) fn web<'a>(&'a self, about: About<'a>, watch: Watch<'a>) -> Web<'a> {
        Web::new(about, &self.limits, &self.policy, &self.http, watch)
    }

    /// What has something fetched by processes of their own, where that is how this host gets externals.
    pub(crate) fn elsewhere<'a>(
        &'a self,
        of: Of,
        about: About<'a>,
        watch: Watch<'a>,
    ) -> Option<Elsewhere<'a>> {
        match &self.fetching {
            Fetching::InProcess => None,
            Fetching::Process(process) => Some(Elsewhere::new(process, self, of, about, watch)),
        }
    }

    /// Where a chart lies, and which version of it is asked for. The client is there where this process asks.
    fn shelf<'w, 'a: 'w>(
        &'a self,
        web: &'w mut Option<Web<'a>>,
        reference: &'w Reference,
        about: About<'a>,
        watch: Watch<'a>,
    ) -> Result<(Shelf<'w, 'a>, &'w str), ExternalError> {
        let version = match reference.kind() {
            ReferenceKind::Oci { version, .. } | ReferenceKind::Chart { version, .. } => version,
            ReferenceKind::Git { .. } => return Err(about.refused(NO_CHART)),
        };
        match self.elsewhere(Of::External(reference.clone()), about, watch) {
            Some(elsewhere) => Ok((Shelf::Elsewhere(Box::new(elsewhere)), version)),
            None => shelf(web.insert(self.web(about, watch)), reference),
        }
    }
}

/// Where a chart lies, and which version of it is asked for, in this process.
pub(crate) fn shelf<'w, 'a>(
    web: &'w Web<'a>,
    reference: &'w Reference,
) -> Result<(Shelf<'w, 'a>, &'w str), ExternalError> {
    match reference.kind() {
        ReferenceKind::Oci {
            host,
            path,
            version,
        } => Ok((Shelf::registry(web, host, path), version)),
        ReferenceKind::Chart {
            url,
            chart,
            version,
        } => Ok((Shelf::Repository { web, url, chart }, version)),
        ReferenceKind::Git { .. } => Err(web.about.refused(NO_CHART)),
    }
}
