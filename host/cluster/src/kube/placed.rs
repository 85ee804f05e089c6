//! Where the cluster has objects, and the last gate before it: what may not land there is neither written nor deleted.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::allow::Rules;
use weir_core::object::ResourceId;

use super::KubeTarget;
use super::error::KubeError;

impl KubeTarget {
    /// Holds all that is written and deleted there to these rules.
    #[must_use]
    pub fn within(mut self, rules: Rules) -> KubeTarget {
        self.rules = rules;
        self
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Where the cluster has those that it does not have where their identity says: only the cluster knows which
    /// kinds live in no namespace.
    ///
    /// # Errors
    /// When the API server does not say which kinds it has.
    pub(crate) async fn placed(
        &self,
        ids: &BTreeSet<&ResourceId>,
    ) -> Result<BTreeMap<ResourceId, ResourceId>, KubeError> {
        let kinds = self.kinds_with(|kinds| {
            ids.iter()
                .all(|id| kinds.get(&id.group, &id.kind).is_some())
        });
        let kinds = kinds.await?;
        let moved = |id: &&ResourceId| {
            let placed = kinds.place(id).filter(|placed| placed != *id)?;
            Some(((*id).clone(), placed))
        };
        Ok(ids.iter().filter_map(moved).collect())
    }

    /// Whether this may be written or deleted there, by where the cluster has it.
    ///
    /// # Errors
    /// When a rule says no: the kind is served in another way than when the app was looked at.
    pub(super) fn may_touch(&self, placed: &ResourceId) -> Result<(), KubeError> {
        let checked = self.rules.check(placed);
        checked.map_err(|broken| KubeError::Outside(broken.to_string()))
    }
}
