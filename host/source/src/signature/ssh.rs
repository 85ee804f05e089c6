//! SSH signatures, as `ssh-keygen -Y sign -n git` makes them: PROTOCOL.sshsig of OpenSSH.

use ssh_key::public::KeyData;
use ssh_key::{Algorithm, HashAlg, PublicKey, Signature, SshSig};
use weir_core::commit_policy::{Signer, Unsigned};

use super::allowed::{Allowed, NotAllowed};
use super::instant;
use crate::error::printable;

/// What Git has signatures made for.
const NAMESPACE: &str = "git";
/// The fewest bits of an RSA key.
const RSA_BITS: usize = 2048;

/// Who signed these bytes.
pub(super) fn signer(
    blob: &[u8],
    payload: &[u8],
    committed: i64,
    allowed: &[Allowed],
) -> Result<Signer, Unsigned> {
    let parts = Parts::of(blob).map_err(|why| Unsigned::Malformed(why.to_owned()))?;
    let key = parts.key()?;
    if parts.namespace != NAMESPACE.as_bytes() {
        let found = printable(&String::from_utf8_lossy(parts.namespace));
        return Err(Unsigned::Namespace(found));
    }
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    if allowed.is_empty() {
        let why = format!(
            "it is signed by the SSH key {fingerprint}, and this list has no SSH keys (allowed signers)"
        );
        return Err(Unsigned::NoList(why));
    }
    let mut lines = allowed.iter().filter(|line| line.key == key).peekable();
    if lines.peek().is_none() {
        return Err(Unsigned::UnknownKey(format!("the SSH key {fingerprint}")));
    }
    strong(&key).map_err(Unsigned::Weak)?;
    let signature = parts.signature()?;
    PublicKey::from(key.clone())
        .verify(NAMESPACE, payload, &signature)
        .map_err(|_| Unsigned::OtherBytes)?;
    let mut why = Unsigned::NotLookedAt;
    for line in lines {
        let name = &line.principals;
        match line.allows(NAMESPACE, committed) {
            Ok(()) => {
                return Ok(Signer {
                    name: name.clone(),
                    key: fingerprint,
                });
            }
            Err(NotAllowed::Namespace(namespaces)) => {
                why = Unsigned::NotFor(format!(
                    "{name} ({fingerprint}) may sign for {namespaces:?}, expected \"git\""
                ));
            }
            Err(NotAllowed::Before(at)) => {
                why = Unsigned::OutOfTime(format!(
                    "{name} ({fingerprint}) is valid from {}, the commit is of {}",
                    instant(at),
                    instant(committed)
                ));
            }
            Err(NotAllowed::After(at)) => {
                why = Unsigned::OutOfTime(format!(
                    "{name} ({fingerprint}) was valid until {}, the commit is of {}",
                    instant(at),
                    instant(committed)
                ));
            }
        }
    }
    Err(why)
}

/// Whether a key is one of a kind that proves something; why not.
pub(super) fn strong(key: &KeyData) -> Result<(), String> {
    match key {
        KeyData::Ed25519(_)
        | KeyData::Ecdsa(_)
        | KeyData::SkEd25519(_)
        | KeyData::SkEcdsaSha2NistP256(_) => Ok(()),
        KeyData::Rsa(rsa) => {
            let bytes = rsa.n.as_positive_bytes().unwrap_or_default();
            let zeros = bytes
                .first()
                .map_or(0, |first| first.leading_zeros() as usize);
            match bytes.len() * 8 - zeros {
                bits if bits < RSA_BITS => Err(format!(
                    "an RSA key of {bits} bits; expected at least {RSA_BITS}"
                )),
                _ => Ok(()),
            }
        }
        other => Err(format!(
            "a key of the kind {}; expected ssh-ed25519, ecdsa-sha2-*, sk-* or ssh-rsa",
            printable(other.algorithm().as_str())
        )),
    }
}

/// The fields of an SSH signature, nothing of it believed.
struct Parts<'a> {
    key: &'a [u8],
    namespace: &'a [u8],
    hash: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(blob: &'a [u8]) -> Result<Parts<'a>, &'static str> {
        let rest = blob
            .strip_prefix(b"SSHSIG")
            .ok_or("it does not begin with SSHSIG")?;
        let (version, rest) = rest
            .split_first_chunk::<4>()
            .ok_or("it ends before its version")?;
        if u32::from_be_bytes(*version) != 1 {
            return Err("it is of another version than 1");
        }
        let (key, rest) = string(rest).ok_or("it ends within its key")?;
        let (namespace, rest) = string(rest).ok_or("it ends within its namespace")?;
        let (reserved, rest) = string(rest).ok_or("it ends within its reserved field")?;
        let (hash, rest) = string(rest).ok_or("it ends within its digest's name")?;
        let (signature, rest) = string(rest).ok_or("it ends within its signature")?;
        if !reserved.is_empty() {
            return Err("its reserved field is not empty");
        }
        if !rest.is_empty() {
            return Err("something comes after its end");
        }
        Ok(Parts {
            key,
            namespace,
            hash,
            signature,
        })
    }

    fn key(&self) -> Result<KeyData, Unsigned> {
        let kind = string(self.key).map(|(kind, _)| String::from_utf8_lossy(kind));
        if let Some(kind) = kind.filter(|kind| kind.ends_with("-cert-v01@openssh.com")) {
            return Err(Unsigned::Format(format!(
                "by an SSH certificate ({}), which Weir does not check: sign with a key that is listed itself",
                printable(&kind)
            )));
        }
        let key = PublicKey::from_bytes(self.key);
        let key = key.map_err(|e| Unsigned::Malformed(format!("its key cannot be read: {e}")))?;
        Ok(KeyData::from(key))
    }

    fn signature(&self) -> Result<SshSig, Unsigned> {
        let malformed = |why: &dyn std::fmt::Display| Unsigned::Malformed(why.to_string());
        let hash = match self.hash {
            b"sha256" => HashAlg::Sha256,
            b"sha512" => HashAlg::Sha512,
            other => {
                let name = printable(&String::from_utf8_lossy(other));
                let why = format!("its digest is {name:?}; expected sha512 or sha256");
                return Err(Unsigned::Weak(why));
            }
        };
        if string(self.signature).is_some_and(|(kind, _)| kind == b"ssh-rsa") {
            let why = "it is an RSA signature over SHA-1 (ssh-rsa); expected rsa-sha2-512";
            return Err(Unsigned::Weak(why.to_owned()));
        }
        let key = self.key()?;
        let signature = Signature::try_from(self.signature).map_err(|e| malformed(&e))?;
        let fits = match (key.algorithm(), signature.algorithm()) {
            (Algorithm::Rsa { .. }, Algorithm::Rsa { hash: Some(_) }) => true,
            (key, signature) => key == signature,
        };
        if !fits {
            return Err(malformed(&"it is of another kind than its key"));
        }
        SshSig::new(key, NAMESPACE, hash, signature).map_err(|e| malformed(&e))
    }
}

/// A string of SSH's wire format, and what comes after.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}
