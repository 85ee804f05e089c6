//! How much one judgement may take, however many commits came: who pushes them need not be anybody yet.

use std::cell::Cell;

use super::Why;

/// Entries that differ between trees, looked at over all commits.
const ENTRIES: u64 = 1_000_000;
/// Signatures that are checked, over all commits and lists.
const SIGNATURES: u64 = 100_000;
/// Bytes of commits whose signatures are checked, each time.
const SIGNED_BYTES: u64 = 1 << 30;

/// What is left.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(super) entries: Cell<u64>,
    signatures: Cell<u64>,
    signed_bytes: Cell<u64>,
    /// Whether an object was asked for that cannot be read.
    pub(crate) has_hole: Cell<bool>,
}

impl Budget {
    /// All that one judgement may take.
    pub(crate) fn whole() -> Budget {
        Budget {
            entries: Cell::new(ENTRIES),
            signatures: Cell::new(SIGNATURES),
            signed_bytes: Cell::new(SIGNED_BYTES),
            has_hole: Cell::new(false),
        }
    }

    /// One more check of a commit of so many bytes.
    pub(super) fn signature(&self, bytes: usize) -> Result<(), Why> {
        self.take(&self.signatures, 1, "signatures to check")?;
        self.take(&self.signed_bytes, bytes as u64, "bytes of signed commits")
    }

    /// Takes some of what is left.
    pub(super) fn take(&self, left: &Cell<u64>, some: u64, what: &str) -> Result<(), Why> {
        let rest = left.get().checked_sub(some);
        left.set(rest.ok_or_else(|| {
            format!("since the last accepted commit there are more {what} than Weir takes in")
        })?);
        Ok(())
    }
}
