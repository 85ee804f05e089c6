//! What a SOPS file says of itself: whom it is encrypted for, by which rule, when, and the MAC of all its values.

use std::collections::BTreeMap;
use std::fmt;

use regex_lite::RegexBuilder;
use serde_json::{Map, Value};

use super::cipher::DataKey;
use super::rules::{DEFAULT_SUFFIX, Rule, Verdict};
use crate::age::{Unsealed, unseal};
use crate::keys::Keys;
use crate::limits::SecretLimits;

/// What the metadata's keys begin with where a file has no maps.
pub(crate) const FLAT: &str = "sops_";
/// Characters of one text that is shown of a file.
const SHOWN: usize = 120;
/// Parts of a flat key: the deepest that sops writes has five.
const DEPTH: usize = 8;
/// Characters of a rule.
const RULE: usize = 1024;
/// Bytes that a compiled one may take. Each object has its own.
const RULE_SIZE: usize = 16 << 10;

/// What a file says of itself.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// Whom it is encrypted for with age, and the data key as that recipient gets it.
    age: Vec<(String, String)>,
    /// What else may open it.
    others: Vec<OtherKey>,
    /// Whether it takes keys of several groups.
    is_split: bool,
    pub(super) lastmodified: String,
    /// The MAC, encrypted: no two files have the same.
    pub(crate) mac: String,
    pub(super) mac_only_encrypted: bool,
    pub(super) rule: Rule,
}

/// A key that Weir has nothing to do with, as a person knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OtherKey {
    kind: &'static str,
    name: String,
}

impl fmt::Display for OtherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Why it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its `sops` block {0}")]
pub struct MetadataError(String);

/// Why there is no data key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDataKey {
    /// This host has no age key.
    #[error(
        "it is encrypted for {recipients}, and this host has no age key: give one with --age-key-file, or with `decrypt` in the host's file"
    )]
    NoKeys {
        /// Whom it is for.
        recipients: String,
    },
    /// None of them fits.
    #[error(
        "it is encrypted for {recipients}, and none of this host's keys fits ({keys}): give the right key, or encrypt it for one of these (sops updatekeys)"
    )]
    WrongKeys {
        /// Whom it is for.
        recipients: String,
        /// The public halves of the host's keys.
        keys: String,
    },
    /// Nothing in it is for an age key.
    #[error(
        "it is encrypted for {0}, and Weir decrypts with age keys only: encrypt it for an age key too (sops --add-age, or .sops.yaml and sops updatekeys)"
    )]
    NotForAge(String),
    /// It takes keys of several groups.
    #[error(
        "its key is split over several key groups, which Weir does not join: encrypt it with one group (no --shamir-secret-sharing-threshold)"
    )]
    Split,
    /// What is for our key is broken.
    #[error("its data key for {recipient} cannot be read: {why}. Encrypt the file anew")]
    Broken {
        /// For whom.
        recipient: String,
        /// What is wrong.
        why: &'static str,
    },
}

impl NoDataKey {
    /// Whether another key on the host would help.
    pub(crate) fn is_the_hosts(&self) -> bool {
        matches!(self, NoDataKey::NoKeys { .. } | NoDataKey::WrongKeys { .. })
    }
}

impl Metadata {
    /// From the block `sops` of a file or an object.
    ///
    /// # Errors
    /// When something of it is missing or wrong.
    pub fn read(block: &Value, limits: SecretLimits) -> Result<Metadata, MetadataError> {
        let wrong = |why: &str| MetadataError(why.to_owned());
        let Value::Object(map) = block else {
            return Err(wrong("is no map, as sops writes it"));
        };
        let groups = groups(map);
        let mut keys = Recipients::default();
        for group in &groups {
            keys.add(group, limits)?;
        }
        if keys.age.is_empty() && keys.others.is_empty() {
            return Err(wrong("names nobody whom the file is encrypted for"));
        }
        let text = |key: &str| match map.get(key).and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(MetadataError(format!("has no `{key}`"))),
        };
        Ok(Metadata {
            age: keys.age,
            others: keys.others,
            is_split: groups.len() > 1,
            lastmodified: text("lastmodified")?,
            mac: text("mac")?,
            mac_only_encrypted: is_true(map.get("mac_only_encrypted")),
            rule: rule(map)?,
        })
    }

    /// From the flat form: the keys of a dotenv file that begin with [`FLAT`], that left out.
    ///
    /// # Errors
    /// As [`Metadata::read`].
    pub fn read_flat(
        entries: &BTreeMap<String, String>,
        limits: SecretLimits,
    ) -> Result<Metadata, MetadataError> {
        Metadata::read(&deepened(entries, limits)?, limits)
    }

    /// Whom it is encrypted for, and what else may open it.
    pub fn recipients(&self) -> String {
        let age = self.age.iter().map(|(recipient, _)| shown(recipient));
        let others = self.others.iter().map(ToString::to_string);
        listed(age.chain(others))
    }

    /// What is to be done with a value of this text behind these keys.
    pub(crate) fn says(&self, path: &[&str], text: &str) -> Verdict {
        self.rule.says(path).of(text)
    }

    /// The data key, got with whichever of these keys fits.
    ///
    /// # Errors
    /// When none does.
    pub fn data_key(&self, keys: &Keys) -> Result<DataKey, NoDataKey> {
        if self.is_split {
            return Err(NoDataKey::Split);
        }
        if self.age.is_empty() {
            return Err(NoDataKey::NotForAge(self.recipients()));
        }
        if keys.identities().is_empty() {
            let recipients = self.recipients();
            return Err(NoDataKey::NoKeys { recipients });
        }
        let mut broken = None;
        for (recipient, wrapped) in &self.age {
            let why = match unseal(wrapped, keys.identities()) {
                Unsealed::Opened(bytes) => match DataKey::new(&bytes) {
                    Some(key) => return Ok(key),
                    None => "it has not the 32 bytes of one",
                },
                Unsealed::NotForUs => continue,
                Unsealed::Broken(why) => why,
            };
            // Another recipient's may be whole, and ours.
            broken.get_or_insert((recipient, why));
        }
        let ours = keys.recipients();
        let is_ours = |text: &str| ours.iter().any(|key| key.to_string() == text);
        match broken {
            Some((recipient, why)) if is_ours(recipient) => Err(NoDataKey::Broken {
                recipient: shown(recipient),
                why,
            }),
            _ => Err(NoDataKey::WrongKeys {
                recipients: self.recipients(),
                keys: listed(ours.iter().map(ToString::to_string)),
            }),
        }
    }
}

/// The first few of a list, and how many more there are.
fn listed(all: impl Iterator<Item = String>) -> String {
    const FEW: usize = 8;
    let all: Vec<String> = all.collect();
    let few = all.get(..FEW).unwrap_or(&all[..]).join(", ");
    match all.len().saturating_sub(FEW) {
        0 => few,
        more => format!("{few} and {more} more"),
    }
}

/// A text out of a file, as it may be shown.
fn shown(text: &str) -> String {
    let text = text.chars().take(SHOWN);
    text.map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Whom a file is for.
#[derive(Default)]
struct Recipients {
    age: Vec<(String, String)>,
    others: Vec<OtherKey>,
}

impl Recipients {
    fn add(
        &mut self,
        group: &Map<String, Value>,
        limits: SecretLimits,
    ) -> Result<(), MetadataError> {
        let list = |key: &str| group.get(key).and_then(Value::as_array);
        for item in list("age").into_iter().flatten() {
            let text = |key: &str| item.get(key).and_then(Value::as_str);
            let (Some(recipient), Some(enc)) = (text("recipient"), text("enc")) else {
                let why = "has a key of age without `recipient` or `enc`";
                return Err(MetadataError(why.to_owned()));
            };
            self.age.push((recipient.to_owned(), enc.to_owned()));
        }
        for (key, kind, names) in [
            ("pgp", "PGP", &["fp"][..]),
            ("kms", "AWS KMS", &["arn"]),
            ("gcp_kms", "GCP KMS", &["resource_id"]),
            ("azure_kv", "Azure Key Vault", &["vault_url", "name"]),
            (
                "hc_vault",
                "Vault",
                &["vault_address", "engine_path", "key_name"],
            ),
            ("hckms", "Huawei KMS", &["key_id"]),
        ] {
            for item in list(key).into_iter().flatten() {
                let names = names.iter();
                let names = names.filter_map(|name| item.get(*name).and_then(Value::as_str));
                let names: Vec<String> = names.map(shown).collect();
                let name = names.join(" ");
                self.others.push(OtherKey { kind, name });
            }
        }
        if self.age.len() + self.others.len() > limits.recipients {
            let why = format!(
                "has more than {} keys, which is the limit",
                limits.recipients
            );
            return Err(MetadataError(why));
        }
        Ok(())
    }
}

/// The key groups: the one that lies in the block itself, or those of a list.
fn groups(map: &Map<String, Value>) -> Vec<&Map<String, Value>> {
    let kinds = [
        "age", "pgp", "kms", "gcp_kms", "azure_kv", "hc_vault", "hckms",
    ];
    let filled = |key: &&str| {
        let list = map.get(*key).and_then(Value::as_array);
        list.is_some_and(|list| !list.is_empty())
    };
    if kinds.iter().any(filled) {
        return vec![map];
    }
    let groups = map.get("key_groups").and_then(Value::as_array);
    let groups = groups.into_iter().flatten();
    groups.filter_map(Value::as_object).collect()
}

fn is_true(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(value)) => *value,
        Some(Value::String(text)) => matches!(text.as_str(), "true" | "True" | "TRUE" | "1"),
        _ => false,
    }
}

fn rule(map: &Map<String, Value>) -> Result<Rule, MetadataError> {
    let keys = [
        "unencrypted_suffix",
        "encrypted_suffix",
        "unencrypted_regex",
        "encrypted_regex",
        "unencrypted_comment_regex",
        "encrypted_comment_regex",
    ];
    let given = keys.iter().filter_map(|key| {
        let text = map.get(*key).and_then(Value::as_str)?;
        (!text.is_empty()).then_some((*key, text))
    });
    let given: Vec<(&str, &str)> = given.collect();
    let (key, text) = match given[..] {
        [] => return Ok(Rule::PlainSuffix(DEFAULT_SUFFIX.to_owned())),
        [one] => one,
        [first, second, ..] => {
            let why = format!("has both `{}` and `{}`: expected one", first.0, second.0);
            return Err(MetadataError(why));
        }
    };
    let regex = || {
        let long = text.len() > RULE;
        // A repository wrote it, and counted repetitions make much of little.
        let made = || RegexBuilder::new(text).size_limit(RULE_SIZE).build().ok();
        let regex = (!long).then(made).flatten();
        regex.ok_or_else(|| {
            MetadataError(format!(
                "has `{key}: {}`, which Weir cannot read as a regular expression",
                shown(text)
            ))
        })
    };
    Ok(match key {
        "unencrypted_suffix" => Rule::PlainSuffix(text.to_owned()),
        "encrypted_suffix" => Rule::EncryptedSuffix(text.to_owned()),
        "unencrypted_regex" => Rule::PlainRegex(regex()?),
        "encrypted_regex" => Rule::EncryptedRegex(regex()?),
        _ => Rule::Comments,
    })
}

/// The block that flat keys such as `age__list_0__map_enc` mean.
fn deepened(
    entries: &BTreeMap<String, String>,
    limits: SecretLimits,
) -> Result<Value, MetadataError> {
    let mut root = Value::Object(Map::new());
    for (path, text) in entries {
        let mut place = &mut root;
        let parts = parts(path);
        if parts.len() > DEPTH {
            let why = format!("has the key {FLAT}{}, which leads too deep", shown(path));
            return Err(MetadataError(why));
        }
        for part in parts {
            let wrong = || {
                MetadataError(format!(
                    "has the key {FLAT}{}, which is no such",
                    shown(path)
                ))
            };
            place = match part {
                Part::Key(key) => {
                    let map = match place {
                        Value::Null => {
                            *place = Value::Object(Map::new());
                            place.as_object_mut()
                        }
                        other => other.as_object_mut(),
                    };
                    map.ok_or_else(wrong)?
                        .entry(key.to_owned())
                        .or_insert(Value::Null)
                }
                Part::Item(n) => {
                    if place.is_null() {
                        *place = Value::Array(Vec::new());
                    }
                    let list = place.as_array_mut().ok_or_else(wrong)?;
                    let n = n.filter(|n| *n < limits.recipients).ok_or_else(wrong)?;
                    if list.len() <= n {
                        list.resize(n + 1, Value::Null);
                    }
                    list.get_mut(n).ok_or_else(wrong)?
                }
            };
        }
        *place = Value::String(text.clone());
    }
    Ok(root)
}

enum Part<'p> {
    Key(&'p str),
    /// An item of a list; nothing where it has no number.
    Item(Option<usize>),
}

fn parts(path: &str) -> Vec<Part<'_>> {
    const MAP: &str = "__map_";
    const LIST: &str = "__list_";
    let mut out = Vec::new();
    let mut rest = path;
    let mut is_item = false;
    loop {
        let next = [(MAP, false), (LIST, true)].into_iter();
        let next = next.filter_map(|(mark, item)| Some((rest.find(mark)?, mark, item)));
        let next = next.min_by_key(|(at, ..)| *at);
        let end = next.map_or(rest.len(), |(at, ..)| at);
        let part = rest.get(..end).unwrap_or_default();
        out.push(match is_item {
            true => Part::Item(part.parse().ok()),
            false => Part::Key(part),
        });
        let Some((at, mark, item)) = next else {
            return out;
        };
        rest = rest.get(at + mark.len()..).unwrap_or_default();
        is_item = item;
    }
}

#[cfg(test)]
mod tests;
