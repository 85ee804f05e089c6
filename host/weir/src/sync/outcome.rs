//! What a plan and its outcomes mean for an app: what stands in the way, and what changed in numbers.

use weir_cluster::ApplyEvent;
use weir_core::fault::Fault;
use weir_core::name::AppName;
use weir_core::plan::{Counts, Plan};
use weir_core::record::Problem;
use weir_core::stake::{Ended, Outcome};

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

/// What may not be touched, as one problem.
pub(super) fn refusal(app: &AppName, plan: &Plan) -> Option<Problem> {
    let refused = plan.refused();
    if refused.is_empty() {
        return None;
    }
    let mut lines: Vec<String> = refused
        .iter()
        .take(SHOWN_REFUSALS)
        .map(|(id, why)| format!("{id}: {why}"))
        .collect();
    if refused.len() > SHOWN_REFUSALS {
        lines.push(format!("... and {} more", refused.len() - SHOWN_REFUSALS));
    }
    Some(Problem {
        stage: "plan".to_owned(),
        fault: Fault::Target,
        message: format!("app {app}: {}", lines.join("; ")),
    })
}

/// The first step that failed, as the app's problem.
pub(super) fn failed(app: &AppName, outcomes: &[Outcome]) -> Option<Problem> {
    let (id, why) = outcomes.iter().find_map(|o| match &o.ended {
        Ended::Failed(why) => Some((&o.id, why)),
        _ => None,
    })?;
    Some(Problem {
        stage: "apply".to_owned(),
        fault: Fault::Target,
        message: format!("app {app}: {id}: {why}"),
    })
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
            Ended::Pruned => counts.pruned += 1,
            Ended::Confirmed(_) | Ended::Forgotten | Ended::Failed(_) | Ended::Skipped => {}
        }
    }
    counts
}
