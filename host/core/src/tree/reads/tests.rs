//! Random trees, a reader whose questions follow from what it was told, and random changes: where all answers hold, it is
//! told the same again.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::{Entry, MemoryBlobs, Snapshot, Tree, TreeLimits};
use super::*;
use crate::tree::Externals;

/// Names of few letters, so that changes meet what was read.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// What is at a path.
#[derive(Debug, Clone)]
enum Node {
    File(u8, bool),
    Link(String),
}

type Files = BTreeMap<String, Node>;

fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(&NAMES[..]);
    prop::collection::vec(name, 1..4).prop_map(|parts| parts.join("/"))
}

fn node() -> impl Strategy<Value = Node> {
    prop_oneof![
        4 => (0_u8..3, any::<bool>()).prop_map(|(text, executable)| Node::File(text, executable)),
        1 => (prop::sample::select(&["", "../", "../../"][..]), path())
            .prop_map(|(up, path)| Node::Link(format!("{up}{path}"))),
    ]
}

fn files() -> impl Strategy<Value = Files> {
    prop::collection::btree_map(path(), node(), 0..12)
}

/// The files that fit together, in order: what lies below a file is left out.
fn snapshot(files: &Files) -> Snapshot {
    let mut blobs = MemoryBlobs::default();
    let mut entries: BTreeMap<RepoPath, Entry> = BTreeMap::new();
    for (path, node) in files {
        let path: RepoPath = path.parse().unwrap();
        let mut above = std::iter::successors(path.parent(), RepoPath::parent);
        if above.any(|dir| entries.contains_key(&dir)) {
            continue;
        }
        let text = match node {
            Node::File(text, _) => format!("text {text}"),
            Node::Link(target) => target.clone(),
        };
        let mut id = [0; 20];
        id.copy_from_slice(&Digest::of(text.as_bytes()).as_bytes()[..20]);
        let id = BlobId::from_bytes(id);
        blobs.insert(id, text.as_bytes());
        let entry = match node {
            Node::File(_, executable) => Entry::File {
                id,
                size: text.len() as u64,
                executable: *executable,
            },
            Node::Link(target) => Entry::Symlink {
                id,
                target: target.clone(),
            },
        };
        entries.insert(path, entry);
    }
    Snapshot {
        tree: Arc::new(Tree::new(None, entries).unwrap()),
        blobs: Arc::new(blobs),
        limits: TreeLimits::HOST,
        externals: Externals::default(),
    }
}

fn view(files: &Files, root: &str) -> View {
    View::new(snapshot(files), vec![root.parse().unwrap()])
}

/// All that a reader is told, and what it asked: each question is chosen by a seed and by all answers before.
fn told(mut view: View, seed: u64) -> (Vec<String>, ReadSet) {
    let mut heard: Vec<String> = Vec::new();
    for n in 0..12_u64 {
        let mut digest = Digest::builder();
        digest.part(&seed.to_be_bytes()).part(&n.to_be_bytes());
        for text in &heard {
            digest.part(text.as_bytes());
        }
        let chance = *digest.finish().as_bytes();
        let depth = usize::from(chance[0] % 4);
        let parts: Vec<&str> = chance[1..=depth]
            .iter()
            .map(|b| NAMES[usize::from(b % 4)])
            .collect();
        let path = parts.join("/");
        heard.push(if chance[10].is_multiple_of(2) {
            format!("{:?}", view.read(&path))
        } else {
            format!("{:?}", view.entries(&path))
        });
    }
    (heard, view.into_read_set())
}

proptest! {
    #[test]
    fn where_all_answers_hold_whoever_asks_is_told_the_same(
        before in files(),
        changes in prop::collection::vec((path(), prop::option::of(node())), 0..4),
        root in prop::sample::select(&["", "a", "b/c"][..]),
        seed in any::<u64>(),
    ) {
        let mut after = before.clone();
        for (path, node) in changes {
            match node {
                Some(node) => drop(after.insert(path, node)),
                None => drop(after.remove(&path)),
            }
        }
        let (first, read) = told(view(&before, root), seed);
        prop_assert!(read.holds(&view(&before, root)), "it holds where it was made");
        let (second, read_anew) = told(view(&after, root), seed);
        if read.holds(&view(&after, root)) {
            prop_assert_eq!(&first, &second);
            prop_assert_eq!(read.digest(), read_anew.digest());
        } else {
            prop_assert_ne!(&first, &second, "something that was asked is answered otherwise");
        }
        let text = serde_json::to_string(&read).unwrap();
        prop_assert_eq!(serde_json::from_str::<ReadSet>(&text).unwrap(), read);
    }
}

fn one(path: &str, node: Node) -> Files {
    [(path.to_owned(), node)].into()
}

#[test]
fn what_was_not_there_and_what_was_something_else_is_remembered() {
    let file = |text| Node::File(text, false);
    let both = |a: Files, b: Files| -> Files { a.into_iter().chain(b).collect() };
    let ask = |files: &Files, question, path: &str| {
        let mut view = view(files, "");
        let _ = match question {
            Question::Read => view.read(path).map(drop),
            Question::List => view.entries(path).map(drop),
        };
        view.into_read_set()
    };
    let (a, below) = (one("a", file(0)), one("a/b", file(0)));
    let beside = both(a.clone(), one("b", file(0)));
    for (before, question, path, after, holds) in [
        (&a, Question::Read, "a", &beside, true),
        (&a, Question::Read, "a", &one("a", file(1)), false),
        // Who may run a file is nothing to whoever reads it.
        (
            &a,
            Question::Read,
            "a",
            &one("a", Node::File(0, true)),
            true,
        ),
        (
            &a,
            Question::List,
            "",
            &one("a", Node::File(0, true)),
            false,
        ),
        (&a, Question::List, "", &beside, false),
        (&a, Question::Read, "b", &beside, false),
        (&a, Question::List, "a", &below, false),
        (&below, Question::Read, "a", &a, false),
        (
            &below,
            Question::Read,
            "a",
            &both(below.clone(), one("a/c", file(1))),
            true,
        ),
        (&below, Question::List, "a", &one("a/b", file(1)), false),
    ] {
        let read = ask(before, question, path);
        assert_eq!(read.len(), 1);
        assert_eq!(
            read.holds(&view(after, "")),
            holds,
            "{question:?} {path:?}: {before:?} -> {after:?}"
        );
    }
}
