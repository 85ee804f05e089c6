//! Trees that no honest git writes: each is refused with a text that names the path.

use gix::objs::Kind;
use weir_core::fault::{Blame as _, Fault, Retry};
use weir_core::tree::{Entry, TreeLimits};

use super::git::{Repo, config, open, path};
use crate::SourceError;

fn refusal(entries: &[(&str, &[u8])]) -> SourceError {
    let repo = Repo::with(&[("a", "a")]);
    let blob = repo.object(Kind::Blob, b"target");
    let empty = repo.tree(&[]);
    let entries: Vec<_> = entries
        .iter()
        .map(|(mode, name)| {
            (
                *mode,
                *name,
                if mode.ends_with("40000") { empty } else { blob },
            )
        })
        .collect();
    let commit = repo.commit_of(repo.tree(&entries));
    let error = repo
        .source()
        .snapshot(commit)
        .err()
        .expect("the tree is refused");
    // The same below a directory: the path is whole in the text.
    let below = repo.commit_of(repo.tree(&[("40000", b"dir", repo.tree(&entries))]));
    let error_below = repo
        .source()
        .snapshot(below)
        .err()
        .expect("the tree is refused below a directory, too");
    assert!(
        error_below.to_string().contains("dir/") || error.to_string().contains("twice"),
        "{error_below}"
    );
    error
}

#[test]
fn names_that_leave_the_tree_or_mean_git_are_refused() {
    let names: &[&[u8]] = &[
        b"",
        b".",
        b"..",
        b"a/b",
        b"/etc",
        b"a/../b",
        b"a\\b",
        b"..\\x",
        b".git",
        b".GIT",
        b".Git",
        b"git~1",
        b"GIT~1",
        b".git ",
        b".git.",
        b".git::$INDEX_ALLOCATION",
        b".git\\x",
        ".g\u{200c}it".as_bytes(),
        b"a\nb",
        b"a\x1bb",
        b"a\x7fb",
        b"\xff",
        "a\u{85}b".as_bytes(),
    ];
    for name in names {
        for mode in ["100644", "100755", "120000", "40000", "160000"] {
            let error = refusal(&[(mode, name)]);
            assert!(
                matches!(error, SourceError::Refused { .. }),
                "{mode} {name:?}: {error}"
            );
            assert!(!error.to_string().contains(char::is_control), "{error:?}");
            assert_eq!(
                (error.fault(), error.retry()),
                (Fault::Repository, Retry::OnChange)
            );
        }
    }
}

#[test]
fn names_that_only_windows_minds_are_kept() {
    let repo = Repo::with(&[
        ("aux", "1"),
        ("a:b", "2"),
        ("x.", "3"),
        ("git", "4"),
        (".gitignore", "5"),
        ("é", "6"),
    ]);
    let tree = repo.source().snapshot(repo.head()).unwrap().tree;
    assert_eq!(tree.len(), 6);
}

#[test]
fn a_link_called_gitmodules_is_refused() {
    assert!(matches!(
        refusal(&[("120000", b".gitmodules")]),
        SourceError::Refused { .. }
    ));
}

#[test]
fn modes_that_git_does_not_write_are_refused() {
    for mode in [
        "", "0", "644", "100600", "100777", "104755", "300644", "0100644", "140000", "020000",
        "10064x", "1100644",
    ] {
        let error = refusal(&[(mode, b"x")]);
        assert!(
            matches!(&error, SourceError::Refused { why, .. } if why.contains("mode")),
            "{mode}: {error}"
        );
    }
}

#[test]
fn the_historic_group_writable_mode_is_a_plain_file() {
    let repo = Repo::with(&[("a", "a")]);
    let blob = repo.object(Kind::Blob, b"x");
    let commit = repo.commit_of(repo.tree(&[("100664", b"x", blob)]));
    let tree = repo.source().snapshot(commit).unwrap().tree;
    assert_eq!(
        tree.get(&path("x")),
        Some(&Entry::File {
            id: blob,
            size: 1,
            executable: false
        })
    );
}

#[test]
fn a_name_that_is_there_twice_is_refused() {
    for (one, other) in [
        ("100644", "100644"),
        ("100644", "40000"),
        ("120000", "40000"),
        ("40000", "40000"),
        ("160000", "120000"),
    ] {
        let error = refusal(&[(one, b"a"), (other, b"a")]);
        assert!(
            error.to_string().contains("twice"),
            "{one} {other}: {error}"
        );
        // Not only where they are neighbours.
        let error = refusal(&[(one, b"a"), ("100644", b"b"), (other, b"a")]);
        assert!(
            error.to_string().contains("twice"),
            "{one} {other}: {error}"
        );
    }
}

#[test]
fn a_tree_that_cannot_be_parsed_is_damage() {
    let repo = Repo::with(&[("a", "a")]);
    for bytes in [&b"100644 a\0short"[..], b"100644", b"100644 a", b"x"] {
        let commit = repo.commit_of(repo.object(Kind::Tree, bytes));
        assert!(
            matches!(
                repo.source().snapshot(commit),
                Err(SourceError::Damaged { .. })
            ),
            "{bytes:?}"
        );
    }
}

#[test]
fn links_are_data_wherever_they_point() {
    let repo = Repo::with(&[("a", "a")]);
    let targets = ["/etc/passwd", "../../x", "a", "dangling", "."];
    let entries: Vec<_> = targets
        .iter()
        .map(|t| repo.object(Kind::Blob, t.as_bytes()))
        .collect();
    let names: Vec<_> = (0..targets.len())
        .map(|i| format!("l{i}").into_bytes())
        .collect();
    let lines: Vec<_> = names
        .iter()
        .zip(&entries)
        .map(|(n, id)| ("120000", n.as_slice(), *id))
        .collect();
    let tree = repo
        .source()
        .snapshot(repo.commit_of(repo.tree(&lines)))
        .unwrap()
        .tree;
    for (i, target) in targets.iter().enumerate() {
        let expected = Entry::Symlink {
            id: entries[i],
            target: (*target).into(),
        };
        assert_eq!(tree.get(&path(&format!("l{i}"))), Some(&expected));
    }
}

#[test]
fn a_link_that_is_no_text_is_refused() {
    let repo = Repo::with(&[("a", "a")]);
    for target in [&b""[..], b"\xff", b"a\0b", &[b'x'; 4097]] {
        let link = repo.object(Kind::Blob, target);
        let commit = repo.commit_of(repo.tree(&[("120000", b"l", link)]));
        assert!(
            matches!(
                repo.source().snapshot(commit),
                Err(SourceError::Refused { .. })
            ),
            "{} bytes",
            target.len()
        );
    }
}

#[test]
fn a_submodule_is_an_entry_of_its_own() {
    let repo = Repo::with(&[("a", "a")]);
    let id = "1".repeat(40).parse().unwrap();
    let tree = repo
        .source()
        .snapshot(repo.commit_of(repo.tree(&[("160000", b"sub", id)])))
        .unwrap()
        .tree;
    assert_eq!(tree.get(&path("sub")), Some(&Entry::Submodule { id }));
}

#[test]
fn each_limit_on_a_tree_holds_at_its_edge() {
    let repo = Repo::with(&[("a", "1234"), ("d/b", "5678"), ("d/e/c", "")]);
    let fits = TreeLimits {
        files: 5,
        bytes: 8,
        file_bytes: 4,
        depth: 2,
    };
    let snapshot = |limits| {
        let source = open(crate::SourceConfig {
            tree_limits: limits,
            ..config(repo.path().to_str().unwrap(), "main", repo.path())
        });
        source.unwrap().snapshot(repo.head())
    };
    assert_eq!(snapshot(fits).unwrap().tree.len(), 3);
    for small in [
        TreeLimits { files: 4, ..fits },
        TreeLimits { bytes: 7, ..fits },
        TreeLimits { depth: 1, ..fits },
    ] {
        let error = snapshot(small).err().expect("the limit holds");
        assert!(matches!(error, SourceError::Limit { .. }), "{error}");
    }
    // A file that is too large is in the tree, and cannot be read.
    let snapshot = snapshot(TreeLimits {
        file_bytes: 3,
        ..fits
    })
    .unwrap();
    let Some(Entry::File { id, .. }) = snapshot.tree.get(&path("a")) else {
        panic!("a is a file")
    };
    assert!(
        snapshot
            .blobs
            .read(*id)
            .unwrap_err()
            .to_string()
            .contains("limit")
    );
}

#[test]
fn a_bomb_of_nested_empty_directories_ends_at_the_limit_on_files() {
    let repo = Repo::with(&[("a", "a")]);
    let mut tree = repo.tree(&[]);
    for _ in 0..20 {
        let names: Vec<_> = (0..10).map(|i| format!("d{i}").into_bytes()).collect();
        let lines: Vec<_> = names
            .iter()
            .map(|n| ("40000", n.as_slice(), tree))
            .collect();
        tree = repo.tree(&lines);
    }
    let limits = TreeLimits {
        files: 10_000,
        ..TreeLimits::HOST
    };
    let config = crate::SourceConfig {
        tree_limits: limits,
        ..config(repo.path().to_str().unwrap(), "main", repo.path())
    };
    let error = open(config)
        .unwrap()
        .snapshot(repo.commit_of(tree))
        .err()
        .expect("10^20 directories");
    assert!(matches!(error, SourceError::Limit { .. }), "{error}");
}
