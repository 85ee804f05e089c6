//! Servers that list refs of names that no repository may have: nothing is written outside the cache, and none becomes a ref.

use super::git::{config, fetch, open, text};
use super::remote::Rig;
use super::server::{Reply, Request, backend};

/// One line of the protocol.
fn line(text: &[u8]) -> Vec<u8> {
    let mut out = format!("{:04x}", text.len() + 4).into_bytes();
    out.extend_from_slice(text);
    out
}

/// The list of refs with these lines before the real one; anything else is git's own answer.
fn lists(root: &std::path::Path, request: &Request, lines: &[Vec<u8>], head: &str) -> Reply {
    if !String::from_utf8_lossy(&request.body).contains("command=ls-refs") {
        return backend(root, request);
    }
    let mut body = Vec::new();
    for entry in lines {
        body.extend(line(entry));
    }
    body.extend(line(format!("{head} refs/heads/main\n").as_bytes()));
    body.extend_from_slice(b"0000");
    let reply = Reply {
        body,
        ..Reply::status(200)
    };
    reply.with("Content-Type", "application/x-git-upload-pack-result")
}

/// The refs that the cache has, by their files.
fn refs(rig: &Rig) -> Vec<String> {
    let mut refs: Vec<String> = rig
        .cached()
        .iter()
        .filter_map(|path| {
            let path = path.to_str().unwrap();
            path.split_once("/refs/").map(|(_, rest)| rest.to_owned())
        })
        .collect();
    refs.sort();
    refs
}

const EVIL: [&[u8]; 14] = [
    b"refs/heads/../../HEAD",
    b"refs/heads/../../../../../../../../../../tmp/weir-evil",
    b"../../x",
    b"/etc/x",
    b"refs/heads/a\0b",
    b"refs/heads/a\rb",
    b"refs/heads/a b",
    b"refs/heads/-x",
    b"refs/heads/a..b",
    b"refs/heads/a.lock",
    b"refs/heads/@{1}",
    b"refs/heads/\x1b[31m",
    b"refs/heads/a:refs/weir/head",
    b"refs/weir/head",
];

#[test]
fn a_ref_of_an_evil_name_is_not_taken_in() {
    for name in EVIL {
        let rig = Rig::with(&[("a", "1")]);
        let (root, head) = (rig.root(), rig.repo.head().to_string());
        let first = [head.as_bytes(), b" ", name, b"\n"].concat();
        let around = std::fs::read_dir(rig.cache.path().parent().unwrap()).is_ok();
        rig.server
            .answer(move |request| lists(&root, request, std::slice::from_ref(&first), &head));
        let source = rig.source();
        let name = String::from_utf8_lossy(name);
        match fetch(&source) {
            Ok(fetched) => {
                assert_eq!(fetched.commit, rig.repo.head(), "{name:?}");
                assert_eq!(text(&source, fetched.commit, "a"), "1");
            }
            Err(error) => {
                let said = error.to_string();
                assert!(!said.contains(['\0', '\r', '\u{1b}']), "{name:?}: {said:?}");
                assert_eq!(source.last_good(), None, "{name:?}");
            }
        }
        assert!(around && !std::path::Path::new("/tmp/weir-evil").exists());
        for found in refs(&rig) {
            assert!(
                ["weir/head", "weir/incoming"].contains(&&*found),
                "{name:?}: {found}"
            );
        }
    }
}

#[test]
fn a_default_branch_of_an_evil_name_is_not_followed() {
    for target in EVIL {
        let rig = Rig::with(&[("a", "1")]);
        let (root, head) = (rig.root(), rig.repo.head().to_string());
        let first = [head.as_bytes(), b" HEAD symref-target:", target, b"\n"].concat();
        rig.server
            .answer(move |request| lists(&root, request, std::slice::from_ref(&first), &head));
        let source = open(config(&rig.server.url("/.git"), "HEAD", rig.cache.path())).unwrap();
        let target = String::from_utf8_lossy(target);
        match fetch(&source) {
            Ok(fetched) => assert_eq!(fetched.commit, rig.repo.head(), "{target:?}"),
            Err(error) => {
                let said = error.to_string();
                assert!(
                    !said.contains(['\0', '\r', '\u{1b}']),
                    "{target:?}: {said:?}"
                );
            }
        }
        for found in refs(&rig) {
            assert!(
                ["weir/head", "weir/incoming"].contains(&&*found),
                "{target:?}: {found}"
            );
        }
    }
}
