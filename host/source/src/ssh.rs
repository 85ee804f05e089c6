//! Git over ssh: our own run of OpenSSH's client, which knows a server by one file and itself by one key.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use gix_transport::Protocol;
use gix_transport::client::blocking_io::Transport;
use gix_transport::client::git::ConnectMode;
use gix_transport::client::git::blocking_io::Connection;

use crate::error::SourceError;
use crate::exchange::Exchange;
use crate::url::SshUrl;

pub(crate) mod command;
mod heard;
mod host_key;
mod key;
pub mod known_hosts;
mod session;

pub use host_key::{EntryOf, HostKeyProblem, ShownKey};

use known_hosts::{KnownHosts, KnownHostsLimits};
use session::{Answers, Facts, Questions, Session};

/// How to talk to a Git server over ssh. Both files are read anew for each connection, so that they may change while
/// a host runs.
#[derive(Debug, Clone)]
pub struct SshOptions {
    /// The private key that is shown, without a passphrase; never another one.
    pub key_file: Option<PathBuf>,
    /// The keys that servers are known by; never another file.
    pub known_hosts_file: Option<PathBuf>,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long the server may say nothing.
    pub read_timeout: Duration,
    /// The folders that `ssh` is looked for in.
    pub search: Vec<PathBuf>,
    /// Whether ssh is a process group of its own: not where this process is one that is ended as a whole.
    pub own_group: bool,
}

impl SshOptions {
    /// What a host uses that was told nothing else.
    pub fn host() -> Self {
        let search = ["/usr/bin", "/usr/local/bin", "/bin"];
        SshOptions {
            key_file: None,
            known_hosts_file: None,
            connect_timeout: Duration::from_secs(15),
            read_timeout: Duration::from_secs(60),
            search: search.map(PathBuf::from).to_vec(),
            own_group: true,
        }
    }
}

/// A client for one repository.
pub(crate) struct Client {
    url: SshUrl,
    key: PathBuf,
    known_hosts: PathBuf,
    connect_timeout: Duration,
    read_timeout: Duration,
    search: Vec<PathBuf>,
    own_group: bool,
}

impl Client {
    /// # Errors
    /// There is no key or no `known_hosts` in the options, or its path cannot be told to ssh. The files are not read.
    pub(crate) fn new(url: SshUrl, options: &SshOptions) -> Result<Client, SourceError> {
        let given = |file: &Option<PathBuf>, what: &str| {
            let bad = |why: String| SourceError::BadUrl {
                url: url.to_string(),
                why,
            };
            let file = file.as_ref().ok_or_else(|| {
                bad(format!(
                    "it is asked through ssh, which needs a key and the server's own keys, and nothing of this user's is \
                     taken: give {what} (docs/git.md says how both are made)"
                ))
            })?;
            let file = std::path::absolute(file)
                .map_err(|e| SourceError::host(format!("finding {}", file.display()), e))?;
            command::option_path(&file).map_err(|why| bad(format!("{}: {why}", file.display())))?;
            Ok(file)
        };
        Ok(Client {
            key: given(&options.key_file, "an ssh key file")?,
            known_hosts: given(&options.known_hosts_file, "a known_hosts file")?,
            connect_timeout: options.connect_timeout,
            read_timeout: options.read_timeout,
            search: options.search.clone(),
            own_group: options.own_group,
            url,
        })
    }

    /// The repository's URL, fit for error texts.
    pub(crate) fn url(&self) -> String {
        self.url.to_string()
    }

    /// Where it is, the private key, and the keys that it is known by.
    pub(crate) fn known_as(&self) -> (&SshUrl, &Path, &Path) {
        (&self.url, &self.key, &self.known_hosts)
    }

    /// Starts ssh, where key and `known_hosts` are fit for it.
    ///
    /// # Errors
    /// `HostKey` and `BadKey` before anything is sent, `SshProgram`, `Host`.
    pub(crate) fn connect<'a>(
        &self,
        exchange: &Rc<Exchange<'a>>,
    ) -> Result<Box<dyn Transport + 'a>, SourceError> {
        let known = self.known()?;
        key::check(&self.key)?;
        let program = command::program(&self.search)?;
        let text = |path: &Path| {
            command::option_path(path).map_err(|why| SourceError::BadUrl {
                url: self.url(),
                why: format!("{}: {why}", path.display()),
            })
        };
        let arguments = command::arguments(
            &self.url,
            &text(&self.key)?,
            &text(&self.known_hosts)?,
            self.connect_timeout,
        );
        let started = |e: io::Error| SourceError::SshProgram {
            why: format!("{} cannot be started: {e}", program.display()),
        };
        let child = command::command(&program, arguments, self.own_group).spawn();
        let facts = Facts {
            url: self.url.clone(),
            key: self.key.clone(),
            known_hosts: self.known_hosts.clone(),
            known,
            silence: self.read_timeout,
        };
        let session = Session::of(child.map_err(started)?, exchange.clone(), facts);
        let session = Rc::new(RefCell::new(session.map_err(started)?));
        let connection = Connection::new(
            Answers(session.clone()),
            Questions(session),
            Protocol::V2,
            self.url.path(),
            None::<(&str, Option<u16>)>,
            ConnectMode::Process,
            false,
        );
        Ok(Box::new(connection.custom_url(Some(self.url().into()))))
    }

    /// The keys of the file, of which at least one is of the server.
    fn known(&self) -> Result<KnownHosts, SourceError> {
        let problem = |problem| SourceError::HostKey {
            url: self.url(),
            problem: Box::new(problem),
        };
        let entry = EntryOf::of(&self.url);
        let wrong = |line, why: String| {
            problem(HostKeyProblem::File {
                file: self.known_hosts.clone(),
                line,
                why,
                entry: entry.clone(),
            })
        };
        let limits = KnownHostsLimits::HOST;
        let text = read(&self.known_hosts, limits.bytes)
            .map_err(|e| wrong(None, format!("it cannot be read: {e}")))?;
        let known = known_hosts::parse(&text, limits).map_err(|e| wrong(Some(e.line), e.why))?;
        if known.is_empty() {
            return Err(wrong(None, "no key is in it".into()));
        }
        if known.named(&host_key::names(&self.url)).next().is_none() {
            return Err(problem(HostKeyProblem::Unlisted {
                file: self.known_hosts.clone(),
                entry,
            }));
        }
        Ok(known)
    }
}

/// A file, and one byte more than it may have where it has more.
fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = File::open(path)?;
    file.take(most as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}
