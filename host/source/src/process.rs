//! Fetching in a process of its own: this program again, which keeps no right but to one clone or file, one server and what it shows there.
//!
//! The host says over its standard input what to fetch, and hears over its standard output how far it is and what came of it.
//! What it says is typed and bounded, and what it says of others (URLs, files) is put in by the host itself. The clone that it
//! has filled is opened by the host as any clone is, which reads by id and hashes what it reads.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_core::fault::{Fault, Retry};

use crate::error::SourceError;
use crate::source::{FetchProgress, SourceConfig};
use crate::ssh::EntryOf;
use crate::wire::Wire;

mod attempts;
mod converse;
pub(crate) mod external;
mod failure;
mod incoming;
mod notes;
mod rights;
mod talk;
mod words;
mod worker;

pub use attempts::{FetchAttempts, try_fetching, try_getting};
pub use worker::fetch_worker;

use converse::Conversation;
use failure::About;
use talk::Lost;
pub(crate) use words::Found;
use words::{Job, Kind, Outcome, Request, Told, Word, Work};

/// How often a fetch is begun: once more where its process was killed by somebody else, and where what it shows to the
/// server was exchanged meanwhile.
const TIMES: usize = 2;

/// Where remote repositories, charts and plugins are fetched.
#[derive(Debug, Clone, Default)]
pub enum Fetching {
    /// In this process.
    #[default]
    InProcess,
    /// In a process of its own for each fetch.
    Process(FetchProcess),
}

/// How a process that fetches is started, and what it may take.
#[derive(Debug, Clone)]
pub struct FetchProcess {
    /// The program; it has to call [`fetch_worker`].
    pub program: PathBuf,
    /// What tells it to.
    pub args: Vec<String>,
    /// What it may take.
    pub limits: FetcherLimits,
    /// Whether nothing is fetched where the kernel cannot confine it.
    pub is_required: bool,
}

/// What a process that fetches may take besides what the fetch itself may.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct FetcherLimits {
    /// Memory of its own, in bytes.
    pub data_bytes: u64,
    /// Processor time, in seconds.
    pub cpu_seconds: u64,
    /// One file that it writes, in bytes.
    pub file_bytes: u64,
    /// Files that it has open.
    pub open_files: u64,
    /// The time until it begins.
    pub start: Duration,
    /// The time after the fetch's deadline.
    pub grace: Duration,
    /// The time until it ends after it was told to stop.
    pub stop: Duration,
}

impl FetcherLimits {
    /// What a host allows that was told nothing else: more than a fetch within `FetchLimits::HOST` takes.
    pub const HOST: FetcherLimits = FetcherLimits {
        data_bytes: 3 << 30,
        cpu_seconds: 1800,
        file_bytes: 16 << 30,
        open_files: 1024,
        start: Duration::from_secs(30),
        grace: Duration::from_secs(60),
        stop: Duration::from_secs(3),
    };
}

/// How a process that fetched ended without an outcome that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessEnd {
    /// It crashed, was ended by the kernel for what nothing of ours does, or said what is not understood.
    Strayed(String),
    /// It said nothing any more.
    Silent(Duration),
    /// It was killed by somebody else, and so was the next one.
    Killed(String),
    /// It did not start.
    NotStarted(String),
    /// The kernel lacks what was asked for.
    Unconfined(String),
}

impl fmt::Display for ProcessEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProcessEnd::Strayed(what) => write!(
                f,
                "misbehaved: {what}; it was ended, nothing that it said is used, and the last good state stays. What the \
                 server sends may be an attempt to break out: find out who can push there; if nobody did, report it"
            ),
            ProcessEnd::Silent(time) => write!(
                f,
                "said nothing any more within {} s and was ended; it is tried again",
                time.as_secs_f32()
            ),
            ProcessEnd::Killed(signal) => write!(
                f,
                "was ended by {signal}, which none of its limits sends, and so was the next one: most likely the machine or \
                 the container has no memory left: give it more, or run fewer things beside it; it is tried again"
            ),
            ProcessEnd::NotStarted(why) => {
                write!(f, "did not start: {why}; it is tried again")
            }
            ProcessEnd::Unconfined(missing) => write!(
                f,
                "cannot be confined: this kernel has no {missing}, and --isolation confined asks for all of it: run on a \
                 kernel that has it, or choose --isolation processes"
            ),
        }
    }
}

impl ProcessEnd {
    /// Whose fault it is.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            ProcessEnd::Strayed(_) => Fault::Repository,
            _ => Fault::Host,
        }
    }

    /// When it is worth another try.
    pub(crate) fn retry(&self) -> Retry {
        match self {
            ProcessEnd::Strayed(_) | ProcessEnd::Unconfined(_) => Retry::OnChange,
            _ => Retry::Backoff,
        }
    }
}

/// What one source's fetches in processes of their own need.
pub(crate) struct Elsewhere {
    process: FetchProcess,
    config: SourceConfig,
}

/// What came of a fetch elsewhere.
pub(crate) struct Came {
    pub(crate) result: Result<Found, SourceError>,
    /// The clone that counts may be at fault: the next fetch makes it anew.
    pub(crate) doubts: bool,
}

impl Elsewhere {
    /// None where it is fetched in this process.
    pub(crate) fn of(config: &SourceConfig) -> Option<Elsewhere> {
        match &config.fetching {
            Fetching::InProcess => None,
            Fetching::Process(process) => Some(Elsewhere {
                process: process.clone(),
                config: config.clone(),
            }),
        }
    }

    /// Fetches. `doubted` is the clone that is to be made anew, by its name.
    pub(crate) fn fetch(
        &self,
        wire: &Wire,
        doubted: Option<String>,
        stop: &Arc<AtomicBool>,
        progress: &dyn Fn(FetchProgress),
    ) -> Came {
        self.done(wire, Work::Fetch { doubted }, stop, progress)
    }

    /// Brings one commit by its id.
    pub(crate) fn bring(
        &self,
        wire: &Wire,
        commit: weir_core::digest::CommitId,
        stop: &Arc<AtomicBool>,
        progress: &dyn Fn(FetchProgress),
    ) -> Came {
        let commit = commit.to_string();
        self.done(wire, Work::Bring { commit }, stop, progress)
    }

    fn done(
        &self,
        wire: &Wire,
        work: Work,
        stop: &Arc<AtomicBool>,
        progress: &dyn Fn(FetchProgress),
    ) -> Came {
        let about = about(wire, &self.config);
        let kind = Kind::of(&work);
        let request = Request {
            job: Job::Repository {
                work,
                told: Box::new(Told::of(&self.config)),
            },
            limits: self.process.limits,
            is_required: self.process.is_required,
        };
        let conversation = Conversation {
            process: &self.process,
            deadline: self.config.fetch_limits.deadline,
            stop,
            progress,
            name: &about.url,
        };
        let mut begun = 0;
        loop {
            begun += 1;
            let shown = rights::stamps(&self.config);
            let said = conversation.held(&request, &|| {}, |word| came(word, kind, &about));
            let lost = match said {
                Ok(came) => {
                    // Files are read once: where they were exchanged, those of now count.
                    let again = match &came.result {
                        Err(SourceError::Unauthorized { .. } | SourceError::Host { .. }) => {
                            begun < TIMES && rights::stamps(&self.config) != shown
                        }
                        _ => false,
                    };
                    match again {
                        true => continue,
                        false => return came,
                    }
                }
                Err(lost) => lost,
            };
            if conversation.goes_on(&lost, begun) {
                continue;
            }
            return Came {
                doubts: matches!(lost, Lost::Stray(_) | Lost::Silent(_)),
                result: Err(about.lost(lost)),
            };
        }
    }
}

/// What a process says last of the work on a repository.
fn came(word: Word, kind: Kind, about: &About) -> Result<Came, Lost> {
    let Word::Done(Outcome { result, doubts }) = word else {
        return Err(Lost::Stray("it said what nobody asked".into()));
    };
    let result = match result {
        Ok(found) if found.answers(kind) => Ok(found),
        Ok(_) => return Err(Lost::Stray("it did not do what it was told".into())),
        Err(failure) => Err(failure.meant(about).map_err(Lost::Stray)?),
    };
    Ok(Came { result, doubts })
}

/// What errors name, which no process is asked for.
fn about(wire: &Wire, config: &SourceConfig) -> About {
    let ssh = match wire {
        Wire::Http(_) => None,
        Wire::Ssh(client) => {
            let (url, key, known_hosts) = client.known_as();
            Some(failure::SshAbout {
                user: url.user().to_owned(),
                key: key.to_owned(),
                known_hosts: known_hosts.to_owned(),
                entry: EntryOf::of(url),
            })
        }
    };
    About {
        url: wire.url(),
        reference: config.reference.to_string(),
        ssh,
    }
}

/// The folder of a clone's place that a process may write to.
fn own_folder(config: &SourceConfig) -> PathBuf {
    let (url, reference) = (config.url.to_string(), config.reference.as_str());
    crate::cache::place(Path::new(&config.cache_dir), &url, reference)
}
