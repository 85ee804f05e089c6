//! Hooks around an app's own objects: each is staked, made, found again by its uid, waited for and cleaned up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use weir_cluster::Target;
use weir_cluster::kube::KubeTarget;
use weir_core::digest::Digest;
use weir_core::fault::{Blame as _, Retry};
use weir_core::grant::Millis;
use weir_core::hook::{self, Hook, HookRecord, Next, Phase, Progress, Ran};
use weir_core::live::{Live, Seen, Uid, Written};
use weir_core::name::{AppName, TargetName};
use weir_core::object::{Object, ResourceId};
use weir_core::plan::{Others, Plan};
use weir_core::record::{Event, Problem};
use weir_core::stake::{Ended, Outcome, Staked, stake};

use super::outcome::{Obstacle, refusal, step_of};
use super::{Run, Syncer};
use crate::crash::crash_point;
use crate::error::Error;

mod pace;
mod say;
pub(crate) use pace::Pace;
use say::{failure, named, stopped};

/// The first and the longest pause between two looks at a hook that runs. A Job that goes by itself as soon as it has
/// finished must be seen before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

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

/// How the wait for a hook ended.
enum Waited {
    Ended(Seen, Result<(), String>),
    Lost,
    Late(String),
    Left,
}

/// What is to be done, what stands in the way from before, and whether hooks are to run.
pub(super) type Decided = (Plan, Option<Obstacle>, bool);

/// What becomes of a run between hooks: its outcomes so far, and what stands in the way.
pub(super) type Around = (Vec<Outcome>, Option<Obstacle>);

impl Hooks {
    /// The hooks among what an app wants in a target, and the other objects. In a directory all are files.
    pub(super) fn of(target: &Target, objects: &[Object], within: Millis) -> (Hooks, Vec<Object>) {
        let (list, others) = match target {
            Target::Dir(_) => (Vec::new(), objects.to_vec()),
            Target::Kube(_) => hook::split(objects),
        };
        (
            Hooks {
                list,
                ..Hooks::none(within)
            },
            others,
        )
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
        self.tidy_hooks(run, target, output).await?;
        if let Some(e) = self.hook_failed(run, target, output, Phase::Pre).await {
            return Ok(Err(e));
        }
        let due = self.hooks_due(run, output);
        if let (Some(refused), true) = (&refused, due) {
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
                Some(Live::Present(seen)) => {
                    self.clean_up(run, kube, hook, output, seen, well).await?;
                }
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
        let parts = match plan.is_empty() {
            true => [None, None, None],
            false => {
                crash_point("before-stake");
                let (log, app) = (&*self.journal, run.app);
                let repository = self.journal.repository();
                let staked = stake(log, repository, app, plan, target_name, run.commit, output);
                let staked = staked.await.map_err(|e| Error::stage("stake", &e))?;
                crash_point("after-stake");
                run.done("stake");
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
        let claim = self.journal.claim(run.app);
        let on_event = Arc::new(|event| crash_point(step_of(event)));
        let applied = target.apply(&claim, part, on_event).await;
        crash_point("applied");
        let applied = applied.map_err(|e| Error::stage("apply", &e))?;
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
            let Err(e) = self.run_hook(run, kube, &hook, output).await? else {
                continue;
            };
            return Ok(Some(Obstacle {
                retry: e.retry(),
                problem: e.problem(),
            }));
        }
        Ok(None)
    }

    /// One hook, to its end. The outer error is the ledger's.
    async fn run_hook(
        &self,
        run: &mut Run<'_>,
        kube: &KubeTarget,
        hook: &Hook,
        output: Digest,
    ) -> Result<Result<(), Error>, Error> {
        let id = hook.object.id();
        let (ended, known) = self.journal.status(|s| {
            let runs = s.apps.get(run.app).map(|a| &a.hooks);
            let ended = runs.and_then(|r| r.ended(id, output));
            let ended = ended.map(|e| e.map_err(str::to_owned));
            (ended, runs.and_then(|r| r.get(id)).cloned())
        });
        match ended {
            Some(Ok(())) => return Ok(Ok(())),
            Some(Err(why)) => return self.did_fail(run, kube, hook, &why).await,
            None => {}
        }
        let app = run.app;
        let found = match kube.hook(&self.journal.claim(app), id).await {
            Ok(found) => found,
            Err(e) => return Ok(Err(Error::stage(hook::STAGE, &e))),
        };
        let from = run.hooks.from.get(id).cloned();
        let uid = match hook::next(hook, output, known.as_ref(), found.as_ref(), from.is_some()) {
            Next::Wait(uid) => {
                let heard = known.filter(|run| run.output == output);
                if !matches!(heard.map(|run| run.progress), Some(Progress::Started(_)))
                    && let Some(found) = found
                {
                    let (content, mark) = (hook.object.digest(), found.seen.mark);
                    let written = Written { content, mark };
                    self.keep_hook(run, hook, output, Progress::Started(written))
                        .await?;
                }
                tracing::info!(%app, "waiting for hook {id}, which runs already");
                uid
            }
            Next::Start(old) => {
                let staked = Progress::Staked(from);
                let again = known.is_some_and(|k| k.output == output && k.progress == staked);
                if !again {
                    self.keep_hook(run, hook, output, staked).await?;
                }
                match self
                    .start_hook(run, kube, hook, output, old.as_ref())
                    .await?
                {
                    Ok(uid) => uid,
                    Err(e) => return Ok(Err(e)),
                }
            }
            Next::Lost => return self.lost(run, kube, hook, output).await,
            Next::Refused(why) => {
                let message = format!("app {app}: hook {id}: {why}");
                return Ok(Err(stopped(Retry::Backoff, message)));
            }
        };
        self.to_its_end(run, kube, hook, output, &uid).await
    }

    /// Waits for a run, keeps how it ended, and cleans up.
    async fn to_its_end(
        &self,
        run: &mut Run<'_>,
        kube: &KubeTarget,
        hook: &Hook,
        output: Digest,
        uid: &Uid,
    ) -> Result<Result<(), Error>, Error> {
        let (app, id) = (run.app, hook.object.id());
        run.pace.rest();
        let waited = self.wait_for(run, kube, hook, uid).await;
        run.pace.resume().await;
        match waited {
            Waited::Ended(seen, ended) => {
                let progress = match &ended {
                    Ok(()) => Progress::Succeeded,
                    Err(why) => Progress::Failed(why.clone()),
                };
                self.keep_hook(run, hook, output, progress).await?;
                crash_point("hook-ended");
                self.clean_up(run, kube, hook, output, &seen, ended.is_ok())
                    .await?;
                match ended {
                    Ok(()) => {
                        tracing::info!(%app, "hook {id} succeeded");
                        Ok(Ok(()))
                    }
                    Err(why) => self.did_fail(run, kube, hook, &why).await,
                }
            }
            Waited::Lost => self.lost(run, kube, hook, output).await,
            Waited::Late(what) => {
                let (within, logs) = (run.hooks.within, kube.logs_of(id).await);
                let message = format!(
                    "app {app}: hook {id} did not end within {within}: {what}. It is waited for again; `{logs}` shows what it says, and `settle: {{ within: TIME }}` gives it longer"
                );
                Ok(Err(stopped(Retry::Backoff, message)))
            }
            Waited::Left => {
                let message = format!(
                    "app {app}: hook {id} still runs, and the wait for it ended: a newer commit is there, or the host stops. It is found again by its uid"
                );
                Ok(Err(stopped(Retry::Backoff, message)))
            }
        }
    }

    /// Makes the object of a run that is staked, after the one of an earlier run is gone.
    async fn start_hook(
        &self,
        run: &Run<'_>,
        kube: &KubeTarget,
        hook: &Hook,
        output: Digest,
        old: Option<&Seen>,
    ) -> Result<Result<Uid, Error>, Error> {
        crash_point("hook-staked");
        let (claim, id, app) = (self.journal.claim(run.app), hook.object.id(), run.app);
        if let Some(old) = old
            && let Err(e) = kube.end_hook(&claim, id, old).await
        {
            return Ok(Err(Error::stage(hook::STAGE, &e)));
        }
        let written = match kube.start_hook(&claim, &hook.object, output).await {
            Ok(written) => written,
            Err(e) => return Ok(Err(named(app, id, &Error::stage(hook::STAGE, &e)))),
        };
        crash_point("hook-made");
        let Some(uid) = written.mark.uid.clone() else {
            let message = format!("app {app}: hook {id} was made, and the API server gave no uid");
            return Ok(Err(stopped(Retry::Backoff, message)));
        };
        self.keep_hook(run, hook, output, Progress::Started(written))
            .await?;
        crash_point("hook-started");
        tracing::info!(%app, "hook {id} started ({})", hook.phase.as_str());
        Ok(Ok(uid))
    }

    async fn wait_for(
        &self,
        run: &mut Run<'_>,
        kube: &KubeTarget,
        hook: &Hook,
        uid: &Uid,
    ) -> Waited {
        let (claim, id) = (self.journal.claim(run.app), hook.object.id());
        let until = Instant::now() + run.hooks.within.duration();
        let mut pause = PAUSES.0;
        loop {
            let what = match kube.hook(&claim, id).await {
                // It may be back before its time is over.
                Err(e) => e.to_string(),
                Ok(Some(found)) if found.seen.mark.uid.as_ref() == Some(uid) => match found.ran {
                    Ran::Succeeded => return Waited::Ended(found.seen, Ok(())),
                    Ran::Failed(why) => return Waited::Ended(found.seen, Err(why)),
                    Ran::Runs(what) => what,
                },
                Ok(_) => return Waited::Lost,
            };
            if Instant::now() >= until {
                return Waited::Late(what);
            }
            let left = until.saturating_duration_since(Instant::now());
            if !run.pace.pause(pause.min(left), run.commit).await {
                return Waited::Left;
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Deletes the object of a run that ended, where the policy says so. One that does not go stays ours, and is tried
    /// again at the next look.
    async fn clean_up(
        &self,
        run: &Run<'_>,
        kube: &KubeTarget,
        hook: &Hook,
        output: Digest,
        seen: &Seen,
        well: bool,
    ) -> Result<(), Error> {
        let wanted = match well {
            true => hook.cleanup.succeeded,
            false => hook.cleanup.failed,
        };
        if !wanted {
            return Ok(());
        }
        let (claim, id, app) = (self.journal.claim(run.app), hook.object.id(), run.app);
        match kube.end_hook(&claim, id, seen).await {
            Ok(()) => self.keep_hook(run, hook, output, Progress::Gone).await,
            Err(e) => {
                tracing::warn!(%app, "hook {id} has ended and is not deleted yet: {e}");
                Ok(())
            }
        }
    }

    /// Nobody saw how a run ended: it counts as failed, and is not made twice.
    async fn lost(
        &self,
        run: &Run<'_>,
        kube: &KubeTarget,
        hook: &Hook,
        output: Digest,
    ) -> Result<Result<(), Error>, Error> {
        let why = "its object was deleted before Weir saw how it ended";
        self.keep_hook(run, hook, output, Progress::Failed(why.to_owned()))
            .await?;
        self.keep_hook(run, hook, output, Progress::Gone).await?;
        self.did_fail(run, kube, hook, why).await
    }

    async fn did_fail(
        &self,
        run: &Run<'_>,
        kube: &KubeTarget,
        hook: &Hook,
        why: &str,
    ) -> Result<Result<(), Error>, Error> {
        let message = failure(kube, run.app, hook, why).await;
        Ok(Err(stopped(Retry::OnChange, message)))
    }

    async fn keep_hook(
        &self,
        run: &Run<'_>,
        hook: &Hook,
        output: Digest,
        progress: Progress,
    ) -> Result<(), Error> {
        let record = HookRecord {
            id: hook.object.id().clone(),
            phase: hook.phase,
            output,
            content: hook.object.digest(),
            progress,
        };
        self.keep(run.app, Event::Hook(record)).await
    }
}

fn has_failed(outcomes: &[Outcome]) -> bool {
    outcomes.iter().any(|o| matches!(o.ended, Ended::Failed(_)))
}
