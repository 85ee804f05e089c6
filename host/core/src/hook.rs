//! Hooks: Jobs and Pods that run once before or after an app's own objects. Which they are, in which order, and what to
//! do about one by what the ledger says of it and what is there: pure.
//!
//! ```text
//! staked → started (its uid) → succeeded | failed → gone
//! ```
//!
//! A run belongs to one output of the app. It is staked before the object is made, so that a host that was killed finds
//! it again, and is never made twice for one output.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::health::{self, Health};
use crate::live::{Owner, Seen, Uid, Written};
use crate::name::AppName;
use crate::object::{Object, ResourceId};
use crate::plan::Refusal;

/// The annotation that makes an object a hook: `pre` or `post`.
pub const ANNOTATION: &str = "weir.dev/hook";
/// The annotation with a hook's place in its phase: a number, 0 where it has none.
pub const WEIGHT: &str = "weir.dev/hook-weight";
/// The annotation with what becomes of a hook's object: some of [`Cleanup::WORDS`] with commas between.
pub const DELETE_POLICY: &str = "weir.dev/hook-delete-policy";
/// The annotation, made by Weir, with the output that a hook runs for.
pub const RUN: &str = "weir.dev/hook-run";
/// The stage of an app that is stopped by a hook.
pub const STAGE: &str = "hook";

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before the app's own objects: after those of waves below 0.
    Pre,
    /// After all of the app's objects were applied, healthy or not, and before anything is pruned.
    Post,
}

impl Phase {
    /// The word in the annotation.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Pre => "pre",
            Phase::Post => "post",
        }
    }
}

/// When a hook's object is deleted, as Helm has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleanup {
    /// The one of an earlier run, before the next.
    pub before: bool,
    /// As soon as it has succeeded.
    pub succeeded: bool,
    /// As soon as it has failed.
    pub failed: bool,
}

impl Cleanup {
    /// The words of [`DELETE_POLICY`].
    pub const WORDS: [&str; 3] = ["before-hook-creation", "hook-succeeded", "hook-failed"];

    /// Where nothing is said, an earlier run goes before the next.
    const UNSAID: Cleanup = Cleanup {
        before: true,
        succeeded: false,
        failed: false,
    };

    fn read(text: &str) -> Result<Cleanup, String> {
        let mut cleanup = Cleanup {
            before: false,
            succeeded: false,
            failed: false,
        };
        for word in text.split(',').map(str::trim) {
            match word {
                "before-hook-creation" => cleanup.before = true,
                "hook-succeeded" => cleanup.succeeded = true,
                "hook-failed" => cleanup.failed = true,
                _ => {
                    return Err(format!(
                        "annotation {DELETE_POLICY}: {word:?} is none of {}",
                        Cleanup::WORDS.join(", ")
                    ));
                }
            }
        }
        Ok(cleanup)
    }
}

/// A Job or Pod that runs once for each output.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// What is made.
    pub object: Object,
    /// When it runs.
    pub phase: Phase,
    /// Its place in its phase.
    pub weight: i32,
    /// When it is deleted.
    pub cleanup: Cleanup,
}

/// Whether this kind runs to an end.
fn runs(id: &ResourceId) -> bool {
    matches!(
        (id.group.as_str(), id.kind.as_str()),
        ("batch", "Job") | ("", "Pod")
    )
}

/// Whether an object says that it is a hook.
pub fn is_marked(object: &Object) -> bool {
    object.annotation(ANNOTATION).is_some()
}

/// An object as a hook; `None` where it is none. One of a kind that does not run to an end, such as a ConfigMap that a
/// hook uses, is an ordinary object in an early or late wave.
///
/// # Errors
/// What is wrong with its annotations, for a person.
pub fn read(object: &Object) -> Result<Option<Hook>, String> {
    let phase = match object.annotation(ANNOTATION) {
        None => return Ok(None),
        Some("pre") => Phase::Pre,
        Some("post") => Phase::Post,
        Some(other) => {
            return Err(format!(
                "annotation {ANNOTATION}: {other:?} is neither pre nor post"
            ));
        }
    };
    let weight = match object.annotation(WEIGHT) {
        None => 0,
        Some(text) => text
            .parse()
            .map_err(|_| format!("annotation {WEIGHT}: {text:?} is no whole number"))?,
    };
    let cleanup = match object.annotation(DELETE_POLICY) {
        None => Cleanup::UNSAID,
        Some(text) => Cleanup::read(text)?,
    };
    Ok(runs(object.id()).then(|| Hook {
        object: object.clone(),
        phase,
        weight,
        cleanup,
    }))
}

/// The hooks among an app's objects, in the order in which they run: by phase, weight, kind and name; and the others.
/// What is wrong with a hook was refused at the gate: here such an object is an ordinary one.
pub fn split(objects: &[Object]) -> (Vec<Hook>, Vec<Object>) {
    let (mut hooks, mut others) = (Vec::new(), Vec::new());
    for object in objects {
        match read(object) {
            Ok(Some(hook)) => hooks.push(hook),
            _ => others.push(object.clone()),
        }
    }
    hooks.sort_by(order);
    (hooks, others)
}

fn order(a: &Hook, b: &Hook) -> Ordering {
    let key = |h: &Hook| (h.phase, h.weight);
    let id = |h: &Hook| (h.object.id().kind.clone(), h.object.id().name.clone());
    key(a)
        .cmp(&key(b))
        .then_with(|| id(a).cmp(&id(b)))
        .then_with(|| a.object.id().cmp(b.object.id()))
}

/// How far one run of a hook is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It is about to be made; with the app that held the object before, where that is another.
    Staked(Option<AppName>),
    /// It was made.
    Started(Written),
    /// It did what it was made for.
    Succeeded,
    /// It did not: why.
    Failed(String),
    /// Its object is not there any more, by policy or by somebody's hand. How it ended stays known.
    Gone,
}

/// What the ledger keeps of a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookRecord {
    /// The object.
    pub id: ResourceId,
    /// When it runs.
    pub phase: Phase,
    /// The digest of the whole render that it runs for.
    pub output: Digest,
    /// The digest of its own content.
    pub content: Digest,
    /// How far it is.
    pub progress: Progress,
}

impl HookRecord {
    /// The app that the object comes from, where a run is staked and not made yet.
    pub fn comes_from(&self) -> Option<AppName> {
        match &self.progress {
            Progress::Staked(from) => from.clone(),
            _ => None,
        }
    }
}

/// The last run of each hook of an app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<HookRecord>", into = "Vec<HookRecord>")]
pub struct Runs(BTreeMap<ResourceId, HookRecord>);

impl From<Vec<HookRecord>> for Runs {
    fn from(list: Vec<HookRecord>) -> Self {
        Runs(list.into_iter().map(|run| (run.id.clone(), run)).collect())
    }
}
impl From<Runs> for Vec<HookRecord> {
    fn from(runs: Runs) -> Self {
        runs.0.into_values().collect()
    }
}

impl Runs {
    /// The last run.
    pub fn get(&self, id: &ResourceId) -> Option<&HookRecord> {
        self.0.get(id)
    }
    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// A run is so far now. That its object is gone changes nothing of how it ended.
    pub fn fold(&mut self, record: &HookRecord) {
        if record.progress != Progress::Gone {
            self.0.insert(record.id.clone(), record.clone());
        }
    }
    /// An output is on its way, or there: how hooks ended for others is over. What comes from another app, and is not
    /// made yet, is remembered.
    pub fn keep(&mut self, output: Digest) {
        self.0
            .retain(|_, run| run.output == output || run.comes_from().is_some());
    }
    /// The object is no hook of this app any more.
    pub fn forget(&mut self, id: &ResourceId) {
        self.0.remove(id);
    }
    /// How a hook ended for this output: `None` where it did not run to its end.
    pub fn ended(&self, id: &ResourceId, output: Digest) -> Option<Result<(), &str>> {
        let run = self.0.get(id).filter(|run| run.output == output)?;
        match &run.progress {
            Progress::Succeeded => Some(Ok(())),
            Progress::Failed(why) => Some(Err(why)),
            _ => None,
        }
    }
}

/// How a hook's object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ran {
    /// It has not ended: what is missing.
    Runs(String),
    /// It did what it was made for.
    Succeeded,
    /// It did not: why.
    Failed(String),
}

/// How a Job or Pod is, by its whole body as the API server gives it.
pub fn ran(body: &Value) -> Ran {
    if body["kind"] == "Pod" && body["status"]["phase"] != "Succeeded" {
        return match (&body["status"]["phase"], health::assess(body)) {
            (phase, health) if phase == "Failed" => {
                Ran::Failed(health.text().unwrap_or("it failed").to_owned())
            }
            (_, health) => Ran::Runs(health.text().unwrap_or("it runs").to_owned()),
        };
    }
    match health::assess(body) {
        Health::Healthy => Ran::Succeeded,
        Health::Failed(why) => Ran::Failed(why),
        Health::Suspended(why) | Health::Progressing(why) | Health::Terminating(why) => {
            Ran::Runs(why)
        }
    }
}

/// What is at a hook's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What was seen.
    pub seen: Seen,
    /// The output that it runs for, where that is written on it.
    pub run: Option<String>,
    /// How it is.
    pub ran: Ran,
}

/// What to do about a hook that has not ended for the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It runs: wait for this very object.
    Wait(Uid),
    /// Make it, after the object of an earlier run is gone, where there is one.
    Start(Option<Seen>),
    /// It was made, and went before anybody saw how it ended.
    Lost,
    /// Something is in the way.
    Refused(InTheWay),
}

/// What is in a hook's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InTheWay {
    /// It is not ours to touch.
    Refusal(Refusal),
    /// An earlier run, which the delete policy keeps.
    Kept,
}

impl fmt::Display for InTheWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InTheWay::Refusal(refusal) => refusal.fmt(f),
            InTheWay::Kept => write!(
                f,
                "the object of an earlier run is still there, and `{DELETE_POLICY}` does not say before-hook-creation: add that, or delete the object"
            ),
        }
    }
}

/// Decides about a hook that has not ended for this output. `taken` says that another app holds the object and does
/// not want it any more.
pub fn next(
    hook: &Hook,
    output: Digest,
    run: Option<&HookRecord>,
    found: Option<&Found>,
    taken: bool,
) -> Next {
    let this = run.filter(|run| run.output == output);
    if let Some(Progress::Started(written)) = this.map(|run| &run.progress) {
        let uid = written.mark.uid.as_ref();
        return match found.and_then(|f| f.seen.mark.uid.as_ref()) {
            Some(there) if Some(there) == uid => Next::Wait(there.clone()),
            // Making it again could run it twice.
            _ => Next::Lost,
        };
    }
    let Some(found) = found else {
        return Next::Start(None);
    };
    let refused = |refusal| Next::Refused(InTheWay::Refusal(refusal));
    match &found.seen.owner {
        Owner::Us => {}
        Owner::App(_) if taken => {}
        Owner::App(app) => return refused(Refusal::OwnedBy(app.clone())),
        Owner::Foreign(who) => return refused(Refusal::Foreign(who.clone())),
        Owner::Nobody | Owner::Unsaid => return refused(Refusal::NotOurs),
    }
    let ours = found.run.as_deref() == Some(&*output.to_string()) && !taken;
    match &found.seen.mark.uid {
        // It was made, and whoever made it was killed before the ledger heard of it.
        Some(uid) if ours && found.seen.leaving.is_none() => Next::Wait(uid.clone()),
        _ if hook.cleanup.before || found.seen.leaving.is_some() => {
            Next::Start(Some(found.seen.clone()))
        }
        _ => Next::Refused(InTheWay::Kept),
    }
}

#[cfg(test)]
mod tests;
