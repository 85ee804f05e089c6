//! `weir keys`: the keys that receipts are signed and checked with.

use std::path::{Path, PathBuf};

use weir_core::receipt::KeyId;
use weir_receipt::{Keys, KeysError, PublicKey};

use super::Done;
use super::output::{self, Format, table};
use crate::config::GlobalArgs;
use crate::error::Error;
use crate::plugins::read_capped;

/// The longest file with a public key, in bytes.
const MAX_KEY: u64 = 16 << 10;

/// What `weir keys` takes.
#[derive(Debug, clap::Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, clap::Subcommand)]
enum KeysCommand {
    /// List the key that signs, those that signed before, and imported ones
    List {
        /// How to print
        #[arg(short, long, value_enum, default_value = "text")]
        output: Format,
    },
    /// Make a new key that signs from now on; what older ones signed can still be checked
    Rotate,
    /// Print a public key, as PEM
    Export {
        /// Which, as `weir keys list` prints it [default: the one that signs]
        id: Option<KeyId>,
    },
    /// Trust another host's public key, for checking only
    Import {
        /// A file with the key (PEM)
        file: PathBuf,
    },
}

/// Lists, rotates, exports or imports.
pub(super) fn keys(global: &GlobalArgs, args: &KeysArgs) -> Result<Done, Error> {
    let keys = Keys::below(&global.places()?.state);
    match &args.command {
        KeysCommand::List { output } => list(&keys, *output),
        KeysCommand::Rotate => {
            let key = keys.rotate().map_err(failed)?;
            output::print(&format!(
                "receipts are signed with {} from now on\n",
                key.id()
            ))
        }
        KeysCommand::Export { id } => {
            let key = keys.public(*id).map_err(|e| match e {
                KeysError::Unknown(_) | KeysError::None => Error::Usage(e.to_string()),
                e => failed(e),
            })?;
            output::print(key.pem())
        }
        KeysCommand::Import { file } => {
            let key = public_key(file)?;
            keys.import(&key).map_err(failed)?;
            let id = key.id();
            output::print(&format!("what {id} signs is trusted here from now on\n"))
        }
    }
}

/// A public key from a file.
pub(super) fn public_key(file: &Path) -> Result<PublicKey, Error> {
    let wrong = |why: String| Error::Usage(format!("{}: {why}", file.display()));
    let bytes = read_capped(file, MAX_KEY)?;
    let bytes = bytes.ok_or_else(|| wrong("there is no such file".to_owned()))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is no text".to_owned()))?;
    PublicKey::read(&text).map_err(wrong)
}

fn list(keys: &Keys, format: Format) -> Result<Done, Error> {
    let all = keys.list().map_err(failed)?;
    match format {
        Format::Text if all.is_empty() => {
            output::print("there is no key yet: the first sync makes one\n")
        }
        Format::Text => {
            let row = |known: &weir_receipt::Known| {
                vec![
                    known.key.id().to_string(),
                    known.standing.as_str().to_owned(),
                ]
            };
            let rows: Vec<Vec<String>> = all.iter().map(row).collect();
            output::print(&table(&["KEY", "STANDING"], &rows))
        }
        format => {
            let value = |known: &weir_receipt::Known| {
                let (id, standing) = (known.key.id(), known.standing);
                serde_json::json!({ "id": id, "standing": standing, "pem": known.key.pem() })
            };
            let values: Vec<serde_json::Value> = all.iter().map(value).collect();
            output::print_value(format, &values)
        }
    }
}

fn failed(error: KeysError) -> Error {
    Error::stage("keys", &error)
}
