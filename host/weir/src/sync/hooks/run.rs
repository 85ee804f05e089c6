//! One hook from staked to cleaned up. Killed between any two steps, the next run goes on from there.

use std::time::Duration;

use tokio::time::Instant;
use weir_cluster::kube::KubeTarget;
use weir_core::digest::Digest;
use weir_core::fault::Retry;
use weir_core::hook::{self, Hook, HookRecord, Next, Progress, Ran};
use weir_core::live::{Seen, Uid, Written};
use weir_core::record::Event;

use super::say::{failure, named, stopped};
use crate::crash::crash_point;
use crate::error::Error;
use crate::sync::{Run, Syncer};

/// The first and the longest pause between two looks at a hook that runs. A Job that goes by itself as soon as it has
/// finished must be seen before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// How the wait for a hook ended.
enum Waited {
    Ended(Seen, Result<(), String>),
    Lost,
    Late(String),
    Left,
}

impl Syncer {
    /// One hook, to its end. The outer error is the ledger's.
    pub(super) async fn run_hook(
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
        // A move that was staked and interrupted is no less a move: the other app holds it no more.
        let from = run.hooks.from.get(id).cloned();
        let from = from.or_else(|| known.as_ref().and_then(HookRecord::comes_from));
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
        run.pace.resume();
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
            if !run.pace.pause(pause.min(left)).await {
                return Waited::Left;
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Deletes the object of a run that ended, where the policy says so. One that does not go stays ours, and is tried
    /// again at the next look.
    pub(super) async fn clean_up(
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

    pub(super) async fn keep_hook(
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
