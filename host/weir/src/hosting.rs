//! Several repositories in one process: what they share, one loop for each, one API, one control socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal as SystemSignal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tracing::Instrument as _;
use weir_api::{ApiLimits, Listen, Metrics, ReadModel, Router, control_router};
use weir_cluster::Notices;
use weir_core::retention::Retention;
use weir_core::schedule::Settings;
use weir_core::status::State;
use weir_ledger::Ledger;

use crate::cli::engine;
use crate::config::Places;
use crate::control::{ControlSocket, FetchBoard, Refresher, Refreshers, socket_path};
use crate::error::Error;
use crate::follow::{Ended, Follow, Queues, Round, Signal, follow};
use crate::journal::open_ledger;
use crate::open::{Opening, reach};
use crate::plugins::Store;
use crate::ports::Ports;
use crate::prepare::Host;
use crate::read_model::{Board, unknown};
use crate::repository::RepositorySettings;
use crate::retention;
use crate::tell::{Teller, count_states};
use crate::turns::Turns;

/// Fetches at once. Each holds a thread, also while its server is silent.
const FETCHES: usize = 64;
/// Signals that may wait for one loop: all of one kind mean the same.
const SIGNALS: usize = 8;
/// The first wait after a failure.
const BACKOFF: u64 = 1_000;
/// The longest wait after failures.
const BACKOFF_CEILING: u64 = 300_000;

/// What one `weir serve` is to do.
pub(crate) struct Hosting {
    /// Where this host keeps things.
    pub(crate) places: Places,
    /// Where the API answers.
    pub(crate) listen: SocketAddr,
    /// Where webhooks are delivered, where that is an address of their own.
    pub(crate) webhook_listen: Option<SocketAddr>,
    /// Apps that sync at once over all repositories.
    pub(crate) parallel: usize,
    /// The repositories; at least one, each with a name of its own.
    pub(crate) repositories: Vec<RepositorySettings>,
    /// So many percent of all renders run twice.
    pub(crate) canary: u8,
    /// How long records are kept.
    pub(crate) retention: Retention,
    /// They come from a file: one that cannot be opened is that one's problem. Otherwise it ends the start.
    pub(crate) from_file: bool,
}

/// What the repositories of one process share.
struct Shared {
    places: Places,
    host: Arc<Host>,
    ledger: Arc<Ledger>,
    queues: Queues,
    metrics: Metrics,
    board: Board,
}

/// One repository, ready to run.
struct One {
    follow: Follow,
    teller: Teller,
    /// What its lines are marked with, where there may be others.
    span: tracing::Span,
}

impl Hosting {
    /// Follows until stopped.
    pub(crate) async fn run(self) -> Result<(), Error> {
        let state = self.places.state.clone();
        // Before anything is opened or made.
        socket_path(&state)?;
        let ports = Ports::open(self.listen, self.webhook_listen).await?;
        let address = ports.api();
        let (shared, ones, model) = self.start().await?;
        let (hub, refreshers, loops) = run_all(ones, shared.turns());
        let refreshers = Arc::new(refreshers);
        let (socket, control) = ControlSocket::listen(&state)?;
        // From here on a signal is heard, and only then is it said that anything is here.
        let signals = Signals::listen();
        let listening = tokio::spawn(listen_for_signals(signals, hub.clone()));
        let api = ports.serve(
            model,
            &shared.metrics,
            &self.repositories,
            refreshers.clone(),
        );
        let trimming = retention::keep(shared.ledger.clone(), self.retention);
        let control = Served::start("control socket", control, control_router(refreshers));
        self.say(address);
        let ended = wait_for(loops, &hub).await;
        listening.abort();
        // It may be cut short at any step: the next start goes on.
        trimming.abort();
        let api = futures::future::join_all(api.into_iter().map(Served::stop));
        tokio::join!(api, control.stop());
        // Under the ledger's lock until here: after that it may be another host's.
        drop(socket);
        drop(shared);
        let (states, lost) = ended;
        tracing::info!("stopped: {}", count_states(states.iter()));
        lost.map_or(Ok(()), Err)
    }

    /// Opens what all share, and what has to open before anything runs.
    async fn start(&self) -> Result<(Shared, Vec<One>, ReadModel), Error> {
        let views = self.repositories.iter().map(unknown).collect();
        let (board, view) = Board::new(views);
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
        let model = ReadModel::new(view, metrics.clone());
        let mut first = None;
        if let (false, [settings]) = (self.from_file, &self.repositories[..]) {
            first = Some(reach(settings, &self.places).await?);
        }
        let canary = engine::canary(&self.places, self.canary, Some(metrics.clone()));
        let shared = Shared {
            host: engine::host_with(&self.places, Store::open(&self.places)?, canary)?,
            ledger: open_ledger(&self.places).await?,
            places: self.places.clone(),
            queues: Queues {
                fetches: Turns::new(FETCHES),
                syncs: Turns::new(self.parallel),
            },
            metrics,
            board,
        };
        let mut ones = Vec::new();
        for (place, settings) in self.repositories.iter().enumerate() {
            let mut one = shared.one(place, settings, Round::Forever);
            if self.from_file {
                let name = &settings.reach.name;
                one.span = tracing::error_span!("repository", repository = %name);
            }
            if let Some(reached) = first.take() {
                one.follow.opened = Some(Arc::new(one.follow.opening.finish(reached).await?));
            }
            ones.push(one);
        }
        Ok((shared, ones, model))
    }

    fn say(&self, address: SocketAddr) {
        let version = env!("CARGO_PKG_VERSION");
        match &self.repositories[..] {
            [one] => {
                let (url, reference, interval) = (&one.reach.url, &one.reference, one.interval);
                tracing::info!(listen = %address, "weir {version} follows {url}, {reference} every {interval}");
            }
            all => {
                tracing::info!(listen = %address, "weir {version} follows {} repositories", all.len());
            }
        }
        tracing::info!("http://{address}/api/v1/apps says how apps stand");
    }
}

impl Shared {
    /// A repository of which nothing is open yet.
    fn one(&self, place: usize, settings: &RepositorySettings, round: Round) -> One {
        let publisher = self.board.publisher(place, settings);
        let (places, ledger) = (self.places.clone(), self.ledger.clone());
        let notices = (round != Round::Once).then(Notices::default);
        let follow = Follow {
            opening: Opening::new(settings.clone(), places, ledger, notices),
            opened: None,
            host: self.host.clone(),
            queues: self.queues.clone(),
            settings: Settings {
                interval: settings.interval.0,
                parallel: self.queues.syncs.at_once(),
                backoff: BACKOFF,
                backoff_ceiling: BACKOFF_CEILING,
            },
            fetches: FetchBoard::new(),
            seed: u64::from(std::process::id()) ^ ((place as u64) << 32),
            round,
        };
        One {
            follow,
            teller: Teller::new(publisher, self.metrics.clone()),
            span: tracing::Span::none(),
        }
    }

    fn turns(&self) -> [Turns; 3] {
        let Queues { fetches, syncs } = self.queues.clone();
        [fetches, syncs, self.host.turns.clone()]
    }
}

/// Syncs one repository once, and waits so long until what was synced is healthy, where that is asked for. So many
/// percent of its renders run twice.
pub(crate) async fn once(
    places: &Places,
    settings: RepositorySettings,
    wait: Option<Duration>,
    canary: u8,
) -> Result<Ended, Error> {
    let reached = reach(&settings, places).await?;
    let (board, _view) = Board::new(vec![unknown(&settings)]);
    let canary = engine::canary(places, canary, None);
    let shared = Shared {
        host: engine::host_with(places, Store::open(places)?, canary)?,
        ledger: open_ledger(places).await?,
        places: places.clone(),
        queues: Queues {
            fetches: Turns::new(FETCHES),
            syncs: Turns::new(crate::config::file::PARALLEL),
        },
        metrics: Metrics::new(env!("CARGO_PKG_VERSION")),
        board,
    };
    let round = wait.map_or(Round::Once, Round::UntilHealthy);
    let mut one = shared.one(0, &settings, round);
    one.follow.opened = Some(Arc::new(one.follow.opening.finish(reached).await?));
    let (_stop, signals) = mpsc::channel(1);
    Ok(follow(one.follow, signals, &mut one.teller).await)
}

/// Who tells all loops at once.
#[derive(Clone)]
struct Hub {
    loops: Vec<mpsc::Sender<Signal>>,
    turns: [Turns; 3],
}

impl Hub {
    /// All fetch now.
    fn refresh(&self) {
        for one in &self.loops {
            // Full: what it has yet to hear says the same. Closed: it has ended.
            let _ = one.try_send(Signal::Refresh);
        }
    }

    /// All stop: what waits for its turn does not begin, what runs is finished.
    async fn stop(&self) {
        for turns in &self.turns {
            turns.end();
        }
        let told = self.loops.iter().map(|one| one.send(Signal::Stop));
        futures::future::join_all(told).await;
    }
}

type Loops = JoinSet<Ended>;

/// Starts one loop for each repository that is not suspended.
fn run_all(ones: Vec<One>, turns: [Turns; 3]) -> (Hub, Refreshers, Loops) {
    let mut senders = Vec::new();
    let mut refreshers: BTreeMap<_, Option<Refresher>> = BTreeMap::new();
    let mut loops = JoinSet::new();
    for one in ones {
        let One {
            follow: it,
            mut teller,
            span,
        } = one;
        let name = it.opening.settings().reach.name.clone();
        let (send, signals) = mpsc::channel(SIGNALS);
        if it.opening.settings().policy.suspend {
            refreshers.insert(name, None);
            loops.spawn(suspended(it, teller, signals).instrument(span));
        } else {
            refreshers.insert(name, Some(it.fetches.refresher(send.clone())));
            let run = async move { follow(it, signals, &mut teller).await };
            loops.spawn(run.instrument(span));
        }
        senders.push(send);
    }
    let hub = Hub {
        loops: senders,
        turns,
    };
    (hub, Refreshers::new(refreshers), loops)
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

/// Waits for all loops: how their apps stand, and what is wrong where one was lost.
async fn wait_for(mut loops: Loops, hub: &Hub) -> (Vec<State>, Option<Error>) {
    let (mut states, mut lost) = (Vec::new(), None);
    while let Some(ended) = loops.join_next().await {
        match ended {
            Ok(ended) => states.extend(ended.reports.into_values().map(|r| r.state)),
            Err(e) => {
                // A fault of ours: nobody knows what it left, so the host ends and begins anew.
                let message = format!("the loop of a repository ended early: {e}");
                tracing::error!("{message}; the host stops");
                lost = Some(Error::host("serve", message));
                hub.stop().await;
            }
        }
    }
    (states, lost)
}

/// A router that answers on a listener until it is told to stop.
pub(crate) struct Served {
    what: &'static str,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Served {
    pub(crate) fn start(
        what: &'static str,
        listener: impl Listen + 'static,
        router: Router,
    ) -> Served {
        let (stop, stops) = oneshot::channel::<()>();
        let shutdown = async move {
            // A dropped sender means the same: stop.
            let _ = stops.await;
        };
        let task = tokio::spawn(weir_api::serve(listener, router, ApiLimits::HOST, shutdown));
        Served { what, stop, task }
    }

    async fn stop(self) {
        drop(self.stop);
        match self.task.await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => tracing::warn!("the {} ended with an error: {e}", self.what),
            Err(e) => tracing::warn!("the {} ended early: {e}", self.what),
        }
    }
}

/// The signals that a host listens to.
struct Signals {
    interrupt: SystemSignal,
    terminate: SystemSignal,
    hangup: SystemSignal,
}

impl Signals {
    /// Those that come from now on are heard.
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Hands the system's signals on. A second one to stop ends the process at once.
async fn listen_for_signals(signals: std::io::Result<Signals>, hub: Hub) {
    let Signals {
        mut interrupt,
        mut terminate,
        mut hangup,
    } = match signals {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be listened to; SIGKILL is the only way to stop");
            return std::future::pending().await;
        }
    };
    let mut stopping = false;
    loop {
        let stop = tokio::select! {
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
            _ = hangup.recv() => false,
        };
        if stop && stopping {
            tracing::warn!("stopping at once; the next start picks up what was in flight");
            std::process::exit(1);
        }
        if stop {
            stopping = true;
            tracing::info!(
                "stopping; what is in flight is finished first, a second time stops at once"
            );
        }
        match stop {
            true => hub.stop().await,
            false => hub.refresh(),
        }
    }
}
