//! Who is chosen, and that each way in which two runs can differ is found, named and shown.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::object::Origin;
use crate::tree::{MemoryBlobs, Snapshot, Tree, TreeLimits, View};
use crate::validate::{Finding, Level, OutputLimits, admit};

fn object(kind: &str, name: &str, field: &str, value: &Value, line: u32) -> Object {
    let mut body = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
    body[field] = json!({"key": value});
    let path = "a.yaml".to_owned();
    Object::new(body, Origin { path, line }).unwrap()
}

fn map(name: &str, value: &str) -> Object {
    object("ConfigMap", name, "data", &json!(value), 1)
}

fn validated(objects: Vec<Object>) -> Validated {
    admit(objects, Vec::new(), OutputLimits::HOST).unwrap()
}

fn noted(message: &str) -> Validated {
    let finding = Finding {
        level: Level::Info,
        code: "note".to_owned(),
        message: message.to_owned(),
        plugin: None,
        object: None,
        origin: None,
        pointer: None,
    };
    admit(vec![map("a", "1")], vec![finding], OutputLimits::HOST).unwrap()
}

fn steps(gave: [Option<u8>; 2]) -> Vec<Step> {
    let step = |(name, gave): (&str, Option<u8>)| Step {
        plugin: name.parse().unwrap(),
        digest: Digest::of(name.as_bytes()),
        gave: gave.map(|n| Digest::of(&[n])),
    };
    let all = ["helm", "team"].into_iter().zip(gave);
    all.map(step).collect()
}

/// What was read of a tree in which one file is there.
fn read(paths: &[&str]) -> ReadSet {
    let tree = Tree::new(None, BTreeMap::new()).unwrap();
    let snapshot = Snapshot {
        tree: tree.into(),
        blobs: std::sync::Arc::new(MemoryBlobs::default()),
        limits: TreeLimits::HOST,
        externals: Default::default(),
    };
    let mut view = View::new(snapshot, vec![RepoPath::root()]);
    for path in paths {
        let _ = view.read(path);
    }
    view.into_read_set()
}

type Side<'a> = (
    Result<(&'a Validated, &'a ReadSet), &'a str>,
    [Option<u8>; 2],
);

/// The plugin that is named, and the words.
fn said(first: Side<'_>, second: Side<'_>) -> Option<(String, String)> {
    let (a, b) = (steps(first.1), steps(second.1));
    let ran = |ended: Result<_, &str>, steps| Ran {
        ended: ended.map_err(str::to_owned),
        steps,
    };
    let key = MaskKey::new([1; 32]);
    let found = difference(&ran(first.0, &a), &ran(second.0, &b), &key)?;
    let plugin = found
        .plugin
        .map_or("weir".to_owned(), |(name, _)| name.to_string());
    Some((plugin, found.what.to_string()))
}

const SAME: [Option<u8>; 2] = [Some(1), Some(2)];
const OTHER: [Option<u8>; 2] = [Some(1), Some(3)];

#[test]
fn two_runs_that_are_the_same_differ_in_nothing() {
    let (all, none) = (validated(vec![map("a", "1")]), read(&["x"]));
    let (again, too) = (validated(vec![map("a", "1")]), read(&["x"]));
    assert_eq!(
        said((Ok((&all, &none)), SAME), (Ok((&again, &too)), SAME)),
        None
    );
    let failed = [Some(1), None];
    assert_eq!(said((Err("no"), failed), (Err("no"), failed)), None);
}

#[test]
fn each_way_to_differ_is_shown_and_the_plugin_named_where_it_begins() {
    let (one, none) = (validated(vec![map("a", "1")]), read(&[]));
    let two = validated(vec![map("a", "2")]);
    let more = validated(vec![map("a", "1"), map("b", "1")]);
    let moved = validated(vec![object("ConfigMap", "a", "data", &json!("1"), 7)]);
    let (found, other) = (noted("one"), noted("two"));
    let asked = read(&["secret.txt"]);
    let ok = |v, r, steps| (Ok((v, r)), steps);
    for (first, second, plugin, words) in [
        (
            ok(&one, &none, SAME),
            ok(&two, &none, OTHER),
            "team",
            r#"it gave ConfigMap a with data.key: "1", and then "2""#,
        ),
        (
            ok(&one, &none, SAME),
            ok(&two, &none, [Some(9), Some(3)]),
            "helm",
            r#"it gave ConfigMap a with data.key: "1", and then "2""#,
        ),
        (
            ok(&one, &none, SAME),
            ok(&more, &none, OTHER),
            "team",
            "it did not give ConfigMap b, and then did",
        ),
        (
            ok(&more, &none, SAME),
            ok(&one, &none, OTHER),
            "team",
            "it gave ConfigMap b, and then did not",
        ),
        (
            ok(&one, &none, SAME),
            ok(&moved, &none, OTHER),
            "team",
            "it gave ConfigMap a from a.yaml:1, and then from a.yaml:7",
        ),
        (
            ok(&found, &none, SAME),
            ok(&other, &none, OTHER),
            "team",
            "it found: info [note]: one; and then: info [note]: two",
        ),
        (
            ok(&one, &none, SAME),
            ok(&one, &asked, SAME),
            "helm",
            "secret.txt was read in one run and not, or not the same, in the other",
        ),
        (
            ok(&one, &none, SAME),
            (Err("late"), [Some(1), None]),
            "team",
            "it did well, and then failed: late",
        ),
        (
            (Err("early"), [None, None]),
            ok(&one, &none, SAME),
            "helm",
            "it failed, and then did well: early",
        ),
        (
            (Err("one"), [None, None]),
            (Err("two"), [None, None]),
            "weir",
            "it failed with: one; and then with: two",
        ),
        (
            ok(&one, &none, SAME),
            ok(&one, &none, [Some(8), Some(2)]),
            "helm",
            "what it gave to the next plugin differs, though what came of it in the end is the same",
        ),
        // No plugin gave anything else: it is Weir.
        (
            ok(&one, &none, SAME),
            ok(&two, &none, SAME),
            "weir",
            r#"it gave ConfigMap a with data.key: "1", and then "2""#,
        ),
    ] {
        assert_eq!(
            said(first, second),
            Some((plugin.to_owned(), words.to_owned()))
        );
    }
}

#[test]
fn no_value_of_a_secret_is_shown() {
    let secret = |value: &str| validated(vec![object("Secret", "s", "data", &json!(value), 1)]);
    let (one, two, none) = (secret("aHVudGVyMg=="), secret("aHVudGVyMw=="), read(&[]));
    let (_, words) = said((Ok((&one, &none)), SAME), (Ok((&two, &none)), OTHER)).unwrap();
    assert_eq!(
        words,
        "it gave Secret s with data.key: (secret), and then (secret)"
    );
}

#[test]
fn what_is_long_is_cut() {
    let (one, none) = (validated(vec![map("a", &"x".repeat(5000))]), read(&[]));
    let two = validated(vec![map("a", "2")]);
    let (_, words) = said((Ok((&one, &none)), SAME), (Ok((&two, &none)), OTHER)).unwrap();
    assert!(words.len() < 400 && words.contains('…'), "{words}");
}

#[test]
fn a_share_of_all_is_chosen_and_always_the_same_ones() {
    let app: AppName = "shop".parse().unwrap();
    let chosen = |percent| {
        let keys = (0..2000_u32).map(|n| Digest::of(&n.to_be_bytes()));
        keys.filter(|key| is_chosen(percent, &app, *key)).count()
    };
    assert_eq!((chosen(0), chosen(100)), (0, 2000));
    assert!((300..500).contains(&chosen(20)), "{}", chosen(20));
}

proptest! {
    /// Two runs differ in something just when their objects do.
    #[test]
    fn a_difference_is_found_just_where_objects_differ(
        a in proptest::collection::btree_map("[a-d]", "[xy]{1,2}", 1..4),
        b in proptest::collection::btree_map("[a-d]", "[xy]{1,2}", 1..4),
    ) {
        let made = |all: &BTreeMap<String, String>| {
            validated(all.iter().map(|(name, value)| map(name, value)).collect())
        };
        let (one, two, none) = (made(&a), made(&b), read(&[]));
        let found = said((Ok((&one, &none)), SAME), (Ok((&two, &none)), SAME));
        prop_assert_eq!(found.is_some(), a != b);
        prop_assert_eq!(one.output() == two.output(), a == b);
    }

    /// Whoever is chosen among few is chosen among more.
    #[test]
    fn a_larger_share_holds_the_smaller_one(n: u64, small in 0_u8..=100, more in 0_u8..=100) {
        let (app, key) = ("shop".parse().unwrap(), Digest::of(&n.to_be_bytes()));
        let large = small.saturating_add(more).min(100);
        prop_assert!(!is_chosen(small, &app, key) || is_chosen(large, &app, key));
    }
}
