//! The one loop: events in, the schedule decides, each command is a task that reports back with an event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use weir_api::Refreshed;
use weir_core::digest::CommitId;
use weir_core::fault::{Blame as _, Retry};
use weir_core::name::AppName;
use weir_core::record::{CommitRecord, Event as Kept, Movement, Problem, Record};
use weir_core::schedule::{Command, Event, Node, Now, Schedule, Settings};
use weir_core::status::State;
use weir_source::{Fetched, RefChange, Source};

use crate::control::FetchBoard;
use crate::crash::crash_point;
use crate::error::Error;
use crate::prepare::{Host, ManifestFrom, Prepared, prepare};
use crate::progress::{Line, fetching};
use crate::sync::{Report, Syncer};
use crate::tell::Teller;

/// How long a stop waits for what is in flight.
const STOP_WAIT: Duration = Duration::from_secs(30);
/// Events that may wait for the loop: every task sends one, so this bounds tasks, not memory.
const EVENTS: usize = 1024;

/// What comes from outside the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Fetch now.
    Refresh,
    /// Stop.
    Stop,
}

/// What a repository is followed with.
pub(crate) struct Follow {
    /// Where commits come from.
    pub(crate) source: Arc<Source>,
    /// What renders need.
    pub(crate) host: Arc<Host>,
    /// Where apps land.
    pub(crate) syncer: Arc<Syncer>,
    /// Where the manifest comes from.
    pub(crate) from: ManifestFrom,
    /// The schedule's settings.
    pub(crate) settings: Settings,
    /// Where it says how its fetches go.
    pub(crate) fetches: FetchBoard,
    /// Stop when everything was tried once.
    pub(crate) once: bool,
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
}

/// What a task tells the loop.
enum Done {
    Fetch(Result<Fetched, Error>),
    Prepare(CommitId, Box<Result<Arc<Prepared>, Error>>),
    Sync(AppName, CommitId, Box<Result<Report, Error>>),
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
    prepared: Option<Arc<Prepared>>,
    ended: Ended,
}

/// Follows a repository until it is told to stop; once round where `once` is set.
pub(crate) async fn follow(
    follow: Follow,
    mut signals: mpsc::Receiver<Signal>,
    teller: &mut Teller,
) -> Ended {
    let (send, mut receive) = mpsc::channel(EVENTS);
    let seed = std::process::id().into();
    let mut it = Loop {
        schedule: Schedule::new(follow.settings, seed),
        follow: Arc::new(follow),
        teller,
        send,
        started: Instant::now(),
        stop: Arc::new(AtomicBool::new(false)),
        in_flight: 0,
        prepared: None,
        ended: Ended::default(),
    };
    let mut going = it.on(Event::Tick);
    let mut stop_by: Option<tokio::time::Instant> = None;
    while going {
        let wake = it.wake();
        let event = tokio::select! {
            done = receive.recv() => match done {
                Some(done) => it.take(done).await,
                None => break,
            },
            signal = signals.recv(), if stop_by.is_none() => match signal {
                Some(Signal::Refresh) => Event::Requested,
                Some(Signal::Stop) | None => {
                    stop_by = Some(tokio::time::Instant::now() + STOP_WAIT);
                    it.stop.store(true, Ordering::Relaxed);
                    Event::Stopping
                }
            },
            () = tokio::time::sleep(wake), if stop_by.is_none() => Event::Tick,
            () = sleep_until(stop_by), if stop_by.is_some() => {
                tracing::warn!("stopping without waiting longer: {} tasks are still in flight; the next start picks them up", it.in_flight);
                break;
            }
        };
        going = it.on(event);
        if it.follow.once && it.in_flight == 0 {
            break;
        }
    }
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
        Duration::from_millis(at.saturating_sub(now).max(1))
    }

    /// One event through the schedule; false when nothing will happen any more.
    fn on(&mut self, event: Event) -> bool {
        let now = self.now();
        for command in self.schedule.on(now, event) {
            match command {
                Command::Fetch => self.fetch(),
                Command::Prepare(commit) => self.prepare(commit),
                Command::Sync(app, commit) => self.sync(app, commit),
                Command::Stopped => return false,
            }
        }
        true
    }

    fn spawn(&mut self, task: impl Future<Output = Done> + Send + 'static) {
        self.in_flight += 1;
        let send = self.send.clone();
        tokio::spawn(async move {
            // The loop is gone only when the host ends: then nobody waits for this.
            let _ = send.send(task.await).await;
        });
    }

    fn fetch(&mut self) {
        self.follow.fetches.begun();
        let (follow, stop) = (self.follow.clone(), self.stop.clone());
        self.spawn(async move {
            let fetched = tokio::task::spawn_blocking(move || {
                let line = Line::begin("fetching");
                follow.source.fetch(&stop, &|p| line.say(fetching(&p)))
            })
            .await;
            crash_point("fetched");
            Done::Fetch(match fetched {
                Ok(result) => result.map_err(|e| Error::stage("fetch", &e)),
                Err(e) => Err(Error::host("fetch", format!("the fetch ended early: {e}"))),
            })
        });
    }

    fn prepare(&mut self, commit: CommitId) {
        let follow = self.follow.clone();
        self.spawn(async move {
            let result = follow.prepare(commit).await;
            crash_point("prepared");
            Done::Prepare(commit, Box::new(result.map(Arc::new)))
        });
    }

    fn sync(&mut self, app: AppName, commit: CommitId) {
        let (syncer, prepared) = (self.follow.syncer.clone(), self.prepared.clone());
        self.spawn(async move {
            let result = match prepared {
                Some(prepared) => syncer.sync(&prepared, &app).await,
                None => Err(Error::host("plan", "nothing is prepared")),
            };
            Done::Sync(app, commit, Box::new(result))
        });
    }

    /// A task's end as the schedule's event; all that people and the ledger should know is told here.
    async fn take(&mut self, done: Done) -> Event {
        self.in_flight -= 1;
        match done {
            Done::Fetch(result) => Event::Fetched(self.fetched(result).await),
            Done::Prepare(commit, result) => Event::Prepared(commit, self.prepared(*result).await),
            Done::Sync(app, commit, result) => {
                let result = self.synced(&app, *result);
                Event::Synced(app, commit, result)
            }
        }
    }

    async fn fetched(&mut self, result: Result<Fetched, Error>) -> Result<CommitId, Retry> {
        let result = match result {
            Ok(fetched) => self.moved(&fetched).await.map(|()| fetched.commit),
            Err(e) => Err(e),
        };
        self.teller
            .fetched(result.as_ref().err(), self.follow.syncer.journal());
        self.follow.fetches.ended(Refreshed {
            commit: result.as_ref().ok().copied(),
            problem: result.as_ref().err().map(ToString::to_string),
        });
        result.map_err(|e| {
            let retry = e.retry();
            self.ended.problem = Some(e);
            retry
        })
    }

    /// Keeps the commit in the ledger where the ref moved, as this host has seen it.
    async fn moved(&mut self, fetched: &Fetched) -> Result<(), Error> {
        let journal = self.follow.syncer.journal();
        let known = journal.status(|s| s.head.as_ref().map(|h| h.commit));
        if known == Some(fetched.commit) {
            return Ok(());
        }
        let movement = match (known, fetched.change) {
            (None, _) => Movement::First,
            (Some(from), RefChange::Rewritten { .. }) => Movement::Rewritten(from),
            (Some(from), _) => Movement::Forward(from),
        };
        let info = self
            .follow
            .source
            .commit_info(fetched.commit)
            .map_err(|e| Error::stage("fetch", &e))?;
        let record = CommitRecord {
            commit: fetched.commit,
            movement,
            author: person(&info.author),
            committer: person(&info.committer),
            committed: info.time,
            subject: info.subject,
        };
        self.teller.moved(&record);
        journal
            .append(vec![Record {
                app: None,
                event: Kept::Commit(record),
            }])
            .await
    }

    async fn prepared(&mut self, result: Result<Arc<Prepared>, Error>) -> Result<Vec<Node>, Retry> {
        match result {
            Ok(prepared) => {
                self.teller.prepared(&prepared);
                let nodes = self.nodes(&prepared);
                self.prepared = Some(prepared);
                Ok(nodes)
            }
            Err(e) => {
                let problem = e.problem();
                self.keep_problem(&problem).await;
                self.teller.not_prepared(&e, self.follow.syncer.journal());
                let retry = e.retry();
                self.ended.problem = Some(e);
                Err(retry)
            }
        }
    }

    async fn keep_problem(&self, problem: &Problem) {
        let journal = self.follow.syncer.journal();
        if journal.status(|s| s.problem.as_ref() == Some(problem)) {
            return;
        }
        let commit = journal.status(|s| s.head.as_ref().map(|h| h.commit));
        let event = Kept::Failed {
            commit,
            problem: problem.clone(),
        };
        if let Err(e) = journal.append(vec![Record { app: None, event }]).await {
            tracing::error!("{e}");
        }
    }

    /// The apps that this host syncs, and those that the ledger knows and the manifest no longer has. The
    /// latter go last: what moves from them to another app is taken first.
    fn nodes(&self, prepared: &Prepared) -> Vec<Node> {
        let syncer = &self.follow.syncer;
        let bound = |name: &AppName| {
            prepared
                .apps
                .get(name)
                .is_some_and(|a| syncer.binds(&a.app.target))
        };
        let mut nodes: Vec<Node> = Vec::new();
        for (name, app) in prepared.apps.iter().filter(|(name, _)| bound(name)) {
            let after = app
                .app
                .after
                .iter()
                .filter(|dep| bound(dep))
                .cloned()
                .collect();
            nodes.push(Node {
                app: name.clone(),
                after,
            });
        }
        let gone: Vec<AppName> = syncer.journal().status(|s| {
            s.apps
                .keys()
                .filter(|name| !prepared.apps.contains_key(*name))
                .cloned()
                .collect()
        });
        let wanted = &prepared.desired;
        for app in gone {
            let held: BTreeSet<_> = syncer.journal().status(|s| {
                s.apps
                    .get(&app)
                    .map(|a| a.inventory.iter().map(|(id, _)| id.clone()).collect())
                    .unwrap_or_default()
            });
            let takes =
                |ids: &Option<BTreeSet<_>>| ids.as_ref().is_some_and(|ids| !ids.is_disjoint(&held));
            let after = wanted
                .iter()
                .filter(|(name, ids)| bound(name) && takes(ids))
                .map(|(name, _)| name.clone())
                .collect();
            nodes.push(Node { app, after });
        }
        nodes
    }

    fn synced(&mut self, app: &AppName, result: Result<Report, Error>) -> Result<(), Retry> {
        match result {
            Ok(report) => {
                self.teller.synced(&report, self.follow.syncer.journal());
                let ended = match report.state {
                    State::Failed | State::Pending => Err(report.retry),
                    State::Synced | State::Held => Ok(()),
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
        if let Some(prepared) = &self.prepared {
            let nodes = self.nodes(prepared);
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

impl Follow {
    async fn prepare(self: Arc<Self>, commit: CommitId) -> Result<Prepared, Error> {
        let follow = self.clone();
        let snapshot = tokio::task::spawn_blocking(move || follow.source.snapshot(commit)).await;
        let snapshot = snapshot
            .map_err(|e| Error::host("snapshot", format!("reading the tree ended early: {e}")))?;
        let snapshot = snapshot.map_err(|e| Error::stage("snapshot", &e))?;
        let mut prepared = prepare(&self.host, &snapshot, &self.from, &[]).await?;
        self.say_unbound(&mut prepared)?;
        Ok(prepared)
    }

    /// Apps whose target this host does not bind are another host's; where that is all of them, the
    /// flags are wrong.
    fn say_unbound(&self, prepared: &mut Prepared) -> Result<(), Error> {
        let apps = prepared.apps.values();
        let unbound: Vec<String> = apps
            .filter(|a| !self.syncer.binds(&a.app.target))
            .map(|a| format!("{} (target {})", a.app.name, a.app.target))
            .collect();
        if unbound.is_empty() {
            return Ok(());
        }
        let text = format!(
            "{} of {} apps land in targets that this host does not bind, and are left to others: {}. Bind one with --target NAME=dir:PATH",
            unbound.len(),
            prepared.apps.len(),
            unbound.join(", ")
        );
        if unbound.len() == prepared.apps.len() {
            return Err(Error::Usage(text));
        }
        prepared.warnings.push(text);
        Ok(())
    }
}

/// `Name <address>`.
fn person(person: &weir_source::Person) -> String {
    format!("{} <{}>", person.name, person.email)
}
