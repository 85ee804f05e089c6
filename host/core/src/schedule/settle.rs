//! From synced to healthy: which apps are waited for, how long, and who may go on.

use std::collections::BTreeSet;

use super::{Command, Now, Schedule};
use crate::digest::CommitId;
use crate::name::AppName;

/// How far an app is on its way from synced to healthy, at the prepared commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Settle {
    /// It is not synced.
    #[default]
    Open,
    /// It was just synced.
    Due,
    /// It is not healthy yet, and may take until then.
    Waiting(Now),
    /// It took too long.
    Late,
    /// It was healthy. That stays so for this commit: what comes later is drift, and holds nobody up.
    Ready,
}

impl Schedule {
    /// Whether an app is on its way to being healthy, within its time.
    pub fn is_settling(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// An app was seen healthy.
    pub(super) fn settled(&mut self, name: &AppName, commit: CommitId) {
        let current = self.prepared == Some(commit);
        if let Some(app) = self.apps.get_mut(name).filter(|_| current)
            && matches!(app.settle, Settle::Waiting(_) | Settle::Late)
        {
            app.settle = Settle::Ready;
            self.unsettled.remove(name);
            self.followers_may_begin(name);
        }
    }

    /// When an app that is waited for takes too long.
    pub(super) fn late_at(&self, name: &AppName) -> Option<Now> {
        match self.apps.get(name)?.settle {
            Settle::Waiting(until) => Some(until),
            _ => None,
        }
    }

    /// Begins the waits that are due, and ends those that took too long.
    pub(super) fn settle(&mut self, now: Now, commit: CommitId, out: &mut Vec<Command>) {
        // What is not on its way costs nothing here.
        for name in std::mem::take(&mut self.unsettled) {
            let Some(app) = self.apps.get_mut(&name).filter(|app| app.listed) else {
                continue;
            };
            match (app.settle, app.within) {
                (Settle::Due, None) => app.settle = Settle::Ready,
                (Settle::Due, Some(within)) => {
                    app.settle = Settle::Waiting(now.saturating_add(within));
                    out.push(Command::Settle(name.clone(), commit));
                    self.unsettled.insert(name);
                }
                (Settle::Waiting(until), _) if until <= now => {
                    app.settle = Settle::Late;
                    out.push(Command::Late(name.clone(), commit));
                }
                (Settle::Waiting(_), _) => {
                    self.unsettled.insert(name);
                }
                _ => {}
            }
        }
    }

    /// Whether what comes after this app may begin. One that was carried did not wait for those before it: whoever comes
    /// after it does.
    pub(super) fn is_settled(&self, app: &AppName, commit: CommitId) -> bool {
        let (mut look, mut seen) = (vec![app], BTreeSet::new());
        while let Some(name) = look.pop() {
            let known = self.apps.get(name);
            let Some(app) = known.filter(|a| a.synced == Some(commit) && a.settle == Settle::Ready)
            else {
                return false;
            };
            if app.carried && seen.insert(name) {
                look.extend(&app.after);
            }
        }
        true
    }
}
