//! Reads fields of a live object: missing is `None`, of another type is a finding that names the field.

use serde_json::Value;

use super::{Health, MAX_QUOTE};

/// A live object, or one item of a list in it.
#[derive(Clone, Copy)]
pub(super) struct Live<'a> {
    body: &'a Value,
    /// The list and the number of the item; `None` for the object itself.
    place: Option<(&'static str, usize)>,
}

impl<'a> Live<'a> {
    pub(super) fn new(body: &'a Value) -> Live<'a> {
        Live { body, place: None }
    }

    /// The API group, empty for the core group, and the kind.
    pub(super) fn group_kind(self) -> Result<(&'a str, &'a str), Health> {
        let missing = |field: &str| Health::Progressing(format!("`{field}` is missing"));
        let version = self
            .text("apiVersion")?
            .ok_or_else(|| missing("apiVersion"))?;
        let kind = self.text("kind")?.ok_or_else(|| missing("kind"))?;
        Ok((version.split_once('/').map_or("", |(group, _)| group), kind))
    }

    /// The field at a path of names with dots between them. Null is missing, as in Kubernetes.
    fn field(self, path: &str) -> Result<Option<&'a Value>, Health> {
        let mut at = self.body;
        let mut walked = 0;
        for name in path.split('.') {
            let Value::Object(map) = at else {
                let place = path.get(..walked).unwrap_or_default();
                return Err(self.odd(place.trim_end_matches('.'), "a map", at));
            };
            match map.get(name) {
                None | Some(Value::Null) => return Ok(None),
                Some(next) => at = next,
            }
            walked += name.len() + 1;
        }
        Ok(Some(at))
    }

    /// A text.
    pub(super) fn text(self, path: &str) -> Result<Option<&'a str>, Health> {
        match self.field(path)? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.odd(path, "text", other)),
        }
    }

    /// True or false.
    pub(super) fn flag(self, path: &str) -> Result<Option<bool>, Health> {
        match self.field(path)? {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.odd(path, "true or false", other)),
        }
    }

    /// A whole number.
    pub(super) fn number(self, path: &str) -> Result<Option<i64>, Health> {
        match self.field(path)? {
            None => Ok(None),
            Some(value) => value
                .as_i64()
                .map(Some)
                .ok_or_else(|| self.odd(path, "a whole number", value)),
        }
    }

    /// A generation. Controllers that write by way of protobuf's JSON, as Istio's, write it as a text.
    pub(super) fn generation(self, path: &str) -> Result<Option<i64>, Health> {
        match self.field(path)? {
            Some(value @ Value::String(text)) => text
                .parse()
                .map(Some)
                .map_err(|_| self.odd(path, "a whole number", value)),
            _ => self.number(path),
        }
    }

    /// A whole number that is not negative.
    pub(super) fn count(self, path: &str) -> Result<Option<u64>, Health> {
        match self.field(path)? {
            None => Ok(None),
            Some(value) => value
                .as_u64()
                .map(Some)
                .ok_or_else(|| self.odd(path, "a whole number from 0", value)),
        }
    }

    /// A whole number that is not negative; one that is missing is 0, as Kubernetes leaves zeros out.
    pub(super) fn tally(self, path: &str) -> Result<u64, Health> {
        Ok(self.count(path)?.unwrap_or(0))
    }

    /// The items of a list, at most `limit`; one that is missing is empty.
    pub(super) fn items(
        self,
        path: &'static str,
        limit: usize,
    ) -> Result<impl ExactSizeIterator<Item = Live<'a>>, Health> {
        let list: &'a [Value] = match self.field(path)? {
            None => &[],
            Some(Value::Array(list)) => list,
            Some(other) => return Err(self.odd(path, "a list", other)),
        };
        if list.len() > limit {
            return Err(Health::Progressing(format!(
                "`{path}` has {} items, and Weir reads at most {limit}",
                list.len()
            )));
        }
        Ok(list.iter().enumerate().map(move |(n, body)| Live {
            body,
            place: Some((path, n)),
        }))
    }

    /// The item itself as a text.
    pub(super) fn as_text(self) -> Result<&'a str, Health> {
        self.body
            .as_str()
            .ok_or_else(|| self.odd("", "text", self.body))
    }

    fn odd(self, path: &str, expected: &str, found: &Value) -> Health {
        let dot = if path.is_empty() { "" } else { "." };
        let name = match self.place {
            Some((list, n)) => format!("`{list}[{n}]{dot}{path}`"),
            None if path.is_empty() => "the object".to_owned(),
            None => format!("`{path}`"),
        };
        let found = match found {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(number) if number.is_f64() => "a fraction",
            Value::Number(_) => "another number",
            Value::String(_) => "text",
            Value::Array(_) => "a list",
            Value::Object(_) => "a map",
        };
        Health::Progressing(format!("{name} is {found}, expected {expected}"))
    }
}

/// A text of a live object, fit to stand in one of ours: one line, no control characters, at most `MAX_QUOTE`
/// characters.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::new();
    let mut length = 0;
    let mut gap = false;
    for c in text.trim_start().chars() {
        if c.is_whitespace() || c.is_control() {
            gap = true;
            continue;
        }
        if length + usize::from(gap) >= MAX_QUOTE {
            quoted.push('…');
            break;
        }
        if gap && length > 0 {
            quoted.push(' ');
            length += 1;
        }
        gap = false;
        quoted.push(c);
        length += 1;
    }
    quoted
}

/// `1 replica`, `2 replicas`.
pub(super) fn plural(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
