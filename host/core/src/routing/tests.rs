//! Random trees, readers and changes: whoever would be told something else is named, and without links nobody besides.

use proptest::prelude::*;

use super::*;
use crate::tree::made_up::{Files, Node, changed, changes, files, snapshot, told, view};
use crate::tree::{ReadSet, View};

const ROOTS: [&str; 3] = ["", "a", "b/c"];

/// Readers of a tree with what each was told.
fn readers(before: &Files, seeds: &[u64]) -> Vec<(usize, &'static str, ReadSet)> {
    let one = |(n, seed): (usize, &u64)| {
        let root = ROOTS[n % ROOTS.len()];
        (n, root, told(view(before, root), *seed).1)
    };
    seeds.iter().enumerate().map(one).collect()
}

fn routes(before: &Files, readers: &[(usize, &str, ReadSet)]) -> Routes<usize> {
    let mut routes = Routes::default();
    for (n, root, reads) in readers {
        routes.put(*n, view(before, root).watches(reads).unwrap());
    }
    routes
}

/// Those whose answers are others now, and those that the index names.
fn both(before: &Files, after: &Files, seeds: &[u64]) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let all = readers(before, seeds);
    let told_otherwise = all
        .iter()
        .filter(|(_, root, reads)| !reads.holds(&view(after, root)));
    let told_otherwise = told_otherwise.map(|(n, ..)| *n).collect();
    let changes = snapshot(before).tree.changes(&snapshot(after).tree);
    let routes = routes(before, &all);
    let named = routes.touched(&changes).into_iter().copied().collect();
    (told_otherwise, named)
}

proptest! {
    #[test]
    fn whoever_would_be_told_something_else_is_named(
        before in files(), changes in changes(), seeds in prop::collection::vec(any::<u64>(), 1..8),
    ) {
        let after = changed(&before, changes);
        let (told_otherwise, named) = both(&before, &after, &seeds);
        prop_assert!(named.is_superset(&told_otherwise), "{told_otherwise:?} of {named:?}");
    }

    #[test]
    fn a_change_is_what_lies_elsewhere_in_one_of_two_trees(before in files(), changes in changes()) {
        let after = changed(&before, changes);
        let (old, new) = (snapshot(&before).tree, snapshot(&after).tree);
        let plain: BTreeSet<_> = old.entries().map(|(path, _)| path).chain(new.entries().map(|(path, _)| path))
            .filter(|path| old.get(path) != new.get(path)).collect();
        let found = old.changes(&new);
        let leaf = |there: There| !matches!(there, There::Nothing | There::Directory);
        let named: BTreeSet<_> = found.iter().filter(|c| leaf(c.before) || leaf(c.after)).map(|c| &c.path).collect();
        prop_assert_eq!(named, plain);
        for change in &found {
            prop_assert!(old.is_dir(&change.path) != new.is_dir(&change.path) || leaf(change.before) || leaf(change.after));
        }
        prop_assert_eq!(old.changes(&old), vec![]);
    }

    #[test]
    fn who_is_put_anew_or_taken_away_leaves_nothing_behind(
        before in files(), after in files(), seeds in prop::collection::vec(any::<u64>(), 1..6),
    ) {
        let (old, new) = (readers(&before, &seeds), readers(&after, &seeds));
        let mut moved = routes(&before, &old);
        for (n, root, reads) in &new {
            moved.put(*n, view(&after, root).watches(reads).unwrap());
        }
        let fresh = routes(&after, &new);
        let sorted = |routes: &Routes<usize>| -> BTreeMap<_, BTreeSet<usize>> {
            let all = routes.by_path.iter();
            all.map(|(place, numbers)| (place.clone(), routes.named(numbers.iter().copied()).into_iter().copied().collect())).collect()
        };
        prop_assert_eq!(sorted(&moved), sorted(&fresh));
        for (n, ..) in &new {
            moved.take(n);
        }
        prop_assert!(moved.by_path.is_empty() && moved.numbers.is_empty());
    }
}

proptest! {
    #[test]
    fn without_links_nobody_is_named_who_would_be_told_the_same(
        before in files(), changes in changes(), seeds in prop::collection::vec(any::<u64>(), 1..8),
    ) {
        // Whether a file may be executed is told by a listing and not by the file: here that stays as it is.
        let plain = |node: Node| match node {
            Node::File(text, _) => Node::File(text, false),
            Node::Link(_) => Node::File(9, false),
        };
        let before: Files = before.into_iter().map(|(path, node)| (path, plain(node))).collect();
        let changes = changes.into_iter().map(|(path, node)| (path, node.map(plain))).collect();
        let after = changed(&before, changes);
        let all: Vec<_> = readers(&before, &seeds).into_iter().filter(|(_, root, _)| root.is_empty()).collect();
        let told_otherwise: BTreeSet<usize> =
            all.iter().filter(|(_, root, reads)| !reads.holds(&view(&after, root))).map(|(n, ..)| *n).collect();
        let changes = snapshot(&before).tree.changes(&snapshot(&after).tree);
        let routes = routes(&before, &all);
        let named: BTreeSet<usize> = routes.touched(&changes).into_iter().copied().collect();
        prop_assert_eq!(named, told_otherwise);
    }
}

#[test]
fn what_was_not_there_is_noticed_when_it_comes_and_what_a_link_leads_to_when_it_changes() {
    let file = |path: &str, text: u8| (path.to_owned(), Node::File(text, false));
    let link = |path: &str, to: &str| (path.to_owned(), Node::Link(to.to_owned()));
    let before: Files = [file("a/b", 0), link("a/c", "../d/x"), file("d/x", 0)].into();
    let mut asks: View = view(&before, "");
    let _ = asks.read("a/d/e");
    let _ = asks.read("a/c");
    let reads = asks.into_read_set();
    let mut routes = Routes::default();
    routes.put("app", view(&before, "").watches(&reads).unwrap());
    for (what, more, named) in [
        ("the absent file", file("a/d/e", 0), true),
        ("something beside it", file("a/d/f", 0), false),
        ("a link on its way", link("a/d", "../d"), true),
        ("what the link leads to", file("d/x", 1), true),
        ("what nobody asked for", file("a/b", 1), false),
    ] {
        let after: Files = before.clone().into_iter().chain([more]).collect();
        let changes = snapshot(&before).tree.changes(&snapshot(&after).tree);
        assert_eq!(!routes.touched(&changes).is_empty(), named, "{what}");
    }
}
