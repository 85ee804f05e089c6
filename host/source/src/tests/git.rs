//! Repositories made by the real git, and sources that follow them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use gix::objs::{Kind, Write as _};
use tempfile::TempDir;
use weir_core::digest::{CommitId, ObjectId};
use weir_core::name::RepoPath;
use weir_core::tree::TreeLimits;

use crate::{FetchLimits, Fetched, HttpOptions, Source, SourceConfig, SourceError, SshOptions};

/// A repository with a work tree, in a directory of its own.
pub(crate) struct Repo {
    pub(crate) dir: TempDir,
}

/// `git` without anybody's configuration.
#[expect(
    clippy::disallowed_methods,
    reason = "the real git is what this crate is compared with"
)]
pub(crate) fn command(dir: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    git.env("HOME", dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "Ann")
            .env(format!("GIT_{who}_EMAIL"), "ann@example.com");
        git.env(format!("GIT_{who}_DATE"), "1700000000 +0100");
    }
    git.stdin(Stdio::null());
    git
}

impl Repo {
    pub(crate) fn new() -> Repo {
        let repo = Repo {
            dir: TempDir::new().unwrap(),
        };
        repo.git(&["init", "-q", "-b", "main", "."]);
        repo
    }

    /// A repository of one commit with these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Repo {
        let repo = Repo::new();
        repo.commit(files);
        repo
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let out = command(self.path()).args(args).output().unwrap();
        assert!(
            out.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8(out.stdout).unwrap().trim_end().to_owned()
    }

    pub(crate) fn write(&self, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = self.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> CommitId {
        self.write(files);
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "A change"]);
        self.head()
    }

    pub(crate) fn head(&self) -> CommitId {
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    /// Writes an object as it is, however malformed.
    pub(crate) fn object(&self, kind: Kind, bytes: &[u8]) -> ObjectId {
        let repo = gix::open_opts(self.path(), gix::open::Options::isolated()).unwrap();
        crate::object::from_gix(&repo.objects.write_buf(kind, bytes).unwrap()).unwrap()
    }

    /// A tree of entries of any mode and name.
    pub(crate) fn tree(&self, entries: &[(&str, &[u8], ObjectId)]) -> ObjectId {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend_from_slice(mode.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(name);
            bytes.push(0);
            bytes.extend_from_slice(id.as_bytes());
        }
        self.object(Kind::Tree, &bytes)
    }

    pub(crate) fn commit_of(&self, tree: ObjectId) -> CommitId {
        let who = "Ann <ann@example.com> 1700000000 +0100";
        self.object(
            Kind::Commit,
            format!("tree {tree}\nauthor {who}\ncommitter {who}\n\nBy hand\n").as_bytes(),
        )
    }

    /// Where a loose object lies.
    pub(crate) fn loose(&self, id: ObjectId) -> PathBuf {
        let hex = id.hex();
        self.path()
            .join(".git/objects")
            .join(&hex[..2])
            .join(&hex[2..])
    }

    pub(crate) fn source(&self) -> Source {
        open(config(self.path().to_str().unwrap(), "main", self.path())).unwrap()
    }
}

pub(crate) fn config(url: &str, reference: &str, cache: &Path) -> SourceConfig {
    SourceConfig {
        name: "test".parse().unwrap(),
        url: url.parse().unwrap(),
        reference: reference.parse().unwrap(),
        cache_dir: cache.to_owned(),
        credentials: None,
        http: HttpOptions::host(),
        ssh: SshOptions::host(),
        fetch_limits: FetchLimits::HOST,
        tree_limits: TreeLimits::HOST,
        fetching: crate::Fetching::InProcess,
    }
}

pub(crate) fn open(config: SourceConfig) -> Result<Source, SourceError> {
    Source::open(config)
}

pub(crate) fn fetch(source: &Source) -> Result<Fetched, SourceError> {
    source.fetch(&Arc::default(), &|_| {})
}

pub(crate) fn path(text: &str) -> RepoPath {
    text.parse().unwrap()
}

/// The text of a file at a commit.
pub(crate) fn text(source: &Source, commit: CommitId, file: &str) -> String {
    let snapshot = source.snapshot(commit).unwrap();
    let Some(weir_core::tree::Entry::File { id, .. }) = snapshot.tree.get(&path(file)) else {
        panic!("{file} is no file");
    };
    String::from_utf8(snapshot.blobs.read(*id).unwrap().to_vec()).unwrap()
}
