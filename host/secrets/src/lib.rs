//! Secrets: SOPS files and age keys. What is encrypted in Git stays so in every byte that Weir keeps; here it is opened
//! for the body of a request, and wiped after it.
//!
//! ```text
//! Object* ─sealed→ Sealed* (or why ciphertext may not go to a cluster)
//! Sealed*, Keys, Sources ─Opener::check→ each can be opened, each source file's MAC is right
//! Object ─Opener (Reveal)→ Body     by the target, for one request
//! ```
//!
//! Everything but [`Keys::add_file`] is pure: no file, no network, no clock. Age is read, never written.

mod age;
mod error;
mod form;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod keys;
mod limits;
#[cfg(test)]
mod made_up;
mod opener;
mod sops;
mod sources;

pub use age::{Identity, NotAKey, Recipient};
pub use error::{SealError, SealErrors, Trouble};
pub use form::{Sealed, sealed};
pub use keys::{Keys, KeysError, Place, SECRET_KEYS};
pub use limits::SecretLimits;
pub use opener::Opener;
pub use sops::{
    DataKey, File, Format, Metadata, MetadataError, NoDataKey, OpenError, ReadError, Token,
    holds_token,
};
pub use sources::Sources;
