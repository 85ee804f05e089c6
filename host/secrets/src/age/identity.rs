//! age's X25519 keys: a secret one that cannot be printed, and the recipient that everybody may see.

use std::fmt;
use std::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// What recipients begin with, before the `1`.
const RECIPIENT: &str = "age";
/// What secret keys begin with, in lower case.
const SECRET_KEY: &str = "age-secret-key-";
/// Bytes of either key.
const KEY: usize = 32;

/// A secret key. It has no text form.
#[derive(Clone)]
pub struct Identity {
    secret: StaticSecret,
    recipient: Recipient,
}

/// The public half of a key: `age1...`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipient([u8; KEY]);

/// Why a text is no key. It never quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// Something else altogether, or a key with a typing mistake.
    #[error("expected AGE-SECRET-KEY-1..., as age-keygen writes it")]
    Malformed,
    /// A key for the post-quantum recipients of newer programs.
    #[error(
        "is a post-quantum key (AGE-SECRET-KEY-PQ-1...), which Weir does not read: make one with age-keygen and no flags"
    )]
    PostQuantum,
    /// A key that another program holds.
    #[error("is a key of an age plugin, and Weir starts no programs: use a key of age-keygen")]
    Plugin,
    /// An SSH key.
    #[error("is an SSH key, and Weir reads age keys only: use a key of age-keygen")]
    Ssh,
    /// A file that is encrypted itself.
    #[error("is itself encrypted: decrypt it with age first")]
    Encrypted,
}

impl NotAKey {
    /// What a line is that is not a key of ours.
    fn of(line: &str) -> NotAKey {
        let upper = line.to_ascii_uppercase();
        if upper.starts_with("AGE-SECRET-KEY-PQ-") {
            NotAKey::PostQuantum
        } else if upper.starts_with("AGE-PLUGIN-") {
            NotAKey::Plugin
        } else if line.contains("BEGIN OPENSSH PRIVATE KEY") || line.contains("BEGIN RSA PRIVATE") {
            NotAKey::Ssh
        } else if line.starts_with("age-encryption.org/")
            || line.contains("BEGIN AGE ENCRYPTED FILE")
        {
            NotAKey::Encrypted
        } else {
            NotAKey::Malformed
        }
    }
}

impl FromStr for Identity {
    type Err = NotAKey;

    fn from_str(line: &str) -> Result<Identity, NotAKey> {
        let bytes = bech32(line, SECRET_KEY).ok_or_else(|| NotAKey::of(line))?;
        let secret = StaticSecret::from(*bytes);
        let recipient = Recipient(PublicKey::from(&secret).to_bytes());
        Ok(Identity { secret, recipient })
    }
}

impl Identity {
    /// The public half.
    pub fn recipient(&self) -> Recipient {
        self.recipient
    }

    /// What this key and somebody's share have in common; `None` where the share is one that says nothing.
    pub(super) fn shared(&self, share: [u8; KEY]) -> Option<Zeroizing<[u8; KEY]>> {
        let shared = self.secret.diffie_hellman(&PublicKey::from(share));
        shared
            .was_contributory()
            .then(|| Zeroizing::new(shared.to_bytes()))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.recipient)
    }
}

impl Recipient {
    /// Its bytes.
    pub(super) fn as_bytes(&self) -> &[u8; KEY] {
        &self.0
    }
}

impl FromStr for Recipient {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Recipient, NotAKey> {
        let bytes = bech32(text, RECIPIENT).ok_or(NotAKey::Malformed)?;
        Ok(Recipient(*bytes))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = Hrp::parse(RECIPIENT).map_err(|_| fmt::Error)?;
        bech32::encode_lower_to_fmt::<Bech32, _>(f, prefix, &self.0).map_err(|_| fmt::Error)
    }
}

/// The 32 bytes of a Bech32 text with this prefix.
fn bech32(text: &str, prefix: &str) -> Option<Zeroizing<[u8; KEY]>> {
    let checked = CheckedHrpstring::new::<Bech32>(text).ok()?;
    if checked.hrp().to_lowercase() != prefix {
        return None;
    }
    let mut out = Zeroizing::new([0; KEY]);
    let mut bytes = checked.byte_iter();
    for place in out.iter_mut() {
        *place = bytes.next()?;
    }
    bytes.next().is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the age specification (C2SP age.md).
    const SECRET: &str =
        "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    const PUBLIC: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    #[test]
    fn a_key_and_its_recipient_belong_together() {
        let identity: Identity = SECRET.parse().unwrap();
        assert_eq!(identity.recipient().to_string(), PUBLIC);
        assert_eq!(PUBLIC.parse::<Recipient>().unwrap(), identity.recipient());
    }

    #[test]
    fn a_secret_key_is_never_printed() {
        let identity: Identity = SECRET.parse().unwrap();
        let shown = format!("{identity:?} {identity:#?}").to_uppercase();
        assert!(!shown.contains("GFPYYS"), "{shown}");
    }

    #[test]
    fn what_is_no_key_of_ours_is_named_and_not_quoted() {
        let typo = SECRET.replace("GAEX", "GAEY");
        for (text, expected) in [
            ("", NotAKey::Malformed),
            ("hunter2", NotAKey::Malformed),
            (&typo, NotAKey::Malformed),
            (PUBLIC, NotAKey::Malformed),
            ("AGE-SECRET-KEY-PQ-1AAAA", NotAKey::PostQuantum),
            ("AGE-PLUGIN-YUBIKEY-1AAAA", NotAKey::Plugin),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", NotAKey::Ssh),
            ("age-encryption.org/v1", NotAKey::Encrypted),
            ("-----BEGIN AGE ENCRYPTED FILE-----", NotAKey::Encrypted),
        ] {
            let error = text.parse::<Identity>().unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
        assert_eq!(SECRET.parse::<Recipient>(), Err(NotAKey::Malformed));
    }
}
