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

/// Holds all that an app renders against what may land in its target.
///
/// # Errors
/// When something of it may not: then nothing of the app may.
pub(super) async fn admitted(
    app: &AppName,
    target: &Target,
    rendered: &[Object],
) -> Result<(), Error> {
    match target.allows(rendered, &BTreeSet::new()).await {
        Ok(_) => Ok(()),
        Err(TargetError::NotAllowed(refused)) => Err(Error::Stage {
            stage: "validate",
            fault: refused.fault(),
            retry: refused.retry(),
            message: format!("app `{app}`: {refused}"),
        }),
        Err(e) => Err(Error::stage("observe", &e)),
    }
}

/// What the app holds and may not touch any more.
pub(super) struct Untouchable(BTreeMap<ResourceId, Refusal>);

impl Untouchable {
    /// Held against the target's rules.
    ///
    /// # Errors
    /// When the target does not say where its kinds live.
    pub(super) async fn of(
        target: &Target,
        held: &BTreeSet<ResourceId>,
    ) -> Result<Untouchable, Error> {
        let outside = target.allows(&[], held).await;
        let outside = outside.map_err(|e| Error::stage("observe", &e))?;
        let refused = outside
            .into_iter()
            .map(|(id, broken)| (id, Refusal::Outside(broken)));
        Ok(Untouchable(refused.collect()))
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
