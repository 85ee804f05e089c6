//! What registries say of plugins: manifests, signatures, and the keys that they are held against.

use weir_core::digest::Digest;
use weir_source::cosign::{PublicKey, Signed, SignedForm, SigningKey, signer};
use weir_source::parse_manifest;

/// The largest component that a manifest may name here, in bytes.
const MOST: u64 = 1 << 20;

/// A manifest that is taken names a component of a size that is taken, and reads back from what Weir would write of it.
pub(crate) fn plugin_manifest(data: &[u8]) {
    let Ok(artifact) = parse_manifest(data, MOST) else {
        return;
    };
    assert!((1..=MOST).contains(&artifact.layer.size));
    let written = artifact.manifest();
    let again = parse_manifest(&written, MOST);
    assert_eq!(again.as_ref(), Ok(&artifact));
    assert!(parse_manifest(&written, artifact.layer.size - 1).is_err());
}

/// The data is a public key, a private one, what is signed and its signature, with a zero byte between them. What a key signed is
/// signed by nobody once a byte more stands in it, nor without that key, nor for another manifest.
pub(crate) fn cosign(data: &[u8]) {
    let mut parts = data.splitn(4, |b| *b == 0);
    let mut next = || parts.next().unwrap_or_default();
    let (public, private, payload, signature) = (next(), next(), next(), next());
    // Without a password: what an encrypted one takes is bounded, and far more than a fuzzer should wait for.
    if let Ok(key) = SigningKey::from_pem(private, None) {
        assert!(key.public().is_ok());
    }
    let Ok(key) = PublicKey::from_pem(public) else {
        return;
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // The manifest that the corpus' signatures are of.
    let named = text(payload);
    let at = named.find("sha256:").unwrap_or(0);
    let digest = named
        .get(at..at + 71)
        .and_then(|d| d.parse::<Digest>().ok());
    let manifest = digest.unwrap_or_else(|| Digest::of(b"a manifest"));
    for form in [SignedForm::Simple, SignedForm::Statement] {
        let signed = Signed {
            form,
            payload: named.clone(),
            signature: text(signature),
        };
        let keys = std::slice::from_ref(&key);
        let one = std::slice::from_ref(&signed);
        if signer(keys, manifest, one).is_err() {
            continue;
        }
        let more = Signed {
            payload: format!("{named} "),
            ..signed.clone()
        };
        assert!(signer(keys, manifest, &[more]).is_err());
        assert!(signer(&[], manifest, one).is_err());
        assert!(signer(keys, Digest::of(b"another"), one).is_err());
    }
}
