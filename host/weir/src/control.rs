//! Control of a running host: which fetch answers a request, and the socket under the state where requests come in.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::UnixListener;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use weir_api::{Asked, NotDecided, Refreshed, Stopping};

use crate::error::Error;
use crate::follow::Signal;

/// The socket's name under the state.
const SOCKET: &str = "control.sock";
/// Where it is made before it has its mode and its name. Not longer than that name: both must fit.
const MAKING: &str = ".control";
/// The most bytes of a socket's path: `sun_path` of `unix(7)` without its NUL.
const SOCKET_PATH_BYTES: usize = 107;

/// How far the loop is with its fetches. They run one at a time.
#[derive(Debug, Clone, Default)]
struct Fetches {
    begun: u64,
    ended: u64,
    last: Refreshed,
}

/// Where the loop says how its fetches go.
#[derive(Debug)]
pub(crate) struct FetchBoard(watch::Sender<Fetches>);

impl FetchBoard {
    /// A board without a fetch on it.
    pub(crate) fn new() -> FetchBoard {
        FetchBoard(watch::Sender::new(Fetches::default()))
    }

    /// A fetch begins.
    pub(crate) fn begun(&self) {
        self.0.send_modify(|f| f.begun += 1);
    }

    /// It ended.
    pub(crate) fn ended(&self, refreshed: Refreshed) {
        self.0.send_modify(|f| {
            f.ended += 1;
            f.last = refreshed;
        });
    }

    /// Who asks the loop through these signals, and learns from this board what came of it.
    pub(crate) fn refresher(&self, signals: mpsc::Sender<Signal>) -> Refresher {
        Refresher {
            signals,
            fetches: self.0.subscribe(),
            asked: AtomicU64::new(0),
        }
    }
}

/// Asks the loop to fetch, and waits for a fetch that began after that.
pub(crate) struct Refresher {
    signals: mpsc::Sender<Signal>,
    fetches: watch::Receiver<Fetches>,
    /// The number of the last fetch that was asked for.
    asked: AtomicU64,
}

impl Refresher {
    /// Has a decision kept by the loop, or learns why not.
    pub(crate) async fn decide(&self, asked: Asked) -> Result<(), NotDecided> {
        let (answer, answered) = oneshot::channel();
        let signal = Signal::Decide(Box::new(asked), answer);
        let sent = self.signals.send(signal).await;
        sent.map_err(|_| NotDecided::Stopping)?;
        answered.await.unwrap_or(Err(NotDecided::Stopping))
    }

    /// Has the repository asked now, and waits for what comes of it.
    pub(crate) async fn refresh(&self) -> Result<Refreshed, Stopping> {
        let mut fetches = self.fetches.clone();
        // A fetch under way may have read the ref before whoever asks changed it: the next one counts.
        let next = fetches.borrow_and_update().begun + 1;
        tracing::debug!("a refresh is asked for");
        // However many ask for the same fetch, the loop hears it once.
        if self.asked.fetch_max(next, Ordering::Relaxed) < next {
            match self.signals.try_send(Signal::Refresh) {
                // Full: what the loop has yet to hear says the same.
                Ok(()) | Err(TrySendError::Full(_)) => {}
                Err(TrySendError::Closed(_)) => return Err(Stopping),
            }
        }
        // An error here is the loop's end.
        let seen = fetches.wait_for(|f| f.ended >= next).await;
        seen.map(|f| f.last.clone()).map_err(|_| Stopping)
    }
}

/// The control socket's path. Whether someone listens there is another question.
pub(crate) fn socket_path(state: &Path) -> Result<PathBuf, Error> {
    let path = state.join(SOCKET);
    let bytes = path.as_os_str().as_bytes().len();
    if bytes <= SOCKET_PATH_BYTES {
        return Ok(path);
    }
    Err(Error::Usage(format!(
        "{}: the path of a socket may have {SOCKET_PATH_BYTES} bytes at most, this one has {bytes}: give a --state with a shorter path",
        path.display()
    )))
}

/// The socket's file. It is removed with this value.
#[derive(Debug)]
pub(crate) struct ControlSocket(PathBuf);

impl ControlSocket {
    /// Listens under this state, for the host's own user only. The caller holds the ledger's lock, here and
    /// until this value is gone: so what lies at the path is left over from a host that was killed.
    pub(crate) fn listen(state: &Path) -> Result<(ControlSocket, UnixListener), Error> {
        let path = socket_path(state)?;
        let listener = bind(state, &path).map_err(|e| {
            Error::host(
                "start",
                format!("{}: cannot listen there: {e}", path.display()),
            )
        })?;
        Ok((ControlSocket(path), listener))
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // What stays is taken as left over by the next host.
        let _ = fs::remove_file(&self.0);
    }
}

/// Made in a folder that nobody else may enter, so that it never has another mode than its own, then moved
/// over what is left of an earlier one.
fn bind(state: &Path, path: &Path) -> io::Result<UnixListener> {
    let making = state.join(MAKING);
    match fs::remove_dir_all(&making) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    DirBuilder::new().mode(0o700).create(&making)?;
    let new = making.join("s");
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    fs::rename(&new, path)?;
    fs::remove_dir(&making)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use weir_core::digest::CommitId;

    use super::*;

    fn at(n: u8) -> Refreshed {
        Refreshed {
            commit: Some(CommitId::from_bytes([n; 20])),
            ..Refreshed::default()
        }
    }

    #[tokio::test]
    async fn a_request_during_a_fetch_is_answered_by_the_next_one() {
        let (send, mut signals) = mpsc::channel(1);
        let board = FetchBoard::new();
        let refresher = board.refresher(send);
        board.begun();
        let mut asked = std::pin::pin!(refresher.refresh());
        assert!(futures::poll!(asked.as_mut()).is_pending());
        assert!(matches!(signals.recv().await, Some(Signal::Refresh)));
        board.ended(at(1));
        assert!(
            futures::poll!(asked.as_mut()).is_pending(),
            "that fetch may have read the ref before the request"
        );
        board.begun();
        assert!(futures::poll!(asked.as_mut()).is_pending());
        board.ended(at(2));
        assert_eq!(asked.await, Ok(at(2)));
    }

    #[tokio::test]
    async fn however_many_ask_for_the_same_fetch_the_loop_hears_it_once() {
        let (send, mut signals) = mpsc::channel(8);
        let board = FetchBoard::new();
        let refresher = board.refresher(send);
        let mut first = std::pin::pin!(refresher.refresh());
        let mut second = std::pin::pin!(refresher.refresh());
        assert!(futures::poll!(first.as_mut()).is_pending());
        assert!(futures::poll!(second.as_mut()).is_pending());
        board.begun();
        board.ended(at(1));
        assert_eq!((first.await, second.await), (Ok(at(1)), Ok(at(1))));
        assert!(matches!(signals.try_recv(), Ok(Signal::Refresh)));
        assert!(signals.try_recv().is_err(), "asked once");
    }

    #[tokio::test]
    async fn the_end_of_the_loop_answers_who_still_waits() {
        let (send, signals) = mpsc::channel(1);
        let board = FetchBoard::new();
        let refresher = board.refresher(send);
        let mut waiting = std::pin::pin!(refresher.refresh());
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        drop((board, signals));
        assert_eq!(waiting.await, Err(Stopping));
        assert_eq!(refresher.refresh().await, Err(Stopping));
    }

    #[tokio::test]
    async fn the_socket_is_the_hosts_own_replaces_a_stale_one_and_goes_with_the_host() {
        let dir = tempfile::tempdir().unwrap();
        let path = socket_path(dir.path()).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        fs::create_dir(dir.path().join(MAKING)).unwrap();
        let (socket, _listener) = ControlSocket::listen(dir.path()).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(weir_api::is_listening(&path).await);
        let names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, [SOCKET]);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_named_with_the_way_out() {
        let fits = format!("/{}", "x".repeat(SOCKET_PATH_BYTES - 2 - SOCKET.len()));
        assert!(socket_path(Path::new(&fits)).is_ok());
        let error = socket_path(Path::new(&(fits + "x"))).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("107 bytes") && text.contains("--state"),
            "{text}"
        );
    }
}
