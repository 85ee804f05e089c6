//! Random trees and a reader of them, for properties.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Entry, Externals, MemoryBlobs, ReadSet, Snapshot, Tree, TreeLimits, View};
use crate::digest::{BlobId, Digest};
use crate::name::RepoPath;

/// Names of few letters, so that changes meet what was read.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// What is at a path.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    File(u8, bool),
    Link(String),
}

pub(crate) type Files = BTreeMap<String, Node>;

pub(crate) fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(&NAMES[..]);
    prop::collection::vec(name, 1..4).prop_map(|parts| parts.join("/"))
}

pub(crate) fn node() -> impl Strategy<Value = Node> {
    prop_oneof![
        4 => (0_u8..3, any::<bool>()).prop_map(|(text, executable)| Node::File(text, executable)),
        1 => (prop::sample::select(&["", "../", "../../"][..]), path())
            .prop_map(|(up, path)| Node::Link(format!("{up}{path}"))),
    ]
}

pub(crate) fn files() -> impl Strategy<Value = Files> {
    prop::collection::btree_map(path(), node(), 0..12)
}

/// The files that fit together, in order: what lies below a file is left out.
pub(crate) fn snapshot(files: &Files) -> Snapshot {
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

pub(crate) fn view(files: &Files, root: &str) -> View {
    View::new(snapshot(files), vec![root.parse().unwrap()])
}

/// All that a reader is told, and what it asked: each question is chosen by a seed and by all answers before.
pub(crate) fn told(mut view: View, seed: u64) -> (Vec<String>, ReadSet) {
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

/// A few changes: each path is written or taken away.
pub(crate) fn changes() -> impl Strategy<Value = Vec<(String, Option<Node>)>> {
    prop::collection::vec((path(), prop::option::of(node())), 0..4)
}

/// The files after these changes.
pub(crate) fn changed(before: &Files, changes: Vec<(String, Option<Node>)>) -> Files {
    let mut after = before.clone();
    for (path, node) in changes {
        match node {
            Some(node) => drop(after.insert(path, node)),
            None => drop(after.remove(&path)),
        }
    }
    after
}
