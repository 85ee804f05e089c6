//! Archives of charts made in memory, good and bad, and a chart repository over plain http that a test changes while it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use crate::server::{Auth, Request, http};

/// A chart's archive: these files below a directory of its name, beside a `Chart.yaml`.
///
/// # Errors
/// A path that tar does not take.
pub fn archive(name: &str, version: &str, files: &[(&str, &str)]) -> Result<Vec<u8>> {
    let chart = format!("apiVersion: v2\nname: {name}\nversion: {version}\n");
    let mut all = vec![(format!("{name}/Chart.yaml"), chart)];
    for (path, content) in files {
        all.push((format!("{name}/{path}"), (*content).to_owned()));
    }
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content) in all {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content.as_bytes())?;
    }
    Ok(tar.into_inner()?.finish()?)
}

/// The SHA-256 of some bytes, in hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// An answer of the server.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers besides those that every answer has.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A server of files. Dropping it closes its port.
#[derive(Debug)]
pub struct FileServer {
    shared: Arc<Mutex<State>>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    answers: BTreeMap<String, Answer>,
    /// What is sent again and again after an answer.
    endless: BTreeMap<String, Vec<u8>>,
    /// How many bytes of an answer are sent, whatever length it promises.
    cut: BTreeMap<String, usize>,
    /// What is done before an answer.
    before: BTreeMap<String, Before>,
    auth: Auth,
    requests: Vec<Request>,
    stopping: bool,
}

#[derive(Clone)]
struct Before(Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Before")
    }
}

impl FileServer {
    /// One that has nothing yet.
    ///
    /// # Errors
    /// No loopback port.
    pub fn start() -> Result<FileServer> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("binding a loopback port")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Mutex::new(State::default()));
        let state = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if lock(&state).stopping {
                    break;
                }
                if let Ok(stream) = stream {
                    // A client that hangs up is a normal thing to happen to a server.
                    let _ = serve(&stream, &state);
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
        });
        Ok(FileServer {
            shared,
            address,
            acceptor: Some(acceptor),
        })
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Serves a file from now on.
    pub fn file(&self, path: &str, body: impl Into<Vec<u8>>) {
        self.answer(
            path,
            Answer {
                status: 200,
                headers: Vec::new(),
                body: body.into(),
            },
        );
    }

    /// Redirects a path from now on.
    pub fn redirect(&self, path: &str, to: &str) {
        self.answer(
            path,
            Answer {
                status: 302,
                headers: vec![("Location".to_owned(), to.to_owned())],
                body: Vec::new(),
            },
        );
    }

    /// Answers a path so from now on.
    pub fn answer(&self, path: &str, answer: Answer) {
        lock(&self.shared).answers.insert(path.to_owned(), answer);
    }

    /// Serves a file that does not end: this again and again, from now on.
    pub fn endless(&self, path: &str, again: &[u8]) {
        lock(&self.shared)
            .endless
            .insert(path.to_owned(), again.to_vec());
    }

    /// Promises the whole file and sends only so many bytes of it, from now on.
    pub fn cut(&self, path: &str, bytes: usize) {
        lock(&self.shared).cut.insert(path.to_owned(), bytes);
    }

    /// Does this whenever a path is asked for, before it is answered, from now on.
    pub fn before(&self, path: &str, what: impl Fn() + Send + Sync + 'static) {
        let before = Before(Arc::new(what));
        lock(&self.shared).before.insert(path.to_owned(), before);
    }

    /// Takes a file away.
    pub fn remove(&self, path: &str) {
        lock(&self.shared).answers.remove(path);
    }

    /// Asks for credentials from now on.
    pub fn require(&self, auth: Auth) {
        lock(&self.shared).auth = auth;
    }

    /// Every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared).requests.clone()
    }

    /// Serves charts with an index: name, version, archive.
    pub fn charts(&self, charts: &[(&str, &str, &[u8])]) {
        let mut entries: BTreeMap<&str, String> = BTreeMap::new();
        for (name, version, archive) in charts {
            let file = format!("{name}-{version}.tgz");
            entries.entry(name).or_default().push_str(&format!(
                "  - name: {name}\n    version: \"{version}\"\n    digest: {}\n    urls: [\"files/{file}\"]\n",
                sha256(archive)
            ));
            self.file(&format!("/stable/files/{file}"), *archive);
        }
        let mut index = "apiVersion: v1\nentries:\n".to_owned();
        for (name, versions) in entries {
            index.push_str(&format!("  {name}:\n{versions}"));
        }
        self.file("/stable/index.yaml", index);
    }

    /// The reference of a chart of [`FileServer::charts`].
    #[must_use]
    pub fn reference(&self, chart: &str, version: &str) -> String {
        format!(
            "helm+http://{}/stable?chart={chart}&version={version}",
            self.host()
        )
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        lock(&self.shared).stopping = true;
        // Wakes `accept`, which then sees that it should stop.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            // A panicking thread has failed the test's output already.
            let _ = acceptor.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(stream: &TcpStream, state: &Mutex<State>) -> Result<()> {
    let Some(request) = http::read(stream)? else {
        return Ok(());
    };
    let before = lock(state).before.get(&request.path).cloned();
    if let Some(Before(what)) = before {
        what();
    }
    let (answer, again, cut, allowed) = {
        let mut state = lock(state);
        state.requests.push(request.clone());
        let answer = state.answers.get(&request.path).cloned();
        let again = state.endless.get(&request.path).cloned();
        let cut = state.cut.get(&request.path).copied();
        (answer, again, cut, request.satisfies(&state.auth))
    };
    if !allowed {
        let challenge = [(
            "WWW-Authenticate".to_owned(),
            "Basic realm=\"rig\"".to_owned(),
        )];
        return http::write(stream, 401, &challenge, b"who are you?\n", usize::MAX);
    }
    if let Some(again) = again {
        return http::write_endless(stream, &[], &[], &again);
    }
    match answer {
        Some(answer) => http::write(
            stream,
            answer.status,
            &answer.headers,
            &answer.body,
            cut.unwrap_or(usize::MAX),
        ),
        None => http::write(stream, 404, &[], b"not here\n", usize::MAX),
    }
}
