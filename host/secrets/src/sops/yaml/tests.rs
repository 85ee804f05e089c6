//! YAML as SOPS writes it, and what it never writes.

use proptest::prelude::*;

use super::*;
use crate::made_up::LIMITS;

fn leaves_of(text: &str) -> Vec<(String, Scalar)> {
    let (_, leaves, _) = read(text, LIMITS).unwrap();
    let leaves = leaves.into_iter();
    leaves
        .map(|leaf| (place(&leaf.path), leaf.scalar))
        .collect()
}

#[test]
fn values_come_in_the_order_of_the_file_with_their_places() {
    let text = "b: 1\na:\n    - x\n    - c: true\n      d: [y, {e: z}]\n    - null\nsops:\n    mac: m\n    list:\n        - x: 1\n---\nb: 2\nsops:\n    mac: m\n";
    let of = |text: &str| Scalar::Text(text.to_owned());
    assert_eq!(
        leaves_of(text),
        [
            ("b:".to_owned(), Scalar::Int(1)),
            ("a:".to_owned(), of("x")),
            ("a:c:".to_owned(), Scalar::Bool(true)),
            ("a:d:".to_owned(), of("y")),
            ("a:d:e:".to_owned(), of("z")),
            ("b:".to_owned(), Scalar::Int(2)),
        ]
    );
}

#[test]
fn the_metadata_is_taken_out_wherever_it_stands() {
    let key = DataKey::new(&[1; 32]).unwrap();
    for (text, expected) in [
        ("a: 1\nsops:\n    mac: m\n", "a: 1\n"),
        ("sops:\n    mac: m\na: 1\n", "a: 1\n"),
        (
            "a: 1\nsops: {mac: m}\n---\nb: 2\nsops: {mac: m}\n",
            "a: 1\n---\nb: 2\n",
        ),
        ("sops: {mac: m}\n", "{}\n"),
        (
            "# note\na:\n    sops: no\nsops:\n    mac: m\n    more:\n        a: b",
            "# note\na:\n    sops: no\n",
        ),
    ] {
        let (stream, leaves, metadata) = read(text, LIMITS).unwrap();
        assert_eq!(metadata["mac"], "m", "{text}");
        let clear = vec![None; leaves.len()];
        let written = stream.write(&leaves, &clear, &key).unwrap();
        assert_eq!(std::str::from_utf8(&written).unwrap(), expected);
    }
}

#[test]
fn what_sops_never_writes_is_refused_with_its_line() {
    let token = "ENC[AES256_GCM,data:aa==,iv:aa==,tag:aa==,type:str]";
    for (text, expected) in [
        (
            "a: &x 1\nsops: {}\n".to_owned(),
            "line 1: an anchor or a tag",
        ),
        (
            "a: 1\nb: !!str 2\nsops: {}\n".to_owned(),
            "line 2: an anchor or a tag",
        ),
        ("- a\n".to_owned(), "line 1: a document that is no map"),
        ("a\n".to_owned(), "line 1: a document that is no map"),
        ("a: 1\n".to_owned(), "it has no map `sops`"),
        (
            format!("a: [\"{token}\"]\nsops: {{}}\n"),
            "line 1: an encrypted value that does not stand",
        ),
        (
            format!("a: >-\n    {token}\nsops: {{}}\n"),
            "an encrypted value that does not stand",
        ),
        (
            format!("{}sops: {{}}\n", "a: 1\n".repeat(0) + &"[".repeat(100)),
            "line 1",
        ),
    ] {
        let error = read(&text, LIMITS).err().unwrap();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let many = format!("a:\n{}sops: {{}}\n", "- 1\n".repeat(LIMITS.values * 2));
    assert!(
        read(&many, LIMITS)
            .err()
            .unwrap()
            .contains("more than Weir reads")
    );
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in "([a-c]{1,3}: ?|sops:|- |#ENC\\[| |\n|---\n|\\[|\\{|\"|'|\\||&a |\\*a|é|x){0,40}") {
        if let Ok((stream, leaves, _)) = read(&text, LIMITS) {
            let key = DataKey::new(&[1; 32]).unwrap();
            let clear = vec![None; leaves.len()];
            let _ = stream.write(&leaves, &clear, &key);
        }
    }
}
