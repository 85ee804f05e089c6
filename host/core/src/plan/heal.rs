//! Heals within a plan: left out where the app only reports them, or where somebody undoes each one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Plan, Refusal};
use crate::heals::Contested;
use crate::object::ResourceId;
use crate::policy::{Heal, Policy};

impl Plan {
    /// Objects that are written again only since somebody changed or deleted what was written.
    pub fn heals(&self) -> &BTreeSet<ResourceId> {
        &self.heals
    }
    /// Objects that somebody changed or deleted, and that are left so.
    pub fn drifted(&self) -> &[ResourceId] {
        &self.drifted
    }
    /// How its objects are kept where others change them.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The same plan under an app's policy: without the heals that the app only reports, and those that somebody
    /// undoes each time.
    #[must_use]
    pub fn under(mut self, policy: &Policy, contested: &BTreeMap<ResourceId, Contested>) -> Plan {
        self.policy = policy.clone();
        let left: BTreeSet<ResourceId> = match policy.heal {
            Heal::Report => std::mem::take(&mut self.heals),
            Heal::Enforce => {
                let undone = |id: &&ResourceId| contested.contains_key(id);
                self.heals.iter().filter(undone).cloned().collect()
            }
        };
        self.heals.retain(|id| !left.contains(id));
        for wave in &mut self.apply {
            wave.retain(|step| !left.contains(step.id()));
        }
        let early = self.apply.iter().take(self.early);
        self.early = early.filter(|wave| !wave.is_empty()).count();
        self.apply.retain(|wave| !wave.is_empty());
        match policy.heal {
            Heal::Report => self.drifted = left.into_iter().collect(),
            Heal::Enforce => {
                // As with every object that is wanted and refused: a prune needs a complete apply.
                if !left.is_empty() {
                    self.prune.clear();
                }
                for id in left {
                    if let Some(contested) = contested.get(&id) {
                        let refusal = Refusal::Contested(contested.clone());
                        self.refused.push((id, refusal));
                    }
                }
            }
        }
        self
    }
}
