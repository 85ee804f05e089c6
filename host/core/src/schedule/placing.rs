//! Where an app waits after something of it changed, and who may begin when another one is done.

use std::collections::BTreeSet;

use super::{AppWork, Schedule};
use crate::name::AppName;

impl Schedule {
    /// Puts an app where it waits now, after whatever changed of it.
    pub(super) fn place(&mut self, name: &AppName) {
        match self.apps.get(name) {
            Some(AppWork {
                work,
                lane: Some(lane),
                listed: true,
                ..
            }) if work.wanted && !work.running => self.waits.put(name, lane, work.not_before),
            _ => self.waits.take(name),
        }
    }

    pub(super) fn place_all(&mut self) {
        self.waits.clear();
        let all: Vec<AppName> = self.apps.keys().cloned().collect();
        for name in &all {
            self.place(name);
        }
    }

    /// An app is done: those that wait for it are looked at again. What was carried is done when all before it is.
    pub(super) fn followers_may_begin(&mut self, name: &AppName) {
        let (mut done, mut seen) = (vec![name.clone()], BTreeSet::new());
        while let Some(name) = done.pop() {
            let followers = self.followers.get(&name).cloned().unwrap_or_default();
            for follower in followers {
                if self.waits.is_behind(&follower) {
                    self.place(&follower);
                }
                let carried = self.apps.get(&follower).is_some_and(|app| app.carried);
                if carried && seen.insert(follower.clone()) {
                    done.push(follower);
                }
            }
        }
    }
}
