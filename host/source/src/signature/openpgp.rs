//! OpenPGP signatures, as `gpg` makes them for Git, and what has to hold of the certificate whose key made them.
//!
//! rPGP says whether a signature is one of some bytes by some key. All else is decided here: which digests count,
//! whether the key may sign, had expired at the time of the signature, or was revoked. A certificate that was revoked
//! signs nothing, whatever time a signature says: whoever has the key can write any time into it.

use pgp::composed::{Deserializable as _, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails, PublicParams, Tag};
use weir_core::commit_policy::{Signer, Unsigned};

use super::instant;
use crate::error::printable;

/// The most bytes of a file of keys.
const MAX_BYTES: usize = 4 << 20;
/// The most certificates of a file.
const MAX_CERTIFICATES: usize = 1_000;
/// The most subkeys, user ids and signatures of one certificate that are looked at.
const MAX_PARTS: usize = 1_000;
/// The fewest bits of an RSA key.
const RSA_BITS: u16 = 2048;

const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";

/// Certificates: what OpenPGP calls public keys with all that belongs to them.
#[derive(Debug, Default)]
pub(super) struct Certificates(Vec<SignedPublicKey>);

impl Certificates {
    /// All certificates of a text with armoured blocks.
    pub(super) fn parse(bytes: &[u8]) -> Result<Certificates, String> {
        const EXPECTED: &str =
            "expected armoured OpenPGP public keys, as gpg --armor --export KEY writes them";
        if bytes.len() > MAX_BYTES {
            return Err(format!(
                "{} bytes: expected at most {MAX_BYTES}",
                bytes.len()
            ));
        }
        let mut text = std::str::from_utf8(bytes).map_err(|_| EXPECTED.to_owned())?;
        if text.contains("PRIVATE KEY BLOCK-----") {
            return Err(format!("it holds a private key; {EXPECTED}"));
        }
        let mut all = Vec::new();
        while let Some(at) = text.find(BEGIN) {
            let end = text[at..]
                .find(END)
                .ok_or("a public key block does not end")?;
            let (block, rest) = text[at..].split_at(end + END.len());
            text = rest;
            let keys = SignedPublicKey::from_armor_many_buf(block.as_bytes());
            let (keys, _) = keys.map_err(|e| format!("a public key block cannot be read: {e}"))?;
            for key in keys {
                let key = key.map_err(|e| format!("a public key cannot be read: {e}"))?;
                if parts(&key) > MAX_PARTS {
                    return Err(format!(
                        "key {:X} has more than {MAX_PARTS} subkeys, user ids and signatures: export it with --export-options export-minimal",
                        key.fingerprint()
                    ));
                }
                all.push(key);
                if all.len() > MAX_CERTIFICATES {
                    return Err(format!("expected at most {MAX_CERTIFICATES} keys"));
                }
            }
        }
        if all.is_empty() {
            return Err(format!("it lists no key; {EXPECTED}"));
        }
        Ok(Certificates(all))
    }

    /// Who signed these bytes.
    pub(super) fn signer(&self, armoured: &str, payload: &[u8]) -> Result<Signer, Unsigned> {
        let signature = &only(armoured)?;
        let issuer = issuer(signature);
        if self.0.is_empty() {
            let why = format!("it is signed by {issuer}, and this list has no OpenPGP keys");
            return Err(Unsigned::NoList(why));
        }
        let at = made(signature)?;
        let mut why = Unsigned::UnknownKey(issuer);
        for certificate in &self.0 {
            for key in keys(certificate).filter(|key| key.is_named_by(signature)) {
                match key.made(signature, payload) {
                    Ok(()) => return usable(certificate, key, at),
                    Err(e) => why = e,
                }
            }
        }
        Err(why)
    }
}

fn parts(key: &SignedPublicKey) -> usize {
    let details = &key.details;
    let users = details.users.iter().map(|u| 1 + u.signatures.len());
    let subkeys = key.public_subkeys.iter().map(|k| 1 + k.signatures.len());
    details.revocation_signatures.len()
        + details.direct_signatures.len()
        + users.chain(subkeys).sum::<usize>()
}

/// The one signature of a block.
fn only(armoured: &str) -> Result<Signature, Unsigned> {
    let malformed = |e: &dyn std::fmt::Display| Unsigned::Malformed(printable(&e.to_string()));
    let read = DetachedSignature::from_armor_many_buf(armoured.as_bytes());
    let (mut all, _) = read.map_err(|e| malformed(&e))?;
    let first = all
        .next()
        .ok_or_else(|| malformed(&"there is no signature in it that can be checked"))?;
    let first = first.map_err(|e| malformed(&e))?;
    match all.next() {
        None => Ok(first.signature),
        Some(Ok(_)) => Err(Unsigned::Several),
        Some(Err(e)) => Err(malformed(&e)),
    }
}

/// The key that a signature names, for people.
fn issuer(signature: &Signature) -> String {
    if let Some(fingerprint) = signature.issuer_fingerprint().first() {
        return format!("the OpenPGP key {fingerprint:X}");
    }
    match signature.issuer_key_id().first() {
        Some(id) => format!("the OpenPGP key {}", id.to_string().to_uppercase()),
        None => "an OpenPGP key that it does not name".to_owned(),
    }
}

/// When a signature of a commit was made, where it is one that counts by its own words.
fn made(signature: &Signature) -> Result<i64, Unsigned> {
    if signature.typ() != Some(SignatureType::Binary) {
        let why = "it is not one of a file's bytes (type 0x00)";
        return Err(Unsigned::Malformed(why.to_owned()));
    }
    strong_digest(signature).map_err(|digest| {
        Unsigned::Weak(format!(
            "its digest is {digest}; expected SHA-256 or better"
        ))
    })?;
    let config = signature.config();
    let mut hashed = config.iter().flat_map(|config| config.hashed_subpackets());
    if hashed.any(|p| p.is_critical && matches!(p.data, SubpacketData::Notation(_))) {
        let why = "it says something that whoever checks it has to know, and Weir does not (a critical notation)";
        return Err(Unsigned::Malformed(why.to_owned()));
    }
    if ends(signature.signature_expiration_time(), 0).is_some() {
        let why = "it is one that expires, and a commit stays".to_owned();
        return Err(Unsigned::Malformed(why));
    }
    let at = signature.created();
    at.map(|at| i64::from(at.as_secs()))
        .ok_or_else(|| Unsigned::Malformed("it does not say when it was made".to_owned()))
}

/// Whether a signature's digest is one that nobody can find a second text for; its name where not.
fn strong_digest(signature: &Signature) -> Result<(), String> {
    match signature.hash_alg() {
        Some(
            HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512,
        ) => Ok(()),
        Some(other) => Err(other.to_string()),
        None => Err("unknown".to_owned()),
    }
}

/// The end of something that lasts so long from a point in time; `None` where it does not end.
fn ends(lasts: Option<pgp::types::Duration>, from: i64) -> Option<i64> {
    let lasts = lasts.map(|lasts| i64::from(lasts.as_secs()));
    lasts.filter(|lasts| *lasts > 0).map(|lasts| from + lasts)
}

/// A key of a certificate.
#[derive(Clone, Copy)]
enum Key<'a> {
    Primary(&'a SignedPublicKey),
    Sub(&'a SignedPublicSubKey),
}

fn keys(certificate: &SignedPublicKey) -> impl Iterator<Item = Key<'_>> {
    let subkeys = certificate.public_subkeys.iter().map(Key::Sub);
    [Key::Primary(certificate)].into_iter().chain(subkeys)
}

impl Key<'_> {
    fn details(&self) -> &dyn KeyDetails {
        match self {
            Key::Primary(certificate) => &certificate.primary_key,
            Key::Sub(subkey) => &subkey.key,
        }
    }

    /// Whether a signature says that it is by this key.
    fn is_named_by(&self, signature: &Signature) -> bool {
        let key = self.details();
        let (fingerprint, id) = (key.fingerprint(), key.legacy_key_id());
        let fingerprints = signature.issuer_fingerprint();
        if !fingerprints.is_empty() {
            return fingerprints.contains(&&fingerprint);
        }
        signature.issuer_key_id().contains(&&id)
    }

    /// Whether this key made a signature of these bytes.
    fn made(&self, signature: &Signature, payload: &[u8]) -> Result<(), Unsigned> {
        self.strong()?;
        let made = match self {
            Key::Primary(certificate) => signature.verify(&certificate.primary_key, payload),
            Key::Sub(subkey) => signature.verify(&subkey.key, payload),
        };
        made.map_err(|_| Unsigned::OtherBytes)
    }

    fn strong(&self) -> Result<(), Unsigned> {
        let params = self.details().public_params();
        match params {
            PublicParams::RSA(_) => {
                // Its first number is the modulus, and a number begins with how many bits it has.
                let bytes = params.to_bytes().unwrap_or_default();
                let bits = bytes
                    .first_chunk()
                    .map_or(0, |bits| u16::from_be_bytes(*bits));
                if bits >= RSA_BITS {
                    return Ok(());
                }
                Err(Unsigned::Weak(format!(
                    "its key is an RSA key of {bits} bits; expected at least {RSA_BITS}"
                )))
            }
            PublicParams::ECDSA(_)
            | PublicParams::EdDSALegacy(_)
            | PublicParams::Ed25519(_)
            | PublicParams::Ed448(_) => Ok(()),
            _ => Err(Unsigned::Weak(format!(
                "its key is of the kind {:?}; expected EdDSA, ECDSA or RSA",
                self.details().algorithm()
            ))),
        }
    }

    fn fingerprint(&self) -> String {
        format!("{:X}", self.details().fingerprint())
    }

    fn created(&self) -> i64 {
        i64::from(self.details().created_at().as_secs())
    }

    /// Whether the key counts at a time, where it ends then.
    fn counts(&self, at: i64, end: Option<i64>) -> Result<(), Unsigned> {
        let (key, made) = (self.fingerprint(), self.created());
        if at < made {
            return Err(Unsigned::OutOfTime(format!(
                "OpenPGP key {key} was made at {}, the signature is of {}",
                instant(made),
                instant(at)
            )));
        }
        match end {
            Some(end) if at >= end => Err(Unsigned::OutOfTime(format!(
                "OpenPGP key {key} expired at {}, the signature is of {}",
                instant(end),
                instant(at)
            ))),
            _ => Ok(()),
        }
    }
}

/// Who the owner of a key of this certificate is, where the key may sign and counted at that time.
fn usable(certificate: &SignedPublicKey, key: Key<'_>, at: i64) -> Result<Signer, Unsigned> {
    let primary = Key::Primary(certificate);
    let details = &certificate.details;
    let revokes = |s: &&Signature| {
        s.typ() == Some(SignatureType::KeyRevocation)
            && s.verify_key(&certificate.primary_key).is_ok()
    };
    let mut revocations = details.revocation_signatures.iter();
    if revocations.any(|s| revokes(&s)) {
        return Err(Unsigned::Revoked(primary.fingerprint()));
    }
    let own = OwnWords::of(certificate, at)?;
    primary.counts(
        at,
        ends(own.newest.key_expiration_time(), primary.created()),
    )?;
    match key {
        Key::Primary(_) => may_sign(own.newest, &primary, true)?,
        Key::Sub(subkey) => bound(certificate, subkey, at)?,
    }
    Ok(Signer {
        name: own.name,
        key: primary.fingerprint(),
    })
}

/// What a certificate says of itself.
struct OwnWords<'a> {
    /// Its newest words.
    newest: &'a Signature,
    /// The user id that they are about, the one that is marked as the main one before others.
    name: String,
}

impl<'a> OwnWords<'a> {
    fn of(certificate: &'a SignedPublicKey, at: i64) -> Result<OwnWords<'a>, Unsigned> {
        let primary = &certificate.primary_key;
        let mut words: Vec<&Signature> = Vec::new();
        let mut weak = None;
        let mut names = Vec::new();
        let mut take = |signature: &'a Signature| match strong_digest(signature) {
            Ok(()) => {
                words.push(signature);
                true
            }
            Err(digest) => {
                weak = Some(digest);
                false
            }
        };
        for user in &certificate.details.users {
            let own = user.signatures.iter().filter(|s| {
                lasts(s, at)
                    && s.verify_certification(primary, Tag::UserId, &user.id)
                        .is_ok()
            });
            let (revoked, own): (Vec<_>, Vec<_>) =
                own.partition(|s| s.typ() == Some(SignatureType::CertRevocation));
            let newest = |all: &[&Signature]| all.iter().filter_map(|s| s.created()).max();
            if !revoked.is_empty() && newest(&revoked) >= newest(&own) {
                continue;
            }
            let kept: Vec<_> = own.into_iter().filter(|s| take(s)).collect();
            if let Some(newest) = kept.iter().max_by_key(|s| s.created()) {
                let name = printable(&String::from_utf8_lossy(user.id.id()));
                names.push((newest.is_primary(), newest.created(), name));
            }
        }
        for signature in &certificate.details.direct_signatures {
            let direct = signature.typ() == Some(SignatureType::Key);
            if direct && lasts(signature, at) && signature.verify_key(primary).is_ok() {
                take(signature);
            }
        }
        let Some(newest) = words.into_iter().max_by_key(|s| s.created()) else {
            let key = Key::Primary(certificate).fingerprint();
            return Err(match weak {
                Some(digest) => Unsigned::Weak(format!(
                    "what OpenPGP key {key} says of itself is signed over {digest}; expected SHA-256 or better"
                )),
                None => Unsigned::NotFor(format!(
                    "OpenPGP key {key} has no user id that it signed itself, or all of them were revoked"
                )),
            });
        };
        let name = names.into_iter().max().map(|(_, _, name)| name);
        Ok(OwnWords {
            newest,
            name: name.unwrap_or_else(|| "a key without a user id".to_owned()),
        })
    }
}

/// Whether a certificate's own signature had not ended at that time.
fn lasts(signature: &Signature, at: i64) -> bool {
    let made = signature.created().map_or(0, |at| i64::from(at.as_secs()));
    ends(signature.signature_expiration_time(), made).is_none_or(|end| at < end)
}

/// Whether these words about a key let it sign. Old primary keys have none about that, and may.
fn may_sign(words: &Signature, key: &Key<'_>, unsaid: bool) -> Result<(), Unsigned> {
    let config = words.config();
    let mut hashed = config.iter().flat_map(|config| config.hashed_subpackets());
    let said = hashed.any(|p| matches!(p.data, SubpacketData::KeyFlags(_)));
    if words.key_flags().sign() || (!said && unsaid) {
        return Ok(());
    }
    Err(Unsigned::NotFor(format!(
        "OpenPGP key {} is not one for signing",
        key.fingerprint()
    )))
}

/// Whether a subkey is the certificate's, may sign, counted at that time, and says itself that it is the certificate's.
fn bound(
    certificate: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    at: i64,
) -> Result<(), Unsigned> {
    let (primary, key) = (&certificate.primary_key, Key::Sub(subkey));
    let ours = |s: &&Signature| s.verify_subkey_binding(primary, &subkey.key).is_ok();
    let of = |typ| {
        subkey
            .signatures
            .iter()
            .filter(move |s| s.typ() == Some(typ))
    };
    if of(SignatureType::SubkeyRevocation).any(|s| ours(&s)) {
        return Err(Unsigned::Revoked(key.fingerprint()));
    }
    let bindings = of(SignatureType::SubkeyBinding).filter(ours);
    let newest = bindings
        .filter(|s| lasts(s, at))
        .max_by_key(|s| s.created());
    let not_for =
        |why: &str| Unsigned::NotFor(format!("OpenPGP subkey {} {why}", key.fingerprint()));
    let newest = newest.ok_or_else(|| not_for("is not bound to its key by that key"))?;
    let weak = |digest: String| {
        Unsigned::Weak(format!(
            "OpenPGP subkey {} is bound over {digest}; expected SHA-256 or better",
            key.fingerprint()
        ))
    };
    strong_digest(newest).map_err(weak)?;
    may_sign(newest, &key, false)?;
    let back = newest
        .embedded_signature()
        .ok_or_else(|| not_for("does not say itself whose it is (no back signature)"))?;
    strong_digest(back).map_err(weak)?;
    back.verify_primary_key_binding(&subkey.key, primary)
        .map_err(|_| not_for("does not say itself whose it is (a wrong back signature)"))?;
    key.counts(at, ends(newest.key_expiration_time(), key.created()))
}
