//! The bundled `substitute` transformer: replaces `${weir:NAME}` by configured values, and nothing else that looks like a
//! variable.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use weir_plugin::{Diagnostic, Diagnostics, Object, Params, Select, Tree, yaml};

mod marker;
#[cfg(test)]
mod tests;

use marker::{Marker, Piece, pieces};

/// What an app may say: the values, and the objects in which they are put.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Config {
    values: BTreeMap<String, Value>,
    files: Vec<String>,
    select: Select,
}

type Values = BTreeMap<String, Value>;

/// An object with this annotation is left as it is: it may hold text in which the markers are meant.
const SWITCH: &str = "weir.dev/substitute";
/// What is shown of one render's mistakes.
const MOST_SAID: usize = 20;

weir_plugin::transformer!(transform, tree);

/// Puts values in the place of markers, in every text of the selected objects.
///
/// # Errors
/// `bad-config` and what [`yaml::read`] says of files; `unknown-value`, `bad-marker` and `not-text`, each with the object and
/// the place in it.
pub fn transform(
    mut objects: Vec<Object>,
    params: &Params,
    tree: &dyn Tree,
) -> Result<Vec<Object>, Diagnostics> {
    let config: Config = params.config()?;
    let select = config.select.clone();
    let values = values(config, params, tree)?;
    let mut wrong = Vec::new();
    for object in &mut objects {
        if !select.matches(object) {
            continue;
        }
        match object.annotation(SWITCH) {
            None | Some("enabled") => {}
            Some("disabled") => continue,
            Some(other) => {
                let message = format!(
                    "{object}: the annotation {SWITCH} is {other:?}: `enabled` or `disabled` was expected"
                );
                wrong.push(Diagnostic::error("bad-marker", message));
                continue;
            }
        }
        let id = object.id();
        let mut replace = Replace {
            values: &values,
            id: &id,
            at: Vec::new(),
            wrong: &mut wrong,
        };
        replace.map(object);
    }
    let more = wrong.len().saturating_sub(MOST_SAID);
    wrong.truncate(MOST_SAID);
    if more > 0 {
        wrong.push(Diagnostic::error(
            "unknown-value",
            format!("and {more} more"),
        ));
    }
    Diagnostics::or(wrong, objects)
}

/// All values: files in their order, then those of the config itself.
fn values(config: Config, params: &Params, tree: &dyn Tree) -> Result<Values, Diagnostics> {
    let mut values = Values::new();
    for file in &config.files {
        let path = params.resolve(file)?;
        for part in yaml::read(tree, &path)? {
            let at = |message: String| {
                Diagnostic::error("bad-values", message)
                    .at(path.clone())
                    .line(part.line)
            };
            let Value::Object(map) = part.value else {
                return Err(at("a file of values is a map of names to values".into()).into());
            };
            for (name, value) in map {
                check(&name, &value).map_err(at)?;
                values.insert(name, value);
            }
        }
    }
    for (name, value) in config.values {
        check(&name, &value)
            .map_err(|why| Diagnostic::error("bad-config", format!("config.values: {why}")))?;
        values.insert(name, value);
    }
    Ok(values)
}

fn check(name: &str, value: &Value) -> Result<(), String> {
    if !marker::is_name(name) {
        return Err(format!(
            "{name:?} is no name: letters, digits, `_`, `.` and `-`, and a letter or `_` first"
        ));
    }
    if value.is_null() {
        return Err(format!(
            "`{name}` is null: give it a value, or leave it out"
        ));
    }
    Ok(())
}

/// One object, and where in it we are.
struct Replace<'a> {
    values: &'a Values,
    id: &'a str,
    at: Vec<String>,
    wrong: &'a mut Vec<Diagnostic>,
}

impl<'a> Replace<'a> {
    fn map(&mut self, map: &mut serde_json::Map<String, Value>) {
        for (key, value) in map.iter_mut() {
            self.at.push(key.replace('~', "~0").replace('/', "~1"));
            if key.contains(marker::OPENING) {
                self.say("bad-marker", "a marker in a key: only values are replaced");
            }
            self.value(value);
            self.at.pop();
        }
    }

    fn value(&mut self, value: &mut Value) {
        match value {
            Value::String(text) if text.contains(marker::OPENING) => {
                if let Some(new) = self.text(text) {
                    *value = new;
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.at.push(index.to_string());
                    self.value(item);
                    self.at.pop();
                }
            }
            Value::Object(map) => self.map(map),
            _ => {}
        }
    }

    /// What a text with markers becomes; nothing where something is wrong with it, which is then said.
    fn text(&mut self, text: &str) -> Option<Value> {
        let pieces = match pieces(text) {
            Ok(pieces) => pieces,
            Err(why) => {
                self.say("bad-marker", &why);
                return None;
            }
        };
        if let [
            Piece::Marker(Marker {
                name,
                as_text: false,
            }),
        ] = pieces[..]
        {
            return self.look_up(name).cloned();
        }
        let mut whole = String::new();
        let mut is_sound = true;
        for piece in pieces {
            match piece {
                Piece::Text(text) => whole.push_str(text),
                Piece::Marker(marker) => match self.look_up(marker.name) {
                    Some(Value::String(value)) => whole.push_str(value),
                    Some(value @ (Value::Number(_) | Value::Bool(_))) => {
                        whole.push_str(&value.to_string());
                    }
                    Some(_) => {
                        let why = format!(
                            "the value `{}` is a list or a map, which can only stand alone, as the whole value of a field",
                            marker.name
                        );
                        self.say("not-text", &why);
                        is_sound = false;
                    }
                    None => is_sound = false,
                },
            }
        }
        is_sound.then_some(Value::String(whole))
    }

    fn look_up(&mut self, name: &str) -> Option<&'a Value> {
        let values = self.values;
        if !values.contains_key(name) {
            let near = values
                .keys()
                .map(|known| (strsim::damerau_levenshtein(known, name), known))
                .filter(|(distance, known)| *distance <= known.len().div_ceil(3))
                .min();
            let near = match near {
                Some((_, known)) => format!("did you mean `{known}`?"),
                None => "add it to `values` or a file".to_owned(),
            };
            let why = format!(
                "there is no value `{name}`: {near} (text that is meant as it stands is written $${{weir:...}})"
            );
            self.say("unknown-value", &why);
        }
        values.get(name)
    }

    fn say(&mut self, code: &str, why: &str) {
        let message = format!("{}: /{}: {why}", self.id, self.at.join("/"));
        self.wrong.push(Diagnostic::error(code, message));
    }
}
