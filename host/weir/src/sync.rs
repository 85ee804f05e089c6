//! One app from rendered to recorded: observe, plan, stake, apply, prune, record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use weir_cluster::Target;
use weir_core::digest::{CommitId, Digest};
use weir_core::fault::{Blame as _, Fault, Retry};
use weir_core::health::Summary;
use weir_core::inventory::Inventory;
use weir_core::manifest::SETTLE_WITHIN;
use weir_core::name::{AppName, TargetName};
use weir_core::object::{Object, ResourceId};
use weir_core::plan::{Counts, Others, Plan, plan};
use weir_core::record::{Event, Problem, Record, SyncRecord};
use weir_core::stake::{Applied, Outcome, Staked, stake};
use weir_core::status::{State, Status};

use crate::crash::crash_point;
use crate::error::Error;
use crate::journal::Journal;
use crate::prepare::{Prepared, PreparedApp, Rendered};

mod hooks;
mod leave;
mod outcome;
mod settle;
use hooks::Hooks;
pub(crate) use hooks::Pace;
use outcome::{failed, recount, soonest, step_of};

/// Brings apps to their targets.
pub(crate) struct Syncer {
    journal: Arc<Journal>,
    targets: BTreeMap<TargetName, Target>,
}

/// How one sync of one app ended.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// The app.
    pub(crate) app: AppName,
    /// The commit.
    pub(crate) commit: Option<CommitId>,
    /// Object by object, what changed.
    pub(crate) outcomes: Vec<Outcome>,
    /// In numbers.
    pub(crate) counts: Counts,
    /// How the app stands now.
    pub(crate) state: State,
    /// What stands in the way.
    pub(crate) problem: Option<Problem>,
    /// When to try again, where something stands in the way.
    pub(crate) retry: Retry,
    /// Microseconds of each stage.
    pub(crate) micros: BTreeMap<String, u64>,
    /// Whether anything was said to the ledger: a check that found nothing new says nothing.
    pub(crate) is_news: bool,
}

/// What one run gathers on its way.
struct Run<'a> {
    app: &'a AppName,
    commit: Option<CommitId>,
    micros: BTreeMap<String, u64>,
    lap: Instant,
    hooks: Hooks,
    pace: Pace,
}

impl Syncer {
    /// A syncer onto these targets.
    pub(crate) fn new(journal: Arc<Journal>, targets: BTreeMap<TargetName, Target>) -> Syncer {
        Syncer { journal, targets }
    }

    /// The journal that it writes to.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Whether this host binds the target.
    pub(crate) fn binds(&self, target: &TargetName) -> bool {
        self.targets.contains_key(target)
    }

    /// How healthy what an app holds is; `None` where its target does not watch that.
    pub(crate) fn health(&self, app: &AppName) -> Option<Summary> {
        self.journal.status(|s| {
            let known = s.apps.get(app)?;
            let target = self.targets.get(known.target.as_ref()?)?;
            target.health(known.inventory.iter().map(|(id, _)| id))
        })
    }

    /// Syncs one app of a prepared commit, or removes one that left its manifest.
    ///
    /// # Errors
    /// When the ledger cannot keep what happened; all else is in the report.
    pub(crate) async fn sync(
        &self,
        prepared: &Prepared,
        app: &AppName,
        pace: Pace,
    ) -> Result<Report, Error> {
        let settle = prepared.apps.get(app).and_then(|a| a.app.settle);
        let run = Run {
            hooks: Hooks::none(settle.map_or(SETTLE_WITHIN, |settle| settle.within)),
            pace,
            app,
            commit: prepared.commit,
            micros: BTreeMap::new(),
            lap: Instant::now(),
        };
        match prepared.apps.get(app) {
            Some(PreparedApp {
                app,
                rendered: Ok(rendered),
            }) => {
                self.bring(
                    run,
                    prepared,
                    &app.target,
                    rendered,
                    app.remove == weir_core::manifest::Removal::Prune,
                )
                .await
            }
            Some(PreparedApp {
                rendered: Err(e), ..
            }) => self.fail(run, e).await,
            None => self.remove(run, prepared).await,
        }
    }

    async fn bring(
        &self,
        mut run: Run<'_>,
        prepared: &Prepared,
        target_name: &TargetName,
        rendered: &Rendered,
        prune_on_removal: bool,
    ) -> Result<Report, Error> {
        run.micros.clone_from(&rendered.micros);
        if let Some(why) = self.left_behind(run.app, target_name) {
            return self.hold(run, why).await;
        }
        let target = match self.target(target_name) {
            Ok(target) => target,
            Err(e) => return self.fail(run, &e).await,
        };
        let output = rendered.validated.output();
        let objects;
        (run.hooks, objects) = Hooks::of(&target, rendered.validated.objects(), run.hooks.within());
        let plan = match self.look(&mut run, prepared, &target, &objects).await {
            Ok(plan) => plan,
            Err(e) => return self.fail(run, &e).await,
        };
        let (plan, refused, due) = match self.with_hooks(&run, &target, plan, output).await? {
            Ok(decided) => decided,
            Err(e) => return self.fail(run, &e).await,
        };
        let unchanged = self.journal.status(|s| {
            s.apps.get(run.app).is_some_and(|a| {
                let same = a.commit == run.commit && a.output == Some(output);
                a.problem.as_ref() == refused.as_ref().map(|r| &r.problem)
                    && (refused.is_some() || (same && a.state == State::Synced))
            })
        });
        let mut counts = plan.counts();
        if plan.is_empty() && unchanged && !due {
            let state = if refused.is_some() {
                State::Failed
            } else {
                State::Synced
            };
            let retry = refused.as_ref().map_or(Retry::OnChange, |r| r.retry);
            let problem = refused.map(|r| r.problem);
            return Ok(run.report(vec![], counts, state, problem, retry, false));
        }
        let (applied, stopped) = if due {
            let all = self.change_around_hooks(&mut run, target_name, &target, plan, output);
            // On the heap: it is large, and most runs have no hooks.
            match Box::pin(all).await? {
                Ok(around) => around,
                Err(e) => return self.fail(run, &e).await,
            }
        } else if plan.is_empty() {
            (Vec::new(), None)
        } else {
            match self
                .change(&mut run, target_name, &target, plan, output)
                .await?
            {
                Ok(applied) => (applied.outcomes, None),
                Err(e) => return self.fail(run, &e).await,
            }
        };
        counts = recount(counts, &applied);
        let failure = failed(run.app, &applied).or(stopped);
        let retry = soonest([&refused, &failure].into_iter().flatten().map(|o| o.retry));
        let problem = refused.or(failure).map(|o| o.problem);
        let record = SyncRecord {
            commit: run.commit,
            output,
            plugins: rendered.plugins.clone(),
            target: target_name.clone(),
            prune_on_removal,
            outcomes: applied.clone(),
            counts,
            problem: problem.clone(),
            micros: run.micros.clone(),
        };
        self.keep(run.app, Event::Synced(record)).await?;
        crash_point("after-record");
        let state = if problem.is_some() {
            State::Failed
        } else {
            State::Synced
        };
        Ok(run.report(applied, counts, state, problem, retry, true))
    }

    /// Observe, then plan.
    async fn look(
        &self,
        run: &mut Run<'_>,
        prepared: &Prepared,
        target: &Target,
        desired: &[Object],
    ) -> Result<Plan, Error> {
        let (inventory, others) = self.journal.status(|s| {
            let here = neighbours(s, prepared, run.app);
            let inventories: BTreeMap<AppName, &Inventory> = s
                .apps
                .iter()
                .filter(|(name, _)| here.contains(name))
                .map(|(name, app)| (name.clone(), &app.inventory))
                .collect();
            let own = s
                .apps
                .get(run.app)
                .map(|a| a.inventory.clone())
                .unwrap_or_default();
            let mut wanted = prepared.desired.clone();
            wanted.retain(|name, _| here.contains(name));
            (own, Others::of(run.app, &inventories, &wanted))
        });
        let held: BTreeSet<ResourceId> = inventory.iter().map(|(id, _)| id.clone()).collect();
        let claim = self.journal.claim(run.app);
        let asked = held.iter().chain(run.hooks.ids()).cloned().collect();
        let live = target.observe(&claim, desired, &asked).await;
        let live = live.map_err(|e| Error::stage("observe", &e))?;
        run.done("observe");
        run.hooks.looked(&held, &live, &others);
        let mut inventory = inventory;
        // Hooks have a way of their own.
        for id in run.hooks.ids() {
            inventory.release(id);
        }
        let plan = plan(desired, &inventory, &live, &others);
        run.done("plan");
        Ok(plan)
    }

    /// Stake, then apply and prune. The outer error is the ledger's, the inner one the target's.
    async fn change(
        &self,
        run: &mut Run<'_>,
        target_name: &TargetName,
        target: &Target,
        plan: Plan,
        output: Digest,
    ) -> Result<Result<Applied, Error>, Error> {
        crash_point("before-stake");
        let staked = stake(
            &*self.journal,
            self.journal.repository(),
            run.app,
            plan,
            target_name,
            run.commit,
            output,
        )
        .await;
        let staked: Staked<Plan> = staked.map_err(|e| Error::stage("stake", &e))?;
        crash_point("after-stake");
        run.done("stake");
        let claim = self.journal.claim(run.app);
        let on_event = Arc::new(|event| crash_point(step_of(event)));
        let applied = target.apply(&claim, staked, on_event).await;
        crash_point("applied");
        run.done("apply");
        Ok(applied.map_err(|e| Error::stage("apply", &e)))
    }

    async fn fail(&self, run: Run<'_>, error: &Error) -> Result<Report, Error> {
        let problem = error.problem();
        let known = self.journal.status(|s| {
            s.apps
                .get(run.app)
                .is_some_and(|a| a.state == State::Failed && a.problem.as_ref() == Some(&problem))
        });
        if !known {
            let event = Event::Failed {
                commit: run.commit,
                problem: problem.clone(),
            };
            self.keep(run.app, event).await?;
        }
        Ok(run.report(
            vec![],
            Counts::default(),
            State::Failed,
            Some(problem),
            error.retry(),
            !known,
        ))
    }

    /// Writes what happened to the app into the ledger.
    async fn keep(&self, app: &AppName, event: Event) -> Result<(), Error> {
        let app = Some(app.clone());
        self.journal.append(vec![Record { app, event }]).await
    }

    fn target(&self, name: &TargetName) -> Result<Target, Error> {
        self.targets.get(name).cloned().ok_or_else(|| Error::Stage {
            stage: "observe",
            fault: Fault::Host,
            retry: Retry::OnChange,
            message: format!(
                "target {name} is not bound on this host: give --target {name}=dir:PATH or --target {name}=kube:CONTEXT"
            ),
        })
    }
}

impl Run<'_> {
    fn done(&mut self, stage: &str) {
        let spent = u64::try_from(self.lap.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.micros.insert(stage.to_owned(), spent);
        self.lap = Instant::now();
    }

    fn report(
        &self,
        outcomes: Vec<Outcome>,
        counts: Counts,
        state: State,
        problem: Option<Problem>,
        retry: Retry,
        is_news: bool,
    ) -> Report {
        Report {
            app: self.app.clone(),
            commit: self.commit,
            outcomes,
            counts,
            state,
            problem,
            retry,
            micros: self.micros.clone(),
            is_news,
        }
    }
}

/// The apps that may have to do with the same objects: those that land where this one does, and those of which
/// that is not known. One identity in two targets is two objects.
fn neighbours<'s>(
    status: &'s Status,
    prepared: &'s Prepared,
    app: &AppName,
) -> BTreeSet<&'s AppName> {
    let meant = |name: &AppName| prepared.apps.get(name).map(|a| &a.app.target);
    let known = |name: &AppName| status.apps.get(name).and_then(|a| a.target.as_ref());
    let own = meant(app).or(known(app));
    let lands_here = |name: &AppName| match (meant(name), known(name)) {
        (None, None) => true,
        (meant, known) => meant == own || (known.is_some() && known == own),
    };
    let all = status.apps.keys().chain(prepared.apps.keys());
    all.filter(|name| lands_here(name)).collect()
}
