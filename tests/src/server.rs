//! A loopback Git server: HTTP on port 0, bridged to the real `git http-backend`, with faults that a test switches while it runs.
//!
//! One thread accepts, one thread serves each connection. A stalled request
//! waits on a condition variable, so that lifting the fault or dropping the
//! server ends it at once. Dropping joins every thread.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

mod cgi;
pub(crate) mod http;

pub use http::Request;

/// Who may read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Auth {
    /// Anybody.
    #[default]
    Open,
    /// Who sends this token, as `Bearer` or as the password of any user (forges take both).
    Token(String),
    /// Who sends exactly this user and password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
}

/// What goes wrong with every request, until switched back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Answered with this status and no Git in it; 404 is "not there, or not yours to see".
    Status(u16),
    /// Accepted and read, never answered.
    Stall,
    /// The answer's length is promised in full, its body ends after this many bytes.
    Truncate(usize),
    /// Sent elsewhere: to this origin, with the same path.
    Redirect(String),
    /// Answered with a page that is no Git, as a captive portal does.
    Garbage,
    /// Requests whose body has a text are answered with something else, the others as ever.
    Instead(Impostor),
    /// Answers to requests for a pack end after so many bytes, and nothing more comes.
    Hold(usize),
}

/// What a server says that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impostor {
    /// What the body of a request has that is answered so: `command=fetch`, `command=ls-refs`.
    pub to: &'static str,
    /// The answer's body.
    pub body: Arc<Vec<u8>>,
    /// What comes after it again and again until the client goes away; nothing where it is empty.
    pub again: Arc<Vec<u8>>,
}

impl Impostor {
    fn takes(&self, request: &Request) -> bool {
        request
            .body
            .windows(self.to.len())
            .any(|part| part == self.to.as_bytes())
    }
}

/// The server. Dropping it closes everything that it opened.
#[derive(Debug)]
pub struct GitServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

impl GitServer {
    /// Serves every repository below `root`, read-only.
    ///
    /// # Errors
    /// No loopback port, or no `git http-backend`.
    pub fn start(root: &Path) -> Result<GitServer> {
        let backend = cgi::backend(root)?;
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("binding a loopback port")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            backend,
            root: root.to_path_buf(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let acceptor = Some(accept(listener, Arc::clone(&shared)));
        Ok(GitServer {
            shared,
            address,
            acceptor,
        })
    }

    /// Serves one [`crate::Repo`]; its URL is `url("work")`.
    ///
    /// # Errors
    /// As [`GitServer::start`].
    pub fn of(repo: &crate::Repo) -> Result<GitServer> {
        GitServer::start(repo.parent())
    }

    /// The URL of a repository below the root.
    #[must_use]
    pub fn url(&self, repository: &str) -> String {
        format!("{}/{repository}", self.origin())
    }

    /// Scheme, host and port, without a path.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks for credentials from now on (401 without them).
    pub fn require(&self, auth: Auth) {
        self.shared.lock().auth = auth;
    }

    /// Switches the fault; lifting [`Fault::Stall`] answers the requests that waited.
    pub fn fault(&self, fault: Fault) {
        self.shared.lock().fault = fault;
        self.shared.changed.notify_all();
    }

    /// Closes the port: connections are refused. [`GitServer::up`] opens the same one again.
    ///
    /// # Errors
    /// The accepting thread panicked.
    pub fn down(&mut self) -> Result<()> {
        self.close()
    }

    /// Opens the port again after [`GitServer::down`].
    ///
    /// # Errors
    /// Somebody else took the port.
    pub fn up(&mut self) -> Result<()> {
        if self.acceptor.is_none() {
            self.shared.lock().stopping = false;
            let listener = TcpListener::bind(self.address)
                .with_context(|| format!("opening {} again", self.address))?;
            self.acceptor = Some(accept(listener, Arc::clone(&self.shared)));
        }
        Ok(())
    }

    /// Every request so far, in the order of arrival; refused and stalled ones count.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// Waits until `count` requests have arrived since the start.
    ///
    /// # Errors
    /// Fewer did before the deadline.
    pub fn wait_for_requests(&self, count: usize, deadline: Duration) -> Result<()> {
        let until = Instant::now() + deadline;
        let mut state = self.shared.lock();
        while state.requests.len() < count {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                bail!(
                    "{count} requests were expected within {deadline:?}, {} arrived",
                    state.requests.len()
                );
            };
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        Ok(())
    }

    /// Waits until so many answers were held since the start.
    ///
    /// # Errors
    /// Fewer were before the deadline.
    pub fn wait_for_held(&self, count: usize, deadline: Duration) -> Result<()> {
        let until = Instant::now() + deadline;
        let mut state = self.shared.lock();
        while state.held < count {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                bail!(
                    "{count} answers were to be held within {deadline:?}, {} were",
                    state.held
                );
            };
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        Ok(())
    }

    /// How many answers were held since the start.
    #[must_use]
    pub fn held(&self) -> usize {
        self.shared.lock().held
    }

    fn close(&mut self) -> Result<()> {
        let Some(acceptor) = self.acceptor.take() else {
            return Ok(());
        };
        {
            let mut state = self.shared.lock();
            state.stopping = true;
            for stream in state.open.values() {
                // A connection that is gone already needs no closing.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
        // Wakes `accept`, which then sees that it should stop.
        let _ = TcpStream::connect(self.address);
        acceptor
            .join()
            .map_err(|_| anyhow::anyhow!("the server's accepting thread panicked"))
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        // A panicking thread has failed the test's output already.
        let _ = self.close();
    }
}

#[derive(Debug)]
struct Shared {
    backend: PathBuf,
    root: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct State {
    auth: Auth,
    fault: Fault,
    stopping: bool,
    requests: Vec<Request>,
    held: usize,
    open: BTreeMap<u64, TcpStream>,
}

fn accept(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut connections = Vec::new();
        for (number, stream) in (0..).zip(listener.incoming()) {
            let Ok(stream) = stream else { continue };
            let mut state = shared.lock();
            if state.stopping {
                break;
            }
            let Ok(handle) = stream.try_clone() else {
                continue;
            };
            state.open.insert(number, handle);
            drop(state);
            let shared = Arc::clone(&shared);
            connections.push(std::thread::spawn(move || {
                // A client that hangs up is a normal thing to happen to a server.
                let _ = serve(&stream, &shared);
                let _ = stream.shutdown(Shutdown::Both);
                shared.lock().open.remove(&number);
            }));
        }
        drop(listener);
        for connection in connections {
            let _ = connection.join();
        }
    })
}

fn asks_for_a_pack(request: &Request) -> bool {
    let asked = b"command=fetch";
    request.body.windows(asked.len()).any(|part| part == asked)
}

fn serve(stream: &TcpStream, shared: &Shared) -> Result<()> {
    let Some(request) = http::read(stream)? else {
        return Ok(());
    };
    let (auth, fault) = {
        let mut state = shared.lock();
        state.requests.push(request.clone());
        shared.changed.notify_all();
        while state.fault == Fault::Stall && !state.stopping {
            state = shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopping {
            return Ok(());
        }
        (state.auth.clone(), state.fault.clone())
    };
    let answer = |limit| -> Result<()> {
        if !request.satisfies(&auth) {
            let challenge = [(
                "WWW-Authenticate".to_owned(),
                "Basic realm=\"rig\"".to_owned(),
            )];
            return http::write(
                stream,
                401,
                &challenge,
                b"authentication required\n",
                usize::MAX,
            );
        }
        let answer = cgi::run(&shared.backend, &shared.root, &request)?;
        http::write(stream, answer.status, &answer.headers, &answer.body, limit)
    };
    match fault {
        Fault::None | Fault::Stall => answer(usize::MAX),
        Fault::Truncate(bytes) => answer(bytes),
        Fault::Instead(impostor) if impostor.takes(&request) => {
            let kind = "application/x-git-upload-pack-result".to_owned();
            let headers = [("Content-Type".to_owned(), kind)];
            if impostor.again.is_empty() {
                http::write(stream, 200, &headers, &impostor.body, usize::MAX)
            } else {
                http::write_endless(stream, &headers, &impostor.body, &impostor.again)
            }
        }
        Fault::Instead(_) => answer(usize::MAX),
        Fault::Hold(bytes) if asks_for_a_pack(&request) => {
            answer(bytes)?;
            let mut state = shared.lock();
            state.held += 1;
            shared.changed.notify_all();
            while matches!(state.fault, Fault::Hold(_)) && !state.stopping {
                state = shared
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            Ok(())
        }
        Fault::Hold(_) => answer(usize::MAX),
        Fault::Status(status) => http::write(stream, status, &[], b"the rig says no\n", usize::MAX),
        Fault::Redirect(origin) => {
            let to = [(
                "Location".to_owned(),
                format!("{origin}{}", request.target()),
            )];
            http::write(stream, 302, &to, b"", usize::MAX)
        }
        Fault::Garbage => {
            let kind = [("Content-Type".to_owned(), "text/html".to_owned())];
            http::write(
                stream,
                200,
                &kind,
                b"<html>please log in to this wireless network</html>\n",
                usize::MAX,
            )
        }
    }
}
