//! Remote repositories, served over HTTP by git's own back end.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use weir_core::digest::Digest;

use super::git::{Repo, config, fetch, open, text};
use super::server::{Server, backend};
use crate::{FetchProgress, RefChange, Source, SourceConfig, SourceError};

/// A repository, served; and a directory for caches.
pub(super) struct Rig {
    pub(super) repo: Repo,
    pub(super) server: Server,
    pub(super) cache: TempDir,
}

impl Rig {
    pub(super) fn with(files: &[(&str, &str)]) -> Rig {
        let repo = Repo::with(files);
        let root = repo.path().to_owned();
        let server = Server::new(move |request| backend(&root, request));
        Rig {
            repo,
            server,
            cache: TempDir::new().unwrap(),
        }
    }

    pub(super) fn config(&self) -> SourceConfig {
        config(&self.server.url("/.git"), "main", self.cache.path())
    }

    pub(super) fn source(&self) -> Source {
        open(self.config()).unwrap()
    }

    /// The source, opened until the cache is as it is to be: a process that another test starts right now may hold a lock
    /// of this one, too, until it has become what it is to be.
    pub(super) fn swept(&self, is: impl Fn(&[std::path::PathBuf]) -> bool) -> Source {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let source = self.source();
            let files = self.cached();
            if is(&files) {
                return source;
            }
            assert!(Instant::now() < until, "{files:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn root(&self) -> std::path::PathBuf {
        self.repo.path().to_owned()
    }

    /// All files below the cache.
    pub(super) fn cached(&self) -> Vec<std::path::PathBuf> {
        fn walk(dir: &Path, into: &mut Vec<std::path::PathBuf>) {
            for entry in std::fs::read_dir(dir).unwrap().flatten() {
                if entry.path().is_dir() {
                    walk(&entry.path(), into);
                } else {
                    into.push(entry.path());
                }
            }
        }
        let mut files = Vec::new();
        walk(self.cache.path(), &mut files);
        files
    }
}

#[test]
fn a_clone_then_a_new_commit_a_rewrite_and_a_deleted_branch() {
    let rig = Rig::with(&[("a", "1"), ("d/b", "x")]);
    let source = rig.source();
    assert_eq!(source.last_good(), None);
    assert!(
        matches!(
            source.snapshot(rig.repo.head()),
            Err(SourceError::Unreachable { .. })
        ),
        "nothing was fetched yet"
    );
    let change = || fetch(&source).map(|f| (f.commit, f.change)).unwrap();
    let first = rig.repo.head();
    assert_eq!(change(), (first, RefChange::First));
    assert_eq!(text(&source, first, "d/b"), "x");
    let second = rig.repo.commit(&[("a", "2")]);
    assert_eq!(change(), (second, RefChange::FastForward { from: first }));
    assert_eq!(text(&source, second, "a"), "2");
    assert_eq!(text(&source, first, "a"), "1", "history stays readable");
    rig.repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let third = rig.repo.commit(&[("a", "3")]);
    assert_eq!(change(), (third, RefChange::Rewritten { from: second }));
    rig.repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
    assert_eq!(
        change(),
        (first, RefChange::Rewritten { from: third }),
        "back to a commit that is here already"
    );
    rig.repo.git(&["checkout", "-q", "--detach"]);
    rig.repo.git(&["branch", "-q", "-D", "main"]);
    let error = fetch(&source).unwrap_err();
    assert!(
        matches!(error, SourceError::RefNotFound { had: Some(had), .. } if had == first),
        "{error}"
    );
    assert_eq!(source.last_good(), Some(first));
    assert_eq!(
        text(&source, first, "a"),
        "1",
        "the last good commit stays readable"
    );
}

#[test]
fn an_unchanged_ref_costs_two_small_requests_and_no_pack() {
    let rig = Rig::with(&[("a", "1")]);
    let source = rig.source();
    fetch(&source).unwrap();
    rig.server.take_seen();
    assert_eq!(fetch(&source).unwrap().change, RefChange::Unchanged);
    let seen = rig.server.take_seen();
    let shape: Vec<_> = seen
        .iter()
        .map(|r| (r.method.as_str(), r.path.as_str()))
        .collect();
    assert_eq!(
        shape,
        [
            ("GET", "/.git/info/refs"),
            ("POST", "/.git/git-upload-pack")
        ]
    );
    assert!(
        seen.iter().all(|r| r
            .header("user-agent")
            .is_some_and(|ua| ua.starts_with("git/weir-"))),
        "{seen:?}"
    );
    assert!(String::from_utf8_lossy(&seen[1].body).contains("ls-refs"));
}

#[test]
fn a_cache_is_private_and_survives_a_restart() {
    let rig = Rig::with(&[("a", "1")]);
    let first = fetch(&rig.source()).unwrap().commit;
    for entry in std::fs::read_dir(rig.cache.path()).unwrap() {
        assert_eq!(
            entry.unwrap().metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
    let source = rig.source();
    assert_eq!(source.last_good(), Some(first));
    assert_eq!(text(&source, first, "a"), "1", "before any fetch");
    assert_eq!(fetch(&source).unwrap().change, RefChange::Unchanged);
    let second = rig.repo.commit(&[("a", "2")]);
    assert_eq!(
        fetch(&rig.source()).unwrap().change,
        RefChange::FastForward { from: first }
    );
    assert_eq!(rig.source().last_good(), Some(second));
}

#[test]
fn only_the_followed_ref_is_fetched_and_it_is_known_by_its_name() {
    let rig = Rig::with(&[("a", "1")]);
    let first = rig.repo.head();
    rig.repo.git(&["checkout", "-q", "-b", "side"]);
    let side = rig.repo.commit(&[("secret", "x")]);
    rig.repo.git(&["checkout", "-q", "main"]);
    let second = rig.repo.commit(&[("a", "2")]);
    let source = rig.source();
    fetch(&source).unwrap();
    for (rev, commit) in [
        ("main", second),
        ("HEAD", second),
        ("main~1", first),
        (&first.to_string(), first),
    ] {
        assert_eq!(source.resolve(rev).unwrap(), commit, "{rev}");
    }
    for rev in ["side", &side.to_string()] {
        assert!(
            matches!(source.resolve(rev), Err(SourceError::RefNotFound { .. })),
            "{rev}"
        );
    }
}

#[test]
fn tags_head_and_full_names_are_followed() {
    let rig = Rig::with(&[("a", "1")]);
    rig.repo.git(&["tag", "-a", "v1", "-m", "one"]);
    let head = rig.repo.head();
    for reference in ["v1", "refs/tags/v1", "HEAD", "refs/heads/main"] {
        let source = open(SourceConfig {
            reference: reference.parse().unwrap(),
            ..rig.config()
        })
        .unwrap();
        assert_eq!(fetch(&source).unwrap().commit, head, "{reference}");
        assert_eq!(
            fetch(&source).unwrap().change,
            RefChange::Unchanged,
            "{reference}"
        );
        assert_eq!(source.resolve(reference).unwrap(), head);
    }
}

#[test]
fn a_ref_that_was_never_there_and_an_empty_repository_are_said_to_be_so() {
    let rig = Rig::with(&[("a", "1")]);
    let source = open(SourceConfig {
        reference: "nope".parse().unwrap(),
        ..rig.config()
    })
    .unwrap();
    let error = fetch(&source).unwrap_err();
    assert!(
        matches!(error, SourceError::RefNotFound { had: None, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("nope: check the spelling"),
        "{error}"
    );
    let empty = Repo::new();
    let root = empty.path().to_owned();
    rig.server.answer(move |request| backend(&root, request));
    for reference in ["main", "HEAD"] {
        let source = open(SourceConfig {
            reference: reference.parse().unwrap(),
            ..rig.config()
        });
        let error = fetch(&source.unwrap()).unwrap_err();
        assert!(matches!(error, SourceError::Empty { .. }), "{error}");
        assert!(
            error
                .to_string()
                .contains(&format!("neither {reference} nor")),
            "{error}"
        );
    }
    // One that was followed and is empty now has lost its branch: that is what is said.
    rig.server.answer({
        let root = rig.root();
        move |request| backend(&root, request)
    });
    let source = rig.source();
    let first = fetch(&source).unwrap().commit;
    let root = empty.path().to_owned();
    rig.server.answer(move |request| backend(&root, request));
    let error = fetch(&source).unwrap_err();
    assert!(
        matches!(error, SourceError::RefNotFound { had: Some(had), .. } if had == first),
        "{error}"
    );
    assert_eq!(text(&source, first, "a"), "1");
}

#[test]
fn a_commit_that_is_refused_does_not_stop_the_fetch() {
    let rig = Rig::with(&[("a", "1")]);
    let blob = rig.repo.object(gix::objs::Kind::Blob, b"x");
    let commit = rig
        .repo
        .commit_of(rig.repo.tree(&[("100644", b".GIT", blob)]));
    rig.repo
        .git(&["update-ref", "refs/heads/main", &commit.to_string()]);
    let source = rig.source();
    assert_eq!(fetch(&source).unwrap().commit, commit);
    assert!(matches!(
        source.snapshot(commit),
        Err(SourceError::Refused { .. })
    ));
}

#[test]
fn a_body_that_breaks_off_leaves_the_last_good_commit_and_the_next_fetch_succeeds() {
    let rig = Rig::with(&[("a", "1")]);
    let source = rig.source();
    let first = fetch(&source).unwrap().commit;
    let noise: String = (0..500u32)
        .map(|i| Digest::of(&i.to_be_bytes()).hex())
        .collect();
    let second = rig.repo.commit(&[("a", "2"), ("noise", &noise)]);
    let whole = Arc::new(AtomicUsize::new(0));
    let root = rig.root();
    rig.server.answer({
        let (root, whole) = (root.clone(), whole.clone());
        move |request| {
            let mut reply = backend(&root, request);
            whole.fetch_max(reply.body.len(), Ordering::SeqCst);
            if request.method == "POST"
                && String::from_utf8_lossy(&request.body).contains("command=fetch")
            {
                reply.cut = Some(reply.body.len() / 2);
            }
            reply
        }
    });
    let error = fetch(&source).unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    assert!(
        whole.load(Ordering::SeqCst) > 10_000,
        "there was a pack to break off"
    );
    assert_eq!(source.last_good(), Some(first));
    assert_eq!(
        rig.source().last_good(),
        Some(first),
        "after a restart, too"
    );
    assert_eq!(text(&source, first, "a"), "1");
    rig.server.answer(move |request| backend(&root, request));
    assert_eq!(
        fetch(&source).unwrap().change,
        RefChange::FastForward { from: first }
    );
    assert_eq!(text(&source, second, "a"), "2");
}

#[test]
fn a_pack_with_a_flipped_byte_moves_nothing_and_the_next_fetch_succeeds() {
    let rig = Rig::with(&[("a", "1")]);
    let root = rig.root();
    rig.server.answer({
        let root = root.clone();
        move |request| {
            let mut reply = backend(&root, request);
            if let Some(at) = reply.body.windows(4).position(|w| w == b"PACK") {
                reply.body[at + 20] ^= 0x55;
            }
            reply
        }
    });
    let source = rig.source();
    let error = fetch(&source).unwrap_err();
    assert!(matches!(error, SourceError::Damaged { .. }), "{error}");
    assert_eq!(source.last_good(), None);
    assert!(
        !rig.cached()
            .iter()
            .any(|p| p.extension().is_some_and(|e| e == "pack")),
        "{:?}",
        rig.cached()
    );
    rig.server.answer(move |request| backend(&root, request));
    assert_eq!(fetch(&source).unwrap().change, RefChange::First);
}

#[test]
fn a_damaged_cache_is_cloned_anew() {
    let rig = Rig::with(&[("a", "1")]);
    let first = fetch(&rig.source()).unwrap().commit;
    for file in rig
        .cached()
        .iter()
        .filter(|p| p.ends_with("config") || p.ends_with("HEAD"))
    {
        std::fs::write(file, "\0garbage").unwrap();
    }
    let source = rig.source();
    assert_eq!(fetch(&source).unwrap().commit, first);
    assert_eq!(text(&source, first, "a"), "1");
    // The objects themselves: found when read, and replaced by the next fetch.
    for pack in rig
        .cached()
        .iter()
        .filter(|p| p.extension().is_some_and(|e| e == "pack"))
    {
        let len = std::fs::metadata(pack).unwrap().len();
        std::fs::set_permissions(pack, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::write(pack, vec![0; usize::try_from(len).unwrap()]).unwrap();
    }
    let source = rig.source();
    let broken = source.snapshot(first).err().map(|e| e.to_string());
    let fetched = fetch(&source).or_else(|_| fetch(&source)).unwrap();
    assert_eq!(fetched.commit, first, "{broken:?}");
    assert_eq!(text(&source, first, "a"), "1");
}

#[test]
fn what_a_crash_left_behind_is_swept_at_open() {
    let rig = Rig::with(&[("a", "1")]);
    let first = fetch(&rig.source()).unwrap().commit;
    let head = rig
        .cached()
        .into_iter()
        .find(|p| p.ends_with("refs/weir/head"))
        .unwrap();
    let git = head.ancestors().nth(3).unwrap();
    let left = [
        head.with_file_name("head.lock"),
        git.join("objects/pack/.tmpabc"),
        git.join("objects/pack/x.keep"),
    ];
    for path in &left {
        std::fs::write(path, "").unwrap();
    }
    std::fs::create_dir(git.with_file_name("new")).unwrap();
    std::fs::write(git.with_file_name("new").join("half"), "").unwrap();
    let source =
        rig.swept(|_| left.iter().all(|p| !p.exists()) && !git.with_file_name("new").exists());
    rig.repo.commit(&[("a", "2")]);
    assert_eq!(
        fetch(&source).unwrap().change,
        RefChange::FastForward { from: first }
    );
}

#[test]
fn a_fetch_stops_when_told_to_and_shows_progress_until_then() {
    let rig = Rig::with(&[("a", "1")]);
    let source = rig.source();
    let error = source
        .fetch(&Arc::new(AtomicBool::new(true)), &|_| {})
        .unwrap_err();
    assert!(matches!(error, SourceError::Stopped { .. }), "{error}");
    let seen = Mutex::new(Vec::new());
    source
        .fetch(&Arc::default(), &|p| seen.lock().unwrap().push(p))
        .unwrap();
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.first(), Some(&FetchProgress::Connecting));
    assert_eq!(seen.last(), Some(&FetchProgress::Checking));
    assert!(
        seen.iter()
            .any(|p| matches!(p, FetchProgress::Receiving { bytes } if *bytes > 100))
    );
}

#[test]
fn two_sources_of_one_cache_take_turns() {
    let rig = Rig::with(&[("a", "1")]);
    let head = rig.repo.head();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(fetch(&rig.source()).unwrap().commit, head));
        }
    });
}
