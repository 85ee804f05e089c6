//! The object that is looked at: where we are in it, and what was found so far.

use serde_json::Value;
use weir_plugin::{Finding, Level, Object};

use crate::limits::Patterns;
use crate::{Checks, Weight};

/// What can be wrong; each has a key in `checks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    UnknownField,
    WrongType,
    BadValue,
    MissingField,
    DuplicateItem,
    NoSuchKind,
    UnknownKind,
}

impl Code {
    fn text(self) -> &'static str {
        match self {
            Code::UnknownField => "unknown-field",
            Code::WrongType => "wrong-type",
            Code::BadValue => "bad-value",
            Code::MissingField => "missing-field",
            Code::DuplicateItem => "duplicate-item",
            Code::NoSuchKind => "no-such-kind",
            Code::UnknownKind => "unknown-kind",
        }
    }
}

/// A place in the object, made into a JSON pointer only for a finding.
#[derive(Clone, Copy)]
pub(crate) enum At<'a> {
    Top,
    Key(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    fn pointer(&self) -> String {
        match self {
            At::Top => String::new(),
            At::Key(above, key) => {
                format!(
                    "{}/{}",
                    above.pointer(),
                    key.replace('~', "~0").replace('/', "~1")
                )
            }
            At::Item(above, index) => format!("{}/{index}", above.pointer()),
        }
    }

    /// The name of the field, for a sentence about it.
    pub(crate) fn name(&self) -> String {
        match self {
            At::Top => "the object".to_owned(),
            At::Key(_, key) => (*key).to_owned(),
            At::Item(above, index) => format!("{}[{index}]", above.name()),
        }
    }
}

/// One object under its checks.
pub(crate) struct Look<'a> {
    /// Without checks everything is kept.
    checks: Option<&'a Checks>,
    index: usize,
    object: &'a Object,
    pub(crate) found: Vec<Finding>,
    patterns: Patterns,
}

impl<'a> Look<'a> {
    pub(crate) fn new(checks: &'a Checks, index: usize, object: &'a Object) -> Look<'a> {
        Look {
            checks: Some(checks),
            index,
            object,
            found: Vec::new(),
            patterns: Patterns::new(),
        }
    }

    pub(crate) fn patterns(&mut self) -> &mut Patterns {
        &mut self.patterns
    }

    /// Keeps a finding, where its check is on.
    pub(crate) fn say(&mut self, code: Code, at: &At<'_>, message: &str) {
        let level = match self.checks.map(|checks| checks.weight(code)) {
            Some(Weight::Error) | None => Level::Error,
            Some(Weight::Warning) => Level::Warning,
            Some(Weight::Off) => return,
        };
        let message = format!("{}: {message}", self.object);
        let finding = Finding::about(self.index, level, code.text(), message);
        self.found.push(finding.at(at.pointer()));
    }

    /// A look at the same object whose findings count for nothing by themselves: one way of several.
    pub(crate) fn aside(&self) -> Look<'a> {
        Look {
            checks: None,
            index: self.index,
            object: self.object,
            found: Vec::new(),
            patterns: Patterns::new(),
        }
    }

    pub(crate) fn wrong_type(&mut self, at: &At<'_>, is: &Value, expected: &str) {
        let hint = match is {
            Value::Number(_) | Value::Bool(_) if expected.starts_with("text") => {
                "; put it in quotes"
            }
            Value::String(text) if expected.contains("number") && text.parse::<f64>().is_ok() => {
                "; take the quotes away"
            }
            Value::String(text) if expected.contains("true or false") && is_boolean(text) => {
                "; take the quotes away"
            }
            _ => "",
        };
        let message = format!(
            "{} is {}, and must be {expected}{hint}",
            at.name(),
            kind_of(is)
        );
        self.say(Code::WrongType, at, &message);
    }

    pub(crate) fn unknown_field<'n>(
        &mut self,
        at: &At<'_>,
        key: &str,
        known: impl Iterator<Item = &'n str> + Clone,
    ) {
        const SHOWN: usize = 12;
        let whole = match at {
            At::Top => self.object.kind().to_owned(),
            other => other.name(),
        };
        let instead = match nearest(key, known.clone()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => {
                let mut names: Vec<&str> = known.take(SHOWN + 1).collect();
                if names.len() > SHOWN {
                    names.truncate(SHOWN);
                    names.push("...");
                }
                match names.len() {
                    0 => "it has none".to_owned(),
                    _ => format!("it has: {}", names.join(", ")),
                }
            }
        };
        let message = format!("{whole} has no field `{key}`; {instead}");
        self.say(Code::UnknownField, &At::Key(at, key), &message);
    }
}

fn is_boolean(text: &str) -> bool {
    matches!(text, "true" | "false")
}

/// The nearest of some names, where one is near: as few letters differ as a slip of the hand changes.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let lower = name.to_lowercase();
    known
        .map(|known| {
            (
                strsim::damerau_levenshtein(&lower, &known.to_lowercase()),
                known,
            )
        })
        .filter(|(distance, known)| *distance <= known.len().div_ceil(3).min(3))
        .min()
        .map(|(_, known)| known)
}

/// A value in a message: what it is, with the value where it is short.
pub(crate) fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "text".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a map".into(),
    }
}

/// A value in a message, cut where it is long.
pub(crate) fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}
