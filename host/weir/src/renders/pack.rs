//! The renders of a whole commit in one file: a host that starts reads one and not one for each app.

use std::collections::BTreeMap;
use std::ops::Range;

use weir_cache::Verified;
use weir_core::digest::Digest;

/// Apps fewer than this are read one by one: that is as quick.
pub(crate) const WORTH: usize = 64;
/// When this part of the renders is others than in the file, it is written anew. Until then those are read one by one.
pub(crate) const PART: usize = 8;
/// The bytes of an entry's length.
const LENGTH: usize = 8;

/// Entries by their keys, as they were written together.
pub(crate) struct Pack {
    bytes: Verified,
    places: BTreeMap<[u8; 32], Range<usize>>,
}

impl Pack {
    /// The bytes of a file with these entries.
    pub(super) fn of(entries: impl IntoIterator<Item = (Digest, Vec<u8>)>) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, entry) in entries {
            out.extend(key.as_bytes());
            out.extend((entry.len() as u64).to_be_bytes());
            out.extend(entry);
        }
        out
    }

    /// What is in a file; `None` where it is cut off or of another form.
    pub(super) fn read(bytes: Verified) -> Option<Pack> {
        let (mut places, mut at) = (BTreeMap::new(), 0);
        let mut rest = bytes.bytes();
        while !rest.is_empty() {
            let (key, tail) = rest.split_first_chunk::<32>()?;
            let (length, tail) = tail.split_first_chunk::<LENGTH>()?;
            let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
            let (_, tail) = tail.split_at_checked(length)?;
            let from = at + key.len() + LENGTH;
            places.insert(*key, from..from + length);
            at = from + length;
            rest = tail;
        }
        Some(Pack { bytes, places })
    }

    /// The entry of a key.
    pub(super) fn get(&self, key: Digest) -> Option<&[u8]> {
        let place = self.places.get(key.as_bytes())?;
        self.bytes.bytes().get(place.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_found_by_its_key_and_what_is_cut_off_is_nothing() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let file = Pack::of([(a, b"one".to_vec()), (b, Vec::new())]);
        let pack = Pack::read(Verified::fresh(file.clone())).unwrap();
        assert_eq!(pack.get(a), Some(&b"one"[..]));
        assert_eq!(pack.get(b), Some(&b""[..]));
        assert_eq!(pack.get(Digest::of(b"c")), None);
        let whole = [0, 32 + LENGTH + 3];
        for cut in (1..file.len()).filter(|cut| !whole.contains(cut)) {
            let cut = file[..cut].to_vec();
            assert!(Pack::read(Verified::fresh(cut)).is_none());
        }
        let mut long = file;
        long[32] = 0xff;
        assert!(Pack::read(Verified::fresh(long)).is_none());
    }
}
