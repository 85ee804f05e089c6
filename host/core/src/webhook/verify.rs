//! The check itself: the body goes by in chunks, and nothing of it is kept but the state of a hash.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::claims::{Claims, Tag};
use super::keys::{Key, Keys};
use super::{Forge, Refusal, STALE_SECONDS};

/// The key where there is none: as much work as with one, and nothing fits.
const NOBODYS: &[u8] = b"weir webhook of nobody";

/// Hears a body, and says whether who sent it knew a secret.
pub struct Verifier {
    runs: Vec<Run>,
    /// The secret itself was sent.
    has_token: bool,
    is_stale: bool,
}

/// The hash under one secret, and what it may come to.
struct Run {
    mac: Hmac<Sha256>,
    tags: Vec<Tag>,
}

impl Verifier {
    /// Before the first byte. Without keys nothing will be right, and it costs the same. `now` is in seconds since 1970.
    pub fn begin(keys: Option<&Keys>, claims: &Claims, now: i64) -> Verifier {
        let mut runs = Vec::new();
        let mut has_token = false;
        let mut is_stale = false;
        for key in keys.map_or(&[][..], Keys::all) {
            match key {
                Key::Token(secret) => {
                    let given = claims.token.as_deref().unwrap_or_default();
                    has_token |= is_equal(secret, given);
                }
                Key::Mac(secret) => {
                    let (before, tags): (&[u8], &[Tag]) = match keys.map(Keys::forge) {
                        Some(Forge::Github) => (&[][..], claims.github.as_slice()),
                        Some(Forge::Gitea) => (&[][..], claims.gitea.as_slice()),
                        Some(Forge::Gitlab | Forge::Generic) | None => match &claims.signed {
                            Some(signed) => {
                                is_stale = signed.time.abs_diff(now) > STALE_SECONDS.unsigned_abs();
                                (&signed.before[..], &signed.tags[..])
                            }
                            None => (&[][..], &[][..]),
                        },
                    };
                    runs.extend(Run::new(secret, before, tags));
                }
            }
        }
        if runs.is_empty() {
            runs.extend(Run::new(NOBODYS, &[], &[]));
        }
        Verifier {
            runs,
            has_token,
            is_stale,
        }
    }

    /// More of the body; how it is cut plays no part.
    pub fn update(&mut self, chunk: &[u8]) {
        for run in &mut self.runs {
            run.mac.update(chunk);
        }
    }

    /// After the last byte.
    ///
    /// # Errors
    /// No secret fits ([`Refusal::Wrong`]), or the time is another one ([`Refusal::Stale`]).
    pub fn finish(self) -> Result<(), Refusal> {
        let mut is_signed = false;
        for run in self.runs {
            for tag in run.tags {
                is_signed |= run.mac.clone().verify_slice(&tag).is_ok();
            }
        }
        match (self.has_token, is_signed) {
            (true, _) => Ok(()),
            (false, true) if self.is_stale => Err(Refusal::Stale),
            (false, true) => Ok(()),
            (false, false) => Err(Refusal::Wrong),
        }
    }
}

impl Run {
    /// HMAC takes keys of any length: nothing is left out here.
    fn new(key: &[u8], before: &[u8], tags: &[Tag]) -> Option<Run> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        mac.update(before);
        let tags = tags.to_vec();
        Some(Run { mac, tags })
    }
}

/// Whether two texts are the same, in a time that says nothing of where they differ.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let of = |text: &[u8]| {
        let mac = Hmac::<Sha256>::new_from_slice(NOBODYS);
        mac.map(|mac| mac.chain_update(text))
    };
    match (of(one), of(other)) {
        (Ok(one), Ok(other)) => one.verify(&other.finalize().into_bytes()).is_ok(),
        _ => false,
    }
}
