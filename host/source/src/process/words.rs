//! What host and fetching process say to each other: one request, then lines of JSON of bounded length.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_core::digest::CommitId;
use weir_core::tree::TreeLimits;

use super::failure::Failure;
use super::notes::Note;
use super::{FetcherLimits, Fetching, external};
use crate::error::SourceError;
use crate::http::{Addresses, HttpOptions};
use crate::secret::{Credentials, CredentialsFrom, Secret};
use crate::source::{FetchLimits, FetchProgress, Fetched, RefChange, SourceConfig};
use crate::ssh::SshOptions;

/// The longest request, in bytes: paths, one token, one proxy.
pub(super) const REQUEST: usize = 1 << 20;
/// The longest line that is taken from a process.
pub(super) const LINE: usize = 64 << 10;

/// What is to be done. It may hold a secret, so it has no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) job: Job,
    pub(super) limits: FetcherLimits,
    pub(super) is_required: bool,
}

/// One job of a process.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum Job {
    /// Of a repository.
    Repository { work: Work, told: Box<Told> },
    /// Of a chart, or of a plugin in a registry.
    External(Box<external::words::Told>),
}

/// The work on a repository.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum Work {
    /// Look where the ref is.
    Fetch { doubted: Option<String> },
    /// Bring a commit.
    Bring { commit: String },
    /// Try what must not be possible.
    Try { files: Vec<OsString> },
}

/// Which work it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Fetch,
    Bring,
    Try,
}

impl Kind {
    pub(super) fn of(work: &Work) -> Kind {
        match work {
            Work::Fetch { .. } => Kind::Fetch,
            Work::Bring { .. } => Kind::Bring,
            Work::Try { .. } => Kind::Try,
        }
    }
}

/// What a process says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// First of all: what confines it.
    Ready(Report),
    /// It is not confined as it has to be, and does nothing.
    Unconfined(String),
    Progress(Progress),
    Note(Note),
    /// Last of all, of a repository.
    Done(Outcome),
    /// The same of an external.
    Got(Result<external::words::Got, external::words::Short>),
    Tried(Vec<(String, Result<String, String>)>),
}

/// What confines a process.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) landlock: Option<u32>,
    pub(super) filter: bool,
    pub(super) powerless: bool,
}

/// What came of the work.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) result: Result<Found, Failure>,
    pub(super) doubts: bool,
}

/// What was found. Ids as they are written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Found {
    Fetched { commit: String, change: Change },
    Brought,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Change {
    First,
    Unchanged,
    FastForward(String),
    Rewritten(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Progress {
    Connecting,
    Waiting,
    Receiving(u64),
    Checking,
}

impl From<FetchProgress> for Progress {
    fn from(how: FetchProgress) -> Progress {
        match how {
            FetchProgress::Connecting => Progress::Connecting,
            FetchProgress::Waiting => Progress::Waiting,
            FetchProgress::Receiving { bytes } => Progress::Receiving(bytes),
            FetchProgress::Checking => Progress::Checking,
        }
    }
}

impl From<Progress> for FetchProgress {
    fn from(how: Progress) -> FetchProgress {
        match how {
            Progress::Connecting => FetchProgress::Connecting,
            Progress::Waiting => FetchProgress::Waiting,
            Progress::Receiving(bytes) => FetchProgress::Receiving { bytes },
            Progress::Checking => FetchProgress::Checking,
        }
    }
}

impl Found {
    pub(super) fn of(fetched: Fetched) -> Found {
        Found::Fetched {
            commit: fetched.commit.to_string(),
            change: match fetched.change {
                RefChange::First => Change::First,
                RefChange::Unchanged => Change::Unchanged,
                RefChange::FastForward { from } => Change::FastForward(from.to_string()),
                RefChange::Rewritten { from } => Change::Rewritten(from.to_string()),
            },
        }
    }

    /// Whether it is an answer to that.
    pub(super) fn answers(&self, kind: Kind) -> bool {
        match (self, kind) {
            (Found::Fetched { .. }, Kind::Fetch) => self.fetched().is_some(),
            (Found::Brought, Kind::Bring) => true,
            _ => false,
        }
    }

    /// What was fetched, where the ids are ids.
    pub(crate) fn fetched(&self) -> Option<Fetched> {
        let id = |text: &String| text.parse::<CommitId>().ok();
        let Found::Fetched { commit, change } = self else {
            return None;
        };
        Some(Fetched {
            commit: id(commit)?,
            change: match change {
                Change::First => RefChange::First,
                Change::Unchanged => RefChange::Unchanged,
                Change::FastForward(from) => RefChange::FastForward { from: id(from)? },
                Change::Rewritten(from) => RefChange::Rewritten { from: id(from)? },
            },
        })
    }
}

/// A source's configuration as it is told.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Told {
    name: String,
    url: String,
    reference: String,
    cache_dir: OsString,
    credentials: Option<Shown>,
    http: Http,
    ssh: Ssh,
    fetch_limits: FetchLimits,
    tree_limits: TreeLimits,
}

/// What is shown to the server, or where it is.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum Shown {
    Token(String),
    Basic(String, String),
    TokenFile(OsString),
    PasswordFile(String, OsString),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    ca_file: Option<OsString>,
    client_cert: Option<(OsString, OsString)>,
    proxy: Option<String>,
    addresses: Addresses,
    connect_timeout: Duration,
    read_timeout: Duration,
    user_agent: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ssh {
    key_file: Option<OsString>,
    known_hosts_file: Option<OsString>,
    connect_timeout: Duration,
    read_timeout: Duration,
    search: Vec<OsString>,
}

fn os(path: &Path) -> OsString {
    path.as_os_str().to_owned()
}

impl Shown {
    pub(super) fn of(from: &CredentialsFrom) -> Shown {
        match from {
            CredentialsFrom::Given(Credentials::Token(token)) => {
                Shown::Token(token.expose().to_owned())
            }
            CredentialsFrom::Given(Credentials::Basic { user, password }) => {
                Shown::Basic(user.clone(), password.expose().to_owned())
            }
            CredentialsFrom::TokenFile(file) => Shown::TokenFile(os(file)),
            CredentialsFrom::PasswordFile { user, file } => {
                Shown::PasswordFile(user.clone(), os(file))
            }
        }
    }

    pub(super) fn from(self) -> CredentialsFrom {
        match self {
            Shown::Token(token) => CredentialsFrom::Given(Credentials::Token(Secret::new(token))),
            Shown::Basic(user, password) => CredentialsFrom::Given(Credentials::Basic {
                user,
                password: Secret::new(password),
            }),
            Shown::TokenFile(file) => CredentialsFrom::TokenFile(file.into()),
            Shown::PasswordFile(user, file) => CredentialsFrom::PasswordFile {
                user,
                file: file.into(),
            },
        }
    }
}

impl Http {
    pub(super) fn of(http: &HttpOptions) -> Http {
        Http {
            ca_file: http.ca_file.as_deref().map(os),
            client_cert: http.client_cert.as_ref().map(|(c, k)| (os(c), os(k))),
            proxy: http.proxy.as_ref().map(|p| p.expose().to_owned()),
            addresses: http.addresses,
            connect_timeout: http.connect_timeout,
            read_timeout: http.read_timeout,
            user_agent: http.user_agent.clone(),
        }
    }

    pub(super) fn options(self) -> HttpOptions {
        HttpOptions {
            ca_file: self.ca_file.map(PathBuf::from),
            client_cert: self.client_cert.map(|(c, k)| (c.into(), k.into())),
            proxy: self.proxy.map(Secret::new),
            addresses: self.addresses,
            connect_timeout: self.connect_timeout,
            read_timeout: self.read_timeout,
            user_agent: self.user_agent,
        }
    }
}

impl Told {
    pub(super) fn of(config: &SourceConfig) -> Told {
        let ssh = &config.ssh;
        Told {
            name: config.name.as_str().to_owned(),
            url: config.url.to_string(),
            reference: config.reference.to_string(),
            cache_dir: os(&config.cache_dir),
            credentials: config.credentials.as_ref().map(Shown::of),
            http: Http::of(&config.http),
            ssh: Ssh {
                key_file: ssh.key_file.as_deref().map(os),
                known_hosts_file: ssh.known_hosts_file.as_deref().map(os),
                connect_timeout: ssh.connect_timeout,
                read_timeout: ssh.read_timeout,
                search: ssh.search.iter().map(|dir| os(dir)).collect(),
            },
            fetch_limits: config.fetch_limits,
            tree_limits: config.tree_limits,
        }
    }

    /// As the process that was told has it: it fetches itself, and ssh is of its group.
    pub(super) fn config(self) -> Result<SourceConfig, SourceError> {
        let bad = |e: &dyn std::fmt::Display| SourceError::BadUrl {
            url: "of the request".to_owned(),
            why: e.to_string(),
        };
        let ssh = self.ssh;
        Ok(SourceConfig {
            name: self.name.parse().map_err(|e| bad(&e))?,
            url: self.url.parse()?,
            reference: self.reference.parse()?,
            cache_dir: self.cache_dir.into(),
            credentials: self.credentials.map(Shown::from),
            http: self.http.options(),
            ssh: SshOptions {
                key_file: ssh.key_file.map(PathBuf::from),
                known_hosts_file: ssh.known_hosts_file.map(PathBuf::from),
                connect_timeout: ssh.connect_timeout,
                read_timeout: ssh.read_timeout,
                search: ssh.search.into_iter().map(PathBuf::from).collect(),
                own_group: false,
            },
            fetch_limits: self.fetch_limits,
            tree_limits: self.tree_limits,
            fetching: Fetching::InProcess,
        })
    }
}
