//! `weir.lock`: what comes from outside the repository, pinned: plugin digests, and what renders may know of a target.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::digest::Digest;
use crate::external::{LockedExternal, MAX_EXTERNALS, RawLockedExternal, Reference};
use crate::fault::{Blame, Fault, Retry};
use crate::manifest::{
    Errors, MAX_ERRORS, Manifest, ManifestError, ManifestErrors, Place, PluginSource, Version,
    document, schema_of,
};
use crate::name::{PluginName, TargetName};
use crate::plugin::{PluginReference, RegistryPin};
use crate::yaml::{Mark, decode, emit};

/// The lock's file, beside the manifest.
pub const LOCK_FILE: &str = "weir.lock";

const HEADER: &str = "\
# Written by `weir lock`: what the renders of this repository get from outside it.
# Commit it. `weir lock` adds what is missing, `weir lock --update` pins everything anew.
";

/// What `weir lock` writes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "weir.lock")]
pub struct Lock {
    /// The version of this file's format: 1.
    pub version: Version,
    /// The plugins, bundled and implied ones too.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, LockedPlugin>")]
    pub plugins: BTreeMap<PluginName, LockedPlugin>,
    /// What renders may know of each target.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, TargetFacts>")]
    pub targets: BTreeMap<TargetName, TargetFacts>,
    /// The charts and other repositories that renders are shown, by reference.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, RawLockedExternal>")]
    pub externals: BTreeMap<Reference, LockedExternal>,
}

/// A plugin's pin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockedPlugin {
    /// The source that the digest was resolved from, as in the manifest.
    pub source: String,
    /// The digest of the component's bytes.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// The digest of its manifest's bytes, of a component in a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub manifest: Option<Digest>,
    /// How many bytes it has, of a component in a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// All that a render may know of its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetFacts {
    /// The Kubernetes version, such as `1.37.0`.
    #[serde(deserialize_with = "kubernetes_version")]
    pub kubernetes: String,
    /// The APIs that are served there beside Kubernetes' own, such as `cert-manager.io/v1`.
    #[serde(default)]
    pub apis: Vec<String>,
    /// The instant at which every clock stands, in whole seconds, such as `2026-01-01T00:00:00Z`.
    #[serde(deserialize_with = "whole_seconds")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub instant: Timestamp,
}

/// Which bytes a plugin's name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// Exactly these.
    Digest(Digest),
    /// This host's own bundled plugin of that name: there is no lock.
    HostsOwn(String),
}

/// Why a name is not pinned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// The manifest does not have the plugin.
    #[error("plugin {0:?} is not in the manifest")]
    UnknownPlugin(String),
    /// There is no lock, and the plugin does not come with Weir.
    #[error(
        "plugin \"{plugin}\" ({source_text}) needs a weir.lock, since only bundled: plugins work without: run `weir lock` and commit the file"
    )]
    NoLock {
        /// The plugin.
        plugin: PluginName,
        /// Its source in the manifest.
        source_text: String,
    },
    /// The lock does not have the plugin.
    #[error(
        "plugin \"{plugin}\" ({source_text}) is not in weir.lock: run `weir lock` and commit the file"
    )]
    NotLocked {
        /// The plugin.
        plugin: PluginName,
        /// Its source in the manifest.
        source_text: String,
    },
    /// The lock has the plugin from elsewhere.
    #[error(
        "plugin \"{plugin}\" comes from {source_text}, but weir.lock pins {locked}: run `weir lock` and commit the file"
    )]
    OtherSource {
        /// The plugin.
        plugin: PluginName,
        /// Its source in the manifest.
        source_text: String,
        /// Its source in the lock.
        locked: String,
    },
    /// The lock does not have the target.
    #[error("target \"{0}\" is not in weir.lock: run `weir lock` and commit the file")]
    TargetNotLocked(TargetName),
    /// The lock does not have an external that the manifest declares.
    #[error("external `{0}` is not in weir.lock: run `weir lock` and commit the file")]
    ExternalNotLocked(Box<Reference>),
    /// No digest was given for a plugin that has to be pinned anew.
    #[error(
        "plugin \"{plugin}\" ({source_text}) could not be resolved to a digest: this host does not have it"
    )]
    Unresolved {
        /// The plugin.
        plugin: PluginName,
        /// Its source in the manifest.
        source_text: String,
    },
}

impl Blame for LockError {
    fn fault(&self) -> Fault {
        match self {
            LockError::Unresolved { .. } => Fault::Host,
            _ => Fault::Repository,
        }
    }
    fn retry(&self) -> Retry {
        Retry::OnChange
    }
}

impl LockedPlugin {
    /// A component that comes with Weir or lies in the repository.
    pub fn here(source: &PluginSource, digest: Digest) -> LockedPlugin {
        LockedPlugin {
            source: source.to_string(),
            digest,
            manifest: None,
            size: None,
        }
    }

    /// A component in a registry.
    pub fn in_registry(reference: &PluginReference, pin: RegistryPin) -> LockedPlugin {
        LockedPlugin {
            source: reference.to_string(),
            digest: pin.component,
            manifest: Some(pin.manifest),
            size: Some(pin.size),
        }
    }

    /// What it takes to fetch it from a registry, where that is pinned.
    pub fn registry_pin(&self) -> Option<RegistryPin> {
        Some(RegistryPin {
            manifest: self.manifest?,
            component: self.digest,
            size: self.size?,
        })
    }

    /// Whether all is pinned that a component of its source needs.
    pub fn is_whole(&self) -> bool {
        !self.source.starts_with("oci://") || self.registry_pin().is_some()
    }

    /// What does not go together in it.
    fn fault(&self) -> Option<&'static str> {
        let in_registry = self.source.starts_with("oci://");
        let named = match self.source.parse() {
            Ok(PluginSource::Oci(reference)) => reference.digest(),
            _ => None,
        };
        match (self.manifest, self.size) {
            (None, None) => None,
            (Some(_), Some(_)) if !in_registry => {
                Some("only a component of oci:// has a manifest and a size")
            }
            (Some(manifest), Some(_)) if named.is_some_and(|named| named != manifest) => {
                Some("its source names another manifest than it pins")
            }
            (Some(_), Some(_)) => None,
            _ => Some("manifest and size go together"),
        }
    }
}

impl TargetFacts {
    /// The Kubernetes version that renders see where nothing pins one.
    pub const FIXED_KUBERNETES: &str = "1.37.0";

    /// What renders see where nothing is pinned: the same everywhere and for ever.
    pub fn fixed() -> TargetFacts {
        TargetFacts {
            kubernetes: TargetFacts::FIXED_KUBERNETES.to_owned(),
            apis: Vec::new(),
            instant: Timestamp::constant(1_577_836_800, 0),
        }
    }
}

/// The JSON Schema of `weir.lock`, for editors.
pub fn lock_schema() -> Value {
    schema_of::<Lock>()
}

impl Lock {
    /// Reads a lock.
    ///
    /// # Errors
    /// The first thing wrong, at its place.
    pub fn parse(text: &[u8], file: &str) -> Result<Lock, ManifestErrors> {
        let node = document(text, file)?;
        let lock: Lock = decode(&node).map_err(|e| ManifestError {
            file: file.to_owned(),
            mark: e.mark,
            message: e.message,
        })?;
        let mut errors = Errors::new(file);
        let place = Place::root(&node).key("plugins");
        for (name, locked) in &lock.plugins {
            if let Some(why) = locked.fault() {
                let message = format!(
                    "plugin {name}: {why}: take the entry out of the file and run `weir lock`"
                );
                errors.push(place.key(name.as_str()).mark(), message);
            }
        }
        let place = Place::root(&node).key("externals");
        if lock.externals.len() > MAX_EXTERNALS {
            let message = format!(
                "{} externals: expected at most {MAX_EXTERNALS}",
                lock.externals.len()
            );
            errors.push(place.mark(), message);
        }
        for (reference, locked) in &lock.externals {
            if !locked.fits(reference) {
                let message = format!(
                    "external `{reference}`: expected a commit for git+, version, digest and size for all others: run `weir lock`"
                );
                errors.push(place.key(reference.as_str()).mark(), message);
            }
        }
        if errors.is_empty() {
            Ok(lock)
        } else {
            Err(errors.into_errors())
        }
    }

    /// The text of `weir.lock`: the same for the same lock, in order of names, one value a line.
    pub fn emit(&self) -> String {
        let mut text = HEADER.to_owned();
        let plugins: Map<String, Value> = self
            .plugins
            .iter()
            .map(|(name, p)| (name.to_string(), json!(p)))
            .collect();
        let targets: Map<String, Value> = self
            .targets
            .iter()
            .map(|(name, t)| {
                (name.to_string(), json!({ "kubernetes": t.kubernetes, "apis": t.apis, "instant": t.instant.to_string() }))
            })
            .collect();
        let externals: Map<String, Value> = self
            .externals
            .iter()
            .map(|(reference, locked)| (reference.to_string(), json!(locked)))
            .collect();
        // One by one, so that the version comes first whatever order a JSON map keeps.
        let mut parts = vec![
            ("version", json!(1)),
            ("plugins", plugins.into()),
            ("targets", targets.into()),
        ];
        if !externals.is_empty() {
            parts.push(("externals", externals.into()));
        }
        for (key, value) in parts {
            text.push_str(&emit(&json!({ key: value })));
        }
        text
    }

    /// What `weir lock` writes: an existing instant and existing digests stay unless `update`; what the
    /// manifest does not name any more goes. `found` is what the host resolved, `now` is cut to
    /// whole seconds. A target's Kubernetes version and APIs are a person's to change, so they stay. Externals are
    /// not the manifest's alone to say: there are none yet.
    ///
    /// # Errors
    /// When a plugin has to be pinned and `found` does not have it.
    pub fn update(
        manifest: &Manifest,
        found: &BTreeMap<PluginName, LockedPlugin>,
        old: Option<&Lock>,
        now: Timestamp,
        update: bool,
    ) -> Result<Lock, LockError> {
        let instant =
            Timestamp::from_second(now.as_second().max(0)).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut lock = Lock::default();
        for (name, spec) in &manifest.plugins {
            let source = spec.source.to_string();
            let kept = old
                .and_then(|old| old.plugins.get(name))
                .filter(|p| !update && p.source == source && p.is_whole());
            let Some(locked) = kept.or_else(|| found.get(name)) else {
                return Err(LockError::Unresolved {
                    plugin: name.clone(),
                    source_text: source,
                });
            };
            lock.plugins.insert(name.clone(), locked.clone());
        }
        for name in &manifest.targets {
            let kept = old.and_then(|old| old.targets.get(name)).cloned();
            let facts = match kept {
                Some(facts) if !update => facts,
                Some(facts) => TargetFacts { instant, ..facts },
                None => TargetFacts {
                    instant,
                    ..TargetFacts::fixed()
                },
            };
            lock.targets.insert(name.clone(), facts);
        }
        Ok(lock)
    }
}

/// Whether a lock, or that there is none, goes with a manifest that was read from `file`.
///
/// # Errors
/// Each plugin and target that is not pinned, at the plugin's place in the manifest.
pub fn check(manifest: &Manifest, lock: Option<&Lock>, file: &str) -> Result<(), ManifestErrors> {
    let plugins = manifest
        .plugins
        .iter()
        .map(|(name, spec)| (spec.mark, digest_for(manifest, lock, name).err()));
    let targets = manifest
        .targets
        .iter()
        .map(|name| (Mark::default(), facts_for(lock, name).err()));
    let externals = manifest.externals.iter().map(|reference| {
        let locked = lock.is_some_and(|lock| lock.externals.contains_key(reference));
        let error = (!locked).then(|| LockError::ExternalNotLocked(Box::new(reference.clone())));
        (Mark::default(), error)
    });
    let mut errors: Vec<ManifestError> = plugins
        .chain(targets)
        .chain(externals)
        .filter_map(|(mark, error)| {
            Some(ManifestError {
                file: file.to_owned(),
                mark,
                message: error?.to_string(),
            })
        })
        .collect();
    errors.sort_by_key(|e| e.mark);
    errors.truncate(MAX_ERRORS);
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ManifestErrors(errors))
    }
}

/// The bytes that a plugin of the manifest stands for.
///
/// # Errors
/// When the lock does not have it, or has it from another source; without a lock, when it is not bundled.
pub fn digest_for(
    manifest: &Manifest,
    lock: Option<&Lock>,
    plugin: &PluginName,
) -> Result<Pin, LockError> {
    let spec = manifest
        .plugins
        .get(plugin)
        .ok_or_else(|| LockError::UnknownPlugin(plugin.to_string()))?;
    let source_text = spec.source.to_string();
    let plugin = plugin.clone();
    match (lock.map(|lock| lock.plugins.get(&plugin)), &spec.source) {
        (None, PluginSource::Bundled(name)) => Ok(Pin::HostsOwn(name.clone())),
        (None, _) => Err(LockError::NoLock {
            plugin,
            source_text,
        }),
        (Some(None), _) => Err(LockError::NotLocked {
            plugin,
            source_text,
        }),
        (Some(Some(locked)), _) if locked.source == source_text => Ok(Pin::Digest(locked.digest)),
        (Some(Some(locked)), _) => Err(LockError::OtherSource {
            plugin,
            source_text,
            locked: locked.source.clone(),
        }),
    }
}

/// What renders may know of a target: the lock's facts, or without a lock the fixed ones.
///
/// # Errors
/// When there is a lock and the target is not in it.
pub fn facts_for(lock: Option<&Lock>, target: &TargetName) -> Result<TargetFacts, LockError> {
    match lock {
        None => Ok(TargetFacts::fixed()),
        Some(lock) => lock
            .targets
            .get(target)
            .cloned()
            .ok_or_else(|| LockError::TargetNotLocked(target.clone())),
    }
}

fn kubernetes_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let number = |part: &str| {
        !part.is_empty() && part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit())
    };
    if text.split('.').count() == 3 && text.split('.').all(number) {
        Ok(text)
    } else {
        Err(serde::de::Error::custom(format!(
            "Kubernetes version {text:?}: expected three numbers, such as 1.37.0"
        )))
    }
}

fn whole_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    let instant = text
        .parse::<Timestamp>()
        .ok()
        .filter(|t| t.subsec_nanosecond() == 0 && t.as_second() >= 0);
    instant.ok_or_else(|| {
        serde::de::Error::custom(format!(
            "instant {text:?}: expected RFC 3339 in whole seconds, 1970 or later, such as 2026-01-01T00:00:00Z"
        ))
    })
}
