//! SOPS files as `sops` writes them: how they look, what they say of themselves, what is in them.
//!
//! ```text
//! bytes ─File::read→ File { Metadata, leaves in file order }
//! Metadata ─Keys→ DataKey     File ─DataKey→ each value opened, the MAC of all compared ─→ the plain file
//! ```
//!
//! A value is bound to its place by AES-GCM: the keys that lead to it are authenticated with it. The MAC binds all values
//! of a file, the plain ones too, and their order.

mod cipher;
mod dotenv;
mod file;
mod json;
mod metadata;
mod number;
mod rules;
mod token;
mod tree;
mod yaml;
mod yaml_text;

pub(crate) use cipher::Clear;
pub use cipher::DataKey;
pub(crate) use dotenv::line_of;
pub use file::{File, Format, OpenError, ReadError};
pub use metadata::{Metadata, MetadataError, NoDataKey};
pub(crate) use rules::Verdict;
pub use token::{Token, holds_token};
