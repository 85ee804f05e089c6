//! What a fuzzer is let at: the opening of a whole file.

use crate::keys::Keys;
use crate::sops::{DataKey, File};

/// Whether these keys open a file, and it is written in the clear.
pub fn opens(file: &File, keys: &Keys) -> bool {
    let key = file.metadata.data_key(keys);
    key.is_ok_and(|key| opens_with(file, &key))
}

/// The same with the data key itself.
pub fn opens_with(file: &File, key: &DataKey) -> bool {
    file.open(key).is_ok_and(|opened| opened.write().is_ok())
}
