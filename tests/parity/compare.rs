//! When two renders are the same: the same YAML documents in the same order, and the same hooks in the same phases.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use weir_core::yaml::{self, Budget};

use super::native;

/// Helm's annotations of a hook.
const HELM: [&str; 4] = [
    "helm.sh/hook",
    "helm.sh/hook-weight",
    "helm.sh/hook-delete-policy",
    "helm.sh/hook-output-log-policy",
];
/// Weir's in their place.
const WEIR: [&str; 4] = [
    "weir.dev/hook",
    "weir.dev/hook-weight",
    "weir.dev/hook-delete-policy",
    "weir.dev/wave",
];
/// Lines of each side that a message shows at most.
const SHOWN: usize = 40;

/// One document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Document {
    /// As Kubernetes reads it.
    Value(Value),
    /// A stream that nobody can read: its lines, without comments, empty ones and the marks between documents.
    Unreadable(Vec<String>),
}

/// A hook, whoever said so.
#[derive(Debug, Clone, PartialEq)]
struct Hook {
    /// `pre` or `post`.
    phase: &'static str,
    weight: i64,
    policies: Vec<String>,
    /// Without any annotation that makes it a hook.
    document: Document,
}

/// What one side rendered.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    documents: Vec<Document>,
    hooks: Vec<Hook>,
}

impl Rendered {
    /// Adds the documents of a stream; empty ones are none.
    pub(crate) fn add(&mut self, stream: &[u8]) {
        self.documents.extend(read(stream));
    }

    /// Adds a hook as Helm read it, brought to the form that Weir gives hooks: before or after everything else, with
    /// its weight and delete policies. Tests and hooks of deletions and rollbacks, which Weir has not, are left out.
    pub(crate) fn add_native_hook(&mut self, hook: &native::Hook) {
        let has = |names: [&str; 2]| hook.events.iter().any(|e| names.contains(&e.as_str()));
        let phase = if has(["test", "test-success"]) {
            return;
        } else if has(["pre-install", "pre-upgrade"]) {
            "pre"
        } else if has(["post-install", "post-upgrade"]) {
            "post"
        } else {
            return;
        };
        for mut document in read(hook.manifest.as_bytes()) {
            strip(&mut document);
            self.hooks.push(Hook {
                phase,
                weight: hook.weight,
                policies: sorted(hook.policies.clone()),
                document,
            });
        }
    }

    /// Takes out of the documents those that Weir's annotations make hooks.
    pub(crate) fn part_hooks(&mut self) {
        let documents = std::mem::take(&mut self.documents);
        for mut document in documents {
            let said = |key: &str| annotation(&document, key).unwrap_or_default().to_owned();
            let phase = match said("weir.dev/hook").as_str() {
                "pre" => "pre",
                "post" => "post",
                _ => {
                    self.documents.push(document);
                    continue;
                }
            };
            let weight = said("weir.dev/hook-weight").parse().unwrap_or_default();
            let policies = said("weir.dev/hook-delete-policy");
            let policies = policies.split(',').map(str::trim).filter(|p| !p.is_empty());
            let policies = sorted(policies.map(str::to_owned).collect());
            strip(&mut document);
            self.hooks.push(Hook {
                phase,
                weight,
                policies,
                document,
            });
        }
    }

    /// What differs between the native tool's render and Weir's, for a person; `None` is equality.
    pub(crate) fn difference(mut self, weir: &Rendered) -> Option<String> {
        let mut weir_hooks = weir.hooks.clone();
        // The order among hooks is the weights', which both sides have.
        for hooks in [&mut self.hooks, &mut weir_hooks] {
            hooks.sort_by_key(|hook| (hook.phase, hook.weight, label(&hook.document)));
        }
        if self.documents != weir.documents {
            return Some(unequal("documents", &self.documents, &weir.documents));
        }
        (self.hooks != weir_hooks).then(|| unequal("hooks", &self.hooks, &weir_hooks))
    }
}

/// The documents of a stream as Kubernetes reads them.
fn read(stream: &[u8]) -> Vec<Document> {
    match yaml::parse(stream, &Budget::HOST) {
        Ok(nodes) => nodes
            .iter()
            .map(yaml::Node::to_json)
            .filter(|value| !value.is_null())
            .map(Document::Value)
            .collect(),
        Err(_) => {
            let text = String::from_utf8_lossy(stream);
            let lines = text.lines().map(str::trim_end).filter(|line| {
                !line.is_empty() && !line.starts_with("---") && !line.trim_start().starts_with('#')
            });
            vec![Document::Unreadable(lines.map(str::to_owned).collect())]
        }
    }
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

fn annotation<'a>(document: &'a Document, key: &str) -> Option<&'a str> {
    match document {
        Document::Value(value) => value
            .get("metadata")?
            .get("annotations")?
            .get(key)?
            .as_str(),
        Document::Unreadable(_) => None,
    }
}

/// Takes away what makes a document a hook, on either side, and a map of annotations that is empty then.
fn strip(document: &mut Document) {
    let Document::Value(value) = document else {
        return;
    };
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    if let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.retain(|key, _| !HELM.contains(&key.as_str()) && !WEIR.contains(&key.as_str()));
    }
    if metadata
        .get("annotations")
        .and_then(Value::as_object)
        .is_some_and(Map::is_empty)
    {
        metadata.remove("annotations");
    }
}

/// A short name of a document.
fn label(document: &Document) -> String {
    match document {
        Document::Value(value) => {
            let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
            format!(
                "{} {}",
                text(&value["kind"]),
                text(&value["metadata"]["name"])
            )
        }
        Document::Unreadable(lines) => {
            format!("unreadable: {}", lines.first().map_or("", String::as_str))
        }
    }
}

/// The first place where two lists differ, from both sides.
fn unequal<T: PartialEq + Show>(what: &str, native: &[T], weir: &[T]) -> String {
    let at = native.iter().zip(weir).take_while(|(a, b)| a == b).count();
    let mut text = format!(
        "{} {what} natively, {} by Weir; the first that differs is number {at}\n",
        native.len(),
        weir.len()
    );
    let (native, weir) = (shown(native.get(at)), shown(weir.get(at)));
    let (native, weir): (Vec<&str>, Vec<&str>) = (native.lines().collect(), weir.lines().collect());
    let same = native.iter().zip(&weir).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(5);
    for (side, lines) in [("native", native), ("weir", weir)] {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "--- {side}, from line {from}");
        for line in lines.iter().skip(from).take(SHOWN) {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

/// Lines for a person.
trait Show {
    fn show(&self) -> String;
}

impl Show for Document {
    fn show(&self) -> String {
        match self {
            Document::Value(value) => yaml::emit(value),
            Document::Unreadable(lines) => format!("(no YAML)\n{}", lines.join("\n")),
        }
    }
}

impl Show for Hook {
    fn show(&self) -> String {
        format!(
            "{} {} {:?}\n{}",
            self.phase,
            self.weight,
            self.policies,
            self.document.show()
        )
    }
}

fn shown<T: Show>(item: Option<&T>) -> String {
    item.map_or_else(|| "(nothing)".to_owned(), Show::show)
}
