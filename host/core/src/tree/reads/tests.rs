//! Random trees, a reader whose questions follow from what it was told, and random changes: where all answers hold, it is
//! told the same again.

use proptest::prelude::*;

use super::super::made_up::{Files, Node, changed, changes, files, told, view};
use super::*;

proptest! {
    #[test]
    fn where_all_answers_hold_whoever_asks_is_told_the_same(
        before in files(),
        changes in changes(),
        root in prop::sample::select(&["", "a", "b/c"][..]),
        seed in any::<u64>(),
    ) {
        let after = changed(&before, changes);
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
