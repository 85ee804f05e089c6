//! Repositories on this machine: opened in place, read as git reads them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use weir_core::tree::Entry;

use super::git::{Repo, config, fetch, open, text};
use crate::{RefChange, SourceError};

/// What `git ls-tree -r` says: path to mode and id.
fn listed_by_git(repo: &Repo, rev: &str) -> BTreeMap<String, (String, String)> {
    let out = repo.git(&["ls-tree", "-r", "-z", rev]);
    let line = |l: &str| {
        let (meta, path) = l.split_once('\t').unwrap();
        let mut meta = meta.split(' ');
        (
            path.to_owned(),
            (
                meta.next().unwrap().to_owned(),
                meta.nth(1).unwrap().to_owned(),
            ),
        )
    };
    out.split('\0')
        .filter(|l| !l.is_empty())
        .map(line)
        .collect()
}

fn varied() -> Repo {
    let repo = Repo::new();
    repo.write(&[
        ("a", "1"),
        ("a-b", "2"),
        ("d/e/f/g", "3"),
        ("d.x", ""),
        ("é ü/☃", "4"),
        ("run", "#!/bin/sh\n"),
    ]);
    std::fs::set_permissions(repo.path().join("run"), PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("../a", repo.path().join("d/link")).unwrap();
    repo.commit(&[]);
    repo
}

#[test]
fn a_snapshot_has_what_git_lists() {
    let repo = varied();
    for packed in [false, true] {
        if packed {
            repo.git(&["gc", "-q"]);
        }
        let snapshot = repo.source().snapshot(repo.head()).unwrap();
        let ours: BTreeMap<_, _> = snapshot
            .tree
            .entries()
            .map(|(path, entry)| {
                let (mode, id) = match entry {
                    Entry::File {
                        id,
                        executable: false,
                        ..
                    } => ("100644", id),
                    Entry::File {
                        id,
                        executable: true,
                        ..
                    } => ("100755", id),
                    Entry::Symlink { id, .. } => ("120000", id),
                    Entry::Submodule { id } => ("160000", id),
                };
                (path.as_str().to_owned(), (mode.to_owned(), id.hex()))
            })
            .collect();
        assert_eq!(ours, listed_by_git(&repo, "HEAD"));
        assert_eq!(snapshot.tree.commit(), Some(repo.head()));
        assert_eq!(text(&repo.source(), repo.head(), "d/e/f/g"), "3");
    }
}

#[test]
fn a_tree_that_shares_with_an_earlier_one_is_what_a_whole_walk_finds() {
    let repo = varied();
    let source = repo.source();
    let mut before = source.snapshot(repo.head()).unwrap();
    type Step = fn(&std::path::Path);
    let steps: [Step; 8] = [
        |at| std::fs::write(at.join("d/e/f/g"), "other").unwrap(),
        |at| std::fs::write(at.join("d/e/f-new"), "n").unwrap(),
        |at| std::fs::remove_dir_all(at.join("d/e")).unwrap(),
        |at| std::fs::write(at.join("d/e"), "a file now").unwrap(),
        |at| {
            std::fs::remove_file(at.join("a")).unwrap();
            std::fs::create_dir_all(at.join("a/b")).unwrap();
            std::fs::write(at.join("a/b/c"), "a directory now").unwrap();
        },
        |at| std::fs::set_permissions(at.join("run"), PermissionsExt::from_mode(0o644)).unwrap(),
        |at| {
            std::fs::remove_file(at.join("d/link")).unwrap();
            std::os::unix::fs::symlink("../run", at.join("d/link")).unwrap();
        },
        |at| std::fs::write(at.join("zzz"), "last").unwrap(),
    ];
    for (n, step) in steps.into_iter().enumerate() {
        step(repo.path());
        let head = repo.commit(&[]);
        let whole = source.snapshot(head).unwrap().tree;
        let shared = source.snapshot_after(Some(&before.tree), head).unwrap();
        assert_eq!(shared.tree, whole, "step {n}");
        assert_eq!(shared.tree.root().size(), whole.root().size(), "step {n}");
        assert!(!before.tree.changes(&whole).is_empty(), "step {n}");
        assert_eq!(
            before.tree.changes(&shared.tree),
            before.tree.changes(&whole)
        );
        before = shared;
    }
}

#[test]
fn blobs_are_read_by_many_threads_at_once() {
    let files: Vec<_> = (0..50)
        .map(|i| (format!("f{i}"), format!("content {i}")))
        .collect();
    let repo = Repo::with(
        &files
            .iter()
            .map(|(p, t)| (p.as_str(), t.as_str()))
            .collect::<Vec<_>>(),
    );
    let snapshot = repo.source().snapshot(repo.head()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for (_, entry) in snapshot.tree.entries() {
                    let Entry::File { id, size, .. } = entry else {
                        panic!("a file")
                    };
                    assert_eq!(snapshot.blobs.read(*id).unwrap().len() as u64, *size);
                }
            });
        }
    });
}

#[test]
fn a_branch_that_moves_is_told_apart_from_one_that_is_rewritten() {
    let repo = Repo::with(&[("a", "1")]);
    let source = repo.source();
    let first = repo.head();
    let change = || fetch(&source).map(|f| (f.commit, f.change)).unwrap();
    assert_eq!(source.last_good(), None);
    assert_eq!(change(), (first, RefChange::First));
    assert_eq!(change(), (first, RefChange::Unchanged));
    let second = repo.commit(&[("a", "2")]);
    assert_eq!(change(), (second, RefChange::FastForward { from: first }));
    repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let third = repo.commit(&[("a", "3")]);
    assert_eq!(change(), (third, RefChange::Rewritten { from: second }));
    assert_eq!(source.last_good(), Some(third));
    repo.git(&["checkout", "-q", "--detach"]);
    repo.git(&["branch", "-q", "-D", "main"]);
    let error = fetch(&source).unwrap_err();
    assert!(
        matches!(error, SourceError::RefNotFound { had: Some(had), .. } if had == third),
        "{error}"
    );
    assert!(error.to_string().contains("any more"), "{error}");
    assert_eq!(
        text(&source, third, "a"),
        "3",
        "the last good commit stays readable"
    );
}

#[test]
fn bare_repositories_file_urls_tags_and_head_are_followed() {
    let repo = Repo::with(&[("a", "1")]);
    repo.git(&["tag", "-a", "v1", "-m", "one"]);
    repo.git(&["clone", "-q", "--bare", ".", "bare.git"]);
    let head = repo.head();
    let at = |url: &str, reference: &str| {
        fetch(&open(config(url, reference, repo.path())).unwrap())
            .unwrap()
            .commit
    };
    let path = repo.path().to_str().unwrap();
    assert_eq!(at(&format!("file://{path}"), "HEAD"), head);
    assert_eq!(
        at(&format!("{path}/bare.git"), "v1"),
        head,
        "an annotated tag is its commit"
    );
    assert_eq!(at(&format!("{path}/.git"), "refs/heads/main"), head);
}

#[test]
fn a_branch_wins_over_a_tag_of_its_name() {
    let repo = Repo::with(&[("a", "1")]);
    repo.git(&["tag", "main"]);
    let head = repo.commit(&[("a", "2")]);
    assert_eq!(fetch(&repo.source()).unwrap().commit, head);
}

#[test]
fn revisions_are_resolved_as_git_does() {
    let repo = Repo::with(&[("a", "1")]);
    let first = repo.head();
    repo.git(&["tag", "-a", "v1", "-m", "one"]);
    repo.git(&["branch", "side"]);
    let second = repo.commit(&[("a", "2")]);
    let source = repo.source();
    for (rev, commit) in [
        ("HEAD", second),
        ("main", second),
        ("HEAD~1", first),
        ("main^", first),
        ("v1", first),
        ("v1^{}", first),
        ("side", first),
        ("refs/heads/side", first),
        (&first.to_string(), first),
        (&first.to_string()[..8], first),
    ] {
        assert_eq!(source.resolve(rev).unwrap(), commit, "{rev}");
    }
    for bad in [
        "",
        "nope",
        "HEAD~9",
        "HEAD:a",
        "HEAD^{tree}",
        "--all",
        "a b",
        "HEAD\n",
        &"0".repeat(40),
        &"a".repeat(600),
    ] {
        assert!(
            matches!(source.resolve(bad), Err(SourceError::RefNotFound { .. })),
            "{bad:?}"
        );
    }
}

#[test]
fn a_commit_says_who_when_and_what() {
    let repo = Repo::with(&[("a", "1")]);
    let first = repo.head();
    repo.git(&[
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "Subject \u{1b}[31m\n\nBody",
        "--author",
        "Bob <bob@example.com>",
    ]);
    let info = repo.source().commit_info(repo.head()).unwrap();
    assert_eq!(
        (info.author.name.as_str(), info.author.email.as_str()),
        ("Bob", "bob@example.com")
    );
    assert_eq!(
        (info.committer.name.as_str(), info.time),
        ("Ann", 1_700_000_000)
    );
    assert_eq!(
        info.subject, "Subject \u{fffd}[31m",
        "control characters do not reach a terminal"
    );
    assert_eq!(info.parents, [first]);
}

#[test]
fn a_path_that_is_no_repository_is_said_to_be_none() {
    let dir = tempfile::TempDir::new().unwrap();
    let at = |path: &std::path::Path| {
        open(config(path.to_str().unwrap(), "main", dir.path()))
            .err()
            .unwrap()
    };
    assert!(
        at(&dir.path().join("nope"))
            .to_string()
            .contains("no such directory")
    );
    let error = at(dir.path());
    assert!(matches!(error, SourceError::NotFound { .. }), "{error}");
    assert!(
        error.to_string().contains("expected a Git work tree"),
        "{error}"
    );
}

#[test]
fn the_configuration_of_a_repository_cannot_reach_outside() {
    let repo = Repo::with(&[("a", "1")]);
    let evil = repo.path().join("evil.config");
    std::fs::write(&evil, "[core]\n\tworktree = /etc\n").unwrap();
    repo.git(&["config", "include.path", evil.to_str().unwrap()]);
    repo.git(&["config", "core.fsmonitor", "touch pwned"]);
    repo.git(&["config", "filter.x.clean", "touch pwned"]);
    repo.write(&[(".gitattributes", "* filter=x\n")]);
    let tree = repo.source().worktree_snapshot().unwrap().tree;
    assert!(
        tree.get(&super::git::path("a")).is_some()
            && tree.get(&super::git::path("passwd")).is_none()
    );
    assert!(!repo.path().join("pwned").exists(), "no program was run");
}
