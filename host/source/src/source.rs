//! One followed repository: opened, fetched, resolved and read.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use gix::ThreadSafeRepository;
use weir_core::digest::CommitId;
use weir_core::external::GitObject;
use weir_core::name::RepositoryName;
use weir_core::tree::{Snapshot, Tree, TreeLimits};

use crate::cache::{self, Cache, CacheLimits, Reading};
use crate::carried;
use crate::commit::{self, CommitInfo};
use crate::error::SourceError;
use crate::http::pack::PackLimits;
use crate::http::{Client, HttpOptions};
use crate::object::{self, OdbBlobs};
use crate::process::{Elsewhere, Fetching};
use crate::secret::CredentialsFrom;
use crate::ssh::{self, SshOptions};
use crate::url::{RefName, RepoUrl, replace_head};
use crate::wire::Wire;
use crate::{fetch, snapshot, worktree};

mod commits;
mod fetching;

/// How much one fetch may take.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct FetchLimits {
    /// Bytes of all answers of one fetch, after decompression by HTTP.
    pub response_bytes: u64,
    /// Bytes of refs, acknowledgements and messages in them: of all but packs.
    pub talk_bytes: u64,
    /// Bytes of one object, in memory. A fetch that brings a larger one fails.
    pub object_bytes: u64,
    /// The time for all of it.
    pub deadline: Duration,
    /// What a pack may hold.
    pub pack: PackLimits,
    /// How much fetches may add to a clone before it is made anew.
    pub cache: CacheLimits,
}

impl FetchLimits {
    /// What a host allows that was told nothing else.
    pub const HOST: FetchLimits = FetchLimits {
        response_bytes: 4 << 30,
        talk_bytes: 32 << 20,
        object_bytes: 128 << 20,
        deadline: Duration::from_secs(600),
        pack: PackLimits::HOST,
        cache: CacheLimits::HOST,
    };
}

/// What is followed, and how.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// What this host calls it.
    pub name: RepositoryName,
    /// Where it is.
    pub url: RepoUrl,
    /// Which branch, tag or ref.
    pub reference: RefName,
    /// Where clones are kept.
    pub cache_dir: PathBuf,
    /// What is shown to the server over http and https.
    pub credentials: Option<CredentialsFrom>,
    /// How it is talked to over http and https.
    pub http: HttpOptions,
    /// How it is talked to over ssh, and what is shown to it.
    pub ssh: SshOptions,
    /// What a fetch may take.
    pub fetch_limits: FetchLimits,
    /// What a commit may hold.
    pub tree_limits: TreeLimits,
    /// Where a remote repository is fetched: in this process, or in one of its own.
    pub fetching: Fetching,
}

/// How far a fetch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchProgress {
    /// Asking for the refs.
    Connecting,
    /// The request is sent; the server prepares its answer.
    Waiting,
    /// Bytes of the answers so far.
    Receiving {
        /// How many.
        bytes: u64,
    },
    /// All is received; the commit is checked to be whole.
    Checking,
}

/// How the ref has moved since the last fetch (of an earlier run, too, where there is a cache).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefChange {
    /// Seen for the first time.
    First,
    /// The same commit.
    Unchanged,
    /// The new commit comes after the old one.
    FastForward {
        /// The old one.
        from: CommitId,
    },
    /// It does not: somebody pushed with force.
    Rewritten {
        /// The old one.
        from: CommitId,
    },
}

/// What a fetch has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// The commit at the ref. Its tree is complete.
    pub commit: CommitId,
    /// How the ref has moved.
    pub change: RefChange,
}

/// One followed repository. Shared between threads; fetches of one source wait for each other.
pub struct Source {
    name: RepositoryName,
    url: String,
    reference: RefName,
    fetch_limits: FetchLimits,
    tree_limits: TreeLimits,
    place: Place,
    reading: RwLock<Option<Reading>>,
}

enum Place {
    Local {
        path: PathBuf,
        last: Mutex<Option<CommitId>>,
    },
    Remote {
        wire: Wire,
        cache: Cache,
        /// Where it is fetched in a process of its own.
        elsewhere: Option<Box<Elsewhere>>,
    },
}

impl Source {
    /// Opens a local repository, or the cache of a remote one. Nothing is asked over the network.
    ///
    /// # Errors
    /// No repository at a local path; certificates, proxy or credentials that cannot be used, or that are of another way
    /// than the URL's; the cache's disk.
    pub fn open(config: SourceConfig) -> Result<Source, SourceError> {
        let url = config.url.to_string();
        fits(&config, &url)?;
        let object_bytes = config.fetch_limits.object_bytes;
        let wire = match config.url.clone() {
            RepoUrl::Local(_) => None,
            RepoUrl::Http(url) => {
                let client = Client::new(url, &config.http, config.credentials.clone())?;
                Some(Wire::Http(Box::new(client)))
            }
            RepoUrl::Ssh(url) => Some(Wire::Ssh(ssh::Client::new(url, &config.ssh)?)),
        };
        let (place, reading) = match wire {
            None => {
                let path = config.url.local().unwrap_or(Path::new("")).to_owned();
                let repo = open_local(&path, &url, object_bytes)?;
                let last = Mutex::default();
                let reading = Reading::of_local(repo);
                (Place::Local { path, last }, Some(reading))
            }
            Some(wire) => {
                let reference = config.reference.as_str();
                let cache = Cache::open(&config.cache_dir, &url, reference, object_bytes)?;
                let reading = cache.current()?.map(|current| current.reading);
                let elsewhere = Elsewhere::of(&config).map(Box::new);
                let place = Place::Remote {
                    wire,
                    cache,
                    elsewhere,
                };
                (place, reading)
            }
        };
        Ok(Source {
            name: config.name,
            url,
            reference: config.reference,
            fetch_limits: config.fetch_limits,
            tree_limits: config.tree_limits,
            place,
            reading: RwLock::new(reading),
        })
    }

    /// What this host calls it.
    pub fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// Where it is, fit for logs.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What is followed.
    pub fn reference(&self) -> &RefName {
        &self.reference
    }

    /// The last good commit of an earlier fetch, also of an earlier run where there is a cache.
    pub fn last_good(&self) -> Option<CommitId> {
        match &self.place {
            Place::Local { last, .. } => *last.lock().unwrap_or_else(PoisonError::into_inner),
            Place::Remote { .. } => cache::commit_at(&self.handle().ok()?, cache::HEAD),
        }
    }

    /// The commit that a revision names: an id, the followed ref, `HEAD~1`. In a local repository any branch or tag.
    /// `HEAD` is the followed ref.
    ///
    /// # Errors
    /// `RefNotFound` where it names no commit, or one that was not fetched.
    pub fn resolve(&self, rev: &str) -> Result<CommitId, SourceError> {
        let repo = self.handle()?;
        let replaced = match self.place {
            Place::Local { .. } => match replace_head(rev, "") {
                Some(rest) => Some(self.local_ref(&repo, None)? + &rest),
                None => None,
            },
            Place::Remote { .. } => self.reference.replace_in(rev, cache::HEAD),
        };
        commit::resolve(&repo, &self.url, rev, replaced.as_deref())
    }

    /// What a commit says of itself.
    ///
    /// # Errors
    /// `Damaged` where it is missing or not a commit.
    pub fn commit_info(&self, id: CommitId) -> Result<CommitInfo, SourceError> {
        commit::info(&self.handle()?, &self.url, id)
    }

    /// A commit's files.
    ///
    /// # Errors
    /// `Refused` where the commit holds what must not be in a tree, `Limit`, `Damaged`.
    pub fn snapshot(&self, id: CommitId) -> Result<Snapshot, SourceError> {
        self.snapshot_after(None, id)
    }

    /// The same. What an earlier snapshot of this source has under the same id is not read again.
    ///
    /// # Errors
    /// See [`Source::snapshot`].
    pub fn snapshot_after(
        &self,
        before: Option<&Tree>,
        id: CommitId,
    ) -> Result<Snapshot, SourceError> {
        let reading = self.shared()?;
        let repo = reading.handle();
        let tree = snapshot::tree(&repo, &self.url, id, self.tree_limits, before);
        let tree = self.doubted(&reading, &repo, id, tree);
        let blobs = Arc::new(OdbBlobs::new(reading, self.tree_limits.file_bytes));
        Ok(Snapshot {
            tree: Arc::new(tree?),
            blobs,
            limits: self.tree_limits,
            externals: Default::default(),
        })
    }

    /// The same. Where objects of a clone are missing or wrong, it is made anew first, if the server is there.
    ///
    /// # Errors
    /// See [`Source::snapshot`]; `Damaged` also says why it could not be cloned anew.
    pub fn snapshot_anew(
        &self,
        before: Option<&Tree>,
        id: CommitId,
        stop: &Arc<AtomicBool>,
    ) -> Result<Snapshot, SourceError> {
        let first = self.snapshot_after(before, id);
        let is_damaged = self.shared().is_ok_and(|reading| reading.is_damaged());
        let damaged = match first {
            Err(SourceError::Damaged { why, .. }) if is_damaged => why,
            other => return other,
        };
        match self.fetch(stop, &|_| {}) {
            Ok(_) => self.snapshot_after(before, id),
            Err(e) => Err(SourceError::Damaged {
                url: self.url.clone(),
                why: format!("{damaged}; it cannot be cloned anew yet: {e}"),
            }),
        }
    }

    /// What a tree that could not be read says of the clone: a commit that was never fetched says nothing, and sizes
    /// that are beyond all limits may be those of a file that is damaged.
    fn doubted(
        &self,
        reading: &Reading,
        repo: &gix::Repository,
        id: CommitId,
        tree: Result<Tree, SourceError>,
    ) -> Result<Tree, SourceError> {
        let why = match &tree {
            Err(SourceError::Damaged { why, .. }) if object::is_there(repo, id) => why.clone(),
            Err(SourceError::Limit { .. }) => match reading.broken() {
                Some(why) => why,
                None => return tree,
            },
            _ => return tree,
        };
        reading.damaged(&why);
        let url = self.url.clone();
        Err(SourceError::Damaged { url, why })
    }

    /// A commit with all its trees and blobs, each checked against its id, of at most so many bytes.
    ///
    /// # Errors
    /// As [`Source::snapshot`]; `Limit` where it is more.
    pub(crate) fn objects(
        &self,
        commit: CommitId,
        bytes: u64,
    ) -> Result<Vec<GitObject>, SourceError> {
        carried::objects(&self.handle()?, &self.url, commit, self.tree_limits, bytes)
    }

    /// The work tree of a local repository as it is on disk: files that are tracked, or neither tracked nor ignored.
    ///
    /// # Errors
    /// `BadUrl` for a repository that has no work tree; all of [`Source::snapshot`]; `Host` where a file cannot be read.
    pub fn worktree_snapshot(&self) -> Result<Snapshot, SourceError> {
        worktree::snapshot(&self.handle()?, &self.url, self.tree_limits)
    }

    fn shared(&self) -> Result<Reading, SourceError> {
        let reading = self.reading.read().unwrap_or_else(PoisonError::into_inner);
        reading.clone().ok_or_else(|| SourceError::Unreachable {
            url: self.url.clone(),
            why: "it was never fetched, and there is no cache of it".into(),
        })
    }

    fn handle(&self) -> Result<gix::Repository, SourceError> {
        Ok(self.shared()?.handle())
    }

    /// The full name of the followed ref in a local repository.
    fn local_ref(
        &self,
        repo: &gix::Repository,
        had: Option<CommitId>,
    ) -> Result<String, SourceError> {
        let mut names = self.reference.candidates().into_iter();
        names
            .find(|name| cache::commit_at(repo, name).is_some())
            .ok_or_else(|| self.no_ref(had))
    }

    fn no_ref(&self, had: Option<CommitId>) -> SourceError {
        SourceError::RefNotFound {
            url: self.url.clone(),
            reference: self.reference.to_string(),
            had,
        }
    }

    /// Where the ref of a local repository points now.
    fn look(&self, path: &Path, last: &Mutex<Option<CommitId>>) -> Result<Fetched, SourceError> {
        let shared = open_local(path, &self.url, self.fetch_limits.object_bytes)?;
        let repo = shared.to_thread_local();
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let name = self.local_ref(&repo, *last)?;
        let commit = cache::commit_at(&repo, &name).ok_or_else(|| self.no_ref(*last))?;
        let change = fetch::change(&repo, *last, commit, &AtomicBool::new(false));
        *last = Some(commit);
        *self.reading.write().unwrap_or_else(PoisonError::into_inner) =
            Some(Reading::of_local(shared));
        Ok(Fetched { commit, change })
    }
}

/// What is given fits the URL: a key of ssh says nothing to https, and a token nothing to ssh.
fn fits(config: &SourceConfig, url: &str) -> Result<(), SourceError> {
    let (http, ssh) = (&config.http, &config.ssh);
    let of_http = [
        (config.credentials.is_some(), "a token or a password"),
        (http.proxy.is_some(), "a proxy"),
        (http.ca_file.is_some(), "a certificate authority"),
        (http.client_cert.is_some(), "a client certificate"),
    ];
    let of_ssh = [
        (ssh.key_file.is_some(), "an ssh key"),
        (ssh.known_hosts_file.is_some(), "a known_hosts file"),
    ];
    let (given, what) = match config.url {
        RepoUrl::Ssh(_) => (&of_http[..], "https, and this is asked through ssh"),
        RepoUrl::Http(_) => (&of_ssh[..], "ssh, and this is asked through http or https"),
        RepoUrl::Local(_) => return Ok(()),
    };
    match given.iter().find(|(given, _)| *given) {
        None => Ok(()),
        Some((_, name)) => Err(SourceError::BadUrl {
            url: url.to_owned(),
            why: format!("{name} is for {what}: take it away, or write the other kind of URL"),
        }),
    }
}

fn open_local(
    path: &Path,
    url: &str,
    object_bytes: u64,
) -> Result<ThreadSafeRepository, SourceError> {
    cache::open_options(object_bytes).open(path).map_err(|e| {
        let why = if path.exists() {
            object::causes(&e)
        } else {
            "there is no such directory".into()
        };
        SourceError::NotFound {
            url: url.to_owned(),
            why: format!("{why}; expected a Git work tree or a bare repository"),
        }
    })
}
