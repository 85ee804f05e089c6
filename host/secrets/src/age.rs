//! The part of the age format (age-encryption.org/v1) that a data key of SOPS is wrapped in: X25519 keys, armored
//! files of one chunk. It decrypts and never encrypts.

mod envelope;
mod identity;

pub(crate) use envelope::{Unsealed, unseal};
pub use identity::{Identity, NotAKey, Recipient};
