//! Serving the router: at most so many connections, each with limits in time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The most bytes of a request's head. Ours are far smaller.
const HEAD_BYTES: usize = 16 << 10;
/// The most headers of a request.
const HEADERS: usize = 64;
/// How long to wait before accepting again, when the system could not give us a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How much the API gives to those who call. There is no `Default`: whoever serves says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiLimits {
    /// Connections at once; the next ones wait.
    pub connections: usize,
    /// From a connection's start, or its last answer, to the end of a request's head.
    pub head_time: Duration,
    /// How long a connection may be used: then the answer under way is finished, and no other begun.
    pub connection_time: Duration,
    /// How long that last answer may take, so that slow readers make room, too.
    pub last_answer_time: Duration,
    /// How long a stop waits for answers under way.
    pub stop_time: Duration,
}

impl ApiLimits {
    /// What a host gives that was told nothing else.
    pub const HOST: ApiLimits = ApiLimits {
        connections: 256,
        head_time: Duration::from_secs(10),
        connection_time: Duration::from_secs(300),
        last_answer_time: Duration::from_secs(30),
        stop_time: Duration::from_secs(5),
    };
}

/// Where connections come from.
pub trait Listen: Send + Sync {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection. Dropping the future loses none.
    ///
    /// # Errors
    /// When the system cannot give it.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        TcpListener::accept(self).await.map(|(stream, _)| stream)
    }
}

impl Listen for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        UnixListener::accept(self).await.map(|(stream, _)| stream)
    }
}

/// Answers on a listener until `shutdown` is done; answers under way are finished first.
///
/// # Errors
/// When the listener is broken for good.
pub async fn serve(
    listener: impl Listen,
    router: Router,
    limits: ApiLimits,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    let accept = async || {
        // The slot comes first: a connection without one is not even taken from the queue.
        let slot = Arc::clone(&slots).acquire_owned().await;
        (listener.accept().await, slot)
    };
    loop {
        let (accepted, slot) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept() => accepted,
        };
        match accepted {
            Ok(stream) => {
                let answer = answer(stream, router.clone(), limits, stopping.clone());
                connections.spawn(async move {
                    answer.await;
                    drop(slot);
                });
            }
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => return Err(e),
            Err(error) => {
                // Out of file descriptors, or the caller hung up: neither is a reason to stop.
                tracing::warn!(%error, "the API could not take a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let _ = stop.send(true);
    let finished = timeout(limits.stop_time, async {
        while connections.join_next().await.is_some() {}
    });
    if finished.await.is_err() {
        tracing::warn!("the API was stopped with answers under way");
    }
    Ok(())
}

/// One connection, from its first byte to its end.
async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    limits: ApiLimits,
    mut stopping: watch::Receiver<bool>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        result = &mut connection => Some(result),
        _ = stopping.wait_for(|stop| *stop) => None,
        () = sleep(limits.connection_time) => None,
    };
    let ended = match ended {
        Some(result) => Ok(result),
        None => {
            connection.as_mut().graceful_shutdown();
            timeout(limits.last_answer_time, connection).await
        }
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to the API ended badly"),
        Err(_) => tracing::debug!("a connection to the API took too long for its last answer"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;

    const QUICK: ApiLimits = ApiLimits {
        connections: 1,
        head_time: Duration::from_millis(50),
        connection_time: Duration::from_secs(30),
        last_answer_time: Duration::from_secs(30),
        stop_time: Duration::from_secs(5),
    };

    const SHORT: ApiLimits = ApiLimits {
        connections: 1,
        head_time: Duration::from_secs(30),
        connection_time: Duration::from_millis(50),
        last_answer_time: Duration::from_secs(30),
        stop_time: Duration::from_secs(5),
    };

    async fn started(
        limits: ApiLimits,
    ) -> (
        std::net::SocketAddr,
        oneshot::Sender<()>,
        tokio::task::JoinHandle<io::Result<()>>,
    ) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let slow = || async {
            sleep(4 * SHORT.connection_time).await;
            "at last"
        };
        let large = || async { vec![b'x'; 64 << 20] };
        let router = Router::new()
            .route("/", axum::routing::get(|| async { "here" }))
            .route("/slow", axum::routing::get(slow))
            .route("/large", axum::routing::get(large));
        let served = tokio::spawn(serve(listener, router, limits, async move {
            let _ = stopped.await;
        }));
        (address, stop, served)
    }

    async fn ask(address: std::net::SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn it_answers_and_stops_when_told() {
        let (address, stop, served) = started(ApiLimits::HOST).await;
        assert!(ask(address).await.ends_with("here"));
        stop.send(()).unwrap();
        served.await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_caller_that_never_finishes_its_request_makes_room_for_the_next() {
        let (address, stop, served) = started(QUICK).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n")
            .await
            .unwrap();
        assert!(
            ask(address).await.ends_with("here"),
            "the only slot is free again"
        );
        drop(slow);
        stop.send(()).unwrap();
        served.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_idle_connection_does_not_hold_up_the_stop() {
        let (address, stop, served) = started(ApiLimits::HOST).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut first = [0; 12];
        idle.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        stop.send(()).unwrap();
        served.await.unwrap().unwrap();
        let mut rest = Vec::new();
        idle.read_to_end(&mut rest).await.unwrap();
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let (address, stop, served) = started(ApiLimits::HOST).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
            "y".repeat(2 * HEAD_BYTES)
        );
        // The server may hang up before it has read everything.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
        stop.send(()).unwrap();
        served.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_answer_under_way_is_finished_when_its_connection_has_lived_long_enough() {
        let (address, stop, served) = started(SHORT).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        // Ends: nobody asked for a close, the server hangs up after this answer.
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with("at last"), "{answer}");
        stop.send(()).unwrap();
        served.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_caller_that_never_reads_its_answer_makes_room_for_the_next() {
        let limits = ApiLimits {
            last_answer_time: Duration::from_millis(50),
            ..SHORT
        };
        let (address, stop, served) = started(limits).await;
        let mut deaf = TcpStream::connect(address).await.unwrap();
        deaf.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        assert!(
            ask(address).await.ends_with("here"),
            "the only slot is free again"
        );
        drop(deaf);
        stop.send(()).unwrap();
        served.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_head_that_trickles_is_given_up_as_one_that_never_comes() {
        let (address, stop, served) = started(QUICK).await;
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut answer, mut trickle) = stream.into_split();
        let trickling = tokio::spawn(async move {
            let _ = trickle.write_all(b"GET / HTTP/1.1\r\nx: ").await;
            // Far faster than the limit, and without an end.
            while trickle.write_all(b"y").await.is_ok() {
                sleep(QUICK.head_time / 10).await;
            }
        });
        let mut text = Vec::new();
        let _ = answer.read_to_end(&mut text).await;
        assert!(!String::from_utf8_lossy(&text).contains("200 OK"));
        drop(answer);
        trickling.await.unwrap();
        stop.send(()).unwrap();
        served.await.unwrap().unwrap();
    }
}
