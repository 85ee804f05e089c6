//! How an app leaves: held for a person, or pruned where it said so while it was there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use weir_core::digest::Digest;
use weir_core::fault::{Fault, Retry};
use weir_core::guard::{Cause, GuardLimits, Hold, guard};
use weir_core::manifest::SETTLE_WITHIN;
use weir_core::name::{AppName, TargetName};
use weir_core::object::ResourceId;
use weir_core::plan::{Counts, PRUNE_ANNOTATION};
use weir_core::record::{Event, Problem, SyncRecord};
use weir_core::reveal::AsRendered;
use weir_core::stake::Outcome;
use weir_core::status::{AppStatus, State};

use super::outcome::{failed, recount, refusal};
use super::{Hooks, Pace, Report, Run, Syncer, lands_there};
use crate::error::Error;
use crate::prepare::Prepared;

/// How many kept objects one text names.
const SHOWN_KEPT: usize = 5;

impl Syncer {
    /// An app that is no longer in the manifest: held, or pruned where it said so while it was there.
    pub(super) async fn remove(&self, run: Run<'_>, prepared: &Prepared) -> Result<Report, Error> {
        self.remove_as(run, prepared, false).await
    }

    /// Deletes all that an app owns: whoever ended its repository said so, and asked for nobody's yes.
    ///
    /// # Errors
    /// When the ledger cannot keep what happened; all else is in the report.
    pub(crate) async fn prune(&self, app: &AppName, pace: Pace) -> Result<Report, Error> {
        let run = Run {
            pinned: false,
            hooks: Hooks::none(SETTLE_WITHIN),
            reveal: Arc::new(AsRendered),
            pace,
            app,
            commit: self.journal.status(|s| s.apps.get(app)?.commit),
            micros: BTreeMap::new(),
            lap: Instant::now(),
        };
        self.remove_as(run, &Prepared::default(), true).await
    }

    /// `told`: a person said already that all of it goes.
    async fn remove_as(
        &self,
        mut run: Run<'_>,
        prepared: &Prepared,
        told: bool,
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
        let leaving = self.leaving(run.app, prepared, &known);
        let approval = known.approval.as_ref();
        let approved = told || approval.is_some_and(|a| a.covers(leaving.output, &leaving.deletes));
        if !known.prune_on_removal && !approved && !leaving.deletes.is_empty() {
            return self.hold_deletes(run, leaving).await;
        }
        let target_name = known.target.unwrap_or_else(TargetName::default_target);
        let looked = match self.target(&target_name).await {
            Ok(target) => self
                .look(&mut run, prepared, &target, &[], None)
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
        // Whatever was made of it above: without a person's yes, or its own, nothing of it goes.
        if !known.prune_on_removal && !approved && plan.deletes().next().is_some() {
            return self.hold_deletes(run, leaving).await;
        }
        let (output, kept) = (leaving.output, plan.kept().to_vec());
        // It said so while it was there: any number may go. What takes more with it needs a person even then.
        let owned = known.inventory.len();
        let hold = guard(&plan, owned, output, GuardLimits::ANY_NUMBER, approval);
        if let Some(hold) = hold.filter(|_| !told) {
            return self.hold_deletes(run, hold).await;
        }
        if plan.is_empty() && kept.len() == owned {
            return self.hold(run, stays(&kept)).await;
        }
        if plan.is_empty() {
            // What is left moves to another app, which takes it when it syncs: nothing to say until then.
            let (none, pending) = (Counts::default(), State::Pending);
            return Ok(run.report(vec![], none, pending, None, Retry::Backoff, false));
        }
        let applied = match self
            .change(&mut run, &target_name, &target, plan, output)
            .await?
        {
            Ok(applied) => applied.outcomes,
            Err(e) => return self.fail(run, &e).await,
        };
        let failure = failed(run.app, &applied);
        let retry = failure.as_ref().map_or(Retry::Backoff, |f| f.retry);
        let record = SyncRecord {
            commit: run.commit,
            output,
            plugins: BTreeMap::new(),
            target: target_name,
            prune_on_removal: known.prune_on_removal,
            counts: recount(Counts::default(), &applied),
            outcomes: applied,
            kept,
            drifted: Vec::new(),
            bytes: None,
            made: None,
            changed: Vec::new(),
            problem: failure.map(|f| f.problem),
            micros: run.micros.clone(),
        };
        self.has_left(run, record, retry).await
    }

    /// Keeps how a removal went, and says what is left of the app.
    async fn has_left(
        &self,
        run: Run<'_>,
        record: SyncRecord,
        retry: Retry,
    ) -> Result<Report, Error> {
        self.keep(run.app, Event::Synced(record.clone())).await?;
        let SyncRecord {
            outcomes,
            counts,
            kept,
            problem,
            ..
        } = record;
        let left = self
            .journal
            .status(|s| s.apps.get(run.app).map_or(0, |a| a.inventory.len()));
        match (problem, left) {
            (None, 0) => self.removed(run, outcomes).await,
            (None, left) if left == kept.len() => self.hold(run, stays(&kept)).await,
            // What is left moves to another app, which takes it when it syncs.
            (None, _) => Ok(run.report(outcomes, counts, State::Pending, None, retry, true)),
            (problem, _) => Ok(run.report(outcomes, counts, State::Failed, problem, retry, true)),
        }
    }

    /// What would go with an app. What moves to one that lands in the same place is no delete.
    fn leaving(&self, app: &AppName, prepared: &Prepared, known: &AppStatus) -> Hold {
        let here: Vec<_> = self.journal.status(|s| {
            let all = prepared.desired.iter();
            let here = all.filter(|(name, _)| lands_there(s, prepared, app, name));
            here.filter_map(|(_, ids)| ids.as_ref()).collect()
        });
        let owned = known.inventory.iter().map(|(id, _)| id);
        Hold {
            cause: Cause::Left,
            output: nothing_rendered(),
            deletes: owned
                .filter(|id| !here.iter().any(|ids| ids.contains(*id)))
                .cloned()
                .collect(),
        }
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

    /// Deletes wait for a person.
    pub(super) async fn hold_deletes(&self, run: Run<'_>, hold: Hold) -> Result<Report, Error> {
        let (app, id) = (run.app, hold.id().short());
        let change = match hold.cause {
            Cause::Left => "put the app back into the manifest to keep them",
            Cause::Remade { .. } | Cause::OtherSecret { .. } => "nothing is changed until then",
            Cause::Share { .. } | Cause::Precious => {
                "nothing is changed until then; put them back into the repository to keep them"
            }
        };
        let what = match hold.cause {
            Cause::Remade { .. } | Cause::OtherSecret { .. } => "To let that happen",
            _ => "To let them go",
        };
        let why = format!("app {app}: {hold}. {what}: weir approve {app} --hold {id} ({change})");
        self.wait_for_person(run, why, Some(hold)).await
    }

    /// The app waits for a person: why.
    pub(super) async fn hold(&self, run: Run<'_>, why: String) -> Result<Report, Error> {
        self.wait_for_person(run, why, None).await
    }

    async fn wait_for_person(
        &self,
        run: Run<'_>,
        why: String,
        hold: Option<Hold>,
    ) -> Result<Report, Error> {
        let is_news = self.journal.status(|s| {
            let known = s.apps.get(run.app);
            let same = |p: &Problem| p.message == why;
            !known.is_some_and(|a| {
                a.state == State::Held && a.hold == hold && a.problem.as_ref().is_some_and(same)
            })
        });
        let stage = if hold.is_some() { "guard" } else { "manifest" };
        if is_news {
            let why = why.clone();
            self.keep(run.app, Event::Held { why, hold }).await?;
        }
        let problem = Problem {
            stage: stage.to_owned(),
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

/// The output of an app that is not in the manifest.
fn nothing_rendered() -> Digest {
    Digest::of(b"")
}

/// Why an app that left is still there.
fn stays(kept: &[ResourceId]) -> String {
    let mut names: Vec<String> = kept
        .iter()
        .take(SHOWN_KEPT)
        .map(ToString::to_string)
        .collect();
    if kept.len() > SHOWN_KEPT {
        names.push(format!("... and {} more", kept.len() - SHOWN_KEPT));
    }
    format!(
        "the app left the manifest and these stay, since their annotation {PRUNE_ANNOTATION} says so: {}. \
         Delete them by hand, or take the annotation off them, and they are forgotten or pruned",
        names.join(", ")
    )
}
