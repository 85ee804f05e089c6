//! An output as the ledger keeps it: its bytes, and beside them all that it takes to apply it again without Git, registry
//! or plugin.
//!
//! It is a line of JSON, [`Beside`], and behind it the output's YAML stream, to the byte what [`Validated::stream`] gave.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::{CommitId, Digest};
use crate::fields::{Fields, MaskKey};
use crate::manifest::App;
use crate::name::PluginName;
use crate::object::{Object, Origin, ResourceId};
use crate::receipt::Envelope;
use crate::stake::{Ended, Outcome};
use crate::validate::{DOCUMENT, OutputLimits, Refused, Validated, admit};
use crate::yaml::{self, Budget};

/// The form that this program writes.
const VERSION: u32 = 1;
/// The most objects of which a record says what changed in them.
pub const MAX_CHANGED: usize = 1_000;
/// The most fields that a record names of one object.
pub const MAX_FIELDS: usize = 20;

/// What stands beside an output's bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Beside {
    version: u32,
    /// The commit that it was made from; `None` for a work tree.
    pub commit: Option<CommitId>,
    /// The app, as the manifest of that commit has it.
    pub app: App,
    /// The plugins that made it.
    pub plugins: BTreeMap<PluginName, Digest>,
    /// The digest of its bytes.
    pub output: Digest,
    /// Each object and the file that it came from, in the output's order.
    pub origins: Vec<(ResourceId, Origin)>,
    /// What the host signed of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Envelope>,
}

/// An output that was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptOutput<'b> {
    /// What stands beside the bytes.
    pub beside: Beside,
    /// The bytes.
    pub stream: &'b str,
}

/// Why kept bytes are not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeptError {
    /// They are not what this program, or an older one, writes.
    #[error("it is no kept output: {0}")]
    NotUnderstood(String),
    /// They were written by a newer program.
    #[error("it has form {0}, and this Weir knows up to {VERSION}: use a newer Weir")]
    Newer(u32),
    /// They are other bytes than they say.
    #[error("its bytes have the digest {found}, and it says {said}")]
    OtherBytes {
        /// What stands beside them.
        said: Digest,
        /// What they have.
        found: Digest,
    },
    /// The gate does not let its objects pass any more.
    #[error("its objects may not pass: {0}")]
    Refused(#[from] Refused),
}

/// An output as it is kept.
///
/// # Errors
/// When something of it has no JSON form.
pub fn keep(
    commit: Option<CommitId>,
    app: &App,
    plugins: &BTreeMap<PluginName, Digest>,
    validated: &Validated,
    receipt: Option<Envelope>,
) -> Result<Vec<u8>, serde_json::Error> {
    let objects = validated.objects().iter();
    let beside = Beside {
        version: VERSION,
        commit,
        app: app.clone(),
        plugins: plugins.clone(),
        output: validated.output(),
        origins: objects
            .map(|o| (o.id().clone(), o.origin().clone()))
            .collect(),
        receipt,
    };
    let mut bytes = serde_json::to_vec(&beside)?;
    bytes.push(b'\n');
    bytes.extend_from_slice(validated.stream().as_bytes());
    Ok(bytes)
}

impl<'b> KeptOutput<'b> {
    /// Reads kept bytes, and compares them with the digest that they say.
    ///
    /// # Errors
    /// When they are damaged, foreign, or of a newer form.
    pub fn read(bytes: &'b [u8]) -> Result<KeptOutput<'b>, KeptError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let wrong = |why: String| KeptError::NotUnderstood(why);
        let end = bytes.iter().position(|b| *b == b'\n');
        let (head, rest) = bytes.split_at(end.ok_or_else(|| wrong("it has no head".to_owned()))?);
        let json = |e: serde_json::Error| wrong(e.to_string());
        let Versioned { version } = serde_json::from_slice(head).map_err(json)?;
        if version > VERSION {
            return Err(KeptError::Newer(version));
        }
        let beside: Beside = serde_json::from_slice(head).map_err(json)?;
        let stream = rest.get(1..).unwrap_or_default();
        let found = Digest::of(stream);
        if found != beside.output {
            let said = beside.output;
            return Err(KeptError::OtherBytes { said, found });
        }
        let stream = std::str::from_utf8(stream).map_err(|e| wrong(e.to_string()))?;
        Ok(KeptOutput { beside, stream })
    }

    /// The text of each object, in order.
    pub fn documents(&self) -> impl Iterator<Item = &'b str> {
        let first = self.stream.strip_prefix(DOCUMENT).unwrap_or_default();
        // Inside an object each line has an indent, or is a key: none is `---` alone.
        let texts = first.split_inclusive('\n').scan(0, |at, line| {
            let begin = *at;
            *at += line.len();
            Some((begin, line))
        });
        let mut cuts: Vec<usize> = texts
            .filter(|(_, line)| *line == DOCUMENT)
            .map(|(begin, _)| begin)
            .collect();
        cuts.push(first.len());
        let mut begin = 0;
        cuts.into_iter().map(move |cut| {
            let text = first.get(begin..cut).unwrap_or_default();
            begin = cut + DOCUMENT.len();
            text
        })
    }

    /// One of its objects.
    ///
    /// # Errors
    /// When its text is no object.
    fn object(&self, text: &str, origin: &Origin) -> Result<Object, KeptError> {
        let wrong = |why: String| KeptError::NotUnderstood(why);
        let mut nodes =
            yaml::parse(text.as_bytes(), &Budget::HOST).map_err(|e| wrong(e.to_string()))?;
        match (nodes.pop(), nodes.is_empty()) {
            (Some(node), true) => {
                Object::new(node.to_json(), origin.clone()).map_err(|e| wrong(e.to_string()))
            }
            _ => Err(wrong(
                "a part of its stream is no single document".to_owned(),
            )),
        }
    }

    /// The objects, through the gate again: they have to give the bytes that they are read from.
    ///
    /// # Errors
    /// When they do not, or the gate refuses them.
    pub fn admit(&self, limits: OutputLimits) -> Result<Validated, KeptError> {
        let origins = &self.beside.origins;
        let texts: Vec<&str> = self.documents().collect();
        if texts.len() != origins.len() {
            let (texts, origins) = (texts.len(), origins.len());
            let why = format!("{texts} objects, and the files of {origins}");
            return Err(KeptError::NotUnderstood(why));
        }
        let each = texts.iter().zip(origins);
        let objects = each.map(|(text, (_, origin))| self.object(text, origin));
        let validated = admit(objects.collect::<Result<_, _>>()?, Vec::new(), limits)?;
        if validated.output() != self.beside.output {
            return Err(KeptError::OtherBytes {
                said: self.beside.output,
                found: validated.output(),
            });
        }
        Ok(validated)
    }

    /// Where an object came from; `None` where it is not in the output.
    pub fn origin(&self, id: &ResourceId) -> Option<&Origin> {
        let all = self.beside.origins.iter();
        all.into_iter()
            .find(|(known, _)| known == id)
            .map(|(_, origin)| origin)
    }
}

/// The fields of one object that a sync changed. The values, and what they were, are in the outputs that are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The object.
    pub id: ResourceId,
    /// Where its fields are, such as `spec.replicas`: the first [`MAX_FIELDS`].
    pub fields: Vec<String>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Which fields each updated object has other than in the output before, for the first [`MAX_CHANGED`] objects.
pub fn changed(before: &KeptOutput<'_>, after: &Validated, outcomes: &[Outcome]) -> Vec<Changed> {
    let updated = |o: &&Outcome| matches!(o.ended, Ended::Updated(_) | Ended::Confirmed(_));
    let mut updated: Vec<&ResourceId> = outcomes.iter().filter(updated).map(|o| &o.id).collect();
    updated.sort_unstable();
    updated.truncate(MAX_CHANGED);
    if updated.is_empty() {
        return Vec::new();
    }
    let texts: BTreeMap<&ResourceId, (&str, &Origin)> = before
        .beside
        .origins
        .iter()
        .zip(before.documents())
        .map(|((id, origin), text)| (id, (text, origin)))
        .collect();
    // What is masked is compared here and never shown.
    let key = MaskKey::new(*after.output().as_bytes());
    let fields = |object: &Object| Fields::of(object.id(), &object.body(), &key);
    let mut all = Vec::new();
    for id in updated {
        let now = after.objects().binary_search_by(|o| o.id().cmp(id));
        let (Ok(now), Some((text, origin))) = (now, texts.get(id)) else {
            continue;
        };
        let (Some(now), Ok(was)) = (after.objects().get(now), before.object(text, origin)) else {
            continue;
        };
        let changes = fields(&was).changes(&fields(now));
        if changes.is_empty() {
            continue;
        }
        let more = changes.len().saturating_sub(MAX_FIELDS);
        let paths = changes.into_iter().take(MAX_FIELDS);
        all.push(Changed {
            id: id.clone(),
            fields: paths.map(|change| change.path).collect(),
            more,
        });
    }
    all
}

#[cfg(test)]
mod tests;
