//! One app from rendered to recorded: observe, plan, stake, apply, prune, record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use weir_cluster::Target;
use weir_core::digest::{CommitId, Digest};
use weir_core::fault::{Blame as _, Fault, Retry};
use weir_core::guard::{GuardLimits, Hold, guard};
use weir_core::health::Summary;
use weir_core::live::Uid;
use weir_core::manifest::{App, Removal, SETTLE_WITHIN};
use weir_core::name::{AppName, TargetName};
use weir_core::object::{Object, ResourceId};
use weir_core::plan::{Counts, Neighbours, Plan, plan};
use weir_core::policy::Heal;
use weir_core::record::{Event, Problem, Record, SyncRecord};
use weir_core::reveal::{AsRendered, Reveal};
use weir_core::stake::Outcome;
use weir_core::status::{State, Status};

use crate::crash::crash_point;
use crate::error::Error;
use crate::journal::{Journal, now};
use crate::keyring::Keyring;
use crate::landing::Landing;
use crate::notary::Notary;
use crate::prepare::{Prepared, PreparedApp, Rendered};

mod allowed;
mod change;
mod hooks;
mod keep;
mod leave;
mod outcome;
mod seals;
mod settle;
mod under_way;
use allowed::{Untouchable, admitted};
use hooks::Hooks;
pub(crate) use hooks::Pace;
pub(crate) use outcome::is_whole;
use outcome::{Obstacle, as_it_should, failed, healed, recount, soonest};
use under_way::UnderWay;

/// Brings apps to their targets.
pub(crate) struct Syncer {
    journal: Arc<Journal>,
    targets: BTreeMap<TargetName, Landing>,
    limits: SyncLimits,
    notary: Notary,
    keyring: Keyring,
    under_way: UnderWay,
}

/// What the host allows every app of a repository.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SyncLimits {
    /// What may be deleted without a person.
    pub(crate) guard: GuardLimits,
    /// What happens to changes by others, where the app does not report them itself.
    pub(crate) heal: Heal,
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
    /// Whether nothing is left to do, whatever other apps come to: a commit that changes nothing of it may pass it by.
    pub(crate) rests: bool,
}

/// What one run gathers on its way.
struct Run<'a> {
    app: &'a AppName,
    commit: Option<CommitId>,
    /// Whether it applies what the app was rolled back to.
    pinned: bool,
    micros: BTreeMap<String, u64>,
    lap: Instant,
    hooks: Hooks,
    reveal: Arc<dyn Reveal>,
    pace: Pace,
}

impl Syncer {
    /// A syncer onto these targets.
    pub(crate) fn new(
        journal: Arc<Journal>,
        targets: BTreeMap<TargetName, Landing>,
        limits: SyncLimits,
        notary: Notary,
        keyring: Keyring,
    ) -> Syncer {
        Syncer {
            journal,
            targets,
            limits,
            notary,
            keyring,
            under_way: UnderWay::default(),
        }
    }

    /// The journal that it writes to.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Opens all targets; the first one that cannot be opened ends it.
    pub(crate) async fn open_all(&self) -> Result<(), Error> {
        for landing in self.targets.values() {
            landing.target().await?;
        }
        Ok(())
    }

    /// Whether this host binds the target.
    pub(crate) fn binds(&self, target: &TargetName) -> bool {
        self.targets.contains_key(target)
    }

    /// How healthy what an app holds is; `None` where its target does not watch that.
    pub(crate) fn health(&self, app: &AppName) -> Option<Summary> {
        self.journal.status(|s| {
            let known = s.apps.get(app)?;
            let target = self.targets.get(known.target.as_ref()?)?.known()?;
            target.health(known.inventory.iter().map(|(id, _)| id))
        })
    }

    /// Syncs one app of a prepared commit, or removes one that left its manifest. Each step of it is a sign of life.
    ///
    /// # Errors
    /// When the ledger cannot keep what happened; all else is in the report.
    pub(crate) async fn sync(
        &self,
        prepared: &Arc<Prepared>,
        app: &AppName,
        pace: Pace,
    ) -> Result<Report, Error> {
        let begun = self.under_way.begin(app, prepared);
        begun
            .alone(|other, older| self.meets(prepared, app, older, other))
            .await;
        let settle = prepared.apps.get(app).and_then(|a| a.app.settle);
        let pinned = prepared.apps.get(app).and_then(|a| a.pinned.as_ref());
        let run = Run {
            pinned: pinned.is_some(),
            hooks: Hooks::none(settle.map_or(SETTLE_WITHIN, |settle| settle.within)),
            reveal: Arc::new(AsRendered),
            pace,
            app,
            commit: pinned.map_or(prepared.commit, |pinned| pinned.to.commit),
            micros: BTreeMap::new(),
            lap: Instant::now(),
        };
        if self.is_decided_otherwise(prepared, app) {
            return Ok(run.not_now());
        }
        let report = match prepared.apps.get(app) {
            Some(PreparedApp {
                app,
                rendered: Ok(rendered),
                ..
            }) => self.bring(run, prepared, app, rendered).await,
            Some(PreparedApp {
                rendered: Err(e), ..
            }) => self.fail(run, e).await,
            None => self.remove(run, prepared).await,
        };
        report.map(|report| Report {
            rests: self.rests(prepared, &report),
            ..report
        })
    }

    /// Whether what an app wants is what another one, as an older commit has it, may still write or delete.
    fn meets(&self, prepared: &Prepared, app: &AppName, older: &Prepared, other: &AppName) -> bool {
        // A run without Git is none of the schedule's, which keeps runs of one app apart.
        if app == other {
            return true;
        }
        let wanted = prepared.desired.get(app).and_then(Option::as_deref);
        self.journal.status(|s| {
            let here = lands_there(s, prepared, app, other) || lands_there(s, older, app, other);
            let held = s.apps.get(other).map(|a| &a.inventory);
            here && wanted.into_iter().flatten().any(|id| {
                older.wants.of(id).contains(other) || held.is_some_and(|h| h.get(id).is_some())
            })
        })
    }

    async fn bring(
        &self,
        mut run: Run<'_>,
        prepared: &Prepared,
        app: &App,
        rendered: &Rendered,
    ) -> Result<Report, Error> {
        let target_name = &app.target;
        run.micros.clone_from(&rendered.micros);
        if let Some(why) = self.left_behind(run.app, target_name) {
            return self.hold(run, why).await;
        }
        let target = match self.target(target_name).await {
            Ok(target) => target,
            Err(e) => return self.fail(run, &e).await,
        };
        if let Err(e) = admitted(run.app, &target, rendered.validated.objects()).await {
            return self.fail(run, &e).await;
        }
        let output = rendered.validated.output();
        match self.remade(&run, rendered) {
            Some(Ok(hold)) => return self.hold_deletes(run, hold).await,
            Some(Err(e)) => return self.fail(run, &e).await,
            None => {}
        }
        let objects;
        (run.hooks, objects) = Hooks::of(&target, rendered.validated.objects(), run.hooks.within());
        let plan = match self
            .look(&mut run, prepared, &target, &objects, Some(output))
            .await
        {
            Ok(plan) => self.under(app, plan),
            Err(e) => return self.fail(run, &e).await,
        };
        if let Some(hold) = self.guarded(run.app, &plan, output) {
            return self.hold_deletes(run, hold).await;
        }
        let (plan, refused, due) = match self.with_hooks(&run, &target, plan, output).await? {
            Ok(decided) => decided,
            Err(e) => return self.fail(run, &e).await,
        };
        let unchanged = self.is_known(&run, &plan, refused.as_ref(), output);
        let mut counts = plan.counts();
        if plan.is_empty() && unchanged && !due {
            return Ok(run.as_before(&plan, refused));
        }
        match self.revealed(&run, &plan, prepared, &target).await {
            Ok(reveal) => run.reveal = reveal,
            Err(e) => return self.fail(run, &e).await,
        }
        let bytes = match self.keep_output(&run, prepared, app, rendered).await? {
            Ok(bytes) => bytes,
            Err(e) => return self.fail(run, &e).await,
        };
        // Looking and planning take a while: nothing is begun that was decided otherwise by now.
        if self.is_decided_otherwise(prepared, run.app) {
            return Ok(run.not_now());
        }
        let (kept, drifted) = (plan.kept().to_vec(), plan.drifted().to_vec());
        let (heals, well) = (plan.heals().clone(), run.well(&plan));
        let all = self.change_as_due(&mut run, target_name, &target, (plan, due), output);
        let (applied, stopped) = match all.await? {
            Ok((applied, stopped)) => (healed(applied, &heals), stopped),
            Err(e) => return self.fail(run, &e).await,
        };
        counts = recount(counts, &applied);
        let failure = failed(run.app, &applied).or(stopped);
        let retry = soonest([&refused, &failure].into_iter().flatten().map(|o| o.retry));
        let problem = refused.or(failure).map(|o| o.problem);
        let changed = self.changed(&run, rendered, &applied).await;
        let record = SyncRecord {
            bytes: Some(bytes),
            made: rendered.made,
            changed,
            commit: run.commit,
            output,
            plugins: rendered.plugins.clone(),
            target: target_name.clone(),
            prune_on_removal: app.remove == Removal::Prune,
            outcomes: applied.clone(),
            counts,
            kept,
            drifted,
            problem: problem.clone(),
            micros: run.micros.clone(),
        };
        self.keep(run.app, Event::Synced(record)).await?;
        crash_point("after-record");
        let state = if problem.is_some() {
            State::Failed
        } else {
            well
        };
        Ok(run.report(applied, counts, state, problem, retry, true))
    }

    /// Whether the ledger says already how the app stands under such a plan.
    fn is_known(
        &self,
        run: &Run<'_>,
        plan: &Plan,
        refused: Option<&Obstacle>,
        output: Digest,
    ) -> bool {
        self.journal.status(|s| {
            s.apps.get(run.app).is_some_and(|a| {
                let same = a.commit == run.commit && a.output == Some(output);
                a.problem.as_ref() == refused.map(|r| &r.problem)
                    && a.kept == plan.kept()
                    && a.drifted == plan.drifted()
                    && (refused.is_some() || (same && a.state == run.well(plan)))
            })
        })
    }

    /// What a person said that the app takes over, as long as it renders to what they saw.
    fn adopted(&self, app: &AppName, output: Option<Digest>) -> BTreeMap<ResourceId, Uid> {
        self.journal.status(|s| {
            let known = s.apps.get(app).and_then(|a| a.adoption.as_ref());
            let adoption = known.filter(|adoption| Some(adoption.output) == output);
            let objects = adoption.map(|adoption| adoption.objects.iter().cloned());
            objects.into_iter().flatten().collect()
        })
    }

    /// A plan as the app, and the host, keep its objects where others change them.
    fn under(&self, app: &App, plan: Plan) -> Plan {
        let mut policy = app.policy.clone();
        if self.limits.heal == Heal::Report {
            policy.heal = Heal::Report;
        }
        let contested = self.journal.status(|s| {
            let known = s.apps.get(&app.name);
            known.map_or_else(BTreeMap::new, |a| a.heals.contested(now()))
        });
        plan.under(&policy, &contested)
    }

    /// The deletes of a plan that a person has to see first, where there are such.
    fn guarded(&self, app: &AppName, plan: &Plan, output: Digest) -> Option<Hold> {
        self.journal.status(|s| {
            let known = s.apps.get(app)?;
            let (owned, approval) = (known.inventory.len(), known.approval.as_ref());
            guard(plan, owned, output, self.limits.guard, approval)
        })
    }

    /// Observe, then plan.
    async fn look(
        &self,
        run: &mut Run<'_>,
        prepared: &Prepared,
        target: &Target,
        desired: &[Object],
        output: Option<Digest>,
    ) -> Result<Plan, Error> {
        let (mut inventory, mut others) = self.journal.holders(|s, holders| {
            let own = s.apps.get(run.app).map(|a| a.inventory.clone());
            let own = own.unwrap_or_default();
            let all = Neighbours {
                status: s,
                holders,
                desired: &prepared.desired,
                wants: &prepared.wants,
                unrendered: &prepared.unrendered,
            };
            let ids = desired.iter().map(Object::id);
            let ids = ids
                .chain(own.iter().map(|(id, _)| id))
                .chain(run.hooks.ids());
            let others = all.others(run.app, ids, |name| lands_there(s, prepared, run.app, name));
            (own, others)
        });
        others.adopts = self.adopted(run.app, output);
        let held: BTreeSet<ResourceId> = inventory.iter().map(|(id, _)| id.clone()).collect();
        let untouchable = Untouchable::of(target, &held).await?;
        let claim = self.journal.claim(run.app);
        let asked = held.iter().chain(run.hooks.ids()).cloned().collect();
        let live = target.observe(&claim, desired, &asked).await;
        let live = live.map_err(|e| Error::stage("observe", &e))?;
        run.done("observe");
        let refused = untouchable.taken_from(&mut inventory, &live);
        run.hooks.looked(&held, &live, &others);
        // Hooks have a way of their own.
        for id in run.hooks.ids() {
            inventory.release(id);
        }
        let mut plan = plan(desired, &inventory, &live, &others);
        plan.refuse(refused);
        run.done("plan");
        Ok(plan)
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

    async fn target(&self, name: &TargetName) -> Result<Target, Error> {
        let landing = self.targets.get(name).ok_or_else(|| Error::Stage {
            stage: "observe",
            fault: Fault::Host,
            retry: Retry::OnChange,
            message: format!(
                "target {name} is not bound on this host: give --target {name}=dir:PATH or --target {name}=kube:CONTEXT"
            ),
        })?;
        landing.target().await.cloned().map_err(Error::at_start)
    }
}

impl Run<'_> {
    /// How the app stands when such a plan is wholly done.
    fn well(&self, plan: &Plan) -> State {
        match as_it_should(plan) {
            State::Synced if self.pinned => State::Pinned,
            state => state,
        }
    }

    fn done(&mut self, stage: &str) {
        let spent = u64::try_from(self.lap.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.micros.insert(stage.to_owned(), spent);
        self.lap = Instant::now();
        self.pace.pulse().beat();
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
            rests: false,
        }
    }
}

/// Whether an app may have to do with the same objects as another one: it lands where that one does, or where is not
/// known. One identity in two targets is two objects.
fn lands_there(status: &Status, prepared: &Prepared, app: &AppName, other: &AppName) -> bool {
    fn meant<'p>(prepared: &'p Prepared, name: &AppName) -> Option<&'p TargetName> {
        prepared.apps.get(name).map(|a| &a.app.target)
    }
    let known = |name: &AppName| status.apps.get(name).and_then(|a| a.target.as_ref());
    let own = meant(prepared, app).or(known(app));
    match (meant(prepared, other), known(other)) {
        (None, None) => true,
        (meant, known) => meant == own || (known.is_some() && known == own),
    }
}
