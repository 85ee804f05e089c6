//! Stable random bytes: whose they are, and the seed of the stream that one plugin sees for one app. Pure.
//!
//! ```text
//! a host's secret + Whose ─HMAC-SHA256→ Seed ─a stream cipher, inside a call→ bytes
//! ```
//!
//! Neither the commit nor the plugin's digest nor its configuration is part of it: what a chart makes up stays when those
//! change. Who has a seed has all bytes of its stream, and nothing of another one.

use std::fmt;

use zeroize::Zeroize as _;

use crate::digest::Digest;
use crate::name::{AppName, PluginName, RepositoryName};

/// What stands for a host's secret in receipts and for people: a digest, of which nothing of the secret follows.
pub type SecretId = Digest;

/// The form of what is said of a stream. Another one is another stream for everybody.
const FORM: &[u8] = b"weir-stable-random-1";
/// The form of a seed's own digest.
const ID_FORM: &[u8] = b"weir-stable-random-seed-id-1";

/// Whose stream it is: one for each plugin of each app of each repository.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// The repository by the name that its host gave it, as its ledger and its receipts do: no repository chooses its own.
    pub repository: &'a RepositoryName,
    /// The app, with its target where it lands in several.
    pub app: &'a AppName,
    /// The plugin as the manifest calls it.
    pub plugin: &'a PluginName,
}

impl Whose<'_> {
    /// The one text of it: each part with its length before it, so that no two have the same.
    pub fn text(&self) -> Vec<u8> {
        let names = [
            self.repository.as_str(),
            self.app.as_str(),
            self.plugin.as_str(),
        ];
        let mut text = Vec::new();
        for part in std::iter::once(FORM).chain(names.map(str::as_bytes)) {
            text.extend((part.len() as u64).to_be_bytes());
            text.extend(part);
        }
        text
    }
}

/// What a stream is made from. It cannot be printed, and its memory is overwritten when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The one of these bytes.
    pub fn new(mut bytes: [u8; 32]) -> Seed {
        let seed = Seed(bytes);
        bytes.zeroize();
        seed
    }

    /// The bytes: for a stream inside a call, and for the way to the worker of that call.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// What stands for it in the key of a render: a digest, of which nothing of the seed follows.
    pub fn id(&self) -> Digest {
        Digest::builder().part(ID_FORM).part(&self.0).finish()
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(repository: &str, app: &str, plugin: &str) -> Vec<u8> {
        let whose = Whose {
            repository: &repository.parse().unwrap(),
            app: &app.parse().unwrap(),
            plugin: &plugin.parse().unwrap(),
        };
        whose.text()
    }

    #[test]
    fn no_two_have_one_text_however_their_names_run_on() {
        let base = text("shop", "web", "helm");
        let others = [
            text("shopw", "eb", "helm"),
            text("sho", "pweb", "helm"),
            text("shop", "webh", "elm"),
            text("web", "shop", "helm"),
            text("shop", "web.eu", "helm"),
            text("shop", "web", "helm2"),
        ];
        for other in others {
            assert_ne!(other, base);
        }
    }

    #[test]
    fn a_seed_shows_nothing_of_itself() {
        let seed = Seed::new([7; 32]);
        assert_eq!(format!("{seed:?}"), "Seed(..)");
        assert_ne!(seed.id().as_bytes(), seed.expose());
        assert_ne!(seed.id(), Seed::new([8; 32]).id());
    }
}
