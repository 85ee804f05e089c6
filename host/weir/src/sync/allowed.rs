//! What the host lets an app have: its whole render is held against that before anything is planned, and what it holds
//! from an earlier time is left as it is.

use std::collections::{BTreeMap, BTreeSet};

use weir_cluster::{Target, TargetError};
use weir_core::fault::Blame as _;
use weir_core::inventory::Inventory;
use weir_core::live::Live;
use weir_core::name::AppName;
use weir_core::object::{Object, ResourceId};
use weir_core::plan::Refusal;

use crate::error::Error;

/// What the app holds and may not touch any more.
pub(super) struct Untouchable(BTreeMap<ResourceId, Refusal>);

impl Untouchable {
    /// Held against the target's rules.
    ///
    /// # Errors
    /// When something may not land there that the app renders: nothing of it may.
    pub(super) async fn of(
        app: &AppName,
        target: &Target,
        desired: &[Object],
        held: &BTreeSet<ResourceId>,
    ) -> Result<Untouchable, Error> {
        match target.allows(desired, held).await {
            Ok(outside) => {
                let outside = outside.into_iter();
                let refused = outside.map(|(id, broken)| (id, Refusal::Outside(broken)));
                Ok(Untouchable(refused.collect()))
            }
            Err(TargetError::NotAllowed(refused)) => Err(Error::Stage {
                stage: "validate",
                fault: refused.fault(),
                retry: refused.retry(),
                message: format!("app `{app}`: {refused}"),
            }),
            Err(e) => Err(Error::stage("observe", &e)),
        }
    }

    /// Takes them out of what is planned for, but for those that are gone: these may be forgotten. What is left is to
    /// be refused.
    pub(super) fn taken_from(
        self,
        inventory: &mut Inventory,
        live: &BTreeMap<ResourceId, Live>,
    ) -> BTreeMap<ResourceId, Refusal> {
        let mut refused = self.0;
        refused.retain(|id, _| !matches!(live.get(id), Some(Live::Absent)));
        for id in refused.keys() {
            inventory.release(id);
        }
        refused
    }
}
