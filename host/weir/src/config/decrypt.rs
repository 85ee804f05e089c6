//! Where a repository's age keys are, as the flags and the host's file say it.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use weir_core::manifest::{Errors, Place};

use super::parsed::Parsed;
use crate::keyring::{Decrypt, SecretName};

/// The most key files of one repository.
const MAX_FILES: usize = 16;

/// What encrypted Secrets are opened with.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DecryptArgs {
    /// A file with age keys (age-keygen) that Secrets encrypted with SOPS are opened with, at apply and nowhere else; read
    /// anew each time; may be given again
    #[arg(long = "age-key-file", value_name = "FILE")]
    age_key_file: Vec<PathBuf>,
}

impl DecryptArgs {
    /// As meant.
    pub(crate) fn decrypt(&self) -> Decrypt {
        Decrypt {
            files: self.age_key_file.clone(),
            secret: None,
        }
    }
}

/// Where the age keys are that its Secrets are opened with, at apply and nowhere else. They are read anew each time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawDecrypt {
    /// Files as age-keygen writes them, which others may not read.
    #[serde(default)]
    age_key_files: Vec<PathBuf>,
    /// A Secret, `NAMESPACE/NAME`, of the cluster that this host's kubeconfig, or its pod, is in: each key of its data
    /// that ends with `.agekey` is such a file.
    #[schemars(with = "Option<String>")]
    age_key_secret: Option<Parsed<SecretName>>,
}

impl RawDecrypt {
    /// As meant; what is wrong with it goes to the errors.
    pub(super) fn meant(self, at: Place<'_>, base: &Path, errors: &mut Errors<'_>) -> Decrypt {
        if self.age_key_files.is_empty() && self.age_key_secret.is_none() {
            let message = "expected age-key-files, age-key-secret, or both";
            errors.push(at.mark(), message);
        }
        let files = self.age_key_files.len();
        if files > MAX_FILES {
            let message = format!("{files} files: expected at most {MAX_FILES}");
            errors.push(at.key("age-key-files").mark(), message);
        }
        let files = self.age_key_files.into_iter();
        Decrypt {
            files: files.map(|file| base.join(file)).collect(),
            secret: self.age_key_secret.map(|name| name.0),
        }
    }
}
