//! From synced to healthy: what the ledger keeps of it, and what is said of an app that takes too long.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::{CommitId, Digest};
use crate::fault::Fault;
use crate::grant::Millis;
use crate::health::{Health, Summary};
use crate::name::AppName;
use crate::object::ResourceId;
use crate::record::Problem;

/// The stage of an app that is synced and not healthy.
pub const STAGE: &str = "settle";
/// How many objects one message names.
const SHOWN: usize = 5;

/// How healthy an app was after a sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The commit that was synced; `None` for a work tree.
    pub commit: Option<CommitId>,
    /// The digest of what was synced.
    pub output: Digest,
    /// How its objects were.
    pub health: Summary,
    /// It took longer than it may: what is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

impl Settled {
    /// Whether this output was healthy: what comes after the app may go on.
    pub fn is_ready_at(&self, output: Option<Digest>) -> bool {
        Some(self.output) == output && self.problem.is_none() && self.health.health().is_ready()
    }

    /// Whether this says the same to a person: numbers may differ.
    pub fn is_like(&self, other: &Settled) -> bool {
        self.output == other.output
            && self.problem.is_some() == other.problem.is_some()
            && self.health.health().as_str() == other.health.health().as_str()
    }
}

/// Why an app that is synced counts as failed: it was not healthy within its time. Names what is not ready, the worst
/// first.
pub fn late(app: &AppName, within: Millis, health: &BTreeMap<ResourceId, Health>) -> Problem {
    let mut unready: Vec<_> = health.iter().filter(|(_, h)| !h.is_ready()).collect();
    unready.sort_by_key(|(id, health)| (std::cmp::Reverse(health.rank()), *id));
    let mut lines: Vec<String> = unready
        .iter()
        .take(SHOWN)
        .map(|(id, health)| format!("{id}: {health}"))
        .collect();
    match unready.len() {
        0 => lines.push("its objects were not read yet".to_owned()),
        n if n > SHOWN => lines.push(format!("... and {} more", n - SHOWN)),
        _ => {}
    }
    Problem {
        stage: STAGE.to_owned(),
        fault: Fault::Target,
        message: format!(
            "app {app}: it is synced and was not healthy within {within}: {}. What comes after it waits until it is; mend it by a commit, or let it take longer with `settle: {{ within: TIME }}`",
            lines.join("; ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ResourceId {
        ResourceId {
            group: "apps".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: None,
            name: name.to_owned(),
        }
    }

    #[test]
    fn what_is_late_is_named_the_worst_first_and_what_is_ready_is_not() {
        let health = BTreeMap::from([
            (id("a"), Health::Progressing("0 of 1".to_owned())),
            (id("b"), Health::Failed("too slow".to_owned())),
            (id("c"), Health::Healthy),
            (id("d"), Health::Suspended("on purpose".to_owned())),
        ]);
        let problem = late(&"web".parse().unwrap(), Millis(600_000), &health);
        assert_eq!(
            (problem.stage.as_str(), problem.fault),
            ("settle", Fault::Target)
        );
        assert!(
            problem.message.starts_with(
                "app web: it is synced and was not healthy within 10m: Deployment.apps b: failed: too slow; Deployment.apps a: progressing: 0 of 1. What"
            ),
            "{}",
            problem.message
        );
    }

    #[test]
    fn of_many_objects_the_first_are_named_and_the_others_counted() {
        let health: BTreeMap<_, _> = (0..SHOWN + 3)
            .map(|n| (id(&format!("d{n}")), Health::Progressing("x".to_owned())))
            .collect();
        let text = late(&"web".parse().unwrap(), Millis(1000), &health).message;
        assert_eq!(text.matches("progressing").count(), SHOWN);
        assert!(text.contains("; ... and 3 more."), "{text}");
    }

    #[test]
    fn only_the_same_output_counts_as_healthy() {
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        let mut settled = Settled {
            commit: None,
            output: one,
            health: Summary::of([(&id("a"), &Health::Healthy)]),
            problem: None,
        };
        assert!(settled.is_ready_at(Some(one)));
        assert!(!settled.is_ready_at(Some(other)) && !settled.is_ready_at(None));
        settled.health = Summary::of([(&id("a"), &Health::Failed("x".to_owned()))]);
        assert!(!settled.is_ready_at(Some(one)));
    }
}
