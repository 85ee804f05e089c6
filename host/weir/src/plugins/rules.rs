//! Which plugins a host takes: sources that it allows, and who has to have signed what comes from a registry.

use std::path::PathBuf;
use std::sync::Arc;

use weir_core::digest::Digest;
use weir_core::fault::{Blame, Fault, Retry};
use weir_core::manifest::PluginSource;
use weir_core::plugin::{PluginReference, RegistryPattern, SourcePattern};
use weir_source::cosign::{self, PublicKey, SignatureError, Signed};

use super::read_capped;

/// The largest file of a public key, in bytes.
const MAX_KEY: u64 = 64 << 10;

/// All rules that plugins of a repository are under: each of them has to be kept. None is there where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules(Arc<[PluginRules]>);

/// What one place of the host's file says of plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PluginRules {
    /// Which place, for error texts.
    pub(crate) said_by: String,
    /// The sources that are allowed; `None` for all.
    pub(crate) sources: Option<Vec<SourcePattern>>,
    /// Who has to have signed what comes from where.
    pub(crate) signers: Vec<Signers>,
}

/// Those of whom one has to have signed each plugin from some repositories of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signers {
    /// Which repositories.
    pub(crate) of: RegistryPattern,
    /// Their public keys: PEM files, read at each check, so that they may change while a host runs.
    pub(crate) keys: Vec<PathBuf>,
}

/// Why a plugin is not taken, by the rules of this host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RuleError {
    /// Its source is not allowed.
    #[error(
        "{plugin}: this host does not take plugins from there: `sources` of {said_by} allows {allowed}: add it there, or use a plugin of an allowed source"
    )]
    NotAllowed {
        /// The plugin's source.
        plugin: String,
        /// Which place of the host's file.
        said_by: String,
        /// What it allows.
        allowed: String,
    },
    /// It is not signed as it has to be.
    #[error(
        "{plugin}: `signers` of {said_by} asks for a signature on what comes from {of}, by one of the keys that it lists: {source}"
    )]
    NotSigned {
        /// The plugin's source.
        plugin: String,
        /// Which place of the host's file.
        said_by: String,
        /// The repositories of the rule.
        of: String,
        /// No signature, another signer, a signature of something else.
        #[source]
        source: Box<SignatureError>,
    },
    /// A public key cannot be read.
    #[error(
        "{plugin}: `signers` of {said_by}: the public key {file}: {why}: until it can be read nothing from {of} is taken"
    )]
    Key {
        /// The plugin's source.
        plugin: String,
        /// Which place of the host's file.
        said_by: String,
        /// The repositories of the rule.
        of: String,
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Blame for RuleError {
    fn fault(&self) -> Fault {
        match self {
            RuleError::NotAllowed { .. } | RuleError::Key { .. } => Fault::Host,
            RuleError::NotSigned { source, .. } => source.fault(),
        }
    }
    fn retry(&self) -> Retry {
        match self {
            RuleError::NotAllowed { .. } => Retry::OnChange,
            // A file comes back.
            RuleError::Key { .. } => Retry::Backoff,
            RuleError::NotSigned { source, .. } => source.retry(),
        }
    }
}

impl Signers {
    /// The signature by which one of them signed a manifest.
    ///
    /// # Errors
    /// None of them did, or a key cannot be read.
    pub(super) fn have_signed(
        &self,
        reference: &PluginReference,
        said_by: &str,
        manifest: Digest,
        signatures: &[Signed],
    ) -> Result<Signed, RuleError> {
        let mut keys = Vec::new();
        for path in &self.keys {
            let wrong = |why: String| RuleError::Key {
                plugin: reference.to_string(),
                said_by: said_by.to_owned(),
                of: self.of.to_string(),
                file: path.display().to_string(),
                why,
            };
            let text = read_capped(path, MAX_KEY).map_err(|e| wrong(e.to_string()))?;
            let text = text.ok_or_else(|| wrong("there is no such file".to_owned()))?;
            keys.push(PublicKey::from_pem(&text).map_err(|e| wrong(e.to_string()))?);
        }
        match cosign::signer(&keys, manifest, signatures) {
            Ok((_, signed)) => Ok(signed.clone()),
            Err(source) => Err(RuleError::NotSigned {
                plugin: reference.to_string(),
                said_by: said_by.to_owned(),
                of: self.of.to_string(),
                source: Box::new(source),
            }),
        }
    }
}

impl Rules {
    /// These, all of them.
    pub(crate) fn all(rules: impl IntoIterator<Item = PluginRules>) -> Rules {
        Rules(rules.into_iter().collect())
    }

    /// The same, under these as well, which come first.
    pub(crate) fn under(&self, first: Option<&PluginRules>) -> Rules {
        Rules::all(first.into_iter().chain(self.0.iter()).cloned())
    }

    /// Whether plugins of this source are taken.
    ///
    /// # Errors
    /// The first rule that does not allow it.
    pub(crate) fn allow(&self, source: &PluginSource) -> Result<(), RuleError> {
        for rules in self.0.iter() {
            let Some(sources) = &rules.sources else {
                continue;
            };
            if !sources.iter().any(|pattern| pattern.matches(source)) {
                let all: Vec<String> = sources.iter().map(ToString::to_string).collect();
                return Err(RuleError::NotAllowed {
                    plugin: source.to_string(),
                    said_by: rules.said_by.clone(),
                    allowed: match all.is_empty() {
                        true => "nothing".to_owned(),
                        false => all.join(", "),
                    },
                });
            }
        }
        Ok(())
    }

    /// All rules on who has to have signed what comes from there: the place of the host's file, and the signers.
    pub(super) fn signers(
        &self,
        reference: &PluginReference,
    ) -> impl Iterator<Item = (&str, &Signers)> {
        let each = self.0.iter().flat_map(|rules| {
            let said_by = rules.said_by.as_str();
            rules.signers.iter().map(move |signers| (said_by, signers))
        });
        each.filter(move |(_, signers)| signers.of.matches(reference))
    }

    /// Whether it has to be known that a component comes from just where its lock says: something is asked of that place.
    pub(crate) fn ask_where(&self, reference: &PluginReference) -> bool {
        let lists = self.0.iter().any(|rules| rules.sources.is_some());
        lists || self.signers(reference).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(said_by: &str, sources: Option<&[&str]>) -> PluginRules {
        let parsed = |all: &[&str]| all.iter().map(|s| s.parse().unwrap()).collect();
        PluginRules {
            said_by: said_by.to_owned(),
            sources: sources.map(parsed),
            signers: Vec::new(),
        }
    }

    fn allowed(rules: &Rules, source: &str) -> bool {
        rules.allow(&source.parse().unwrap()).is_ok()
    }

    #[test]
    fn without_rules_all_sources_are_taken_and_with_an_empty_list_none() {
        let (none, open) = (Rules::default(), Rules::all([rules("host", None)]));
        let shut = Rules::all([rules("host", Some(&[]))]);
        for source in ["bundled:yaml", "file:a.wasm", "oci://r.example/a:1"] {
            assert!(allowed(&none, source) && allowed(&open, source), "{source}");
            assert!(!allowed(&shut, source), "{source}");
        }
    }

    #[test]
    fn a_repository_can_only_narrow_what_the_host_allows() {
        let host = rules("host", Some(&["bundled", "oci://r.example/team/"]));
        let own = rules("shop", Some(&["file", "oci://r.example/"]));
        let both = Rules::all([host, own]);
        assert!(allowed(&both, "oci://r.example/team/a:1"));
        for source in ["bundled:yaml", "file:a.wasm", "oci://r.example/other/a:1"] {
            assert!(!allowed(&both, source), "{source}");
        }
        let error = both.allow(&"file:a.wasm".parse().unwrap()).unwrap_err();
        let said = error.to_string();
        for words in [
            "file:a.wasm",
            "`sources` of host",
            "bundled, oci://r.example/team/",
        ] {
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn it_has_to_be_known_where_a_component_comes_from_where_a_rule_is_about_that() {
        let reference: PluginReference = "oci://r.example/team/a:1".parse().unwrap();
        assert!(!Rules::default().ask_where(&reference));
        assert!(!Rules::all([rules("host", None)]).ask_where(&reference));
        assert!(Rules::all([rules("host", Some(&["oci://r.example/"]))]).ask_where(&reference));
        let mut signed = rules("host", None);
        signed.signers.push(Signers {
            of: "oci://r.example/team/".parse().unwrap(),
            keys: vec!["a.pem".into()],
        });
        let signed = Rules::all([signed]);
        assert!(signed.ask_where(&reference));
        assert!(!signed.ask_where(&"oci://r.example/other:1".parse().unwrap()));
    }
}
