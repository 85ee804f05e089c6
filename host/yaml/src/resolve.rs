//! What a scalar means: the YAML 1.1 rules of `go.yaml.in/yaml/v2`, which `sigs.k8s.io/yaml` reads with.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::Number;

const CORE: &str = "tag:yaml.org,2002:";

/// A scalar with its meaning.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX`.
    Uint(u64),
    Float(f64),
    Text(Cow<'a, str>),
}

impl Scalar<'_> {
    /// The text that stands for this scalar as a map key in JSON.
    pub(super) fn into_key(self) -> Result<String, String> {
        match self {
            Scalar::Text(text) => Ok(text.into_owned()),
            Scalar::Bool(value) => Ok(value.to_string()),
            Scalar::Int(value) => Ok(value.to_string()),
            Scalar::Float(value) => Ok(float_key(value)),
            Scalar::Null => {
                Err("a key must be text, but this one is null: put it in quotes".to_owned())
            }
            Scalar::Uint(value) => Err(format!(
                "a key must be text, but the number {value} is too big for one: put it in quotes"
            )),
        }
    }
}

/// Resolves a scalar; `tag` is written out in full, `None` for none. `plain` is false for quoted and
/// block scalars.
pub(super) fn scalar<'a>(
    tag: Option<&str>,
    plain: bool,
    text: Cow<'a, str>,
) -> Result<Scalar<'a>, String> {
    let Some(tag) = tag else {
        return Ok(if plain {
            untagged(&text).unwrap_or(Scalar::Text(text))
        } else {
            Scalar::Text(text)
        });
    };
    // Other tags are ignored, and what they stand at is text.
    let Some(core) = tag.strip_prefix(CORE) else {
        return Ok(Scalar::Text(text));
    };
    match core {
        "str" => return Ok(Scalar::Text(text)),
        "binary" => return Ok(Scalar::Text(Cow::Owned(binary(&text)?))),
        "bool" | "int" | "float" | "null" | "timestamp" => {}
        _ => return Ok(Scalar::Text(text)),
    }
    match (core, untagged(&text)) {
        ("null", Some(Scalar::Null)) => Ok(Scalar::Null),
        ("bool", Some(found @ Scalar::Bool(_))) => Ok(found),
        ("int", Some(found @ (Scalar::Int(_) | Scalar::Uint(_)))) => Ok(found),
        ("float", Some(found @ Scalar::Float(_))) => Ok(found),
        ("float", Some(Scalar::Int(value))) => Ok(Scalar::Float(value as f64)),
        ("timestamp", None) if is_timestamp(&text) => Ok(Scalar::Text(text)),
        _ => Err(format!("{text:?} is not a value of its tag `!!{core}`")),
    }
}

/// The JSON number that Go's encoder writes for a float, as a reader of that JSON sees it: `1e3` is
/// written `1000`, which is an integer. `None` for what JSON cannot hold.
pub(super) fn json_number(value: f64) -> Option<Number> {
    let number = Number::from_f64(value)?;
    let negative_zero = value == 0.0 && value.is_sign_negative();
    if value.fract() != 0.0 || negative_zero || value.abs() >= 1e21 {
        return Some(number);
    }
    // Go writes the shortest digits that give the float back and fills up with zeros: 2^64 becomes
    // 18446744073709552000.
    let shortest = number.to_string();
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let exponent: usize = exponent.trim_start_matches('+').parse().unwrap_or(0);
    let zeros = "0".repeat(exponent.saturating_sub(fraction.len()));
    let digits = format!("{whole}{fraction}{zeros}");
    if let Ok(value) = digits.parse::<i64>() {
        return Some(Number::from(value));
    }
    Some(digits.parse::<u64>().map_or(number, Number::from))
}

/// What an untagged plain scalar means, `None` for text.
fn untagged(text: &str) -> Option<Scalar<'static>> {
    match text.as_bytes().first() {
        None => Some(Scalar::Null),
        Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~') => {
            word(text)
        }
        Some(b'.') => word(text).or_else(|| dotted_float(text)),
        Some(b'+' | b'-' | b'0'..=b'9') => {
            if is_timestamp(text) {
                None
            } else {
                word(text).or_else(|| number(text))
            }
        }
        Some(_) => None,
    }
}

fn word(text: &str) -> Option<Scalar<'static>> {
    Some(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Scalar::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

fn number(text: &str) -> Option<Scalar<'static>> {
    let plain: Cow<'_, str> = if text.contains('_') {
        Cow::Owned(text.replace('_', ""))
    } else {
        Cow::Borrowed(text)
    };
    let (negative, digits) = match plain.as_bytes().first() {
        Some(b'-') => (true, &plain[1..]),
        Some(b'+') => (false, &plain[1..]),
        _ => (false, &*plain),
    };
    let signed = plain.len() != digits.len();
    if let Some(value) = integer(negative, signed, digits) {
        return Some(value);
    }
    if is_yaml_float(digits) {
        return finite(&plain);
    }
    // Go's fallback for `0b` reads a sign after the prefix: `0b-1` is -1.
    if let Some(rest) = plain.strip_prefix("0b") {
        let value = i64::from_str_radix(rest, 2).ok()?;
        return Some(Scalar::Int(value));
    }
    None
}

/// Go's `strconv.ParseInt(s, 0, 64)`, then `ParseUint`: `0x`, `0o`, `0b` and a bare `0` are prefixes.
fn integer(negative: bool, signed: bool, digits: &str) -> Option<Scalar<'static>> {
    let bytes = digits.as_bytes();
    let (radix, rest) = match (bytes.first()?, bytes.get(1).map(u8::to_ascii_lowercase)) {
        (b'0', Some(b'x')) => (16, &digits[2..]),
        (b'0', Some(b'o')) => (8, &digits[2..]),
        (b'0', Some(b'b')) => (2, &digits[2..]),
        (b'0', Some(_)) => (8, &digits[1..]),
        _ => (10, digits),
    };
    // `from_str_radix` would take a second sign.
    if !rest.as_bytes().first()?.is_ascii_alphanumeric() {
        return None;
    }
    let magnitude = u64::from_str_radix(rest, radix).ok()?;
    if negative {
        return 0i64.checked_sub_unsigned(magnitude).map(Scalar::Int);
    }
    match i64::try_from(magnitude) {
        Ok(value) => Some(Scalar::Int(value)),
        Err(_) if signed => None,
        Err(_) => Some(Scalar::Uint(magnitude)),
    }
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_yaml_float(digits: &str) -> bool {
    let bytes = digits.as_bytes();
    let run = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let whole = run(0);
    let mut at = whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = run(at + 1);
        if whole == 0 && fraction == 0 {
            return false;
        }
        at += 1 + fraction;
    } else if whole == 0 {
        return false;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(bytes.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        let exponent = run(at);
        if exponent == 0 {
            return false;
        }
        at += exponent;
    }
    at == bytes.len()
}

/// What starts with a dot goes straight to Go's `strconv.ParseFloat`, which takes underscores between
/// digits.
fn dotted_float(text: &str) -> Option<Scalar<'static>> {
    let bytes = text.as_bytes();
    let between_digits = |at: usize| {
        at > 0
            && bytes[at - 1].is_ascii_digit()
            && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
    };
    if bytes
        .iter()
        .enumerate()
        .any(|(at, byte)| *byte == b'_' && !between_digits(at))
    {
        return None;
    }
    let plain = text.replace('_', "");
    if is_yaml_float(&plain) {
        finite(&plain)
    } else {
        None
    }
}

/// Go refuses a float that is too big for 64 bits, and what is no number is text.
fn finite(text: &str) -> Option<Scalar<'static>> {
    text.parse::<f64>()
        .ok()
        .filter(|value| value.is_finite())
        .map(Scalar::Float)
}

/// Go's `strconv.FormatFloat(value, 'g', -1, 32)`, as `sigs.k8s.io/yaml` writes float keys.
fn float_key(value: f64) -> String {
    let value = value as f32;
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    // Rust's `{:e}` gives the same shortest digits.
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..21).contains(&exponent) && exponent < 6 {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// The bytes of a `!!binary` scalar as Go's JSON encoder writes them: what is not UTF-8 is replaced.
fn binary(text: &str) -> Result<String, String> {
    // Go's decoder skips line breaks and does not look at the unused bits of the last character.
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
    );
    let compact: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let bytes = ENGINE
        .decode(compact)
        .map_err(|error| format!("a `!!binary` value is not base64: {error}"))?;
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Ok(out)
}

/// Whether Go's reader takes the text for a timestamp; such a scalar stays text.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Four digits and a dash are never a number otherwise, so the rest only matters to `!!timestamp`.
    bytes.len() > 5
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && timestamp_rest(&text[..4], &text[5..])
}

/// `1-2`, `1-2T15:4:5.9Z`, `1-2t15:4:5+07:00` or `1-2 15:4:5.9`.
fn timestamp_rest(year: &str, rest: &str) -> bool {
    let Some((month, rest)) = rest.split_once('-') else {
        return false;
    };
    let day_end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (day, rest) = rest.split_at(day_end);
    if !within(month, 1, 12) || !within(day, 1, days(year, month)) {
        return false;
    }
    let Some(separator) = rest.chars().next() else {
        return true;
    };
    if !matches!(separator, 'T' | 't' | ' ') {
        return false;
    }
    let clock = &rest[1..];
    let zone_at = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone_at);
    let zone_fits = if separator == ' ' {
        zone.is_empty()
    } else {
        is_zone(zone)
    };
    zone_fits && is_clock(clock)
}

fn days(year: &str, month: &str) -> u32 {
    let leap = year.parse().is_ok_and(|year: u32| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    });
    match month.trim_start_matches('0') {
        "4" | "6" | "9" | "11" => 30,
        "2" if leap => 29,
        "2" => 28,
        _ => 31,
    }
}

fn is_clock(clock: &str) -> bool {
    let mut parts = clock.splitn(3, ':');
    let (Some(hour), Some(minute), Some(second)) = (parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let (second, fraction) = second
        .split_once('.')
        .map_or((second, None), |(s, f)| (s, Some(f)));
    within(hour, 0, 23)
        && within(minute, 0, 59)
        && within(second, 0, 59)
        && fraction.is_none_or(|f| !f.is_empty() && f.bytes().all(|b| b.is_ascii_digit()))
}

fn is_zone(zone: &str) -> bool {
    if zone == "Z" {
        return true;
    }
    let offset = zone
        .strip_prefix(['+', '-'])
        .and_then(|offset| offset.split_once(':'));
    offset.is_some_and(|(hours, minutes)| {
        hours.len() == 2 && minutes.len() == 2 && within(hours, 0, 24) && within(minutes, 0, 60)
    })
}

fn within(digits: &str, least: u32, most: u32) -> bool {
    (1..=2).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && digits
            .parse()
            .is_ok_and(|value: u32| (least..=most).contains(&value))
}
