//! Texts that have a form: times, quantities, base64, and the formats that a CRD may name.

use std::net::{IpAddr, Ipv6Addr};

use base64::Engine as _;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

/// As Go's `base64.StdEncoding` reads: the unused bits of the last letter may be anything.
const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Why a text is no base64, as Go reads it: line breaks are passed over.
pub(crate) fn not_base64(text: &str) -> Option<String> {
    let compact: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let is_sound = STANDARD.decode(compact).is_ok();
    (!is_sound).then(|| {
        "it is no base64; plain text goes into a field that takes it, such as `stringData`"
            .to_owned()
    })
}

/// Why a text is no time by RFC 3339.
pub(crate) fn not_time(text: &str) -> Option<String> {
    (!is_time(text)).then(|| "it is no time such as 2026-01-31T12:00:00Z".to_owned())
}

/// Why a text is no quantity, by the grammar of `resource.Quantity`.
pub(crate) fn not_quantity(text: &str) -> Option<String> {
    (!is_quantity(text)).then(|| "it is no quantity such as 500m, 1.5 or 1Gi".to_owned())
}

/// Why a text is not of a format that a CRD names. Formats that are not listed here are not checked.
pub(crate) fn not_of(format: &str, text: &str) -> Option<String> {
    let is_sound = match format {
        "date-time" | "datetime" => is_date_time(text),
        "date" => is_date(text),
        // The server looks for a dot, and takes `::ffff:10.0.0.1` so.
        "ipv4" => text.parse::<IpAddr>().is_ok() && text.contains('.'),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "byte" => not_base64(text).is_none(),
        "uuid" => is_uuid(text),
        _ => true,
    };
    (!is_sound).then(|| format!("it is not of the format {format}"))
}

fn digits(text: &str, length: usize) -> Option<u32> {
    let is_plain = text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else {
        return false;
    };
    let (Some(year), Some(month), Some(day)) = (digits(year, 4), digits(month, 2), digits(day, 2))
    else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// What strfmt, which checks a CRD's formats, takes for a time: `t` and `z` in either case, and any offset.
fn is_date_time(text: &str) -> bool {
    zoned(&text.to_ascii_uppercase(), (100, 100))
}

/// What `metav1.Time` takes.
fn is_time(text: &str) -> bool {
    zoned(text, (24, 60))
}

/// A time by RFC 3339, whose offset has hours and minutes below these bounds.
fn zoned(text: &str, offset: (u32, u32)) -> bool {
    let Some((date, time)) = text.split_once('T') else {
        return false;
    };
    let Some(zone) = time.find(['Z', '+', '-']) else {
        return false;
    };
    let (clock, zone) = time.split_at(zone);
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (clock, None),
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = parts[..] else {
        return false;
    };
    let below = |text: &str, bound: u32| digits(text, 2).is_some_and(|number| number < bound);
    let is_zone = match zone.strip_prefix(['+', '-']) {
        None => zone == "Z",
        Some(zone) => zone
            .split_once(':')
            .is_some_and(|(hour, minute)| below(hour, offset.0) && below(minute, offset.1)),
    };
    let is_fraction =
        fraction.is_none_or(|f| !f.is_empty() && f.bytes().all(|b| b.is_ascii_digit()));
    is_date(date)
        && below(hour, 24)
        && below(minute, 60)
        && below(second, 60)
        && is_fraction
        && is_zone
}

fn is_quantity(text: &str) -> bool {
    const SUFFIXES: [&str; 16] = [
        "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let is_number = number.bytes().any(|b| b.is_ascii_digit()) && number.matches('.').count() <= 1;
    let is_exponent = suffix.strip_prefix(['e', 'E']).is_some_and(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit())
    });
    is_number && (SUFFIXES.contains(&suffix) || is_exponent)
}

fn is_uuid(text: &str) -> bool {
    let hex: String = text.chars().filter(|c| *c != '-').collect();
    hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
}
