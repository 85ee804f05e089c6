//! Which plugins are taken: `plugins` of the host's file, for all repositories and for each of them.
//!
//! A key that stands there without a value is refused: it is a value that went missing, and never means all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use weir_core::manifest::{Errors, Place};
use weir_core::plugin::{RegistryPattern, SourcePattern};

use super::parsed::Parsed;
use super::tenancy::given;
use crate::plugins::rules::{PluginRules, Signers};

/// The most items of one list.
const MAX_ITEMS: usize = 1_000;

/// Which plugins are taken.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawPlugins {
    /// Where plugins may come from: `bundled`, `file`, `oci://HOST/PATH`, or `oci://HOST/PATH/` for all that is below. Left
    /// out: all.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Vec<String>")]
    sources: Option<Vec<Parsed<SourcePattern>>>,
    /// Who has to have signed what comes from a registry: `oci://HOST/PATH`, or `oci://HOST/PATH/` for all that is below, each
    /// with PEM files of public keys, of which one has to have signed. Left out: nobody has to.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "BTreeMap<String, Vec<PathBuf>>")]
    signers: Option<BTreeMap<String, Vec<PathBuf>>>,
}

impl RawPlugins {
    /// As meant; what is wrong with it goes to the errors.
    pub(super) fn meant(
        self,
        said_by: String,
        place: Place<'_>,
        base: &Path,
        errors: &mut Errors<'_>,
    ) -> PluginRules {
        if self.sources.is_none() && self.signers.is_none() {
            errors.push(place.mark(), "expected sources, signers or both");
        }
        let count = self.sources.as_ref().map_or(0, Vec::len);
        if count > MAX_ITEMS {
            let message = format!("{count} sources: expected at most {MAX_ITEMS}");
            errors.push(place.key("sources").mark(), message);
        }
        let at = place.key("signers");
        let signers = self.signers.unwrap_or_default();
        let count = signers.values().map(Vec::len).sum::<usize>() + signers.len();
        if count > MAX_ITEMS {
            let message = format!("{count} places and keys: expected at most {MAX_ITEMS}");
            errors.push(at.mark(), message);
        }
        let mut meant = Vec::new();
        for (pattern, keys) in signers {
            if keys.is_empty() {
                let message =
                    "expected at least one PEM file with a public key: nobody could sign for it";
                errors.push(at.key(&pattern).mark(), message);
            }
            let of = errors.take(at.name(&pattern), pattern.parse::<RegistryPattern>());
            meant.extend(of.map(|of| Signers {
                of,
                keys: keys.into_iter().map(|file| base.join(file)).collect(),
            }));
        }
        let sources = self.sources;
        PluginRules {
            said_by,
            sources: sources.map(|all| all.into_iter().map(|pattern| pattern.0).collect()),
            signers: meant,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    const ONE: &str =
        "version: 1\nrepositories:\n- url: https://h/x\n  targets: { default: 'kube:' }\n";

    fn refused(more: &str, expected: &str) {
        let text = format!("{ONE}{more}");
        let error = file::parse(text.as_bytes(), "x.yaml", Path::new("/etc")).unwrap_err();
        assert!(error.to_string().contains(expected), "{text}{error}");
    }

    fn allows(file: &file::HostFile, source: &str) -> bool {
        let rules = &file.repositories[0].plugins;
        rules.allow(&source.parse().unwrap()).is_ok()
    }

    #[test]
    fn the_hosts_rules_and_a_repositorys_own_are_both_kept() {
        let text = format!(
            "{ONE}  plugins: {{ sources: [bundled, 'oci://r.example/team/'] }}\nplugins: {{ sources: [file, 'oci://r.example/'] }}\n"
        );
        let file = file::parse(text.as_bytes(), "x.yaml", Path::new("/etc")).unwrap();
        assert!(allows(&file, "oci://r.example/team/a:1"));
        for source in ["bundled:yaml", "file:a.wasm", "oci://r.example/a:1"] {
            assert!(!allows(&file, source), "{source}");
        }
        let file = file::parse(ONE.as_bytes(), "x.yaml", Path::new("/etc")).unwrap();
        assert!(allows(&file, "oci://any.example/a:1"));
    }

    #[test]
    fn mistakes_have_their_place() {
        refused("plugins:\n", "x.yaml:5:8: expected a map, found nothing");
        refused(
            "plugins: {}\n",
            "x.yaml:5:10: expected sources, signers or both",
        );
        refused("plugins: { sources: }\n", "x.yaml:5:");
        refused("plugins: { sourses: [] }\n", "did you mean \"sources\"");
        refused(
            "plugins: { sources: ['oci://r.example'] }\n",
            "x.yaml:5:22: \"oci://r.example\": it has no / after the registry; expected bundled, file, oci://",
        );
        refused("plugins: { sources: ['*'] }\n", "x.yaml:5:22: \"*\": ");
        refused(
            "plugins: { signers: { 'oci://r.example/': [] } }\n",
            "at least one PEM file",
        );
        refused(
            "plugins: { signers: { 'r.example/': [a.pem] } }\n",
            "x.yaml:5:23: \"r.example/\": it does not begin with oci://",
        );
        refused("  plugins: { sources: ['*'] }\n", "x.yaml:5:24: \"*\": ");
    }
}
