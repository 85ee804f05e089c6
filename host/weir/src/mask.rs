//! Keys for the marks that stand for a Secret's values: a new one for each comparison.

use weir_core::fields::MaskKey;

use crate::error::Error;

/// A key that nobody else has, and that is kept nowhere.
pub(crate) fn key() -> Result<MaskKey, Error> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)
        .map_err(|e| Error::host("compare", format!("no random bytes from the system: {e}")))?;
    Ok(MaskKey::new(random))
}
