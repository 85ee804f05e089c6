//! A fault proxy: stands before an API server, a Git server or an S3 server, and does to chosen requests what networks and servers do.
//!
//! Before an API server it speaks TLS both ways: with a certificate of the
//! plane's own authority to clients, and as an administrator to the server,
//! whoever the client is. What it did is counted, so that a test can prove that
//! the fault happened. All of it ends with the value.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::GitServer;
use crate::control_plane::wait;
use crate::control_plane::{ControlPlane, Kubectl};
use crate::s3::S3;

mod carry;
mod rule;
mod tls;

pub use rule::{Act, Done, Rule};

use rule::Script;
use tls::Tls;

/// The proxy. Dropping it closes everything that it opened.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    kubectl: Option<Kubectl>,
    runtime: Option<Runtime>,
}

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `GET`, `PATCH` and so on.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// What follows the question mark; empty without one.
    pub query: String,
    /// How many milliseconds after the proxy's start.
    pub at: u128,
}

impl Proxy {
    /// Before a plane's API server. [`Proxy::kubectl`] has the kubeconfig that leads through it.
    ///
    /// # Errors
    /// No port, or no certificate.
    pub fn of_plane(plane: &ControlPlane) -> Result<Proxy> {
        let to = plane.address();
        let mut proxy = Proxy::start(to, Some(Tls::of(plane)?))?;
        let url = format!("https://{}", proxy.address);
        proxy.kubectl = Some(plane.through(proxy.address.port(), &url)?);
        Ok(proxy)
    }

    /// Before a Git server; a repository's URL is [`Proxy::url`].
    ///
    /// # Errors
    /// No port.
    pub fn of_git(server: &GitServer) -> Result<Proxy> {
        let to = server.origin();
        let to = to.trim_start_matches("http://").parse();
        Proxy::start(to.context("the server's address")?, None)
    }

    /// Before an S3 server; its URL is [`Proxy::origin`]. What a client signs is passed on as it is.
    ///
    /// # Errors
    /// No port.
    pub fn of_s3(server: &S3) -> Result<Proxy> {
        Proxy::start_as(server.address(), None, true)
    }

    fn start(to: SocketAddr, tls: Option<Tls>) -> Result<Proxy> {
        Proxy::start_as(to, tls, false)
    }

    fn start_as(to: SocketAddr, tls: Option<Tls>, is_open: bool) -> Result<Proxy> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("fault-proxy")
            .enable_all()
            .build()?;
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .context("binding a loopback port")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            to,
            tls,
            is_open,
            started: std::time::Instant::now(),
            state: Mutex::default(),
        });
        runtime.spawn(carry::accept(listener, Arc::clone(&shared)));
        Ok(Proxy {
            shared,
            address,
            kubectl: None,
            runtime: Some(runtime),
        })
    }

    /// The URL of the server, through the proxy.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of a repository of the Git server, through the proxy.
    #[must_use]
    pub fn url(&self, repository: &str) -> String {
        format!("http://{}/{repository}", self.address)
    }

    /// `kubectl` as an administrator, through the proxy.
    ///
    /// # Errors
    /// It stands before no plane.
    pub fn kubectl(&self) -> Result<&Kubectl> {
        self.kubectl.as_ref().context("a proxy of a plane")
    }

    /// One more rule; of those that fit a request the oldest one acts. Its count is in the answer.
    pub fn add(&self, rule: Rule) -> Done {
        self.shared.state().script.add(rule)
    }

    /// No more rules: all is passed on. What is held back by one of them stays so.
    pub fn clear(&self) {
        self.shared.state().script.clear();
    }

    /// Every request so far, in the order of arrival.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.state().asked.clone()
    }

    /// The most requests that were passed on at once since the last call, watches left out.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        let mut state = self.shared.state();
        let under_way = state.under_way;
        std::mem::replace(&mut state.most_at_once, under_way)
    }

    /// Waits until a rule has acted so often.
    ///
    /// # Errors
    /// It did not within the time.
    pub fn wait_for(&self, done: &Done, times: usize, bound: Duration) -> Result<()> {
        wait::until(bound, &format!("a rule acts {times} times"), || {
            Ok((done.times() >= times).then_some(()))
        })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Connections that are held back never end by themselves.
            runtime.shutdown_background();
        }
    }
}

#[derive(Debug)]
struct Shared {
    to: SocketAddr,
    tls: Option<Tls>,
    /// A client's own credentials are passed on.
    is_open: bool,
    started: std::time::Instant,
    state: Mutex<State>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct State {
    script: Script,
    asked: Vec<Asked>,
    under_way: usize,
    most_at_once: usize,
}
