//! Several repositories in one process: what they share, one loop for each, one API, one control socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal as SystemSignal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use weir_api::{ApiLimits, Listen, Metrics, ReadModel, Router, View, control_router};
use weir_cluster::Notices;
use weir_core::retention::Retention;
use weir_core::schedule::Settings;
use weir_ledger::Ledger;

use crate::cli::engine;
use crate::config::Places;
use crate::control::{ControlSocket, FetchBoard, socket_path};
use crate::error::Error;
use crate::follow::{Ended, Follow, Queues, Round, follow};
use crate::journal::open_ledger;
use crate::open::{Alive, Gone, Opening, reach};
use crate::plugins::Store;
use crate::prepare::Host;
use crate::read_model::{Board, ReadyWhen};
use crate::repository::{Bounds, RepositorySettings};
use crate::retention;
use crate::service::Service;
use crate::tell::{Teller, count_states};
use crate::turns::Turns;

mod loops;
mod prune;
pub(crate) use loops::Loops;
pub(crate) use prune::Left;

/// Fetches at once. Each holds a thread, also while its server is silent.
const FETCHES: usize = 64;
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
    /// Apps that sync at once over all repositories.
    pub(crate) parallel: usize,
    /// The repositories, each with a name of its own; at least one, where there is no cluster to ask.
    pub(crate) repositories: Vec<RepositorySettings>,
    /// So many percent of all renders run twice.
    pub(crate) canary: u8,
    /// How long records are kept.
    pub(crate) retention: Retention,
    /// They come from a file: one that cannot be opened is that one's problem. Otherwise it ends the start.
    pub(crate) from_file: bool,
    /// Further ones are the Repositories of this host's cluster, within these bounds.
    pub(crate) bounds: Option<Bounds>,
}

/// What the repositories of one process share.
pub(crate) struct Shared {
    places: Places,
    host: Arc<Host>,
    ledger: Arc<Ledger>,
    queues: Queues,
    metrics: Metrics,
    board: Board,
}

/// One repository, ready to run.
pub(crate) struct One {
    follow: Follow,
    teller: Teller,
    /// What its lines are marked with, where there may be others.
    span: tracing::Span,
    /// When all that it has begun has ended.
    gone: Gone,
    /// Which of all that this process ever made.
    number: u32,
}

impl Hosting {
    /// Follows until stopped.
    pub(crate) async fn run(self) -> Result<(), Error> {
        let state = self.places.state.clone();
        // Before anything is opened or made.
        socket_path(&state)?;
        let (listener, address) = listen(self.listen).await?;
        let (loops, ones, view) = self.start().await?;
        let model = ReadModel::new(view.clone(), loops.shared().metrics.clone());
        let service = match self.bounds.clone() {
            Some(bounds) => Some(Service::open(&self.places, loops.clone(), bounds).await?),
            None => None,
        };
        for one in ones {
            loops.begin(one);
        }
        let (socket, control) = ControlSocket::listen(&state)?;
        // From here on a signal is heard, and only then is it said that anything is here.
        let signals = Signals::listen();
        let listening = tokio::spawn(listen_for_signals(signals, loops.clone()));
        let api = Served::start("API", listener, weir_api::router(model));
        let trimming = retention::keep(loops.shared().ledger.clone(), self.retention);
        let control = Served::start("control socket", control, control_router(loops.clone()));
        self.say(address);
        let serving = service.map(|service| tokio::spawn(service.run(view)));
        let (states, lost) = loops.all_ended().await;
        listening.abort();
        if let Some(serving) = serving {
            // What it had begun is begun anew by the next start.
            serving.abort();
        }
        // It may be cut short at any step: the next start goes on.
        trimming.abort();
        tokio::join!(api.stop(), control.stop());
        // Under the ledger's lock until here: after that it may be another host's.
        drop(socket);
        drop(loops);
        tracing::info!("stopped: {}", count_states(states.iter()));
        lost.map_or(Ok(()), Err)
    }

    /// Opens what all share, and what has to open before anything runs.
    async fn start(&self) -> Result<(Loops, Vec<One>, watch::Receiver<Arc<View>>), Error> {
        let (board, view) = Board::new(match &self.bounds {
            Some(_) => ReadyWhen::Known(false),
            None => ReadyWhen::ItWorks,
        });
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
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
        let loops = Loops::new(shared, self.from_file);
        let mut ones = Vec::new();
        for settings in &self.repositories {
            let mut one = loops.one(settings);
            if let Some(reached) = first.take() {
                one.follow.opened = Some(Arc::new(one.follow.opening.finish(reached).await?));
            }
            ones.push(one);
        }
        Ok((loops, ones, view))
    }

    fn say(&self, address: SocketAddr) {
        let version = env!("CARGO_PKG_VERSION");
        let what = match &self.repositories[..] {
            [one] => {
                let (url, reference, interval) = (&one.reach.url, &one.reference, one.interval);
                format!("{url}, {reference} every {interval}")
            }
            all => format!("{} repositories", all.len()),
        };
        match (&self.bounds, self.repositories.is_empty()) {
            (None, _) => tracing::info!(listen = %address, "weir {version} follows {what}"),
            (Some(_), true) => {
                tracing::info!(listen = %address, "weir {version} follows the Repositories of its cluster");
            }
            (Some(_), false) => {
                tracing::info!(listen = %address, "weir {version} follows the Repositories of its cluster, and {what}");
            }
        }
        tracing::info!("http://{address}/api/v1/apps says how apps stand");
    }
}

impl Shared {
    /// A repository of which nothing is open yet.
    fn one(&self, number: u32, settings: &RepositorySettings, round: Round) -> One {
        let publisher = self.board.publisher(settings);
        let (alive, gone) = Alive::new();
        let (places, ledger) = (self.places.clone(), self.ledger.clone());
        let notices = (round != Round::Once).then(Notices::default);
        let follow = Follow {
            opening: Opening::new(settings.clone(), places, ledger, notices, alive),
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
            seed: u64::from(std::process::id()) ^ (u64::from(number) << 32),
            round,
        };
        One {
            follow,
            teller: Teller::new(publisher, self.metrics.clone()),
            span: tracing::Span::none(),
            gone,
            number,
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
    let (board, _view) = Board::new(ReadyWhen::ItWorks);
    board.put(&settings);
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

async fn listen(on: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let listener = TcpListener::bind(on).await;
    let listener = listener.map_err(|e| Error::host("start", format!("--listen {on}: {e}")))?;
    let address = listener
        .local_addr()
        .map_err(|e| Error::host("start", e.to_string()))?;
    Ok((listener, address))
}

/// A router that answers on a listener until it is told to stop.
struct Served {
    what: &'static str,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Served {
    fn start(what: &'static str, listener: impl Listen + 'static, router: Router) -> Served {
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
async fn listen_for_signals(signals: std::io::Result<Signals>, loops: Loops) {
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
            true => loops.stop().await,
            false => loops.refresh_all(),
        }
    }
}
