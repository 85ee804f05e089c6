//! From a client to the server and back, with what the script says in between. One connection to the server for each of a client's.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::unfold;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};

use super::rule::Act;
use super::{Asked, Shared};

/// Long enough for what was written to have left before a connection is broken.
const FLUSH: Duration = Duration::from_millis(100);

type Broken = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, Broken>;

/// Accepts until the runtime ends.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((tcp, _)) = listener.accept().await {
        tokio::spawn(serve(tcp, Arc::clone(&shared)));
    }
}

async fn serve(tcp: TcpStream, shared: Arc<Shared>) {
    let reset = Arc::new(AtomicBool::new(false));
    let client = Client {
        tcp,
        reset: Arc::clone(&reset),
    };
    let carrier = Arc::new(Carrier {
        shared: Arc::clone(&shared),
        reset,
        server: Mutex::new(None),
    });
    match &shared.tls {
        None => talk(client, carrier).await,
        // A client that hangs up is a normal thing to happen to a server.
        Some(tls) => {
            if let Ok(client) = tls.acceptor.accept(client).await {
                talk(client, carrier).await;
            }
        }
    }
}

async fn talk(client: impl AsyncRead + AsyncWrite + Unpin, carrier: Arc<Carrier>) {
    let service = service_fn(|request| Arc::clone(&carrier).answer(request));
    let connection = hyper::server::conn::http1::Builder::new();
    // One that is broken on purpose ends with an error.
    let _ = connection
        .serve_connection(TokioIo::new(client), service)
        .await;
}

/// What is common to the requests of one client's connection.
struct Carrier {
    shared: Arc<Shared>,
    reset: Arc<AtomicBool>,
    server: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Carrier {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
        let (mut parts, body) = request.into_parts();
        // The proxy is who it is, whoever the client is.
        if !self.shared.is_open {
            parts.headers.remove(AUTHORIZATION);
        }
        let body = body.collect().await?.to_bytes();
        let request = Request::from_parts(parts, Full::new(body));
        let chosen = {
            let (method, path) = (request.method().as_str(), request.uri().path());
            let query = request.uri().query().unwrap_or_default();
            let mut state = self.shared.state();
            state.asked.push(Asked {
                method: method.to_owned(),
                path: path.to_owned(),
                query: query.to_owned(),
                at: self.shared.started.elapsed().as_millis(),
            });
            state.script.choose(method, path, query)
        };
        let Some((act, count)) = chosen else {
            return self.pass(request).await;
        };
        if !matches!(act, Act::ResetAfter) {
            count.add();
        }
        match act {
            Act::Delay(time) => {
                sleep(time).await;
                self.pass(request).await
            }
            Act::Answer {
                status,
                retry_after,
                content: (kind, body),
            } => {
                let mut answer = Response::builder()
                    .status(status)
                    .header(CONTENT_TYPE, kind);
                if let Some(seconds) = retry_after {
                    answer = answer.header(RETRY_AFTER, seconds);
                }
                Ok(answer.body(whole(Bytes::from(body)))?)
            }
            Act::ResetBefore => Err(self.broken()),
            Act::ResetAfter => {
                self.pass(request).await?.into_body().collect().await?;
                // It counts once it is done.
                count.add();
                Err(self.broken())
            }
            Act::Truncate(bytes) => {
                let (parts, body) = self.pass(request).await?.into_parts();
                let body = body.collect().await?.to_bytes();
                let part = body.slice(..bytes.min(body.len()));
                Ok(Response::from_parts(parts, self.cut(part)))
            }
            Act::Corrupt => {
                let (parts, body) = self.pass(request).await?.into_parts();
                let mut body = body.collect().await?.to_bytes().to_vec();
                let middle = body.len() / 2;
                if let Some(byte) = body.get_mut(middle) {
                    // No byte of a text, and none that a compressed one can have there.
                    *byte = !*byte;
                }
                Ok(Response::from_parts(parts, whole(body.into())))
            }
            Act::End(time) => {
                let (parts, body) = self.pass(request).await?.into_parts();
                Ok(Response::from_parts(parts, ending(body, time)))
            }
            Act::Overwritten => {
                let mut answer = self.pass(request).await?;
                if answer.status() == StatusCode::PRECONDITION_FAILED {
                    answer = Response::builder()
                        .header(ETAG, "\"rig\"")
                        .body(whole(Bytes::new()))?;
                }
                Ok(answer)
            }
            Act::Swallow => std::future::pending().await,
        }
    }

    /// To the server and back.
    async fn pass(&self, request: Request<Full<Bytes>>) -> Result<Response<Body>, Broken> {
        let watch = request
            .uri()
            .query()
            .is_some_and(|query| query.contains("watch=true"));
        let _under_way = (!watch).then(|| UnderWay::begin(&self.shared));
        let mut server = self.server.lock().await;
        let mut kept = server.take();
        if let Some(sender) = &mut kept
            && sender.ready().await.is_err()
        {
            kept = None;
        }
        let sender = match kept {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let answer = server.insert(sender).send_request(request).await?;
        Ok(answer.map(|body| body.map_err(Broken::from).boxed_unsync()))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Broken> {
        let tcp = TcpStream::connect(self.shared.to).await?;
        match &self.shared.tls {
            None => handshake(tcp).await,
            Some(tls) => handshake(tls.connector.connect(tls.name.clone(), tcp).await?).await,
        }
    }

    /// From now on the end of the client's connection is a reset.
    fn broken(&self) -> Broken {
        self.reset.store(true, Ordering::SeqCst);
        "the script says so".into()
    }

    /// So much of a body, and then a reset.
    fn cut(&self, part: Bytes) -> Body {
        let reset = Arc::clone(&self.reset);
        let stream = unfold(Some(part), move |part| {
            let reset = Arc::clone(&reset);
            async move {
                if let Some(part) = part {
                    return Some((Ok(Frame::data(part)), None));
                }
                sleep(FLUSH).await;
                reset.store(true, Ordering::SeqCst);
                Some((Err("the script says so".into()), None))
            }
        });
        StreamBody::new(stream).boxed_unsync()
    }
}

async fn handshake<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, Broken>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

fn whole(body: Bytes) -> Body {
    Full::new(body)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body until its end, or until this time is over.
fn ending(body: Body, time: Duration) -> Body {
    let until = Instant::now() + time;
    let stream = unfold(body, move |mut body| async move {
        let frame = timeout_at(until, body.frame()).await.ok().flatten()?;
        Some((frame, body))
    });
    StreamBody::new(stream).boxed_unsync()
}

/// Counts a request for as long as it is passed on.
struct UnderWay<'a>(&'a Shared);

impl<'a> UnderWay<'a> {
    fn begin(shared: &'a Shared) -> UnderWay<'a> {
        let mut state = shared.state();
        state.under_way += 1;
        state.most_at_once = state.most_at_once.max(state.under_way);
        UnderWay(shared)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
    }
}

/// A client's connection, which can end with a reset.
struct Client {
    tcp: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.reset.load(Ordering::SeqCst) {
            // Without it the client sees an end instead: as broken, in other words.
            let _ = self.tcp.set_zero_linger();
        }
    }
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
