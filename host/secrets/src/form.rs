//! What of an object is encrypted: nothing, the values of a Secret, whole files in a Secret, or what may not be.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};
use weir_core::object::{Object, ResourceId};

use crate::error::{SealError, SealErrors, Trouble};
use crate::limits::SecretLimits;
use crate::sops::{File, Metadata, OpenError, Token, Verdict, holds_token};

/// Where a Secret's values are.
const FIELDS: [&str; 2] = ["data", "stringData"];
/// The block that a SOPS file's metadata lies in.
pub(crate) const SOPS: &str = "sops";
/// The same where it lies in keys of its own.
const FLAT: &str = "sops_";
/// The longest path that is named, in keys.
const MAX_DEPTH: usize = 64;

/// Base64 as Kubernetes reads it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// An encrypted Secret, and how it is.
#[derive(Debug)]
pub struct Sealed<'o> {
    pub(crate) object: &'o Object,
    pub(crate) form: Form,
}

#[derive(Debug)]
pub(crate) enum Form {
    /// A Secret manifest that SOPS encrypted: values, and the metadata beside them.
    Manifest(Metadata, Vec<SealedValue>),
    /// A Secret that was made of encrypted files: whole ones, and the lines of a dotenv file with its metadata.
    Made(Vec<Whole>, Option<(Metadata, Vec<SealedValue>)>),
}

/// An encrypted value.
#[derive(Debug)]
pub(crate) struct SealedValue {
    pub(crate) field: &'static str,
    pub(crate) key: String,
    pub(crate) token: Token,
}

/// A whole file.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) field: &'static str,
    pub(crate) key: String,
    pub(crate) file: File,
}

impl SealedValue {
    /// Where it lies, for a person.
    pub(crate) fn name(&self) -> String {
        format!("{}.{}", self.field, self.key)
    }
}

impl Whole {
    /// Where it lies, for a person.
    pub(crate) fn name(&self) -> String {
        format!("{}.{}", self.field, self.key)
    }
}

/// Those of an app's objects that are encrypted.
///
/// # Errors
/// Each object with ciphertext that would go to a cluster as it is, and each that is encrypted in part.
pub fn sealed(objects: &[Object], limits: SecretLimits) -> Result<Vec<Sealed<'_>>, SealErrors> {
    let (mut all, mut errors) = (Vec::new(), Vec::new());
    for object in objects {
        match form(object, limits) {
            Ok(Some(form)) => all.push(Sealed { object, form }),
            Ok(None) => {}
            Err(error) => errors.push(error),
        }
    }
    SealErrors::of(errors).map(|()| all)
}

fn is_secret(id: &ResourceId) -> bool {
    id.group.is_empty() && id.kind == "Secret"
}

/// What stands in the text of an object of another kind that has to be looked into: a block `sops`, ciphertext, or
/// base64 that may hold some.
const WHERE_LOOKED: [&str; 3] = ["sops:", "ENC[AES256_GCM,", "binaryData:"];

/// How an object is encrypted; nothing where it is not.
pub(crate) fn form(object: &Object, limits: SecretLimits) -> Result<Option<Form>, SealError> {
    let secret = is_secret(object.id());
    // Each object of each sync comes by here, and nearly none is encrypted: the text tells without its fields.
    if !secret && !WHERE_LOOKED.iter().any(|part| object.text().contains(part)) {
        return Ok(None);
    }
    let Value::Object(body) = &object.body() else {
        return Ok(None);
    };
    match body.get(SOPS) {
        Some(_) if !secret => return Err(SealError::of(object, Trouble::NoSecret)),
        Some(block) => {
            elsewhere(object, body, &FIELDS)?;
            let metadata = Metadata::read(block, limits).map_err(|e| SealError::of(object, e))?;
            let values = manifest(object, body, &metadata)?;
            return Ok(Some(Form::Manifest(metadata, values)));
        }
        None => {}
    }
    if !secret {
        elsewhere(object, body, &[])?;
        return in_binary_data(object, body).map(|()| None);
    }
    elsewhere(object, body, &FIELDS)?;
    made(object, body, limits)
}

/// Whether ciphertext lies outside of these fields.
fn elsewhere(object: &Object, body: &Map<String, Value>, fields: &[&str]) -> Result<(), SealError> {
    // The canonical text has every value in it as it is, but for quotes and line ends: nearly always this is all.
    if !object.text().contains("ENC[AES256_GCM,") {
        return Ok(());
    }
    for (key, value) in body {
        if key == SOPS {
            continue;
        }
        if fields.contains(&key.as_str()) {
            // Their values are looked at as what they are; a key is never encrypted.
            let mut keys = value.as_object().into_iter().flat_map(Map::keys);
            if let Some(inner) = keys.find(|inner| holds_token(inner)) {
                let place = format!("{key}.{inner}");
                return Err(SealError::of(object, Trouble::Elsewhere(place)));
            }
            continue;
        }
        let mut path = vec![key.as_str()];
        let found = match holds_token(key) {
            true => Some(key.clone()),
            false => found(value, &mut path),
        };
        if let Some(found) = found {
            return Err(SealError::of(object, Trouble::Elsewhere(found)));
        }
    }
    Ok(())
}

/// Where a value holds ciphertext.
fn found<'v>(value: &'v Value, path: &mut Vec<&'v str>) -> Option<String> {
    if path.len() > MAX_DEPTH {
        return None;
    }
    match value {
        Value::String(text) => holds_token(text).then(|| path.join(".")),
        Value::Array(items) => items.iter().find_map(|item| found(item, path)),
        Value::Object(map) => map.iter().find_map(|(key, value)| {
            path.push(key);
            let found = holds_token(key)
                .then(|| path.join("."))
                .or_else(|| found(value, path));
            path.pop();
            found
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Whether ciphertext lies in the base64 of a ConfigMap.
fn in_binary_data(object: &Object, body: &Map<String, Value>) -> Result<(), SealError> {
    let data = body.get("binaryData").and_then(Value::as_object);
    for (key, value) in data.into_iter().flatten() {
        let bytes = value.as_str().and_then(decoded);
        let text = bytes.as_deref().and_then(|b| std::str::from_utf8(b).ok());
        if text.is_some_and(holds_token) {
            let at = format!("binaryData.{key}");
            return Err(SealError::of(object, Trouble::Elsewhere(at)));
        }
    }
    Ok(())
}

/// What a text in base64 says. Kustomize breaks it into lines.
pub(crate) fn decoded(text: &str) -> Option<Vec<u8>> {
    match text.contains(['\n', '\r']) {
        false => BASE64.decode(text).ok(),
        true => BASE64.decode(text.replace(['\n', '\r'], "")).ok(),
    }
}

/// The same the other way.
pub(crate) fn encoded(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// A Secret's values: where each lies and what it is.
fn values(body: &Map<String, Value>) -> impl Iterator<Item = (&'static str, &String, &Value)> {
    FIELDS.into_iter().flat_map(|field| {
        let map = body.get(field).and_then(Value::as_object);
        let entries = map.into_iter().flatten();
        entries.map(move |(key, value)| (field, key, value))
    })
}

/// The encrypted values of a Secret manifest.
fn manifest(
    object: &Object,
    body: &Map<String, Value>,
    metadata: &Metadata,
) -> Result<Vec<SealedValue>, SealError> {
    let mut out = Vec::new();
    for (field, key, value) in values(body) {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.as_str(),
            // Never encrypted: what is is text.
            _ => "plain",
        };
        let name = format!("{field}.{key}");
        match metadata.says(&[field, key], text) {
            Verdict::Stays if holds_token(text) => {
                return Err(SealError::of(object, Trouble::Elsewhere(name)));
            }
            Verdict::Stays => {}
            Verdict::ShouldBeEncrypted => {
                return Err(SealError::of(object, OpenError::Plain(name)));
            }
            Verdict::ShouldBePlain => {
                return Err(SealError::of(object, OpenError::Encrypted(name)));
            }
            Verdict::Open => out.push(value_of(object, field, key, text)?),
        }
    }
    Ok(out)
}

fn value_of(
    object: &Object,
    field: &'static str,
    key: &str,
    text: &str,
) -> Result<SealedValue, SealError> {
    let token = Token::read(text).map_err(|why| {
        let key = format!("{field}.{key}");
        SealError::of(object, OpenError::Form { key, why })
    })?;
    Ok(SealedValue {
        field,
        key: key.to_owned(),
        token,
    })
}

/// What of a Secret without a block `sops` is encrypted: files, and the lines of a dotenv file.
fn made(
    object: &Object,
    body: &Map<String, Value>,
    limits: SecretLimits,
) -> Result<Option<Form>, SealError> {
    let mut whole = Vec::new();
    let mut flat = BTreeMap::new();
    // Those that are no file and no metadata: with what they say.
    let mut lines: Vec<(&'static str, &String, String)> = Vec::new();
    for (field, key, value) in values(body) {
        let Some(text) = value.as_str() else { continue };
        let bytes = match field {
            "data" => decoded(text),
            _ => Some(text.as_bytes().to_vec()),
        };
        let inner = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        // Ciphertext is no base64, and is told by itself.
        let inner = inner.or_else(|| holds_token(text).then(|| text.to_owned()));
        let Some(text) = inner else { continue };
        match key.strip_prefix(FLAT) {
            Some(rest) if field == "data" => {
                flat.insert(rest.to_owned(), text.replace("\\n", "\n"));
                continue;
            }
            _ => {}
        }
        let part = || format!("{field}.{key}");
        let file = File::read(text.as_bytes(), limits);
        match file.map_err(|e| SealError::of(object, e).in_part(part()))? {
            Some(file) => whole.push(Whole {
                field,
                key: key.clone(),
                file,
            }),
            None => lines.push((field, key, text)),
        }
    }
    // Without a MAC they are some keys that begin so.
    let flat = flat
        .get("mac")
        .is_some_and(|mac| holds_token(mac))
        .then_some(flat);
    let dotenv = match flat {
        Some(flat) => Some(dotenv(object, &flat, &lines, limits)?),
        None => {
            let bare = lines.iter().find(|(_, _, text)| holds_token(text));
            if let Some((field, key, _)) = bare {
                let at = format!("{field}.{key}");
                return Err(SealError::of(object, Trouble::Unclaimed(at)));
            }
            None
        }
    };
    Ok((!whole.is_empty() || dotenv.is_some()).then_some(Form::Made(whole, dotenv)))
}

/// The lines of a dotenv file that became keys of their own, with the metadata that did.
fn dotenv(
    object: &Object,
    flat: &BTreeMap<String, String>,
    lines: &[(&'static str, &String, String)],
    limits: SecretLimits,
) -> Result<(Metadata, Vec<SealedValue>), SealError> {
    let metadata = Metadata::read_flat(flat, limits).map_err(|e| SealError::of(object, e))?;
    let mut out = Vec::new();
    for (field, key, text) in lines {
        let name = || format!("{field}.{key}");
        match metadata.says(&[key], text) {
            Verdict::Open => out.push(value_of(object, field, key, text)?),
            Verdict::Stays if holds_token(text) => {
                return Err(SealError::of(object, Trouble::Unclaimed(name())));
            }
            Verdict::Stays => {}
            Verdict::ShouldBeEncrypted => {
                return Err(SealError::of(object, OpenError::Plain(name())));
            }
            Verdict::ShouldBePlain => {
                return Err(SealError::of(object, OpenError::Encrypted(name())));
            }
        }
    }
    Ok((metadata, out))
}

#[cfg(test)]
mod tests;
