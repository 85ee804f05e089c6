//! What to do about the difference between what an app wants and what is there: a pure function.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::allow::Outside;
use crate::digest::Digest;
use crate::fault::{Blame, Fault, Retry};
use crate::heals::Contested;
use crate::inventory::{Holding, Inventory};
use crate::live::{Live, Owner, Seen, Uid};
use crate::name::AppName;
use crate::object::{Object, ResourceId};
use crate::policy::Policy;

mod heal;
mod order;
mod others;
mod parts;
pub use order::{PRUNE_ANNOTATION, Turn, WAVE_ANNOTATION, asked, may_prune, wave};
pub use others::{ByObject, Desired, Neighbours, Wanted};

/// How another app holds an object.
#[derive(Debug, Clone)]
pub struct Held {
    /// Which app.
    pub app: AppName,
    /// How sure it is that the object is its own: a take-over makes nobody surer.
    pub holding: Holding,
    /// Whether it still wants the object at this commit.
    pub wants: bool,
}

/// What other apps of the repository have to do with objects.
#[derive(Debug, Clone, Default)]
pub struct Others {
    /// Objects in the inventories of other apps: whose, and whether it still wants them at this commit.
    /// An app that could not be rendered wants all that it has.
    pub holds: BTreeMap<ResourceId, Held>,
    /// Objects that other apps want at this commit.
    pub wants: BTreeMap<ResourceId, AppName>,
    /// Objects that a person said this app takes over from whoever made them.
    pub adopts: BTreeMap<ResourceId, Uid>,
    /// One that lands there and could not be rendered at this commit: it may want whatever this app does not.
    pub unrendered: Option<AppName>,
}

/// One thing to do. Its precondition is part of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing is there: write it, and refuse if something is there by then.
    Create(Object),
    /// Something of ours is there: replace it, if it is still what was seen.
    Update {
        /// What to write.
        object: Object,
        /// What was seen.
        seen: Seen,
        /// It is what was last written: only the live side changed.
        heal: bool,
    },
    /// It is there as wanted, but its write was never confirmed: write nothing, confirm it. Only where the
    /// target shows an object's whole content.
    Confirm(Object),
    /// Ours and no longer wanted: delete it, if it is still what was seen.
    Prune {
        /// What to delete.
        id: ResourceId,
        /// What was seen.
        seen: Seen,
    },
    /// Held by us, but gone or never ours: touch nothing, hold it no longer.
    Forget(ResourceId),
}

impl Step {
    /// The object that it is about.
    pub fn id(&self) -> &ResourceId {
        match self {
            Step::Create(object) | Step::Update { object, .. } | Step::Confirm(object) => {
                object.id()
            }
            Step::Prune { id, .. } | Step::Forget(id) => id,
        }
    }
}

/// Why an object may not be touched. An app with one of these prunes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Something is there that Weir did not make.
    NotOurs,
    /// Another app of this repository has it and wants it.
    OwnedBy(AppName),
    /// Somebody else has it: who.
    Foreign(String),
    /// It is being deleted: what that waits for.
    Leaving(String),
    /// What is there could not be read.
    Unknown(String),
    /// The target has no objects of this kind: why.
    Unserved(String),
    /// The app has this object under another name, too: which.
    Same(ResourceId),
    /// Somebody undoes each heal.
    Contested(Contested),
    /// It is not wanted here any more, and this app, which could not be rendered, may want it.
    MayMove(AppName),
    /// The app holds it from a time when the host allowed it: the rule that it breaks now.
    Outside(Outside),
}

impl Refusal {
    /// Whether it is about an object that is wanted. Otherwise only prunes wait.
    pub fn is_of_wanted(&self) -> bool {
        !matches!(self, Refusal::MayMove(_) | Refusal::Outside(_))
    }
}

impl Blame for Refusal {
    fn fault(&self) -> Fault {
        match self {
            Refusal::Unserved(_) | Refusal::Same(_) => Fault::Repository,
            Refusal::Outside(_) => Fault::Host,
            _ => Fault::Target,
        }
    }
    fn retry(&self) -> Retry {
        match self {
            // A person has to act: the next commit or the next look will show it.
            Refusal::NotOurs
            | Refusal::OwnedBy(_)
            | Refusal::Foreign(_)
            | Refusal::Outside(_)
            | Refusal::Same(_)
            | Refusal::MayMove(_) => Retry::OnChange,
            Refusal::Leaving(_)
            | Refusal::Unknown(_)
            | Refusal::Unserved(_)
            | Refusal::Contested(_) => Retry::Backoff,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotOurs => f.write_str(
                "something is already there that Weir did not make: take it over (weir adopt APP shows what that would change), move it away, or take the object out of the repository",
            ),
            Refusal::OwnedBy(app) => write!(f, "app {app} has it: one of the two must leave it out"),
            Refusal::Foreign(who) => write!(
                f,
                "{who} has it: take it out there first, take it over (weir adopt APP), or take the object out of this repository"
            ),
            Refusal::Leaving(why) => write!(f, "it is being deleted, and made again once it is gone: {why}"),
            Refusal::Unknown(why) => write!(f, "what is there could not be read: {why}"),
            Refusal::Unserved(why) => f.write_str(why),
            Refusal::Same(other) => write!(
                f,
                "in the cluster it is the same object as {other}, which the app has, too, since its kind lives in no namespace: leave one of them out"
            ),
            Refusal::Contested(contested) => contested.fmt(f),
            Refusal::MayMove(app) => write!(
                f,
                "it is not wanted here any more, and app {app}, which cannot be rendered at this commit, may want it: it is not deleted before {app} is mended or leaves"
            ),
            Refusal::Outside(broken) => write!(
                f,
                "it was synced when the host allowed it, and is neither changed nor deleted now: {broken}. Delete it by hand, or have the host's operator allow it again"
            ),
        }
    }
}

/// Steps that may run side by side.
pub type Wave = Vec<Step>;

/// What to do for one app, in order. Private fields: only [`plan`] makes one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    apply: Vec<Wave>,
    prune: Vec<Wave>,
    /// How many of the waves to apply are below 0: those go before the hooks that go before the others.
    early: usize,
    taken: BTreeMap<ResourceId, AppName>,
    found: BTreeMap<ResourceId, Digest>,
    refused: Vec<(ResourceId, Refusal)>,
    kept: Vec<ResourceId>,
    heals: BTreeSet<ResourceId>,
    adopts: BTreeSet<ResourceId>,
    drifted: Vec<ResourceId>,
    policy: Policy,
    unchanged: usize,
}

impl Plan {
    /// The waves of creates, updates and confirmations.
    pub fn apply(&self) -> &[Wave] {
        &self.apply
    }
    /// The waves of prunes, run only after every apply succeeded.
    pub fn prune(&self) -> &[Wave] {
        &self.prune
    }
    /// All steps in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.apply.iter().chain(&self.prune).flatten()
    }
    /// Objects that are deleted.
    pub fn deletes(&self) -> impl Iterator<Item = &ResourceId> {
        self.steps().filter_map(|step| match step {
            Step::Prune { id, .. } => Some(id),
            _ => None,
        })
    }
    /// Objects that come over from another app of the repository.
    pub fn taken(&self) -> &BTreeMap<ResourceId, AppName> {
        &self.taken
    }
    /// Objects that were somebody else's, and are taken over.
    pub fn adopts(&self) -> &BTreeSet<ResourceId> {
        &self.adopts
    }
    /// Objects to update that were seen with just what an interrupted run had staked, with that content: its
    /// write did happen, so they are ours, whatever comes now.
    pub fn found(&self) -> &BTreeMap<ResourceId, Digest> {
        &self.found
    }
    /// Objects that may not be touched, and why.
    pub fn refused(&self) -> &[(ResourceId, Refusal)] {
        &self.refused
    }
    /// Objects that nobody wants any more and that stay, since they say that they must not be pruned.
    pub fn kept(&self) -> &[ResourceId] {
        &self.kept
    }
    /// How many objects are as wanted.
    pub fn unchanged(&self) -> usize {
        self.unchanged
    }
    /// Says of more objects, which were not planned for, that they may not be touched.
    pub fn refuse(&mut self, more: impl IntoIterator<Item = (ResourceId, Refusal)>) {
        self.refused.extend(more);
    }
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.apply.is_empty() && self.prune.is_empty() && self.taken.is_empty()
    }
    /// How many objects it creates, updates and prunes.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            unchanged: self.unchanged,
            ..Counts::default()
        };
        for step in self.steps() {
            match step {
                Step::Create(_) => counts.created += 1,
                Step::Update { .. } => counts.updated += 1,
                Step::Prune { .. } => counts.pruned += 1,
                Step::Confirm(_) | Step::Forget(_) => counts.unchanged += 1,
            }
        }
        counts
    }
}

/// How many objects changed, and how many did not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// New objects.
    pub created: usize,
    /// Changed objects.
    pub updated: usize,
    /// Deleted objects.
    pub pruned: usize,
    /// The rest.
    pub unchanged: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            created,
            updated,
            pruned,
            unchanged,
        } = self;
        write!(
            f,
            "{created} created, {updated} updated, {pruned} pruned, {unchanged} unchanged"
        )
    }
}

/// Decides. `live` answers for every object that is desired or held; one that it does not answer for is unknown.
pub fn plan(
    desired: &[Object],
    inventory: &Inventory,
    live: &BTreeMap<ResourceId, Live>,
    others: &Others,
) -> Plan {
    let mut plan = Plan::default();
    let mut apply: BTreeMap<Turn, Wave> = BTreeMap::new();
    let unknown = Live::Unknown("it was not observed".to_owned());
    for object in desired {
        let id = object.id();
        let held = others.holds.get(id);
        if let Some(held) = held.filter(|held| held.wants) {
            let refusal = Refusal::OwnedBy(held.app.clone());
            plan.refused.push((id.clone(), refusal));
            continue;
        }
        // It moves here: what the other app held, we hold, and no more surely.
        let holding = held.map_or_else(|| inventory.get(id), |held| Some(&held.holding));
        let here = live.get(id).unwrap_or(&unknown);
        let adopts = adopts(here, holding, others.adopts.get(id));
        if adopts {
            plan.adopts.insert(id.clone());
        }
        match step(object, holding, held.is_some() || adopts, here, adopts) {
            Ok(Some(step)) => {
                if let (Step::Update { seen, .. }, Some(Holding::Intended(staked))) =
                    (&step, holding)
                    && seen.owner == Owner::Unsaid
                {
                    plan.found.insert(id.clone(), *staked);
                }
                if is_heal(&step, holding) && held.is_none() {
                    plan.heals.insert(id.clone());
                }
                apply.entry(Turn::of(object)).or_default().push(step);
            }
            Ok(None) => plan.unchanged += 1,
            Err(refusal) => {
                plan.refused.push((id.clone(), refusal));
                continue;
            }
        }
        if let Some(held) = held {
            plan.taken.insert(id.clone(), held.app.clone());
        }
    }
    plan.early = apply.keys().filter(|turn| turn.is_early()).count();
    plan.apply = apply.into_values().collect();
    // A prune needs a complete apply: with one object refused, nothing is deleted.
    // What was just taken over is looked at by a person first.
    let whole = plan.refused.is_empty() && plan.adopts.is_empty();
    prune(desired, inventory, live, others, whole, &mut plan);
    plan
}

/// What to do about one wanted object; nothing where it is as wanted. `moves` says that another app held it.
fn step(
    object: &Object,
    holding: Option<&Holding>,
    moves: bool,
    live: &Live,
    adopts: bool,
) -> Result<Option<Step>, Refusal> {
    let seen = match live {
        Live::Unknown(why) => return Err(Refusal::Unknown(why.clone())),
        Live::Unserved(why) => return Err(Refusal::Unserved(why.clone())),
        Live::Same(other) => return Err(Refusal::Same(other.clone())),
        Live::Absent => return Ok(Some(Step::Create(object.clone()))),
        Live::Present(seen) => seen,
    };
    if !adopts {
        whose(seen, holding)?;
    }
    if let Some(why) = &seen.leaving {
        return Err(Refusal::Leaving(why.clone()));
    }
    let wanted = object.digest();
    // Where the content can be seen, an unconfirmed write that did happen needs no second one.
    if seen.owner == Owner::Unsaid && seen.mark.state == wanted {
        let known = matches!(holding, Some(Holding::Confirmed(w)) if w.content == wanted);
        return Ok((!known).then(|| Step::Confirm(object.clone())));
    }
    let heal = match holding {
        Some(Holding::Confirmed(written)) if written.content == wanted => {
            // Who it belongs to is written on it, and is written anew when it moves.
            if written.mark == seen.mark && !moves && !matches!(seen.owner, Owner::App(_)) {
                return Ok(None);
            }
            !moves
        }
        _ => false,
    };
    Ok(Some(Step::Update {
        object: object.clone(),
        seen: seen.clone(),
        heal,
    }))
}

/// Whether an object is somebody else's and is the one that a person said is taken over.
fn adopts(live: &Live, holding: Option<&Holding>, adopted: Option<&Uid>) -> bool {
    match (live, adopted) {
        (Live::Present(seen), Some(uid)) => {
            let strangers = matches!(seen.owner, Owner::Nobody | Owner::Foreign(_));
            strangers && seen.mark.uid.as_ref() == Some(uid) && whose(seen, holding).is_err()
        }
        _ => false,
    }
}

/// Whether a step only puts back what was written: the live side changed, or went.
fn is_heal(step: &Step, holding: Option<&Holding>) -> bool {
    match (step, holding) {
        (Step::Update { heal, .. }, _) => *heal,
        (Step::Create(object), Some(Holding::Confirmed(written))) => {
            written.content == object.digest()
        }
        _ => false,
    }
}

/// Whether what is there is ours, by what is written on it and by what the ledger holds.
fn whose(seen: &Seen, holding: Option<&Holding>) -> Result<(), Refusal> {
    match (&seen.owner, holding) {
        (Owner::Us, _) => Ok(()),
        (Owner::Unsaid, Some(Holding::Confirmed(_))) => Ok(()),
        (Owner::Unsaid, Some(Holding::Intended(staked))) if *staked == seen.mark.state => Ok(()),
        (Owner::Unsaid, _) => Err(Refusal::NotOurs),
        // It moved here in the ledger, and a run was killed before it was written on the object.
        (Owner::App(_), Some(_)) => Ok(()),
        (Owner::App(app), None) => Err(Refusal::OwnedBy(app.clone())),
        // Somebody took our name off it: the same object still is ours, another one of its name is not.
        (Owner::Nobody, Some(holding)) if holding.is_of(&seen.mark) => Ok(()),
        (Owner::Nobody, _) => Err(Refusal::NotOurs),
        (Owner::Foreign(who), _) => Err(Refusal::Foreign(who.clone())),
    }
}

/// What becomes of what is held and not wanted. Only what is kept is said where the apply is not `whole`.
fn prune(
    desired: &[Object],
    inventory: &Inventory,
    live: &BTreeMap<ResourceId, Live>,
    others: &Others,
    whole: bool,
    plan: &mut Plan,
) {
    let wanted: BTreeSet<&ResourceId> = desired.iter().map(Object::id).collect();
    let mut waves: BTreeMap<usize, Wave> = BTreeMap::new();
    for (id, holding) in inventory.iter() {
        // What another app wants stays ours until that app takes it: it is never deleted on the way.
        if wanted.contains(id) || others.wants.contains_key(id) {
            continue;
        }
        let seen = live.get(id);
        let is_ours = |seen: &Seen| whose(seen, Some(holding)).is_ok();
        if matches!(seen, Some(Live::Present(seen)) if seen.keep && is_ours(seen)) {
            plan.kept.push(id.clone());
            continue;
        }
        if !whole {
            continue;
        }
        let unknown = |why: &str| Refusal::Unknown(why.to_owned());
        let step = match seen {
            // Under its other name it is wanted, or held already.
            Some(Live::Absent | Live::Same(_)) => Step::Forget(id.clone()),
            // A delete needs proof that the object is ours; without it, it is left and let go.
            Some(Live::Present(seen)) if !is_ours(seen) => Step::Forget(id.clone()),
            Some(Live::Present(seen)) => match &others.unrendered {
                None => Step::Prune {
                    id: id.clone(),
                    seen: seen.clone(),
                },
                Some(app) => {
                    let refusal = Refusal::MayMove(app.clone());
                    plan.refused.push((id.clone(), refusal));
                    continue;
                }
            },
            Some(Live::Unknown(why) | Live::Unserved(why)) => {
                plan.refused.push((id.clone(), unknown(why)));
                continue;
            }
            None => {
                plan.refused
                    .push((id.clone(), unknown("it was not observed")));
                continue;
            }
        };
        waves.entry(wave(id)).or_default().push(step);
    }
    plan.prune = waves.into_values().rev().collect();
}

#[cfg(test)]
mod tests;
