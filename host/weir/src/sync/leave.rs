//! How an app leaves: held for a person, or pruned where it said so while it was there.

use std::collections::BTreeMap;

use weir_core::digest::Digest;
use weir_core::fault::{Fault, Retry};
use weir_core::name::{AppName, TargetName};
use weir_core::plan::Counts;
use weir_core::record::{Event, Problem, SyncRecord};
use weir_core::stake::Outcome;
use weir_core::status::State;

use super::outcome::{failed, recount, refusal};
use super::{Report, Run, Syncer};
use crate::error::Error;
use crate::prepare::Prepared;

impl Syncer {
    /// An app that is no longer in the manifest: held, or pruned where it said so while it was there.
    pub(super) async fn remove(
        &self,
        mut run: Run<'_>,
        prepared: &Prepared,
    ) -> Result<Report, Error> {
        let Some(known) = self.journal.status(|s| s.apps.get(run.app).cloned()) else {
            return Ok(run.report(
                vec![],
                Counts::default(),
                State::Synced,
                None,
                Retry::OnChange,
                false,
            ));
        };
        if known.inventory.is_empty() {
            return self.removed(run, vec![]).await;
        }
        if !known.prune_on_removal {
            let why = format!(
                "app {} left the manifest and still has {} objects: they stay. Put it back with `remove: prune`, sync, and take it out again to have them pruned",
                run.app,
                known.inventory.len()
            );
            return self.hold(run, why).await;
        }
        let target_name = known.target.unwrap_or_else(TargetName::default_target);
        let looked = match self.target(&target_name).await {
            Ok(target) => self
                .look(&mut run, prepared, &target, &[])
                .await
                .map(|plan| (target, plan)),
            Err(e) => Err(e),
        };
        let (target, plan) = match looked {
            Ok(both) => both,
            Err(e) => return self.fail(run, &e).await,
        };
        if let Some(refused) = refusal(run.app, &plan) {
            let e = Error::Stage {
                stage: "plan",
                fault: refused.problem.fault,
                retry: refused.retry,
                message: refused.problem.message,
            };
            return self.fail(run, &e).await;
        }
        let output = known.output.unwrap_or_else(|| Digest::of(b""));
        let applied = match self
            .change(&mut run, &target_name, &target, plan, output)
            .await?
        {
            Ok(applied) => applied.outcomes,
            Err(e) => return self.fail(run, &e).await,
        };
        let counts = recount(Counts::default(), &applied);
        let failure = failed(run.app, &applied);
        let retry = failure.as_ref().map_or(Retry::Backoff, |f| f.retry);
        let problem = failure.map(|f| f.problem);
        let record = SyncRecord {
            commit: run.commit,
            output,
            plugins: BTreeMap::new(),
            target: target_name,
            prune_on_removal: true,
            outcomes: applied.clone(),
            counts,
            problem: problem.clone(),
            micros: run.micros.clone(),
        };
        self.keep(run.app, Event::Synced(record)).await?;
        let left = self
            .journal
            .status(|s| s.apps.get(run.app).map_or(0, |a| a.inventory.len()));
        if problem.is_some() || left > 0 {
            // What is left moves to another app, which takes it when it syncs.
            let state = if problem.is_some() {
                State::Failed
            } else {
                State::Pending
            };
            return Ok(run.report(applied, counts, state, problem, retry, true));
        }
        self.removed(run, applied).await
    }

    async fn removed(&self, run: Run<'_>, outcomes: Vec<Outcome>) -> Result<Report, Error> {
        self.keep(run.app, Event::Removed).await?;
        let counts = recount(Counts::default(), &outcomes);
        Ok(run.report(outcomes, counts, State::Synced, None, Retry::OnChange, true))
    }

    /// Why an app that names another target than the one where its objects are is not synced: nothing there
    /// may be forgotten.
    pub(super) fn left_behind(&self, app: &AppName, target: &TargetName) -> Option<String> {
        self.journal.status(|s| {
            let known = s.apps.get(app).filter(|a| !a.inventory.is_empty())?;
            let there = known.target.as_ref().filter(|there| *there != target)?;
            Some(format!(
                "app {app} has {} objects in target {there} and now names target {target}: nothing is changed in either. \
                 Name target {there} again; or, to move it, take it out of the manifest after a sync with `remove: prune`, and add it again with target {target}; \
                 or add a second app for target {target}",
                known.inventory.len()
            ))
        })
    }

    /// The app waits for a person: why.
    pub(super) async fn hold(&self, run: Run<'_>, why: String) -> Result<Report, Error> {
        let is_news = self.journal.status(|s| {
            let known = s.apps.get(run.app);
            let same = |p: &Problem| p.message == why;
            !known.is_some_and(|a| a.state == State::Held && a.problem.as_ref().is_some_and(same))
        });
        if is_news {
            self.keep(run.app, Event::Held { why: why.clone() }).await?;
        }
        let problem = Problem {
            stage: "manifest".to_owned(),
            fault: Fault::Repository,
            message: why,
        };
        Ok(run.report(
            vec![],
            Counts::default(),
            State::Held,
            Some(problem),
            Retry::OnChange,
            is_news,
        ))
    }
}
