//! Writes YAML that every reader, YAML 1.1 or 1.2, takes for the same.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

/// Longer keys are written with `?`: readers give up on a plain `key:` after 1,024 characters.
const SIMPLE_KEY: usize = 1000;

/// One document in block style.
pub(super) fn document(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => entries(&mut out, map, 0, false),
        Value::Array(list) if !list.is_empty() => items(&mut out, list, 0, false),
        _ => scalar(&mut out, value, 0),
    }
    out
}

/// The entries of a map at an indent; `inline` if the line is already begun, as after `- `.
fn entries(out: &mut String, map: &Map<String, Value>, indent: usize, mut inline: bool) {
    for (key, value) in map {
        if !inline {
            spaces(out, indent);
        }
        inline = false;
        let start = out.len();
        if is_plain(key) {
            out.push_str(key);
        } else {
            quoted(out, key);
        }
        if out.len() - start > SIMPLE_KEY {
            out.insert_str(start, "? ");
            out.push('\n');
            spaces(out, indent);
            out.push(':');
            compact(out, value, indent);
            continue;
        }
        out.push(':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push('\n');
                entries(out, map, indent + 2, false);
            }
            // Lists stand under their key without indent, as Go writes them.
            Value::Array(list) if !list.is_empty() => {
                out.push('\n');
                items(out, list, indent, false);
            }
            _ => {
                out.push(' ');
                scalar(out, value, indent + 2);
            }
        }
    }
}

fn items(out: &mut String, list: &[Value], indent: usize, mut inline: bool) {
    for value in list {
        if !inline {
            spaces(out, indent);
        }
        inline = false;
        out.push('-');
        compact(out, value, indent);
    }
}

/// A value on the line of the indicator before it.
fn compact(out: &mut String, value: &Value, indent: usize) {
    out.push(' ');
    match value {
        Value::Object(map) if !map.is_empty() => entries(out, map, indent + 2, true),
        Value::Array(list) if !list.is_empty() => items(out, list, indent + 2, true),
        _ => scalar(out, value, indent + 2),
    }
}

/// A scalar or an empty list or map, with the line's end. Further lines of text get the indent.
fn scalar(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(value) => number(out, value),
        Value::String(text) if is_plain(text) => out.push_str(text),
        Value::String(text) if is_literal(text) => return literal(out, text, indent.max(2)),
        Value::String(text) => quoted(out, text),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
    out.push('\n');
}

/// A number as JSON writes it, but floats with a dot and a signed exponent: some YAML 1.1 readers take
/// `1e-7` for text.
fn number(out: &mut String, number: &Number) {
    let text = number.to_string();
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return out.push_str(&text);
    };
    out.push_str(mantissa);
    if !mantissa.contains('.') {
        out.push_str(".0");
    }
    out.push('e');
    if !exponent.starts_with(['-', '+']) {
        out.push('+');
    }
    out.push_str(exponent);
}

/// Whether every reader takes the bare text for this very text.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    let starts_well = first.is_ascii_alphanumeric() || matches!(first, b'_' | b'/');
    let looks_like_a_number = first.is_ascii_digit() && could_be_number(bytes);
    let ends_well = !matches!(last, b' ' | b':');
    let is_printable = bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let has_mark = text.contains(": ") || text.contains(" #");
    let may_be_plain = starts_well && ends_well && is_printable;
    may_be_plain && !has_mark && !looks_like_a_number && !is_word(text)
}

/// Numbers, dates, times and base-60 numbers consist of these in one reader or another.
fn could_be_number(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| match byte {
        b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' => true,
        _ => b"xXoOtTzZ_.,:+- ".contains(byte),
    })
}

/// Words that some reader takes for a boolean, null or a number.
fn is_word(text: &str) -> bool {
    const WORDS: [&str; 12] = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nil", "nan", "inf",
    ];
    text.len() <= 5 && WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether the text reads well and safely as a `|` block.
fn is_literal(text: &str) -> bool {
    let printable = |c: char| matches!(c, '\t' | '\n' | ' '..='~') || is_printable(c);
    text.contains('\n')
        && !text.starts_with(['\n', ' ', '\t'])
        && text.chars().all(printable)
        // Readers differ on lines of blanks only, and on tabs where an indent could be.
        && text.split('\n').all(|line| line.is_empty() || !(line.starts_with('\t') || line.trim_matches([' ', '\t']).is_empty()))
}

fn literal(out: &mut String, text: &str, indent: usize) {
    let body = text.trim_end_matches('\n');
    out.push_str(match text.len() - body.len() {
        0 => "|-\n",
        1 => "|\n",
        _ => "|+\n",
    });
    for line in body.split('\n') {
        if !line.is_empty() {
            spaces(out, indent);
        }
        out.push_str(line);
        out.push('\n');
    }
    for _ in 1..text.len() - body.len() {
        out.push('\n');
    }
}

/// Double quotes on one line; what is not printable for every reader is escaped.
fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
            c if is_printable(c) => out.push(c),
            c => escape(out, u32::from(c)),
        }
    }
    out.push('"');
}

fn escape(out: &mut String, code: u32) {
    // Writing to a string cannot fail.
    let _ = if code <= 0xff {
        write!(out, "\\x{code:02x}")
    } else if code <= 0xffff {
        write!(out, "\\u{code:04x}")
    } else {
        write!(out, "\\U{code:08x}")
    };
}

/// Beyond ASCII: what all readers take raw and no one takes for a line's end, a byte order mark or a blank.
fn is_printable(c: char) -> bool {
    c > '\u{a0}'
        && !matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
}

fn spaces(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n(' ', count));
}
