//! Objects of Kubernetes' own kinds, by what Go decodes: null is nothing, and a name is known or an error.

use serde_json::{Map, Value};
use weir_kubernetes::{Definition, Field, Shape, choices, keys};

use crate::duplicates;
use crate::formats;
use crate::look::{At, Code, Look, nearest, shown};

/// The fields of one definition.
pub(crate) fn object(
    look: &mut Look<'_>,
    definition: Definition,
    map: &Map<String, Value>,
    at: &At<'_>,
) {
    // Both are sorted by name: one pass over each.
    let mut given = map.iter().peekable();
    for field in definition.fields() {
        while let Some((key, _)) = given.next_if(|(key, _)| key.as_str() < field.name) {
            look.unknown_field(at, key, names(definition));
        }
        let value = given.next_if(|(key, _)| key.as_str() == field.name);
        match value
            .map(|(_, value)| value)
            .filter(|value| !value.is_null())
        {
            Some(value) => value_of(look, field, value, &At::Key(at, field.name)),
            None if field.required => missing(look, at, field.name),
            None => {}
        }
    }
    for (key, _) in given {
        look.unknown_field(at, key, names(definition));
    }
}

pub(crate) fn missing(look: &mut Look<'_>, at: &At<'_>, name: &str) {
    let message = format!("{} needs `{name}`", at.name());
    look.say(Code::MissingField, at, &message);
}

fn names(definition: Definition) -> impl Iterator<Item = &'static str> + Clone {
    definition.names()
}

/// An enumeration takes the empty text where the field may be left out: Go cannot tell the two apart.
fn value_of(look: &mut Look<'_>, field: Field, value: &Value, at: &At<'_>) {
    if !field.required && value.as_str() == Some("") && matches!(field.shape(), Shape::Text(_)) {
        return;
    }
    check(look, field.shape(), value, at);
}

fn check(look: &mut Look<'_>, shape: Shape, value: &Value, at: &At<'_>) {
    if value.is_null() {
        return;
    }
    match (shape, value) {
        (Shape::Anything, _) | (Shape::Object, Value::Object(_)) => {}
        (Shape::Of(definition), Value::Object(map)) => object(look, definition, map, at),
        (Shape::Map(values), Value::Object(map)) => {
            for (key, value) in map {
                check(look, values.shape(), value, &At::Key(at, key));
            }
        }
        (Shape::List(list, item), Value::Array(items)) => {
            for (index, value) in items.iter().enumerate() {
                check(look, item.shape(), value, &At::Item(at, index));
            }
            if let Some(list) = list {
                duplicates::check(look, items, keys(list), at);
            }
        }
        (Shape::Either(one, other), _) => {
            let shape = [one.shape(), other.shape()]
                .into_iter()
                .find(|shape| fits(*shape, value));
            match shape {
                Some(shape) => check(look, shape, value, at),
                None => {
                    let expected = format!("{} or {}", name(one.shape()), name(other.shape()));
                    look.wrong_type(at, value, &expected);
                }
            }
        }
        _ => scalar(look, shape, value, at),
    }
}

fn scalar(look: &mut Look<'_>, shape: Shape, value: &Value, at: &At<'_>) {
    let why = match (shape, value) {
        (Shape::Text(list), Value::String(text)) => {
            list.and_then(|list| not_chosen(text, choices(list)))
        }
        (Shape::Bytes, Value::String(text)) => formats::not_base64(text),
        (Shape::Time, Value::String(text)) => formats::not_time(text),
        (Shape::Quantity, Value::String(text)) => formats::not_quantity(text),
        (Shape::Quantity, Value::Number(_))
        | (Shape::IntOrText, Value::String(_))
        | (Shape::Number, Value::Number(_))
        | (Shape::Bool, Value::Bool(_)) => None,
        (Shape::Int32 | Shape::IntOrText, Value::Number(number))
            if number.is_i64() || number.is_u64() =>
        {
            let fits = number
                .as_i64()
                .is_some_and(|number| i32::try_from(number).is_ok());
            (!fits).then(|| "it does not fit into 32 bits".to_owned())
        }
        (Shape::Int64, Value::Number(number)) if number.is_i64() || number.is_u64() => {
            (!number.is_i64()).then(|| "it does not fit into 64 bits".to_owned())
        }
        _ => return look.wrong_type(at, value, &name(shape)),
    };
    if let Some(why) = why {
        let message = format!("{} is {}: {why}", at.name(), shown(value));
        look.say(Code::BadValue, at, &message);
    }
}

/// Why a text is none of a list.
pub(crate) fn not_chosen<'n>(
    text: &str,
    list: impl Iterator<Item = &'n str> + Clone,
) -> Option<String> {
    if list.clone().any(|choice| choice == text) {
        return None;
    }
    let all = list.clone().collect::<Vec<_>>().join(", ");
    Some(match nearest(text, list) {
        Some(choice) => format!("did you mean `{choice}`? It is one of: {all}"),
        None => format!("it must be one of: {all}"),
    })
}

/// Whether a value is of the shape's kind of JSON.
fn fits(shape: Shape, value: &Value) -> bool {
    match shape {
        Shape::Of(_) | Shape::Map(_) | Shape::Object => value.is_object(),
        Shape::List(..) => value.is_array(),
        Shape::Bool => value.is_boolean(),
        _ => true,
    }
}

/// A shape in a sentence.
fn name(shape: Shape) -> String {
    match shape {
        Shape::Text(_) => "text",
        Shape::Bytes => "text in base64",
        Shape::Time => "a time such as 2026-01-31T12:00:00Z",
        Shape::Quantity => "a quantity such as 500m or 1Gi",
        Shape::IntOrText => "a whole number or text",
        Shape::Int32 | Shape::Int64 => "a whole number",
        Shape::Number => "a number",
        Shape::Bool => "true or false",
        Shape::List(..) => "a list",
        Shape::Of(_) | Shape::Map(_) | Shape::Object => "a map",
        Shape::Either(..) | Shape::Anything => "another value",
    }
    .to_owned()
}
