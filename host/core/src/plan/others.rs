//! What other apps of the repository have to do with an app's objects: looked up by object, so that many apps cost each other nothing.

#[cfg(test)]
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::{Held, Others};
use crate::decision::{Choice, Decision};
use crate::hook::Progress;
use crate::name::AppName;
use crate::object::ResourceId;
use crate::record::{Event, Record};
use crate::status::Status;

/// What each app wants at a commit, by identity; `None` for one that could not be rendered, which wants all that it has.
/// Cheap to clone: two commits share what is the same.
pub type Desired = RedBlackTreeMapSync<AppName, Option<Wanted>>;
/// What one app wants.
pub type Wanted = Arc<BTreeSet<ResourceId>>;

/// The apps that have to do with each object, by name. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ByObject(RedBlackTreeMapSync<ResourceId, Vec<AppName>>);

impl ByObject {
    /// The apps that want each object.
    pub fn wanting(desired: &Desired) -> ByObject {
        let mut all = ByObject::default();
        for (app, ids) in desired {
            for id in ids.iter().flat_map(|ids| ids.iter()) {
                all.set(id, app, true);
            }
        }
        all
    }

    /// An app wants something else than before. Costs what it wants.
    pub fn wants_now(&mut self, app: &AppName, before: Option<&Wanted>, now: Option<&Wanted>) {
        let ids = |wanted: Option<&'_ Wanted>| wanted.cloned().unwrap_or_default();
        let (before, now) = (ids(before), ids(now));
        for id in before.difference(&now) {
            self.set(id, app, false);
        }
        for id in now.difference(&before) {
            self.set(id, app, true);
        }
    }

    /// The apps that hold each object.
    pub fn holding(status: &Status) -> ByObject {
        let mut all = ByObject::default();
        for (app, known) in &status.apps {
            for (id, _) in known.inventory.iter() {
                all.set(id, app, true);
            }
        }
        all
    }

    /// The apps of one object.
    pub fn of(&self, id: &ResourceId) -> &[AppName] {
        self.0.get(id).map_or(&[], |apps| apps.as_slice())
    }

    /// Folds a record into the status that this is [`ByObject::holding`] of, and into this. Costs what the record is long.
    pub fn fold(&mut self, status: &mut Status, seq: u64, at: i64, record: &Record) {
        let Some(app) = &record.app else {
            status.fold(seq, at, record);
            return;
        };
        if let (Event::Removed, Some(known)) = (&record.event, status.apps.get(app)) {
            for (id, _) in known.inventory.iter() {
                self.set(id, app, false);
            }
        }
        status.fold(seq, at, record);
        match &record.event {
            Event::Staked(stake) => {
                for (id, from) in &stake.taken {
                    self.look(status, id, from);
                    self.look(status, id, app);
                }
                for (id, _) in stake.writes.iter().chain(&stake.found) {
                    self.look(status, id, app);
                }
            }
            Event::Synced(sync) => {
                for outcome in &sync.outcomes {
                    self.look(status, &outcome.id, app);
                }
            }
            // A hook's object is held while it is there, and may come from another app.
            Event::Hook(hook) => {
                if let Progress::Staked(Some(from)) = &hook.progress {
                    self.look(status, &hook.id, from);
                }
                self.look(status, &hook.id, app);
            }
            Event::Decided(Decision {
                choice: Choice::Recovered(recovery),
                ..
            }) => {
                for (id, _) in &recovery.objects {
                    self.look(status, id, app);
                }
            }
            // None of these changes what an app holds that is still there.
            Event::Removed
            | Event::Commit(_)
            | Event::Refused(_)
            | Event::Failed { .. }
            | Event::Held { .. }
            | Event::Decided(_)
            | Event::Trimmed(_)
            | Event::Settled(_)
            | Event::Carried(_) => {}
        }
    }

    fn look(&mut self, status: &Status, id: &ResourceId, app: &AppName) {
        let known = status.apps.get(app);
        let holds = known.is_some_and(|a| a.inventory.get(id).is_some());
        self.set(id, app, holds);
    }

    fn set(&mut self, id: &ResourceId, app: &AppName, has: bool) {
        let known = self.0.get(id);
        match (known.map(|apps| apps.binary_search(app)), has) {
            (Some(Ok(_)), true) | (Some(Err(_)) | None, false) => return,
            _ => {}
        }
        let mut apps = known.cloned().unwrap_or_default();
        match apps.binary_search(app) {
            Ok(at) => drop(apps.remove(at)),
            Err(at) => apps.insert(at, app.clone()),
        }
        match apps.is_empty() {
            true => drop(self.0.remove_mut(id)),
            false => self.0.insert_mut(id.clone(), apps),
        }
    }
}

/// All apps of a repository, as far as they may have to do with each other's objects.
#[derive(Debug, Clone, Copy)]
pub struct Neighbours<'a> {
    /// Where they stand.
    pub status: &'a Status,
    /// [`ByObject::holding`] of it.
    pub holders: &'a ByObject,
    /// What they want.
    pub desired: &'a Desired,
    /// [`ByObject::wanting`] of it.
    pub wants: &'a ByObject,
    /// Those that could not be rendered.
    pub unrendered: &'a BTreeSet<AppName>,
}

impl Neighbours<'_> {
    /// What the others have to do with these objects of `app`. `here` says which apps land where it does.
    pub fn others<'i>(
        &self,
        app: &AppName,
        ids: impl IntoIterator<Item = &'i ResourceId>,
        here: impl Fn(&AppName) -> bool,
    ) -> Others {
        let mut unrendered = self.unrendered.iter();
        let mut others = Others {
            unrendered: unrendered
                .find(|other| *other != app && here(other))
                .cloned(),
            ..Others::default()
        };
        for id in ids {
            let other = |all: &'_ ByObject| {
                let mut apps = all.of(id).iter().rev();
                apps.find(|other| *other != app && here(other)).cloned()
            };
            if let Some(wants) = other(self.wants) {
                others.wants.insert(id.clone(), wants);
            }
            let Some(holder) = other(self.holders) else {
                continue;
            };
            let known = self.status.apps.get(&holder);
            let Some(holding) = known.and_then(|a| a.inventory.get(id)) else {
                continue;
            };
            let held = Held {
                wants: still_wants(self.desired.get(&holder), id),
                holding: holding.clone(),
                app: holder,
            };
            others.holds.insert(id.clone(), held);
        }
        others
    }
}

/// Whether an app wants an object that it has. One that is not at this commit wants nothing.
fn still_wants(wanted: Option<&Option<Wanted>>, id: &ResourceId) -> bool {
    match wanted {
        Some(Some(ids)) => ids.contains(id),
        Some(None) => true,
        None => false,
    }
}

#[cfg(test)]
impl Others {
    /// The plain definition: what all other apps of a repository have to do with whatever objects.
    pub(crate) fn of(
        app: &AppName,
        inventories: &BTreeMap<AppName, &crate::inventory::Inventory>,
        desired: &Desired,
    ) -> Others {
        let unrendered = desired.iter();
        let mut unrendered = unrendered.filter(|(name, ids)| *name != app && ids.is_none());
        let mut others = Others {
            unrendered: unrendered.next().map(|(name, _)| name.clone()),
            ..Others::default()
        };
        for (other, inventory) in inventories.iter().filter(|(name, _)| *name != app) {
            for (id, holding) in inventory.iter() {
                let held = Held {
                    app: other.clone(),
                    holding: holding.clone(),
                    wants: still_wants(desired.get(other), id),
                };
                others.holds.insert(id.clone(), held);
            }
        }
        for (other, ids) in desired.iter().filter(|(name, _)| *name != app) {
            for id in ids.iter().flat_map(|ids| ids.iter()) {
                others.wants.insert(id.clone(), other.clone());
            }
        }
        others
    }
}

#[cfg(test)]
mod tests;
