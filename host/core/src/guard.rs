//! The blast-radius guard: a plan that deletes so much, or such things, waits until a person has seen just that.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::object::ResourceId;
use crate::plan::Plan;
use crate::random::SecretId;

/// How many objects of a hold its text names.
const SHOWN: usize = 20;

/// What may be deleted without a person. There is no `Default`: whoever syncs says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardLimits {
    /// So many percent of what an app owns may always go.
    pub percent: usize,
    /// So many objects may always go.
    pub objects: usize,
}

impl GuardLimits {
    /// What a host allows that was told nothing else: more than 30% and more than 10 objects need a person.
    pub const HOST: GuardLimits = GuardLimits {
        percent: 30,
        objects: 10,
    };
    /// Any number may go.
    pub const ANY_NUMBER: GuardLimits = GuardLimits {
        percent: 100,
        objects: usize::MAX,
    };
}

/// Kinds that take other things with them, or data that Git does not have: each single one needs a person.
const PRECIOUS: &[(&str, &str)] = &[
    ("", "Namespace"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
];

/// Whether deleting an object of this kind takes more with it than the object.
pub fn is_precious(id: &ResourceId) -> bool {
    PRECIOUS
        .iter()
        .any(|(group, kind)| *group == id.group && *kind == id.kind)
}

/// Why a sync is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It deletes a large part of what the app owns.
    Share {
        /// How many objects the app owns.
        of: usize,
    },
    /// It deletes objects of kinds that take more with them.
    Precious,
    /// The app left the manifest.
    Left,
    /// Another version of the host makes other bytes of the same inputs. It deletes nothing by itself.
    Remade {
        /// The output that is there.
        was: Digest,
    },
    /// What its plugins make up is made from another secret than before: all such values would change. It deletes nothing
    /// by itself.
    OtherSecret {
        /// The output that is there.
        was: Digest,
        /// The secret that it was made from.
        before: SecretId,
        /// The one that is here.
        now: SecretId,
    },
}

/// Deletes that wait for a person, and what was rendered when they were planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Why.
    pub cause: Cause,
    /// The digest of the whole render; of nothing where the app left the manifest.
    pub output: Digest,
    /// What would go.
    pub deletes: BTreeSet<ResourceId>,
}

/// A person's yes to one hold: to these deletes, for this output. What is left of them may still go after some
/// are gone; anything more, and any other output, is another question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The digest of the whole render.
    pub output: Digest,
    /// What may go.
    pub deletes: BTreeSet<ResourceId>,
}

impl Hold {
    /// What `weir approve --hold` takes: a digest of the output and of what would go.
    pub fn id(&self) -> Digest {
        let mut id = Digest::builder();
        id.part(self.output.to_string().as_bytes());
        for object in &self.deletes {
            id.part(object.to_string().as_bytes());
        }
        id.finish()
    }

    /// A yes to it.
    pub fn approved(&self) -> Approval {
        Approval {
            output: self.output,
            deletes: self.deletes.clone(),
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.deletes.len();
        match &self.cause {
            Cause::Share { of } => write!(f, "this would delete {n} of its {of} objects")?,
            Cause::Precious => {
                f.write_str("this would delete what takes more with it than itself")?;
            }
            Cause::Left => write!(f, "it left the manifest and still has {n} objects")?,
            Cause::Remade { was } => write!(
                f,
                "nothing that it is made of changed, and this version of Weir makes other bytes of it: output {} instead of {}",
                self.output.short(),
                was.short()
            )?,
            Cause::OtherSecret { was, before, now } => write!(
                f,
                "its random values were made from the secret {}, and here is the secret {}: all of them would change, output {} instead of {}; put the former secret back to keep them (docs/random.md)",
                before.short(),
                now.short(),
                self.output.short(),
                was.short()
            )?,
        }
        // What a person has to look at first comes first.
        let (first, rest): (Vec<_>, Vec<_>) = self.deletes.iter().partition(|id| is_precious(id));
        for (n, id) in first.iter().chain(&rest).take(SHOWN).enumerate() {
            write!(f, "{}{id}", if n == 0 { ": " } else { ", " })?;
        }
        if n > SHOWN {
            write!(f, " and {} more", n - SHOWN)?;
        }
        Ok(())
    }
}

impl Approval {
    /// Whether it allows these deletes for this output.
    pub fn covers(&self, output: Digest, deletes: &BTreeSet<ResourceId>) -> bool {
        self.output == output && deletes.is_subset(&self.deletes)
    }

    /// What is left of it when a sync that it was for is complete: what may go and was kept for now.
    pub fn left(mut self, kept: &[ResourceId]) -> Option<Approval> {
        self.deletes.retain(|id| kept.contains(id));
        (!self.deletes.is_empty()).then_some(self)
    }
}

/// Whether a plan of an app that owns so many objects has to wait for a person, whose yes may be there already.
pub fn guard(
    plan: &Plan,
    owned: usize,
    output: Digest,
    limits: GuardLimits,
    approval: Option<&Approval>,
) -> Option<Hold> {
    let hold = hold(plan.deletes().cloned().collect(), owned, output, limits)?;
    let is_approved = approval.is_some_and(|approval| approval.covers(output, &hold.deletes));
    (!is_approved).then_some(hold)
}

/// Whether these deletes of an app that owns so many objects need a person.
pub fn hold(
    deletes: BTreeSet<ResourceId>,
    owned: usize,
    output: Digest,
    limits: GuardLimits,
) -> Option<Hold> {
    let large = deletes.len() > limits.objects
        && deletes.len().saturating_mul(100) > owned.saturating_mul(limits.percent);
    let cause = match (large, deletes.iter().any(is_precious)) {
        (true, _) => Cause::Share { of: owned },
        (false, true) => Cause::Precious,
        (false, false) => return None,
    };
    Some(Hold {
        cause,
        output,
        deletes,
    })
}

#[cfg(test)]
mod tests;
