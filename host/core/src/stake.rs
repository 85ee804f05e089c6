//! Nothing is written that is not already staked: the only way to a [`Staked`] plan is through a log that
//! has durably kept what the plan intends.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::{CommitId, Digest};
use crate::fault::{Fault, Retry};
use crate::live::Written;
use crate::name::{AppName, RepositoryName, TargetName};
use crate::object::ResourceId;
use crate::plan::{Plan, Step};

/// What a plan intends, written before its first change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stake {
    /// The commit that is synced; `None` for a work tree.
    pub commit: Option<CommitId>,
    /// Where it lands.
    pub target: TargetName,
    /// The digest of the whole render.
    pub output: Digest,
    /// Objects that will be written, with the digest of their content.
    pub writes: Vec<(ResourceId, Digest)>,
    /// Objects that will be deleted.
    pub prunes: Vec<ResourceId>,
    /// Objects that come over from other apps.
    pub taken: Vec<(ResourceId, AppName)>,
    /// Objects that an interrupted run wrote, as was seen now, with the content that it wrote.
    #[serde(default)]
    pub found: Vec<(ResourceId, Digest)>,
}

impl Stake {
    /// What this plan intends.
    pub fn of(plan: &Plan, target: &TargetName, commit: Option<CommitId>, output: Digest) -> Stake {
        let mut stake = Stake {
            commit,
            target: target.clone(),
            output,
            writes: Vec::new(),
            prunes: Vec::new(),
            taken: Vec::new(),
            found: plan
                .found()
                .iter()
                .map(|(id, d)| (id.clone(), *d))
                .collect(),
        };
        for step in plan.steps() {
            match step {
                Step::Create(object) | Step::Update { object, .. } | Step::Confirm(object) => {
                    stake.writes.push((object.id().clone(), object.digest()));
                }
                Step::Prune { id, .. } | Step::Forget(id) => stake.prunes.push(id.clone()),
            }
        }
        stake.taken = plan
            .taken()
            .iter()
            .map(|(id, app)| (id.clone(), app.clone()))
            .collect();
        stake
    }
}

/// Where in the ledger a stake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StakeId(pub u64);

/// A durable log of stakes. Implemented by the ledger alone.
pub trait StakeLog {
    /// Why a stake could not be kept.
    type Error;
    /// Keeps a stake. Returns only when it would survive a power cut.
    fn append_stake(
        &self,
        repository: &RepositoryName,
        app: &AppName,
        stake: Stake,
    ) -> impl Future<Output = Result<StakeId, Self::Error>> + Send;
}

/// Something that the ledger knows is about to be done.
#[derive(Debug)]
pub struct Staked<P> {
    inner: P,
    stake: StakeId,
}

impl<P> Staked<P> {
    /// What was staked.
    pub fn get(&self) -> &P {
        &self.inner
    }
    /// Where in the ledger.
    pub fn stake(&self) -> StakeId {
        self.stake
    }
}

impl Staked<Plan> {
    /// The same stake in the parts between which hooks run: what is below wave 0, the rest, the prunes.
    pub fn parts(self) -> [Staked<Plan>; 3] {
        let stake = self.stake;
        self.inner.parts().map(|inner| Staked { inner, stake })
    }
}

/// Stakes a plan. Refused objects are no part of it.
///
/// # Errors
/// When the log could not keep it: then nothing may be written.
pub async fn stake<L: StakeLog>(
    log: &L,
    repository: &RepositoryName,
    app: &AppName,
    plan: Plan,
    target: &TargetName,
    commit: Option<CommitId>,
    output: Digest,
) -> Result<Staked<Plan>, L::Error> {
    let stake = log
        .append_stake(repository, app, Stake::of(&plan, target, commit, output))
        .await?;
    Ok(Staked { inner: plan, stake })
}

/// Why a step changed nothing, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// For a person: what stands in the way and what to do.
    pub why: String,
    /// Who has to act.
    pub fault: Fault,
    /// When to try again.
    pub retry: Retry,
}

/// A field that others had changed, and that was put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healed {
    /// Where it is, such as `spec.replicas`; empty for the object as a whole.
    pub field: String,
    /// The field manager that had it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

impl fmt::Display for Healed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => f.write_str("the object")?,
            field => f.write_str(field)?,
        }
        match &self.from {
            Some(from) => write!(f, " (which {from} had set)"),
            None => Ok(()),
        }
    }
}

/// How one step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It is there now.
    Created(Written),
    /// It was replaced.
    Updated(Written),
    /// What others had changed or deleted was put back.
    Healed(Written, Vec<Healed>),
    /// It was there already, as wanted.
    Confirmed(Written),
    /// It is gone.
    Pruned,
    /// It was gone before, or is not ours.
    Forgotten,
    /// Nothing is known to have changed.
    Failed(Failure),
    /// It was not tried, since an earlier step failed.
    Skipped,
}

/// How one step of a plan ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The object.
    pub id: ResourceId,
    /// What happened.
    pub ended: Ended,
}

/// How a plan ended: one outcome for each step that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The stake that it ran under.
    pub stake: StakeId,
    /// In the order they were done.
    pub outcomes: Vec<Outcome>,
}

impl Applied {
    /// The first failure.
    pub fn failure(&self) -> Option<(&ResourceId, &Failure)> {
        self.outcomes.iter().find_map(|o| match &o.ended {
            Ended::Failed(failure) => Some((&o.id, failure)),
            _ => None,
        })
    }
}
