//! What people hear: one line for each thing that is news, numbers for the API.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use weir_api::{FetchResult, Metrics, RenderResult, SyncResult};
use weir_core::commit_policy::Refused;
use weir_core::digest::CommitId;
use weir_core::health::{Health, Summary};
use weir_core::name::AppName;
use weir_core::record::{CommitRecord, Movement};
use weir_core::stake::Ended;
use weir_core::status::State;

use crate::error::Error;
use crate::journal::Journal;
use crate::prepare::Prepared;
use crate::read_model::{Publisher, refusal};
use crate::sync::{Report, is_whole};

/// How many objects one sync names.
const SHOWN_OBJECTS: usize = 20;
/// How many notes of one commit are shown.
const SHOWN_NOTES: usize = 20;

/// Stages that run once for each commit.
const RENDER_STAGES: &[&str] = &["render", "transform", "validate"];
/// Stages that run at each look at a target.
const SYNC_STAGES: &[&str] = &["observe", "plan", "stake", "apply"];

/// Says what is news. A check that finds nothing new says nothing.
pub(crate) struct Teller {
    publisher: Publisher,
    metrics: Metrics,
    fetch_problem: Option<String>,
    prepare_problem: Option<String>,
    moved: bool,
    /// The refusal that was said last.
    refused: Option<Refused>,
    /// What is shown is older than what is known.
    owed: bool,
    /// When it may be shown anew.
    next: Instant,
}

/// Of this many parts of the time one may be spent on showing how things stand: with very many apps each view costs
/// milliseconds, and each run that ends is news.
const SHARE: u32 = 20;

impl Teller {
    /// A teller that publishes here too.
    pub(crate) fn new(publisher: Publisher, metrics: Metrics) -> Teller {
        Teller {
            publisher,
            metrics,
            fetch_problem: None,
            prepare_problem: None,
            moved: false,
            refused: None,
            owed: false,
            next: Instant::now(),
        }
    }

    /// How long until what is known may be shown, where that is owed.
    pub(crate) fn owes_in(&self) -> Option<Duration> {
        self.owed
            .then(|| self.next.saturating_duration_since(Instant::now()))
    }

    /// Shows how things stand, where that is owed and its time has come.
    pub(crate) fn pay(&mut self, journal: Option<&Journal>) {
        if self.owed {
            self.publish(journal);
        }
    }

    /// Shows how things stand, where that is owed.
    pub(crate) fn pay_now(&mut self, journal: Option<&Journal>) {
        if self.owed {
            self.show(journal);
        }
    }

    /// The ref moved.
    pub(crate) fn moved(&mut self, record: &CommitRecord) {
        self.moved = true;
        self.refused = None;
        let (commit, subject, author) = (record.commit.short(), &record.subject, &record.author);
        if let Some(signer) = &record.signer {
            tracing::info!(%commit, "{commit} is signed by {signer}");
        }
        match record.movement {
            Movement::First => {
                tracing::info!(%commit, %author, "following from commit {commit}: {subject}");
            }
            Movement::Forward(from) => {
                tracing::info!(%commit, from = %from.short(), %author, "new commit {commit}: {subject}");
            }
            Movement::Rewritten(from) => {
                tracing::warn!(%commit, from = %from.short(), %author, "history was rewritten: {} is now {commit}: {subject}", from.short());
            }
        }
    }

    /// The ref points at a commit that is not followed.
    pub(crate) fn refused(&mut self, refused: &Refused) {
        if self.refused.as_ref() == Some(refused) {
            return;
        }
        self.refused = Some(refused.clone());
        let (commit, kind) = (refused.commit.short(), &refused.kind);
        let (author, committer) = (&refused.author, &refused.committer);
        tracing::error!(%commit, %kind, %author, %committer, "{}", refusal(refused));
    }

    /// A fetch ended. `held`: what it found is not followed.
    pub(crate) fn fetched(
        &mut self,
        problem: Option<&Error>,
        held: bool,
        journal: Option<&Journal>,
    ) {
        let result = match (problem, std::mem::take(&mut self.moved)) {
            (Some(_), _) => FetchResult::Failed,
            (None, _) if held => FetchResult::Refused,
            (None, true) => FetchResult::Moved,
            (None, false) => FetchResult::Unchanged,
        };
        self.metrics.fetched(self.publisher.repository(), result);
        self.publisher.has_fetched();
        let problem = problem.map(ToString::to_string);
        if problem != self.fetch_problem {
            match &problem {
                Some(message) => tracing::error!("{message}; the last good state stays"),
                None => tracing::info!("the repository answers again"),
            }
            self.fetch_problem = problem;
        }
        self.publish(journal);
    }

    /// These are the apps of the commit that is followed.
    pub(crate) fn wants<'n>(
        &mut self,
        commit: Option<CommitId>,
        apps: impl Iterator<Item = &'n AppName>,
    ) {
        self.publisher.wants(commit, apps.cloned().collect());
        self.owed = true;
    }

    /// A commit was read and rendered.
    pub(crate) fn prepared(&mut self, prepared: &Prepared) {
        self.prepare_problem = None;
        for warning in &prepared.warnings {
            tracing::warn!("{warning}");
        }
        // What is as it was at the commit before was said then.
        let fresh = || {
            prepared
                .fresh
                .difference(&prepared.rewritten)
                .filter_map(|name| prepared.apps.get(name))
        };
        let notes = fresh().flat_map(|a| a.rendered.iter().map(move |r| (&a.app.name, r)));
        let notes: Vec<_> = notes
            .flat_map(|(app, r)| r.validated.notes().iter().map(move |n| (app, n)))
            .collect();
        for (app, note) in notes.iter().take(SHOWN_NOTES) {
            tracing::warn!(%app, "{note}");
        }
        if notes.len() > SHOWN_NOTES {
            tracing::warn!(
                "... and {} more notes; `weir render` shows all",
                notes.len() - SHOWN_NOTES
            );
        }
        let seconds = prepared.spent.as_secs_f64();
        self.metrics.stage("prepare", seconds);
        tracing::debug!(
            seconds,
            "{} of {} apps are not as at the commit before",
            prepared.fresh.len(),
            prepared.apps.size()
        );
        for app in fresh().filter_map(|a| a.rendered.as_ref().ok()) {
            self.stages(RENDER_STAGES, &app.micros);
            let result = match app.reused {
                true => RenderResult::Reused,
                false => RenderResult::Made,
            };
            self.metrics.rendered(self.publisher.repository(), result);
        }
    }

    /// A commit changed nothing of so many apps.
    pub(crate) fn carried(&mut self, count: usize, to: CommitId, journal: &Journal) {
        let commit = to.short();
        tracing::info!(%commit, "{count} apps are at {commit} as they were: it changes nothing of them");
        self.publish(Some(journal));
    }

    /// A commit could not be read: nothing changes.
    pub(crate) fn not_prepared(&mut self, error: &Error, journal: &Journal) {
        let message = error.to_string();
        if self.prepare_problem.as_ref() != Some(&message) {
            tracing::error!("{message}\nthe last good state stays");
            self.prepare_problem = Some(message);
        }
        self.publish(Some(journal));
    }

    /// One app was synced, or was not.
    pub(crate) fn synced(&mut self, report: &Report, journal: &Journal) {
        let changed = report.outcomes.iter().any(|o| sign(&o.ended).is_some());
        let result = match report.state {
            State::Failed | State::Pending => SyncResult::Failed,
            State::Held => SyncResult::Held,
            State::Synced | State::Drifted | State::Pinned if changed => SyncResult::Changed,
            State::Synced | State::Drifted | State::Pinned => SyncResult::Unchanged,
        };
        self.metrics.synced(journal.repository(), result);
        self.stages(SYNC_STAGES, &report.micros);
        if report.is_news {
            tell_report(report, changed);
        }
        self.publish(Some(journal));
    }

    /// An app is so healthy now, or nothing is known of it. Said where that is another word than before.
    pub(crate) fn health(&mut self, app: &AppName, health: Option<&Summary>) {
        let before = self.publisher.health(app, health.cloned());
        let Some(health) = health else { return };
        let now = health.health();
        if before.is_some_and(|before| before.health().as_str() == now.as_str()) {
            return;
        }
        match now {
            Health::Failed(_) => tracing::error!(%app, "{now}"),
            Health::Terminating(_) => tracing::warn!(%app, "{now}"),
            Health::Healthy => tracing::info!(%app, "healthy: all {} objects", health.total()),
            Health::Progressing(_) | Health::Suspended(_) => tracing::info!(%app, "{now}"),
        }
    }

    /// The health of some apps is another.
    pub(crate) fn assessed(&mut self, journal: Option<&Journal>) {
        self.publish(journal);
    }

    /// Counts the stages that just ran. A report carries its render's times too, which were counted once when
    /// the commit was prepared: a check that renders nothing must not count them again.
    fn stages(&self, ran: &[&'static str], micros: &BTreeMap<String, u64>) {
        for stage in ran {
            if let Some(micros) = micros.get(*stage) {
                self.metrics
                    .stage(stage, Duration::from_micros(*micros).as_secs_f64());
            }
        }
    }

    /// The repository is followed no more, or not yet: what the ledger knows of it is shown.
    pub(crate) fn suspended(&self, journal: Option<&Journal>, problem: Option<&str>) {
        self.publisher.publish(journal, problem);
    }

    fn publish(&mut self, journal: Option<&Journal>) {
        self.owed = true;
        if self.next <= Instant::now() {
            self.show(journal);
        }
    }

    fn show(&mut self, journal: Option<&Journal>) {
        let begun = Instant::now();
        self.owed = false;
        self.publisher.publish(
            journal,
            self.fetch_problem
                .as_deref()
                .or(self.prepare_problem.as_deref()),
        );
        let ended = Instant::now();
        self.next = ended + (ended - begun) * SHARE;
    }
}

fn tell_report(report: &Report, changed: bool) {
    let (app, commit) = (
        &report.app,
        report
            .commit
            .map_or_else(|| "the work tree".to_owned(), |c| c.short()),
    );
    let changes = report
        .outcomes
        .iter()
        .filter_map(|o| sign(&o.ended).map(|sign| (sign, &o.id)));
    let changes: Vec<_> = changes.collect();
    for (sign, id) in changes.iter().take(SHOWN_OBJECTS) {
        tracing::info!(%app, %commit, "  {sign} {id}");
    }
    if changes.len() > SHOWN_OBJECTS {
        tracing::info!(%app, %commit, "  ... and {} more", changes.len() - SHOWN_OBJECTS);
    }
    let counts = report.counts;
    match (&report.problem, report.state) {
        (Some(problem), State::Held) => tracing::warn!(%app, %commit, "held: {}", problem.message),
        (Some(problem), _) => {
            tracing::error!(%app, %commit, stage = %problem.stage, fault = problem.fault.as_str(), "failed: {}", problem.message);
        }
        (None, State::Pending) => {
            tracing::info!(%app, %commit, "waits for objects that move to another app");
        }
        (None, State::Drifted) => {
            tracing::warn!(%app, %commit, "drifted: others changed some of its objects, and they stay so (heal: report): weir diff --live shows what");
        }
        (None, State::Pinned) => {
            tracing::warn!(%app, %commit, "pinned: it was rolled back to what it was at {commit} and stays there ({counts}); weir resume {app} follows Git again");
        }
        (None, _) if changed => tracing::info!(%app, %commit, "synced to {commit}: {counts}"),
        (None, _) => tracing::info!(%app, %commit, "is at {commit}: nothing to change"),
    }
}

/// How a change is shown: + created, ~ updated, - pruned.
fn sign(ended: &Ended) -> Option<char> {
    match ended {
        Ended::Created(_) => Some('+'),
        Ended::Healed(_, healed) if is_whole(healed) => Some('+'),
        Ended::Updated(_) | Ended::Healed(..) => Some('~'),
        Ended::Pruned => Some('-'),
        Ended::Confirmed(_) | Ended::Forgotten | Ended::Failed(_) | Ended::Skipped => None,
    }
}

/// The apps of a status by state, for a summary line.
pub(crate) fn count_states<'a>(states: impl Iterator<Item = &'a State>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for state in states {
        *counts.entry(state.as_str()).or_default() += 1;
    }
    counts
        .iter()
        .map(|(state, n)| format!("{n} {state}"))
        .collect::<Vec<_>>()
        .join(", ")
}
