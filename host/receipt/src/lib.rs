//! Receipts on this machine: the keys that sign them and check them, and bundles that hold all it takes to prove one.
//!
//! - [`Keys`]: a private folder below the state. One key signs, made at first need; the public ones of older keys stay, so
//!   that old receipts can be checked; imported ones are trusted for checking only.
//! - [`Trusted`]: public keys by their id, and the one place where a signature is checked.
//! - [`RandomSecret`]: what stable random bytes are made from, in the same folder or a file that was named.
//! - [`Bundle`]: a receipt with the bytes, components and externals that it names, in one file.

mod bundle;
mod error;
mod folder;
mod key;
mod keys;
mod random;
#[cfg(test)]
mod tests;

pub use bundle::{Bundle, BundleError, MAX_BUNDLE, MAX_MEMBERS};
pub use error::{CheckError, KeysError};
pub use key::{PublicKey, Trusted};
pub use keys::{Keys, Known, Standing};
pub use random::{RandomSecret, SecretAt};
