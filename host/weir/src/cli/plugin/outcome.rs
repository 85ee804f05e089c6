//! What came of a call, in the form that golden files and people read.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use weir_core::object::Object;
use weir_core::render::{self, Document};
use weir_core::yaml::{self, Budget};
use weir_sandbox::{CallError, Diagnostic, Failure, Finding, Level, Usage};

/// What came of a call, and what it cost.
pub(super) struct Called {
    pub(super) outcome: Outcome,
    pub(super) usage: Usage,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// A renderer's documents as the host takes them: objects, by the file that each came from.
    Rendered(Vec<Object>),
    /// A transformer's objects.
    Transformed(Vec<Object>),
    /// A validator's findings.
    Found(Vec<Value>),
    /// Nothing, and why.
    Failed {
        /// In the form of a golden file.
        told: Value,
        /// For a person.
        message: String,
    },
}

impl Outcome {
    /// A renderer's documents.
    pub(super) fn rendered(documents: Vec<weir_sandbox::Document>) -> Outcome {
        let documents: Vec<Document> = documents
            .into_iter()
            .map(|d| Document {
                origin: d.origin,
                body: d.body,
            })
            .collect();
        match render::parse(&documents, &Budget::HOST) {
            Ok(objects) => Outcome::Rendered(objects),
            Err(e) => Outcome::bad_output(&e.to_string()),
        }
    }

    /// A transformer's objects.
    pub(super) fn transformed(before: &[Object], after: &[Vec<u8>]) -> Outcome {
        let values: Result<Vec<Value>, _> =
            after.iter().map(|b| serde_json::from_slice(b)).collect();
        let values = match values {
            Ok(values) => values,
            Err(e) => return Outcome::bad_output(&format!("an object that is no JSON: {e}")),
        };
        match render::transformed(before, values, "transformer") {
            Ok(objects) => Outcome::Transformed(objects),
            Err(e) => Outcome::bad_output(&e.to_string()),
        }
    }

    /// A validator's findings, each with its object's name.
    pub(super) fn found(findings: Vec<Finding>, objects: &[Object]) -> Outcome {
        let found = findings.into_iter().map(|f| {
            let object = f.object.and_then(|n| objects.get(n as usize));
            told(&[
                ("level", Some(level(f.level).into())),
                ("code", Some(f.code.into())),
                ("message", Some(f.message.into())),
                ("object", object.map(|o| o.id().to_string().into())),
                ("path", f.path.map(Value::from)),
                ("line", f.line.map(Value::from)),
            ])
        });
        Outcome::Found(found.collect())
    }

    /// A call that gave nothing.
    pub(super) fn failed(error: &CallError) -> Outcome {
        let message = error.to_string();
        let told = match &error.failure {
            Failure::Diagnostics(list) => {
                let list: Vec<Value> = list.iter().map(diagnostic).collect();
                json!({ "failed": "diagnostics", "diagnostics": list })
            }
            Failure::Refused { what, .. } => json!({ "failed": "refused", "what": what }),
            Failure::BadOutput { what } => json!({ "failed": "output", "what": what }),
            other => json!({ "failed": word(other) }),
        };
        Outcome::Failed { told, message }
    }

    /// What the host would not take.
    fn bad_output(what: &str) -> Outcome {
        Outcome::Failed {
            told: json!({ "failed": "output", "what": what }),
            message: format!("what it returned is not what the host takes: {what}"),
        }
    }

    /// Whether the plugin gave what it is asked for.
    pub(super) fn is_good(&self) -> bool {
        !matches!(self, Outcome::Failed { .. })
    }

    /// As a golden file has it.
    pub(super) fn text(&self) -> String {
        match self {
            Outcome::Rendered(objects) => stream(objects, true),
            Outcome::Transformed(objects) => stream(objects, false),
            Outcome::Found(list) => findings(list),
            Outcome::Failed { told, .. } => failure(told),
        }
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let bodies = |objects: &[Object]| objects.iter().map(|o| o.body()).collect::<Vec<_>>();
        match self {
            Outcome::Rendered(objects) => {
                let objects: Vec<Value> = objects
                    .iter()
                    .map(|o| json!({ "origin": o.origin(), "object": o.body() }))
                    .collect();
                json!({ "documents": objects })
            }
            Outcome::Transformed(objects) => json!({ "objects": bodies(objects) }),
            Outcome::Found(findings) => json!({ "findings": findings }),
            Outcome::Failed { told, message } => json!({ "error": told, "message": message }),
        }
    }
}

/// Objects as one YAML stream, with the files that they came from where those are asked for.
fn stream(objects: &[Object], origins: bool) -> String {
    let mut out = String::new();
    let mut last = None;
    for object in objects {
        let origin = &object.origin().path;
        if origins && last != Some(origin) {
            let origin: String = origin.chars().filter(|c| !c.is_control()).collect();
            out.push_str(&format!("# from {origin}\n"));
        }
        last = Some(origin);
        out.push_str("---\n");
        out.push_str(object.text());
    }
    if objects.is_empty() {
        out.push_str("# nothing\n");
    }
    out
}

/// The order in which a person reads them, which a JSON map does not keep.
const KEYS: [&str; 6] = ["level", "code", "message", "object", "path", "line"];

fn findings(list: &[Value]) -> String {
    if list.is_empty() {
        return "findings: []\n".to_owned();
    }
    format!("findings:\n{}", list.iter().map(item).collect::<String>())
}

fn failure(told: &Value) -> String {
    let word = told["failed"].as_str().unwrap_or_default();
    let mut out = format!("failed: {word}\n");
    if told.get("what").is_some() {
        out.push_str(&yaml::emit(&json!({ "what": told["what"] })));
    }
    match told["diagnostics"].as_array() {
        Some(list) if list.is_empty() => out.push_str("diagnostics: []\n"),
        Some(list) => {
            out.push_str("diagnostics:\n");
            out.extend(list.iter().map(item));
        }
        None => {}
    }
    out
}

/// One item of a list, its keys in the order of [`KEYS`].
fn item(value: &Value) -> String {
    let there = KEYS.iter().filter(|key| value.get(**key).is_some());
    let lines = there.map(|key| yaml::emit(&json!({ *key: value[*key] })));
    let text: String = lines.collect();
    let lines = text.lines().enumerate();
    lines
        .map(|(n, line)| format!("{}{line}\n", if n == 0 { "- " } else { "  " }))
        .collect()
}

/// A map of what is there.
fn told(pairs: &[(&str, Option<Value>)]) -> Value {
    let there = pairs.iter();
    let there = there.filter_map(|(key, value)| Some(((*key).to_owned(), value.clone()?)));
    Value::Object(there.collect::<BTreeMap<_, _>>().into_iter().collect())
}

fn diagnostic(d: &Diagnostic) -> Value {
    told(&[
        ("level", Some(level(d.level).into())),
        ("code", Some(d.code.clone().into())),
        ("message", Some(d.message.clone().into())),
        ("path", d.path.clone().map(Value::from)),
        ("line", d.line.map(Value::from)),
    ])
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
    }
}

/// What ended a call, in one word: the same on every machine.
fn word(failure: &Failure) -> &'static str {
    match failure {
        Failure::Fuel => "fuel",
        Failure::Memory { .. } => "memory",
        Failure::Time => "time",
        Failure::Output { .. } => "output-limit",
        Failure::Items { .. } => "items",
        Failure::HostCalls => "host-calls",
        Failure::Handles { .. } => "handles",
        Failure::Trap { .. } => "trap",
        Failure::Refused { .. } => "refused",
        Failure::Read(_) => "read",
        Failure::Diagnostics(_) => "diagnostics",
        Failure::BadOutput { .. } => "output",
        Failure::Process { .. } => "process",
        Failure::Stray { .. } => "stray",
        Failure::Host { .. } => "host",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(origin: &str, body: &str) -> weir_sandbox::Document {
        weir_sandbox::Document {
            origin: origin.into(),
            body: body.into(),
        }
    }

    #[test]
    fn documents_read_as_the_host_takes_them_with_the_files_that_they_came_from() {
        let one = document(
            "a.yaml",
            "kind: A\napiVersion: v1\nmetadata: {name: x}\n---\n{\"kind\": \"B\", \"apiVersion\": \"v1\", \"metadata\": {\"name\": \"w\"}}\n",
        );
        let two = document("b.yaml", "kind: C\napiVersion: v1\nmetadata: {name: z}\n");
        let text = Outcome::rendered(vec![one, two]).text();
        let object = |kind: &str, name: &str| {
            format!("---\napiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}\n")
        };
        let expected = format!(
            "# from a.yaml\n{}{}# from b.yaml\n{}",
            object("A", "x"),
            object("B", "w"),
            object("C", "z")
        );
        assert_eq!(text, expected);
        assert_eq!(Outcome::rendered(vec![]).text(), "# nothing\n");
    }

    #[test]
    fn what_a_host_would_not_take_is_a_failure_that_says_where() {
        let outcome = Outcome::rendered(vec![document("a.yaml", "kind: A\n  b: c\n")]);
        assert!(!outcome.is_good());
        assert!(
            outcome.text().starts_with("failed: output\nwhat: "),
            "{}",
            outcome.text()
        );
        assert!(outcome.text().contains("a.yaml:2"), "{}", outcome.text());
        let outcome = Outcome::transformed(&[], &[b"{".to_vec()]);
        assert!(
            outcome.text().contains("an object that is no JSON"),
            "{}",
            outcome.text()
        );
    }

    #[test]
    fn findings_name_their_object_and_keep_the_order_of_reading() {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}});
        let origin = weir_core::object::Origin {
            path: "x".into(),
            line: 1,
        };
        let object = Object::new(object, origin).unwrap();
        let finding = Finding {
            level: Level::Warning,
            code: "old".into(),
            message: "it is old: two\nlines".into(),
            object: Some(0),
            path: Some("/spec".into()),
            line: None,
        };
        let text = Outcome::found(vec![finding], &[object]).text();
        assert!(
            text.starts_with("findings:\n- level: warning\n  code: old\n  message: "),
            "{text}"
        );
        assert!(
            text.ends_with("  object: Deployment.apps shop/web\n  path: /spec\n"),
            "{text}"
        );
        let again = yaml::parse(text.as_bytes(), &Budget::MANIFEST).unwrap();
        assert_eq!(
            again[0].to_json()["findings"][0]["message"],
            "it is old: two\nlines"
        );
        assert_eq!(Outcome::found(vec![], &[]).text(), "findings: []\n");
    }
}
