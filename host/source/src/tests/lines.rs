//! Lines, sidebands and refs that no honest server sends, or that do not end.

use super::git::fetch;
use super::maker::{BLOB, Pack, band, line};
use super::packs::Hostile;
use super::server::backend;
use crate::SourceError;

#[test]
fn lines_and_sidebands_that_are_none_are_refused() {
    let it = Hostile::new();
    let mut pack = Pack::new();
    pack.object(BLOB, b"some text");
    let pack = pack.done();
    let after = |lines: &[Vec<u8>]| [line(b"packfile\n"), lines.concat()].concat();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "no lines",
            b"this is not git at all".to_vec(),
            "its length was expected",
        ),
        (
            "a length that is none",
            b"zzzz".to_vec(),
            "its length was expected",
        ),
        (
            "a length of three",
            b"0003".to_vec(),
            "its length was expected",
        ),
        (
            "a line that is too long",
            [&b"fff1"[..], &[b'x'; 65_529]].concat(),
            "its length was expected",
        ),
        (
            "a sideband that is none",
            after(&[band(7, &pack)]),
            "sideband 7",
        ),
        ("sideband 0", after(&[band(0, b"x")]), "sideband 0"),
        (
            "a line without a sideband",
            after(&[line(b""), band(1, &pack)]),
            "its length was expected",
        ),
    ];
    for (what, body, said) in cases {
        it.malformed(what, &body, said);
    }
    // Empty packets alone are fine; without a pack they are none.
    let empty = vec![band(1, b""); 1000];
    it.malformed(
        "nothing but empty packets",
        &after(&empty),
        "cannot be used",
    );
    it.limit(
        "progress without end",
        &after(&vec![band(2, &[b'.'; 60_000]); 20]),
        "talk_bytes",
    );
    it.limit(
        "acknowledgements without end",
        &[
            line(b"acknowledgments\n"),
            vec![line(format!("ACK {}\n", it.next).as_bytes()); 40_000].concat(),
        ]
        .concat(),
        "talk_bytes",
    );
    let error = it.error(&after(&[band(3, b"no room on this server\n")]));
    assert!(
        error.to_string().contains("no room on this server"),
        "{error}"
    );
    it.recovers();
}

#[test]
fn refs_without_end_are_given_up() {
    let it = Hostile::new();
    let refs = |n: u32| line(format!("{} refs/heads/b{n}\n", it.next).as_bytes());
    let many = (0..30_000).map(refs).collect::<Vec<_>>().concat();
    let root = it.rig.root();
    it.rig.server.answer(move |request| {
        let mut reply = backend(&root, request);
        if String::from_utf8_lossy(&request.body).contains("command=ls-refs") {
            reply.body = many.clone();
        }
        reply
    });
    let error = fetch(&it.source()).unwrap_err();
    assert!(
        matches!(&error, SourceError::Limit { which, .. } if which.starts_with("talk_bytes")),
        "{error}"
    );
    it.recovers();
}
