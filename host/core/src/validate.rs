//! The gate: rendered objects and findings in, [`Validated`] out or nothing. Only a `Validated` can be planned.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::fault::{Blame, Fault, Retry};
use crate::hook;
use crate::name::PluginName;
use crate::object::{Object, Origin, ResourceId};
use crate::{owner, plan, policy};

/// How large a render may be. Required wherever one is admitted.
#[derive(Debug, Clone, Copy)]
pub struct OutputLimits {
    /// Objects of one app.
    pub objects: usize,
    /// Bytes of one object's canonical text. etcd takes 1.5 MiB in a request.
    pub object_bytes: usize,
}

impl OutputLimits {
    /// What a host allows that was told nothing else.
    pub const HOST: OutputLimits = OutputLimits {
        objects: 50_000,
        object_bytes: 1_500_000,
    };
}

/// What each object of a stream begins with.
pub(crate) const DOCUMENT: &str = "---\n";

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The app may not pass.
    Error,
    /// It passes, and a person should look.
    Warning,
    /// Worth knowing.
    Info,
}

/// Something that a validator, or the gate itself, says about an app's objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// A short stable word.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
    /// Who says it; `None` for Weir itself.
    pub plugin: Option<PluginName>,
    /// The object, where it is about one.
    pub object: Option<ResourceId>,
    /// Where the object came from.
    pub origin: Option<Origin>,
    /// Where in the object: a JSON pointer (RFC 6901).
    pub pointer: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
        };
        write!(f, "{level} [{}]", self.code)?;
        if let Some(object) = &self.object {
            write!(f, " {object}")?;
        }
        if let Some(pointer) = &self.pointer {
            write!(f, " {pointer}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// An app's objects, each one different, that every validator let pass; sorted by identity.
#[derive(Debug, Clone, PartialEq)]
pub struct Validated {
    objects: Vec<Object>,
    notes: Vec<Finding>,
    output: Digest,
}

impl Validated {
    /// The objects, sorted by identity.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }
    /// What is worth knowing but stops nothing.
    pub fn notes(&self) -> &[Finding] {
        &self.notes
    }
    /// The digest of [`Validated::stream`]: what `sha256sum` says of the YAML that `weir render APP` prints.
    pub fn output(&self) -> Digest {
        self.output
    }
    /// All objects as one YAML stream, in order.
    pub fn stream(&self) -> String {
        let pieces = self.objects.iter().flat_map(|o| [DOCUMENT, o.text()]);
        pieces.collect()
    }
}

/// An app that may not pass, with at least one finding of level error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", first_errors(.0))]
pub struct Refused(pub Vec<Finding>);

impl Blame for Refused {
    fn fault(&self) -> Fault {
        Fault::Repository
    }
    fn retry(&self) -> Retry {
        Retry::OnChange
    }
}

/// How many errors one message shows.
const SHOWN_ERRORS: usize = 10;

fn first_errors(findings: &[Finding]) -> String {
    let errors: Vec<_> = findings
        .iter()
        .filter(|f| f.level == Level::Error)
        .collect();
    let mut text: Vec<String> = errors
        .iter()
        .take(SHOWN_ERRORS)
        .map(ToString::to_string)
        .collect();
    if errors.len() > SHOWN_ERRORS {
        text.push(format!(
            "... and {} more errors",
            errors.len() - SHOWN_ERRORS
        ));
    }
    text.join("\n")
}

/// Lets an app's objects pass, or says why not. An app that renders to nothing does not pass: an empty
/// render never means "delete everything".
///
/// # Errors
/// When a finding is an error, two objects have one identity, or a limit is passed.
pub fn admit(
    mut objects: Vec<Object>,
    mut findings: Vec<Finding>,
    limits: OutputLimits,
) -> Result<Validated, Refused> {
    let mut own = |code: &str, object: Option<&Object>, message: String| {
        findings.push(Finding {
            level: Level::Error,
            code: code.to_owned(),
            message,
            plugin: None,
            object: object.map(|o| o.id().clone()),
            origin: object.map(|o| o.origin().clone()),
            pointer: None,
        });
    };
    if objects.is_empty() {
        let message = "the app renders to nothing, and an empty render never means \"delete everything\": take the app out of weir.yaml instead";
        own("nothing-rendered", None, message.to_owned());
    }
    if objects.len() > limits.objects {
        let message = format!(
            "{} objects, at most {} may be in one app (limit: objects): split it",
            objects.len(),
            limits.objects
        );
        own("too-many-objects", None, message);
    }
    let mut seen: BTreeMap<&ResourceId, &Object> = BTreeMap::new();
    for object in &objects {
        if object.text().len() > limits.object_bytes {
            let message = format!(
                "{} bytes, at most {} may be in one object (limit: object bytes)",
                object.text().len(),
                limits.object_bytes
            );
            own("object-too-large", Some(object), message);
        }
        for key in owner::reserved(object) {
            let message = format!(
                "{key} is written by Weir alone, and says whose the object is: leave it out"
            );
            own("reserved-key", Some(object), message);
        }
        if let Err(text) = plan::asked(object) {
            let message = format!(
                "annotation {}: {text:?} is no whole number: a number below 0 comes before, one above 0 after the objects that have none",
                plan::WAVE_ANNOTATION
            );
            own("bad-wave", Some(object), message);
        }
        if let Err(text) = plan::may_prune(object.annotation(plan::PRUNE_ANNOTATION)) {
            let message = format!(
                "annotation {}: {text:?}: expected \"false\", which keeps the object when it goes from Git, or \"true\"",
                plan::PRUNE_ANNOTATION
            );
            own("bad-prune", Some(object), message);
        }
        if let Err(text) = policy::may_recreate(object) {
            let message = format!(
                "annotation {}: {text:?}: expected \"true\", which deletes the object and makes it anew where a field that cannot be changed did, or \"false\"",
                policy::RECREATE_ANNOTATION
            );
            own("bad-recreate", Some(object), message);
        }
        if let Err(message) = hook::read(object) {
            own("bad-hook", Some(object), message);
        }
        if let Some(first) = seen.insert(object.id(), object) {
            let message = format!(
                "is there twice, from {} and from {}",
                first.origin(),
                object.origin()
            );
            own("duplicate-object", Some(object), message);
        }
    }
    findings.sort_by(|a, b| {
        (a.level, &a.origin, &a.code, &a.message).cmp(&(b.level, &b.origin, &b.code, &b.message))
    });
    if findings.iter().any(|f| f.level == Level::Error) {
        return Err(Refused(findings));
    }
    objects.sort_by(|a, b| a.id().cmp(b.id()));
    let mut output = Digest::builder();
    for object in &objects {
        output.raw(DOCUMENT.as_bytes());
        output.raw(object.text().as_bytes());
    }
    let output = output.finish();
    Ok(Validated {
        objects,
        notes: findings,
        output,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str, path: &str) -> Object {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        Object::new(
            body,
            Origin {
                path: path.into(),
                line: 1,
            },
        )
        .unwrap()
    }

    #[test]
    fn the_order_of_input_changes_no_byte() {
        let (a, b) = (object("a", "x"), object("b", "y"));
        let one = admit(vec![a.clone(), b.clone()], vec![], OutputLimits::HOST).unwrap();
        let other = admit(vec![b, a], vec![], OutputLimits::HOST).unwrap();
        assert_eq!(one.output(), other.output());
        assert_eq!(one.stream(), other.stream());
        assert_eq!(one.output(), Digest::of(one.stream().as_bytes()));
    }

    #[test]
    fn one_identity_twice_names_both_files() {
        let refused = admit(
            vec![object("a", "x.yaml"), object("a", "y.yaml")],
            vec![],
            OutputLimits::HOST,
        )
        .unwrap_err();
        let text = refused.to_string();
        assert!(
            text.contains("x.yaml:1") && text.contains("y.yaml:1") && text.contains("ConfigMap a"),
            "{text}"
        );
    }

    #[test]
    fn nothing_is_not_a_render() {
        assert!(
            admit(vec![], vec![], OutputLimits::HOST)
                .unwrap_err()
                .to_string()
                .contains("renders to nothing")
        );
    }

    #[test]
    fn a_wave_that_is_no_number_is_refused_with_its_place() {
        let mut body = object("a", "x.yaml").body();
        body["metadata"]["annotations"] = json!({plan::WAVE_ANNOTATION: "first"});
        let origin = object("a", "x.yaml").origin().clone();
        let wrong = Object::new(body, origin).unwrap();
        let text = admit(vec![wrong], vec![], OutputLimits::HOST)
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("x.yaml:1") && text.contains("\"first\" is no whole number"),
            "{text}"
        );
    }

    #[test]
    fn a_prune_annotation_that_is_no_boolean_is_refused() {
        let annotated = |value: &str| {
            let mut body = object("a", "x.yaml").body();
            body["metadata"]["annotations"] = json!({plan::PRUNE_ANNOTATION: value});
            let origin = object("a", "x.yaml").origin().clone();
            let object = Object::new(body, origin).unwrap();
            admit(vec![object], vec![], OutputLimits::HOST).map_err(|e| e.to_string())
        };
        for value in ["true", "false"] {
            assert!(annotated(value).is_ok(), "{value}");
        }
        for value in ["False", "no", "", "disabled"] {
            let text = annotated(value).unwrap_err();
            assert!(
                text.contains("[bad-prune]") && text.contains("expected \"false\""),
                "{text}"
            );
        }
    }

    #[test]
    fn what_only_weir_writes_on_an_object_is_refused_with_its_place() {
        for (field, key, refused) in [
            ("annotations", owner::ANNOTATION, true),
            ("labels", owner::APP_LABEL, true),
            ("labels", owner::REPOSITORY_LABEL, true),
            ("labels", "weir.dev/anything", true),
            ("annotations", plan::WAVE_ANNOTATION, false),
            ("labels", "app.kubernetes.io/name", false),
            ("labels", "weir.dev.example.com/app", false),
        ] {
            let mut body = object("a", "x.yaml").body();
            body["metadata"][field] = json!({key: "1"});
            let origin = object("a", "x.yaml").origin().clone();
            let made = Object::new(body, origin).unwrap();
            let admitted = admit(vec![made], vec![], OutputLimits::HOST);
            let text = admitted.err().map(|e| e.to_string());
            let said = text.as_ref().is_some_and(|text| {
                text.starts_with("x.yaml:1: error [reserved-key] ConfigMap a: ")
                    && text.contains(key)
            });
            // A wave that is no number is another finding.
            assert_eq!(said, refused, "{key}: {text:?}");
            assert_eq!(text.is_some(), refused, "{key}: {text:?}");
        }
    }

    #[test]
    fn a_hook_of_an_unknown_phase_is_refused_with_its_place() {
        let mut body = object("a", "x.yaml").body();
        body["metadata"]["annotations"] = json!({hook::ANNOTATION: "pre-install"});
        let origin = object("a", "x.yaml").origin().clone();
        let wrong = Object::new(body, origin).unwrap();
        let text = admit(vec![wrong], vec![], OutputLimits::HOST)
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("x.yaml:1") && text.contains("\"pre-install\" is neither pre nor post"),
            "{text}"
        );
    }

    #[test]
    fn limits_are_named() {
        let limits = OutputLimits {
            objects: 1,
            object_bytes: 10,
        };
        let text = admit(vec![object("a", "x"), object("b", "x")], vec![], limits)
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("limit: objects") && text.contains("limit: object bytes"),
            "{text}"
        );
    }

    #[test]
    fn a_warning_passes_and_an_error_does_not() {
        let finding = |level| Finding {
            level,
            code: "c".into(),
            message: "m".into(),
            plugin: None,
            object: None,
            origin: None,
            pointer: None,
        };
        assert!(
            admit(
                vec![object("a", "x")],
                vec![finding(Level::Warning)],
                OutputLimits::HOST
            )
            .is_ok()
        );
        assert!(
            admit(
                vec![object("a", "x")],
                vec![finding(Level::Error)],
                OutputLimits::HOST
            )
            .is_err()
        );
    }
}
