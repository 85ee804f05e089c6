//! A cache over a long life: hundreds of fetches and pushes with force, and what it is exchanged under.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gix::objs::Kind;
use weir_core::digest::{CommitId, Digest};
use weir_core::tree::{Entry, Snapshot};

use super::git::{config, fetch, open, path, text};
use super::remote::Rig;
use super::server::{Reply, Request, backend};
use crate::{CacheLimits, FetchLimits, RefChange, Source, SourceConfig, SourceError};

/// Few enough that 200 fetches pass them many times.
const LIMITS: CacheLimits = CacheLimits {
    packs: 20,
    grown_bytes: 64 << 10,
};

fn limited(rig: &Rig, cache: CacheLimits) -> SourceConfig {
    let fetch_limits = FetchLimits {
        cache,
        ..FetchLimits::HOST
    };
    SourceConfig {
        fetch_limits,
        ..config(&rig.server.url("/.git"), "main", rig.cache.path())
    }
}

/// Text that does not compress to nothing, another one for each number.
fn noise(n: usize) -> String {
    let parts = (0..60).map(|i| Digest::of(format!("{n} {i}").as_bytes()).hex());
    parts.collect()
}

/// Moves the branch to a commit of these contents, as a push does; no git process is needed for it.
fn push(rig: &Rig, n: usize, parent: Option<CommitId>) -> CommitId {
    let repo = &rig.repo;
    let (a, b) = (
        repo.object(Kind::Blob, n.to_string().as_bytes()),
        repo.object(Kind::Blob, noise(n).as_bytes()),
    );
    let dir = repo.tree(&[("100644", b"b", b)]);
    let tree = repo.tree(&[("100644", b"a", a), ("40000", b"d", dir)]);
    let parent = parent.map_or(String::new(), |parent| format!("parent {parent}\n"));
    let who = "Ann <ann@example.com> 1700000000 +0100";
    let commit = format!("tree {tree}\n{parent}author {who}\ncommitter {who}\n\nNo. {n}\n");
    let commit = repo.object(Kind::Commit, commit.as_bytes());
    std::fs::write(
        repo.path().join(".git/refs/heads/main"),
        format!("{commit}\n"),
    )
    .unwrap();
    commit
}

fn is_whole(source: &Source, commit: CommitId, n: usize) {
    assert_eq!(text(source, commit, "a"), n.to_string());
    assert_eq!(text(source, commit, "d/b"), noise(n));
}

fn reads(snapshot: &Snapshot, n: usize) {
    for (file, expected) in [("a", n.to_string()), ("d/b", noise(n))] {
        let Some(Entry::File { id, .. }) = snapshot.tree.get(&path(file)) else {
            panic!("{file} is no file");
        };
        assert_eq!(*snapshot.blobs.read(*id).unwrap(), *expected.as_bytes());
    }
}

/// The clones on the disk, and for each how many packs it has.
fn clones(rig: &Rig) -> Vec<(PathBuf, usize)> {
    let files = rig.cached();
    let of = |file: &PathBuf| {
        let is_clone = |dir: &&Path| {
            let name = dir.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("git-") || name == "new"
        };
        file.ancestors().find(is_clone).map(Path::to_owned)
    };
    let dirs: BTreeSet<PathBuf> = files.iter().filter_map(of).collect();
    let packs = |dir: &PathBuf| {
        let own = files.iter().filter(|file| file.starts_with(dir));
        own.filter(|file| file.extension().is_some_and(|e| e == "pack"))
            .count()
    };
    dirs.into_iter()
        .map(|dir| {
            let packs = packs(&dir);
            (dir, packs)
        })
        .collect()
}

fn bytes(rig: &Rig) -> u64 {
    let files = rig.cached();
    files.iter().map(|f| f.metadata().unwrap().len()).sum()
}

/// How many files of the cache this process has open, and how many it has mapped.
fn held(rig: &Rig) -> (usize, usize) {
    let cache = rig.cache.path();
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let open = links
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter(|file| file.starts_with(cache))
        .count();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let cache = cache.to_str().unwrap();
    (
        open,
        maps.lines().filter(|line| line.contains(cache)).count(),
    )
}

#[test]
fn two_hundred_fetches_and_pushes_with_force_leave_no_more_than_the_limits_say_and_lose_nothing() {
    let rig = Rig::with(&[("a", "0")]);
    let source = open(limited(&rig, LIMITS)).unwrap();
    fetch(&source).unwrap();
    let (mut tip, mut before) = (None, None);
    let (mut made_anew, mut most, mut largest) = (0, 0, 0);
    let mut last = clones(&rig);
    let mut kept: Vec<(Snapshot, usize)> = Vec::new();
    for n in 1..=200 {
        // Every third push takes away the one before it, every twentieth all of the history.
        let parent = match n {
            n if n % 20 == 0 => None,
            n if n % 3 == 0 => before,
            _ => tip,
        };
        before = tip;
        let commit = push(&rig, n, parent);
        let fetched = fetch(&source).unwrap();
        assert_eq!(fetched.commit, commit, "{n}");
        let forward = parent.is_some() && parent == tip;
        assert_eq!(
            matches!(fetched.change, RefChange::FastForward { .. }),
            forward,
            "{n}: {:?}",
            fetched.change
        );
        tip = Some(commit);
        is_whole(&source, commit, n);
        let now = clones(&rig);
        assert!(now.len() <= 2 + kept.len(), "{n}: {now:?}");
        assert!(now.iter().all(|(_, packs)| *packs <= LIMITS.packs + 1));
        made_anew += usize::from(now.last().map(|c| &c.0) != last.last().map(|c| &c.0));
        last = now;
        if kept.is_empty() {
            most = most.max(held(&rig).1);
            largest = largest.max(bytes(&rig));
        }
        // A reader of an older commit goes on, whatever becomes of the clone that it reads.
        match n {
            70 => kept.push((source.snapshot(commit).unwrap(), n)),
            150 => kept.clear(),
            _ => {}
        }
        for (snapshot, n) in &kept {
            reads(snapshot, *n);
        }
    }
    assert!(made_anew >= 8, "{made_anew} times: {last:?}");
    // What one whole clone may have grown to, and the one that replaces it.
    let bound = 3 * LIMITS.grown_bytes + (256 << 10);
    assert!(largest < bound, "{largest} bytes, {bound} are allowed");
    // Each pack and each index is mapped once for each handle that is open.
    assert!(most <= 8 * (LIMITS.packs + 1), "{most} files were mapped");
    let (opened, mapped) = held(&rig);
    assert!(
        opened <= 2 && mapped <= 8 * (LIMITS.packs + 1),
        "{opened} files are open and {mapped} mapped"
    );
    drop(source);
    assert_eq!(held(&rig), (0, 0));
    let again = open(limited(&rig, LIMITS)).unwrap();
    is_whole(&again, tip.unwrap(), 200);
    assert_eq!(clones(&rig).len(), 1, "{:?}", clones(&rig));
    println!("made anew {made_anew} times, at most {largest} bytes, {most} files mapped");
}

#[test]
fn what_another_process_reads_is_not_removed_before_it_is_done() {
    let rig = Rig::with(&[("a", "0")]);
    let few = CacheLimits { packs: 1, ..LIMITS };
    let (reader, writer) = (
        open(limited(&rig, few)).unwrap(),
        open(limited(&rig, few)).unwrap(),
    );
    let first = push(&rig, 1, None);
    fetch(&reader).unwrap();
    let snapshot = reader.snapshot(first).unwrap();
    // The other one clones anew with every second push.
    let mut tip = first;
    for n in 2..12 {
        tip = push(&rig, n, Some(tip));
        fetch(&writer).unwrap();
        // Opening a cache sweeps it, too.
        is_whole(&open(limited(&rig, few)).unwrap(), tip, n);
        reads(&snapshot, 1);
        is_whole(&reader, first, 1);
        assert!(clones(&rig).len() <= 3, "{:?}", clones(&rig));
    }
    drop((reader, snapshot));
    tip = push(&rig, 12, Some(tip));
    fetch(&writer).unwrap();
    is_whole(&writer, tip, 12);
    let own = open(limited(&rig, few)).unwrap();
    drop(writer);
    drop(own);
    open(limited(&rig, few)).unwrap();
    assert_eq!(clones(&rig).len(), 1, "{:?}", clones(&rig));
}

/// A request for a pack by somebody who has nothing.
fn is_a_clone(request: &Request) -> bool {
    let body = String::from_utf8_lossy(&request.body);
    body.contains("command=fetch") && !body.contains("have ")
}

#[test]
fn a_clone_that_cannot_be_made_anew_grows_on_up_to_a_bound_and_is_made_anew_when_it_can() {
    let rig = Rig::with(&[("a", "0")]);
    let few = CacheLimits { packs: 4, ..LIMITS };
    let source = open(limited(&rig, few)).unwrap();
    let mut tip = push(&rig, 1, None);
    fetch(&source).unwrap();
    let root = rig.root();
    rig.server.answer({
        let root = root.clone();
        move |request| {
            if is_a_clone(request) {
                Reply::status(503)
            } else {
                backend(&root, request)
            }
        }
    });
    let mut held = None;
    for n in 2..40 {
        let next = push(&rig, n, Some(tip));
        match fetch(&source) {
            Ok(fetched) => {
                assert_eq!(fetched.commit, next);
                is_whole(&source, next, n);
            }
            Err(error) => {
                assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
                held.get_or_insert(n);
                is_whole(&source, tip, held.unwrap() - 1);
                assert_eq!(source.last_good(), Some(tip));
                continue;
            }
        }
        assert_eq!(held, None, "it went on after it was full");
        tip = next;
    }
    // Twice its limit, and not one pack more.
    assert_eq!(held, Some(2 * few.packs + 2));
    let at = clones(&rig);
    assert!(
        at.len() == 1 && at[0].1 == 2 * few.packs + 1,
        "nothing is left of what failed: {at:?}"
    );
    rig.server.answer(move |request| backend(&root, request));
    let next = push(&rig, 40, Some(tip));
    fetch(&source).unwrap();
    is_whole(&source, next, 40);
    fetch(&source).unwrap();
    assert_eq!(clones(&rig).last().unwrap().1, 1);
}

#[test]
fn a_lock_that_a_killed_process_left_holds_up_no_source_that_was_open_before() {
    let rig = Rig::with(&[("a", "1")]);
    let source = rig.source();
    let first = fetch(&source).unwrap().commit;
    let (dir, _) = clones(&rig).pop().unwrap();
    let left = [
        "refs/weir/head.lock",
        "refs/weir/incoming.lock",
        "packed-refs.lock",
        "shallow.lock",
        "config.lock",
        "objects/pack/.tmpabc",
        "objects/pack/tmp_pack_x",
        "objects/pack/pack-0123.keep",
        "objects/pack/pack-0123.pack",
    ];
    for n in 0..3 {
        for name in left {
            std::fs::write(dir.join(name), "").unwrap();
        }
        std::fs::create_dir_all(dir.with_file_name("new/objects")).unwrap();
        let next = rig.repo.commit(&[("a", &format!("no. {n}"))]);
        assert_eq!(fetch(&source).unwrap().commit, next);
        let files = rig.cached();
        let there = |name: &&str| files.contains(&dir.join(name));
        let still: Vec<_> = left.iter().filter(|n| there(n)).collect();
        assert!(still.is_empty(), "{still:?}");
        assert!(!dir.with_file_name("new").exists());
    }
    assert_eq!(text(&source, first, "a"), "1");
}

#[test]
fn a_cache_that_is_removed_under_an_open_source_is_cloned_anew() {
    let rig = Rig::with(&[("a", "1")]);
    let source = rig.source();
    fetch(&source).unwrap();
    std::fs::remove_dir_all(rig.cache.path()).unwrap();
    let next = rig.repo.commit(&[("a", "2")]);
    assert_eq!(fetch(&source).unwrap().commit, next);
    assert_eq!(text(&source, next, "a"), "2");
}
