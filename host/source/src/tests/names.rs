//! Refs whose names lead elsewhere, as a server lists them: none of them is followed, and nothing is written outside of our own.

use std::path::Path;

use super::git::{fetch, text};
use super::maker::line;
use super::remote::Rig;
use super::server::backend;
use crate::SourceError;

/// All refs that a cache has.
fn refs(rig: &Rig) -> Vec<String> {
    let files = rig.cached().into_iter();
    let own = |file: &Path| {
        let text = file.to_str()?;
        let (_, name) = text.split_once("/refs/")?;
        Some(name.to_owned())
    };
    let mut refs: Vec<String> = files.filter_map(|file| own(&file)).collect();
    refs.sort();
    refs
}

#[test]
fn a_ref_whose_name_leads_elsewhere_is_neither_followed_nor_written() {
    let rig = Rig::with(&[("a", "1")]);
    let source = rig.source();
    let first = fetch(&source).unwrap().commit;
    assert_eq!(refs(&rig), ["weir/head", "weir/incoming"]);
    let next = rig.repo.commit(&[("a", "2")]);
    for name in [
        "../../x",
        "refs/heads/../../HEAD",
        "refs/heads/../../../../config",
        "refs/heads/a\rb",
        "refs/heads/a\0b",
        "refs/heads/.lock",
        "/etc/passwd",
        "-x",
        "",
    ] {
        let root = rig.root();
        let shown = name.to_owned();
        rig.server.answer(move |request| {
            let mut reply = backend(&root, request);
            if String::from_utf8_lossy(&request.body).contains("command=ls-refs") {
                // Under its own name, and as what the ref that is followed stands for.
                reply.body = [
                    line(format!("{next} {shown}\n").as_bytes()),
                    line(format!("{next} refs/heads/main symref-target:{shown}\n").as_bytes()),
                    b"0000".to_vec(),
                ]
                .concat();
            }
            reply
        });
        let result = fetch(&source);
        // Git's own reader may pass over what it does not understand; then it is the ref of that name alone.
        if let Err(error) = &result {
            assert!(
                matches!(
                    error,
                    SourceError::BadUrl { .. }
                        | SourceError::Unreachable { .. }
                        | SourceError::RefNotFound { .. }
                        | SourceError::Damaged { .. }
                ),
                "{name:?}: {error}"
            );
        }
        let at = source.last_good().unwrap();
        assert!(at == first || at == next, "{name:?}");
        assert_eq!(text(&source, first, "a"), "1", "{name:?}");
        assert_eq!(refs(&rig), ["weir/head", "weir/incoming"], "{name:?}");
        assert!(!rig.cache.path().join("x").exists(), "{name:?}");
    }
}
