//! What must hold of a ledger and a cluster at any time, whatever was killed when, and what must hold after a whole run: each broken rule is named with its object.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};
use kube::core::ApiResource;
use serde_json::Value;
use weir_core::inventory::Holding;
use weir_core::object::ResourceId;
use weir_core::owner::ANNOTATION;
use weir_core::status::Status;
use weir_ledger::{Ledger, LedgerLimits};

use crate::control_plane::Connection;

/// An object's place, as our annotation says it: `GROUP/KIND/NAMESPACE/NAME`.
pub type Place = String;
/// Whose something is: `REPOSITORY/APP`.
pub type Owner = String;

/// A rule that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// At any time: what carries our name is in the ledger.
    Tracked,
    /// At any time: nothing is owned twice.
    OwnedOnce,
    /// At any time: nothing is deleted that the last complete render did not drop.
    Kept,
    /// After a whole run: the ledger holds all that Git wants, for the app that wants it.
    Held,
    /// After a whole run: the ledger knows of all that it holds that it was written.
    Sure,
    /// After a whole run: what the ledger holds is there, and carries the name of the app that holds it.
    There,
    /// After a whole run: the ledger holds nothing that nobody wants.
    Wanted,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::Tracked => "what carries our name is in the ledger",
            Rule::OwnedOnce => "nothing is owned twice",
            Rule::Kept => "nothing is deleted that the last complete render did not drop",
            Rule::Held => "the ledger holds what Git wants",
            Rule::Sure => "what was written is known to be written",
            Rule::There => "what is held is there under its owner's name",
            Rule::Wanted => "nothing is held that nobody wants",
        })
    }
}

/// One object that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The object.
    pub place: Place,
    /// What is so instead.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation {
            rule,
            place,
            detail,
        } = self;
        write!(f, "{place}: {detail} (rule: {rule})")
    }
}

/// How the ledger holds an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// For whom.
    pub owner: Owner,
    /// Whether its write was confirmed.
    pub sure: bool,
}

/// An object that carries this ledger's name.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Who stands there.
    pub owner: Owner,
    /// Which object of this name it is.
    pub uid: String,
    /// All of it.
    pub object: Value,
}

/// A ledger and one cluster at one moment.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    /// What the ledger holds there.
    pub held: BTreeMap<Place, Vec<Hold>>,
    /// What carries the ledger's name there.
    pub ours: BTreeMap<Place, Found>,
    /// What is somebody else's.
    pub others: Vec<Value>,
}

impl Picture {
    /// Looks at both. `targets` are the names under which apps land in this cluster, `kinds` what is looked for there:
    /// [`Connection::kinds`] for everything.
    ///
    /// # Errors
    /// The ledger cannot be read, or the API server does not answer.
    pub fn take(
        ledger: &Path,
        targets: &[&str],
        cluster: &Connection,
        kinds: &[ApiResource],
    ) -> Result<Picture> {
        let (id, all) = read_ledger(ledger)?;
        Ok(Picture::of(&id, &all, targets, cluster.list(kinds)?))
    }

    /// The same of what was read before: a ledger's id, how its repositories stand, a cluster's objects.
    #[must_use]
    pub fn of(
        ledger: &str,
        all: &BTreeMap<String, Status>,
        targets: &[&str],
        objects: Vec<Value>,
    ) -> Picture {
        let mut picture = Picture::default();
        for (repository, status) in all {
            for (app, status) in &status.apps {
                let target = status.target.as_ref();
                if target.is_some_and(|t| !targets.contains(&t.as_str())) {
                    continue;
                }
                for (id, holding) in status.inventory.iter() {
                    picture.held.entry(place_of(id)).or_default().push(Hold {
                        owner: format!("{repository}/{app}"),
                        sure: matches!(holding, Holding::Confirmed(_)),
                    });
                }
            }
        }
        for object in objects {
            match owner_on(ledger, &object) {
                Some((place, owner)) => {
                    let uid = &object["metadata"]["uid"];
                    let uid = uid.as_str().unwrap_or_default().to_owned();
                    let found = Found { owner, uid, object };
                    picture.ours.insert(place, found);
                }
                None => picture.others.push(object),
            }
        }
        picture
    }

    /// What breaks a rule that must hold at any time.
    #[must_use]
    pub fn always(&self) -> Vec<Violation> {
        let mut broken = Vec::new();
        for (place, found) in &self.ours {
            if !self.held.contains_key(place) {
                let detail = format!("it carries the name of {} and nobody holds it", found.owner);
                broken.push(violation(Rule::Tracked, place, detail));
            }
        }
        for (place, holds) in self.held.iter().filter(|(_, holds)| holds.len() > 1) {
            let owners: Vec<&str> = holds.iter().map(|h| &*h.owner).collect();
            let detail = format!("{} all hold it", owners.join(" and "));
            broken.push(violation(Rule::OwnedOnce, place, detail));
        }
        broken
    }

    /// What breaks a rule that must hold when a whole run has ended: `wanted` is what Git wants there, and for whom.
    /// Of apps that could not be rendered nothing is known but what they hold.
    #[must_use]
    pub fn settled(
        &self,
        wanted: &BTreeMap<Place, Owner>,
        unrendered: &BTreeSet<Owner>,
    ) -> Vec<Violation> {
        let mut broken = self.always();
        for (place, owner) in wanted.iter().filter(|(_, o)| !unrendered.contains(*o)) {
            let holds = self.held.get(place).map_or(&[][..], |holds| holds);
            if !holds.iter().any(|hold| hold.owner == *owner) {
                let detail = format!("{owner} wants it, held it is by {holds:?}");
                broken.push(violation(Rule::Held, place, detail));
            }
        }
        for (place, holds) in &self.held {
            for hold in holds {
                broken.extend(self.hold_is_right(place, hold, wanted, unrendered));
            }
        }
        broken
    }

    fn hold_is_right(
        &self,
        place: &Place,
        hold: &Hold,
        wanted: &BTreeMap<Place, Owner>,
        unrendered: &BTreeSet<Owner>,
    ) -> Vec<Violation> {
        let owner = &hold.owner;
        let mut broken = Vec::new();
        match self.ours.get(place) {
            None => {
                let detail = format!("{owner} holds it and it is not there under our name");
                broken.push(violation(Rule::There, place, detail));
            }
            Some(found) if found.owner != *owner => {
                let detail = format!(
                    "{owner} holds it and it carries the name of {}",
                    found.owner
                );
                broken.push(violation(Rule::There, place, detail));
            }
            Some(_) => {}
        }
        if unrendered.contains(owner) {
            return broken;
        }
        // An app that could not be rendered may want it: it stays until that is known.
        if unrendered.is_empty() && !wanted.contains_key(place) {
            let detail = format!("{owner} still holds it");
            broken.push(violation(Rule::Wanted, place, detail));
        }
        if !hold.sure {
            let detail = format!("{owner} holds it and does not know whether it was written");
            broken.push(violation(Rule::Sure, place, detail));
        }
        broken
    }
}

/// Which objects were there while they were wanted without a break: none of them may go on the way.
#[derive(Debug, Clone, Default)]
pub struct Memory(BTreeMap<Place, String>);

impl Memory {
    /// A commit wants these; all others may go from now on.
    pub fn commit(&mut self, wanted: &BTreeMap<Place, Owner>) {
        self.0.retain(|place, _| wanted.contains_key(place));
    }

    /// Somebody deleted it by hand.
    pub fn deleted_by_hand(&mut self, place: &str) {
        self.0.remove(place);
    }

    /// What of it is gone, or is another object of that name. What is there of `wanted` is remembered. An object that
    /// lost our name by hand counts as there.
    pub fn look(&mut self, picture: &Picture, wanted: &BTreeMap<Place, Owner>) -> Vec<Violation> {
        let named = picture.ours.iter();
        let mut there: BTreeMap<Place, String> = named
            .map(|(place, found)| (place.clone(), found.uid.clone()))
            .collect();
        for object in &picture.others {
            let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
            there.insert(actual_place(object), uid.to_owned());
        }
        let mut broken = Vec::new();
        for place in wanted.keys() {
            match (self.0.get(place), there.get(place)) {
                (Some(before), Some(now)) if before == now => {}
                (Some(before), now) => {
                    let detail = format!("it was {before} and now is {now:?}");
                    broken.push(violation(Rule::Kept, place, detail));
                }
                (None, Some(now)) if picture.ours.contains_key(place) => {
                    self.0.insert(place.clone(), now.clone());
                }
                (None, _) => {}
            }
        }
        broken
    }
}

/// A ledger's id and how all its repositories stand, read beside whoever writes it.
///
/// # Errors
/// It cannot be read.
pub fn read_ledger(dir: &Path) -> Result<(String, BTreeMap<String, Status>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let read = runtime.block_on(async {
        let reader =
            Ledger::open_read(&weir_ledger::Place::Dir(dir.to_owned()), LedgerLimits::HOST).await?;
        let mut all = BTreeMap::new();
        for name in reader.repositories().await? {
            all.insert(name.to_string(), reader.load(&name).await?);
        }
        anyhow::Ok((reader.id().to_string(), all))
    });
    read.with_context(|| format!("reading the ledger {}", dir.display()))
}

/// An object's place, as the ledger has it.
#[must_use]
pub fn place_of(id: &ResourceId) -> Place {
    let namespace = id.namespace.as_ref().map_or("", |n| n.as_str());
    format!("{}/{}/{namespace}/{}", id.group, id.kind, id.name)
}

/// An object's place, and who stands on it. A copy of another object's name is no name, another ledger's is not ours.
fn owner_on(ledger: &str, object: &Value) -> Option<(Place, Owner)> {
    let text = object["metadata"]["annotations"][ANNOTATION].as_str()?;
    let (claim, place) = text.split_once(':')?;
    let owner = claim.strip_prefix(ledger)?.strip_prefix('/')?;
    (place == actual_place(object)).then(|| (place.to_owned(), owner.to_owned()))
}

fn actual_place(object: &Value) -> Place {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api = word(&object["apiVersion"]);
    let group = api.split_once('/').map_or("", |(group, _)| group);
    let metadata = &object["metadata"];
    let (namespace, name) = (word(&metadata["namespace"]), word(&metadata["name"]));
    format!("{group}/{}/{namespace}/{name}", word(&object["kind"]))
}

fn violation(rule: Rule, place: &str, detail: String) -> Violation {
    let place = place.to_owned();
    Violation {
        rule,
        place,
        detail,
    }
}
