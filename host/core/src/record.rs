//! One entry of the append-only log: what happened, from which commit, whose.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::commit_policy::{Refused, Signer};
use crate::decision::Decision;
use crate::digest::{CommitId, Digest};
use crate::fault::Fault;
use crate::guard::Hold;
use crate::hook::HookRecord;
use crate::kept::Changed;
use crate::name::{AppName, PluginName, TargetName};
use crate::object::ResourceId;
use crate::plan::Counts;
use crate::random::SecretId;
use crate::retention::Trim;
use crate::settle::Settled;
use crate::stake::{Outcome, Stake};

/// How the followed ref moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "move", content = "from")]
pub enum Movement {
    /// Seen for the first time.
    First,
    /// To a descendant.
    Forward(CommitId),
    /// To something else: history was rewritten.
    Rewritten(CommitId),
}

/// A commit as the log names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// Its id.
    pub commit: CommitId,
    /// How the ref came to it.
    #[serde(flatten)]
    pub movement: Movement,
    /// `Name <address>`.
    pub author: String,
    /// `Name <address>`.
    pub committer: String,
    /// `Name <address>` of whoever merged it, where it is a merge: its committer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merger: Option<String>,
    /// When it was committed, in seconds since 1970.
    pub committed: i64,
    /// The first line of its message.
    pub subject: String,
    /// Who signed it, where the host's policy for commits asked and the signature was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<Signer>,
    /// The host has a policy for commits, and it accepted this one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub accepted: bool,
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// What one sync of one app did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRecord {
    /// The commit; `None` for a work tree.
    pub commit: Option<CommitId>,
    /// The digest of the whole render.
    pub output: Digest,
    /// The plugins that made it.
    pub plugins: BTreeMap<PluginName, Digest>,
    /// Where it landed.
    pub target: TargetName,
    /// Whether the app's objects go when it leaves the manifest.
    pub prune_on_removal: bool,
    /// Object by object; unchanged ones are left out.
    pub outcomes: Vec<Outcome>,
    /// In numbers.
    pub counts: Counts,
    /// What nobody wants any more and stays, since it says that it must not be pruned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<ResourceId>,
    /// What somebody changed, and is left so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drifted: Vec<ResourceId>,
    /// What stands in the way, where the sync is not complete.
    pub problem: Option<Problem>,
    /// The blob that holds the output's bytes and what it takes to apply them again ([`crate::kept`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Digest>,
    /// What the output was made of, and by whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
    /// Which fields of the updated objects are other than in the output before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Changed>,
    /// Microseconds of each stage.
    pub micros: BTreeMap<String, u64>,
}

/// What an output was made of, and by whom: from the same of the first, every host has to make the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// All that the render was told, and all that it read.
    pub inputs: Digest,
    /// The host's program and its Wasmtime.
    pub engine: Digest,
    /// The secret of the stable random bytes that were taken for it, where some were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<SecretId>,
}

/// Why an app is not as Git says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The stage that failed.
    pub stage: String,
    /// Who has to act.
    pub fault: Fault,
    /// For a person.
    pub message: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum Event {
    /// The ref moved.
    Commit(CommitRecord),
    /// The ref moved to a commit that the host's policy does not follow.
    Refused(Refused),
    /// Changes are about to be tried.
    Staked(Stake),
    /// Changes were tried.
    Synced(SyncRecord),
    /// A hook is so far.
    Hook(HookRecord),
    /// What was synced is so healthy now.
    Settled(Settled),
    /// An app could not be rendered or observed: the last good state stays.
    Failed {
        /// The commit.
        commit: Option<CommitId>,
        /// Why.
        problem: Problem,
    },
    /// Nothing is changed until a person decides.
    Held {
        /// For a person.
        why: String,
        /// The deletes that wait for a yes, where it is about deletes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hold: Option<Hold>,
    },
    /// A person decided.
    Decided(Decision),
    /// Older records were removed, as the host's retention says.
    Trimmed(Trim),
    /// An app left the manifest and all its objects are gone.
    Removed,
    /// A commit changed nothing of these apps: they are at it as they were at the one before.
    Carried(Carried),
}

/// Apps that a commit changed nothing of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The commit that they were synced at.
    pub from: CommitId,
    /// The commit that they are at now.
    pub to: CommitId,
    /// Which.
    #[serde(flatten)]
    pub apps: Which,
    /// How many they are, for people.
    pub count: usize,
}

/// Some of the apps that stand well at a commit ([`crate::status::AppStatus::stands_at`]): whichever list is the shorter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// All but these.
    But(BTreeSet<AppName>),
    /// These only.
    Only(BTreeSet<AppName>),
}

impl Which {
    /// Whether an app is among them.
    pub fn has(&self, app: &AppName) -> bool {
        match self {
            Which::But(not) => !not.contains(app),
            Which::Only(these) => these.contains(app),
        }
    }
}

impl Carried {
    /// The record that just these apps are carried: of all that stand well at `from`, and of all others that there are,
    /// since one of them may come to stand well at `from` before the record is kept. `None` where there are none.
    pub fn of(
        from: CommitId,
        to: CommitId,
        carried: BTreeSet<AppName>,
        others: BTreeSet<AppName>,
    ) -> Option<Carried> {
        let count = carried.len();
        let apps = match others.len() < count {
            true => Which::But(others),
            false => Which::Only(carried),
        };
        (count > 0 && from != to).then_some(Carried {
            from,
            to,
            apps,
            count,
        })
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The app; `None` where the whole repository is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// What happened.
    pub event: Event,
}
