//! Stake, then apply and prune: the one way on which a target is changed.

use std::sync::Arc;

use weir_cluster::Target;
use weir_core::digest::Digest;
use weir_core::name::TargetName;
use weir_core::plan::Plan;
use weir_core::stake::{Applied, Staked, stake};

use super::hooks::Around;
use super::outcome::step_of;
use super::{Run, Syncer};
use crate::crash::crash_point;
use crate::error::Error;

impl Syncer {
    /// Stakes a plan, then does all of it. The outer error is the ledger's, the inner one the target's.
    pub(super) async fn change(
        &self,
        run: &mut Run<'_>,
        target_name: &TargetName,
        target: &Target,
        plan: Plan,
        output: Digest,
    ) -> Result<Result<Applied, Error>, Error> {
        if let Err(e) = target.ready().await {
            return Ok(Err(Error::stage("observe", &e)));
        }
        let staked = self.staked(run, target_name, plan, output).await?;
        let applied = self.applied(run, target, staked).await;
        run.done("apply");
        Ok(applied)
    }

    /// All of a plan, with hooks between where some are due.
    pub(super) async fn change_as_due(
        &self,
        run: &mut Run<'_>,
        target_name: &TargetName,
        target: &Target,
        (plan, due): (Plan, bool),
        output: Digest,
    ) -> Result<Result<Around, Error>, Error> {
        if due {
            let all = self.change_around_hooks(run, target_name, target, plan, output);
            // On the heap: it is large, and most runs have no hooks.
            return Box::pin(all).await;
        }
        if plan.is_empty() {
            return Ok(Ok((Vec::new(), None)));
        }
        let applied = self.change(run, target_name, target, plan, output).await?;
        Ok(applied.map(|applied| (applied.outcomes, None)))
    }

    /// A plan that the ledger knows of.
    pub(super) async fn staked(
        &self,
        run: &mut Run<'_>,
        target: &TargetName,
        plan: Plan,
        output: Digest,
    ) -> Result<Staked<Plan>, Error> {
        crash_point("before-stake");
        let (log, repository) = (&*self.journal, self.journal.repository());
        let staked = stake(log, repository, run.app, plan, target, run.commit, output).await;
        let staked = staked.map_err(|e| Error::stage("stake", &e))?;
        crash_point("after-stake");
        run.done("stake");
        Ok(staked)
    }

    /// What was staked, done. Each step is a sign of life.
    pub(super) async fn applied(
        &self,
        run: &Run<'_>,
        target: &Target,
        staked: Staked<Plan>,
    ) -> Result<Applied, Error> {
        let claim = self.journal.claim(run.app);
        let pulse = run.pace.pulse();
        let on_event = Arc::new(move |event| {
            pulse.beat();
            crash_point(step_of(event));
        });
        let applied = target.apply(&claim, staked, &*run.reveal, on_event).await;
        crash_point("applied");
        applied.map_err(|e| Error::stage("apply", &e))
    }
}
