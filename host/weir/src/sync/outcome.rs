//! What a plan and its outcomes mean for an app: what stands in the way, and what changed in numbers.

use std::collections::BTreeSet;

use weir_cluster::ApplyEvent;
use weir_core::fault::{Blame as _, Retry};
use weir_core::name::AppName;
use weir_core::object::ResourceId;
use weir_core::plan::{Counts, Plan};
use weir_core::record::Problem;
use weir_core::stake::{Ended, Healed, Outcome};
use weir_core::status::State;

use super::{Report, Run};

/// How many problems one message names.
const SHOWN_REFUSALS: usize = 5;

/// The crash point that an event of the target's is.
pub(super) fn step_of(event: ApplyEvent) -> &'static str {
    match event {
        ApplyEvent::WaveWritten => "wave-written",
        ApplyEvent::BeforeWrite(_) => "before-write",
        ApplyEvent::AfterWrite(_) => "after-write",
        ApplyEvent::BeforePrune(_) => "before-prune",
        ApplyEvent::AfterPrune(_) => "after-prune",
    }
}

/// What stands in an app's way at its target, and when to try again.
#[derive(Debug, Clone)]
pub(super) struct Obstacle {
    /// As it is recorded.
    pub(super) problem: Problem,
    /// When trying again can help.
    pub(super) retry: Retry,
}

/// What may not be touched, as one obstacle.
pub(super) fn refusal(app: &AppName, plan: &Plan) -> Option<Obstacle> {
    let refused = plan.refused();
    let (_, first) = refused.first()?;
    let mut lines: Vec<String> = refused
        .iter()
        .take(SHOWN_REFUSALS)
        .map(|(id, why)| format!("{id}: {why}"))
        .collect();
    if refused.len() > SHOWN_REFUSALS {
        lines.push(format!("... and {} more", refused.len() - SHOWN_REFUSALS));
    }
    Some(Obstacle {
        problem: Problem {
            stage: "plan".to_owned(),
            fault: first.fault(),
            message: format!("app {app}: {}", lines.join("; ")),
        },
        retry: soonest(refused.iter().map(|(_, why)| why.retry())),
    })
}

/// The first step that failed, as the app's obstacle.
pub(super) fn failed(app: &AppName, outcomes: &[Outcome]) -> Option<Obstacle> {
    let failures = || {
        outcomes.iter().filter_map(|o| match &o.ended {
            Ended::Failed(failure) => Some((&o.id, failure)),
            _ => None,
        })
    };
    let (id, first) = failures().next()?;
    let more = match failures().count() {
        1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    Some(Obstacle {
        problem: Problem {
            stage: "apply".to_owned(),
            fault: first.fault,
            message: format!("app {app}: {id}: {}{more}", first.why),
        },
        retry: soonest(failures().map(|(_, failure)| failure.retry)),
    })
}

/// Where one of several may get better by itself, it is worth another try.
pub(super) fn soonest(retries: impl Iterator<Item = Retry>) -> Retry {
    let mut retries = retries;
    if retries.any(|retry| retry == Retry::Backoff) {
        Retry::Backoff
    } else {
        Retry::OnChange
    }
}

/// How an app stands when such a plan is wholly done.
pub(super) fn as_it_should(plan: &Plan) -> State {
    match plan.drifted().is_empty() {
        true => State::Synced,
        false => State::Drifted,
    }
}

/// Says of what was put back that it was, where the target does not: of a directory's file, and of an object that was
/// gone.
pub(super) fn healed(outcomes: Vec<Outcome>, heals: &BTreeSet<ResourceId>) -> Vec<Outcome> {
    let put_back = |written, field: &str| {
        let field = field.to_owned();
        Ended::Healed(written, vec![Healed { field, from: None }])
    };
    let each = outcomes.into_iter().map(|Outcome { id, ended }| {
        let ended = match ended {
            Ended::Created(written) if heals.contains(&id) => put_back(written, ""),
            Ended::Updated(written) if heals.contains(&id) => put_back(written, "content"),
            ended => ended,
        };
        Outcome { id, ended }
    });
    each.collect()
}

/// Whether an object was gone and is there again.
pub(crate) fn is_whole(healed: &[Healed]) -> bool {
    healed.iter().any(|healed| healed.field.is_empty())
}

/// What really happened, in numbers.
pub(super) fn recount(planned: Counts, outcomes: &[Outcome]) -> Counts {
    let mut counts = Counts {
        unchanged: planned.unchanged,
        ..Counts::default()
    };
    for outcome in outcomes {
        match outcome.ended {
            Ended::Created(_) => counts.created += 1,
            Ended::Updated(_) => counts.updated += 1,
            Ended::Healed(_, ref fields) if is_whole(fields) => counts.created += 1,
            Ended::Healed(..) => counts.updated += 1,
            Ended::Pruned => counts.pruned += 1,
            // Written again, and it was as wanted all along; what was confirmed unseen is in the plan's count.
            Ended::Confirmed(_) => {}
            Ended::Forgotten | Ended::Failed(_) | Ended::Skipped => {}
        }
    }
    counts
}

impl Run<'_> {
    /// Nothing is to be done, and the ledger says already how the app stands.
    pub(super) fn as_before(&self, plan: &Plan, refused: Option<Obstacle>) -> Report {
        let state = match refused {
            Some(_) => State::Failed,
            None => self.well(plan),
        };
        let retry = refused.as_ref().map_or(Retry::OnChange, |r| r.retry);
        let problem = refused.map(|r| r.problem);
        self.report(vec![], plan.counts(), state, problem, retry, false)
    }
}
