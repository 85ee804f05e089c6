//! Webhooks: whether a delivery was sent by who knows a repository's secret, found out while its body streams by.
//!
//! ```text
//! headers ─Claims→ ┐
//! secrets ─Keys──→ ├─ Verifier ←chunks─ body        right ─→ asks? ─→ Seen ─→ Pace ─→ a look
//! the clock ─────→ ┘
//! ```
//!
//! A delivery means "look now" and nothing else. Its payload is hashed and forgotten: no byte of it is kept, parsed or
//! believed, so that whoever knows the secret can cause looks at one repository, and nothing more.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod claims;
mod delivery;
mod keys;
mod pace;
mod verify;

pub use claims::{Claims, Header};
pub use delivery::{Asks, Delivery, Seen};
pub use keys::{KeyError, Keys, MAX_SECRETS, SECRET_BYTES};
pub use pace::{Go, Pace};
pub use verify::Verifier;

/// The most bytes of a delivery's body: GitHub sends no more than 25 MB, the others send less.
pub const PAYLOAD_BYTES: u64 = 25 << 20;
/// How far the time of a signed delivery may be from the host's, in seconds.
pub const STALE_SECONDS: i64 = 300;

/// Whose form deliveries have.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Forge {
    /// `X-Hub-Signature-256`: an HMAC over the body.
    Github,
    /// `X-Gitlab-Token`: the secret itself; or `webhook-signature`, where the secret is a signing token.
    Gitlab,
    /// Gitea and Forgejo. `X-Gitea-Signature` or `X-Forgejo-Signature`: an HMAC over the body.
    Gitea,
    /// `webhook-signature` of Standard Webhooks: an HMAC over an id, a time and the body.
    Generic,
}

/// Why a delivery is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing says who sent it.
    #[error(
        "this delivery is not signed: give the webhook a secret at the forge, the one that this host has for the repository"
    )]
    Unsigned,
    /// A header is there twice, or has another form than forges send.
    #[error("the header {0} is there more than once, or has another form than its forge sends")]
    Malformed(&'static str),
    /// No secret fits, or there is none. The same words for both: who has no secret learns nothing of repositories.
    #[error(
        "no repository of this name takes this delivery: the name at the end of the path, the forge or the secret is another one; the host's log says more"
    )]
    Wrong,
    /// The signature is right, and of another time.
    #[error(
        "the signature is right, but its time differs from this host's by more than {STALE_SECONDS} s: it was sent before, or a clock is wrong"
    )]
    Stale,
}

impl Forge {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Forge::Github => "github",
            Forge::Gitlab => "gitlab",
            Forge::Gitea => "gitea",
            Forge::Generic => "generic",
        }
    }
}

impl fmt::Display for Forge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Forge {
    type Err = String;
    fn from_str(text: &str) -> Result<Forge, String> {
        let all = [Forge::Github, Forge::Gitlab, Forge::Gitea, Forge::Generic];
        let found = all.into_iter().find(|forge| forge.as_str() == text);
        found.ok_or_else(|| {
            format!("{text:?}: expected github, gitlab, gitea (for Forgejo, too) or generic")
        })
    }
}

#[cfg(test)]
mod tests;
