//! The bounds that a CRD sets for values: lengths, sizes, ranges, patterns.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::{Map, Number, Value};

type Schema = Map<String, Value>;

/// Compiled patterns; `None` is one that is not understood.
pub(crate) type Patterns = BTreeMap<String, Option<Regex>>;

/// Values are equal by what they mean: 1 and 1.0 are.
pub(crate) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|o| same(v, o)))
        }
        _ => one == other,
    }
}

/// Whole numbers are compared as such: as floats, large ones that differ are equal.
fn same_number(one: &Number, other: &Number) -> bool {
    let whole = |number: &Number| number.is_i64() || number.is_u64();
    one == other || (!(whole(one) && whole(other)) && one.as_f64() == other.as_f64())
}

pub(crate) fn has_double(items: &[Value]) -> bool {
    let mut texts: Vec<String> = items.iter().map(Value::to_string).collect();
    texts.sort_unstable();
    texts.windows(2).any(|pair| pair[0] == pair[1])
}

pub(crate) fn of_size(schema: &Schema, size: usize, unit: &str, name: &str) -> Vec<String> {
    let bound = |end: &str| schema.get(&format!("{end}{unit}")).and_then(Value::as_u64);
    let size = size as u64;
    let least = bound("min").filter(|least| size < *least);
    let most = bound("max").filter(|most| size > *most);
    let least = least.map(|least| format!("it has {size} {name}, and needs at least {least}"));
    let most = most.map(|most| format!("it has {size} {name}, and may have at most {most}"));
    least.into_iter().chain(most).collect()
}

/// A pattern that this reader does not understand refuses nothing: the API server will say.
pub(crate) fn of_text(schema: &Schema, text: &str, patterns: &mut Patterns) -> Vec<String> {
    let mut wrong = of_size(schema, text.chars().count(), "Length", "characters");
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        if !patterns.contains_key(pattern) {
            patterns.insert(pattern.to_owned(), Regex::new(pattern).ok());
        }
        let compiled = patterns.get(pattern).and_then(Option::as_ref);
        if compiled.is_some_and(|compiled| !compiled.is_match(text)) {
            wrong.push(format!("it must match {pattern}"));
        }
    }
    wrong
}

pub(crate) fn of_number(schema: &Schema, number: &Number) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some(value) = number.as_f64() else {
        return wrong;
    };
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let excluded = |key: &str| schema.get(key) == Some(&Value::Bool(true));
    if let Some(least) = bound("minimum") {
        if excluded("exclusiveMinimum") && value <= least {
            wrong.push(format!("it must be more than {least}"));
        } else if value < least {
            wrong.push(format!("it must be at least {least}"));
        }
    }
    if let Some(most) = bound("maximum") {
        if excluded("exclusiveMaximum") && value >= most {
            wrong.push(format!("it must be less than {most}"));
        } else if value > most {
            wrong.push(format!("it must be at most {most}"));
        }
    }
    if let Some(step) = bound("multipleOf").filter(|step| *step > 0.0) {
        let steps = value / step;
        if (steps - steps.round()).abs() > 1e-9 {
            wrong.push(format!("it must be a multiple of {step}"));
        }
    }
    let whole = number.as_i64();
    let is_out = match schema.get("format").and_then(Value::as_str) {
        Some("int32") => {
            whole.is_some_and(|whole| i32::try_from(whole).is_err())
                || number.is_u64() && whole.is_none()
        }
        Some("int64") => number.is_u64() && whole.is_none(),
        _ => false,
    };
    if is_out {
        wrong.push("it does not fit into its format".to_owned());
    }
    wrong
}
