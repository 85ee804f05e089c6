//! The wait from synced to healthy: one task for each app that is waited for, and what the ledger keeps of health.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::Instrument as _;
use weir_core::digest::CommitId;
use weir_core::grant::Millis;
use weir_core::health::{Health, Summary};
use weir_core::manifest::SETTLE_WITHIN;
use weir_core::name::AppName;
use weir_core::object::ResourceId;
use weir_core::record::Problem;
use weir_core::schedule::Event;
use weir_core::settle;

use super::{Done, Loop, work};
use crate::open::Opened;
use crate::progress::Line;
use crate::sync::Report;

/// The first and the longest pause between two looks at an app that is waited for. Looks at what is watched ask the
/// cluster nothing.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));
/// How long an app has to be unhealthy until the ledger keeps it: a rollout is no news, and what goes up and down all
/// the time must not fill the disk.
const LASTS: Duration = Duration::from_secs(60);
/// How long it has to be healthy: what many apps become at once is kept at once.
const READY_LASTS: Duration = Duration::from_secs(1);

/// The apps that are waited for, and those whose health the ledger is still to hear of.
#[derive(Default)]
pub(super) struct Settling {
    apps: BTreeMap<AppName, One>,
    /// When the ledger is told, unless it is another word by then.
    due: BTreeMap<AppName, Instant>,
    line: Option<Line>,
}

/// One app that is waited for. Its task ends with it.
struct One {
    commit: CommitId,
    within: Millis,
    health: BTreeMap<ResourceId, Health>,
    said: bool,
    bell: Arc<Notify>,
    task: AbortHandle,
}

impl Drop for One {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Settling {
    /// Nobody is waited for any more.
    pub(super) fn end_all(&mut self) {
        self.apps.clear();
        self.line = None;
    }

    /// Nobody waits for this app any more.
    pub(super) fn end(&mut self, app: &AppName) {
        self.apps.remove(app);
        if self.apps.is_empty() {
            self.line = None;
        }
    }

    /// The health of something of these apps is another.
    pub(super) fn ring(&self, apps: &BTreeSet<AppName>) {
        for app in apps {
            if let Some(one) = self.apps.get(app) {
                one.bell.notify_one();
            }
        }
    }

    /// An app's health is another: whether the ledger is to hear of it, and when.
    pub(super) fn heard(&mut self, app: &AppName, before: Option<Health>, now: Option<Health>) {
        let word = |health: &Option<Health>| health.as_ref().map(Health::as_str);
        if word(&before) == word(&now) {
            return;
        }
        match now {
            None => self.due.remove(app),
            Some(now) if now.is_ready() => {
                self.due.insert(app.clone(), Instant::now() + READY_LASTS)
            }
            Some(_) => self.due.insert(app.clone(), Instant::now() + LASTS),
        };
    }

    /// How long until the ledger is to hear something.
    pub(super) fn wake(&self) -> Duration {
        let next = self.due.values().min();
        next.map_or(Duration::MAX, |at| {
            at.saturating_duration_since(Instant::now())
        })
    }

    fn say(&mut self) {
        let waiting: Vec<_> = self.apps.iter().filter(|(_, one)| one.said).collect();
        let Some((app, first)) = waiting.first() else {
            self.line = None;
            return;
        };
        let more = match waiting.len() {
            1 => String::new(),
            n => format!(" (and {} more apps)", n - 1),
        };
        let health = Summary::of(&first.health).health();
        let text = format!("waiting for app {app}: {health}{more}");
        match &self.line {
            Some(line) => line.say(text),
            None => self.line = Some(Line::begin(text)),
        }
    }
}

impl Loop<'_> {
    /// Begins to look after an app that was just synced. Where nothing is to be waited for, it is healthy at once: in a
    /// directory, or where nothing changed since it was.
    pub(super) fn look_after(&mut self, app: AppName, commit: CommitId) -> Option<Event> {
        self.settling.apps.remove(&app);
        let opened = self.opened.clone()?;
        let report = self.ended.reports.get(&app);
        let (synced, changed) =
            report.map_or((true, false), |r| (r.state.is_done(), Report::changed(r)));
        let syncer = &opened.syncer;
        if !synced || !syncer.has_health(&app) || (!changed && syncer.was_healthy(&app)) {
            return Some(Event::Settled(app, commit));
        }
        let prepared = self.prepared.as_ref().and_then(|p| p.apps.get(&app));
        let within = prepared.and_then(|p| work::within(&p.app, true));
        let bell = Arc::new(Notify::new());
        let watch = watch(
            opened.clone(),
            app.clone(),
            commit,
            bell.clone(),
            self.send.clone(),
        );
        let one = One {
            commit,
            within: within.unwrap_or(SETTLE_WITHIN),
            health: syncer.not_seen(&app),
            said: false,
            bell,
            task: tokio::spawn(watch.in_current_span()).abort_handle(),
        };
        self.settling.apps.insert(app, one);
        None
    }

    /// How healthy an app that is waited for is now, as the schedule hears it.
    pub(super) async fn assessed(
        &mut self,
        app: AppName,
        commit: CommitId,
        health: BTreeMap<ResourceId, Health>,
    ) -> Event {
        let Some(one) = self.settling.apps.get_mut(&app) else {
            return Event::Tick;
        };
        if one.commit != commit {
            return Event::Tick;
        }
        let summary = Summary::of(&health);
        if !summary.health().is_ready() {
            one.health = health;
            if !std::mem::replace(&mut one.said, true) {
                let (within, now) = (one.within, summary.health());
                tracing::info!(%app, "is synced; waiting at most {within} until it is healthy: {now}");
            }
            self.settling.say();
            return Event::Tick;
        }
        let said = one.said;
        self.settling.apps.remove(&app);
        self.settling.say();
        self.ended.late.remove(&app);
        if said {
            self.teller.health(&app, Some(&summary));
        }
        self.keep_health(vec![(app.clone(), summary, None)]).await;
        Event::Settled(app, commit)
    }

    /// An app took too long. It is looked after as before: what comes after it goes on when it is healthy.
    pub(super) async fn late(&mut self, app: &AppName) -> Option<Event> {
        let one = self.settling.apps.get_mut(app)?;
        // From here on nobody is kept waiting by it.
        one.said = false;
        let problem = settle::late(app, one.within, &one.health);
        let summary = Summary::of(&one.health);
        self.settling.say();
        self.ended.late.insert(app.clone(), problem.clone());
        let late = vec![(app.clone(), summary, Some(problem.clone()))];
        if self.keep_health(late).await {
            tracing::error!(%app, stage = %problem.stage, fault = problem.fault.as_str(), "failed: {}", problem.message);
        }
        self.go_back(app, &problem).await
    }

    /// Keeps what the ledger is to hear of health by now.
    pub(super) async fn keep_lasting(&mut self) {
        let now = Instant::now();
        let due: Vec<AppName> = self
            .settling
            .due
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(app, _)| app.clone())
            .collect();
        let mut all = Vec::new();
        for app in due {
            if self.schedule.is_running(&app) {
                // What it is healthy with is being changed: later.
                self.settling.due.insert(app, now + PAUSES.1);
                continue;
            }
            self.settling.due.remove(&app);
            if let Some(health) = self.ended.health.get(&app).cloned() {
                all.push((app, health, None));
            }
        }
        self.keep_health(all).await;
    }

    /// Keeps how healthy each app is now.
    pub(super) async fn keep_all(&mut self) {
        let all = self.ended.health.clone().into_iter();
        self.keep_health(all.map(|(app, health)| (app, health, None)).collect())
            .await;
    }

    /// Whether it was news.
    async fn keep_health(&mut self, all: Vec<(AppName, Summary, Option<Problem>)>) -> bool {
        let Some(opened) = self.opened.clone() else {
            return false;
        };
        match opened.syncer.keep_health(all).await {
            Ok(false) => false,
            Ok(true) => {
                self.teller.assessed(self.follow.opening.known());
                true
            }
            Err(e) => {
                tracing::error!("{e}");
                self.ended.problem = Some(e);
                true
            }
        }
    }
}

/// Looks at an app until it is healthy; says each change.
async fn watch(
    opened: Arc<Opened>,
    app: AppName,
    commit: CommitId,
    bell: Arc<Notify>,
    send: mpsc::Sender<Done>,
) {
    let mut pause = PAUSES.0;
    let mut last = None;
    loop {
        // No target any more: nothing to wait for.
        let health = opened.syncer.assess(&app).await.unwrap_or_default();
        let ready = Summary::of(&health).health().is_ready();
        if last.as_ref() != Some(&health) {
            let said = Done::Assessed(app.clone(), commit, health.clone());
            if send.send(said).await.is_err() {
                return;
            }
            last = Some(health);
            pause = PAUSES.0;
        }
        if ready {
            return;
        }
        // It rings where something is noticed; what is not watched is asked for again.
        let _ = tokio::time::timeout(pause, bell.notified()).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}
