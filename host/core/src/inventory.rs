//! What an app owns. It grows when a stake is written and shrinks only on a confirmed delete.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::live::{Mark, Written};
use crate::object::ResourceId;

/// How sure we are that an object is ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holding {
    /// Staked, and nobody told us that the write happened: ours only if what is there says so, by the owner
    /// that is written on it or by being what was staked.
    Intended(Digest),
    /// Written and confirmed: ours, whatever happened to it since.
    Confirmed(Written),
}

impl Holding {
    /// Whether an object with this mark is the one that was written.
    pub fn is_of(&self, mark: &Mark) -> bool {
        matches!(self, Holding::Confirmed(written) if written.mark.uid == mark.uid)
    }
}

/// The objects that an app owns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    from = "Vec<(ResourceId, Holding)>",
    into = "Vec<(ResourceId, Holding)>"
)]
pub struct Inventory(BTreeMap<ResourceId, Holding>);

impl From<Vec<(ResourceId, Holding)>> for Inventory {
    fn from(list: Vec<(ResourceId, Holding)>) -> Self {
        Inventory(list.into_iter().collect())
    }
}
impl From<Inventory> for Vec<(ResourceId, Holding)> {
    fn from(inventory: Inventory) -> Self {
        inventory.0.into_iter().collect()
    }
}

impl Inventory {
    /// How an object is held; `None` when it is not ours.
    pub fn get(&self, id: &ResourceId) -> Option<&Holding> {
        self.0.get(id)
    }
    /// All that is held, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&ResourceId, &Holding)> {
        self.0.iter()
    }
    /// How many objects.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A write is about to be tried. What is confirmed stays confirmed.
    pub fn stake(&mut self, id: ResourceId, digest: Digest) {
        let holding = self.0.entry(id).or_insert(Holding::Intended(digest));
        if matches!(holding, Holding::Intended(_)) {
            *holding = Holding::Intended(digest);
        }
    }
    /// A write is confirmed.
    pub fn confirm(&mut self, id: ResourceId, written: Written) {
        self.0.insert(id, Holding::Confirmed(written));
    }
    /// The object is known to be gone, or known not to be ours.
    pub fn release(&mut self, id: &ResourceId) -> Option<Holding> {
        self.0.remove(id)
    }
    /// Takes an object over as another inventory held it.
    pub fn take(&mut self, id: ResourceId, holding: Holding) {
        self.0.insert(id, holding);
    }
}
