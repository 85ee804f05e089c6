//! What comes from servers: Git's trees, and charts' archives.

use weir_core::tree::Entry;
use weir_source::fuzzing;

/// Objects of one made-up repository.
const MOST: usize = 16;

/// The objects that the data says: how many, then each one's length in two bytes and its bytes.
fn objects(data: &[u8]) -> Vec<&[u8]> {
    let Some((count, mut rest)) = data.split_first() else {
        return Vec::new();
    };
    let mut objects = Vec::new();
    for _ in 0..=usize::from(*count) % MOST {
        let Some((length, after)) = rest.split_first_chunk::<2>() else {
            break;
        };
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (object, after) = after.split_at(length);
        objects.push(object);
        rest = after;
    }
    objects
}

/// A walk ends within its limits; no path of a tree leaves it, means Git's own folder, or is there twice.
pub(crate) fn tree_walk(data: &[u8]) {
    let Ok(tree) = fuzzing::tree(&objects(data)) else {
        return;
    };
    let mut last: Option<String> = None;
    for (path, entry) in tree.entries() {
        for part in path.parts() {
            assert!(!matches!(part, "" | "." | ".."), "{path}");
            assert!(!part.eq_ignore_ascii_case(".git"), "{path}");
            assert!(!part.contains(['/', '\\', '\0']) && !part.contains(char::is_control));
        }
        if let Entry::Symlink { target, .. } = entry {
            assert!(!target.is_empty());
        }
        assert_ne!(last.as_deref(), Some(path.as_str()));
        assert_eq!(tree.get(path), Some(entry));
        last = Some(path.as_str().to_owned());
    }
    assert!(tree.changes(&tree).is_empty());
}

/// An archive is unpacked within its limits: files below one directory, and nothing else.
pub(crate) fn chart_archive(data: &[u8]) {
    // The tar itself, so that a fuzzer need not guess gzip's checksum; and as it is sent.
    for chart in [fuzzing::chart_of_tar(data), fuzzing::chart(data)]
        .into_iter()
        .flatten()
    {
        for (path, entry) in chart.tree.entries() {
            assert!(matches!(entry, Entry::File { .. }), "{path}");
            assert!(
                path.parts().all(|part| !matches!(part, "" | "." | "..")),
                "{path}"
            );
        }
    }
}
