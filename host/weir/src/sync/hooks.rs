//! Hooks around an app's own objects: each is staked, made, found again by its uid, waited for and cleaned up.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use weir_cluster::Target;
use weir_cluster::kube::KubeTarget;
use weir_core::digest::Digest;
use weir_core::fault::{Blame as _, Retry};
use weir_core::grant::Millis;
use weir_core::hook::{self, Hook, Phase, Progress};
use weir_core::live::{Live, Owner};
use weir_core::name::{AppName, TargetName};
use weir_core::object::{Object, ResourceId};
use weir_core::plan::{Others, Plan};
use weir_core::record::Problem;
use weir_core::stake::{Ended, Outcome, Staked};

use super::outcome::{Obstacle, refusal};
use super::{Run, Syncer};
use crate::error::Error;

mod pace;
mod run;
mod say;
pub(crate) use pace::Pace;
use say::{failure, stopped};

/// The hooks of one run, and what was seen of them.
pub(super) struct Hooks {
    list: Vec<Hook>,
    /// How long one may take.
    within: Millis,
    live: BTreeMap<ResourceId, Live>,
    held: BTreeSet<ResourceId>,
    /// Apps that have an object in their inventory and do not want it any more.
    from: BTreeMap<ResourceId, AppName>,
}

/// What is to be done, what stands in the way from before, and whether hooks are to run.
pub(super) type Decided = (Plan, Option<Obstacle>, bool);

/// What becomes of a run between hooks: its outcomes so far, and what stands in the way.
pub(super) type Around = (Vec<Outcome>, Option<Obstacle>);

impl Hooks {
    /// The hooks among what an app wants in a target, and the other objects. In a directory all are files.
    pub(super) fn of<'o>(
        target: &Target,
        objects: &'o [Object],
        within: Millis,
    ) -> (Hooks, Cow<'o, [Object]>) {
        let (list, others) = match target {
            Target::Kube(_) if objects.iter().any(hook::is_marked) => {
                let (list, others) = hook::split(objects);
                (list, Cow::Owned(others))
            }
            _ => (Vec::new(), Cow::Borrowed(objects)),
        };
        let hooks = Hooks {
            list,
            ..Hooks::none(within)
        };
        (hooks, others)
    }

    /// None, and how long one would be waited for.
    pub(super) fn none(within: Millis) -> Hooks {
        Hooks {
            list: Vec::new(),
            within,
            live: BTreeMap::new(),
            held: BTreeSet::new(),
            from: BTreeMap::new(),
        }
    }

    /// How long one is waited for.
    pub(super) fn within(&self) -> Millis {
        self.within
    }

    /// Their identities.
    pub(super) fn ids(&self) -> impl Iterator<Item = &ResourceId> {
        self.list.iter().map(|hook| hook.object.id())
    }

    /// What a look found at their places.
    pub(super) fn looked(
        &mut self,
        held: &BTreeSet<ResourceId>,
        live: &BTreeMap<ResourceId, Live>,
        others: &Others,
    ) {
        for hook in &self.list {
            let id = hook.object.id();
            if held.contains(id) {
                self.held.insert(id.clone());
            }
            if let Some(live) = live.get(id) {
                self.live.insert(id.clone(), live.clone());
            }
            if let Some(other) = others.holds.get(id).filter(|other| !other.wants) {
                self.from.insert(id.clone(), other.app.clone());
            }
        }
    }

    fn phase(&self, phase: Phase) -> Vec<Hook> {
        let all = self.list.iter().filter(|hook| hook.phase == phase);
        all.cloned().collect()
    }
}

impl Syncer {
    /// What is to be done with hooks taken into account: the plan, what stands in the way from before, and whether hooks
    /// are to run. The inner error is why nothing is.
    pub(super) async fn with_hooks(
        &self,
        run: &Run<'_>,
        target: &Target,
        plan: Plan,
        output: Digest,
    ) -> Result<Result<Decided, Error>, Error> {
        let refused = refusal(run.app, &plan);
        if run.hooks.list.is_empty() {
            return Ok(Ok((plan, refused, false)));
        }
        Box::pin(self.tidy_hooks(run, target, output)).await?;
        if let Some(e) = self.hook_failed(run, target, output, Phase::Pre).await {
            return Ok(Err(e));
        }
        let due = self.hooks_due(run, output);
        let mut all = plan.refused().iter();
        let blocked = all.any(|(_, refusal)| refusal.is_of_wanted());
        if let (Some(refused), true, true) = (&refused, due, blocked) {
            // What comes after a hook may not come before it, so nothing comes.
            let Problem { fault, message, .. } = refused.problem.clone();
            let retry = refused.retry;
            return Ok(Err(Error::Stage {
                stage: "plan",
                fault,
                retry,
                message,
            }));
        }
        Ok(Ok(
            match self.hook_failed(run, target, output, Phase::Post).await {
                Some(e) => {
                    let failed = Obstacle {
                        retry: e.retry(),
                        problem: e.problem(),
                    };
                    (plan.without_prunes(), refused.or(Some(failed)), false)
                }
                None => (plan, refused, due),
            },
        ))
    }

    /// Whether a hook has not run to its end for this output.
    fn hooks_due(&self, run: &Run<'_>, output: Digest) -> bool {
        self.journal.status(|s| {
            let runs = s.apps.get(run.app).map(|a| &a.hooks);
            let ended = |id| runs.is_some_and(|r| r.ended(id, output).is_some());
            run.hooks.ids().any(|id| !ended(id))
        })
    }

    /// The first hook of a phase that failed for this output. It is not run again.
    async fn hook_failed(
        &self,
        run: &Run<'_>,
        target: &Target,
        output: Digest,
        phase: Phase,
    ) -> Option<Error> {
        let Target::Kube(kube) = target else {
            return None;
        };
        let failed = run.hooks.phase(phase).into_iter().find_map(|hook| {
            let why = self.journal.status(|s| {
                let runs = &s.apps.get(run.app)?.hooks;
                let ended = runs.ended(hook.object.id(), output)?;
                ended.err().map(str::to_owned)
            })?;
            Some((hook, why))
        });
        let (hook, why) = failed?;
        Some(stopped(
            Retry::OnChange,
            failure(kube, run.app, &hook, &why).await,
        ))
    }

    /// Says which hooks' objects are gone, and deletes those that should be: whoever was to do it was killed.
    async fn tidy_hooks(
        &self,
        run: &Run<'_>,
        target: &Target,
        output: Digest,
    ) -> Result<(), Error> {
        let Target::Kube(kube) = target else {
            return Ok(());
        };
        for hook in &run.hooks.list {
            let id = hook.object.id();
            let ended = self.journal.status(|s| {
                let runs = &s.apps.get(run.app)?.hooks;
                runs.ended(id, output).map(|ended| ended.is_ok())
            });
            let (Some(well), true) = (ended, run.hooks.held.contains(id)) else {
                continue;
            };
            match run.hooks.live.get(id) {
                Some(Live::Absent) => self.keep_hook(run, hook, output, Progress::Gone).await?,
                Some(Live::Present(seen)) if seen.owner == Owner::Us => {
                    self.clean_up(run, kube, hook, output, seen, well).await?;
                }
                // Ours is gone, and somebody else's is there.
                Some(Live::Present(_)) => self.keep_hook(run, hook, output, Progress::Gone).await?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Does what was planned, with the hooks between. The outer error is the ledger's, the inner one the target's.
    pub(super) async fn change_around_hooks(
        &self,
        run: &mut Run<'_>,
        target_name: &TargetName,
        target: &Target,
        plan: Plan,
        output: Digest,
    ) -> Result<Result<Around, Error>, Error> {
        if let Err(e) = target.ready().await {
            return Ok(Err(Error::stage("observe", &e)));
        }
        let parts = match plan.is_empty() {
            true => [None, None, None],
            false => {
                let staked = self.staked(run, target_name, plan, output).await?;
                staked.parts().map(Some)
            }
        };
        let [early, main, last] = parts;
        let mut around: Around = (Vec::new(), None);
        for (part, phase) in [
            (early, Some(Phase::Pre)),
            (main, Some(Phase::Post)),
            (last, None),
        ] {
            if let Some(part) = part
                && let Err(e) = self.part(run, target, part, &mut around).await
            {
                return Ok(Err(e));
            }
            let stopped = around.1.is_some() || has_failed(&around.0);
            if let (Some(phase), Target::Kube(kube), false) = (phase, target, stopped) {
                around.1 = self.run_hooks(run, kube, phase, output).await?;
            }
        }
        run.done("apply");
        Ok(Ok(around))
    }

    /// One part of the plan; skipped where something before it failed.
    async fn part(
        &self,
        run: &Run<'_>,
        target: &Target,
        part: Staked<Plan>,
        around: &mut Around,
    ) -> Result<(), Error> {
        let (outcomes, stopped) = around;
        if stopped.is_some() || has_failed(outcomes) {
            outcomes.extend(part.get().steps().map(|step| Outcome {
                id: step.id().clone(),
                ended: Ended::Skipped,
            }));
            return Ok(());
        }
        let applied = self.applied(run, target, part).await?;
        outcomes.extend(applied.outcomes);
        Ok(())
    }

    /// The hooks of one phase, one after the other; what stops the app, if one of them does.
    async fn run_hooks(
        &self,
        run: &mut Run<'_>,
        kube: &KubeTarget,
        phase: Phase,
        output: Digest,
    ) -> Result<Option<Obstacle>, Error> {
        for hook in run.hooks.phase(phase) {
            let ran = Box::pin(self.run_hook(run, kube, &hook, output));
            let Err(e) = ran.await? else {
                continue;
            };
            return Ok(Some(Obstacle {
                retry: e.retry(),
                problem: e.problem(),
            }));
        }
        Ok(None)
    }
}

fn has_failed(outcomes: &[Outcome]) -> bool {
    outcomes.iter().any(|o| matches!(o.ended, Ended::Failed(_)))
}
