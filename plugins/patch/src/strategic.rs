//! Strategic merge patches, as Kubernetes' own library makes them: lists are merged by the keys that the OpenAPI of each
//! kind names, and `$patch`, `$retainKeys`, `$setElementOrder` and `$deleteFromPrimitiveList` are understood.

use serde_json::{Map, Value};
use weir_kubernetes::{Definition, Field, Merge, Shape};

use crate::json::shown;

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE_VALUES: &str = "$deleteFromPrimitiveList/";

/// Why an object cannot be merged with, and where in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) at: String,
    pub(crate) why: String,
}

/// Merges a patch into an object of a kind. Of a kind that is not known, maps are merged and lists replaced.
pub(crate) fn merge(
    object: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    kind: Option<Definition>,
) -> Result<(), Refusal> {
    map(object, patch, Known(kind.map(Shape::Of)), &At::Top)
}

/// What is known of the value that is merged.
#[derive(Clone, Copy)]
struct Known(Option<Shape>);

/// A place in the object, made into text only for an error.
enum At<'a> {
    Top,
    Field(&'a At<'a>, &'a str),
    Item(&'a At<'a>, &'a Value),
}

type Items = Vec<Value>;

impl Known {
    fn field(self, name: &str) -> (Merge, Known) {
        let field: Option<Field> = match self.0 {
            Some(Shape::Of(definition)) => definition.field(name),
            Some(Shape::Map(values)) => return (Merge::Plain, Known(Some(values.shape()))),
            _ => None,
        };
        match field {
            Some(field) => (field.merge, Known(Some(field.shape()))),
            None => (Merge::Plain, Known(None)),
        }
    }

    fn item(self) -> Known {
        match self.0 {
            Some(Shape::List(_, item)) => Known(Some(item.shape())),
            _ => Known(None),
        }
    }
}

impl At<'_> {
    fn refuse<T>(&self, why: impl Into<String>) -> Result<T, Refusal> {
        Err(Refusal {
            at: self.text(),
            why: why.into(),
        })
    }

    fn text(&self) -> String {
        match self {
            At::Top => String::new(),
            At::Field(above, name) => format!("{}/{name}", above.text()),
            At::Item(above, key) => format!("{}[{}]", above.text(), shown(key)),
        }
    }
}

fn map(
    here: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    known: Known,
    at: &At<'_>,
) -> Result<(), Refusal> {
    if let Some(directive) = patch.get(DIRECTIVE) {
        here.clear();
        match directive.as_str() {
            Some("replace") => {
                let rest = patch.iter().filter(|(key, _)| *key != DIRECTIVE);
                here.extend(rest.map(|(key, value)| (key.clone(), value.clone())));
            }
            Some("delete") => {}
            _ => return at.refuse(unknown_directive(directive, "`replace` or `delete`")),
        }
        return Ok(());
    }
    retain(here, patch, at)?;
    let mut ordered = Vec::new();
    for (key, order) in patch {
        if let Some(name) = key.strip_prefix(ORDER) {
            set_order(here, patch, name, order, known, at)?;
            ordered.push(name);
        }
    }
    for (key, value) in patch {
        if key == RETAIN || key.starts_with(ORDER) || ordered.contains(&key.as_str()) {
            continue;
        }
        match key.strip_prefix(DELETE_VALUES) {
            Some(name) => delete_values(here, name, value, at)?,
            None => field(here, key, value, known, at)?,
        }
    }
    Ok(())
}

fn field(
    here: &mut Map<String, Value>,
    key: &str,
    patch: &Value,
    known: Known,
    at: &At<'_>,
) -> Result<(), Refusal> {
    let (merge, known) = known.field(key);
    let at = At::Field(at, key);
    match (here.get_mut(key), patch) {
        (_, Value::Null) => {
            here.remove(key);
        }
        (Some(Value::Object(_)), Value::Object(_)) if merge == Merge::Replace => {
            here.insert(key.to_owned(), patch.clone());
        }
        (Some(Value::Object(there)), Value::Object(patch)) => map(there, patch, known, &at)?,
        (Some(Value::Array(there)), Value::Array(patch)) => list(there, patch, merge, known, &at)?,
        _ => match clean(patch) {
            Some(value) => {
                here.insert(key.to_owned(), value);
            }
            None => {
                here.remove(key);
            }
        },
    }
    Ok(())
}

/// Whether a key says how to merge. Only a typed object would drop it later, and what is applied here is none.
fn is_directive(key: &str) -> bool {
    key == DIRECTIVE || key == RETAIN || key.starts_with(ORDER) || key.starts_with(DELETE_VALUES)
}

/// Whether there is a directive anywhere in a value. Its depth is that of JSON that was read.
fn directs(value: &Value) -> bool {
    match value {
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| is_directive(key) || directs(value)),
        Value::Array(items) => items.iter().any(directs),
        _ => false,
    }
}

/// A value of a patch that meets nothing of its kind: without directives, and without fields that are null.
fn clean(patch: &Value) -> Option<Value> {
    match patch {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            let fields = map
                .iter()
                .filter(|(key, value)| !value.is_null() && !is_directive(key));
            let fields = fields.filter_map(|(key, value)| Some((key.clone(), clean(value)?)));
            Some(Value::Object(fields.collect()))
        }
        Value::Array(items) => Some(Value::Array(items.iter().filter_map(clean).collect())),
        value => Some(value.clone()),
    }
}

/// `$retainKeys`: fields that it does not name go.
fn retain(
    here: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    at: &At<'_>,
) -> Result<(), Refusal> {
    let Some(keys) = patch.get(RETAIN) else {
        return Ok(());
    };
    let Some(keys) = keys.as_array() else {
        return at.refuse(format!("{RETAIN} is a list of field names"));
    };
    let kept = |key: &str| keys.iter().any(|kept| kept == key);
    for (key, value) in patch {
        let is_field = !key.starts_with('$') && !value.is_null();
        if is_field && !kept(key) {
            return at.refuse(format!(
                "the patch sets `{key}`, which its {RETAIN} does not name"
            ));
        }
    }
    here.retain(|key, _| kept(key));
    Ok(())
}

fn delete_values(
    here: &mut Map<String, Value>,
    name: &str,
    values: &Value,
    at: &At<'_>,
) -> Result<(), Refusal> {
    let at = At::Field(at, name);
    let Some(values) = values.as_array() else {
        return at.refuse(format!("{DELETE_VALUES}{name} is a list of values"));
    };
    match here.get_mut(name) {
        None => {}
        Some(Value::Array(items)) => items.retain(|item| !values.contains(item)),
        Some(other) => return at.refuse(format!("it is {}, not a list", shown(other))),
    }
    Ok(())
}

fn list(
    here: &mut Items,
    patch: &Items,
    merge: Merge,
    known: Known,
    at: &At<'_>,
) -> Result<(), Refusal> {
    let all = || here.iter().chain(patch);
    match merge {
        // Only a list with a key has items that a directive can be about.
        Merge::Plain | Merge::Replace => {
            if patch.iter().any(directs) {
                return at.refuse(
                    "Kubernetes merges no items of this list: write the whole list, without `$patch` and the like, or use `json`",
                );
            }
            here.clone_from(patch);
            Ok(())
        }
        Merge::Values => {
            if let Some(odd) = all().find(|item| item.is_object() || item.is_array()) {
                return at.refuse(format!("{} is in a list of values", shown(odd)));
            }
            let mut merged: Items = Vec::new();
            for item in all() {
                if !merged.contains(item) {
                    merged.push(item.clone());
                }
            }
            *here = arrange(merged, patch, here, |item| Some(item));
            Ok(())
        }
        Merge::ByKey(key) => keyed(here, patch, key, known, at),
    }
}

/// A list whose items a key tells apart.
fn keyed(
    here: &mut Items,
    patch: &Items,
    key: &str,
    known: Known,
    at: &At<'_>,
) -> Result<(), Refusal> {
    for item in here.iter().chain(patch) {
        let is_replace = item.get(DIRECTIVE).is_some_and(|word| word == "replace");
        if item.get(key).is_none() && !is_replace {
            return at.refuse(format!(
                "the item {} has no `{key}`, by which Kubernetes tells items of this list apart",
                shown(item)
            ));
        }
    }
    let mut replace = false;
    let mut merging = Vec::new();
    for item in patch {
        match item.get(DIRECTIVE).map(|word| (word, word.as_str())) {
            None => merging.push(item),
            Some((_, Some("delete"))) => here.retain(|there| there.get(key) != item.get(key)),
            Some((_, Some("replace"))) => replace = true,
            Some((word, _)) => {
                return at.refuse(unknown_directive(word, "`replace` or `delete`"));
            }
        }
    }
    if replace {
        *here = merging.into_iter().filter_map(clean).collect();
        return Ok(());
    }
    let before = here.clone();
    for item in &merging {
        let value = item.get(key).unwrap_or(&Value::Null);
        match here.iter_mut().find(|there| there.get(key) == Some(value)) {
            Some(Value::Object(there)) => {
                if let Value::Object(item) = item {
                    map(there, item, known.item(), &At::Item(at, value))?;
                }
            }
            _ => here.extend(clean(item)),
        }
    }
    let named: Items = merging.into_iter().cloned().collect();
    *here = arrange(std::mem::take(here), &named, &before, |item| item.get(key));
    Ok(())
}

/// The order of a merged list: items that the patch names in its order, the others in theirs, and between the two the
/// order that they had.
fn arrange(
    merged: Items,
    patch: &Items,
    before: &Items,
    key: impl Fn(&Value) -> Option<&Value>,
) -> Items {
    let index = |list: &Items, item: &Value| list.iter().position(|other| key(other) == key(item));
    let (mut named, mut others): (Items, Items) = merged
        .into_iter()
        .partition(|item| index(patch, item).is_some());
    named.sort_by_key(|item| index(patch, item));
    others.sort_by_key(|item| index(before, item).unwrap_or(usize::MAX));
    let mut arranged = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for item in named {
        let place = index(before, &item);
        let comes_first = |other: &Value| match (index(before, other), place) {
            (Some(other), Some(place)) => other < place,
            _ => false,
        };
        while let Some(other) = others.next_if(|other| comes_first(other)) {
            arranged.push(other);
        }
        arranged.push(item);
    }
    arranged.extend(others);
    arranged
}

/// `$setElementOrder`: merges the list where the patch has one, and arranges it.
fn set_order(
    here: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    name: &str,
    order: &Value,
    known: Known,
    at: &At<'_>,
) -> Result<(), Refusal> {
    let (merge, _) = known.field(name);
    let Value::Array(order) = order else {
        return At::Field(at, name).refuse(format!("{ORDER}{name} is a list"));
    };
    let before = match here.get(name) {
        Some(Value::Array(items)) => items.clone(),
        _ => Vec::new(),
    };
    if let Some(value) = patch.get(name) {
        field(here, name, value, known, at)?;
    }
    let at = At::Field(at, name);
    let key = match merge {
        Merge::ByKey(key) => Some(key),
        _ => None,
    };
    let by = |item: &Value| key.map_or(Some(item.clone()), |key| item.get(key).cloned());
    if let Some(Value::Array(items)) = patch.get(name) {
        let kept = items.iter().filter(|item| item.get(DIRECTIVE).is_none());
        let mut places = kept.map(|item| order.iter().position(|o| by(o) == by(item)));
        if places.any(|place| place.is_none()) {
            return at.refuse(format!(
                "the patch has an item that {ORDER}{name} does not name"
            ));
        }
    }
    if let Some(Value::Array(items)) = here.get_mut(name) {
        let merged = std::mem::take(items);
        *items = match key {
            Some(key) => arrange(merged, order, &before, |item| item.get(key)),
            None => arrange(merged, order, &before, |item| Some(item)),
        };
    }
    Ok(())
}

fn unknown_directive(word: &Value, known: &str) -> String {
    format!(
        "the directive `{DIRECTIVE}: {}` is not known here: {known}",
        shown(word)
    )
}
