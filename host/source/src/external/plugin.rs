//! Plugins in OCI registries: what a reference means now, and the one component that a lock pins, byte by byte.
//!
//! Nothing is believed that does not hash to the digest that was asked for: manifest by the lock or by the reference, component
//! by the manifest. There is no second place to look at and no second way to read.

use weir_core::digest::Digest;
use weir_core::fault::{Blame, Fault, Retry};
use weir_core::plugin::{PluginReference, RegistryPin};

use super::artifact::{ArtifactBlob, ArtifactError, MANIFEST_TYPE, parse_manifest};
use super::error::{About, ExternalError};
use super::oci::Registry;
use super::web::{Answer, Web};
use super::{Externals, Watch};
use crate::process::external::Of;

/// All kinds of manifests, so that a registry says which one it has.
const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";
/// Why a redirect is not followed for a manifest.
const FOR_MANIFEST: &str = "which is not followed for a manifest that credentials were shown for";
/// Why a redirect leads to nothing.
const WANTS: &str = "which wants credentials";
/// Why a redirect is none to follow.
pub(crate) const AWAY: [&str; 2] = [FOR_MANIFEST, WANTS];
/// What a body exceeds that is longer than the lock says.
const SIZE: &str = "component_size";

/// A plugin as a registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GotPlugin {
    /// All of its digests.
    pub pin: RegistryPin,
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The component; nothing where only the manifest was asked for.
    pub component: Option<Vec<u8>>,
}

/// Why a plugin cannot be had from its registry.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The way there: hosts, credentials, the network, what is not there.
    #[error(transparent)]
    Get(#[from] ExternalError),
    /// What came is no plugin, or not the one that was asked for.
    #[error("{reference}: {source}")]
    Artifact {
        /// Which.
        reference: String,
        /// Manifest, media types, layers, sizes, bytes.
        #[source]
        source: ArtifactError,
    },
    /// The manifest is the one of the lock, and says something else of the component than the lock.
    #[error(
        "{reference}: weir.lock pins a component of {} bytes with the digest {}, but the manifest {} that it pins names one of {} bytes with the digest {}: weir.lock was changed by hand or by somebody else: find out why, and run `weir lock --update` and commit it",
        .pin.size, .pin.component, .pin.manifest, .found.size, .found.digest
    )]
    NotAsLocked {
        /// Which.
        reference: String,
        /// What the lock says.
        pin: Box<RegistryPin>,
        /// The manifest's component.
        found: Box<ArtifactBlob>,
    },
    /// The registry sends its client elsewhere, where its credentials do not go.
    #[error(
        "{reference}: {from} redirects to {to}, {why}: credentials of a registry are never shown elsewhere: have the registry serve it itself, or name that one in the manifest"
    )]
    Redirected {
        /// Which.
        reference: String,
        /// What redirects.
        from: String,
        /// Where to: scheme, host and port.
        to: String,
        /// What is wrong with that.
        why: &'static str,
    },
}

impl PluginError {
    /// One word for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            PluginError::Get(e) => e.kind(),
            PluginError::Artifact { source, .. } => source.kind(),
            PluginError::NotAsLocked { .. } => "not-as-locked",
            PluginError::Redirected { .. } => "redirected",
        }
    }
}

impl Blame for PluginError {
    fn fault(&self) -> Fault {
        match self {
            PluginError::Get(e) => e.fault(),
            PluginError::Artifact { source, .. } => source.fault(),
            PluginError::NotAsLocked { .. } => Fault::Repository,
            PluginError::Redirected { .. } => Fault::Host,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            PluginError::Get(e) => e.retry(),
            PluginError::Artifact { source, .. } => source.retry(),
            PluginError::NotAsLocked { .. } | PluginError::Redirected { .. } => Retry::OnChange,
        }
    }
}

impl Externals {
    /// What a reference means now: its manifest, and what that names. Asks the registry.
    ///
    /// # Errors
    /// All of [`PluginError`].
    pub fn plugin_named(
        &self,
        reference: &PluginReference,
        watch: Watch<'_>,
    ) -> Result<GotPlugin, PluginError> {
        let text = reference.to_string();
        match self.elsewhere(Of::Plugin(reference.clone()), About(&text), watch) {
            Some(elsewhere) => elsewhere.named(reference),
            None => named(&self.web(About(&text), watch), reference),
        }
    }

    /// The manifest and the component that are pinned. Asks the registry by their digests, whatever its tags name by now.
    ///
    /// # Errors
    /// All of [`PluginError`].
    pub fn plugin(
        &self,
        reference: &PluginReference,
        pin: RegistryPin,
        watch: Watch<'_>,
    ) -> Result<GotPlugin, PluginError> {
        let text = reference.to_string();
        match self.elsewhere(Of::Plugin(reference.clone()), About(&text), watch) {
            Some(elsewhere) => elsewhere.pinned(reference, pin),
            None => pinned(&self.web(About(&text), watch), reference, pin),
        }
    }

    /// The manifest alone that is pinned, held against the pin.
    ///
    /// # Errors
    /// All of [`PluginError`].
    pub fn plugin_manifest(
        &self,
        reference: &PluginReference,
        pin: RegistryPin,
        watch: Watch<'_>,
    ) -> Result<GotPlugin, PluginError> {
        let text = reference.to_string();
        match self.elsewhere(Of::Plugin(reference.clone()), About(&text), watch) {
            Some(elsewhere) => elsewhere.manifest_alone(reference, pin),
            None => manifest_alone(&self.web(About(&text), watch), reference, pin),
        }
    }

    /// What is said where a component that is here has another size than its pin says.
    #[must_use]
    pub fn wrong_size(
        &self,
        reference: &PluginReference,
        pin: RegistryPin,
        found: u64,
    ) -> PluginError {
        let text = reference.to_string();
        artifact(
            &text,
            ArtifactError::WrongSize {
                part: "layer",
                expected: pin.size,
                found,
            },
        )
    }

    /// Holds a manifest that was got before against a pin. Nothing is asked.
    ///
    /// # Errors
    /// It is another one, or names another component.
    pub fn check_manifest(
        &self,
        reference: &PluginReference,
        pin: RegistryPin,
        manifest: &[u8],
    ) -> Result<(), PluginError> {
        let text = reference.to_string();
        checked(&text, pin, manifest, self.limits.component_bytes)
    }
}

/// As [`Externals::plugin_named`], in this process.
pub(crate) fn named(web: &Web<'_>, reference: &PluginReference) -> Result<GotPlugin, PluginError> {
    let shelf = Shelf::new(reference, web);
    let named = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or_default().to_owned(),
    };
    let bytes = shelf.manifest(&named, reference.digest())?;
    let manifest = Digest::of(&bytes);
    let blob = shelf.component_of(&bytes)?;
    Ok(GotPlugin {
        pin: RegistryPin {
            manifest,
            component: blob.digest,
            size: blob.size,
        },
        manifest: bytes,
        component: None,
    })
}

/// As [`Externals::plugin`], in this process.
pub(crate) fn pinned(
    web: &Web<'_>,
    reference: &PluginReference,
    pin: RegistryPin,
) -> Result<GotPlugin, PluginError> {
    let shelf = Shelf::new(reference, web);
    let manifest = shelf.pinned_manifest(pin)?;
    let component = shelf.component(pin)?;
    Ok(GotPlugin {
        pin,
        manifest,
        component: Some(component),
    })
}

/// As [`Externals::plugin_manifest`], in this process.
pub(crate) fn manifest_alone(
    web: &Web<'_>,
    reference: &PluginReference,
    pin: RegistryPin,
) -> Result<GotPlugin, PluginError> {
    let manifest = Shelf::new(reference, web).pinned_manifest(pin)?;
    Ok(GotPlugin {
        pin,
        manifest,
        component: None,
    })
}

/// Holds a manifest against a pin.
pub(crate) fn checked(
    text: &str,
    pin: RegistryPin,
    manifest: &[u8],
    most: u64,
) -> Result<(), PluginError> {
    let wrong = |source| artifact(text, source);
    let found = Digest::of(manifest);
    if found != pin.manifest {
        return Err(wrong(ArtifactError::WrongBytes {
            part: "manifest",
            expected: pin.manifest,
            found,
        }));
    }
    let blob = parse_manifest(manifest, most).map_err(wrong)?.layer;
    if (blob.digest, blob.size) == (pin.component, pin.size) {
        return Ok(());
    }
    Err(PluginError::NotAsLocked {
        reference: text.to_owned(),
        pin: Box::new(pin),
        found: Box::new(blob),
    })
}

pub(crate) fn artifact(text: &str, source: ArtifactError) -> PluginError {
    PluginError::Artifact {
        reference: text.to_owned(),
        source,
    }
}

/// One plugin's repository in a registry.
struct Shelf<'w, 'a> {
    text: &'w str,
    reference: &'w PluginReference,
    web: &'w Web<'a>,
    registry: Registry<'w, 'a>,
}

impl<'w, 'a> Shelf<'w, 'a> {
    fn new(reference: &'w PluginReference, web: &'w Web<'a>) -> Shelf<'w, 'a> {
        Shelf {
            text: web.about.0,
            reference,
            web,
            registry: Registry::new(web, reference.host(), reference.path()),
        }
    }

    fn wrong(&self, source: ArtifactError) -> PluginError {
        artifact(self.text, source)
    }

    /// A manifest's bytes; where its digest is known, those of just that one.
    fn manifest(&self, named: &str, expected: Option<Digest>) -> Result<Vec<u8>, PluginError> {
        let answer = self.registry.ask_manifest(named, ACCEPT)?;
        // What is fetched from elsewhere was never a registry's manifest under the name of this one.
        if answer.away.as_ref().is_some_and(|away| away.was_shown) {
            return Err(self.redirected(answer, FOR_MANIFEST));
        }
        if answer.status == 404 {
            return Err(self.gone(&format!("manifest {named}")).into());
        }
        self.web.accept(&answer)?;
        let said = answer.headers.get("docker-content-digest");
        let said = said.and_then(|v| v.to_str().ok()?.parse::<Digest>().ok());
        let found = Digest::of(&answer.body);
        let mut expected = [expected, said].into_iter().flatten();
        if let Some(expected) = expected.find(|expected| *expected != found) {
            return Err(self.wrong(ArtifactError::WrongBytes {
                part: "manifest",
                expected,
                found,
            }));
        }
        self.component_of(&answer.body)?;
        let kind = answer.headers.get("content-type");
        let kind = kind.map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
        let kind = kind.as_deref().and_then(|kind| kind.split(';').next());
        if let Some(found) = kind.map(str::trim).filter(|kind| *kind != MANIFEST_TYPE) {
            return Err(self.wrong(ArtifactError::MediaType {
                part: "manifest",
                found: found.chars().take(200).collect(),
                expected: MANIFEST_TYPE,
            }));
        }
        Ok(answer.body)
    }

    fn pinned_manifest(&self, pin: RegistryPin) -> Result<Vec<u8>, PluginError> {
        let manifest = self.manifest(&pin.manifest.to_string(), Some(pin.manifest))?;
        checked(self.text, pin, &manifest, self.web.limits.component_bytes)?;
        Ok(manifest)
    }

    fn component_of(&self, manifest: &[u8]) -> Result<ArtifactBlob, PluginError> {
        let artifact = parse_manifest(manifest, self.web.limits.component_bytes);
        Ok(artifact.map_err(|e| self.wrong(e))?.layer)
    }

    /// The component, whose size is known before the first byte of it comes.
    fn component(&self, pin: RegistryPin) -> Result<Vec<u8>, PluginError> {
        let answer = self.registry.ask_blob(pin.component, (pin.size, SIZE));
        let (answer, digest) = answer.map_err(|e| match e {
            ExternalError::Limit { limit: SIZE, .. } => self.wrong(ArtifactError::WrongSize {
                part: "layer",
                expected: pin.size,
                found: pin.size.saturating_add(1),
            }),
            e => e.into(),
        })?;
        if answer.away.is_some() && matches!(answer.status, 401 | 403) {
            return Err(self.redirected(answer, WANTS));
        }
        if answer.status == 404 {
            return Err(self.gone(&format!("component {}", pin.component)).into());
        }
        self.web.accept(&answer)?;
        let said = ArtifactBlob {
            digest: pin.component,
            size: pin.size,
        };
        let came = ArtifactBlob {
            digest,
            size: answer.body.len() as u64,
        };
        said.check("layer", came).map_err(|e| self.wrong(e))?;
        Ok(answer.body)
    }

    fn gone(&self, what: &str) -> ExternalError {
        self.web.about.not_found(format!(
            "{} does not have the {what}: check the spelling, push it again, or run `weir lock --update` for what the tag names now (some registries also say so to those who may not see it)",
            self.reference.repository()
        ))
    }

    fn redirected(&self, answer: Answer, why: &'static str) -> PluginError {
        PluginError::Redirected {
            reference: self.text.to_owned(),
            from: self.reference.repository(),
            to: answer.away.map_or(answer.url, |away| away.origin),
            why,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::external::artifact::Artifact;

    const TEXT: &str = "oci://r.example/team/labels:1";
    const MOST: u64 = 1000;

    fn made() -> (Vec<u8>, RegistryPin) {
        let artifact = Artifact {
            layer: ArtifactBlob::of(b"component"),
            config: ArtifactBlob::of(b"{}"),
            annotations: std::collections::BTreeMap::new(),
        };
        let manifest = artifact.manifest();
        let pin = RegistryPin {
            manifest: Digest::of(&manifest),
            component: artifact.layer.digest,
            size: artifact.layer.size,
        };
        (manifest, pin)
    }

    #[test]
    fn a_manifest_is_held_against_each_part_of_the_pin() {
        let (manifest, pin) = made();
        assert!(checked(TEXT, pin, &manifest, MOST).is_ok());
        let other = Digest::of(b"another");
        for (pin, kind) in [
            (
                RegistryPin {
                    manifest: other,
                    ..pin
                },
                "wrong-bytes",
            ),
            (
                RegistryPin {
                    component: other,
                    ..pin
                },
                "not-as-locked",
            ),
            (
                RegistryPin {
                    size: pin.size + 1,
                    ..pin
                },
                "not-as-locked",
            ),
        ] {
            let error = checked(TEXT, pin, &manifest, MOST).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(TEXT), "{error}");
            assert_eq!(error.retry(), Retry::OnChange);
        }
        let error = checked(TEXT, pin, &manifest, pin.size - 1).unwrap_err();
        assert_eq!(error.kind(), "size");
    }

    #[test]
    fn no_byte_of_a_manifest_can_be_changed() {
        let (manifest, pin) = made();
        for at in 0..manifest.len() {
            let mut changed = manifest.clone();
            changed[at] ^= 1;
            let error = checked(TEXT, pin, &changed, MOST).unwrap_err();
            assert_eq!(error.kind(), "wrong-bytes", "byte {at}");
        }
    }
}
