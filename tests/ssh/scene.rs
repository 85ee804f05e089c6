//! A repository behind sshd, and sources that follow it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use weir_core::name::RepoPath;
use weir_core::tree::{Entry, TreeLimits};
use weir_source::{
    FetchLimits, Fetched, Fetching, HostKeyProblem, HttpOptions, Source, SourceConfig, SourceError,
    SshOptions,
};
use weir_tests::Repo;
use weir_tests::sshd::{Setup, Sshd};

pub(crate) struct Scene {
    pub(crate) repo: Repo,
    pub(crate) sshd: Sshd,
    pub(crate) cache: TempDir,
    /// One that may log in.
    pub(crate) key: PathBuf,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        Scene::with(Setup::default())
    }

    pub(crate) fn with(setup: Setup) -> Scene {
        let repo = Repo::from_text("//- a\n1\n").unwrap();
        let sshd = Sshd::with(repo.parent(), setup).unwrap();
        let key = sshd.key("ed25519").unwrap();
        Scene {
            repo,
            sshd,
            cache: TempDir::new().unwrap(),
            key,
        }
    }

    pub(crate) fn commit(&mut self, value: &str) -> String {
        self.repo.write("a", value).unwrap();
        self.repo.commit(value).unwrap()
    }

    pub(crate) fn config(&self, url: &str, key: &Path, known_hosts: &Path) -> SourceConfig {
        SourceConfig {
            name: "test".parse().unwrap(),
            url: url.parse().unwrap(),
            reference: "main".parse().unwrap(),
            cache_dir: self.cache.path().to_owned(),
            credentials: None,
            http: HttpOptions::host(),
            ssh: SshOptions {
                key_file: Some(key.to_owned()),
                known_hosts_file: Some(known_hosts.to_owned()),
                ..SshOptions::host()
            },
            fetch_limits: FetchLimits::HOST,
            tree_limits: TreeLimits::HOST,
            fetching: Fetching::InProcess,
        }
    }

    /// With a key that may log in, and a server that is known.
    pub(crate) fn good(&self) -> SourceConfig {
        let known = self.sshd.known().unwrap();
        self.config(&self.sshd.url("work"), &self.key, &known)
    }

    /// What comes of a fetch where `known_hosts` has these lines.
    pub(crate) fn knowing(&self, known_hosts: &str) -> Result<Fetched, SourceError> {
        let file = self.sshd.known_hosts(known_hosts).unwrap();
        fetch(&open(self.config(
            &self.sshd.url("work"),
            &self.key,
            &file,
        ))?)
    }

    /// The line of `known_hosts` with the server's key of a kind.
    pub(crate) fn line(&self, kind: &str) -> String {
        format!("{} {}", self.sshd.name(), self.sshd.host_key(kind).unwrap())
    }

    /// What comes of a fetch with a key.
    pub(crate) fn showing(&self, key: &Path) -> Result<Fetched, SourceError> {
        let known = self.sshd.known().unwrap();
        fetch(&open(self.config(&self.sshd.url("work"), key, &known))?)
    }

    /// How many connections the server has seen.
    pub(crate) fn connections(&mut self) -> usize {
        let log = self.sshd.log().unwrap();
        log.matches("Connection from 127.0.0.1").count()
    }
}

pub(crate) fn open(config: SourceConfig) -> Result<Source, SourceError> {
    Source::open(config)
}

pub(crate) fn fetch(source: &Source) -> Result<Fetched, SourceError> {
    source.fetch(&Arc::default(), &|_| {})
}

pub(crate) fn problem(result: Result<Fetched, SourceError>) -> (HostKeyProblem, String) {
    match result.unwrap_err() {
        error @ SourceError::HostKey { .. } => {
            let text = error.to_string();
            let SourceError::HostKey { problem, .. } = error else {
                unreachable!()
            };
            (*problem, text)
        }
        other => panic!("{other:?}"),
    }
}

/// The text of the file `a` at the last good commit.
pub(crate) fn text(source: &Source) -> String {
    let snapshot = source.snapshot(source.last_good().unwrap()).unwrap();
    let path: RepoPath = "a".parse().unwrap();
    let Some(Entry::File { id, .. }) = snapshot.tree.get(&path) else {
        panic!("there is no file a");
    };
    let bytes = snapshot.blobs.read(*id).unwrap();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
