//! Signatures beside a manifest in its registry: read in both of cosign's places, written in the classic one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use weir_core::digest::Digest;
use weir_core::plugin::PluginReference;

use super::claim::{SIGNED, STATEMENT, is_other_statement};
use super::{MAX_PAYLOAD, MAX_SIGNATURES, PublicKey, Signed, SignedForm, decode};
use crate::error::printable;
use crate::external::{
    About, ArtifactBlob, ExternalError, Externals, MANIFEST_TYPE, Registry, Watch, Web,
};
use crate::process::external::Of;

/// A layer that is a signature in cosign's classic form.
const SIMPLE_LAYER: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation of such a layer that holds the signature itself.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// The start of the media types of Sigstore bundles of any version.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// The annotation of a bundle that says what its statement says.
const PREDICATE: &str = "dev.sigstore.bundle.predicateType";
/// What a referrer is of that does not say what it is.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The largest bundle, in bytes: what is signed, in base64, and what proves it.
const MAX_BUNDLE: u64 = 256 << 10;
/// How many things that refer to a manifest are looked at: signatures, and what others keep there.
const MAX_REFERRERS: usize = 200;
/// The limits' names, as in docs/plugins.md.
pub(crate) const COUNT: &str = "signatures";
pub(crate) const SIZE: &str = "signature_bytes";

/// What came of adding a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddedSignature {
    /// How many signatures the manifest has in cosign's classic place now.
    pub count: usize,
    /// Whether that very key had signed it already, so that nothing was sent.
    pub was_there: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    #[serde(default)]
    manifests: Vec<Referrer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Referrer {
    digest: String,
    #[serde(default)]
    artifact_type: String,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Layers {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Option<Envelope>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    #[serde(default)]
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

impl Externals {
    /// All signatures of a manifest that its registry has, in both of cosign's forms. Whether one counts is for
    /// [`super::signer`] to say.
    ///
    /// # Errors
    /// All of [`ExternalError`]; `Limit` where there are more than [`MAX_SIGNATURES`], or one is too large.
    pub fn signatures(
        &self,
        of: &PluginReference,
        manifest: Digest,
        watch: Watch<'_>,
    ) -> Result<Vec<Signed>, ExternalError> {
        let text = of.to_string();
        match self.elsewhere(Of::Plugin(of.clone()), About(&text), watch) {
            Some(elsewhere) => elsewhere.signatures(manifest),
            None => signatures(&self.web(About(&text), watch), of, manifest),
        }
    }

    /// Puts a signature beside a manifest, where cosign looks for it. What others have signed stays.
    ///
    /// # Errors
    /// All of [`ExternalError`]; `Limit` where it would be the one too many.
    pub fn add_signature(
        &self,
        to: &PluginReference,
        manifest: Digest,
        (signed, key): (&Signed, &PublicKey),
        watch: Watch<'_>,
    ) -> Result<AddedSignature, ExternalError> {
        let text = to.to_string();
        let web = self.web(About(&text), watch);
        let about = web.about;
        let registry = Registry::new(&web, to.host(), to.path()).for_pushing();
        let there = classic(&registry, manifest)?;
        let (signatures, mut layers) =
            there.map_or_else(Default::default, |c| (c.signed, c.layers));
        let by_it = |s: &Signed| s.verify(std::slice::from_ref(key), manifest).is_ok();
        if signatures.iter().any(by_it) {
            return Ok(AddedSignature {
                count: signatures.len(),
                was_there: true,
            });
        }
        if signatures.len() >= MAX_SIGNATURES {
            return Err(too_many(about, signatures.len() + 1));
        }
        let payload = registry.upload(signed.payload.as_bytes())?;
        let mut layer = descriptor(SIMPLE_LAYER, payload);
        layer["annotations"] = json!({ SIGNATURE: signed.signature });
        layers.push(layer);
        // What tools that think of images look for: as many layers as there are.
        let digests: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
        let config = json!({
            "architecture": "", "os": "", "config": {},
            "rootfs": { "type": "layers", "diff_ids": digests },
        });
        let config = registry.upload(config.to_string().as_bytes())?;
        let image = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": descriptor(CONFIG, config), "layers": layers,
        });
        registry.put_manifest(&tag(manifest), MANIFEST_TYPE, image.to_string().as_bytes())?;
        Ok(AddedSignature {
            count: signatures.len() + 1,
            was_there: false,
        })
    }
}

/// As [`Externals::signatures`], in this process.
pub(crate) fn signatures(
    web: &Web<'_>,
    of: &PluginReference,
    manifest: Digest,
) -> Result<Vec<Signed>, ExternalError> {
    let registry = Registry::new(web, of.host(), of.path());
    let mut found = classic(&registry, manifest)?.map_or_else(Vec::new, |c| c.signed);
    bundles(&registry, manifest, &mut found)?;
    Ok(found)
}

/// Signatures in the classic place.
struct Classic {
    signed: Vec<Signed>,
    /// All layers there, as they are.
    layers: Vec<Value>,
}

/// The tag that cosign keeps a manifest's signatures under.
fn tag(manifest: Digest) -> String {
    format!("sha256-{}.sig", manifest.hex())
}

fn descriptor(media_type: &str, blob: ArtifactBlob) -> Value {
    json!({ "mediaType": media_type, "digest": blob.digest.to_string(), "size": blob.size })
}

fn too_many(about: About<'_>, count: usize) -> ExternalError {
    about.limit(
        COUNT,
        format!("it has {count} signatures or more, at most {MAX_SIGNATURES} are looked at: remove those of keys that nobody trusts any more"),
    )
}

fn too_large(about: About<'_>, size: u64, most: u64) -> ExternalError {
    about.limit(
        SIZE,
        format!("a signature of it has {size} bytes, at most {most} are taken"),
    )
}

fn read<T: for<'de> Deserialize<'de>>(
    about: About<'_>,
    what: &str,
    bytes: &[u8],
) -> Result<T, ExternalError> {
    serde_json::from_slice(bytes).map_err(|e| {
        let why = printable(&e.to_string());
        about.refused(format!(
            "{what} is not what a registry answers: {why}: have it signed again"
        ))
    })
}

/// A layer's bytes as text.
fn text(registry: &Registry<'_, '_>, layer: &Layer, most: u64) -> Result<String, ExternalError> {
    let about = registry.web().about;
    if layer.size > most {
        return Err(too_large(about, layer.size, most));
    }
    let digest: Digest = layer.digest.parse().map_err(|_| {
        about.refused("a signature of it has no SHA-256 digest: have it signed again")
    })?;
    let bytes = registry.blob(digest, layer.size, SIZE, most)?;
    String::from_utf8(bytes).map_err(|_| {
        about.refused("a signature of it is over what is no text: have it signed again")
    })
}

fn classic(
    registry: &Registry<'_, '_>,
    manifest: Digest,
) -> Result<Option<Classic>, ExternalError> {
    let about = registry.web().about;
    let Some(bytes) = registry.manifest_bytes(&tag(manifest))? else {
        return Ok(None);
    };
    let what = tag(manifest);
    let all: Layers = read(about, &what, &bytes)?;
    if all.layers.len() > MAX_SIGNATURES {
        return Err(too_many(about, all.layers.len()));
    }
    let mut signed = Vec::new();
    for layer in &all.layers {
        let signature = layer.annotations.as_ref().and_then(|a| a.get(SIGNATURE));
        // What has no signature is none.
        let (SIMPLE_LAYER, Some(signature)) = (layer.media_type.as_str(), signature) else {
            continue;
        };
        signed.push(match text(registry, layer, MAX_PAYLOAD) {
            Ok(payload) => Signed {
                form: SignedForm::Simple,
                payload,
                signature: signature.clone(),
            },
            Err(error) => unreadable(error)?,
        });
    }
    let raw: Value = read(about, &what, &bytes)?;
    let layers = raw["layers"].as_array().cloned().unwrap_or_default();
    Ok(Some(Classic { signed, layers }))
}

/// Adds what is signed in bundles that refer to the manifest.
fn bundles(
    registry: &Registry<'_, '_>,
    manifest: Digest,
    found: &mut Vec<Signed>,
) -> Result<(), ExternalError> {
    let about = registry.web().about;
    for referrer in referrers(registry, manifest)? {
        // Another kind of digest than Weir reads is nothing that cosign made.
        let Ok(digest) = referrer.digest.parse::<Digest>() else {
            continue;
        };
        match bundle(registry, digest) {
            Ok(signed) => found.extend(signed),
            Err(error) => found.push(unreadable(error)?),
        }
        if found.len() > MAX_SIGNATURES {
            return Err(too_many(about, found.len()));
        }
    }
    Ok(())
}

/// What cannot be read of a signature, in its place among the others. What is the network's stays an error of all: a signature that
/// could not be asked for is not one that is none.
fn unreadable(error: ExternalError) -> Result<Signed, ExternalError> {
    match error {
        ExternalError::NotFound { why, .. }
        | ExternalError::Changed { why, .. }
        | ExternalError::Refused { why, .. }
        | ExternalError::Limit { why, .. } => Ok(Signed {
            form: SignedForm::Unreadable,
            payload: why,
            signature: String::new(),
        }),
        error => Err(error),
    }
}

/// The signatures in the bundle of a manifest that refers to another.
fn bundle(registry: &Registry<'_, '_>, digest: Digest) -> Result<Vec<Signed>, ExternalError> {
    let about = registry.web().about;
    let named = digest.to_string();
    let bytes = registry.manifest_bytes(&named)?;
    let bytes = bytes.ok_or_else(|| about.not_found(format!("{named} is not there")))?;
    let all: Layers = read(about, &named, &bytes)?;
    match all.layers.as_slice() {
        [layer] if layer.media_type.starts_with(BUNDLE) => {
            signed_in(about, &text(registry, layer, MAX_BUNDLE)?)
        }
        // What others keep there.
        _ => Ok(Vec::new()),
    }
}

/// What refers to a manifest and may be a signature of it: by the registry's own answer, or where it has none by the tag that
/// clients keep in its place.
fn referrers(
    registry: &Registry<'_, '_>,
    manifest: Digest,
) -> Result<Vec<Referrer>, ExternalError> {
    let about = registry.web().about;
    let what = "the list of what refers to it";
    let most = registry.web().limits.manifest_bytes;
    let mut url = registry.url(&format!("referrers/{manifest}"));
    let mut found = Vec::new();
    for page in 0..registry.web().limits.tag_pages {
        let answer = registry.get(&url, INDEX, most, "manifest_bytes")?;
        let kind = answer.headers.get("content-type");
        let kind = kind.and_then(|v| v.to_str().ok()?.split(';').next());
        if answer.status != 200 || kind.is_none_or(|kind| kind.trim() != INDEX) {
            // Registries that do not know the question answer this or that.
            if page > 0 || !matches!(answer.status, 200 | 400 | 404 | 405 | 406 | 501) {
                registry.web().accept(&answer)?;
            }
            let tag = format!("sha256-{}", manifest.hex());
            let Some(bytes) = registry.manifest_bytes(&tag)? else {
                return Ok(Vec::new());
            };
            add_referrers(about, read(about, what, &bytes)?, &mut found)?;
            return Ok(found);
        }
        add_referrers(about, read(about, what, &answer.body)?, &mut found)?;
        match registry.next(&url, &answer)? {
            Some(next) => url = next,
            None => return Ok(found),
        }
    }
    Err(about.limit(COUNT, format!("{what} has too many pages")))
}

fn add_referrers(
    about: About<'_>,
    page: Index,
    found: &mut Vec<Referrer>,
) -> Result<(), ExternalError> {
    let may_be_one = |r: &Referrer| {
        let predicate = r.annotations.as_ref().and_then(|a| a.get(PREDICATE));
        let kind = r.artifact_type.as_str();
        (kind.starts_with(BUNDLE) || matches!(kind, "" | EMPTY))
            && predicate.is_none_or(|predicate| predicate == SIGNED)
    };
    found.extend(page.manifests.into_iter().filter(may_be_one));
    let (count, most) = (found.len(), MAX_REFERRERS);
    if count <= most {
        return Ok(());
    }
    let why = format!("{count} things refer to it, at most {most} are looked at");
    Err(about.limit(COUNT, why))
}

/// The signatures in a bundle; none where it is a bundle of something else than a statement.
fn signed_in(about: About<'_>, bundle: &str) -> Result<Vec<Signed>, ExternalError> {
    let bundle: Bundle = read(about, "a bundle beside it", bundle.as_bytes())?;
    let Some(envelope) = bundle.dsse_envelope.filter(|e| e.payload_type == STATEMENT) else {
        return Ok(Vec::new());
    };
    let payload = decode(&envelope.payload).and_then(|bytes| String::from_utf8(bytes).ok());
    let payload = payload.ok_or_else(|| {
        about.refused("a bundle beside it holds no statement in base64: have it signed again")
    })?;
    // Of how it was built, or of what: another matter than who signed it.
    if is_other_statement(&payload) {
        return Ok(Vec::new());
    }
    let all = envelope.signatures.into_iter().take(MAX_SIGNATURES + 1);
    Ok(all
        .map(|one| Signed {
            form: SignedForm::Statement,
            payload: payload.clone(),
            signature: one.sig,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: About<'static> = About("oci://r.example/a:1");

    #[test]
    fn a_bundle_of_a_statement_gives_its_signatures() {
        let text = r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAAA"},{"sig":"BBBB"}]}}"#;
        let found = signed_in(ABOUT, text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].payload.as_str(), found[1].signature.as_str()),
            ("{}", "BBBB")
        );
    }

    #[test]
    fn a_bundle_of_something_else_has_no_signature_of_ours() {
        for text in [
            r#"{"messageSignature":{}}"#,
            r#"{"dsseEnvelope":{"payload":"e30=","payloadType":"text/plain","signatures":[{"sig":"AAAA"}]}}"#,
            // A statement of provenance: {"_type":"x","predicateType":"y"}.
            r#"{"dsseEnvelope":{"payload":"eyJfdHlwZSI6IngiLCJwcmVkaWNhdGVUeXBlIjoieSJ9","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAAA"}]}}"#,
        ] {
            assert_eq!(signed_in(ABOUT, text).unwrap(), [], "{text}");
        }
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        for text in [
            "",
            "[]",
            r#"{"dsseEnvelope":{}}"#,
            r#"{"dsseEnvelope":{"payload":"?","payloadType":"application/vnd.in-toto+json"}}"#,
            r#"{"dsseEnvelope":{"payload":"/w==","payloadType":"application/vnd.in-toto+json"}}"#,
        ] {
            assert!(signed_in(ABOUT, text).is_err(), "{text}");
        }
    }
}
