//! The bundled `images` transformer: sets names, tags and digests of images, wherever a pod is described.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use weir_plugin::{Diagnostic, Diagnostics, Object, Params, log};

mod pattern;
mod reference;
#[cfg(test)]
mod tests;

use pattern::Pattern;
use reference::Reference;

/// What an app may say: which images become what, and where else images are named.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Config {
    images: Vec<Image>,
    paths: Vec<Place>,
    unmatched: Unmatched,
}

/// What becomes of the images that a pattern matches.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Image {
    r#match: Pattern,
    #[serde(default)]
    name: Option<String>,
    #[serde(default, deserialize_with = "tag")]
    tag: Option<String>,
    #[serde(default)]
    digest: Option<String>,
}

/// A place where objects of some kinds name an image.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Place {
    #[serde(default)]
    kinds: Vec<String>,
    path: String,
}

/// What an entry is that matches no image.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unmatched {
    #[default]
    Error,
    Warning,
    Ignore,
}

/// Where a pod's spec names images, each part a field, `*` each item of a list.
const IN_A_POD: [&str; 4] = [
    "initContainers/*/image",
    "containers/*/image",
    "ephemeralContainers/*/image",
    "volumes/*/image/reference",
];

/// More entries than this are no list that a person wrote.
const MOST_IMAGES: usize = 1000;

weir_plugin::transformer!(transform);

/// Sets what the first entry that matches says, at each image.
///
/// # Errors
/// `bad-config`; `bad-image` where an image that is looked at is none; `image-unmatched` where an entry matches no image.
pub fn transform(mut objects: Vec<Object>, params: &Params) -> Result<Vec<Object>, Diagnostics> {
    let config: Config = params.config()?;
    config.check()?;
    let mut used = vec![false; config.images.len()];
    let mut found = vec![false; config.paths.len()];
    for object in &mut objects {
        let id = object.id();
        // A place that two paths lead to is one image, and is set once.
        let mut seen = BTreeSet::new();
        let mut set = |at: &str, value: &mut Value| {
            if !seen.insert(at.to_owned()) {
                return Ok(());
            }
            config
                .set(value, &mut used)
                .map_err(|why| Diagnostic::error("bad-image", format!("{id}: {at}: {why}")))
        };
        if let Some(spec) = pod_spec(object) {
            for path in IN_A_POD {
                walk(object, &[spec, path], &mut set)?;
            }
        }
        for (place, found) in config.paths.iter().zip(&mut found) {
            if place.kinds.is_empty() || place.kinds.iter().any(|kind| kind == object.kind()) {
                let path = place.path.trim_start_matches('/');
                *found |= walk(object, &[path], &mut set)?;
            }
        }
    }
    config.report(&used, &found)?;
    Ok(objects)
}

impl Config {
    fn check(&self) -> Result<(), Diagnostics> {
        let mut wrong = Vec::new();
        if self.images.len() > MOST_IMAGES {
            let message = format!("config.images: more than {MOST_IMAGES} entries; use patterns");
            wrong.push(Diagnostic::error("bad-config", message));
        }
        for (index, image) in self.images.iter().enumerate() {
            for why in image.wrong() {
                let message = format!("config.images[{index}].{why}");
                wrong.push(Diagnostic::error("bad-config", message));
            }
        }
        for (index, place) in self.paths.iter().enumerate() {
            let has_parts = place
                .path
                .trim_start_matches('/')
                .split('/')
                .all(|part| !part.is_empty());
            if !place.path.starts_with('/') || !has_parts {
                let message = format!(
                    "config.paths[{index}].path: {:?} is no path to an image: write /spec/image, with * for each item of a list",
                    place.path
                );
                wrong.push(Diagnostic::error("bad-config", message));
            }
        }
        Diagnostics::or(wrong, ())
    }

    /// One image, by the first entry that matches it.
    fn set(&self, value: &mut Value, used: &mut [bool]) -> Result<(), String> {
        let Value::String(text) = value else {
            return Err(format!("the image is {value}, not text"));
        };
        let Some(reference) = Reference::parse(text) else {
            return Err(format!(
                "{text:?} is no image: [REGISTRY/]NAME[:TAG][@DIGEST] was expected"
            ));
        };
        for (image, used) in self.images.iter().zip(used) {
            if let Some(stars) = image.r#match.matches(reference.name) {
                *used = true;
                let new = image.applied(&reference, &stars)?;
                if Reference::parse(&new).is_none() {
                    return Err(format!(
                        "the entry that matches {} makes {new:?} of {text:?}, which is no image: match less, or give another `name`",
                        image.r#match
                    ));
                }
                *text = new;
                break;
            }
        }
        Ok(())
    }

    fn report(&self, used: &[bool], found: &[bool]) -> Result<(), Diagnostics> {
        let images = self.images.iter().zip(used).enumerate();
        let images = images.filter(|(_, (_, used))| !**used).map(|(index, (image, _))| {
            format!(
                "config.images[{index}]: {} matches no image, or an entry before it takes them all: correct it, take it out, or set `unmatched: warning`",
                image.r#match
            )
        });
        let paths = self.paths.iter().zip(found).enumerate();
        let paths = paths.filter(|(_, (_, found))| !**found).map(|(index, (place, _))| {
            format!(
                "config.paths[{index}]: no object has anything at {}: correct it, take it out, or set `unmatched: warning`",
                place.path
            )
        });
        let all = images
            .chain(paths)
            .map(|message| Diagnostic::error("image-unmatched", message));
        match self.unmatched {
            Unmatched::Error => Diagnostics::or(all.collect(), ()),
            Unmatched::Warning => {
                all.for_each(|one| log::warn(one.to_string()));
                Ok(())
            }
            Unmatched::Ignore => Ok(()),
        }
    }
}

impl Image {
    /// What is wrong with an entry, by key.
    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.name.is_none() && self.tag.is_none() && self.digest.is_none() {
            wrong.push("match: nothing is said to set: add `name`, `tag` or `digest`".to_owned());
        }
        if let Some(name) = &self.name {
            // With a letter for each star, it has to be a name.
            match pattern::fill(name, &vec!["a"; self.r#match.stars()]) {
                Ok(example) if !reference::is_name(&example) => {
                    wrong.push(format!("name: {name:?} is no image's name: lower-case parts with `/` between them, no tag"));
                }
                Ok(_) => {}
                Err(why) => wrong.push(format!("name: {why}")),
            }
        }
        if let Some(tag) = self.tag.as_ref().filter(|tag| !reference::is_tag(tag)) {
            wrong.push(format!(
                "tag: {tag:?} is no tag: letters, digits, `_`, `.` and `-`, at most 128"
            ));
        }
        if let Some(digest) = self
            .digest
            .as_ref()
            .filter(|digest| !reference::is_digest(digest))
        {
            wrong.push(format!(
                "digest: {digest:?} is no digest: sha256: and 64 digits of lower-case hex"
            ));
        }
        wrong
    }

    /// The image as this entry has it. A new tag without a digest drops the old digest, which would win over it, and a
    /// new digest without a tag drops the old tag, which it need not belong to.
    fn applied(&self, old: &Reference<'_>, stars: &[&str]) -> Result<String, String> {
        let name = match &self.name {
            Some(name) => pattern::fill(name, stars)?,
            None => old.name.to_owned(),
        };
        let is_pinned_anew = self.tag.is_some() || self.digest.is_some();
        let kept = |part: Option<&str>| part.filter(|_| !is_pinned_anew).map(str::to_owned);
        let tag = self.tag.clone().or_else(|| kept(old.tag));
        let digest = self.digest.clone().or_else(|| kept(old.digest));
        let part = |sign: &str, part: Option<String>| {
            part.map(|part| format!("{sign}{part}")).unwrap_or_default()
        };
        Ok(format!("{name}{}{}", part(":", tag), part("@", digest)))
    }
}

/// Where an object of a built-in kind holds its pod's spec.
fn pod_spec(object: &Object) -> Option<&'static str> {
    match (object.group(), object.kind()) {
        ("", "Pod") => Some("spec"),
        ("", "ReplicationController")
        | ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch", "Job") => Some("spec/template/spec"),
        ("batch", "CronJob") => Some("spec/jobTemplate/spec/template/spec"),
        ("", "PodTemplate") => Some("template/spec"),
        _ => None,
    }
}

type Set<'a> = dyn FnMut(&str, &mut Value) -> Result<(), Diagnostic> + 'a;

/// Calls `set` at everything that a path leads to, and says whether there was anything.
fn walk(object: &mut Object, path: &[&str], set: &mut Set<'_>) -> Result<bool, Diagnostic> {
    let parts: Vec<&str> = path.iter().flat_map(|part| part.split('/')).collect();
    let Some((first, rest)) = parts.split_first() else {
        return Ok(false);
    };
    match object.get_mut(&unescaped(first)) {
        Some(value) => descend(value, rest, &format!("/{first}"), set),
        None => Ok(false),
    }
}

fn descend(
    value: &mut Value,
    path: &[&str],
    at: &str,
    set: &mut Set<'_>,
) -> Result<bool, Diagnostic> {
    let Some((first, rest)) = path.split_first() else {
        if value.is_null() {
            return Ok(false);
        }
        set(at, value)?;
        return Ok(true);
    };
    let mut found = false;
    match value {
        Value::Array(items) if *first == "*" => {
            for (index, item) in items.iter_mut().enumerate() {
                found |= descend(item, rest, &format!("{at}/{index}"), set)?;
            }
        }
        Value::Array(items) => {
            if let Some(inner) = index(first).and_then(|at| items.get_mut(at)) {
                found = descend(inner, rest, &format!("{at}/{first}"), set)?;
            }
        }
        Value::Object(map) if *first == "*" => {
            for (key, item) in map {
                found |= descend(item, rest, &format!("{at}/{key}"), set)?;
            }
        }
        Value::Object(map) => {
            if let Some(inner) = map.get_mut(&unescaped(first)) {
                found = descend(inner, rest, &format!("{at}/{first}"), set)?;
            }
        }
        _ => {}
    }
    Ok(found)
}

/// A part of a path as a key: RFC 6901.
fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// The place of an item: RFC 6901 has no sign and no leading zero.
fn index(part: &str) -> Option<usize> {
    let is_plain = part.bytes().all(|b| b.is_ascii_digit());
    (is_plain && (part == "0" || !part.starts_with('0')))
        .then(|| part.parse().ok())
        .flatten()
}

/// A tag that was written without quotes is a number, and has lost what made it a version.
fn tag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(tag) => Ok(Some(tag)),
        other => Err(serde::de::Error::custom(format!(
            "{other} is not text: put the tag in quotes, since 1.10 without them is the number 1.1"
        ))),
    }
}
