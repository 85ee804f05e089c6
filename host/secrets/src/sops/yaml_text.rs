//! Single YAML values as go-yaml (v3) reads and writes them, which is what SOPS is built with: what a plain word is, and
//! how a text is written so that it is read as the same.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use super::cipher::Clear;
use super::number;
use super::token::Kind;
use super::tree::Scalar;

/// What ends a line to YAML 1.1 and is a character like any other to YAML 1.2.
const BREAKS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];
/// How far SOPS indents.
pub(super) const INDENT: usize = 4;

/// What a plain word is; nothing where it is null.
pub(super) fn resolved(word: &str) -> Option<Scalar> {
    let text = || Scalar::Text(word.to_owned());
    Some(match word {
        "" | "~" | "null" | "Null" | "NULL" => return None,
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Scalar::Float(f64::NEG_INFINITY),
        _ if word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) => {
            if is_time(word) {
                return Some(Scalar::Time(word.to_owned()));
            }
            let digits = word.replace('_', "");
            match (int(&digits), float(&digits)) {
                (Some(value), _) if !word.starts_with('.') => Scalar::Int(value),
                (_, Some(value)) => Scalar::Float(value),
                _ => text(),
            }
        }
        _ => text(),
    })
}

/// A whole number in any of the bases that Go reads. SOPS writes decimal ones.
fn int(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.get(..1).unwrap_or_default(), digits),
        None => ("", text),
    };
    let of = |prefixes: [&str; 2], base| {
        let rest = prefixes.iter().find_map(|p| digits.strip_prefix(p))?;
        let plain = !rest.starts_with(['+', '-']);
        plain.then(|| i64::from_str_radix(&format!("{sign}{rest}"), base).ok())
    };
    let based = of(["0x", "0X"], 16).or_else(|| of(["0o", "0O"], 8));
    let based = based.or_else(|| of(["0b", "0B"], 2));
    if let Some(value) = based {
        return value;
    }
    let base = if digits.len() > 1 && digits.starts_with('0') {
        8
    } else {
        10
    };
    let plain = !digits.starts_with(['+', '-']);
    plain.then(|| i64::from_str_radix(&format!("{sign}{digits}"), base).ok())?
}

/// A number with a fraction or an exponent: `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, power) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, Some(power)),
        None => (unsigned, None),
    };
    if let Some(power) = power {
        let power = power.strip_prefix(['+', '-']).unwrap_or(power);
        if power.is_empty() || !digits(power) {
            return None;
        }
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let some = !whole.is_empty() || !fraction.is_empty();
    (some && digits(whole) && digits(fraction)).then(|| text.parse().ok())?
}

/// A date, or a date and a time, with a year of four digits. SOPS writes RFC 3339.
fn is_time(word: &str) -> bool {
    let (date, time) = match word.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (word, None),
    };
    let mut parts = date.split('-');
    let number = |part: Option<&str>, most: usize| {
        part.is_some_and(|p| (1..=most).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()))
    };
    let year = parts.next();
    let is_date = year.is_some_and(|y| y.len() == 4)
        && number(year, 4)
        && number(parts.next(), 2)
        && number(parts.next(), 2)
        && parts.next().is_none();
    let is_clock = |time: &str| {
        let clock = |b: u8| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'Z' | b'+' | b'-');
        time.contains(':') && time.bytes().all(clock)
    };
    is_date && time.is_none_or(is_clock)
}

/// A value in the clear, as go-yaml writes it behind `key: ` or `- `. Further lines of it are indented so far.
pub(super) fn written(clear: &Clear, indent: usize) -> Result<Zeroizing<String>, &'static str> {
    const NOT_ITS_TYPE: &str = "is not what its type says";
    let text = match clear.kind {
        Kind::Int => clear.int().ok_or(NOT_ITS_TYPE)?.to_string(),
        Kind::Float => number::yaml(clear.float().ok_or(NOT_ITS_TYPE)?),
        Kind::Bool => clear.bool().ok_or(NOT_ITS_TYPE)?.to_string(),
        Kind::Time => clear.text().ok_or(NOT_ITS_TYPE)?.to_owned(),
        Kind::Text | Kind::Comment => {
            let text = clear.text();
            return text
                .ok_or("is no text in UTF-8, which YAML cannot hold: encrypt it as a binary file")
                .and_then(|text| of_text(text, indent));
        }
    };
    Ok(Zeroizing::new(text))
}

fn of_text(text: &str, indent: usize) -> Result<Zeroizing<String>, &'static str> {
    let may = Styles::of(text);
    let mut out = Zeroizing::new(String::with_capacity(text.len() + 2));
    if text == "<<" {
        // A word that means a merge: go-yaml gives it that word's tag.
        out.push_str("!!merge <<");
    } else if text.contains('\n') && may.block {
        literal(&mut out, text, indent);
    } else if text.contains('\n') || !is_plain_text(text) {
        double_quoted(&mut out, text);
    } else if text.contains(BREAKS) {
        return Err(
            "has a line separator of Unicode, which go-yaml writes so that other readers take it for another text: encrypt it as a binary file",
        );
    } else if may.plain {
        out.push_str(text);
    } else if may.single_quoted {
        out.push('\'');
        for c in text.chars() {
            if c == '\'' {
                out.push('\'');
            }
            out.push(c);
        }
        out.push('\'');
    } else {
        double_quoted(&mut out, text);
    }
    Ok(out)
}

/// Whether a plain word would be read as this very text, by YAML 1.1 too.
fn is_plain_text(text: &str) -> bool {
    if text == "<<" || is_old_bool(text) || is_base_60(text) {
        return false;
    }
    matches!(resolved(text), Some(Scalar::Text(_)))
        // Numbers that are too large for an integer here are some for Go.
        && !text.replace('_', "").parse::<u64>().is_ok_and(|_| text.starts_with(|c: char| c.is_ascii_digit() || c == '+'))
}

fn is_old_bool(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    )
}

/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`
fn is_base_60(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let text = match text.split_once('.') {
        Some((text, fraction)) if fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_') => text,
        Some(_) => return false,
        None => text,
    };
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    let starts = first.starts_with(|c: char| c.is_ascii_digit())
        && first.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let mut any = false;
    let sixty = |part: &str| match part.as_bytes() {
        [b] => b.is_ascii_digit(),
        [a, b] => (b'0'..=b'5').contains(a) && b.is_ascii_digit(),
        _ => false,
    };
    starts
        && parts.all(|part| {
            any = true;
            sixty(part)
        })
        && any
}

/// The styles that a text may be written in, as go-yaml finds it.
struct Styles {
    plain: bool,
    single_quoted: bool,
    block: bool,
}

impl Styles {
    fn of(text: &str) -> Styles {
        let (Some(first), Some(last)) = (text.chars().next(), text.chars().last()) else {
            return Styles {
                plain: true,
                single_quoted: true,
                block: false,
            };
        };
        let second = text.chars().nth(1);
        let blank_next = |c: Option<char>| c.is_none_or(|c| matches!(c, ' ' | '\t'));
        let mut indicators = text.starts_with("---")
            || text.starts_with("...")
            || matches!(
                first,
                '#' | ','
                    | '['
                    | ']'
                    | '{'
                    | '}'
                    | '&'
                    | '*'
                    | '!'
                    | '|'
                    | '>'
                    | '\''
                    | '"'
                    | '%'
                    | '@'
                    | '`'
            )
            || (matches!(first, '?' | ':' | '-') && blank_next(second));
        let (mut breaks, mut special, mut tabs) = (false, false, false);
        let (mut break_space, mut space_break) = (false, false);
        let mut before: Option<char> = None;
        let mut all = text.chars().peekable();
        while let Some(c) = all.next() {
            let next = all.peek().copied();
            if before.is_some() {
                indicators |= c == ':' && blank_next(next);
                indicators |=
                    c == '#' && before.is_some_and(|b| matches!(b, ' ' | '\t') || is_break(b));
            }
            tabs |= c == '\t';
            special |= c != '\t' && !is_printable(c);
            breaks |= is_break(c);
            break_space |= c == ' ' && before.is_some_and(is_break);
            space_break |= is_break(c) && before == Some(' ');
            before = Some(c);
        }
        let edge = |c: char| c == ' ' || is_break(c);
        let odd = space_break || special;
        Styles {
            plain: !(edge(first)
                || edge(last)
                || break_space
                || odd
                || tabs
                || breaks
                || indicators),
            single_quoted: !(break_space || odd || tabs),
            block: !(last == ' ' || odd),
        }
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_printable(c: char) -> bool {
    // Emoji and all else beyond U+FFFD is not printable for go-yaml.
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && c != '\u{feff}'
}

fn literal(out: &mut String, text: &str, indent: usize) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push_str(&INDENT.to_string());
    }
    let ends = text.len() - text.trim_end_matches('\n').len();
    match ends {
        0 => out.push('-'),
        1 if text.len() > 1 => {}
        _ => out.push('+'),
    }
    let body = text.strip_suffix('\n').unwrap_or(text);
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
    }
}

fn double_quoted(out: &mut String, text: &str) {
    out.push('"');
    // go-yaml takes each character for a byte order mark where the first is one, and writes all as numbers.
    let is_marked = text.starts_with('\u{feff}');
    for c in text.chars() {
        if !is_marked && is_printable(c) && !is_break(c) && c != '"' && c != '\\' {
            out.push(c);
            continue;
        }
        out.push('\\');
        match c {
            '\0' => out.push('0'),
            '\u{7}' => out.push('a'),
            '\u{8}' => out.push('b'),
            '\t' => out.push('t'),
            '\n' => out.push('n'),
            '\u{b}' => out.push('v'),
            '\u{c}' => out.push('f'),
            '\r' => out.push('r'),
            '\u{1b}' => out.push('e'),
            '"' => out.push('"'),
            '\\' => out.push('\\'),
            '\u{85}' => out.push('N'),
            '\u{a0}' => out.push('_'),
            '\u{2028}' => out.push('L'),
            '\u{2029}' => out.push('P'),
            c => number_of(out, c),
        }
    }
    out.push('"');
}

fn number_of(out: &mut String, c: char) {
    let code = u32::from(c);
    // Writing to a string cannot fail.
    let _ = match code {
        0..=0xff => write!(out, "x{code:02X}"),
        0x100..=0xffff => write!(out, "u{code:04X}"),
        _ => write!(out, "U{code:08X}"),
    };
}

#[cfg(test)]
mod tests;
