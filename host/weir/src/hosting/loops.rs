//! The loops of one process: one for each repository, begun, exchanged and ended while it runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;
use tracing::Instrument as _;
use weir_api::{Asked, Control, NotDecided, Refreshed, Stopping};
use weir_core::name::RepositoryName;
use weir_core::status::State;

use super::{One, Shared};
use crate::control::Refresher;
use crate::error::Error;
use crate::follow::{Ended, Follow, Round, Signal, follow};
use crate::read_model::ReadyWhen;
use crate::repository::RepositorySettings;
use crate::tell::Teller;

/// Signals that may wait for one loop: all of one kind mean the same.
const SIGNALS: usize = 8;

/// All loops. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Loops(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) shared: Shared,
    /// Lines say of which repository they are: there may be others.
    is_marked: bool,
    running: Mutex<Running>,
    tally: watch::Sender<Tally>,
}

/// Which loops there are.
#[derive(Default)]
struct Running {
    loops: BTreeMap<RepositoryName, Loop>,
    /// How many were made so far.
    made: u32,
    is_stopping: bool,
}

/// One loop.
struct Loop {
    /// Which of those that ever had its name.
    number: u32,
    signals: mpsc::Sender<Signal>,
    /// A suspended one has none.
    refresher: Option<Arc<Refresher>>,
    /// Whether it has ended, and all that it had begun.
    gone: watch::Receiver<bool>,
}

/// How many loops run, and what became of the others.
#[derive(Default)]
struct Tally {
    running: usize,
    is_stopping: bool,
    states: Vec<State>,
    lost: Option<String>,
}

impl Loops {
    /// None yet. With `is_marked`, lines name their repository.
    pub(crate) fn new(shared: Shared, is_marked: bool) -> Loops {
        Loops(Arc::new(Inner {
            shared,
            is_marked,
            running: Mutex::default(),
            tally: watch::Sender::default(),
        }))
    }

    /// What all loops share.
    pub(super) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// A repository that is to run here. It is shown from now on, and nothing is known of it.
    pub(crate) fn one(&self, settings: &RepositorySettings) -> One {
        self.0.shared.board.put(settings);
        let made = {
            let mut running = self.running();
            running.made += 1;
            running.made
        };
        let mut one = self.0.shared.one(made, settings, Round::Forever);
        if self.0.is_marked {
            let name = &settings.reach.name;
            one.span = tracing::error_span!("repository", repository = %name);
        }
        one
    }

    /// Begins a loop, or one that does nothing where its repository is suspended. A host that stops begins none. There
    /// is no other one of its name: [`Loops::end`] has ended it.
    pub(crate) fn begin(&self, one: One) {
        let One {
            follow: it,
            mut teller,
            span,
            gone,
            number,
        } = one;
        let name = it.opening.settings().reach.name.clone();
        let suspend = it.opening.settings().policy.suspend;
        let (send, signals) = mpsc::channel(SIGNALS);
        let (all_gone, is_gone) = watch::channel(false);
        {
            let mut running = self.running();
            if running.is_stopping {
                return;
            }
            let refresher = (!suspend).then(|| Arc::new(it.fetches.refresher(send.clone())));
            let it = Loop {
                number,
                signals: send,
                refresher,
                gone: is_gone,
            };
            running.loops.insert(name, it);
            self.0.tally.send_modify(|tally| tally.running += 1);
        }
        let task = match suspend {
            true => tokio::spawn(suspended(it, teller, signals).instrument(span)),
            false => {
                let run = async move { follow(it, signals, &mut teller).await };
                tokio::spawn(run.instrument(span))
            }
        };
        let all = self.clone();
        tokio::spawn(async move {
            all.ended(task.await).await;
            gone.wait().await;
            all_gone.send_replace(true);
        });
    }

    /// Ends a repository's loop, and waits until all that it had begun has ended, too: whoever begins it again has it
    /// alone. What is shown of it stays until [`Loops::forget`].
    pub(crate) async fn end(&self, name: &RepositoryName) {
        let found = self.running().loops.get(name).map(|it| {
            let gone = it.gone.clone();
            (it.number, it.signals.clone(), gone)
        });
        let Some((number, signals, mut gone)) = found else {
            return;
        };
        // Closed: it has ended by itself.
        let _ = signals.send(Signal::Stop).await;
        // An error here: nobody is left who could say it.
        let _ = gone.wait_for(|gone| *gone).await;
        let mut running = self.running();
        if running
            .loops
            .get(name)
            .is_some_and(|it| it.number == number)
        {
            running.loops.remove(name);
        }
    }

    /// A repository is shown no more.
    pub(crate) fn forget(&self, name: &RepositoryName) {
        self.0.shared.board.remove(name);
    }

    /// From now on the host is ready then.
    pub(crate) fn ready_when(&self, ready: ReadyWhen) {
        self.0.shared.board.ready_when(ready);
    }

    /// All fetch now.
    pub(crate) fn refresh_all(&self) {
        for it in self.running().loops.values() {
            // Full: what it has yet to hear says the same. Closed: it has ended.
            let _ = it.signals.try_send(Signal::Refresh);
        }
    }

    /// Whether the host stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.running().is_stopping
    }

    /// All stop: what waits for its turn does not begin, what runs is finished. None begins any more.
    pub(crate) async fn stop(&self) {
        for turns in self.0.shared.turns() {
            turns.end();
        }
        let all: Vec<_> = {
            let mut running = self.running();
            running.is_stopping = true;
            running
                .loops
                .values()
                .map(|it| it.signals.clone())
                .collect()
        };
        self.0.tally.send_modify(|tally| tally.is_stopping = true);
        let told = all.iter().map(|one| one.send(Signal::Stop));
        futures::future::join_all(told).await;
    }

    /// Waits until all have stopped: how their apps stand, and what is wrong where one was lost.
    pub(crate) async fn all_ended(&self) -> (Vec<State>, Option<Error>) {
        let mut tally = self.0.tally.subscribe();
        // The sender lives as long as this value.
        let _ = tally.wait_for(|t| t.is_stopping && t.running == 0).await;
        let tally = tally.borrow();
        let lost = tally.lost.clone();
        (
            tally.states.clone(),
            lost.map(|why| Error::host("serve", why)),
        )
    }

    async fn ended(&self, ended: Result<Ended, JoinError>) {
        let lost = match &ended {
            Ok(_) => None,
            Err(e) => {
                // A fault of ours: nobody knows what it left, so the host ends and begins anew.
                let message = format!("the loop of a repository ended early: {e}");
                tracing::error!("{message}; the host stops");
                Some(message)
            }
        };
        let is_lost = lost.is_some();
        self.0.tally.send_modify(|tally| {
            tally.running -= 1;
            if tally.lost.is_none() {
                tally.lost = lost;
            }
            // Those that ended before are another's now.
            if let (true, Ok(ended)) = (tally.is_stopping, ended) {
                let reports = ended.reports.into_values();
                tally.states.extend(reports.map(|report| report.state));
            }
        });
        if is_lost {
            self.stop().await;
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        let running = &self.0.running;
        running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who asks a repository's loop: `None` where there is none, `Some(None)` where it is suspended.
    fn refresher(&self, name: &RepositoryName) -> Option<Option<Arc<Refresher>>> {
        self.running()
            .loops
            .get(name)
            .map(|it| it.refresher.clone())
    }
}

impl Control for Loops {
    fn repositories(&self) -> Vec<RepositoryName> {
        self.running().loops.keys().cloned().collect()
    }

    async fn refresh(&self, repository: RepositoryName) -> Result<Refreshed, Stopping> {
        match self.refresher(&repository) {
            Some(Some(refresher)) => refresher.refresh().await,
            Some(None) => Ok(Refreshed {
                suspended: true,
                ..Refreshed::default()
            }),
            // Asked are those that there are: it has gone meanwhile.
            None => Err(Stopping),
        }
    }

    async fn decide(&self, asked: Asked) -> Result<(), NotDecided> {
        match self.refresher(&asked.repository) {
            Some(Some(refresher)) => refresher.decide(asked).await,
            Some(None) => Err(NotDecided::Refused(format!(
                "repository {} is suspended: nothing is changed before `suspend` is taken off",
                asked.repository
            ))),
            None => Err(NotDecided::Stopping),
        }
    }
}

/// A repository that is left alone: what the ledger knows of it is shown until the host stops.
async fn suspended(it: Follow, teller: Teller, mut signals: mpsc::Receiver<Signal>) -> Ended {
    let journal = it.opening.journal().await;
    let problem = journal.as_ref().err().map(ToString::to_string);
    match &problem {
        Some(message) => tracing::error!("{message}"),
        None => tracing::warn!("is suspended: nothing is fetched, what is there stays"),
    }
    teller.suspended(it.opening.known(), problem.as_deref());
    while let Some(signal) = signals.recv().await {
        match signal {
            Signal::Refresh => {}
            // The control socket refuses them before; an answer that is dropped says that the host stops.
            Signal::Decide(..) => {}
            Signal::Stop => break,
        }
    }
    Ended::default()
}
