//! A repository behind a server, a cache, and sources that fetch it in this process or in one of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use weir_core::fault::Blame as _;
use weir_core::name::RepoPath;
use weir_core::tree::{Entry, TreeLimits};
use weir_source::{
    FetchAttempts, FetchLimits, FetchProcess, Fetched, FetcherLimits, Fetching, HttpOptions,
    Source, SourceConfig, SourceError, SshOptions,
};
use weir_tests::{GitServer, Repo, places};

/// Longer than any one step takes, on any machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Scene {
    pub(crate) repo: Repo,
    pub(crate) server: GitServer,
    pub(crate) dir: TempDir,
}

/// In a process of the real binary.
pub(crate) fn process() -> FetchProcess {
    FetchProcess {
        program: places::weir_binary().unwrap(),
        args: vec!["fetch-worker".to_owned()],
        limits: FetcherLimits::HOST,
        is_required: false,
    }
}

/// Both ways, by name.
pub(crate) fn ways() -> [(&'static str, Fetching); 2] {
    [
        ("in-process", Fetching::InProcess),
        ("process", Fetching::Process(process())),
    ]
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let repo = Repo::from_text("//- a\n1\n").unwrap();
        let server = GitServer::of(&repo).unwrap();
        Scene {
            repo,
            server,
            dir: TempDir::new().unwrap(),
        }
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    /// A file beside the cache.
    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        let new = self.dir.path().join(format!("{name}.new"));
        fs::write(&new, text).unwrap();
        fs::rename(new, &path).unwrap();
        path
    }

    pub(crate) fn commit(&mut self, value: &str) -> String {
        self.repo.write("a", value).unwrap();
        self.repo.commit(value).unwrap()
    }

    pub(crate) fn config(&self, fetching: Fetching) -> SourceConfig {
        config(&self.server.url("work"), &self.cache(), fetching)
    }

    pub(crate) fn source(&self, fetching: Fetching) -> Source {
        Source::open(self.config(fetching)).unwrap()
    }

    /// A source that fetches in a process.
    pub(crate) fn apart(&self) -> Source {
        self.source(Fetching::Process(process()))
    }

    /// The folder of the clone that counts, of the one place in the cache.
    pub(crate) fn clone_dir(&self) -> PathBuf {
        let place = fs::read_dir(self.cache()).unwrap().next().unwrap();
        let place = place.unwrap().path();
        let mut clones: Vec<_> = fs::read_dir(place)
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|path| path.join("HEAD").exists())
            .collect();
        clones.sort();
        clones.pop().unwrap()
    }
}

pub(crate) fn config(url: &str, cache: &Path, fetching: Fetching) -> SourceConfig {
    SourceConfig {
        name: "test".parse().unwrap(),
        url: url.parse().unwrap(),
        reference: "main".parse().unwrap(),
        cache_dir: cache.to_owned(),
        credentials: None,
        http: HttpOptions::host(),
        ssh: SshOptions::host(),
        fetch_limits: FetchLimits::HOST,
        tree_limits: TreeLimits::HOST,
        fetching,
    }
}

pub(crate) fn fetch(source: &Source) -> Result<Fetched, SourceError> {
    source.fetch(&Arc::default(), &|_| {})
}

/// All that is told of an error.
pub(crate) fn told(error: &SourceError) -> String {
    let (kind, retry, fault) = (error.kind(), error.retry(), error.fault());
    format!("{kind} {retry:?} {fault:?}: {error}")
}

/// The error of a first fetch, which has to be the same in both ways.
pub(crate) fn same_error(
    what: &str,
    cache: &Path,
    make: impl Fn(Fetching) -> SourceConfig,
) -> String {
    let mut all = Vec::new();
    for (way, fetching) in ways() {
        if cache.exists() {
            fs::remove_dir_all(cache).unwrap();
        }
        let error = Source::open(make(fetching)).and_then(|source| fetch(&source));
        match error {
            Ok(fetched) => panic!("{what}, {way}: {fetched:?}"),
            Err(error) => all.push(told(&error)),
        }
    }
    assert_eq!(all[0], all[1], "{what}");
    all.remove(0)
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

/// Nothing came of what a process tried: to read these files among it, which this process can, or the test would say nothing.
pub(crate) fn nothing_was_possible(tried: &FetchAttempts, place: &str, files: &[PathBuf]) {
    let missing = tried.confinement.missing();
    assert!(missing.is_empty(), "{missing:?}");
    for (what, came) in &tried.attempts {
        assert!(came.is_ok(), "{what}: {came:?}");
    }
    let names: Vec<&str> = tried
        .attempts
        .iter()
        .map(|(what, _)| what.as_str())
        .collect();
    for part in [
        "reading a file",
        "making a file",
        "opening a connection",
        "starting a program",
        "reading the host's memory",
        "signalling the host",
        place,
        "opening a socket of this machine",
    ] {
        assert!(names.contains(&part), "{part}: {names:?}");
    }
    let read = names.iter().filter(|name| name.starts_with("reading /"));
    assert_eq!(read.count(), files.len(), "{names:?}");
    // This process can do all of that, or the test would say nothing.
    for file in files {
        assert!(fs::File::open(file).is_ok(), "{}", file.display());
    }
}

/// The processes that a thread of this one has started, each with what the kernel says of it.
pub(crate) fn children(thread: i32) -> Vec<(i32, BTreeMap<String, String>)> {
    let children = fs::read_to_string(format!("/proc/self/task/{thread}/children"));
    let mut all = Vec::new();
    for child in children.unwrap_or_default().split_whitespace() {
        let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
        let fields = status.lines().filter_map(|l| l.split_once(':'));
        let fields = fields.map(|(k, v)| (k.to_owned(), v.trim().to_owned()));
        all.push((child.parse().unwrap(), fields.collect()));
    }
    all
}
