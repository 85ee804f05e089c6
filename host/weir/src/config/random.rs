//! Where the secret of stable random bytes is, and who may have some, as the flags and the host's file say it.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use weir_receipt::SecretAt;

/// What random bytes are made from.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RandomArgs {
    /// The secret that stable random bytes (`grants: { random: stable }`) are made from: a file with 64 hex digits that is
    /// never made [default: keys/random.secret below --state, made at first need]
    #[arg(
        long = "random-secret",
        global = true,
        env = "WEIR_RANDOM_SECRET",
        value_name = "FILE"
    )]
    secret: Option<PathBuf>,
}

impl RandomArgs {
    /// Where it is, with what the host's file says.
    pub(crate) fn at(&self, file: Option<PathBuf>, state: &Path) -> SecretAt {
        match self.secret.clone().or(file) {
            Some(file) => SecretAt::File(file),
            None => SecretAt::Below(state.to_owned()),
        }
    }
}

/// What the plugins of a repository may be given, where its manifest grants it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawGrants {
    /// Random bytes inside calls: `stable` ones, or `none`. Left out: `stable`.
    #[serde(default)]
    random: RawRandom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RawRandom {
    #[default]
    Stable,
    None,
}

impl RawGrants {
    /// Whether they may have random bytes.
    pub(super) fn may_random(&self) -> bool {
        self.random == RawRandom::Stable
    }
}
