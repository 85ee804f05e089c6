//! A small HTTP server under the tests' control, which can hand requests on to the real `git http-backend`.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// One answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Send only so many bytes of the body, and close.
    pub(super) cut: Option<usize>,
    /// Hold the connection open without an answer until the client goes away.
    pub(super) silent: bool,
    /// After the body more bytes, one at a time, until the client goes away.
    pub(super) trickle: bool,
}

/// How long a server that trickles waits for the client to go away between two bytes.
const TRICKLE: Duration = Duration::from_millis(20);
/// The length that it promises besides its body: never reached.
const ENDLESS: usize = 1 << 40;

impl Reply {
    pub(super) fn status(status: u16) -> Reply {
        Reply {
            status,
            ..Reply::default()
        }
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.into(), value.into()));
        self
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// A server on a port of its own, until dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) seen: Arc<Mutex<Vec<Request>>>,
    handler: Arc<Mutex<Arc<Handler>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn new(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        Server::start(None, handler)
    }

    pub(super) fn start(
        tls: Option<Arc<ServerConfig>>,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let handler: Arc<Mutex<Arc<Handler>>> = Arc::new(Mutex::new(Arc::new(handler)));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (seen, handler, stop) = (seen.clone(), handler.clone(), stop.clone());
            move || {
                for stream in listener.incoming().flatten() {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let (seen, handler, tls) = (seen.clone(), handler.clone(), tls.clone());
                    std::thread::spawn(move || {
                        // A client that goes away is part of several tests.
                        let _ = stream.try_clone().and_then(|raw| match tls {
                            None => serve(stream, &raw, &seen, &handler),
                            Some(config) => ServerConnection::new(config)
                                .map_err(io::Error::other)
                                .and_then(|tls| {
                                    serve(StreamOwned::new(tls, stream), &raw, &seen, &handler)
                                }),
                        });
                    });
                }
            }
        });
        Server {
            address,
            seen,
            handler,
            stop,
            thread: Some(thread),
        }
    }

    /// Answers otherwise from now on.
    pub(super) fn answer(&self, handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        *self.handler.lock().unwrap() = Arc::new(handler);
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn take_seen(&self) -> Vec<Request> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    stream: impl Read + Write,
    raw: &TcpStream,
    seen: &Mutex<Vec<Request>>,
    handler: &Mutex<Arc<Handler>>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let Some(request) = read_request(&mut stream)? else {
        return Ok(());
    };
    seen.lock().unwrap().push(request.clone());
    let handler = handler.lock().unwrap().clone();
    let reply = handler(&request);
    if reply.silent {
        return stream.read(&mut [0]).map(drop);
    }
    let out = stream.get_mut();
    write!(
        out,
        "HTTP/1.1 {} x\r\nConnection: close\r\nContent-Length: {}\r\n",
        reply.status,
        reply.body.len() + if reply.trickle { ENDLESS } else { 0 }
    )?;
    for (name, value) in &reply.headers {
        write!(out, "{name}: {value}\r\n")?;
    }
    out.write_all(b"\r\n")?;
    out.write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len()).min(reply.body.len())])?;
    out.flush()?;
    if reply.trickle {
        raw.set_read_timeout(Some(TRICKLE))?;
        // The client says nothing more: whatever comes is its end.
        while raw
            .peek(&mut [0])
            .is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock)
        {
            out.write_all(b"x")?;
            out.flush()?;
        }
    }
    Ok(())
}

fn read_request(stream: &mut impl io::BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method,
        path: path.into(),
        query: query.into(),
        headers: BTreeMap::new(),
        body: Vec::new(),
    };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        request
            .headers
            .insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = request
        .header("content-length")
        .and_then(|l| l.parse().ok())
        .unwrap_or(0);
    stream.take(length).read_to_end(&mut request.body)?;
    Ok(Some(request))
}

/// What the real `git http-backend` answers for the repositories below `root`.
#[expect(
    clippy::disallowed_methods,
    reason = "the real back end of git is what this crate must work with"
)]
pub(super) fn backend(root: &Path, request: &Request) -> Reply {
    let mut git = Command::new("git");
    git.arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    git.env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", root);
    git.env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", &request.path);
    git.env("QUERY_STRING", &request.query)
        .env("REQUEST_METHOD", &request.method);
    git.env("CONTENT_LENGTH", request.body.len().to_string());
    for (variable, header) in [
        ("CONTENT_TYPE", "content-type"),
        ("GIT_PROTOCOL", "git-protocol"),
    ] {
        git.env(variable, request.header(header).unwrap_or_default());
    }
    let mut child = git
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let body = request.body.clone();
    let feeder = std::thread::spawn(move || stdin.write_all(&body));
    let out = child.wait_with_output().unwrap().stdout;
    let _ = feeder.join();
    let end = out.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(0);
    let mut reply = Reply {
        status: 200,
        body: out.get(end + 4..).unwrap_or_default().to_vec(),
        ..Reply::default()
    };
    for line in String::from_utf8_lossy(&out[..end]).lines() {
        match line.split_once(": ") {
            Some(("Status", status)) => reply.status = status[..3].parse().unwrap(),
            Some((name, value)) => reply.headers.push((name.into(), value.into())),
            None => {}
        }
    }
    reply
}
