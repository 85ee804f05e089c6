//! Why a server's key is not accepted, with its fingerprint and the way out.

use std::fmt;
use std::path::PathBuf;

use super::known_hosts::{KnownHosts, Meaning};
use crate::url::SshUrl;

/// Why nothing is asked of a server: who it is is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKeyProblem {
    /// `known_hosts` is missing, cannot be read, or has a line that is no entry.
    File {
        /// The file.
        file: PathBuf,
        /// The line, where one is wrong.
        line: Option<usize>,
        /// What is wrong and what was expected.
        why: String,
        /// How its entry is made.
        entry: EntryOf,
    },
    /// `known_hosts` has no line for the server: it was not asked at all.
    Unlisted {
        /// The file.
        file: PathBuf,
        /// How its entry is made.
        entry: EntryOf,
    },
    /// The server shows a key of a kind that no line has for it.
    Unknown {
        /// The file.
        file: PathBuf,
        /// What was shown.
        shown: ShownKey,
        /// What the file has, as `line N (TYPE)`.
        listed: Vec<String>,
        /// How its entry is made.
        entry: EntryOf,
    },
    /// The server shows another key than the one that it is known by.
    Changed {
        /// The file.
        file: PathBuf,
        /// The line with the known key.
        line: usize,
        /// The fingerprint of the known key.
        known: String,
        /// What was shown.
        shown: ShownKey,
    },
    /// The server shows a key that is marked `@revoked`, or signed with one.
    Revoked {
        /// The file.
        file: PathBuf,
        /// The line that revokes it, where it can be told.
        line: Option<usize>,
        /// What was shown.
        shown: ShownKey,
    },
}

/// A key that a server has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownKey {
    /// Such as `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:...`.
    pub fingerprint: String,
}

/// How a server's lines are got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryOf {
    /// What the file calls it.
    name: String,
    host: String,
    port: u16,
}

impl EntryOf {
    /// Of the server of a URL.
    pub(crate) fn of(url: &SshUrl) -> EntryOf {
        EntryOf {
            name: url.known_as(),
            host: url.host().to_owned(),
            port: url.port(),
        }
    }
}

impl fmt::Display for EntryOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = if self.port == 22 {
            String::new()
        } else {
            format!("-p {} ", self.port)
        };
        write!(
            f,
            "get its keys with `ssh-keyscan {port}{}`, compare their fingerprints (`ssh-keygen -lf FILE` prints them) with \
             what your Git server publishes, and add the lines to the file",
            self.host
        )
    }
}

impl fmt::Display for ShownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, self.fingerprint)
    }
}

impl fmt::Display for HostKeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostKeyProblem::File {
                file,
                line,
                why,
                entry,
            } => {
                write!(f, "{}", file.display())?;
                if let Some(line) = line {
                    return write!(f, ":{line}: {why}");
                }
                write!(f, ": {why}; {entry}")
            }
            HostKeyProblem::Unlisted { file, entry } => write!(
                f,
                "{} has no key for {}, so it was not asked: {entry}",
                file.display(),
                entry.name
            ),
            HostKeyProblem::Unknown {
                file,
                shown,
                listed,
                entry,
            } => write!(
                f,
                "the server's key is not known: it shows {shown}, and {} has for {} only {}; {entry}",
                file.display(),
                entry.name,
                listed.join(", ")
            ),
            HostKeyProblem::Changed {
                file,
                line,
                known,
                shown,
            } => write!(
                f,
                "the server's key has changed: it shows {shown}, and {}:{line} has {known}; somebody else may answer in its \
                 place, so nothing was sent. If who runs the server says that the new fingerprint is right, put the new \
                 key into that line",
                file.display()
            ),
            HostKeyProblem::Revoked { file, line, shown } => {
                write!(
                    f,
                    "the server shows {shown}, which is @revoked in {}",
                    file.display()
                )?;
                if let Some(line) = line {
                    write!(f, ":{line}")?;
                }
                f.write_str(
                    ": nothing was sent. Ask who runs the server for its new key; do not take the line away",
                )
            }
        }
    }
}

impl HostKeyProblem {
    /// One word for metrics and logs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            HostKeyProblem::File { .. } => "known-hosts",
            HostKeyProblem::Unlisted { .. } | HostKeyProblem::Unknown { .. } => "host-key-unknown",
            HostKeyProblem::Changed { .. } => "host-key-changed",
            HostKeyProblem::Revoked { .. } => "host-key-revoked",
        }
    }

    /// Why ssh did not accept a key, by what the file has.
    pub(crate) fn of(
        known: &KnownHosts,
        file: PathBuf,
        url: &SshUrl,
        shown: ShownKey,
        is_certificate: bool,
    ) -> HostKeyProblem {
        let names = names(url);
        let entries: Vec<_> = known.named(&names).collect();
        let revoked = entries.iter().find(|e| {
            e.meaning() == Meaning::Revoked && e.key().fingerprint() == shown.fingerprint
        });
        if let Some(entry) = revoked {
            let line = Some(entry.line());
            return HostKeyProblem::Revoked { file, line, shown };
        }
        let same = entries.iter().find(|e| {
            !is_certificate && e.meaning() == Meaning::Own && e.key().algorithm() == shown.algorithm
        });
        if let Some(entry) = same {
            return HostKeyProblem::Changed {
                file,
                line: entry.line(),
                known: entry.key().fingerprint(),
                shown,
            };
        }
        let listed = entries.iter().map(|e| {
            let what = match e.meaning() {
                Meaning::Own => "",
                Meaning::Revoked => "@revoked ",
                Meaning::Authority => "@cert-authority ",
            };
            format!("{what}{} (line {})", e.key().algorithm(), e.line())
        });
        HostKeyProblem::Unknown {
            listed: listed.take(10).collect(),
            file,
            shown,
            entry: EntryOf::of(url),
        }
    }
}

/// What a server is called in the file. ssh looks for a host on another port without the port, too.
pub(crate) fn names(url: &SshUrl) -> Vec<String> {
    let mut names = vec![url.known_as()];
    if url.port() != 22 {
        names.push(url.host().to_owned());
    }
    names
}
