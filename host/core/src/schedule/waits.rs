//! Which apps wait for what: for a time, for a free place in their lane, for apps before them. Each event costs what it changes, however many apps wait.

use std::collections::{BTreeMap, BTreeSet};

use super::Now;
use crate::name::AppName;
use crate::turns::Lane;

/// Where each app that is wanted and does not run waits, and how many run in each lane.
#[derive(Debug, Default)]
pub(super) struct Waits {
    at: BTreeMap<AppName, Wait>,
    /// Those that wait for their time, by that.
    sleeping: BTreeMap<Now, BTreeSet<AppName>>,
    /// Those whose time has come, by lane.
    ready: BTreeMap<Lane, BTreeSet<(Now, AppName)>>,
    /// Lanes where somebody is ready and a place is free.
    open: BTreeSet<Lane>,
    pub(super) running: BTreeMap<AppName, Lane>,
    count: BTreeMap<Lane, usize>,
    /// How many apps were looked at.
    #[cfg(test)]
    pub(super) looked: usize,
}

#[derive(Debug)]
struct Wait {
    lane: Lane,
    since: Now,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its time has not come.
    Sleeps,
    /// It has.
    Ready,
    /// Its time has come, and it comes after an app that is not done. Whoever ends that puts it in anew.
    Behind,
}

impl Waits {
    /// An app is wanted from a time on, in a lane.
    pub(super) fn put(&mut self, app: &AppName, lane: &Lane, since: Now) {
        self.take(app);
        self.sleeping.entry(since).or_default().insert(app.clone());
        let (lane, stage) = (lane.clone(), Stage::Sleeps);
        self.at.insert(app.clone(), Wait { lane, since, stage });
    }

    /// An app is wanted no more.
    pub(super) fn take(&mut self, app: &AppName) {
        let Some(Wait { lane, since, stage }) = self.at.remove(app) else {
            return;
        };
        match stage {
            Stage::Sleeps => {
                if let Some(all) = self.sleeping.get_mut(&since) {
                    all.remove(app);
                    if all.is_empty() {
                        self.sleeping.remove(&since);
                    }
                }
            }
            Stage::Ready => {
                if let Some(all) = self.ready.get_mut(&lane) {
                    all.remove(&(since, app.clone()));
                    if all.is_empty() {
                        self.ready.remove(&lane);
                        self.open.remove(&lane);
                    }
                }
            }
            Stage::Behind => {}
        }
    }

    /// Nobody is wanted any more; what runs goes on.
    pub(super) fn clear(&mut self) {
        self.at.clear();
        self.sleeping.clear();
        self.ready.clear();
        self.open.clear();
    }

    /// Whether an app waits for another one that goes before it.
    pub(super) fn is_behind(&self, app: &AppName) -> bool {
        self.at.get(app).is_some_and(|w| w.stage == Stage::Behind)
    }

    /// An app's run ended: its place is free.
    pub(super) fn end(&mut self, app: &AppName) {
        let Some(lane) = self.running.remove(app) else {
            return;
        };
        if let Some(count) = self.count.get_mut(&lane) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.count.remove(&lane);
            }
        }
        if self.ready.contains_key(&lane) {
            self.open.insert(lane);
        }
    }

    /// Whether anything runs.
    pub(super) fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// The next time that somebody waits for; what has come is no more waited for.
    pub(super) fn next(&self, now: Now) -> Option<Now> {
        let later = self.sleeping.range(now.saturating_add(1)..);
        later.map(|(at, _)| *at).next()
    }

    /// The apps that begin now, so many at once in each lane, first come first served. Of each whose time has come
    /// `may` says whether those before it are done.
    pub(super) fn begin(
        &mut self,
        now: Now,
        at_once: usize,
        may: impl Fn(&AppName) -> bool,
    ) -> Vec<AppName> {
        self.wake(now, at_once);
        let mut begin = Vec::new();
        while let Some(lane) = self.open.first().cloned() {
            let first = self.ready.get(&lane).and_then(BTreeSet::first);
            let Some((_, app)) = first.cloned() else {
                self.open.remove(&lane);
                continue;
            };
            self.look();
            if !may(&app) {
                self.behind(&app, &lane);
                continue;
            }
            self.take(&app);
            let count = self.count.entry(lane.clone()).or_default();
            *count += 1;
            if *count >= at_once {
                self.open.remove(&lane);
            }
            self.running.insert(app.clone(), lane);
            begin.push(app);
        }
        begin
    }

    /// Those whose time has come are ready.
    fn wake(&mut self, now: Now, at_once: usize) {
        while let Some(due) = self.sleeping.first_entry().filter(|e| *e.key() <= now) {
            let (since, apps) = due.remove_entry();
            for app in apps {
                self.look();
                let Some(wait) = self.at.get_mut(&app) else {
                    continue;
                };
                wait.stage = Stage::Ready;
                let lane = wait.lane.clone();
                let runs = self.count.get(&lane).copied().unwrap_or_default();
                if runs < at_once {
                    self.open.insert(lane.clone());
                }
                self.ready.entry(lane).or_default().insert((since, app));
            }
        }
    }

    /// An app that is ready waits for one before it.
    fn behind(&mut self, app: &AppName, lane: &Lane) {
        let Some(since) = self.at.get(app).map(|w| w.since) else {
            return;
        };
        self.take(app);
        let (lane, stage) = (lane.clone(), Stage::Behind);
        self.at.insert(app.clone(), Wait { lane, since, stage });
    }

    fn look(&mut self) {
        #[cfg(test)]
        {
            self.looked += 1;
        }
    }
}
