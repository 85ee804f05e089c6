//! The CNCF Wasm OCI artifact: the one manifest form that a plugin has in a registry, read strictly and written the same way each time.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use weir_core::digest::Digest;
use weir_core::fault::{Blame, Fault, Retry};

use crate::error::printable;

/// The media type of the one manifest that is taken.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of the config, which says that this is Wasm.
pub const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// The media type of the one layer: the component itself.
pub const LAYER_TYPE: &str = "application/wasm";

/// The annotation that says what something is called.
const TITLE: &str = "org.opencontainers.image.title";
/// What says that a manifest is a list of others.
const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// A component in a registry, as its manifest says it. Nothing of it is fetched yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The component.
    pub layer: ArtifactBlob,
    /// A JSON text about it.
    pub config: ArtifactBlob,
    /// What the manifest says besides. Nothing is decided by it.
    pub annotations: BTreeMap<String, String>,
}

/// Bytes in a registry, by what they must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArtifactBlob {
    /// What they hash to.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
}

/// Why a manifest is no plugin's, or why bytes are not those that it names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// It cannot be read.
    #[error(
        "its manifest cannot be read: {why}; expected the JSON of an OCI image manifest: push the plugin again with `weir plugin push`"
    )]
    Unreadable {
        /// Where and why.
        why: String,
    },
    /// It is a list of manifests.
    #[error(
        "it is an image index, a list of manifests, not one plugin: name the digest of the one that is meant, or push the component alone with `weir plugin push`"
    )]
    Index,
    /// Something in it is of another media type.
    #[error(
        "its {part} has the media type {found:?}, expected {expected}: is it a plugin? Push the component with `weir plugin push`"
    )]
    MediaType {
        /// `manifest`, `config` or `layer`.
        part: &'static str,
        /// What it says.
        found: String,
        /// What a plugin has there.
        expected: &'static str,
    },
    /// There is no layer.
    #[error(
        "its manifest has no layer, expected exactly one with the component: push the plugin again with `weir plugin push`"
    )]
    NoLayer,
    /// There is more than one layer, so nothing says which one is meant.
    #[error(
        "its manifest has {count} layers, expected exactly one with the component: push the component alone with `weir plugin push`"
    )]
    Layers {
        /// How many.
        count: usize,
    },
    /// A digest that is no SHA-256.
    #[error(
        "its {part} has the digest {found:?}, expected sha256: and 64 lower-case hex digits: push the plugin again with `weir plugin push`"
    )]
    Digest {
        /// `config` or `layer`.
        part: &'static str,
        /// What it says.
        found: String,
    },
    /// The component is empty, or larger than is taken.
    #[error(
        "its component has {size} bytes, expected 1 to {most}: use a smaller plugin, or raise the limit of this host"
    )]
    Size {
        /// Bytes, as the manifest says it.
        size: u64,
        /// Bytes that are taken at most.
        most: u64,
    },
    /// What came has another size than the manifest says.
    #[error(
        "the registry sends {found} bytes as its {part}, but the manifest says {expected}: the registry or something on the way is broken or hostile"
    )]
    WrongSize {
        /// `config` or `layer`.
        part: &'static str,
        /// Bytes, as the manifest says it.
        expected: u64,
        /// Bytes that came; one more than expected where there were too many, which are not counted.
        found: u64,
    },
    /// What came hashes to something else.
    #[error(
        "the registry sends other bytes ({found}) as its {part} than {expected}: the registry or something on the way is broken or hostile"
    )]
    WrongBytes {
        /// `manifest`, `config` or `layer`.
        part: &'static str,
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
}

impl ArtifactError {
    /// One word for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            ArtifactError::Unreadable { .. } => "manifest",
            ArtifactError::Index => "index",
            ArtifactError::MediaType { .. } => "media-type",
            ArtifactError::NoLayer => "no-layer",
            ArtifactError::Layers { .. } => "layers",
            ArtifactError::Digest { .. } => "digest",
            ArtifactError::Size { .. } => "size",
            ArtifactError::WrongSize { .. } => "wrong-size",
            ArtifactError::WrongBytes { .. } => "wrong-bytes",
        }
    }
}

impl Blame for ArtifactError {
    fn fault(&self) -> Fault {
        Fault::Repository
    }

    // What a digest names does not become another thing by waiting.
    fn retry(&self) -> Retry {
        Retry::OnChange
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    media_type: String,
    manifests: Option<IgnoredAny>,
    config: Option<RawBlob>,
    #[serde(default)]
    layers: Vec<RawBlob>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct RawBlob {
    media_type: String,
    digest: String,
    size: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    schema_version: u8,
    media_type: &'static str,
    config: RawBlob,
    layers: [WrittenLayer; 1],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct WrittenLayer {
    #[serde(flatten)]
    blob: RawBlob,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

/// What a manifest says, where it is a plugin's. `most` is how many bytes a component may have.
///
/// # Errors
/// A variant of [`ArtifactError`] for each thing that may be wrong with it.
pub fn parse_manifest(bytes: &[u8], most: u64) -> Result<Artifact, ArtifactError> {
    // All of it, members too that nobody looks at: it is kept as text.
    let text = std::str::from_utf8(bytes).map_err(|e| ArtifactError::Unreadable {
        why: format!("it is not UTF-8: {e}"),
    })?;
    let raw: Raw = serde_json::from_str(text).map_err(|e| ArtifactError::Unreadable {
        why: printable(&e.to_string()),
    })?;
    if raw.manifests.is_some() || INDEXES.contains(&raw.media_type.as_str()) {
        return Err(ArtifactError::Index);
    }
    // The image specification lets a manifest leave its own type out.
    if !raw.media_type.is_empty() {
        is("manifest", &raw.media_type, MANIFEST_TYPE)?;
    }
    let config = raw.config.as_ref();
    is(
        "config",
        config.map_or("", |c| c.media_type.as_str()),
        CONFIG_TYPE,
    )?;
    let layer = match raw.layers.as_slice() {
        [] => return Err(ArtifactError::NoLayer),
        [one] => one,
        more => return Err(ArtifactError::Layers { count: more.len() }),
    };
    is("layer", &layer.media_type, LAYER_TYPE)?;
    let (Some(config), layer) = (config, blob("layer", layer)?) else {
        return Err(ArtifactError::NoLayer);
    };
    if layer.size == 0 || layer.size > most {
        let size = layer.size;
        return Err(ArtifactError::Size { size, most });
    }
    Ok(Artifact {
        layer,
        config: blob("config", config)?,
        annotations: raw.annotations.unwrap_or_default(),
    })
}

impl Artifact {
    /// The manifest's bytes. The same artifact has the same ones: there is no time in it, and all is in one order.
    pub fn manifest(&self) -> Vec<u8> {
        let raw = |media_type: &str, blob: ArtifactBlob| RawBlob {
            media_type: media_type.to_owned(),
            digest: blob.digest.to_string(),
            size: blob.size,
        };
        let written = Written {
            schema_version: 2,
            media_type: MANIFEST_TYPE,
            config: raw(CONFIG_TYPE, self.config),
            layers: [WrittenLayer {
                blob: raw(LAYER_TYPE, self.layer),
                annotations: self.file().map(|file| (TITLE, file)).into_iter().collect(),
            }],
            annotations: &self.annotations,
        };
        // Texts and numbers alone: there is nothing that could not be written.
        serde_json::to_vec(&written).unwrap_or_default()
    }
}

impl Artifact {
    /// What the component's file is called by tools that know layers as files, such as oras: by its title, where that is a plain
    /// name.
    fn file(&self) -> Option<String> {
        let title = self.annotations.get(TITLE)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let is_name = !title.is_empty()
            && title.len() <= 100
            && title.bytes().all(plain)
            && !title.starts_with(['.', '-']);
        is_name.then(|| format!("{title}.wasm"))
    }
}

impl ArtifactBlob {
    /// What some bytes are known by.
    pub fn of(bytes: &[u8]) -> ArtifactBlob {
        ArtifactBlob {
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
        }
    }

    /// Holds what came against what the manifest says. `part` is `config` or `layer`.
    ///
    /// # Errors
    /// [`ArtifactError::WrongSize`], and [`ArtifactError::WrongBytes`] where the size is right.
    pub fn check(&self, part: &'static str, came: ArtifactBlob) -> Result<(), ArtifactError> {
        if came.size != self.size {
            return Err(ArtifactError::WrongSize {
                part,
                expected: self.size,
                found: came.size,
            });
        }
        if came.digest != self.digest {
            return Err(ArtifactError::WrongBytes {
                part,
                expected: self.digest,
                found: came.digest,
            });
        }
        Ok(())
    }
}

fn is(part: &'static str, found: &str, expected: &'static str) -> Result<(), ArtifactError> {
    if found == expected {
        return Ok(());
    }
    Err(ArtifactError::MediaType {
        part,
        found: cut(found),
        expected,
    })
}

fn blob(part: &'static str, raw: &RawBlob) -> Result<ArtifactBlob, ArtifactError> {
    let digest = raw.digest.parse().map_err(|_| ArtifactError::Digest {
        part,
        found: cut(&raw.digest),
    })?;
    Ok(ArtifactBlob {
        digest,
        size: raw.size,
    })
}

/// As much of a text as an error has room for.
fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 1000;

    fn artifact() -> Artifact {
        Artifact {
            layer: ArtifactBlob::of(b"component"),
            config: ArtifactBlob::of(b"{}"),
            annotations: [("org.opencontainers.image.title", "a"), ("b", "c")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        }
    }

    /// The manifest with one thing exchanged.
    fn with(pointer: &str, value: serde_json::Value) -> Vec<u8> {
        let mut json: serde_json::Value = serde_json::from_slice(&artifact().manifest()).unwrap();
        match json.pointer_mut(pointer) {
            Some(there) => *there = value,
            None => json[pointer.trim_start_matches('/')] = value,
        }
        serde_json::to_vec(&json).unwrap()
    }

    fn refused(pointer: &str, value: serde_json::Value) -> ArtifactError {
        parse_manifest(&with(pointer, value), MOST).unwrap_err()
    }

    #[test]
    fn a_manifest_reads_back_as_it_was_written_and_is_the_same_each_time() {
        let bytes = artifact().manifest();
        assert_eq!(parse_manifest(&bytes, MOST), Ok(artifact()));
        assert_eq!(bytes, artifact().manifest());
        let mut other = artifact();
        other.layer = ArtifactBlob::of(b"another");
        assert_ne!(bytes, other.manifest());
    }

    #[test]
    fn the_file_that_a_layer_is_for_others_is_named_by_a_plain_title_alone() {
        let file = |title: &str| {
            let mut artifact = artifact();
            artifact
                .annotations
                .insert(TITLE.to_owned(), title.to_owned());
            let json: serde_json::Value = serde_json::from_slice(&artifact.manifest()).unwrap();
            let file = json.pointer("/layers/0/annotations/org.opencontainers.image.title");
            file.and_then(|f| f.as_str()).map(str::to_owned)
        };
        assert_eq!(file("team-labels").as_deref(), Some("team-labels.wasm"));
        for bad in ["", "../x", "a/b", ".ssh", "-rf", "a b", &"x".repeat(101)] {
            assert_eq!(file(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_manifest_may_leave_its_own_type_and_all_annotations_out() {
        let bytes = with("/mediaType", "".into());
        assert_eq!(parse_manifest(&bytes, MOST), Ok(artifact()));
        let bytes = with("/annotations", serde_json::Value::Null);
        assert!(parse_manifest(&bytes, MOST).unwrap().annotations.is_empty());
    }

    #[test]
    fn what_is_no_plugin_is_an_error_of_its_own_for_each_reason() {
        let layer = serde_json::json!({
            "mediaType": LAYER_TYPE, "digest": Digest::of(b"x").to_string(), "size": 1,
        });
        for (pointer, value, kind) in [
            ("/manifests", serde_json::json!([]), "index"),
            ("/mediaType", INDEXES[0].into(), "index"),
            ("/mediaType", INDEXES[1].into(), "index"),
            ("/mediaType", "text/plain".into(), "media-type"),
            ("/config", serde_json::Value::Null, "media-type"),
            ("/config/mediaType", "text/plain".into(), "media-type"),
            ("/config/digest", "sha512:00".into(), "digest"),
            ("/layers", serde_json::json!([]), "no-layer"),
            (
                "/layers",
                serde_json::json!([layer.clone(), layer]),
                "layers",
            ),
            (
                "/layers/0/mediaType",
                "application/vnd.oci.image.layer.v1.tar+gzip".into(),
                "media-type",
            ),
            ("/layers/0/digest", "latest".into(), "digest"),
            ("/layers/0/size", 0.into(), "size"),
            ("/layers/0/size", (MOST + 1).into(), "size"),
            ("/layers/0/size", (-1).into(), "manifest"),
            ("/layers/0/size", "1".into(), "manifest"),
            ("/annotations", 1.into(), "manifest"),
        ] {
            let error = refused(pointer, value);
            assert_eq!(error.kind(), kind, "{pointer}: {error}");
        }
        for bad in [&b""[..], b"[]", b"{", b"null", b"\xff", b"\"x\""] {
            assert!(parse_manifest(bad, MOST).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_largest_component_that_is_taken_is_taken() {
        let bytes = with("/layers/0/size", MOST.into());
        assert_eq!(parse_manifest(&bytes, MOST).unwrap().layer.size, MOST);
    }

    #[test]
    fn an_error_shows_no_more_of_a_text_than_it_has_room_for() {
        let error = refused("/layers/0/mediaType", "x".repeat(5000).into());
        assert!(error.to_string().len() < 600, "{error}");
    }

    #[test]
    fn bytes_are_held_against_the_manifest_by_size_and_then_by_digest() {
        let said = ArtifactBlob::of(b"component");
        assert_eq!(said.check("layer", ArtifactBlob::of(b"component")), Ok(()));
        let short = said.check("layer", ArtifactBlob::of(b"comp")).unwrap_err();
        assert_eq!(short.kind(), "wrong-size");
        let other = said.check("layer", ArtifactBlob::of(b"Component"));
        assert_eq!(other.unwrap_err().kind(), "wrong-bytes");
    }
}
