//! Packs and indexes that the disk has changed: found by hash, said once, and cloned anew as soon as the server is there.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_core::tree::{BlobError, Entry, Snapshot};

use super::git::{fetch, text};
use super::remote::Rig;
use super::server::{Reply, backend};
use crate::{Source, SourceError};

/// What the only commit has.
const FILES: [(&str, &str); 3] = [("a", "one"), ("d/b", "two"), ("d/e/c", "three")];

fn followed() -> (Rig, Source) {
    let rig = Rig::with(&FILES);
    let source = rig.source();
    fetch(&source).unwrap();
    (rig, source)
}

fn files(rig: &Rig, extension: &str) -> Vec<PathBuf> {
    let files = rig.cached().into_iter();
    files
        .filter(|f| f.extension().is_some_and(|e| e == extension))
        .collect()
}

/// Git's files are read-only.
fn write(file: &Path, bytes: &[u8]) {
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(file, bytes).unwrap();
}

/// All files of a snapshot; an error where one cannot be had.
fn all(snapshot: &Snapshot) -> Result<Vec<(String, Vec<u8>)>, BlobError> {
    let mut all = Vec::new();
    for (path, entry) in snapshot.tree.entries() {
        if let Entry::File { id, .. } = entry {
            all.push((path.to_string(), snapshot.blobs.read(*id)?.to_vec()));
        }
    }
    Ok(all)
}

fn expected() -> Vec<(String, Vec<u8>)> {
    let own = |(path, text): (&str, &str)| (path.to_owned(), text.as_bytes().to_vec());
    FILES.into_iter().map(own).collect()
}

/// A fetch and a reader later all is well.
fn is_well(rig: &Rig, what: &str) {
    let source = rig.source();
    let fetched = fetch(&source).unwrap();
    let snapshot = source
        .snapshot_anew(None, fetched.commit, &Arc::default())
        .unwrap_or_else(|e| panic!("{what}: {e}"));
    let read = all(&snapshot).or_else(|_| {
        // A blob is looked at when it is read: the next fetch of anybody replaces it.
        let source = rig.source();
        fetch(&source).unwrap();
        all(&source.snapshot(fetched.commit).unwrap())
    });
    assert_eq!(read.unwrap(), expected(), "{what}");
    // The broken one, with its mark, is removed by whoever opens the cache when nobody reads it any more.
    drop(snapshot);
    drop(source);
    rig.swept(|files| {
        let packs = files
            .iter()
            .filter(|f| f.extension().is_some_and(|e| e == "pack"));
        !files.iter().any(|f| f.ends_with("weir-damaged")) && packs.count() <= 1
    });
}

#[test]
fn each_flipped_byte_of_a_pack_and_its_index_is_found_or_changes_nothing() {
    let (rig, source) = followed();
    let commit = source.last_good().unwrap();
    drop(source);
    let (mut found, mut harmless) = (0, 0);
    for extension in ["pack", "idx"] {
        let file = files(&rig, extension).pop().unwrap();
        let whole = std::fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            write(&file, &bytes);
            let source = rig.source();
            match source.snapshot(commit).map(|snapshot| all(&snapshot)) {
                Ok(Ok(read)) => {
                    assert_eq!(read, expected(), "{extension} {at}: wrong bytes were shown");
                    harmless += 1;
                }
                Ok(Err(
                    BlobError::Damaged(_) | BlobError::Missing(_) | BlobError::Unreadable(..),
                )) => found += 1,
                Err(
                    SourceError::Damaged { .. }
                    | SourceError::Unreachable { .. }
                    | SourceError::Collision { .. },
                ) => found += 1,
                Err(other) => panic!("{extension} {at}: {other}"),
            }
            write(&file, &whole);
            for mark in rig.cached().iter().filter(|f| f.ends_with("weir-damaged")) {
                std::fs::remove_file(mark).unwrap();
            }
        }
    }
    assert!(found > 500, "{found} found, {harmless} harmless");
}

#[test]
fn a_pack_or_index_that_was_changed_cut_or_removed_is_cloned_anew_by_itself() {
    let (rig, source) = followed();
    drop(source);
    for extension in ["pack", "idx"] {
        let length = std::fs::read(files(&rig, extension).pop().unwrap())
            .unwrap()
            .len();
        let changed = (0..12).map(|part| Change::Flip(part * length / 12));
        let cut = [0, 1, 11, length / 2, length - 1].map(Change::Cut);
        for change in changed.chain(cut).chain([Change::Remove]) {
            let file = files(&rig, extension).pop().unwrap();
            change.make(&file);
            is_well(&rig, &format!("{extension}: {change:?}"));
            assert_eq!(files(&rig, "pack").len(), 1);
        }
    }
}

/// What a disk does.
#[derive(Debug, Clone, Copy)]
enum Change {
    Flip(usize),
    Cut(usize),
    Remove,
}

impl Change {
    fn make(self, file: &Path) {
        let mut bytes = std::fs::read(file).unwrap();
        match self {
            Change::Flip(at) => bytes[at] ^= 0xff,
            Change::Cut(length) => bytes.truncate(length),
            Change::Remove => return std::fs::remove_file(file).unwrap(),
        }
        write(file, &bytes);
    }
}

#[test]
fn a_clone_that_was_found_broken_is_made_anew_by_the_next_process_though_the_ref_did_not_move() {
    let (rig, source) = followed();
    let commit = source.last_good().unwrap();
    let blob = rig.repo.git(&["rev-parse", "HEAD:a"]).parse().unwrap();
    let pack = files(&rig, "pack").pop().unwrap();
    let whole = std::fs::read(&pack).unwrap();
    // The one byte that only this blob is read from: other objects are well.
    let snapshot = source.snapshot(commit).unwrap();
    let at = (12..whole.len() - 20)
        .find(|at| {
            let mut bytes = whole.clone();
            bytes[*at] ^= 0xff;
            write(&pack, &bytes);
            let reader = rig.source();
            let tree = reader.snapshot(commit);
            let only_the_blob =
                tree.is_ok_and(|s| matches!(s.blobs.read(blob), Err(BlobError::Damaged(_))));
            let marked = rig.cached().iter().any(|f| f.ends_with("weir-damaged"));
            let _ = rig
                .cached()
                .iter()
                .filter(|f| f.ends_with("weir-damaged"))
                .try_for_each(std::fs::remove_file);
            write(&pack, &whole);
            assert!(
                !only_the_blob || marked,
                "what was found is kept for others"
            );
            only_the_blob
        })
        .unwrap();
    drop(snapshot);
    let mut bytes = whole;
    bytes[at] ^= 0xff;
    write(&pack, &bytes);
    // The server is away: what is there stays, and both are said.
    rig.server.answer(|_| Reply::status(503));
    let reader = rig.source();
    let broken = reader.snapshot(commit).unwrap();
    assert!(matches!(
        broken.blobs.read(blob),
        Err(BlobError::Damaged(_))
    ));
    let error = fetch(&reader).unwrap_err();
    assert!(
        matches!(error, SourceError::Unreachable { .. }),
        "the ref did not move, but the clone is broken: {error}"
    );
    assert_eq!(reader.last_good(), Some(commit));
    assert_eq!(text(&reader, commit, "d/b"), "two", "what is well is read");
    // It is back, and another process looks.
    let root = rig.root();
    rig.server.answer(move |request| backend(&root, request));
    let next = rig.source();
    assert_eq!(fetch(&next).unwrap().commit, commit);
    assert_eq!(text(&next, commit, "a"), "one");
    assert_eq!(fetch(&reader).unwrap().commit, commit);
    assert_eq!(text(&reader, commit, "a"), "one");
}

#[test]
fn a_tree_that_cannot_be_read_says_also_that_it_cannot_be_cloned_anew_yet() {
    let (rig, source) = followed();
    let commit = source.last_good().unwrap();
    drop(source);
    let pack = files(&rig, "pack").pop().unwrap();
    let length = std::fs::metadata(&pack).unwrap().len();
    write(&pack, &vec![0; usize::try_from(length).unwrap()]);
    rig.server.answer(|_| Reply::status(503));
    let source = rig.source();
    let said = match source.snapshot_anew(None, commit, &Arc::default()) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("nothing can be read"),
    };
    assert!(
        said.contains("is damaged")
            && said.contains("it cannot be cloned anew yet")
            && said.contains("503")
            || said.contains("it was never fetched"),
        "{said}"
    );
    is_well_again(&rig);
}

fn is_well_again(rig: &Rig) {
    let root = rig.root();
    rig.server.answer(move |request| backend(&root, request));
    is_well(rig, "the server is back");
}
