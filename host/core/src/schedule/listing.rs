//! A new commit's apps: those that it may have changed are wanted, all others are carried to it.

use std::collections::BTreeSet;

use super::settle::Settle;
use super::{AppWork, Carry, Node, Now, Schedule};
use crate::digest::CommitId;

impl Schedule {
    /// From now on these are the apps.
    pub(super) fn list(&mut self, now: Now, commit: CommitId, nodes: Vec<Node>) {
        let last = self.prepared.replace(commit);
        let (before, is_again) = (last.filter(|b| *b != commit), last == Some(commit));
        for app in self.apps.values_mut() {
            app.listed = false;
        }
        self.followers.clear();
        let mut left = BTreeSet::new();
        let (mut carried, mut others) = (BTreeSet::new(), BTreeSet::new());
        for node in nodes {
            for first in node.after.iter().chain(&node.behind) {
                let followers = self.followers.entry(first.clone()).or_default();
                followers.push(node.app.clone());
            }
            let app = self.apps.entry(node.app.clone()).or_default();
            // The same commit once more, for the sake of others: it goes on as it does.
            if is_again && node.same && app.is_placed_as(&node) {
                app.listed = true;
                left.insert(node.app);
                continue;
            }
            app.listed = true;
            app.carried = before.is_some_and(|before| app.stays(&node, before));
            if app.carried {
                app.synced = Some(commit);
                carried.insert(node.app);
                continue;
            }
            app.after = node.after;
            app.lane = Some(node.lane);
            app.behind = node.behind;
            app.within = node.settle;
            // A newer commit is waited for, not an older one.
            app.settle = Settle::Open;
            app.work.failures = 0;
            app.work.want(now);
            others.insert(node.app);
        }
        self.apps.retain(|_, app| app.listed || app.work.running);
        self.waits.clear();
        for app in self.apps.values_mut().filter(|app| !app.listed) {
            app.settle = Settle::Open;
            app.work.wanted = false;
        }
        self.unsettled.retain(|name| left.contains(name));
        for name in others.iter().chain(&left) {
            self.place(name);
        }
        self.carry = before.filter(|_| !carried.is_empty()).map(|from| Carry {
            from,
            to: commit,
            apps: carried,
            others,
        });
    }
}

impl AppWork {
    /// Whether nothing of it is open at the commit before, and this node has it as it is.
    fn stays(&self, node: &Node, before: CommitId) -> bool {
        let rests = !self.work.running && !self.work.wanted && self.work.failures == 0;
        let well = self.synced == Some(before) && self.settle == Settle::Ready;
        node.same && rests && well && self.is_placed_as(node)
    }

    /// Whether it comes after the same apps, waits as long and lands at the same place.
    fn is_placed_as(&self, node: &Node) -> bool {
        self.after == node.after
            && self.behind == node.behind
            && self.within == node.settle
            && self.lane.as_ref() == Some(&node.lane)
    }
}
