//! What is shown to a server: `auth` of the host's file.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use weir_core::manifest::Errors;
use weir_core::yaml::Mark;

use crate::repository::Auth;

/// What is shown to the Git host: a token, or a user and a password, or a key of ssh.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["token-file"] }, { "required": ["username", "password-file"] }, { "required": ["ssh-key-file", "known-hosts-file"] }]))]
pub(super) struct RawAuth {
    /// A file that holds a token.
    token_file: Option<PathBuf>,
    /// The user.
    username: Option<String>,
    /// A file that holds the user's password.
    password_file: Option<PathBuf>,
    /// The private key for ssh, without a passphrase.
    ssh_key_file: Option<PathBuf>,
    /// The keys that servers are known by over ssh.
    known_hosts_file: Option<PathBuf>,
}

/// As meant; what is wrong with it goes to the errors.
pub(super) fn auth(raw: Option<RawAuth>, mark: Mark, base: &Path, errors: &mut Errors<'_>) -> Auth {
    let Some(raw) = raw else { return Auth::None };
    let RawAuth {
        token_file,
        username,
        password_file,
        ssh_key_file,
        known_hosts_file,
    } = raw;
    let http = (token_file, username, password_file);
    match (http, (ssh_key_file, known_hosts_file)) {
        ((Some(file), None, None), (None, None)) => Auth::TokenFile(base.join(file)),
        ((None, Some(user), Some(file)), (None, None)) => Auth::Password {
            user,
            file: base.join(file),
        },
        ((None, None, None), (Some(key), Some(known_hosts))) => Auth::Ssh {
            key: base.join(key),
            known_hosts: base.join(known_hosts),
        },
        _ => {
            let message = "expected token-file, or username and password-file, or for ssh ssh-key-file and known-hosts-file";
            errors.push(mark, message);
            Auth::None
        }
    }
}
