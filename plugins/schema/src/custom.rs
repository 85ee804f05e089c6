//! Objects of custom kinds, by their CRD's structural schema: fields as the API server prunes them, values as it validates
//! them.

use serde_json::{Map, Value};

use crate::builtin;
use crate::duplicates;
use crate::formats;
use crate::limits;
use crate::look::{At, Code, Look, kind_of, shown};

type Schema = Map<String, Value>;

/// What the place in the schema is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The object itself.
    Root,
    /// A place of the structural schema: fields that it does not name are unknown.
    Structure,
    /// Inside `allOf`, `anyOf`, `oneOf` or `not`, which only look at values.
    Values,
}

/// An object of a custom kind.
pub(crate) fn object(look: &mut Look<'_>, schema: &Schema, map: &Map<String, Value>) {
    fields(look, schema, map, &At::Top, Part::Root);
    values_of_map(look, schema, map, &At::Top, Part::Root);
}

fn flag(schema: &Schema, key: &str) -> bool {
    schema.get(key) == Some(&Value::Bool(true))
}

fn is_embedded(schema: &Schema, part: Part) -> bool {
    part == Part::Root || flag(schema, "x-kubernetes-embedded-resource")
}

/// The fields that every object has, in addition to what its schema names.
const OF_OBJECTS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Fields that the schema does not name, and the metadata of embedded objects.
fn fields(look: &mut Look<'_>, schema: &Schema, map: &Map<String, Value>, at: &At<'_>, part: Part) {
    let embedded = is_embedded(schema, part);
    if embedded {
        for key in ["apiVersion", "kind"] {
            match map.get(key) {
                Some(Value::String(text)) if !text.is_empty() => {}
                Some(Value::String(_)) | None => builtin::missing(look, at, key),
                Some(other) => look.wrong_type(&At::Key(at, key), other, "text"),
            }
        }
        match (
            map.get("metadata"),
            weir_kubernetes::definition("meta.v1.ObjectMeta"),
        ) {
            (Some(Value::Object(metadata)), Some(definition)) => {
                builtin::object(look, definition, metadata, &At::Key(at, "metadata"));
            }
            (Some(Value::Null) | None, _) | (_, None) => {}
            (Some(other), _) => look.wrong_type(&At::Key(at, "metadata"), other, "a map"),
        }
    }
    if flag(schema, "x-kubernetes-preserve-unknown-fields") {
        return;
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    if schema
        .get("additionalProperties")
        .is_some_and(|extra| extra != false)
    {
        return;
    }
    let names = properties
        .into_iter()
        .flat_map(|map| map.keys().map(String::as_str));
    let own = OF_OBJECTS.into_iter().filter(move |_| embedded);
    for key in map.keys() {
        let is_known = properties.is_some_and(|properties| properties.contains_key(key))
            || (embedded && OF_OBJECTS.contains(&key.as_str()));
        if !is_known {
            look.unknown_field(at, key, names.clone().chain(own.clone()));
        }
    }
}

/// One value under one schema.
fn value_of(look: &mut Look<'_>, schema: &Schema, value: &Value, at: &At<'_>, part: Part) {
    if value.is_null() && flag(schema, "nullable") {
        return;
    }
    if !type_fits(look, schema, value, at) {
        return;
    }
    if let Some(Value::Array(list)) = schema.get("enum")
        && !list.iter().any(|choice| limits::same(choice, value))
    {
        let all: Vec<String> = list.iter().map(plain).collect();
        let why = match value {
            Value::String(text) => builtin::not_chosen(text, all.iter().map(String::as_str)),
            _ => None,
        };
        let why = why.unwrap_or_else(|| format!("it must be one of: {}", all.join(", ")));
        say_value(look, value, at, &why);
    }
    match value {
        Value::Object(map) => {
            if part == Part::Structure {
                fields(look, schema, map, at, part);
            }
            values_of_map(look, schema, map, at, part);
        }
        Value::Array(items) => values_of_list(look, schema, items, at, part),
        Value::String(text) => {
            let format = schema.get("format").and_then(Value::as_str);
            let wrong = format.and_then(|format| formats::not_of(format, text));
            for why in limits::of_text(schema, text, look.patterns())
                .into_iter()
                .chain(wrong)
            {
                say_value(look, value, at, &why);
            }
        }
        Value::Number(number) => {
            for why in limits::of_number(schema, number) {
                say_value(look, value, at, &why);
            }
        }
        _ => {}
    }
    junctions(look, schema, value, at);
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn say_value(look: &mut Look<'_>, value: &Value, at: &At<'_>, why: &str) {
    let message = format!("{} is {}: {why}", at.name(), shown(value));
    look.say(Code::BadValue, at, &message);
}

/// Whether a value is of the schema's type; says so where it is not.
fn type_fits(look: &mut Look<'_>, schema: &Schema, value: &Value, at: &At<'_>) -> bool {
    let is_whole = |value: &Value| match value {
        Value::Number(number) => number.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => false,
    };
    if flag(schema, "x-kubernetes-int-or-string") {
        let fits = value.is_string() || is_whole(value);
        if !fits {
            look.wrong_type(at, value, "a whole number or text");
        }
        return fits;
    }
    let (fits, name) = match schema.get("type").and_then(Value::as_str) {
        Some("object") => (value.is_object(), "a map"),
        Some("array") => (value.is_array(), "a list"),
        Some("string") => (value.is_string(), "text"),
        Some("boolean") => (value.is_boolean(), "true or false"),
        Some("integer") => (is_whole(value), "a whole number"),
        Some("number") => (value.is_number(), "a number"),
        _ => (true, ""),
    };
    if !fits {
        look.wrong_type(at, value, name);
    }
    fits
}

fn values_of_map(
    look: &mut Look<'_>,
    schema: &Schema,
    map: &Map<String, Value>,
    at: &At<'_>,
    part: Part,
) {
    let inner = if part == Part::Values {
        Part::Values
    } else {
        Part::Structure
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    let extra = schema
        .get("additionalProperties")
        .and_then(Value::as_object);
    let embedded = is_embedded(schema, part);
    for (key, value) in map {
        let own = properties
            .and_then(|properties| properties.get(key))
            .and_then(Value::as_object);
        let Some(schema) = own.or(extra) else {
            continue;
        };
        let at = At::Key(at, key);
        // The server gives the default where null is written.
        if value.is_null() && schema.contains_key("default") {
            continue;
        }
        // What all objects have is checked already; a CRD may only narrow it.
        let part = if embedded && OF_OBJECTS.contains(&key.as_str()) {
            Part::Values
        } else {
            inner
        };
        value_of(look, schema, value, &at, part);
    }
    let required = schema.get("required").and_then(Value::as_array);
    for key in required.into_iter().flatten().filter_map(Value::as_str) {
        let has_default = properties
            .and_then(|properties| properties.get(key))
            .is_some_and(|schema| schema.get("default").is_some());
        let is_there = map.contains_key(key) || has_default;
        // Said already by the fields of objects.
        let is_said = part != Part::Values && embedded && OF_OBJECTS.contains(&key);
        if !is_there && !is_said {
            builtin::missing(look, at, key);
        }
    }
    for why in limits::of_size(schema, map.len(), "Properties", "fields") {
        let message = format!("{}: {why}", at.name());
        look.say(Code::BadValue, at, &message);
    }
}

fn values_of_list(look: &mut Look<'_>, schema: &Schema, items: &[Value], at: &At<'_>, part: Part) {
    if let Some(Value::Object(inner)) = schema.get("items") {
        for (index, value) in items.iter().enumerate() {
            value_of(look, inner, value, &At::Item(at, index), part);
        }
    }
    let mut wrong = limits::of_size(schema, items.len(), "Items", "items");
    if flag(schema, "uniqueItems") && limits::has_double(items) {
        wrong.push("an item stands twice".to_owned());
    }
    for why in wrong {
        let message = format!("{}: {why}", at.name());
        look.say(Code::BadValue, at, &message);
    }
    let text = |value: &'_ Value| value.as_str().map(str::to_owned);
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => duplicates::check(look, items, std::iter::empty(), at),
        Some("map") => {
            let keys = schema
                .get("x-kubernetes-list-map-keys")
                .and_then(Value::as_array);
            let keys: Vec<String> = keys.into_iter().flatten().filter_map(text).collect();
            let default = |key: &str| {
                let pointer = format!("/properties/{key}/default");
                schema.get("items")?.pointer(&pointer).and_then(text)
            };
            let keys: Vec<_> = keys
                .iter()
                .map(|key| (key.as_str(), default(key)))
                .collect();
            let keys = keys.iter().map(|(key, default)| (*key, default.as_deref()));
            duplicates::check(look, items, keys, at);
        }
        _ => {}
    }
}

/// `allOf`, `anyOf`, `oneOf` and `not`.
fn junctions(look: &mut Look<'_>, schema: &Schema, value: &Value, at: &At<'_>) {
    let list = |key: &str| {
        let ways = schema.get(key).and_then(Value::as_array);
        ways.into_iter().flatten().filter_map(Value::as_object)
    };
    for way in list("allOf") {
        value_of(look, way, value, at, Part::Values);
    }
    let fits = |look: &Look<'_>, way: &Schema| {
        let mut aside = look.aside();
        value_of(&mut aside, way, value, at, Part::Values);
        aside
            .found
            .into_iter()
            .next()
            .map(|finding| finding.message)
    };
    for key in ["anyOf", "oneOf"] {
        let refusals: Vec<Option<String>> = list(key).map(|way| fits(look, way)).collect();
        let fitting = refusals.iter().filter(|refusal| refusal.is_none()).count();
        let ways = refusals.len();
        if ways == 0 || fitting == 1 || (fitting > 1 && key == "anyOf") {
            continue;
        }
        let message = if fitting > 1 {
            format!(
                "{}: it is as {fitting} of {ways} ways have it, and must be as one only",
                at.name()
            )
        } else {
            let first = refusals.into_iter().flatten().next().unwrap_or_default();
            format!(
                "{}: it is as none of {ways} ways have it; of the first: {first}",
                at.name()
            )
        };
        look.say(Code::BadValue, at, &message);
    }
    if let Some(Value::Object(way)) = schema.get("not")
        && fits(look, way).is_none()
    {
        let message = format!(
            "{} is {}, which its CRD excludes",
            at.name(),
            kind_of(value)
        );
        look.say(Code::BadValue, at, &message);
    }
}
