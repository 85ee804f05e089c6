//! The CRDs that an app's custom objects are of: among its own objects, then in files of the tree.
//!
//! A file is only parsed where it has the words of what is looked for: a folder of CRDs may be megabytes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};
use weir_plugin::tree::{Kind, WalkLimits, walk};
use weir_plugin::{Diagnostic, Diagnostics, Object, Params, Tree, yaml};

/// What is known of an object's kind.
pub(crate) enum Found<'a> {
    Schema(Cow<'a, Map<String, Value>>),
    /// The kind is defined, and its version has no schema.
    NoSchema,
    /// The kind is defined, and not in this version.
    NotServed(String),
    Nothing,
}

/// The CRDs of one render.
pub(crate) struct Crds<'a> {
    /// By group and kind.
    own: BTreeMap<(&'a str, &'a str), &'a Map<String, Value>>,
    globs: &'a [String],
    params: &'a Params,
    tree: &'a dyn Tree,
    /// The files' text, once one was needed.
    files: Option<Vec<(String, Vec<u8>)>>,
    /// What was found in files, or not found, by group and kind.
    parsed: BTreeMap<(String, String), Option<Map<String, Value>>>,
}

const LIMITS: WalkLimits = WalkLimits {
    entries: 20_000,
    depth: 32,
};
const EXTENSIONS: [&str; 3] = [".yaml", ".yml", ".json"];

impl<'a> Crds<'a> {
    pub(crate) fn new(
        objects: &'a [Object],
        globs: &'a [String],
        params: &'a Params,
        tree: &'a dyn Tree,
    ) -> Crds<'a> {
        let crds = objects.iter().map(|object| &**object);
        let own = crds
            .filter(|crd| is_crd(crd))
            .filter_map(|crd| Some((names(crd)?, crd)));
        Crds {
            own: own.collect(),
            globs,
            params,
            tree,
            files: None,
            parsed: BTreeMap::new(),
        }
    }

    /// The schema of an object's kind and version.
    pub(crate) fn find(&mut self, object: &Object) -> Result<Found<'a>, Diagnostics> {
        if let Some(&crd) = self.own.get(&(object.group(), object.kind())) {
            return Ok(version(crd, object, Cow::Borrowed));
        }
        let key = (object.group().to_owned(), object.kind().to_owned());
        if !self.parsed.contains_key(&key) {
            let crd = self.in_files(&key)?;
            self.parsed.insert(key.clone(), crd);
        }
        Ok(match self.parsed.get(&key).and_then(Option::as_ref) {
            Some(crd) => version(crd, object, |schema| Cow::Owned(schema.clone())),
            None => Found::Nothing,
        })
    }

    fn in_files(
        &mut self,
        key: &(String, String),
    ) -> Result<Option<Map<String, Value>>, Diagnostics> {
        let files = match self.files.take() {
            Some(files) => files,
            None => self.read()?,
        };
        let mut found = None;
        for (path, bytes) in &files {
            let text = String::from_utf8_lossy(bytes);
            let words = ["CustomResourceDefinition", key.0.as_str(), key.1.as_str()];
            if found.is_some() || !words.iter().all(|word| text.contains(word)) {
                continue;
            }
            let parts = yaml::parse(path, bytes)?.into_iter();
            let crds = parts.filter_map(|part| match part.value {
                Value::Object(crd) if is_crd(&crd) => Some(crd),
                _ => None,
            });
            let mut fitting =
                crds.filter(|crd| names(crd) == Some((key.0.as_str(), key.1.as_str())));
            found = fitting.next();
        }
        self.files = Some(files);
        Ok(found)
    }

    /// All files that the config names.
    fn read(&self) -> Result<Vec<(String, Vec<u8>)>, Diagnostics> {
        let mut paths: Vec<String> = Vec::new();
        for (index, glob) in self.globs.iter().enumerate() {
            let path = self.params.resolve(glob)?;
            let found = match path.find(['*', '?', '[', '{']) {
                None => vec![path],
                Some(at) => self.matching(&path, at)?,
            };
            if found.is_empty() {
                let message = format!(
                    "config.crds[{index}]: {glob:?} matches no .yaml, .yml or .json file: correct it, or take it out"
                );
                return Err(Diagnostic::error("bad-config", message).into());
            }
            paths.extend(found);
        }
        paths.sort();
        paths.dedup();
        let read = |path: String| match self.tree.read(&path) {
            Ok(bytes) => Ok((path, bytes)),
            Err(error) => Err(error.at(&path).into()),
        };
        paths.into_iter().map(read).collect()
    }

    /// The files that a glob matches, looked for below its last directory without a star.
    fn matching(&self, glob: &str, first_star: usize) -> Result<Vec<String>, Diagnostic> {
        let plain = glob.get(..first_star).unwrap_or_default();
        let dir = plain.rsplit_once('/').map_or("", |(dir, _)| dir);
        let is_deep = glob
            .get(dir.len()..)
            .is_some_and(|rest| rest.trim_start_matches('/').contains('/'));
        walk(
            self.tree,
            dir,
            LIMITS,
            &mut |path, entry| match entry.kind {
                Kind::Directory => is_deep,
                Kind::File => {
                    EXTENSIONS.iter().any(|extension| path.ends_with(extension))
                        && fast_glob::glob_match(glob, path)
                }
            },
        )
    }
}

fn is_crd(object: &Map<String, Value>) -> bool {
    object
        .get("kind")
        .is_some_and(|kind| kind == "CustomResourceDefinition")
        && object
            .get("apiVersion")
            .is_some_and(|version| version == "apiextensions.k8s.io/v1")
}

/// The group and kind that a CRD defines.
fn names(crd: &Map<String, Value>) -> Option<(&str, &str)> {
    let spec = crd.get("spec")?;
    Some((
        spec.get("group")?.as_str()?,
        spec.get("names")?.get("kind")?.as_str()?,
    ))
}

/// The schema of an object's version.
fn version<'c, 'f>(
    crd: &'c Map<String, Value>,
    object: &Object,
    hold: impl FnOnce(&'c Map<String, Value>) -> Cow<'f, Map<String, Value>>,
) -> Found<'f> {
    let wanted = object.api_version().rsplit('/').next().unwrap_or_default();
    let versions = crd.get("spec").and_then(|spec| spec.get("versions"));
    let versions = versions
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let name = |version: &'c Value| version.get("name").and_then(Value::as_str);
    let is_served = |version: &Value| version.get("served") == Some(&Value::Bool(true));
    let own = versions
        .iter()
        .find(|version| name(version) == Some(wanted) && is_served(version));
    let Some(own) = own else {
        let served = versions.iter().filter(|version| is_served(version));
        let served: Vec<&str> = served.filter_map(name).collect();
        return Found::NotServed(format!(
            "the CRD of {} serves no version {wanted}; it serves: {}",
            object.kind(),
            served.join(", ")
        ));
    };
    match own.pointer("/schema/openAPIV3Schema") {
        Some(Value::Object(schema)) => Found::Schema(hold(schema)),
        _ => Found::NoSchema,
    }
}
