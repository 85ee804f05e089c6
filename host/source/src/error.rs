//! What can go wrong between a Git server and a snapshot, by what the operator has to do about it.

use std::io;
use std::path::PathBuf;

use weir_core::digest::CommitId;
use weir_core::fault::{Blame, Fault, Retry};

use crate::process::ProcessEnd;
use crate::ssh::HostKeyProblem;

/// Why a source could not be opened, fetched or read. No text of these carries a credential.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The URL cannot be used as it is written: syntax, scheme, a redirect elsewhere.
    #[error("repository {url}: {why}")]
    BadUrl {
        /// The URL, without user and password.
        url: String,
        /// What is wrong and what to write instead.
        why: String,
    },
    /// No Git answer came: DNS, connection, TLS, a time-out, or an error of the server's own (5xx).
    #[error("repository {url} cannot be reached: {why}")]
    Unreachable {
        /// The URL.
        url: String,
        /// What happened.
        why: String,
    },
    /// The server answered 401 or 403.
    #[error("repository {url}: the server refused access ({status}): {hint}")]
    Unauthorized {
        /// The URL.
        url: String,
        /// 401 or 403.
        status: u16,
        /// What to do.
        hint: &'static str,
    },
    /// Who answers over ssh is not who is known: nothing was sent.
    #[error("repository {url}: {problem}")]
    HostKey {
        /// The URL.
        url: String,
        /// What does not fit, and the way out.
        problem: Box<HostKeyProblem>,
    },
    /// The server does not take the ssh key.
    #[error(
        "repository {url}: the server does not take the key {} for the user {user}: add its public half to that user's \
         keys there (a deploy key that may read is enough), or give another key", file.display()
    )]
    KeyRefused {
        /// The URL.
        url: String,
        /// The user on the server.
        user: String,
        /// The private key's file.
        file: PathBuf,
    },
    /// The ssh key on this host cannot be used.
    #[error("ssh key {}: {why}", file.display())]
    BadKey {
        /// The private key's file.
        file: PathBuf,
        /// What is wrong with it and what to do.
        why: String,
    },
    /// The program `ssh` is not there, or cannot work here.
    #[error("ssh cannot be run: {why}")]
    SshProgram {
        /// What is wrong and what to do.
        why: String,
    },
    /// There is no repository at the URL or path.
    #[error("repository {url} does not exist: {why}")]
    NotFound {
        /// The URL or path.
        url: String,
        /// What was found instead.
        why: String,
    },
    /// The repository is there, the branch, tag or revision is not.
    #[error("repository {url} has no {reference}{}", gone(had))]
    RefNotFound {
        /// The URL or path.
        url: String,
        /// What was asked for.
        reference: String,
        /// The commit that it last pointed at: it was deleted since. That commit is still in the cache.
        had: Option<CommitId>,
    },
    /// The repository is there and has nothing in it: neither the ref nor a commit on its default branch.
    #[error(
        "repository {url} is empty: it has neither {reference} nor a commit on its default branch; push to it first"
    )]
    Empty {
        /// The URL or path.
        url: String,
        /// What was asked for.
        reference: String,
    },
    /// The commit holds something that Weir does not take in.
    #[error("{path}: {why}")]
    Refused {
        /// The path in the tree, escaped where it is not printable.
        path: String,
        /// What is wrong with it and what is expected.
        why: String,
    },
    /// Objects are missing or do not match their ids.
    #[error("repository {url} is damaged: {why}")]
    Damaged {
        /// The URL or path.
        url: String,
        /// What is damaged.
        why: String,
    },
    /// Bytes that were made for two contents of one SHA-1: an attack.
    #[error(
        "repository {url} holds bytes that were made to collide under SHA-1 ({what}): this is an attack, and nothing of \
         that commit is used; find out who pushed it and take it out of the history"
    )]
    Collision {
        /// The URL or path.
        url: String,
        /// Where they are.
        what: String,
    },
    /// The repository is larger than the host allows.
    #[error("repository {url} exceeds the limit {which}: raise it or make the repository smaller")]
    Limit {
        /// The URL or path.
        url: String,
        /// The limit's name and value.
        which: String,
    },
    /// The process that fetches it ended without an outcome.
    #[error("repository {url}: the process that fetches it {end}")]
    Process {
        /// The URL.
        url: String,
        /// How.
        end: ProcessEnd,
    },
    /// Told to stop while working.
    #[error("stopped before the fetch of {url} was complete")]
    Stopped {
        /// The URL.
        url: String,
    },
    /// The disk that the cache lies on is full.
    #[error(
        "{what}: the disk is full ({source}); free space there, or give --cache a place on another disk; it is tried again"
    )]
    NoSpace {
        /// What was being done, with the path.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// This host's own disk or configuration.
    #[error("{what}: {source}")]
    Host {
        /// What was being done, with the path.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn gone(had: &Option<CommitId>) -> String {
    match had {
        Some(commit) => format!(
            " any more: it was deleted or renamed (it last pointed at {}); the last good state stays, follow another \
             branch or push it again",
            commit.short()
        ),
        None => ": check the spelling, or push it first".into(),
    }
}

impl SourceError {
    pub(crate) fn host(what: impl Into<String>, source: io::Error) -> Self {
        let what = what.into();
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => SourceError::NoSpace { what, source },
            _ => SourceError::Host { what, source },
        }
    }

    /// One word for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            SourceError::BadUrl { .. } => "bad-url",
            SourceError::Unreachable { .. } => "unreachable",
            SourceError::Unauthorized { .. } => "unauthorized",
            SourceError::HostKey { problem, .. } => problem.kind(),
            SourceError::KeyRefused { .. } => "key-refused",
            SourceError::BadKey { .. } => "bad-key",
            SourceError::SshProgram { .. } => "ssh-program",
            SourceError::NotFound { .. } => "not-found",
            SourceError::RefNotFound { .. } => "ref-not-found",
            SourceError::Empty { .. } => "empty",
            SourceError::Refused { .. } => "refused",
            SourceError::Damaged { .. } => "damaged",
            SourceError::Collision { .. } => "collision",
            SourceError::Limit { .. } => "limit",
            SourceError::Process { .. } => "fetch-process",
            SourceError::Stopped { .. } => "stopped",
            SourceError::NoSpace { .. } => "no-space",
            SourceError::Host { .. } => "host",
        }
    }
}

impl Blame for SourceError {
    fn fault(&self) -> Fault {
        match self {
            SourceError::RefNotFound { .. }
            | SourceError::Empty { .. }
            | SourceError::Collision { .. }
            | SourceError::Refused { .. } => Fault::Repository,
            SourceError::Process { end, .. } => end.fault(),
            _ => Fault::Host,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            SourceError::BadUrl { .. }
            | SourceError::Refused { .. }
            | SourceError::Collision { .. }
            | SourceError::Limit { .. } => Retry::OnChange,
            SourceError::Process { end, .. } => end.retry(),
            // Credentials and files of keys are changed while a host runs, servers and branches come back, a damaged cache is cloned anew.
            _ => Retry::Backoff,
        }
    }
}

/// A text from outside, fit for one line of a terminal or log: no control characters, bounded.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .take(500)
        .collect()
}
