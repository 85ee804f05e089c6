//! What is known of a repository's own objects from watching them: compact, pure, and never a guess.
//!
//! The mirror holds only what carries this repository's name in this ledger's hand. An object that is not in
//! it may still be there: whoever has to know asks the cluster. What is in it is as the cluster last said, or as
//! our own last write left it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::core::{DynamicObject, ObjectMeta};
use kube::runtime::watcher::Event;
use tokio::sync::watch;
use weir_core::health::{self, Health};
use weir_core::live::{Mark, Owner, Seen, Version};
use weir_core::name::{AppName, RepositoryName};
use weir_core::object::ResourceId;
use weir_core::owner::{ANNOTATION, app_on};

use super::body::{mark, says_keep, waits_for};
use crate::notices::Notices;

/// A kind, in its group.
pub(super) type Kind = (String, String);

/// Whose objects are mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Estate {
    /// The ledger's id.
    pub(super) ledger: String,
    /// The repository.
    pub(super) repository: RepositoryName,
}

/// Whether a kind's part of the mirror can be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    /// Its first list is under way.
    Starting,
    /// What changes is heard.
    Live,
    /// It cannot be watched now: why.
    Away(String),
}

/// One object of ours.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    app: AppName,
    version: Box<str>,
    mark: Mark,
    leaving: Option<Box<str>>,
    keep: bool,
    health: Health,
}

/// One kind.
#[derive(Debug)]
struct Mirrored {
    trust: Trust,
    entries: BTreeMap<ResourceId, Entry>,
    /// A list under way, until it is whole.
    listing: Option<BTreeMap<ResourceId, Entry>>,
}

/// All kinds that are watched.
#[derive(Debug)]
pub(super) struct Mirror {
    estate: Estate,
    notices: Notices,
    kinds: Mutex<BTreeMap<Kind, Mirrored>>,
    /// Rings when a kind's trust changes.
    trusts: watch::Sender<()>,
}

impl Mirror {
    /// An empty one, which says what it notices there.
    pub(super) fn new(estate: Estate, notices: Notices) -> Mirror {
        Mirror {
            estate,
            notices,
            kinds: Mutex::default(),
            trusts: watch::Sender::new(()),
        }
    }

    /// Whose objects it holds.
    pub(super) fn estate(&self) -> &Estate {
        &self.estate
    }

    /// A kind is watched from now on.
    pub(super) fn begin(&self, kind: &Kind) {
        self.kinds().entry(kind.clone()).or_insert(Mirrored {
            trust: Trust::Starting,
            entries: BTreeMap::new(),
            listing: None,
        });
    }

    /// Whether a kind is known not to be watched now.
    pub(super) fn is_away(&self, kind: &Kind) -> bool {
        let kinds = self.kinds();
        kinds
            .get(kind)
            .is_some_and(|m| matches!(m.trust, Trust::Away(_)))
    }

    /// A kind cannot be watched: why. Its entries wait for the next list, and answer nothing until then.
    pub(super) fn lost(&self, kind: &Kind, why: String) {
        if let Some(mirrored) = self.kinds().get_mut(kind) {
            mirrored.listing = None;
            mirrored.trust = Trust::Away(why);
        }
        self.trusts.send_replace(());
    }

    /// Waits until each of these kinds is live or known to be away.
    pub(super) async fn decided(&self, kinds: &[Kind]) {
        let mut rings = self.trusts.subscribe();
        loop {
            let undecided = {
                let known = self.kinds();
                kinds
                    .iter()
                    .any(|kind| known.get(kind).is_some_and(|m| m.trust == Trust::Starting))
            };
            // The sender lives as long as we do.
            if !undecided || rings.changed().await.is_err() {
                return;
            }
        }
    }

    /// What the cluster said.
    pub(super) fn take(&self, kind: &Kind, event: Event<DynamicObject>) {
        let mut kinds = self.kinds();
        let Some(mirrored) = kinds.get_mut(kind) else {
            return;
        };
        match event {
            Event::Init => mirrored.listing = Some(BTreeMap::new()),
            Event::InitApply(object) => {
                let entry = self.entry(kind, &object);
                if let (Some(listing), Some((id, entry))) = (&mut mirrored.listing, entry) {
                    listing.insert(id, entry);
                }
            }
            Event::InitDone => {
                let listed = mirrored.listing.take().unwrap_or_default();
                self.listed(mirrored, listed);
                mirrored.trust = Trust::Live;
                drop(kinds);
                self.trusts.send_replace(());
            }
            Event::Apply(object) => match self.entry(kind, &object) {
                Some((id, entry)) => self.put(mirrored, id, entry),
                // Somebody took our name off it.
                None => self.remove(mirrored, &id_of(kind, &object.metadata), &object.metadata),
            },
            Event::Delete(object) => {
                self.remove(mirrored, &id_of(kind, &object.metadata), &object.metadata);
            }
        }
    }

    /// A whole list: what it does not name is asked for when it is needed.
    fn listed(&self, mirrored: &mut Mirrored, listed: BTreeMap<ResourceId, Entry>) {
        mirrored.entries.retain(|id, entry| {
            let stays = listed.contains_key(id);
            if !stays {
                self.notices.drifted(&entry.app, id);
                self.notices.health(&entry.app);
            }
            stays
        });
        for (id, entry) in listed {
            self.put(mirrored, id, entry);
        }
    }

    fn put(&self, mirrored: &mut Mirrored, id: ResourceId, entry: Entry) {
        let old = mirrored.entries.get(&id);
        if old.is_some_and(|old| is_older(&entry.version, &old.version)) {
            return;
        }
        let same = old.is_some_and(|old| {
            old.mark == entry.mark
                && old.app == entry.app
                && old.leaving == entry.leaving
                && old.keep == entry.keep
        });
        if !same {
            let moved = old.filter(|old| old.app != entry.app);
            if let Some(old) = moved {
                self.notices.drifted(&old.app, &id);
                self.notices.health(&old.app);
            }
            self.notices.drifted(&entry.app, &id);
        }
        if old.is_none_or(|old| old.health != entry.health) {
            self.notices.health(&entry.app);
        }
        mirrored.entries.insert(id, entry);
    }

    fn remove(&self, mirrored: &mut Mirrored, id: &ResourceId, metadata: &ObjectMeta) {
        let version = metadata.resource_version.as_deref().unwrap_or_default();
        let known = mirrored.entries.get(id);
        // What was made again since, by us, is not what went.
        if known.is_none_or(|entry| is_older(version, &entry.version)) {
            return;
        }
        if let Some(entry) = mirrored.entries.remove(id) {
            self.notices.drifted(&entry.app, id);
            self.notices.health(&entry.app);
        }
    }

    /// What a write of ours left behind.
    pub(super) fn wrote(&self, id: &ResourceId, metadata: &ObjectMeta) {
        let kind = (id.group.clone(), id.kind.clone());
        let mut kinds = self.kinds();
        let Some(mirrored) = kinds.get_mut(&kind) else {
            return;
        };
        let Some(mut entry) = self.entry_of(id, metadata, Health::Healthy) else {
            return;
        };
        let old = mirrored.entries.get(id);
        if old.is_some_and(|old| !is_older(&old.version, &entry.version)) {
            return;
        }
        entry.health = match old {
            Some(old) if old.mark == entry.mark => old.health.clone(),
            _ if health::waits(id) => Health::Progressing("it was just written".to_owned()),
            _ => entry.health,
        };
        if old.is_none_or(|old| old.health != entry.health) {
            self.notices.health(&entry.app);
        }
        mirrored.entries.insert(id.clone(), entry);
    }

    /// A delete of ours was done.
    pub(super) fn pruned(&self, id: &ResourceId) {
        let kind = (id.group.clone(), id.kind.clone());
        if let Some(mirrored) = self.kinds().get_mut(&kind) {
            mirrored.entries.remove(id);
        }
    }

    /// Objects of one kind as they were last seen, each where that can be trusted; `None` says nothing of whether it is
    /// there.
    pub(super) fn seen<'i>(
        &self,
        asking: &AppName,
        kind: &Kind,
        ids: impl Iterator<Item = &'i ResourceId>,
    ) -> std::vec::IntoIter<Option<Seen>> {
        let kinds = self.kinds();
        let live = kinds.get(kind).filter(|m| m.trust == Trust::Live);
        let seen = |id: &ResourceId| {
            let entry = live?.entries.get(id)?;
            Some(Seen {
                version: Version(entry.version.to_string()),
                mark: entry.mark.clone(),
                owner: if entry.app == *asking {
                    Owner::Us
                } else {
                    Owner::App(entry.app.clone())
                },
                leaving: entry.leaving.as_deref().map(str::to_owned),
                keep: entry.keep,
            })
        };
        let all: Vec<Option<Seen>> = ids.map(seen).collect();
        all.into_iter()
    }

    /// How healthy an object of ours is, where its kind's watch is live: what that does not have is not there.
    pub(super) fn heard(&self, id: &ResourceId) -> Option<Health> {
        let live = {
            let kinds = self.kinds();
            let mirrored = kinds.get(&(id.group.clone(), id.kind.clone()));
            mirrored.is_some_and(|m| m.trust == Trust::Live)
        };
        live.then(|| self.health(id))
    }

    /// How healthy an object of ours is.
    pub(super) fn health(&self, id: &ResourceId) -> Health {
        let kinds = self.kinds();
        let Some(mirrored) = kinds.get(&(id.group.clone(), id.kind.clone())) else {
            return Health::Progressing("its kind is not watched yet".to_owned());
        };
        match (&mirrored.trust, mirrored.entries.get(id)) {
            (Trust::Live, Some(entry)) => entry.health.clone(),
            (Trust::Live, None) => Health::Progressing("it is not there".to_owned()),
            // Being there is all its health, and that it was written is known.
            (Trust::Away(_), _) if !health::waits(id) => Health::Healthy,
            (Trust::Away(why), _) => Health::Progressing(format!("it cannot be watched: {why}")),
            (Trust::Starting, _) => Health::Progressing("its kind is not listed yet".to_owned()),
        }
    }

    fn entry(&self, kind: &Kind, object: &DynamicObject) -> Option<(ResourceId, Entry)> {
        let id = id_of(kind, &object.metadata);
        let health = if health::waits(&id) {
            // What it is assessed by is dropped right after: only the answer is kept.
            serde_json::to_value(object).map_or_else(
                |e| Health::Progressing(format!("it cannot be read: {e}")),
                |body| health::assess(&body),
            )
        } else if object.metadata.deletion_timestamp.is_some() {
            Health::Terminating(waits_for(&object.metadata))
        } else {
            Health::Healthy
        };
        let entry = self.entry_of(&id, &object.metadata, health)?;
        Some((id, entry))
    }

    fn entry_of(&self, id: &ResourceId, metadata: &ObjectMeta, health: Health) -> Option<Entry> {
        let annotation = metadata.annotations.as_ref()?.get(ANNOTATION)?;
        let Estate { ledger, repository } = &self.estate;
        let leaving = metadata.deletion_timestamp.is_some();
        Some(Entry {
            app: app_on(ledger, repository, id, annotation)?,
            version: metadata.resource_version.as_deref()?.into(),
            mark: mark(metadata),
            leaving: leaving.then(|| waits_for(metadata).into()),
            keep: says_keep(metadata),
            health,
        })
    }

    fn kinds(&self) -> MutexGuard<'_, BTreeMap<Kind, Mirrored>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn id_of(kind: &Kind, metadata: &ObjectMeta) -> ResourceId {
    ResourceId {
        group: kind.0.clone(),
        kind: kind.1.clone(),
        namespace: metadata.namespace.as_deref().and_then(|n| n.parse().ok()),
        name: metadata.name.clone().unwrap_or_default(),
    }
}

/// Whether one resource version is older than another. They are numbers that grow with each change of the
/// cluster (Kubernetes' API concepts, "Resource versions"); what is no number says nothing.
fn is_older(version: &str, than: &str) -> bool {
    match (version.parse::<u128>(), than.parse::<u128>()) {
        (Ok(version), Ok(than)) => version < than,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
