//! What lies outside the repository, as its views see it: each external a snapshot of its own below the reserved folder.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::Snapshot;
use crate::external::{MAX_EXTERNALS, Reference};
use crate::fault::{Fault, Retry};

/// How many names are kept of those that were asked for: a plugin may ask without end.
const MAX_ASKED: usize = 4 * MAX_EXTERNALS;

/// The externals that are shown, and the ones that were asked for. Clones share both.
#[derive(Clone, Default)]
pub struct Externals {
    shown: Arc<BTreeMap<String, Result<Snapshot, Unavailable>>>,
    asked: Arc<Mutex<BTreeSet<String>>>,
}

/// Why an external that is locked cannot be shown. Only a call that looks at it fails.
#[derive(Debug, Clone)]
pub struct Unavailable {
    /// For a person; it names the reference.
    pub why: Arc<str>,
    /// Who has to act.
    pub fault: Fault,
    /// When to try again.
    pub retry: Retry,
}

impl Externals {
    /// These, by reference.
    pub fn new(
        shown: impl IntoIterator<Item = (Reference, Result<Snapshot, Unavailable>)>,
    ) -> Externals {
        let shown = shown.into_iter();
        Externals {
            shown: Arc::new(shown.map(|(r, s)| (r.escaped(), s)).collect()),
            asked: Arc::default(),
        }
    }

    /// The folders' names, escaped, that views were asked for so far: shown or not.
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The folders' names, escaped, of those that are shown, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.shown.keys().map(String::as_str)
    }

    /// What is shown under an escaped name. The question is kept.
    pub(super) fn look(&self, name: &str) -> Option<&Result<Snapshot, Unavailable>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() < MAX_ASKED && !asked.contains(name) {
            asked.insert(name.to_owned());
        }
        drop(asked);
        self.shown.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Answer, Entry, MemoryBlobs, ReadError, Snapshot, Tree, TreeLimits, View};
    use super::*;
    use crate::digest::BlobId;

    fn snapshot(files: &[(&str, &str)]) -> Snapshot {
        let mut blobs = MemoryBlobs::default();
        let mut entries = BTreeMap::new();
        for (n, (path, text)) in (1..).zip(files) {
            let id = BlobId::from_bytes([n; 20]);
            let entry = match text.strip_prefix("-> ") {
                Some(target) => Entry::Symlink {
                    id,
                    target: target.to_owned(),
                },
                None => Entry::File {
                    id,
                    size: text.len() as u64,
                    executable: false,
                },
            };
            blobs.insert(id, text.as_bytes());
            entries.insert(path.parse().unwrap(), entry);
        }
        Snapshot {
            tree: Arc::new(Tree::new(None, entries).unwrap()),
            blobs: Arc::new(blobs),
            limits: TreeLimits::HOST,
            externals: Externals::default(),
        }
    }

    fn reference(text: &str) -> Reference {
        text.parse().unwrap()
    }

    /// A repository with `app/a` and `secret`, the external `oci://h/web`, and `oci://h/gone` that cannot be had.
    fn view() -> (View, Externals) {
        let chart = [
            ("Chart.yaml", "name: web"),
            ("templates/a.yaml", "a"),
            ("out", "-> ../../../secret"),
            ("in", "-> templates/a.yaml"),
        ];
        let gone = Unavailable {
            why: "`oci://h/gone`: it is away".into(),
            fault: Fault::Host,
            retry: Retry::Backoff,
        };
        let externals = Externals::new([
            (reference("oci://h/web"), Ok(snapshot(&chart))),
            (reference("oci://h/gone"), Err(gone)),
        ]);
        let own = snapshot(&[
            ("app/a", "own"),
            ("secret", "s"),
            ("app/link", "-> ../.weir/external"),
        ]);
        let own = own.with_externals(externals.clone());
        (View::new(own, vec!["app".parse().unwrap()]), externals)
    }

    fn dir(text: &str) -> String {
        reference(text).dir().to_string()
    }

    #[test]
    fn an_external_is_read_whatever_the_roots_are() {
        let (mut view, _) = view();
        let web = dir("oci://h/web");
        assert_eq!(
            &*view.read(&format!("{web}/Chart.yaml")).unwrap(),
            b"name: web"
        );
        assert_eq!(&*view.read(&format!("{web}/in")).unwrap(), b"a");
        let names = |entries: Vec<super::super::DirEntry>| -> Vec<String> {
            entries.into_iter().map(|e| e.name).collect()
        };
        assert_eq!(
            names(view.entries(&web).unwrap()),
            ["Chart.yaml", "in", "templates"]
        );
        assert_eq!(names(view.entries(".weir/external").unwrap()).len(), 2);
        // Only who asks for their folder finds them.
        assert_eq!(names(view.entries("").unwrap()), ["app"]);
        assert_eq!(names(view.entries("app").unwrap()), ["a"]);
        let read = view.into_read_set();
        assert!(read.has_read(&format!("{web}/in").parse().unwrap()));
    }

    #[test]
    fn a_link_of_an_external_stays_inside_it() {
        let (mut view, _) = view();
        let out = view.read(&format!("{}/out", dir("oci://h/web")));
        assert!(matches!(out, Err(ReadError::NotFound(_))), "{out:?}");
    }

    #[test]
    fn each_question_is_kept_whether_or_not_it_is_answered() {
        let (mut view, externals) = view();
        let missing = format!("{}/Chart.yaml", dir("oci://h/new"));
        assert!(matches!(view.read(&missing), Err(ReadError::NotFound(_))));
        view.entries(&dir("oci://h/web")).unwrap();
        let error = view.entries(&dir("oci://h/gone")).unwrap_err();
        assert!(
            !error.is_answer() && error.to_string().contains("it is away"),
            "{error}"
        );
        let asked = externals.asked();
        let asked = asked.iter().map(|name| Reference::unescaped(name).unwrap());
        let asked: Vec<String> = asked.map(|r| r.to_string()).collect();
        assert_eq!(asked, ["oci://h/gone", "oci://h/new", "oci://h/web"]);
        let read = view.into_read_set();
        let mut absent = read
            .iter()
            .filter(|(_, _, answer)| *answer == Answer::Absent);
        assert_eq!(
            absent.next().map(|(_, path, _)| path.as_str()),
            Some(missing.as_str())
        );
    }

    #[test]
    fn questions_without_end_are_not_all_kept() {
        let (mut view, externals) = view();
        for n in 0..2 * MAX_ASKED {
            assert!(view.read(&format!(".weir/external/{n}/x")).is_err());
        }
        assert_eq!(externals.asked().len(), MAX_ASKED);
    }
}
