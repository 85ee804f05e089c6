//! When a render that was made before is used again: its key holds all that it was told from outside the tree, its read
//! set all that it asked of the tree. Pure.
//!
//! An entry is a line of JSON that says what was read and what came of it, and behind it the objects. The first is enough
//! to see whether it may be used. Objects pass the gate again, and have to give the bytes that they gave: what is
//! damaged or of another Weir is no render at all, never a wrong one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::digest::Digest;
use crate::grant::Limits;
use crate::lock::TargetFacts;
use crate::manifest::{App, PluginCall};
use crate::name::PluginName;
use crate::object::{Object, Origin};
use crate::tree::{ReadSet, View};
use crate::validate::{Finding, OutputLimits, Validated, admit};

/// The layout of an entry and of a key. A change here makes all old ones foreign.
const FORMAT: &[u8] = b"weir-render-3";

/// One call of a pipeline, as far as its outcome depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Called<'a> {
    /// Its role's name.
    pub role: &'static str,
    /// Which plugin, and what it is told.
    pub call: &'a PluginCall,
    /// The plugin's digest.
    pub digest: Digest,
    /// What it may spend.
    pub limits: Limits,
    /// What stands for its stable random bytes, where it is given some ([`Seed::id`](crate::random::Seed::id)).
    pub random: Option<Digest>,
}

/// What a render is told from outside the tree, by digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// What its bytes depend on: whoever makes them, and whatever they may spend.
    pub inputs: Digest,
    /// What it is found again by: that, what it may spend, and who makes it.
    pub key: Digest,
}

/// All that a render depends on besides the tree. An app's `after`, `remove`, `settle` and policy say what is done with it
/// later, and are no part of it.
///
/// `engine` stands for the host: its program, Wasmtime's version and settings.
pub fn told(
    engine: Digest,
    app: &App,
    facts: &TargetFacts,
    calls: &[Called<'_>],
    output: OutputLimits,
) -> Told {
    let mut inputs = Digest::builder();
    let mut part = |text: &str| {
        inputs.part(text.as_bytes());
    };
    for text in [app.name.as_str(), app.path.as_str(), app.target.as_str()] {
        part(text);
    }
    part(&format!("{} roots", app.roots.len()));
    for root in &app.roots {
        part(root.as_str());
    }
    match &app.namespace {
        Some(namespace) => part(&format!("namespace {namespace}")),
        None => part("no namespace"),
    }
    part(&facts.kubernetes);
    part(&format!("{} apis", facts.apis.len()));
    for api in &facts.apis {
        part(api);
    }
    part(&facts.instant.as_second().to_string());
    for made in calls {
        part(made.role);
        // Its messages name it.
        part(made.call.plugin.as_str());
        part(&made.digest.to_string());
        part(&Value::Object(made.call.config.clone()).to_string());
        // Which bytes those are says the key, and the record of what was made.
        if made.random.is_some() {
            part("random: stable");
        }
    }
    let inputs = inputs.finish();
    let mut key = Digest::builder();
    key.part(FORMAT)
        .part(engine.as_bytes())
        .part(inputs.as_bytes());
    key.part(format!("{} {}", output.objects, output.object_bytes).as_bytes());
    for made in calls {
        let Limits {
            fuel,
            memory,
            output,
            time,
            host_calls,
        } = made.limits;
        let limits = [fuel.0, memory.0, output.0, time.0, host_calls];
        key.part(format!("{limits:?}").as_bytes());
        key.part(made.random.as_ref().map_or(b"", |seed| seed.as_bytes()));
    }
    Told {
        inputs,
        key: key.finish(),
    }
}

/// A render that was kept: what was read for it, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// What was asked of the tree.
    pub reads: ReadSet,
    /// The plugins that were called.
    pub plugins: BTreeMap<PluginName, Digest>,
    /// The digest of all bytes.
    pub output: Digest,
    /// Whether a plugin took stable random bytes for it.
    pub drew: bool,
    /// What is worth knowing but stops nothing.
    notes: Vec<Finding>,
}

impl Kept {
    /// The entry of a render.
    pub fn entry(
        reads: &ReadSet,
        plugins: &BTreeMap<PluginName, Digest>,
        validated: &Validated,
        drew: bool,
    ) -> Option<Vec<u8>> {
        let head = Kept {
            reads: reads.clone(),
            plugins: plugins.clone(),
            output: validated.output(),
            drew,
            notes: validated.notes().to_vec(),
        };
        let objects = validated.objects().iter();
        let objects: Vec<(&Origin, &RawValue)> = objects.map(|o| (o.origin(), o.json())).collect();
        let mut entry = serde_json::to_vec(&head).ok()?;
        entry.push(b'\n');
        serde_json::to_writer(&mut entry, &objects).ok()?;
        Some(entry)
    }

    /// What an entry says of itself, and its objects' bytes; `None` where it is not understood.
    pub fn read(entry: &[u8]) -> Option<(Kept, &[u8])> {
        let end = entry.iter().position(|b| *b == b'\n')?;
        let (head, rest) = entry.split_at(end);
        Some((serde_json::from_slice(head).ok()?, rest.get(1..)?))
    }

    /// Whether it would come out the same here.
    pub fn holds(&self, view: &View) -> bool {
        self.reads.holds(view)
    }

    /// The objects, through the gate again; `None` where they are not just what they were.
    pub fn admit(self, objects: &[u8], limits: OutputLimits) -> Option<Validated> {
        let values: Vec<(Origin, Value)> = serde_json::from_slice(objects).ok()?;
        let objects = values
            .into_iter()
            .map(|(origin, value)| Object::new(value, origin));
        let objects = objects.collect::<Result<Vec<_>, _>>().ok()?;
        let validated = admit(objects, self.notes, limits).ok()?;
        (validated.output() == self.output).then_some(validated)
    }
}

#[cfg(test)]
mod tests;
