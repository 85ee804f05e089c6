//! `weir serve` and `weir sync`: the same loop, until stopped or once round.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use weir_api::{ApiLimits, Listen, Metrics, ReadModel, Router, control_router};
use weir_cluster::dir::{DirLimits, DirTarget};
use weir_core::grant::Millis;
use weir_core::schedule::Settings;
use weir_core::status::State;

use super::{Done, engine};
use crate::config::{GlobalArgs, Places, RepoArgs, TargetBinding, bindings};
use crate::control::{ControlSocket, FetchBoard, socket_path};
use crate::error::Error;
use crate::follow::{Ended, Follow, Signal, follow};
use crate::journal::Journal;
use crate::read_model::Publisher;
use crate::sync::Syncer;
use crate::tell::{Teller, count_states};

/// Apps that sync at once.
const PARALLEL_SYNCS: usize = 8;
/// The first wait after a failure.
const BACKOFF: u64 = 1_000;
/// The longest wait after failures.
const BACKOFF_CEILING: u64 = 300_000;

/// What both take.
#[derive(Debug, Clone, clap::Args)]
struct FollowArgs {
    #[command(flatten)]
    repo: RepoArgs,
    /// The branch or tag to follow
    #[arg(long = "ref", default_value = "main", value_name = "REF")]
    reference: String,
    /// Where apps land: dir:PATH, or NAME=dir:PATH for a target of the manifest; may be given again
    #[arg(long = "target", required = true, value_name = "[NAME=]dir:PATH")]
    targets: Vec<TargetBinding>,
}

/// What `weir sync` takes.
#[derive(Debug, clap::Args)]
pub(super) struct SyncArgs {
    #[command(flatten)]
    follow: FollowArgs,
}

/// What `weir serve` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    follow: FollowArgs,
    /// How often the repository is asked; up to a tenth is added by chance. `weir refresh` and SIGHUP ask at once
    #[arg(long, default_value = "15s", value_name = "TIME")]
    interval: String,
    /// Where /healthz, /readyz, /metrics and /api/v1/apps answer; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7117", value_name = "ADDRESS")]
    listen: SocketAddr,
}

/// Syncs once.
pub(super) async fn sync(global: &GlobalArgs, args: &SyncArgs) -> Result<Done, Error> {
    let settings = settings(60_000);
    let (_stop, signals) = mpsc::channel(1);
    let (started, _) = Started::start(global, &args.follow, settings, true).await?;
    let ended = started.run(signals).await?;
    outcome(ended)
}

/// Follows until stopped.
pub(super) async fn serve(global: &GlobalArgs, args: &ServeArgs) -> Result<Done, Error> {
    let interval: Millis = args
        .interval
        .parse()
        .map_err(|e| Error::Usage(format!("--interval: {e}")))?;
    let state = global.places()?.state;
    // Before anything is opened or made.
    socket_path(&state)?;
    let listener = TcpListener::bind(args.listen).await;
    let listener =
        listener.map_err(|e| Error::host("start", format!("--listen {}: {e}", args.listen)))?;
    let address = listener
        .local_addr()
        .map_err(|e| Error::host("start", e.to_string()))?;
    let (started, model) =
        Started::start(global, &args.follow, settings(interval.0), false).await?;
    let (send, signals) = mpsc::channel(8);
    let (socket, control) = ControlSocket::listen(&state)?;
    let refresher = started.follow.fetches.refresher(send.clone());
    let listening = tokio::spawn(listen_for_signals(send));
    let api = Served::start("API", listener, weir_api::router(model));
    let control = Served::start("control socket", control, control_router(refresher));
    tracing::info!(listen = %address, "weir {} follows {}, {} every {interval}", env!("CARGO_PKG_VERSION"), started.url, args.follow.reference);
    tracing::info!("http://{address}/api/v1/apps says how apps stand");
    // Holds the ledger's lock until the socket is gone: after that it may be another host's.
    let lock = started.follow.syncer.clone();
    let ended = started.run(signals).await?;
    listening.abort();
    tokio::join!(api.stop(), control.stop());
    drop(socket);
    drop(lock);
    tracing::info!(
        "stopped: {}",
        count_states(ended.reports.values().map(|r| &r.state))
    );
    Ok(Done::Well)
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

fn settings(interval: u64) -> Settings {
    Settings {
        interval,
        parallel: PARALLEL_SYNCS,
        backoff: BACKOFF,
        backoff_ceiling: BACKOFF_CEILING,
    }
}

/// Everything opened, nothing running yet.
struct Started {
    follow: Follow,
    teller: Teller,
    url: String,
}

impl Started {
    async fn start(
        global: &GlobalArgs,
        args: &FollowArgs,
        settings: Settings,
        once: bool,
    ) -> Result<(Started, ReadModel), Error> {
        let places: Places = global.places()?;
        let bindings = bindings(&args.targets)?;
        let from = engine::manifest_from(&args.repo)?;
        let (repo, reference, opened) = (args.repo.clone(), args.reference.clone(), places.clone());
        let source = engine::blocking("fetch", move || repo.open(&opened, &reference)).await?;
        let host = engine::host(&places)?;
        let journal = Arc::new(Journal::open(&places, source.name().clone()).await?);
        let mut targets = std::collections::BTreeMap::new();
        for (name, dir) in bindings {
            let dir = absolute(dir)?;
            let target =
                DirTarget::open(&dir, DirLimits::HOST).map_err(|e| Error::stage("observe", &e))?;
            targets.insert(name, Arc::new(target));
        }
        let url = source.url().to_owned();
        let (publisher, view) = Publisher::new(&url, &args.reference);
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
        let model = ReadModel::new(view, metrics.clone());
        let syncer = Arc::new(Syncer::new(journal, targets));
        let follow = Follow {
            source: Arc::new(source),
            host,
            syncer,
            from,
            settings,
            fetches: FetchBoard::new(),
            once,
        };
        let started = Started {
            follow,
            teller: Teller::new(publisher, metrics),
            url,
        };
        Ok((started, model))
    }

    async fn run(mut self, signals: mpsc::Receiver<Signal>) -> Result<Ended, Error> {
        Ok(follow(self.follow, signals, &mut self.teller).await)
    }
}

fn absolute(dir: PathBuf) -> Result<PathBuf, Error> {
    std::path::absolute(&dir)
        .map_err(|e| Error::Usage(format!("--target dir:{}: {e}", dir.display())))
}

async fn listen_for_signals(send: mpsc::Sender<Signal>) {
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    ) else {
        tracing::error!("signals cannot be listened to; SIGKILL is the only way to stop");
        return std::future::pending().await;
    };
    let mut stopping = false;
    loop {
        let signal = tokio::select! {
            _ = interrupt.recv() => Signal::Stop,
            _ = terminate.recv() => Signal::Stop,
            _ = hangup.recv() => Signal::Refresh,
        };
        if signal == Signal::Stop && stopping {
            tracing::warn!("stopping at once; the next start picks up what was in flight");
            std::process::exit(1);
        }
        if signal == Signal::Stop {
            stopping = true;
            tracing::info!(
                "stopping; what is in flight is finished first, a second time stops at once"
            );
        }
        if send.send(signal).await.is_err() {
            return;
        }
    }
}

/// How one round ended, for scripts.
fn outcome(ended: Ended) -> Result<Done, Error> {
    if let Some(problem) = ended.problem {
        return Err(problem);
    }
    for app in &ended.waiting {
        tracing::error!(%app, "was not synced: an app that it comes after is not synced");
    }
    let failed = ended
        .reports
        .values()
        .find(|r| matches!(r.state, State::Failed | State::Pending));
    if let Some(report) = failed {
        let message = report.problem.as_ref().map_or_else(
            || format!("app {}: not finished", report.app),
            |p| p.message.clone(),
        );
        let fault = report
            .problem
            .as_ref()
            .map_or(weir_core::fault::Fault::Target, |p| p.fault);
        let stage = "sync";
        return Err(Error::Stage {
            stage,
            fault,
            retry: report.retry,
            message,
        });
    }
    if !ended.waiting.is_empty() {
        return Err(Error::host("sync", "not every app was synced"));
    }
    Ok(if ended.reports.values().any(|r| r.state == State::Held) {
        Done::Held
    } else {
        Done::Well
    })
}
