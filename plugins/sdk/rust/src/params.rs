//! What one call is about, and the typed config in it.

use serde::de::DeserializeOwned;

use crate::Diagnostic;

/// What one call is about. Everything here is an input of the render and bound
/// into its receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    /// The app's name.
    pub app: String,
    /// The app's path in the tree, without a leading slash; empty is the root.
    pub path: String,
    /// The namespace that objects without one will get.
    pub namespace: Option<String>,
    /// Where the app lands, as pinned in the lock.
    pub target: TargetFacts,
    /// The plugin's `config` from the manifest: a JSON object. See [`Params::config`].
    pub config: Vec<u8>,
}

/// What a render may know of its target, from `weir.lock`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TargetFacts {
    /// The target's name in the manifest.
    pub name: String,
    /// The Kubernetes version, such as `1.37.2`.
    pub kubernetes: String,
    /// The API list, such as `apps/v1/Deployment`, sorted.
    pub apis: Vec<String>,
}

impl Params {
    /// Params for a test: no namespace, no target facts, an empty config.
    pub fn new(app: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            app: app.into(),
            path: path.into(),
            namespace: None,
            target: TargetFacts::default(),
            config: b"{}".to_vec(),
        }
    }

    /// The same with a config, as JSON.
    #[must_use]
    pub fn with_config(self, json: impl Into<Vec<u8>>) -> Self {
        Self {
            config: json.into(),
            ..self
        }
    }

    /// A path that a config names, as the tree has it: relative to the app's path, or, with a leading `/`, to the
    /// repository's root.
    ///
    /// # Errors
    /// `bad-config` where it leads out of the repository, or to nothing.
    pub fn resolve(&self, path: &str) -> Result<String, Diagnostic> {
        let (start, path) = match path.strip_prefix('/') {
            Some(rest) => ("", rest),
            None => (self.path.as_str(), path),
        };
        let mut parts: Vec<&str> = start.split('/').filter(|part| !part.is_empty()).collect();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." if parts.pop().is_some() => {}
                ".." => {
                    let message = format!("config: the path {path:?} leads out of the repository");
                    return Err(Diagnostic::error("bad-config", message));
                }
                part => parts.push(part),
            }
        }
        if path.is_empty() {
            return Err(Diagnostic::error("bad-config", "config: a path is empty"));
        }
        Ok(parts.join("/"))
    }

    /// The config as the plugin's own type. Give that type
    /// `#[serde(deny_unknown_fields)]`, so that a typing error is an error. A
    /// config that was left out reads as an empty object.
    ///
    /// # Errors
    /// A diagnostic `bad-config` that names the key, what was expected and, for
    /// an unknown key, the nearest known one.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, Diagnostic> {
        let bytes = if self.config.is_empty() {
            b"{}"
        } else {
            self.config.as_slice()
        };
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let place = match error.path().to_string().as_str() {
                "." | "?" => "config".to_string(),
                path => format!("config.{path}"),
            };
            bad_config(&place, &error.into_inner())
        })?;
        json.end().map_err(|error| bad_config("config", &error))?;
        Ok(value)
    }
}

fn bad_config(place: &str, error: &serde_json::Error) -> Diagnostic {
    let text = error.to_string();
    // The position is one in the JSON that the host made, not in the file that
    // the person wrote: it would only mislead.
    let text = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(said, _)| said);
    Diagnostic::error("bad-config", format!("{place}: {}", with_nearest(text)))
}

/// Serde's sentence about an unknown field or variant, with the nearest of
/// those that it lists. Any other sentence stays as it is.
fn with_nearest(text: &str) -> String {
    let unknown = text.starts_with("unknown field ") || text.starts_with("unknown variant ");
    let Some((said, known)) = text.split_once(", expected ").filter(|_| unknown) else {
        return text.to_string();
    };
    let quoted = |part: &str| {
        part.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_string)
            .collect::<Vec<_>>()
    };
    let (given, known) = (quoted(said), quoted(known));
    let nearest = given.first().and_then(|given| {
        known
            .iter()
            .map(|name| (strsim::damerau_levenshtein(given, name), name))
            .filter(|(distance, name)| *distance <= name.len().div_ceil(2))
            .min()
    });
    match nearest {
        Some((_, name)) => format!("{said}; did you mean `{name}`? Known: {}", known.join(", ")),
        None => format!("{said}; known: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq, Eq)]
    #[serde(deny_unknown_fields)]
    struct Config {
        team: String,
        #[serde(default)]
        checks: BTreeMap<String, Choice>,
    }

    #[derive(Debug, Deserialize, PartialEq, Eq)]
    #[serde(rename_all = "lowercase")]
    enum Choice {
        Error,
        Off,
    }

    fn complaint(json: &str) -> String {
        let params = Params::new("shop", "apps/shop").with_config(json);
        let diagnostic = params.config::<Config>().unwrap_err();
        assert_eq!(diagnostic.code, "bad-config");
        diagnostic.message
    }

    #[test]
    fn a_good_config_is_the_plugins_own_type() {
        let params = Params::new("shop", "").with_config(r#"{"team":"a","checks":{"x":"off"}}"#);
        let expected = Config {
            team: "a".into(),
            checks: [("x".to_string(), Choice::Off)].into(),
        };
        assert_eq!(params.config::<Config>(), Ok(expected));
    }

    #[test]
    fn no_config_reads_as_an_empty_object() {
        let params = Params::new("shop", "").with_config("");
        assert_eq!(
            params.config::<BTreeMap<String, String>>(),
            Ok(BTreeMap::new())
        );
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_one() {
        let said = complaint(r#"{"taem":"a"}"#);
        assert_eq!(
            said,
            "config.taem: unknown field `taem`; did you mean `team`? Known: team, checks"
        );
    }

    #[test]
    fn an_unknown_key_that_is_near_to_nothing_gets_the_list() {
        let said = complaint(r#"{"zzzzzzzzzz":"a"}"#);
        assert_eq!(
            said,
            "config.zzzzzzzzzz: unknown field `zzzzzzzzzz`; known: team, checks"
        );
    }

    #[test]
    fn a_wrong_value_is_named_by_its_whole_key() {
        assert_eq!(
            complaint(r#"{"team":3}"#),
            "config.team: invalid type: integer `3`, expected a string"
        );
        let said = complaint(r#"{"team":"a","checks":{"x":"of"}}"#);
        assert_eq!(
            said,
            "config.checks.x: unknown variant `of`; did you mean `off`? Known: error, off"
        );
    }

    #[test]
    fn a_missing_key_is_named() {
        assert_eq!(complaint("{}"), "config: missing field `team`");
    }

    #[test]
    fn a_path_is_the_apps_own_or_the_repositorys_and_never_leads_out() {
        let resolve = |path| Params::new("shop", "apps/shop").resolve(path);
        for (given, expected) in [
            ("a.yaml", "apps/shop/a.yaml"),
            ("./b//a.yaml", "apps/shop/b/a.yaml"),
            ("../base/a.yaml", "apps/base/a.yaml"),
            ("../../a.yaml", "a.yaml"),
            ("/crds/a.yaml", "crds/a.yaml"),
        ] {
            assert_eq!(resolve(given).unwrap(), expected, "{given}");
        }
        for bad in ["", "/", "../../../a.yaml", "/../a.yaml"] {
            assert_eq!(resolve(bad).unwrap_err().code, "bad-config", "{bad}");
        }
    }

    #[test]
    fn what_is_not_one_json_object_is_refused() {
        assert!(complaint("[]").starts_with("config: "));
        assert!(complaint("{").starts_with("config: EOF while parsing"));
        assert!(complaint(r#"{"team":"a"} {}"#).starts_with("config: trailing characters"));
    }
}
