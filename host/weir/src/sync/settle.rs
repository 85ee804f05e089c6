//! How healthy an app is at its target, and what the ledger keeps of that.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::health::{Health, Summary};
use weir_core::name::AppName;
use weir_core::object::ResourceId;
use weir_core::record::{Event, Problem, Record};
use weir_core::settle::Settled;
use weir_core::stake::Ended;
use weir_core::status::AppStatus;

use super::{Report, Syncer};
use crate::error::Error;
use crate::landing::Landing;
use crate::prepare::Prepared;

impl Report {
    /// Whether an object was written or deleted.
    pub(crate) fn changed(&self) -> bool {
        self.outcomes.iter().any(|o| {
            matches!(
                o.ended,
                Ended::Created(_) | Ended::Updated(_) | Ended::Healed(..) | Ended::Pruned
            )
        })
    }
}

impl Syncer {
    /// Whether an app stands well at the commit of this run, and holds nothing that it does not want.
    pub(super) fn rests(&self, prepared: &Prepared, report: &Report) -> bool {
        let wanted = prepared.desired.get(&report.app);
        let Some(wanted) = wanted.and_then(Option::as_deref) else {
            return false;
        };
        self.journal.status(|s| {
            let known = s.apps.get(&report.app);
            known.is_some_and(|a| {
                let mut held = a.inventory.iter();
                report.problem.is_none()
                    && a.stands_at(report.commit)
                    && held.all(|(id, _)| wanted.contains(id))
            })
        })
    }

    /// Whether what an app has can be healthy or not: in a cluster it can, in a directory it is there, and that is all.
    pub(crate) fn has_health(&self, app: &AppName) -> bool {
        self.journal.status(|s| {
            let target = s.apps.get(app).and_then(|a| a.target.as_ref());
            let target = target.and_then(|name| self.targets.get(name));
            matches!(
                target.and_then(Landing::known),
                Some(weir_cluster::Target::Kube(_))
            )
        })
    }

    /// How healthy each object of an app is, asked where nothing watches it; `None` where its target has no health.
    pub(crate) async fn assess(&self, app: &AppName) -> Option<BTreeMap<ResourceId, Health>> {
        let (target, held) = self.journal.status(|s| {
            let known = s.apps.get(app)?;
            let target = self.targets.get(known.target.as_ref()?)?.known()?;
            let held: BTreeSet<_> = known.inventory.iter().map(|(id, _)| id.clone()).collect();
            Some((target.clone(), held))
        })?;
        target.assess(&self.journal.claim(app), &held).await
    }

    /// The objects of an app, none of which was looked at.
    pub(crate) fn not_seen(&self, app: &AppName) -> BTreeMap<ResourceId, Health> {
        let unseen = |id: &ResourceId| {
            let why = "it was not looked at yet".to_owned();
            (id.clone(), Health::Progressing(why))
        };
        self.journal.status(|s| {
            let known = s.apps.get(app).map(|a| a.inventory.iter());
            known
                .into_iter()
                .flatten()
                .map(|(id, _)| unseen(id))
                .collect()
        })
    }

    /// Whether the ledger says that what is synced now was healthy.
    pub(crate) fn was_healthy(&self, app: &AppName) -> bool {
        let ready = |a: &AppStatus| {
            let settled = a.settled.as_ref();
            settled.is_some_and(|s| s.is_ready_at(a.output))
        };
        self.journal.status(|s| s.apps.get(app).is_some_and(ready))
    }

    /// Keeps how healthy synced apps are, with what took too long, in one append. What the ledger has in as many words
    /// is not said again; whether any of it was news.
    pub(crate) async fn keep_health(
        &self,
        all: Vec<(AppName, Summary, Option<Problem>)>,
    ) -> Result<bool, Error> {
        let news = |(app, health, late)| self.news(app, health, late);
        let records: Vec<Record> = all.into_iter().filter_map(news).collect();
        if records.is_empty() {
            return Ok(false);
        }
        self.journal.append(records).await?;
        Ok(true)
    }

    fn news(&self, app: AppName, health: Summary, late: Option<Problem>) -> Option<Record> {
        let settled = self.journal.status(|s| {
            let known = s.apps.get(&app).filter(|a| a.state.is_done())?;
            let before = known.settled.as_ref();
            let settled = Settled {
                commit: known.commit,
                output: known.output?,
                problem: match health.health().is_ready() {
                    true => None,
                    false => late.or_else(|| before?.problem.clone()),
                },
                health,
            };
            let same = before.is_some_and(|before| before.is_like(&settled));
            (!same).then_some(settled)
        })?;
        Some(Record {
            app: Some(app),
            event: Event::Settled(settled),
        })
    }
}
