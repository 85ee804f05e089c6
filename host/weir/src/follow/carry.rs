//! A commit that changes nothing of most apps: which those are, and the one record that the ledger gets for all of them.

use weir_core::name::AppName;
use weir_core::record::{Carried, Event as Kept, Record};
use weir_core::schedule::{Carry, Node};

use super::{Loop, work};
use crate::crash::crash_point;
use crate::open::Opened;
use crate::prepare::Prepared;
use crate::sync::Report;

impl Loop<'_> {
    /// The apps of what is prepared, as the schedule sees them.
    pub(super) fn nodes(&self, opened: &Opened, prepared: &Prepared) -> Vec<Node> {
        let before = self.prepared.as_ref();
        let before = before.filter(|b| b.commit.is_some() && b.commit == prepared.since);
        let plain =
            |of: &Prepared, app: &AppName| of.apps.get(app).is_some_and(|app| app.pinned.is_none());
        let rests = |app: &AppName| {
            let last: Option<&Report> = self.ended.reports.get(app);
            last.is_some_and(|report| report.rests)
        };
        // Of the same commit once more nothing has to be carried: what is not made anew goes on.
        let is_again = before.is_some_and(|before| before.commit == prepared.commit);
        let same = |app: &AppName| {
            !prepared.fresh.contains(app)
                && before.is_some_and(|before| plain(before, app) && plain(prepared, app))
                && (is_again || rests(app))
        };
        let targets = &self.follow.opening.settings().targets;
        work::nodes(&opened.syncer, prepared, targets, same)
    }

    /// Keeps that these apps are at a commit as they were at the one before. Where it cannot be kept the next look at
    /// each of them says it.
    pub(super) async fn carry(&mut self, carry: Carry) {
        let Some(opened) = self.opened.clone() else {
            return;
        };
        let journal = opened.syncer.journal();
        let Carry {
            from,
            to,
            apps,
            mut others,
        } = carry;
        journal.status(|s| {
            let known = s.apps.iter();
            let left = known.filter(|(name, a)| a.stands_at(Some(from)) && !apps.contains(*name));
            others.extend(left.map(|(name, _)| name.clone()));
        });
        let Some(carried) = Carried::of(from, to, apps, others) else {
            return;
        };
        let count = carried.count;
        crash_point("before-carry");
        let event = Kept::Carried(carried);
        match journal.append(vec![Record { app: None, event }]).await {
            Ok(()) => self.teller.carried(count, to, journal),
            Err(e) => {
                tracing::error!("{e}");
                self.ended.problem = Some(e);
            }
        }
        crash_point("after-carry");
    }
}
