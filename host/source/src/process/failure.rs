//! Why a fetch failed, as a process tells it: without the names of URLs and files, which the host knows better.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::talk::{Loss, Lost};
use crate::error::SourceError;
use crate::http::HINTS;
use crate::ssh::{EntryOf, HostKeyProblem, ShownKey};

/// The most characters of one text of a process.
const TEXT: usize = 4000;
/// The most lines of `known_hosts` that are named.
const LISTED: usize = 10;

/// What errors name.
pub(super) struct About {
    pub(super) url: String,
    pub(super) reference: String,
    pub(super) ssh: Option<SshAbout>,
}

/// The same of a server that is asked through ssh.
pub(super) struct SshAbout {
    pub(super) user: String,
    pub(super) key: PathBuf,
    pub(super) known_hosts: PathBuf,
    pub(super) entry: EntryOf,
}

/// What the system said.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct System {
    code: Option<i32>,
    text: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Key {
    algorithm: String,
    fingerprint: String,
}

/// Each variant is one of [`SourceError`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Failure {
    BadUrl(String),
    Unreachable(String),
    Unauthorized {
        status: u16,
        hint: usize,
    },
    KnownHosts {
        line: Option<usize>,
        why: String,
    },
    Unlisted,
    UnknownKey {
        shown: Key,
        listed: Vec<String>,
    },
    ChangedKey {
        line: usize,
        known: String,
        shown: Key,
    },
    RevokedKey {
        line: Option<usize>,
        shown: Key,
    },
    KeyRefused,
    BadKey(String),
    SshProgram(String),
    NotFound(String),
    RefNotFound {
        had: Option<String>,
    },
    Empty,
    Refused {
        path: String,
        why: String,
    },
    Damaged(String),
    Collision(String),
    Limit(String),
    Stopped,
    NoSpace {
        what: String,
        source: System,
    },
    Host {
        what: String,
        source: System,
    },
    /// What no process of ours meets: it starts none.
    Other(String),
}

/// A text from outside: no control characters, bounded.
pub(super) fn text(text: &str) -> String {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(plain).take(TEXT).collect()
}

impl System {
    pub(super) fn of(e: &io::Error) -> System {
        System {
            code: e.raw_os_error(),
            text: e.to_string(),
        }
    }

    pub(super) fn meant(&self) -> io::Error {
        match self.code {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::other(text(&self.text)),
        }
    }
}

impl Key {
    fn of(key: ShownKey) -> Key {
        Key {
            algorithm: key.algorithm,
            fingerprint: key.fingerprint,
        }
    }

    fn meant(&self) -> ShownKey {
        ShownKey {
            algorithm: text(&self.algorithm),
            fingerprint: text(&self.fingerprint),
        }
    }
}

impl Failure {
    pub(super) fn of(error: SourceError) -> Failure {
        match error {
            SourceError::BadUrl { why, .. } => Failure::BadUrl(why),
            SourceError::Unreachable { why, .. } => Failure::Unreachable(why),
            SourceError::Unauthorized { status, hint, .. } => Failure::Unauthorized {
                status,
                hint: HINTS.iter().position(|h| *h == hint).unwrap_or_default(),
            },
            SourceError::HostKey { problem, .. } => Failure::of_key(*problem),
            SourceError::KeyRefused { .. } => Failure::KeyRefused,
            SourceError::BadKey { why, .. } => Failure::BadKey(why),
            SourceError::SshProgram { why } => Failure::SshProgram(why),
            SourceError::NotFound { why, .. } => Failure::NotFound(why),
            SourceError::RefNotFound { had, .. } => Failure::RefNotFound {
                had: had.map(|commit| commit.to_string()),
            },
            SourceError::Empty { .. } => Failure::Empty,
            SourceError::Refused { path, why } => Failure::Refused { path, why },
            SourceError::Damaged { why, .. } => Failure::Damaged(why),
            SourceError::Collision { what, .. } => Failure::Collision(what),
            SourceError::Limit { which, .. } => Failure::Limit(which),
            SourceError::Stopped { .. } => Failure::Stopped,
            SourceError::NoSpace { what, source } => Failure::NoSpace {
                what,
                source: System::of(&source),
            },
            SourceError::Host { what, source } => Failure::Host {
                what,
                source: System::of(&source),
            },
            SourceError::Process { end, .. } => Failure::Other(end.to_string()),
        }
    }

    fn of_key(problem: HostKeyProblem) -> Failure {
        match problem {
            HostKeyProblem::File { line, why, .. } => Failure::KnownHosts { line, why },
            HostKeyProblem::Unlisted { .. } => Failure::Unlisted,
            HostKeyProblem::Unknown { shown, listed, .. } => Failure::UnknownKey {
                shown: Key::of(shown),
                listed,
            },
            HostKeyProblem::Changed {
                line, known, shown, ..
            } => Failure::ChangedKey {
                line,
                known,
                shown: Key::of(shown),
            },
            HostKeyProblem::Revoked { line, shown, .. } => Failure::RevokedKey {
                line,
                shown: Key::of(shown),
            },
        }
    }

    /// The error, with what it is about; or what is wrong with it.
    pub(super) fn meant(self, about: &About) -> Result<SourceError, String> {
        let url = about.url.clone();
        let reference = about.reference.clone();
        Ok(match &self {
            Failure::BadUrl(why) => SourceError::BadUrl {
                url,
                why: text(why),
            },
            Failure::Unreachable(why) => SourceError::Unreachable {
                url,
                why: text(why),
            },
            Failure::Unauthorized { status, hint } => {
                let hint = HINTS.get(*hint).copied();
                let known = hint.filter(|_| matches!(status, 401 | 403));
                SourceError::Unauthorized {
                    url,
                    status: *status,
                    hint: known
                        .ok_or("it said that access was refused in a way that there is not")?,
                }
            }
            Failure::NotFound(why) => SourceError::NotFound {
                url,
                why: text(why),
            },
            Failure::RefNotFound { had } => {
                let had = had.as_ref().map(|id| id.parse()).transpose();
                SourceError::RefNotFound {
                    url,
                    reference,
                    had: had.map_err(|_| "it named a commit by what is no id")?,
                }
            }
            Failure::Empty => SourceError::Empty { url, reference },
            Failure::Refused { path, why } => SourceError::Refused {
                path: text(path),
                why: text(why),
            },
            Failure::Damaged(why) => SourceError::Damaged {
                url,
                why: text(why),
            },
            Failure::Collision(what) => SourceError::Collision {
                url,
                what: text(what),
            },
            Failure::Limit(which) => SourceError::Limit {
                url,
                which: text(which),
            },
            Failure::Stopped => SourceError::Stopped { url },
            Failure::NoSpace { what, source } => SourceError::NoSpace {
                what: text(what),
                source: source.meant(),
            },
            Failure::Host { what, source } => SourceError::Host {
                what: text(what),
                source: source.meant(),
            },
            Failure::Other(what) => return Err(text(what)),
            _ => {
                let ssh = about.ssh.as_ref();
                return self
                    .meant_of_ssh(url, ssh.ok_or("it said what only one says that runs ssh")?);
            }
        })
    }

    fn meant_of_ssh(&self, url: String, ssh: &SshAbout) -> Result<SourceError, String> {
        let file = ssh.known_hosts.clone();
        let entry = ssh.entry.clone();
        let problem = match self {
            Failure::KnownHosts { line, why } => HostKeyProblem::File {
                file,
                line: *line,
                why: text(why),
                entry,
            },
            Failure::Unlisted => HostKeyProblem::Unlisted { file, entry },
            Failure::UnknownKey { shown, listed } => HostKeyProblem::Unknown {
                file,
                shown: shown.meant(),
                listed: listed.iter().take(LISTED).map(|l| text(l)).collect(),
                entry,
            },
            Failure::ChangedKey { line, known, shown } => HostKeyProblem::Changed {
                file,
                line: *line,
                known: text(known),
                shown: shown.meant(),
            },
            Failure::RevokedKey { line, shown } => HostKeyProblem::Revoked {
                file,
                line: *line,
                shown: shown.meant(),
            },
            Failure::KeyRefused => {
                return Ok(SourceError::KeyRefused {
                    url,
                    user: ssh.user.clone(),
                    file: ssh.key.clone(),
                });
            }
            Failure::BadKey(why) => {
                return Ok(SourceError::BadKey {
                    file: ssh.key.clone(),
                    why: text(why),
                });
            }
            Failure::SshProgram(why) => return Ok(SourceError::SshProgram { why: text(why) }),
            _ => return Err("it said what is not understood".to_owned()),
        };
        Ok(SourceError::HostKey {
            url,
            problem: Box::new(problem),
        })
    }
}

impl About {
    /// What the loss of a process means.
    pub(super) fn lost(&self, lost: Lost) -> SourceError {
        let url = self.url.clone();
        match lost.means() {
            Loss::Stopped => SourceError::Stopped { url },
            Loss::Limit(which) => SourceError::Limit { url, which },
            Loss::Ended(end) => SourceError::Process { url, end },
        }
    }
}
