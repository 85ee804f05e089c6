//! Who may have a repository looked at: `webhook` and `webhooks` of the host's file, and the flags that say the same.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use weir_core::manifest::{Errors, Place};
use weir_core::webhook::{Forge, MAX_SECRETS};

use super::file::{Listen, Parsed};
use crate::error::Error;
use crate::webhooks::Webhook;

/// Flags of the one repository, and where deliveries arrive.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct WebhookArgs {
    /// Whose webhooks have the repository asked at once: github, gitlab, gitea (for Forgejo, too) or generic. They are
    /// delivered at /hooks/v1/NAME; give the repository a --name
    #[arg(long, value_name = "FORGE", requires = "webhook_secret_file")]
    webhook_forge: Option<Forge>,
    /// A file with the secret that the forge signs deliveries with; read anew for each; may be given again while the
    /// secret is changed
    #[arg(long, value_name = "FILE", requires = "webhook_forge")]
    webhook_secret_file: Vec<PathBuf>,
    /// Take deliveries of webhooks on this address alone, and nothing else there [default: where --listen is]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) webhook_listen: Option<SocketAddr>,
}

/// Whose webhooks have the repository asked at once, and the secrets that they are signed with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawWebhook {
    /// Whose form deliveries have: `github`, `gitlab`, `gitea` (for Forgejo, too) or `generic` (Standard Webhooks).
    #[schemars(with = "Forge")]
    forge: Parsed<Forge>,
    /// A file with the secret, or up to four while it is changed; read anew for each delivery.
    secret_file: RawFiles,
}

/// Where deliveries arrive.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawWebhooks {
    /// An address that takes deliveries and nothing else. Left out: where the API answers. The flag `--webhook-listen` wins.
    #[schemars(with = "Option<String>")]
    listen: Option<Parsed<Listen>>,
}

/// One file, or several.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
enum RawFiles {
    /// One.
    One(PathBuf),
    /// Several.
    Several(Vec<PathBuf>),
}

impl WebhookArgs {
    /// As meant.
    pub(crate) fn meant(&self) -> Result<Option<Webhook>, Error> {
        let count = self.webhook_secret_file.len();
        if count > MAX_SECRETS {
            return Err(Error::Usage(format!(
                "--webhook-secret-file: {count} files: expected at most {MAX_SECRETS}"
            )));
        }
        Ok(self.webhook_forge.map(|forge| Webhook {
            forge,
            secrets: self.webhook_secret_file.clone(),
        }))
    }
}

impl RawWebhook {
    /// As meant; what is wrong with it goes to the errors.
    pub(super) fn meant(self, at: Place<'_>, base: &Path, errors: &mut Errors<'_>) -> Webhook {
        let files = match self.secret_file {
            RawFiles::One(file) => vec![file],
            RawFiles::Several(files) => files,
        };
        let count = files.len();
        if !(1..=MAX_SECRETS).contains(&count) {
            let message = format!("{count} files: expected 1 to {MAX_SECRETS}");
            errors.push(at.key("secret-file").mark(), message);
        }
        Webhook {
            forge: self.forge.0,
            secrets: files.into_iter().map(|file| base.join(file)).collect(),
        }
    }
}

impl RawWebhooks {
    /// Where deliveries arrive, where that is an address of their own.
    pub(super) fn listen(self) -> Option<SocketAddr> {
        self.listen.map(|listen| listen.0.0)
    }
}

impl<'de> Deserialize<'de> for RawFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrSeveral)
    }
}

/// Reads [`RawFiles`].
struct OneOrSeveral;

impl<'de> Visitor<'de> for OneOrSeveral {
    type Value = RawFiles;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a file, or a list of files")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawFiles, E> {
        Ok(RawFiles::One(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<RawFiles, A::Error> {
        let files = Vec::deserialize(SeqAccessDeserializer::new(list))?;
        Ok(RawFiles::Several(files))
    }
}
