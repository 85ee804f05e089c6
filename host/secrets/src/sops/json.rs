//! JSON as SOPS reads and writes it: keys in their order, numbers as Go has them.

use std::fmt::Write as _;

use serde_json::Value;
use zeroize::Zeroizing;

use super::cipher::Clear;
use super::number;
use super::token::Kind;
use super::tree::{Node, Scalar};
use crate::limits::SecretLimits;

/// The map that a file is.
pub(super) fn read(text: &str, limits: SecretLimits) -> Result<Vec<(String, Node)>, String> {
    let mut reader = Reader {
        text,
        at: 0,
        limits,
        values: 0,
    };
    reader.blanks();
    let node = reader.value(0)?;
    reader.blanks();
    match node {
        Node::Map(map) if reader.at == text.len() => Ok(map),
        Node::Map(_) => Err(reader.wrong("expected nothing behind the object")),
        _ => Err("expected an object".to_owned()),
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    limits: SecretLimits,
    values: usize,
}

impl Reader<'_> {
    fn wrong(&self, what: &str) -> String {
        let before = self.text.get(..self.at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        format!("line {line}: {what}")
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.at += rest.len() - trimmed.len();
    }

    fn take(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    fn value(&mut self, depth: usize) -> Result<Node, String> {
        self.values += 1;
        if depth > self.limits.depth || self.values > self.limits.values {
            return Err(self.wrong("it holds more than Weir reads of one file"));
        }
        if self.take("{") {
            return self.map(depth);
        }
        if self.take("[") {
            return self.list(depth);
        }
        if self.rest().starts_with('"') {
            return Ok(Node::Scalar(Scalar::Text(self.string()?)));
        }
        for (word, node) in [
            ("null", Node::Null),
            ("true", Node::Scalar(Scalar::Bool(true))),
            ("false", Node::Scalar(Scalar::Bool(false))),
        ] {
            if self.take(word) {
                return Ok(node);
            }
        }
        self.number()
    }

    fn map(&mut self, depth: usize) -> Result<Node, String> {
        let mut map = Vec::new();
        self.blanks();
        if self.take("}") {
            return Ok(Node::Map(map));
        }
        loop {
            self.blanks();
            let key = self.string()?;
            self.blanks();
            if !self.take(":") {
                return Err(self.wrong("expected `:`"));
            }
            self.blanks();
            map.push((key, self.value(depth + 1)?));
            self.blanks();
            if self.take("}") {
                return Ok(Node::Map(map));
            }
            if !self.take(",") {
                return Err(self.wrong("expected `,` or `}`"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Node, String> {
        let mut items = Vec::new();
        self.blanks();
        if self.take("]") {
            return Ok(Node::List(items));
        }
        loop {
            self.blanks();
            items.push(self.value(depth + 1)?);
            self.blanks();
            if self.take("]") {
                return Ok(Node::List(items));
            }
            if !self.take(",") {
                return Err(self.wrong("expected `,` or `]`"));
            }
        }
    }

    /// A text, its escapes resolved by the one who does it for all of JSON.
    fn string(&mut self) -> Result<String, String> {
        if !self.rest().starts_with('"') {
            return Err(self.wrong("expected a text in quotes"));
        }
        let mut escaped = false;
        let end = self.rest().bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let end = end.ok_or_else(|| self.wrong("a quote is not closed"))? + 2;
        let quoted = self.rest().get(..end).unwrap_or_default();
        let text = serde_json::from_str(quoted);
        let text = text.map_err(|_| self.wrong("a text that JSON does not have"))?;
        self.at += end;
        Ok(text)
    }

    fn number(&mut self) -> Result<Node, String> {
        let rest = self.rest();
        let end = rest.bytes().position(|byte| {
            !(byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E'))
        });
        let text = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        // JSON's form first: Rust reads more than that as a number.
        if serde_json::from_str::<serde_json::Number>(text).is_err() {
            return Err(self.wrong("expected a value"));
        }
        let scalar = match text.parse() {
            Ok(value) => Scalar::Int(value),
            Err(_) => match text.parse() {
                Ok(value) => Scalar::Float(value),
                Err(_) => return Err(self.wrong("a number that is too large")),
            },
        };
        self.at += text.len();
        Ok(Node::Scalar(scalar))
    }
}

/// What `serde_json` would have read: for the metadata, whose order says nothing.
pub(super) fn to_value(node: &Node) -> Value {
    match node {
        Node::Null => Value::Null,
        Node::Scalar(Scalar::Text(text) | Scalar::Time(text)) => Value::String(text.clone()),
        Node::Scalar(Scalar::Int(value)) => Value::from(*value),
        Node::Scalar(Scalar::Float(value)) => Value::from(*value),
        Node::Scalar(Scalar::Bool(value)) => Value::Bool(*value),
        Node::List(items) => Value::Array(items.iter().map(to_value).collect()),
        Node::Map(map) => map
            .iter()
            .map(|(key, node)| (key.clone(), to_value(node)))
            .collect::<serde_json::Map<String, Value>>()
            .into(),
    }
}

/// The file with its values opened, as `sops --decrypt` prints it.
pub(super) fn write(
    map: &[(String, Node)],
    clear: &[Option<Clear>],
) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let mut writer = Writer {
        out: Zeroizing::new(String::new()),
        clear: clear.iter(),
    };
    writer.map(map, 0)?;
    writer.out.push('\n');
    Ok(Zeroizing::new(
        std::mem::take(&mut *writer.out).into_bytes(),
    ))
}

struct Writer<'c> {
    out: Zeroizing<String>,
    /// For each value in order what it is opened, where it is encrypted.
    clear: std::slice::Iter<'c, Option<Clear>>,
}

impl Writer<'_> {
    fn line(&mut self, depth: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n('\t', depth));
    }

    fn map(&mut self, map: &[(String, Node)], depth: usize) -> Result<(), &'static str> {
        self.out.push('{');
        for (n, (key, node)) in map.iter().enumerate() {
            if n > 0 {
                self.out.push(',');
            }
            self.line(depth + 1);
            quote(&mut self.out, key);
            self.out.push_str(": ");
            self.node(node, depth + 1)?;
        }
        if !map.is_empty() {
            self.line(depth);
        }
        self.out.push('}');
        Ok(())
    }

    fn node(&mut self, node: &Node, depth: usize) -> Result<(), &'static str> {
        match node {
            Node::Null => self.out.push_str("null"),
            Node::Map(map) => self.map(map, depth)?,
            Node::List(items) => {
                self.out.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        self.out.push(',');
                    }
                    self.line(depth + 1);
                    self.node(item, depth + 1)?;
                }
                if !items.is_empty() {
                    self.line(depth);
                }
                self.out.push(']');
            }
            Node::Scalar(scalar) => match self.clear.next() {
                Some(Some(clear)) => self.clear(clear)?,
                _ => self.scalar(scalar),
            },
        }
        Ok(())
    }

    fn scalar(&mut self, scalar: &Scalar) {
        match scalar {
            Scalar::Text(text) | Scalar::Time(text) => quote(&mut self.out, text),
            Scalar::Int(value) => self.out.push_str(&value.to_string()),
            Scalar::Float(value) => self.out.push_str(&number::json(*value)),
            Scalar::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
        }
    }

    fn clear(&mut self, clear: &Clear) -> Result<(), &'static str> {
        const NOT_ITS_TYPE: &str = "is not what its type says";
        match clear.kind {
            Kind::Int => {
                let value = clear.int().ok_or(NOT_ITS_TYPE)?;
                self.out.push_str(&Zeroizing::new(value.to_string()));
            }
            Kind::Float => {
                let value = clear.float().filter(|value| value.is_finite());
                let text = Zeroizing::new(number::json(value.ok_or(NOT_ITS_TYPE)?));
                self.out.push_str(&text);
            }
            Kind::Bool => {
                let value = clear.bool().ok_or(NOT_ITS_TYPE)?;
                self.out.push_str(if value { "true" } else { "false" });
            }
            Kind::Text | Kind::Time | Kind::Comment => {
                quote(&mut self.out, &String::from_utf8_lossy(clear.bytes()));
            }
        }
        Ok(())
    }
}

/// A text as `encoding/json` writes it.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn again(text: &str) -> Result<String, String> {
        let map = read(text, SecretLimits::HOST)?;
        let bytes = write(&map, &[]).unwrap();
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn json_is_written_as_go_writes_it() {
        assert_eq!(
            again(r#"{"b": [1, -2.50, 1e3, true, null, {}, []], "a": {"x": "<&> \u00e9 \ud83d\ude00 \u0001 \/"}}"#)
                .unwrap(),
            "{\n\t\"b\": [\n\t\t1,\n\t\t-2.5,\n\t\t1000,\n\t\ttrue,\n\t\tnull,\n\t\t{},\n\t\t[]\n\t],\n\t\"a\": {\n\t\t\"x\": \"\\u003c\\u0026\\u003e é 😀 \\u0001 /\"\n\t}\n}\n"
        );
        assert_eq!(again("{}").unwrap(), "{}\n");
        assert_eq!(
            again(r#"{"n": 9223372036854775807, "m": 9223372036854775808}"#).unwrap(),
            "{\n\t\"n\": 9223372036854775807,\n\t\"m\": 9223372036854776000\n}\n"
        );
    }

    #[test]
    fn what_is_no_json_is_named_with_its_line() {
        for (text, expected) in [
            ("", "line 1: expected a value"),
            ("[]", "expected an object"),
            ("{\n\"a\" 1}", "line 2: expected `:`"),
            ("{\"a\": 1,}", "line 1: expected a text in quotes"),
            ("{\"a\": 01}", "line 1: expected a value"),
            ("{\"a\": \"\\q\"}", "line 1: a text that JSON does not have"),
            ("{\"a\": \"x}", "line 1: a quote is not closed"),
            ("{} {}", "line 1: expected nothing behind the object"),
        ] {
            assert_eq!(again(text).unwrap_err(), expected, "{text}");
        }
        let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
        assert!(again(&deep).unwrap_err().contains("more than Weir reads"));
    }

    proptest! {
        #[test]
        fn what_serde_reads_is_read_as_the_same(value in any_json()) {
            let map = serde_json::json!({ "a": value });
            let read = read(&map.to_string(), SecretLimits::HOST).unwrap();
            prop_assert_eq!(&to_value(&Node::Map(read.clone())), &map);
            let written = write(&read, &[]).unwrap();
            let back: Value = serde_json::from_slice(&written).unwrap();
            prop_assert_eq!(back, map);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[{}\\[\\]\",:0-9a-zA-Z\\\\ \n.-]{0,60}") {
            let _ = read(&text, SecretLimits::HOST);
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                proptest::collection::btree_map(".{0,6}", inner, 0..5)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }
}
