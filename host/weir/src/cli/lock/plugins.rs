//! Plugins of a lock: what each one's source stands for now, and tags that name something else than what is pinned.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_core::digest::Digest;
use weir_core::lock::{LOCK_FILE, Lock, LockedPlugin};
use weir_core::manifest::{Manifest, PluginSource};
use weir_core::name::PluginName;
use weir_core::plugin::PluginReference;
use weir_core::tree::Snapshot;

use crate::error::Error;
use crate::open::blocking;
use crate::plugins::{self, registry};
use crate::prepare::Host;

/// What is to be resolved.
pub(super) struct Resolving<'a> {
    pub(super) host: &'a Arc<Host>,
    pub(super) snapshot: &'a Snapshot,
    pub(super) manifest: &'a Manifest,
    /// What was pinned so far.
    pub(super) old: Option<&'a Lock>,
    /// Nothing of it is kept.
    pub(super) update: bool,
    /// Registries are asked where the tags of kept pins are by now.
    pub(super) check: bool,
}

/// What sources stand for.
#[derive(Default)]
pub(super) struct Found {
    /// By plugin; not of those whose pin stays unlooked at.
    pub(super) plugins: BTreeMap<PluginName, LockedPlugin>,
    /// Tags that name something else by now than what stays pinned.
    pub(super) moved: Vec<String>,
}

impl Resolving<'_> {
    /// Resolves what has to be, and looks at what may have changed.
    ///
    /// # Errors
    /// What has to be pinned and cannot be resolved or fetched.
    pub(super) async fn run(self) -> Result<Found, Error> {
        let mut found = Found::default();
        for (name, spec) in &self.manifest.plugins {
            let source = &spec.source;
            let locked = match source {
                PluginSource::Bundled(bundled) => {
                    let own = plugins::own_bundled(&self.host.store, bundled);
                    match own {
                        Ok(digest) => Some(LockedPlugin::here(source, digest)),
                        // An existing pin may be kept without having the plugin here.
                        Err(e) if self.update || !self.is_pinned(name) => return Err(e),
                        Err(_) => None,
                    }
                }
                PluginSource::File(_) => {
                    let bytes = plugins::bytes_in_tree(self.snapshot, source)?;
                    bytes.map(|bytes| LockedPlugin::here(source, Digest::of(&bytes)))
                }
                PluginSource::Oci(reference) => match self.kept(name, source) {
                    Some(kept) => {
                        found.moved.extend(self.moved(name, reference, kept).await?);
                        None
                    }
                    None => Some(self.resolved(name, reference).await?),
                },
            };
            found
                .plugins
                .extend(locked.map(|locked| (name.clone(), locked)));
        }
        Ok(found)
    }

    fn is_pinned(&self, name: &PluginName) -> bool {
        self.old.is_some_and(|old| old.plugins.contains_key(name))
    }

    /// The pin that stays.
    fn kept(&self, name: &PluginName, source: &PluginSource) -> Option<&LockedPlugin> {
        let locked = self.old?.plugins.get(name)?;
        let stays = !self.update && locked.is_whole() && locked.source == source.to_string();
        stays.then_some(locked)
    }

    async fn resolved(
        &self,
        name: &PluginName,
        reference: &PluginReference,
    ) -> Result<LockedPlugin, Error> {
        let (host, reference) = (self.host.clone(), reference.clone());
        let resolved = blocking("plugins", move || {
            let (externals, stop) = (host.externals.open(), host.turns.ended());
            let pin = registry::resolve(&host.store, &externals, &reference, &stop)?;
            Ok(LockedPlugin::in_registry(&reference, pin))
        });
        resolved.await.map_err(|e| e.for_plugin(name))
    }

    /// What is to be said where a tag names another manifest by now; nothing where nobody is asked.
    async fn moved(
        &self,
        name: &PluginName,
        reference: &PluginReference,
        kept: &LockedPlugin,
    ) -> Result<Option<String>, Error> {
        let tag = reference.tag().filter(|_| reference.digest().is_none());
        let (Some(tag), Some(pinned), true) = (tag, kept.manifest, self.check) else {
            return Ok(None);
        };
        let (host, asked) = (self.host.clone(), reference.clone());
        let named = blocking("plugins", move || {
            let (externals, stop) = (host.externals.open(), host.turns.ended());
            registry::named(&externals, &asked, &stop)
        });
        let now = named.await.map_err(|e| e.for_plugin(name))?.pin.manifest;
        Ok((now != pinned).then(|| {
            format!("plugin {name}: the tag {tag} of {} names the manifest {now} by now, but {LOCK_FILE} pins {pinned}, which stays: run `weir lock --update` and commit it, if the change is meant", reference.repository())
        }))
    }
}
