//! A whole Kubernetes control plane on loopback: etcd, the API server and, for rollouts, the controllers, the scheduler and a fake node.
//!
//! Nothing of the machine's Kubernetes is used: own port, own certificates
//! (always verified), own kubeconfig files. A value's processes and folder are
//! gone when it is dropped, and also when the process that holds it ends in any
//! other way: a supervising shell sees to that.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::places;

mod audit;
mod authority;
/// A control plane that outlives the process that starts it, for people.
pub mod background;
/// An API server asked without `kubectl`.
pub mod connection;
mod kubectl;
mod parts;
mod supervisor;
/// Waiting for what cannot be waited for otherwise.
pub mod wait;

pub use audit::{Audit, AuditEntry, Mark};
pub use connection::Connection;
pub use kubectl::{Answer, Kubectl};
pub use supervisor::is_running;

pub(crate) use authority::Pair;

use authority::Authority;
use supervisor::Supervisor;

/// Longer than a part takes to become ready, on any machine.
const READY: Duration = Duration::from_secs(90);
/// Another process may take a port between the choice and its use.
const PORTS: usize = 5;
/// How much of a log an error shows.
const TAIL: usize = 15;

/// What a control plane has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// etcd and the API server: objects are stored, nothing happens to them.
    ApiServer,
    /// Everything: Deployments become available, Jobs complete, namespaces and garbage go.
    Rollouts,
}

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    folder: PathBuf,
    binaries: PathBuf,
    authority: Authority,
    with: With,
    port: u16,
    supervisor: Mutex<Supervisor>,
}

impl ControlPlane {
    /// Starts one that nobody else uses; returns when the API server (and with [`With::Rollouts`] the node) is ready.
    ///
    /// # Errors
    /// A binary is missing (the text says how to build it), or a part does not become ready (the text has the ends of the logs).
    pub fn start(with: With) -> Result<ControlPlane> {
        let folder = tempfile::Builder::new()
            .prefix("weir-control-plane-")
            .tempdir()?;
        let supervisor = Supervisor::held(folder.path())?;
        // From here on the supervisor removes it.
        ControlPlane::start_in(&folder.keep(), supervisor, with)
    }

    /// The one that all tests of this process share, with rollouts. Keep apart by [`ControlPlane::namespace`].
    ///
    /// # Errors
    /// As [`ControlPlane::start`], the same for every test.
    pub fn shared() -> Result<&'static ControlPlane> {
        static SHARED: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
        SHARED
            .get_or_init(|| {
                ControlPlane::start(With::Rollouts).map_err(|error| format!("{error:#}"))
            })
            .as_ref()
            .map_err(|text| anyhow!("the shared control plane: {text}"))
    }

    /// The folder with its data, logs and files; goes with the value.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the API server listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The same, for a connection.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Certificates of this plane's authority: for a server on this machine, and for an administrator.
    pub(crate) fn certificates(&self) -> Result<(Pair, Pair)> {
        let admin = self
            .authority
            .client("weir-rig-proxy", Some("system:masters"))?;
        Ok((self.authority.server()?, admin))
    }

    /// `kubectl` as an administrator, to whoever passes requests on at this port.
    pub(crate) fn through(&self, port: u16, url: &str) -> Result<Kubectl> {
        let kubectl = self.kubectl(&format!("through-{port}"));
        let admin = self
            .authority
            .client("weir-rig-admin", Some("system:masters"))?;
        let text = authority::kubeconfig(url, &self.authority.pem(), &admin);
        fs::write(&kubectl.kubeconfig, text)
            .with_context(|| format!("writing {}", kubectl.kubeconfig.display()))?;
        Ok(kubectl)
    }

    /// The certificate of the authority that signed the API server's, as PEM.
    #[must_use]
    pub fn authority_pem(&self) -> String {
        self.authority.pem()
    }

    /// `kubectl` as an administrator (group `system:masters`).
    #[must_use]
    pub fn admin(&self) -> Kubectl {
        self.kubectl("admin")
    }

    /// `kubectl` as a user with a certificate of this control plane, who may do nothing unless told otherwise by RBAC.
    ///
    /// # Errors
    /// No room.
    pub fn user(&self, name: &str, group: Option<&str>) -> Result<Kubectl> {
        self.identity(name, &self.authority.client(name, group)?)
    }

    /// `kubectl` with a certificate for this name that another authority signed.
    ///
    /// # Errors
    /// No room.
    pub fn impostor(&self, name: &str, group: Option<&str>) -> Result<Kubectl> {
        let pair = Authority::new()?.client(name, group)?;
        self.identity(&format!("impostor-{name}"), &pair)
    }

    /// The reader of what was asked.
    #[must_use]
    pub fn audit(&self) -> Audit {
        Audit {
            log: self.folder.join("audit.log"),
            kubectl: self.admin(),
        }
    }

    /// Makes a namespace that no other test has; its name begins with `prefix`.
    ///
    /// # Errors
    /// The API server refuses it.
    pub fn namespace(&self, prefix: &str) -> Result<String> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{prefix}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.admin().text(&["create", "namespace", &name])?;
        Ok(name)
    }

    /// Kills the API server: connections are refused until [`ControlPlane::api_server_up`].
    ///
    /// # Errors
    /// It does not go.
    pub fn api_server_down(&self) -> Result<()> {
        self.supervisor().stop(parts::API_SERVER)
    }

    /// Starts the API server again on the same port and waits until it is ready.
    ///
    /// # Errors
    /// It does not become ready.
    pub fn api_server_up(&self) -> Result<()> {
        self.launch_api_server()?;
        self.wait_for_api_server()
    }

    /// The process ids of all parts.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let supervisor = self.supervisor();
        let ids: Result<Vec<Option<u32>>> = self
            .names()
            .iter()
            .map(|name| supervisor.pid(name))
            .collect();
        Ok(ids?.into_iter().flatten().collect())
    }

    fn start_in(folder: &Path, supervisor: Supervisor, with: With) -> Result<ControlPlane> {
        let mut plane = ControlPlane {
            folder: folder.to_path_buf(),
            binaries: places::control_plane()?.canonicalize()?,
            authority: Authority::new()?,
            with,
            port: 0,
            supervisor: Mutex::new(supervisor),
        };
        plane.look_for_binaries()?;
        plane.write_files()?;
        plane.launch(parts::ETCD, &parts::etcd())?;
        plane.find_port()?;
        if with == With::Rollouts {
            plane.start_rollouts()?;
        }
        Ok(plane)
    }

    fn names(&self) -> &'static [&'static str] {
        match self.with {
            With::ApiServer => &[parts::ETCD, parts::API_SERVER],
            With::Rollouts => &[
                parts::ETCD,
                parts::API_SERVER,
                parts::CONTROLLERS,
                parts::SCHEDULER,
                parts::KWOK,
            ],
        }
    }

    fn look_for_binaries(&self) -> Result<()> {
        let missing: Vec<&str> = self
            .names()
            .iter()
            .chain(&[parts::KUBECTL])
            .copied()
            .filter(|name| !self.binaries.join(name).is_file())
            .collect();
        if !missing.is_empty() {
            bail!(
                "{} lacks {}: `cargo xtask control-plane` builds all of them",
                self.binaries.display(),
                missing.join(", ")
            );
        }
        Ok(())
    }

    fn write_files(&self) -> Result<()> {
        let write = |name: &str, text: &str| {
            fs::write(self.folder.join(name), text).with_context(|| format!("writing {name}"))
        };
        fs::create_dir(self.folder.join("home"))?;
        let server = self.authority.server()?;
        write("ca.pem", &self.authority.pem())?;
        write("server.pem", &server.certificate)?;
        write("server.key", &server.key)?;
        write(
            "audit-policy.yaml",
            include_str!("control_plane/audit-policy.yaml"),
        )?;
        write("stages.yaml", include_str!("control_plane/stages.yaml"))?;
        authority::service_account_key(&self.folder)
    }

    /// Starts the API server on a free port; on another when somebody was faster.
    fn find_port(&mut self) -> Result<()> {
        let mut last = None;
        for _ in 0..PORTS {
            self.port = free_port()?;
            for (file, user, group) in [
                ("admin", "weir-rig-admin", Some("system:masters")),
                ("kwok", "weir-rig-kwok", Some("system:masters")),
                ("controllers", "system:kube-controller-manager", None),
                ("scheduler", "system:kube-scheduler", None),
            ] {
                self.identity(file, &self.authority.client(user, group)?)?;
            }
            self.launch_api_server()?;
            match self.wait_for_api_server() {
                Ok(()) => return Ok(()),
                Err(error)
                    if self
                        .log(parts::API_SERVER)
                        .contains("address already in use") =>
                {
                    last = Some(error);
                    self.api_server_down()?;
                    fs::remove_file(self.log_path(parts::API_SERVER))?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow!("no free port on 127.0.0.1")))
    }

    fn launch_api_server(&self) -> Result<()> {
        let service_accounts = self.with == With::Rollouts;
        self.launch(
            parts::API_SERVER,
            &parts::api_server(self.port, service_accounts),
        )
    }

    fn wait_for_api_server(&self) -> Result<()> {
        let address = self.address();
        let admin = self.admin();
        self.wait("the API server is ready", || {
            if TcpStream::connect(address).is_err() {
                return Ok(None);
            }
            let answer = admin.run(&["get", "--raw", "/readyz", "--request-timeout=5s"])?;
            Ok((answer.ok && answer.stdout == "ok").then_some(()))
        })
    }

    fn start_rollouts(&self) -> Result<()> {
        self.launch(parts::CONTROLLERS, &parts::controllers())?;
        self.launch(parts::SCHEDULER, &parts::scheduler())?;
        self.launch(parts::KWOK, &parts::kwok())?;
        let admin = self.admin();
        admin.apply(include_str!("control_plane/node.yaml"))?;
        self.wait("the node is ready and pods may run on it", || {
            // The taint goes when the controllers have seen that the node is ready.
            let node = admin.json(&["get", "node", "fake"])?;
            let account = admin.run(&["get", "serviceaccount", "default"])?;
            let ready = node
                .pointer("/status/conditions")
                .and_then(|conditions| conditions.as_array())
                .is_some_and(|all| {
                    all.iter()
                        .any(|one| one["type"] == "Ready" && one["status"] == "True")
                });
            let free = node.pointer("/spec/taints").is_none();
            Ok((ready && free && account.ok).then_some(()))
        })
    }

    /// Waits for something as long as every part runs; an error has the ends of their logs.
    fn wait(&self, what: &str, mut look: impl FnMut() -> Result<Option<()>>) -> Result<()> {
        let waited = wait::until(READY, what, || {
            if let Some(found) = look()? {
                return Ok(Some(found));
            }
            let supervisor = self.supervisor();
            for name in self.names() {
                if supervisor.pid(name)?.is_some() && !supervisor.runs(name)? {
                    bail!("{name} ended");
                }
            }
            Ok(None)
        });
        waited.with_context(|| format!("waiting until {what}\n{}", self.tails()))
    }

    fn launch(&self, name: &str, arguments: &[String]) -> Result<()> {
        self.supervisor()
            .start(name, &self.binaries.join(name), arguments)
    }

    /// The ends of all logs.
    fn tails(&self) -> String {
        let mut text = String::new();
        for name in self.names() {
            let log = self.log(name);
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(TAIL)..];
            text.push_str(&format!("--- {name}\n{}\n", tail.join("\n")));
        }
        text
    }

    fn log(&self, name: &str) -> String {
        // A part that was not started has none.
        fs::read_to_string(self.log_path(name)).unwrap_or_default()
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// Writes `FILE.kubeconfig`.
    fn identity(&self, file: &str, client: &Pair) -> Result<Kubectl> {
        let kubectl = self.kubectl(&file.replace([':', '/'], "-"));
        let text = authority::kubeconfig(&self.url(), &self.authority.pem(), client);
        fs::write(&kubectl.kubeconfig, text)
            .with_context(|| format!("writing {}", kubectl.kubeconfig.display()))?;
        Ok(kubectl)
    }

    fn kubectl(&self, file: &str) -> Kubectl {
        Kubectl {
            binary: self.binaries.join(parts::KUBECTL),
            kubeconfig: self.folder.join(format!("{file}.kubeconfig")),
            home: self.folder.join("home"),
        }
    }

    fn supervisor(&self) -> MutexGuard<'_, Supervisor> {
        self.supervisor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("binding a loopback port")?;
    Ok(listener.local_addr()?.port())
}
