//! What other apps of the repository have to do with an app's objects: looked up by object, so that many apps cost each other nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::{Held, Others};
use crate::decision::{Choice, Decision};
use crate::hook::Progress;
use crate::name::AppName;
use crate::object::ResourceId;
use crate::record::{Event, Record};
use crate::status::Status;

/// What each app wants at a commit, by identity; `None` for one that could not be rendered, which wants all that it has.
pub type Desired = BTreeMap<AppName, Option<BTreeSet<ResourceId>>>;

/// The apps that have to do with each object, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ByObject(BTreeMap<ResourceId, Vec<AppName>>);

impl ByObject {
    /// The apps that want each object.
    pub fn wanting(desired: &Desired) -> ByObject {
        let mut all = ByObject::default();
        for (app, ids) in desired {
            for id in ids.iter().flatten() {
                all.set(id, app, true);
            }
        }
        all
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
        self.0.get(id).map_or(&[], |apps| apps)
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
            | Event::Failed { .. }
            | Event::Held { .. }
            | Event::Decided(_)
            | Event::Trimmed(_)
            | Event::Settled(_) => {}
        }
    }

    fn look(&mut self, status: &Status, id: &ResourceId, app: &AppName) {
        let known = status.apps.get(app);
        let holds = known.is_some_and(|a| a.inventory.get(id).is_some());
        self.set(id, app, holds);
    }

    fn set(&mut self, id: &ResourceId, app: &AppName, has: bool) {
        if has {
            let apps = self.0.entry(id.clone()).or_default();
            if let Err(at) = apps.binary_search(app) {
                apps.insert(at, app.clone());
            }
        } else if let Some(apps) = self.0.get_mut(id) {
            apps.retain(|a| a != app);
            if apps.is_empty() {
                self.0.remove(id);
            }
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
    pub unrendered: &'a [AppName],
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
fn still_wants(wanted: Option<&Option<BTreeSet<ResourceId>>>, id: &ResourceId) -> bool {
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
            for id in ids.iter().flatten() {
                others.wants.insert(id.clone(), other.clone());
            }
        }
        others
    }
}

#[cfg(test)]
mod tests;
