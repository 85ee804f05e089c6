//! `--worktree`: what is on disk, as far as Git would take it in.

use weir_core::tree::{Entry, TreeLimits};

use super::git::{Repo, config, open, path};
use crate::{SourceConfig, SourceError};

fn names(repo: &Repo) -> Vec<String> {
    let tree = repo.source().worktree_snapshot().unwrap().tree;
    tree.entries().map(|(p, _)| p.as_str().to_owned()).collect()
}

#[test]
fn a_work_tree_has_the_files_that_git_would_add() {
    let repo = Repo::with(&[
        ("tracked", "old"),
        ("gone", "x"),
        ("out/kept", "1"),
        ("d/a", "1"),
    ]);
    repo.write(&[
        ("tracked", "new"),
        ("untracked", "u"),
        (".gitignore", "*.log\nout/\n/top\n"),
        ("a.log", "x"),
        ("d/b.log", "x"),
        ("d/.gitignore", "!b.log\n"),
        ("out/new", "x"),
        ("out/kept", "2"),
        ("top", "x"),
        ("d/top", "x"),
        (".git/info/exclude", "excluded\n"),
        ("excluded", "x"),
    ]);
    std::fs::remove_file(repo.path().join("gone")).unwrap();
    let ours = names(&repo);
    // What git says of the same: tracked files that are still there, and others that are not ignored.
    let listed = repo.git(&[
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let mut theirs: Vec<_> = listed
        .split('\0')
        .filter(|p| !p.is_empty() && repo.path().join(p).exists())
        .map(str::to_owned)
        .collect();
    theirs.sort();
    assert_eq!(ours, theirs);
    assert!(
        ours.contains(&"out/kept".into()) && !ours.contains(&"gone".into()),
        "{ours:?}"
    );

    let snapshot = repo.source().worktree_snapshot().unwrap();
    let Some(Entry::File { id, .. }) = snapshot.tree.get(&path("tracked")) else {
        panic!("a file")
    };
    assert_eq!(&*snapshot.blobs.read(*id).unwrap(), b"new");
    assert_eq!(id.hex(), repo.git(&["hash-object", "tracked"]));
    assert_eq!(snapshot.tree.commit(), None);
}

#[test]
fn a_link_in_a_work_tree_is_data_and_is_not_followed() {
    let repo = Repo::with(&[("a", "1")]);
    std::os::unix::fs::symlink("/etc", repo.path().join("etc")).unwrap();
    std::os::unix::fs::symlink("loop", repo.path().join("loop")).unwrap();
    let tree = repo.source().worktree_snapshot().unwrap().tree;
    assert!(
        matches!(tree.get(&path("etc")), Some(Entry::Symlink { target, .. }) if target == "/etc")
    );
    assert_eq!(tree.len(), 3);
}

#[test]
fn a_repository_inside_is_a_submodule_or_an_error_never_files() {
    let repo = Repo::with(&[("a", "1")]);
    repo.write(&[("inner/x", "1")]);
    repo.git(&["init", "-q", "inner"]);
    let error = repo.source().worktree_snapshot().err().unwrap();
    assert!(
        matches!(&error, SourceError::Refused { path, .. } if path == "inner"),
        "{error}"
    );
    repo.git(&["-C", "inner", "commit", "-q", "--allow-empty", "-m", "x"]);
    repo.git(&["-c", "advice.addEmbeddedRepo=false", "add", "inner"]);
    let tree = repo.source().worktree_snapshot().unwrap().tree;
    assert!(matches!(
        tree.get(&path("inner")),
        Some(Entry::Submodule { .. })
    ));
    assert_eq!(tree.get(&path("inner/x")), None);
}

#[test]
fn a_bare_repository_has_no_work_tree() {
    let repo = Repo::with(&[("a", "1")]);
    repo.git(&["clone", "-q", "--bare", ".", "bare.git"]);
    let bare = repo.path().join("bare.git");
    let error = open(config(bare.to_str().unwrap(), "main", repo.path()))
        .unwrap()
        .worktree_snapshot()
        .err()
        .unwrap();
    assert!(error.to_string().contains("no work tree"), "{error}");
}

#[test]
fn a_work_tree_is_under_the_limits_of_a_tree() {
    let repo = Repo::with(&[("d/a", "1234"), ("b", "5678")]);
    let fits = TreeLimits {
        files: 3,
        bytes: 8,
        file_bytes: 4,
        depth: 1,
    };
    let snapshot = |tree_limits| {
        let config = SourceConfig {
            tree_limits,
            ..config(repo.path().to_str().unwrap(), "main", repo.path())
        };
        open(config).unwrap().worktree_snapshot()
    };
    assert!(snapshot(fits).is_ok());
    for small in [
        TreeLimits { files: 2, ..fits },
        TreeLimits { bytes: 7, ..fits },
        TreeLimits { depth: 0, ..fits },
    ] {
        assert!(matches!(snapshot(small), Err(SourceError::Limit { .. })));
    }
}

#[test]
fn a_file_name_that_no_commit_may_hold_is_refused_on_disk_too() {
    let repo = Repo::with(&[("a", "1")]);
    repo.write(&[("b\\c", "1")]);
    assert!(matches!(
        repo.source().worktree_snapshot(),
        Err(SourceError::Refused { .. })
    ));
}
