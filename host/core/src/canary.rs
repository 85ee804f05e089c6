//! The determinism canary: which renders are run twice, and where two runs of the same inputs differ. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::digest::Digest;
use crate::fields::{FieldChange, Fields, MaskKey};
use crate::name::{AppName, PluginName, RepoPath};
use crate::object::{Object, ResourceId};
use crate::tree::{Question, ReadSet};
use crate::validate::Validated;

/// The longest value, error or finding that is shown of a difference, in characters.
const SHOWN: usize = 200;

/// Whether so many percent of all renders have this one among them: the same answer wherever and whenever it is asked.
pub fn is_chosen(percent: u8, app: &AppName, key: Digest) -> bool {
    let mut digest = Digest::builder();
    digest.part(app.as_str().as_bytes()).part(key.as_bytes());
    let digest = digest.finish();
    let [a, b, c, d, ..] = *digest.as_bytes();
    u32::from_be_bytes([a, b, c, d]) % 100 < u32::from(percent)
}

/// One call of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which plugin.
    pub plugin: PluginName,
    /// Its digest.
    pub digest: Digest,
    /// The digest of what it gave; `None` where it failed.
    pub gave: Option<Digest>,
}

/// One run.
pub struct Ran<'a> {
    /// Its objects and what was read for them, or its error.
    pub ended: Result<(&'a Validated, &'a ReadSet), String>,
    /// Its calls, in order.
    pub steps: &'a [Step],
}

/// Where two runs differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Whose answers differ first; `None` where that is no plugin: it is Weir itself.
    pub plugin: Option<(PluginName, Digest)>,
    /// What differs first.
    pub what: What,
}

/// What differs. Its words hold no value of a Secret.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// One run failed and the other did not, or with other words; the error of each that failed.
    Errors(Option<String>, Option<String>),
    /// An object is in one of them only: whether that is the first.
    Object(ResourceId, bool),
    /// A field of an object.
    Field(ResourceId, FieldChange),
    /// An object says that it is from elsewhere, or differs in what a cluster sets by itself.
    Place(ResourceId, String, String),
    /// A finding is in one of them only, or there are more of them: the first that differs on each side.
    Findings(Option<String>, Option<String>),
    /// A question to the tree is in one of them only, or was answered with something else.
    Read(Question, RepoPath),
    /// What one plugin gave to the next, though what came of it in the end is the same.
    Between,
}

/// Where two runs of the same inputs differ first; nothing where they are the same.
pub fn difference(first: &Ran<'_>, second: &Ran<'_>, key: &MaskKey) -> Option<Difference> {
    let blamed = || {
        let steps = first.steps.iter().zip(second.steps);
        let step = steps.into_iter().find(|(a, b)| a != b).map(|(a, _)| a);
        step.map(|step| (step.plugin.clone(), step.digest))
    };
    let reader = || {
        let renderer = first.steps.first();
        renderer.map(|step| (step.plugin.clone(), step.digest))
    };
    let by_plugin = |what| Difference {
        plugin: blamed(),
        what,
    };
    match (&first.ended, &second.ended) {
        (Err(a), Err(b)) if a == b => None,
        (Ok((a, a_read)), Ok((b, b_read))) => {
            if let Some(what) = outputs(a, b, key) {
                return Some(by_plugin(what));
            }
            if let Some((question, path)) = reads(a_read, b_read) {
                return Some(Difference {
                    plugin: reader(),
                    what: What::Read(question, path),
                });
            }
            blamed().is_some().then(|| by_plugin(What::Between))
        }
        (a, b) => {
            let error = |ended: &Result<_, String>| ended.as_ref().err().cloned();
            Some(by_plugin(What::Errors(error(a), error(b))))
        }
    }
}

fn outputs(a: &Validated, b: &Validated, key: &MaskKey) -> Option<What> {
    let by_id = |v: &Validated| -> BTreeMap<ResourceId, Object> {
        let all = v.objects().iter();
        all.map(|o| (o.id().clone(), o.clone())).collect()
    };
    let (before, after) = (by_id(a), by_id(b));
    let ids: BTreeSet<&ResourceId> = before.keys().chain(after.keys()).collect();
    for id in ids {
        let (Some(x), Some(y)) = (before.get(id), after.get(id)) else {
            return Some(What::Object(id.clone(), before.contains_key(id)));
        };
        if x.digest() != y.digest() {
            let fields = |o: &Object| Fields::of(id, &o.body(), key);
            let first = fields(x).changes(&fields(y)).into_iter().next();
            return Some(match first {
                Some(field) => What::Field(id.clone(), field),
                None => What::Place(
                    id.clone(),
                    "what a cluster sets by itself".to_owned(),
                    "something else there".to_owned(),
                ),
            });
        }
        if x.origin() != y.origin() {
            let (x, y) = (x.origin().to_string(), y.origin().to_string());
            return Some(What::Place(id.clone(), x, y));
        }
    }
    let length = a.notes().len().max(b.notes().len());
    let note = |v: &Validated, n: usize| v.notes().get(n).map(ToString::to_string);
    (0..length).find_map(|n| {
        let (x, y) = (note(a, n), note(b, n));
        (x != y).then_some(What::Findings(x, y))
    })
}

fn reads(a: &ReadSet, b: &ReadSet) -> Option<(Question, RepoPath)> {
    let all = |set: &ReadSet| -> BTreeMap<(Question, RepoPath), _> {
        let all = set.iter();
        all.map(|(q, path, answer)| ((q, path.clone()), answer))
            .collect()
    };
    let (a, b) = (all(a), all(b));
    let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let differs = keys.into_iter().find(|key| a.get(key) != b.get(key));
    differs.cloned()
}

impl fmt::Display for What {
    /// What each run had, the first run's first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = |text: &Option<String>, none: &str| match text {
            Some(text) => short(text),
            None => none.to_owned(),
        };
        match self {
            What::Errors(None, Some(error)) => {
                write!(f, "it did well, and then failed: {}", short(error))
            }
            What::Errors(Some(error), None) => {
                write!(f, "it failed, and then did well: {}", short(error))
            }
            What::Errors(a, b) => write!(
                f,
                "it failed with: {}; and then with: {}",
                some(a, "nothing"),
                some(b, "nothing")
            ),
            What::Object(id, true) => write!(f, "it gave {id}, and then did not"),
            What::Object(id, false) => write!(f, "it did not give {id}, and then did"),
            What::Field(id, field) => {
                // A Secret's value shows as that it is one.
                let value = |value: &Option<crate::fields::Shown>| match value {
                    Some(value) => short(&value.to_string()),
                    None => "nothing".to_owned(),
                };
                write!(
                    f,
                    "it gave {id} with {}: {}, and then {}",
                    field.path,
                    value(&field.before),
                    value(&field.after)
                )
            }
            What::Place(id, a, b) => write!(f, "it gave {id} from {a}, and then from {b}"),
            What::Findings(a, b) => write!(
                f,
                "it found: {}; and then: {}",
                some(a, "nothing more"),
                some(b, "nothing more")
            ),
            What::Read(question, path) => {
                let verb = match question {
                    Question::Read => "read",
                    Question::List => "listed",
                };
                let path = match path.is_root() {
                    true => ".",
                    false => path.as_str(),
                };
                write!(f, "{path} was {verb} in one run and not, or not the same, in the other")
            }
            What::Between => f.write_str(
                "what it gave to the next plugin differs, though what came of it in the end is the same",
            ),
        }
    }
}

/// The beginning of a text, in one line.
fn short(text: &str) -> String {
    let mut out: String = text.chars().take(SHOWN).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out.replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests;
