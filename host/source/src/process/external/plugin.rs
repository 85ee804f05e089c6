//! Plugins and their signatures, got by processes of their own: held against what was asked for, as if a stranger had said it.

use weir_core::digest::Digest;
use weir_core::plugin::{PluginReference, RegistryPin};

use super::words::{Get, Pin};
use super::{Elsewhere, SIGNATURES};
use crate::cosign::{MAX_SIGNATURES, Signed};
use crate::external::{ExternalError, GotPlugin, PluginError, checked, parse_manifest};

impl Elsewhere<'_> {
    /// What a reference means now.
    pub(crate) fn named(&self, reference: &PluginReference) -> Result<GotPlugin, PluginError> {
        let limits = &self.externals.limits;
        let [manifest] = self.parts(Get::Named, [limits.manifest_bytes])?;
        let digest = Digest::of(&manifest);
        if reference.digest().is_some_and(|named| named != digest) {
            return Err(self.not_that().into());
        }
        let artifact = parse_manifest(&manifest, limits.component_bytes);
        let blob = artifact.map_err(|_| self.not_that())?.layer;
        Ok(GotPlugin {
            pin: RegistryPin {
                manifest: digest,
                component: blob.digest,
                size: blob.size,
            },
            manifest,
            component: None,
        })
    }

    /// The manifest alone that is pinned.
    pub(crate) fn manifest_alone(
        &self,
        reference: &PluginReference,
        pin: RegistryPin,
    ) -> Result<GotPlugin, PluginError> {
        let most = self.externals.limits.manifest_bytes;
        let [manifest] = self.parts(Get::Manifest(Pin::of(pin)), [most])?;
        self.is_pinned(reference, pin, &manifest)?;
        Ok(GotPlugin {
            pin,
            manifest,
            component: None,
        })
    }

    /// The manifest and the component that are pinned.
    pub(crate) fn pinned(
        &self,
        reference: &PluginReference,
        pin: RegistryPin,
    ) -> Result<GotPlugin, PluginError> {
        let limits = &self.externals.limits;
        let most = [limits.manifest_bytes, pin.size.min(limits.component_bytes)];
        let [manifest, component] = self.parts(Get::Plugin(Pin::of(pin)), most)?;
        self.is_pinned(reference, pin, &manifest)?;
        if component.len() as u64 != pin.size || Digest::of(&component) != pin.component {
            return Err(self.not_that().into());
        }
        Ok(GotPlugin {
            pin,
            manifest,
            component: Some(component),
        })
    }

    /// All signatures of a manifest. Whether one counts is looked at where they are used.
    pub(crate) fn signatures(&self, manifest: Digest) -> Result<Vec<Signed>, ExternalError> {
        let got = self.parts(Get::Signatures(manifest), [SIGNATURES]);
        let [signed] = got.map_err(|e| self.of_chart(e))?;
        let signed: Option<Vec<Signed>> = serde_json::from_slice(&signed).ok();
        let signed = signed.filter(|all| all.len() <= MAX_SIGNATURES);
        signed.ok_or_else(|| self.strayed("it handed over signatures that are none"))
    }

    /// What does not fit the pin was refused by an honest process already.
    fn is_pinned(
        &self,
        reference: &PluginReference,
        pin: RegistryPin,
        manifest: &[u8],
    ) -> Result<(), ExternalError> {
        let most = self.externals.limits.component_bytes;
        let checked = checked(&reference.to_string(), pin, manifest, most);
        checked.map_err(|_| self.not_that())
    }

    fn not_that(&self) -> ExternalError {
        self.strayed("it got something else than it was asked for")
    }
}
