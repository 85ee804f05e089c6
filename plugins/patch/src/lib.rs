//! The bundled `patch` transformer: JSON patches (RFC 6902) and strategic merge patches, in the config or in files.

use serde::Deserialize;
use serde_json::{Map, Value};
use weir_plugin::{Diagnostic, Diagnostics, Object, Params, Select, Tree, log, yaml};

mod json;
mod strategic;
#[cfg(test)]
mod tests;

/// What an app may say: the patches, in the order in which they are made.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Config {
    patches: Vec<Patch>,
    unmatched: Unmatched,
}

/// One patch: for which objects, and one of three ways to say what it does.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Patch {
    select: Option<Select>,
    json: Option<Vec<json::Operation>>,
    merge: Option<Map<String, Value>>,
    file: Option<String>,
}

/// What a patch is that matches no object.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unmatched {
    #[default]
    Error,
    Warning,
    Ignore,
}

/// A patch with its place, which errors name.
struct Step {
    place: Place,
    whom: Whom,
    what: What,
}

/// Where a patch is written.
#[derive(Clone)]
struct Place {
    /// `patches[2]`, or that and the file's name.
    text: String,
    file: Option<(String, u32)>,
}

/// The objects that a patch is for.
enum Whom {
    Selected(Select),
    /// The one that a merge patch itself names.
    Named {
        api_version: Option<String>,
        kind: String,
        name: String,
        namespace: Option<String>,
    },
}

enum What {
    Json(Vec<json::Operation>),
    Merge(Map<String, Value>),
}

weir_plugin::transformer!(transform, tree);

/// Makes each patch on each object that it is for.
///
/// # Errors
/// `bad-config`, `bad-patch` and what [`yaml::read`] says of files; `patch-unmatched` where a patch is for no object;
/// `patch-failed` where an object is not as a patch expects it, with the object and the place in it.
pub fn transform(
    mut objects: Vec<Object>,
    params: &Params,
    tree: &dyn Tree,
) -> Result<Vec<Object>, Diagnostics> {
    let config: Config = params.config()?;
    let unmatched = config.unmatched;
    for (index, patch) in config.patches.into_iter().enumerate() {
        for step in steps(index, patch, params, tree)? {
            let mut count = 0;
            let mut kept = Vec::with_capacity(objects.len());
            for mut object in objects {
                let is_meant = step.whom.means(&object, params);
                count += usize::from(is_meant);
                if !is_meant || step.make(&mut object)? {
                    kept.push(object);
                }
            }
            objects = kept;
            if count == 0 {
                step.matched_nothing(unmatched)?;
            }
        }
    }
    Ok(objects)
}

/// What one entry of the config comes to: a file may have several documents.
fn steps(
    index: usize,
    patch: Patch,
    params: &Params,
    tree: &dyn Tree,
) -> Result<Vec<Step>, Diagnostic> {
    let place = Place {
        text: format!("config.patches[{index}]"),
        file: None,
    };
    match (patch.json, patch.merge, patch.file) {
        (Some(operations), None, None) => {
            let whom = selected(patch.select, &place)?;
            Ok(vec![Step::new(place, whom, What::Json(operations))])
        }
        (None, Some(merge), None) => Ok(vec![merging(place, patch.select, merge)?]),
        (None, None, Some(file)) => {
            let path = params.resolve(&file)?;
            let parts = yaml::read(tree, &path)?;
            if parts.is_empty() {
                let message = "the file holds no patch: give it one, or take it out of the config";
                return Err(Diagnostic::error("bad-patch", message).at(path));
            }
            parts
                .into_iter()
                .map(|part| from_file(&place, &path, part, patch.select.clone()))
                .collect()
        }
        _ => Err(place.say(
            "bad-config",
            "give exactly one of `json` (operations of RFC 6902), `merge` (a strategic merge patch) and `file`",
        )),
    }
}

fn from_file(
    place: &Place,
    path: &str,
    part: yaml::Part,
    select: Option<Select>,
) -> Result<Step, Diagnostic> {
    let place = Place {
        text: place.text.clone(),
        file: Some((path.to_owned(), part.line)),
    };
    match part.value {
        Value::Array(operations) => {
            let operations =
                serde_path_to_error::deserialize(Value::Array(operations)).map_err(|error| {
                    let at = error.path().to_string();
                    place.say("bad-patch", &format!("operation {at}: {}", error.inner()))
                })?;
            let whom = selected(select, &place)?;
            Ok(Step::new(place, whom, What::Json(operations)))
        }
        Value::Object(merge) => merging(place, select, merge),
        _ => Err(place.say(
            "bad-patch",
            "a patch is a list of operations or an object to merge",
        )),
    }
}

/// A JSON patch says nothing of whom it is for.
fn selected(select: Option<Select>, place: &Place) -> Result<Whom, Diagnostic> {
    match select {
        Some(select) => Ok(Whom::Selected(select)),
        None => Err(place.say(
            "bad-config",
            "a JSON patch does not say which objects it is for: add `select` (`select: {}` is all)",
        )),
    }
}

/// A merge patch is for what `select` says, or for the object that it names. What identifies an object is never merged.
fn merging(
    place: Place,
    select: Option<Select>,
    mut merge: Map<String, Value>,
) -> Result<Step, Diagnostic> {
    let take = |map: &mut Map<String, Value>, key: &str| match map.remove(key) {
        Some(Value::String(text)) => Ok(Some(text)),
        None => Ok(None),
        Some(_) => Err(place.say("bad-patch", &format!("`{key}` must be text"))),
    };
    let api_version = take(&mut merge, "apiVersion")?;
    let kind = take(&mut merge, "kind")?;
    let (mut name, mut namespace) = (None, None);
    if let Some(Value::Object(metadata)) = merge.get_mut("metadata") {
        name = take(metadata, "name")?;
        namespace = take(metadata, "namespace")?;
        if metadata.is_empty() {
            merge.remove("metadata");
        }
    }
    let whom = match (select, kind, name) {
        (Some(select), _, _) => Whom::Selected(select),
        (None, Some(kind), Some(name)) => Whom::Named {
            api_version,
            kind,
            name,
            namespace,
        },
        (None, _, _) => {
            return Err(place.say(
                "bad-patch",
                "it is not said which object it is for: give the patch `kind` and `metadata.name`, or add `select`",
            ));
        }
    };
    Ok(Step::new(place, whom, What::Merge(merge)))
}

impl Whom {
    fn means(&self, object: &Object, params: &Params) -> bool {
        match self {
            Whom::Selected(select) => select.matches(object),
            Whom::Named {
                api_version,
                kind,
                name,
                namespace,
            } => {
                let lives = object.namespace().or(params.namespace.as_deref());
                object.kind() == kind
                    && object.name() == name
                    && api_version
                        .as_ref()
                        .is_none_or(|version| version == object.api_version())
                    && namespace
                        .as_deref()
                        .is_none_or(|namespace| lives == Some(namespace))
            }
        }
    }
}

impl Step {
    fn new(place: Place, whom: Whom, what: What) -> Step {
        Step { place, whom, what }
    }

    /// Makes the patch; `false` says that it deletes the object.
    fn make(&self, object: &mut Object) -> Result<bool, Diagnostic> {
        let id = object.id();
        let failed = |at: &str, why: &str| {
            self.place
                .say("patch-failed", &format!("{id}: {at}: {why}"))
        };
        match &self.what {
            What::Json(operations) => {
                if operations.len() > json::MOST_OPERATIONS {
                    let why = format!(
                        "{} operations: a patch has at most {}",
                        operations.len(),
                        json::MOST_OPERATIONS
                    );
                    return Err(self.place.say("bad-patch", &why));
                }
                let mut copied = 0;
                let mut whole = Value::Object(std::mem::take(&mut **object));
                for (index, operation) in operations.iter().enumerate() {
                    operation.make(&mut whole, &mut copied).map_err(|refused| {
                        let place = format!("operation {index} ({})", operation.name());
                        failed(&place, &refused)
                    })?;
                }
                match whole {
                    Value::Object(map) => **object = map,
                    _ => {
                        return Err(failed(
                            "the whole object",
                            "it would no longer be an object",
                        ));
                    }
                }
                Ok(true)
            }
            What::Merge(patch) => {
                if patch.get("$patch").is_some_and(|word| word == "delete") {
                    return Ok(false);
                }
                let kind = weir_kubernetes::kind(object.api_version(), object.kind());
                let definition = kind.map(|kind| kind.definition);
                let before = Identity::of(object);
                strategic::merge(object, patch, definition)
                    .map_err(|refused| failed(&refused.at, &refused.why))?;
                before.restore(object)?;
                Ok(true)
            }
        }
    }

    fn matched_nothing(&self, unmatched: Unmatched) -> Result<(), Diagnostic> {
        let whom = match &self.whom {
            Whom::Selected(_) => "no object is as its `select` says".to_owned(),
            Whom::Named { kind, name, .. } => format!("there is no {kind} {name} in the render"),
        };
        let message = format!(
            "{whom}, so the patch does nothing: correct it, take it out, or set `unmatched: warning`"
        );
        match unmatched {
            Unmatched::Error => Err(self.place.say("patch-unmatched", &message)),
            Unmatched::Warning => {
                log::warn(self.place.say("patch-unmatched", &message).to_string());
                Ok(())
            }
            Unmatched::Ignore => Ok(()),
        }
    }
}

/// What identifies an object: a merge that replaces the whole leaves it.
struct Identity(
    [(&'static str, Option<Value>); 2],
    [(&'static str, Option<Value>); 2],
);

impl Identity {
    fn of(object: &Object) -> Identity {
        let top = ["apiVersion", "kind"].map(|key| (key, object.get(key).cloned()));
        let metadata = object.get("metadata");
        let inner = ["name", "namespace"].map(|key| {
            let value = metadata.and_then(|metadata| metadata.get(key));
            (key, value.cloned())
        });
        Identity(top, inner)
    }

    fn restore(self, object: &mut Object) -> Result<(), Diagnostic> {
        for (key, value) in self.0 {
            object.extend(value.map(|value| (key.to_owned(), value)));
        }
        for (key, value) in self.1 {
            if let Some(value) = value {
                object.map_at(&["metadata"])?.insert(key.to_owned(), value);
            }
        }
        Ok(())
    }
}

impl Place {
    fn say(&self, code: &str, message: &str) -> Diagnostic {
        let diagnostic = Diagnostic::error(code, format!("{}: {message}", self.text));
        match &self.file {
            Some((path, line)) => diagnostic.at(path.clone()).line(*line),
            None => diagnostic,
        }
    }
}
