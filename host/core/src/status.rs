//! Where things stand: a pure fold of records, read by API and CLI alike.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::commit_policy::{Refused, Trusted};
use crate::decision::{Adoption, Choice, Decision, Recovery};
use crate::digest::{CommitId, Digest};
use crate::guard::{Approval, Hold};
use crate::heals::Heals;
use crate::hook::{HookRecord, Progress, Runs};
use crate::inventory::Inventory;
use crate::live::Written;
use crate::name::{AppName, TargetName};
use crate::object::ResourceId;
use crate::pin::{Deployed, Pin};
use crate::record::{CommitRecord, Event, Made, Problem, Record, SyncRecord};
use crate::settle::Settled;
use crate::stake::{Ended, Stake};

/// How an app stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing is known yet, or a stake has no outcome.
    #[default]
    Pending,
    /// As Git says.
    Synced,
    /// Not as Git says; the last good state stays.
    Failed,
    /// Waiting for a person.
    Held,
    /// As Git said, but for what somebody changed since: the app reports that and lets it stay.
    Drifted,
    /// As a record says that it was rolled back to, and not as Git says.
    Pinned,
}

impl State {
    /// The word in the CLI, the API and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Synced => "synced",
            State::Failed => "failed",
            State::Held => "held",
            State::Drifted => "drifted",
            State::Pinned => "pinned",
        }
    }

    /// Whether all that was wanted of it was done.
    pub fn is_done(self) -> bool {
        matches!(self, State::Synced | State::Drifted | State::Pinned)
    }
}

/// Where one app stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppStatus {
    /// What it owns.
    pub inventory: Inventory,
    /// How it stands.
    pub state: State,
    /// The last commit that was synced, wholly.
    pub commit: Option<CommitId>,
    /// The digest of what was synced then.
    pub output: Option<Digest>,
    /// That, where its bytes are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed: Option<Deployed>,
    /// What it was made of, and by whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
    /// The last output that was healthy and is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<Deployed>,
    /// The output of the last stake, whatever became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<Digest>,
    /// What it was rolled back to, and stays at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// Where it lands.
    pub target: Option<TargetName>,
    /// Whether its objects go when it leaves the manifest.
    pub prune_on_removal: bool,
    /// What stands in the way.
    pub problem: Option<Problem>,
    /// The deletes that wait for a person.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// A person's yes that was not wholly used yet.
    #[serde(default)]
    pub approval: Option<Approval>,
    /// What a person said that it takes over, until it has.
    #[serde(default)]
    pub adoption: Option<Adoption>,
    /// What nobody wants any more and stays, since it says that it must not be pruned.
    #[serde(default)]
    pub kept: Vec<ResourceId>,
    /// What was healed of late.
    #[serde(default)]
    pub heals: Heals,
    /// What somebody changed, and is left so.
    #[serde(default)]
    pub drifted: Vec<ResourceId>,
    /// The last run of each of its hooks.
    #[serde(default, skip_serializing_if = "Runs::is_empty")]
    pub hooks: Runs,
    /// How healthy what was synced last was, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
    /// Since when it stands so, in seconds since 1970.
    pub since: i64,
}

/// Where a repository stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The last commit that was followed.
    pub head: Option<CommitRecord>,
    /// The last commit that the host's policy for commits accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted: Option<Trusted>,
    /// The commit that the ref points at and that is not followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// Why that commit as a whole could not be read: its manifest, its lock, its tree.
    #[serde(default)]
    pub problem: Option<Problem>,
    /// Its apps, those that left the manifest and still own objects included.
    pub apps: BTreeMap<AppName, AppStatus>,
}

impl Status {
    /// One record more. `seq` is the number of its batch in the chain, `at` is in seconds since 1970.
    pub fn fold(&mut self, seq: u64, at: i64, record: &Record) {
        match (&record.app, &record.event) {
            (_, Event::Commit(commit)) => {
                self.head = Some(commit.clone());
                self.problem = None;
                self.refused = None;
                if commit.accepted {
                    self.trusted = Some(Trusted {
                        commit: commit.commit,
                        signer: commit.signer.clone(),
                    });
                }
            }
            (_, Event::Refused(refused)) => self.refused = Some(refused.clone()),
            (None, Event::Failed { problem, .. }) => self.problem = Some(problem.clone()),
            (Some(app), Event::Removed) => {
                self.apps.remove(app);
            }
            (Some(app), Event::Staked(stake)) => self.fold_stake(at, app, stake),
            (Some(app), Event::Synced(sync)) => {
                // Something was synced: the commit could be read after all.
                self.problem = None;
                self.app(app).fold_sync(seq, at, sync);
            }
            (Some(app), Event::Hook(hook)) => self.fold_hook(app, hook),
            (Some(app), Event::Settled(settled)) => self.app(app).fold_settled(at, settled),
            (Some(app), Event::Failed { problem, .. }) => {
                let status = self.app(app);
                status.become_state(at, State::Failed);
                status.problem = Some(problem.clone());
                status.hold = None;
            }
            (Some(app), Event::Held { why, hold }) => {
                let status = self.app(app);
                status.become_state(at, State::Held);
                status.hold.clone_from(hold);
                status.problem = Some(Problem {
                    stage: if hold.is_some() { "guard" } else { "manifest" }.to_owned(),
                    fault: crate::fault::Fault::Repository,
                    message: why.clone(),
                });
            }
            (Some(app), Event::Decided(decision)) => self.app(app).fold_decision(at, decision),
            (_, Event::Carried(carried)) => {
                // Something is at the commit: it could be read after all.
                self.problem = None;
                let at = Some(carried.from);
                let stand = self.apps.iter_mut().filter(|(_, app)| app.stands_at(at));
                for (_, app) in stand.filter(|(name, _)| carried.apps.has(name)) {
                    app.commit = Some(carried.to);
                }
            }
            (None, _) | (_, Event::Trimmed(_)) => {}
        }
    }

    /// A hook's object is in the inventory while it is there.
    fn fold_hook(&mut self, app: &AppName, hook: &HookRecord) {
        if let Progress::Staked(Some(from)) = &hook.progress
            && let Some(other) = self.apps.get_mut(from)
        {
            other.inventory.release(&hook.id);
            other.hooks.forget(&hook.id);
        }
        let status = self.app(app);
        let id = hook.id.clone();
        match &hook.progress {
            Progress::Staked(_) => status.inventory.stake(id, hook.content),
            Progress::Started(written) => status.inventory.confirm(id, written.clone()),
            Progress::Gone => drop(status.inventory.release(&id)),
            Progress::Succeeded | Progress::Failed(_) => {}
        }
        status.hooks.keep(hook.output);
        status.hooks.fold(hook);
    }

    fn app(&mut self, app: &AppName) -> &mut AppStatus {
        self.apps.entry(app.clone()).or_default()
    }

    fn fold_stake(&mut self, at: i64, app: &AppName, stake: &Stake) {
        for (id, from) in &stake.taken {
            let held = self
                .apps
                .get_mut(from)
                .and_then(|other| other.inventory.release(id));
            if let Some(holding) = held {
                self.app(app).inventory.take(id.clone(), holding);
            }
        }
        let status = self.app(app);
        status.become_state(at, State::Pending);
        status.tried = Some(stake.output);
        // From now on something of it may be there, also when nobody learns how this ends.
        status.target = Some(stake.target.clone());
        // What was written is known now: a new intention must not make it a stranger's.
        for (id, digest) in &stake.found {
            status
                .inventory
                .confirm(id.clone(), Written::content(*digest));
        }
        for (id, digest) in &stake.writes {
            status.inventory.stake(id.clone(), *digest);
        }
    }
}

impl AppStatus {
    /// How it stands, and what stands in the way: an app that is synced and took too long to become healthy has failed,
    /// too.
    pub fn standing(&self) -> (State, Option<&Problem>) {
        let late = self.settled.as_ref().and_then(|s| s.problem.as_ref());
        match (self.state, late) {
            (State::Synced | State::Pinned, Some(late)) => (State::Failed, Some(late)),
            (state, _) => (state, self.problem.as_ref()),
        }
    }

    /// Whether nothing of it is open: it is as this commit says, nothing was changed or failed since, nobody waits.
    pub fn stands_at(&self, commit: Option<CommitId>) -> bool {
        self.state == State::Synced
            && self.commit == commit
            && commit.is_some()
            && self.problem.is_none()
            && self.hold.is_none()
            && self.pin.is_none()
    }

    fn fold_settled(&mut self, at: i64, settled: &Settled) {
        let late = |s: &Settled| s.problem.is_some();
        if self.settled.as_ref().is_some_and(late) != late(settled) {
            self.since = at;
        }
        let known = self.deployed.as_ref();
        if let Some(well) = known.filter(|d| settled.is_ready_at(Some(d.output))) {
            self.healthy = Some(well.clone());
        }
        self.settled = Some(settled.clone());
    }

    fn become_state(&mut self, at: i64, state: State) {
        if self.state != state {
            self.state = state;
            self.since = at;
        }
    }

    fn fold_decision(&mut self, at: i64, decision: &Decision) {
        match &decision.choice {
            Choice::Approved(approval) => {
                self.approval = Some(approval.clone());
                self.hold = None;
            }
            Choice::Adopted(adoption) => self.adoption = Some(adoption.clone()),
            Choice::Recovered(recovery) => self.fold_recovery(at, recovery),
            Choice::RolledBack(pin) => {
                self.pin = Some(pin.clone());
                self.hold = None;
                self.become_state(at, State::Pending);
            }
            Choice::Resumed => {
                self.pin = None;
                self.become_state(at, State::Pending);
            }
        }
    }

    fn fold_recovery(&mut self, at: i64, recovery: &Recovery) {
        // Of an app that is new to the ledger nothing else is known.
        if self.since == 0 {
            self.since = at;
        }
        self.target.get_or_insert_with(|| recovery.target.clone());
        for (id, mark) in &recovery.objects {
            if self.inventory.get(id).is_none() {
                self.inventory
                    .confirm(id.clone(), Written::unread(mark.clone()));
            }
        }
    }

    fn fold_sync(&mut self, seq: u64, at: i64, sync: &SyncRecord) {
        for outcome in &sync.outcomes {
            let id = outcome.id.clone();
            match &outcome.ended {
                // All that is written was staked: what is held no more was taken by another app meanwhile.
                Ended::Created(written) | Ended::Updated(written) | Ended::Confirmed(written)
                    if self.inventory.get(&id).is_some() =>
                {
                    self.inventory.confirm(id, written.clone());
                }
                Ended::Healed(written, healed) if self.inventory.get(&id).is_some() => {
                    self.heals.add(at, &id, healed);
                    self.inventory.confirm(id, written.clone());
                }
                Ended::Created(_) | Ended::Updated(_) | Ended::Healed(..) | Ended::Confirmed(_) => {
                }
                Ended::Pruned | Ended::Forgotten => {
                    self.inventory.release(&id);
                    self.hooks.forget(&id);
                }
                Ended::Failed(_) | Ended::Skipped => {}
            }
        }
        let pinned = self.pin.as_ref().map(|pin| pin.to.output) == Some(sync.output);
        self.become_state(
            at,
            match (&sync.problem, sync.drifted.is_empty()) {
                (Some(_), _) => State::Failed,
                (None, false) => State::Drifted,
                (None, true) if pinned => State::Pinned,
                (None, true) => State::Synced,
            },
        );
        self.problem.clone_from(&sync.problem);
        self.hold = None;
        self.kept.clone_from(&sync.kept);
        self.drifted.clone_from(&sync.drifted);
        self.target = Some(sync.target.clone());
        self.prune_on_removal = sync.prune_on_removal;
        if sync.problem.is_none() {
            // All that it allowed has happened, but for what is kept.
            // A sync that takes over prunes nothing, and one of another output is not what a person spoke of.
            let adopted = self.adoption.take_if(|a| a.output == sync.output);
            if adopted.is_none() {
                self.approval = self.approval.take().and_then(|a| a.left(&sync.kept));
            }
            self.commit = sync.commit;
            self.output = Some(sync.output);
            self.made = sync.made;
            self.deployed = sync.bytes.map(|bytes| Deployed {
                seq,
                commit: sync.commit,
                output: sync.output,
                bytes,
            });
        }
        self.hooks.keep(sync.output);
        // Of what is there now nothing is known yet.
        self.settled = self.settled.take().filter(|s| s.output == sync.output);
    }
}

#[cfg(test)]
mod tests;
