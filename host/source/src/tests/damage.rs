//! Objects whose bytes are not what their id stands for.

use gix::objs::Kind;
use weir_core::tree::{BlobError, Entry};

use super::git::{Repo, path};
use crate::SourceError;

/// Puts the bytes of one object under the id of another.
fn swap(repo: &Repo, id: weir_core::digest::ObjectId, other: weir_core::digest::ObjectId) {
    std::fs::remove_file(repo.loose(id)).unwrap();
    std::fs::copy(repo.loose(other), repo.loose(id)).unwrap();
}

fn id(repo: &Repo, rev: &str) -> weir_core::digest::ObjectId {
    repo.git(&["rev-parse", rev]).parse().unwrap()
}

#[test]
fn a_blob_that_was_exchanged_is_not_handed_out() {
    let repo = Repo::with(&[("a", "good"), ("b", "evil")]);
    swap(&repo, id(&repo, "HEAD:a"), id(&repo, "HEAD:b"));
    let snapshot = repo.source().snapshot(repo.head()).unwrap();
    let Some(Entry::File { id, .. }) = snapshot.tree.get(&path("a")) else {
        panic!("a is a file")
    };
    assert!(matches!(
        snapshot.blobs.read(*id),
        Err(BlobError::Damaged(_))
    ));
}

#[test]
fn a_tree_commit_or_link_that_was_exchanged_is_damage() {
    let repo = Repo::with(&[("d/a", "a"), ("e/b", "b")]);
    swap(&repo, id(&repo, "HEAD:d"), id(&repo, "HEAD:e"));
    assert!(matches!(
        repo.source().snapshot(repo.head()),
        Err(SourceError::Damaged { .. })
    ));

    let repo = Repo::with(&[("a", "a")]);
    let (first, second) = (repo.head(), repo.commit(&[("a", "b")]));
    swap(&repo, second, first);
    assert!(matches!(
        repo.source().snapshot(second),
        Err(SourceError::Damaged { .. })
    ));
    assert!(matches!(
        repo.source().commit_info(second),
        Err(SourceError::Damaged { .. })
    ));

    let repo = Repo::with(&[("a", "a")]);
    let (link, other) = (
        repo.object(Kind::Blob, b"one"),
        repo.object(Kind::Blob, b"two"),
    );
    let commit = repo.commit_of(repo.tree(&[("120000", b"l", link)]));
    swap(&repo, link, other);
    assert!(matches!(
        repo.source().snapshot(commit),
        Err(SourceError::Damaged { .. })
    ));
}

#[test]
fn an_object_of_the_wrong_kind_is_damage() {
    let repo = Repo::with(&[("a", "a")]);
    let (blob, tree) = (repo.object(Kind::Blob, b"x"), repo.tree(&[]));
    for (mode, id) in [("100644", tree), ("120000", tree), ("40000", blob)] {
        let commit = repo.commit_of(repo.tree(&[(mode, b"x", id)]));
        assert!(
            matches!(
                repo.source().snapshot(commit),
                Err(SourceError::Damaged { .. })
            ),
            "{mode}"
        );
    }
    assert!(matches!(
        repo.source().snapshot(tree),
        Err(SourceError::Damaged { .. })
    ));
}

#[test]
fn a_missing_object_is_damage_and_never_an_empty_file() {
    let repo = Repo::with(&[("a", "a"), ("d/b", "b")]);
    for object in ["HEAD:a", "HEAD:d"] {
        let repo = Repo::with(&[("a", "a"), ("d/b", "b")]);
        std::fs::remove_file(repo.loose(id(&repo, object))).unwrap();
        assert!(
            matches!(
                repo.source().snapshot(repo.head()),
                Err(SourceError::Damaged { .. })
            ),
            "{object}"
        );
    }
    // After the snapshot, too.
    let snapshot = repo.source().snapshot(repo.head()).unwrap();
    let blob = id(&repo, "HEAD:a");
    std::fs::remove_file(repo.loose(blob)).unwrap();
    assert!(matches!(
        snapshot.blobs.read(blob),
        Err(BlobError::Missing(_))
    ));
}

#[test]
fn a_file_of_garbage_in_place_of_an_object_is_damage() {
    let repo = Repo::with(&[("a", "a"), ("b", "b")]);
    let tree = id(&repo, "HEAD^{tree}");
    std::fs::remove_file(repo.loose(tree)).unwrap();
    std::fs::write(repo.loose(tree), "garbage").unwrap();
    assert!(matches!(
        repo.source().snapshot(repo.head()),
        Err(SourceError::Damaged { .. })
    ));
}

#[test]
fn replaced_objects_are_not_looked_at() {
    let repo = Repo::with(&[("a", "good")]);
    let good = repo.head();
    let evil = repo.commit(&[("a", "evil")]);
    repo.git(&["replace", &good.to_string(), &evil.to_string()]);
    assert_eq!(super::git::text(&repo.source(), good, "a"), "good");
}
