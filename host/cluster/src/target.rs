//! A target of either kind: the same three questions, asked of a directory or of a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_core::allow::Outside;
use weir_core::health::{Health, Summary};
use weir_core::live::Live;
use weir_core::object::{Object, ResourceId};
use weir_core::owner::Claim;
use weir_core::plan::Plan;
use weir_core::reveal::Reveal;
use weir_core::stake::{Applied, Staked};

use crate::dir::DirTarget;
use crate::error::TargetError;
use crate::kube::KubeTarget;

/// What an apply is about to do, or has just done: where tests stop a run. The numbers count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyEvent {
    /// All content of a wave is durable under temporary names.
    WaveWritten,
    /// An object is about to be written: in a directory, its file gets its name.
    BeforeWrite(usize),
    /// An object is written.
    AfterWrite(usize),
    /// An object is about to be deleted.
    BeforePrune(usize),
    /// An object was deleted.
    AfterPrune(usize),
}

/// Who hears of these events.
pub type OnEvent = Arc<dyn Fn(ApplyEvent) + Send + Sync>;

/// Where apps land.
#[derive(Clone)]
pub enum Target {
    /// A directory of YAML files.
    Dir(Arc<DirTarget>),
    /// A Kubernetes cluster.
    Kube(Arc<KubeTarget>),
}

impl Target {
    /// What is at the place of each wanted object, and of each one that the app holds.
    ///
    /// # Errors
    /// When the target as a whole cannot be asked; a single object that cannot be read is in the answer.
    pub async fn observe(
        &self,
        claim: &Claim,
        wanted: &[Object],
        held: &BTreeSet<ResourceId>,
    ) -> Result<BTreeMap<ResourceId, Live>, TargetError> {
        match self {
            Target::Dir(dir) => {
                let ids = wanted.iter().map(Object::id).chain(held);
                let ids: BTreeSet<ResourceId> = ids.cloned().collect();
                let dir = dir.clone();
                blocking("observing", move || dir.observe(&ids)).await
            }
            Target::Kube(kube) => Ok(kube.observe(claim, wanted, held).await?),
        }
    }

    /// Holds a whole render against what may land here: what the app holds and may not be touched any more.
    ///
    /// # Errors
    /// When one object that is wanted may not land here, or a cluster does not say where its kinds live.
    pub async fn allows(
        &self,
        wanted: &[Object],
        held: &BTreeSet<ResourceId>,
    ) -> Result<BTreeMap<ResourceId, Outside>, TargetError> {
        let (rules, placed) = match self {
            Target::Dir(dir) => (dir.rules(), BTreeMap::new()),
            Target::Kube(kube) if kube.rules().is_empty() => (kube.rules(), BTreeMap::new()),
            Target::Kube(kube) => {
                let ids = wanted.iter().map(Object::id).chain(held).collect();
                (kube.rules(), kube.placed(&ids).await?)
            }
        };
        rules.admit(wanted, &placed)?;
        Ok(rules.outside(held, &placed))
    }

    /// Whether it can be written to as it is meant: the service account that a cluster's target runs as is there.
    ///
    /// # Errors
    /// When it is not, or cannot be asked for. Then nothing may be written.
    pub async fn ready(&self) -> Result<(), TargetError> {
        match self {
            Target::Dir(_) => Ok(()),
            Target::Kube(kube) => Ok(kube.has_account().await?),
        }
    }

    /// How healthy these objects of ours are, as far as the target watches them; `None` where it does not. A
    /// directory has no health.
    pub fn health<'a>(&self, held: impl IntoIterator<Item = &'a ResourceId>) -> Option<Summary> {
        match self {
            Target::Dir(_) => None,
            Target::Kube(kube) => kube.health(held),
        }
    }

    /// How healthy each of these objects of an app is, asked where no watch says it; `None` for a directory, which has no
    /// health.
    pub async fn assess(
        &self,
        claim: &Claim,
        held: &BTreeSet<ResourceId>,
    ) -> Option<BTreeMap<ResourceId, Health>> {
        match self {
            Target::Dir(_) => None,
            Target::Kube(kube) => Some(kube.assess(claim, held).await),
        }
    }

    /// Does what was staked: waves in order, prunes last, nothing after a wave with a failure. What is encrypted is
    /// revealed for the request that is made of it, to a cluster alone: a directory gets it as it was rendered.
    ///
    /// # Errors
    /// When the run ended without an answer; how single steps ended is in the answer.
    pub async fn apply(
        &self,
        claim: &Claim,
        staked: Staked<Plan>,
        reveal: &dyn Reveal,
        on_event: OnEvent,
    ) -> Result<Applied, TargetError> {
        match self {
            Target::Dir(dir) => {
                let dir = dir.clone();
                let apply = move || dir.apply(staked, &mut |_| {}, &*on_event);
                blocking("applying", apply).await
            }
            Target::Kube(kube) => Ok(kube.apply(claim, staked, reveal, &*on_event).await),
        }
    }
}

/// Runs what blocks, off the runtime's threads.
async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TargetError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| TargetError::Ended {
        what,
        why: e.to_string(),
    })
}
