//! Numbers and booleans as Go writes them: in a MAC, in JSON and in YAML.

/// Without an exponent (`strconv.FormatFloat(value, 'f', -1, 64)`).
pub(super) fn plain(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    // Rust's shortest text that reads back as the same number has no exponent either.
    value.to_string()
}

/// As SOPS has had it since it was a Python program.
pub(super) fn title(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// As `encoding/json` writes it.
pub(super) fn json(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        // A single digit of an exponent stays one: 1e-9, and 1e+21.
        return exponent(value, 1);
    }
    plain(value)
}

/// As go-yaml writes it (`strconv.FormatFloat(value, 'g', -1, 64)`).
pub(super) fn yaml(value: f64) -> String {
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    if value == 0.0 {
        return plain(value);
    }
    let text = format!("{value:e}");
    let power: i32 = text
        .split_once('e')
        .and_then(|(_, power)| power.parse().ok())
        .unwrap_or(0);
    match (-4..6).contains(&power) {
        true => plain(value),
        false => exponent(value, 2),
    }
}

/// With an exponent that has a sign and at least so many digits.
fn exponent(value: f64, digits: usize) -> String {
    let text = format!("{value:e}");
    let Some((mantissa, power)) = text.split_once('e') else {
        return text;
    };
    let (sign, power) = match power.strip_prefix('-') {
        Some(power) => ('-', power),
        None => ('+', power),
    };
    format!("{mantissa}e{sign}{power:0>digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_go_writes_them() {
        for (value, in_mac, in_json, in_yaml) in [
            (1.5, "1.5", "1.5", "1.5"),
            (1.0, "1", "1", "1"),
            (-0.25, "-0.25", "-0.25", "-0.25"),
            (0.0, "0", "0", "0"),
            (1e-7, "0.0000001", "1e-7", "1e-07"),
            (1.25e-5, "0.0000125", "0.0000125", "1.25e-05"),
            (1e21, "1000000000000000000000", "1e+21", "1e+21"),
            (1234567.5, "1234567.5", "1234567.5", "1.2345675e+06"),
            (
                1e20,
                "100000000000000000000",
                "100000000000000000000",
                "1e+20",
            ),
        ] {
            assert_eq!(plain(value), in_mac);
            assert_eq!(json(value), in_json);
            assert_eq!(yaml(value), in_yaml, "{value}");
        }
    }
}
