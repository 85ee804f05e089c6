//! The one loop: events in, the schedule decides, each command is a task that reports back with an event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tracing::Instrument as _;
use weir_api::{Asked, NotDecided};
use weir_core::digest::CommitId;
use weir_core::fault::{Blame as _, Retry};
use weir_core::health::{Health, Summary};
use weir_core::name::AppName;
use weir_core::object::ResourceId;
use weir_core::record::Problem;
use weir_core::schedule::{Command, Event, Node, Now, Schedule, Settings};
use weir_core::status::State;
use weir_core::turns::Lane;

use crate::control::FetchBoard;
use crate::crash::crash_point;
use crate::error::Error;
use crate::open::{Opened, Opening};
use crate::pins;
use crate::prepare::{Host, Prepared};
use crate::sync::{Pace, Report};
use crate::tell::Teller;
use crate::turns::{OwnTurns, Turns};

mod carry;
mod commit;
mod decide;
mod rollback;
mod settle;
mod trust;
mod wait;
mod work;
use commit::keep_problem;
use trust::Looked;
use wait::Settling;

/// How long a stop waits for what is in flight.
const STOP_WAIT: Duration = Duration::from_secs(30);
/// Events that may wait for the loop: every task sends one, so this bounds tasks, not memory.
const EVENTS: usize = 1024;

/// What comes from outside the loop.
#[derive(Debug)]
pub(crate) enum Signal {
    /// Fetch now.
    Refresh,
    /// Keep what a person decided, and say that it is kept.
    Decide(Box<Asked>, oneshot::Sender<Result<(), NotDecided>>),
    /// Stop.
    Stop,
}

/// What a repository is followed with.
pub(crate) struct Follow {
    /// What opens it.
    pub(crate) opening: Opening,
    /// It opened, where that has to work before the loop begins. Otherwise each fetch tries until it has.
    pub(crate) opened: Option<Arc<Opened>>,
    /// What renders need.
    pub(crate) host: Arc<Host>,
    /// Whose turn it is to fetch and to sync.
    pub(crate) queues: Queues,
    /// The schedule's settings.
    pub(crate) settings: Settings,
    /// Where it says how its fetches go.
    pub(crate) fetches: FetchBoard,
    /// Where the jitter comes from: another number for each repository.
    pub(crate) seed: u64,
    /// When to end.
    pub(crate) round: Round,
}

/// When a loop ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    /// Never: it follows.
    Forever,
    /// When everything was tried once.
    Once,
    /// When everything was tried once and is healthy, or failed, or this time is over.
    UntilHealthy(Duration),
}

/// What repositories wait for each other with. Renders have the host's own. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Queues {
    /// Fetches at once.
    pub(crate) fetches: Turns,
    /// Apps that sync at once.
    pub(crate) syncs: Turns,
}

/// What is known when the loop ends.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// The last report of each app.
    pub(crate) reports: BTreeMap<AppName, Report>,
    /// Apps that never ran, since one that they come after is not synced.
    pub(crate) waiting: Vec<AppName>,
    /// Why the repository as a whole could not be synced.
    pub(crate) problem: Option<Error>,
    /// The commit that the ref points at and that is not followed, and why.
    pub(crate) refused: Option<String>,
    /// How healthy each app is, where its target watches that.
    pub(crate) health: BTreeMap<AppName, Summary>,
    /// Apps that are synced, were not healthy within their time and still are not: what is missing.
    pub(crate) late: BTreeMap<AppName, Problem>,
}

/// What a task tells the loop.
enum Done {
    /// With the repository, where it is open by now.
    Fetch(Option<Arc<Opened>>, Result<Looked, Error>),
    Prepare(CommitId, Box<Result<Arc<Prepared>, Error>>),
    /// `None`: the host stops, and its turn had not come.
    Sync(AppName, CommitId, Option<Box<Result<Report, Error>>>),
    /// Of an app that went back to a record while no commit was known.
    Alone(AppName, Option<Box<Result<Report, Error>>>),
    /// How healthy each object is of an app that is waited for. Nothing in flight ends with it.
    Assessed(AppName, CommitId, BTreeMap<ResourceId, Health>),
}

/// The loop's own state: one owner, no lock.
struct Loop<'a> {
    follow: Arc<Follow>,
    schedule: Schedule,
    teller: &'a mut Teller,
    send: mpsc::Sender<Done>,
    started: Instant,
    stop: Arc<AtomicBool>,
    in_flight: usize,
    opened: Option<Arc<Opened>>,
    prepared: Option<Arc<Prepared>>,
    /// This repository's way to the turns of all.
    syncs: OwnTurns,
    /// The number of what was prepared last; nothing when it stops. Runs that wait for hooks hear it.
    newest: watch::Sender<Option<u64>>,
    /// How often something was prepared.
    turn: u64,
    /// Apps that go back to a record while no commit is known.
    alone: BTreeSet<AppName>,
    settling: Settling,
    ended: Ended,
}

/// Follows a repository until it is told to stop; once round where `once` is set.
pub(crate) async fn follow(
    follow: Follow,
    mut signals: mpsc::Receiver<Signal>,
    teller: &mut Teller,
) -> Ended {
    let (send, mut receive) = mpsc::channel(EVENTS);
    let mut it = Loop {
        schedule: Schedule::new(follow.settings, follow.seed),
        opened: follow.opened.clone(),
        syncs: follow.queues.syncs.own(),
        follow: Arc::new(follow),
        teller,
        send,
        started: Instant::now(),
        stop: Arc::new(AtomicBool::new(false)),
        in_flight: 0,
        prepared: None,
        newest: watch::Sender::new(Some(0)),
        turn: 0,
        alone: BTreeSet::new(),
        settling: Settling::default(),
        ended: Ended::default(),
    };
    let mut going = it.on(Event::Tick).await;
    let mut stop_by: Option<tokio::time::Instant> = None;
    while going {
        it.keep_lasting().await;
        it.teller.pay(it.follow.opening.known());
        let wake = it.wake();
        let noticing = it.follow.clone();
        let event = tokio::select! {
            done = receive.recv() => match done {
                Some(done) => it.take(done).await,
                None => break,
            },
            signal = signals.recv(), if stop_by.is_none() => match signal {
                Some(Signal::Refresh) => Event::Requested,
                Some(Signal::Decide(asked, answer)) => it.decided(*asked, answer).await,
                Some(Signal::Stop) | None => {
                    stop_by = Some(tokio::time::Instant::now() + STOP_WAIT);
                    it.stop.store(true, Ordering::Relaxed);
                    it.newest.send_replace(None);
                    Event::Stopping
                }
            },
            noticed = noticing.opening.noticed(), if stop_by.is_none() => {
                going = it.noticed(noticed).await;
                continue;
            }
            () = tokio::time::sleep(wake), if stop_by.is_none() => Event::Tick,
            () = sleep_until(stop_by), if stop_by.is_some() => {
                tracing::warn!("stopping without waiting longer: {} tasks are still in flight; the next start picks them up", it.in_flight);
                break;
            }
        };
        going = it.on(event).await;
        let idle = it.in_flight == 0 && !it.schedule.is_settling();
        if it.follow.round != Round::Forever && idle {
            break;
        }
    }
    if let Round::UntilHealthy(wait) = it.follow.round {
        it.settle(wait, &mut signals).await;
        it.keep_all().await;
    }
    it.teller.pay_now(it.follow.opening.known());
    it.finish()
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    if let Some(deadline) = deadline {
        tokio::time::sleep_until(deadline).await;
    }
}

impl Loop<'_> {
    fn now(&self) -> Now {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(Now::MAX)
    }

    fn wake(&self) -> Duration {
        let now = self.now();
        let at = self.schedule.wake_at(now).unwrap_or(now + 60_000);
        let scheduled = Duration::from_millis(at.saturating_sub(now).max(1));
        let owed = self.teller.owes_in().unwrap_or(Duration::MAX);
        scheduled.min(self.settling.wake()).min(owed)
    }

    /// One event through the schedule; false when nothing will happen any more.
    async fn on(&mut self, event: Event) -> bool {
        let mut known = Vec::new();
        if matches!(event, Event::Prepared(_, Ok(_))) && self.is_unready() {
            known.push(Event::Unready);
        }
        let mut next = Some(event);
        while let Some(event) = next {
            for command in self.schedule.on(self.now(), event) {
                match command {
                    Command::Fetch => self.fetch(),
                    Command::Prepare(commit) => self.prepare(commit),
                    Command::Sync(app, commit) => {
                        self.read_pin_again(&app).await;
                        self.sync(app, commit);
                    }
                    // What is known to be healthy is told at once.
                    Command::Settle(app, commit) => known.extend(self.look_after(app, commit)),
                    Command::Carry(carry) => self.carry(carry).await,
                    Command::Late(app, _) => known.extend(self.late(&app).await),
                    Command::Stopped => return false,
                }
            }
            next = known.pop();
        }
        true
    }

    /// Whether some app that lands here could not be rendered, and may be later without another commit.
    fn is_unready(&self) -> bool {
        let (Some(prepared), Some(opened)) = (&self.prepared, &self.opened) else {
            return false;
        };
        let apps = prepared.unrendered.iter();
        let mut apps = apps.filter_map(|name| prepared.apps.get(name));
        apps.any(|app| {
            let failed = app.rendered.as_ref().err();
            opened.syncer.binds(&app.app.target)
                && failed.is_some_and(|e| e.retry() == Retry::Backoff)
        })
    }

    fn spawn(&mut self, task: impl Future<Output = Done> + Send + 'static) {
        self.in_flight += 1;
        let send = self.send.clone();
        let task = async move {
            // The loop is gone only when the host ends: then nobody waits for this.
            let _ = send.send(task.await).await;
        };
        tokio::spawn(task.in_current_span());
    }

    /// A newer commit is waited for, not an older one. Of the same one once more only what was made anew is.
    fn go_over_to(&mut self, prepared: &Prepared) {
        let before = self.prepared.as_ref().and_then(|before| before.commit);
        if before.is_some() && before == prepared.commit {
            for app in &prepared.fresh {
                self.settling.end(app);
                self.ended.late.remove(app);
            }
            return;
        }
        self.settling.end_all();
        self.take_over();
        self.ended.late.clear();
    }

    /// Runs of what was prepared before wait for nothing any more.
    fn take_over(&mut self) {
        self.turn += 1;
        self.newest.send_replace(Some(self.turn));
    }

    fn fetch(&mut self) {
        self.follow.fetches.begun();
        let (follow, opened, stop) = (self.follow.clone(), self.opened.clone(), self.stop.clone());
        self.spawn(async move {
            let (opened, result) = follow.fetch(opened, stop).await;
            crash_point("fetched");
            Done::Fetch(opened, result)
        });
    }

    fn prepare(&mut self, commit: CommitId) {
        let (follow, opened, stop) = (self.follow.clone(), self.opened.clone(), self.stop.clone());
        self.spawn(async move {
            let result = match opened {
                Some(opened) => follow.prepare(&opened, commit, stop).await,
                None => Err(Error::host("snapshot", "nothing is open")),
            };
            crash_point("prepared");
            Done::Prepare(commit, Box::new(result.map(Arc::new)))
        });
    }

    fn sync(&mut self, app: AppName, commit: CommitId) {
        let lane = self.schedule.lane(&app);
        let run = Box::pin(self.run_of(app.clone(), lane, self.prepared.clone()));
        self.spawn(async move { Done::Sync(app, commit, run.await) });
    }

    /// A run of an app of what is prepared; nothing where the host stops before its turn came.
    fn run_of(
        &self,
        app: AppName,
        lane: Option<Lane>,
        prepared: Option<Arc<Prepared>>,
    ) -> impl Future<Output = Option<Box<Result<Report, Error>>>> + Send + use<> {
        let (opened, turns) = (self.opened.clone(), self.syncs.clone());
        let newest = self.newest.subscribe();
        let own = *newest.borrow();
        async move {
            let turn = turns.take(lane).await?;
            let run = async |pulse| match (opened, prepared) {
                (Some(opened), Some(prepared)) => {
                    let pace = Pace::new(pulse, newest, own);
                    opened.syncer.sync(&prepared, &app, pace).await
                }
                _ => Err(Error::host("plan", "nothing is prepared")),
            };
            Some(Box::new(turn.run(run).await))
        }
    }

    /// A task's end as the schedule's event; all that people and the ledger should know is told here.
    async fn take(&mut self, done: Done) -> Event {
        if !matches!(done, Done::Assessed(..)) {
            self.in_flight -= 1;
        }
        match done {
            Done::Assessed(app, commit, health) => self.assessed(app, commit, health).await,
            Done::Fetch(opened, result) => {
                self.opened = opened;
                let fetched = self.fetched(result).await;
                if fetched.is_err() {
                    self.go_back_alone().await;
                }
                Event::Fetched(fetched)
            }
            Done::Prepare(commit, result) => Event::Prepared(commit, self.prepared(*result).await),
            Done::Alone(app, result) => {
                self.alone.remove(&app);
                if let Some(result) = result {
                    // The next fetch that fails tries again what failed.
                    let _ = self.synced(&app, *result);
                }
                Event::Tick
            }
            Done::Sync(app, commit, None) => Event::Synced(app, commit, Err(Retry::OnChange)),
            Done::Sync(app, commit, Some(result)) => {
                let result = self.synced(&app, *result);
                Event::Synced(app, commit, result)
            }
        }
    }

    async fn prepared(&mut self, result: Result<Arc<Prepared>, Error>) -> Result<Vec<Node>, Retry> {
        let Some(opened) = self.opened.clone() else {
            return Err(Retry::Backoff);
        };
        // Here, where decisions arrive, too: none is made between.
        let result = match result {
            Ok(prepared) => {
                let limits = self.follow.host.output;
                pins::pinned(opened.syncer.journal(), prepared, limits).await
            }
            Err(e) => Err(e),
        };
        match result {
            Ok(prepared) => {
                self.teller.prepared(&prepared);
                self.go_over_to(&prepared);
                let nodes = self.nodes(&opened, &prepared);
                let own = nodes.iter().map(|node| &node.app);
                self.teller.wants(prepared.commit, own);
                self.prepared = Some(prepared);
                Ok(nodes)
            }
            Err(e) => {
                let journal = opened.syncer.journal();
                keep_problem(journal, &e.problem()).await;
                self.teller.not_prepared(&e, journal);
                let retry = e.retry();
                self.ended.problem = Some(e);
                // A rollback needs no commit.
                self.go_back_alone().await;
                Err(retry)
            }
        }
    }

    fn synced(&mut self, app: &AppName, result: Result<Report, Error>) -> Result<(), Retry> {
        match result {
            Ok(report) => {
                if let Some(journal) = self.follow.opening.known() {
                    self.teller.synced(&report, journal);
                }
                if self.assess(app) {
                    self.teller.assessed(self.follow.opening.known());
                }
                let ended = match report.state {
                    // Held: nothing of it is done, and only a person or another commit changes that.
                    State::Failed | State::Pending | State::Held => Err(report.retry),
                    State::Synced | State::Drifted | State::Pinned => Ok(()),
                };
                self.ended.reports.insert(app.clone(), report);
                ended
            }
            Err(e) => {
                tracing::error!(app = %app, "{e}");
                let retry = e.retry();
                self.ended.problem = Some(e);
                Err(retry)
            }
        }
    }

    fn finish(mut self) -> Ended {
        if let (Some(opened), Some(prepared)) = (&self.opened, &self.prepared) {
            let nodes = self.nodes(opened, prepared);
            let ran = &self.ended.reports;
            self.ended.waiting = nodes
                .into_iter()
                .map(|n| n.app)
                .filter(|app| !ran.contains_key(app))
                .collect();
        }
        self.ended
    }
}
