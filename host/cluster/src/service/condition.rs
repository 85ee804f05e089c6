//! Conditions by the convention of kstatus: `Ready` always, `Reconciling` and `Stalled` only where they are true.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The condition that people and `kubectl wait` ask for.
pub const READY: &str = "Ready";
/// Something is under way, or is tried again by itself.
pub const RECONCILING: &str = "Reconciling";
/// Nothing more happens before somebody does something.
pub const STALLED: &str = "Stalled";
/// The longest message of a condition, in characters.
const MESSAGE_CHARS: usize = 2_000;

/// One thing that is said of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    #[schemars(length(max = 7))]
    pub status: String,
    /// One word for why.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Why, and what to do.
    #[serde(default)]
    #[schemars(length(max = 32768))]
    pub message: String,
    /// Since when the status is this one (RFC 3339).
    pub last_transition_time: String,
    /// The generation of the resource that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// What is said of a resource, before it is known since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whether it is as it should be; nothing where that is not known yet.
    pub ready: Option<bool>,
    /// One word for why.
    pub reason: &'static str,
    /// Why, and what to do.
    pub message: String,
    /// What becomes of it by itself.
    pub course: Course,
}

/// What becomes of a resource by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Nothing: it is as it should be.
    Settled,
    /// It is worked on, or tried again.
    Going,
    /// Nothing, before somebody does something.
    Stuck,
}

impl Standing {
    /// The conditions that say this. Each keeps its time where its status is as it was `before`.
    #[must_use]
    pub fn conditions(
        &self,
        before: &[Condition],
        generation: Option<i64>,
        now: &str,
    ) -> Vec<Condition> {
        let ready = match self.ready {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let course = match self.course {
            Course::Settled => None,
            Course::Going => Some((RECONCILING, "True")),
            Course::Stuck => Some((STALLED, "True")),
        };
        let condition = |(kind, status): (&str, &str)| {
            let known = before.iter().find(|c| c.kind == kind && c.status == status);
            Condition {
                kind: kind.to_owned(),
                status: status.to_owned(),
                reason: self.reason.to_owned(),
                message: cut(&self.message),
                last_transition_time: known
                    .map_or_else(|| now.to_owned(), |c| c.last_transition_time.clone()),
                observed_generation: generation,
            }
        };
        [Some((READY, ready)), course]
            .into_iter()
            .flatten()
            .map(condition)
            .collect()
    }
}

/// A message that fits.
fn cut(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_CHARS) {
        None => message.to_owned(),
        Some((at, _)) => format!("{} ...", message.get(..at).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(ready: Option<bool>, course: Course) -> Standing {
        Standing {
            ready,
            reason: "Because",
            message: "why".to_owned(),
            course,
        }
    }

    fn said(all: &[Condition]) -> Vec<String> {
        let one = |c: &Condition| format!("{}={} {}", c.kind, c.status, c.last_transition_time);
        all.iter().map(one).collect()
    }

    #[test]
    fn ready_is_always_said_and_the_others_only_where_they_are_true() {
        for (ready, course, expected) in [
            (Some(true), Course::Settled, &["Ready=True 1"][..]),
            (
                Some(false),
                Course::Going,
                &["Ready=False 1", "Reconciling=True 1"],
            ),
            (
                Some(false),
                Course::Stuck,
                &["Ready=False 1", "Stalled=True 1"],
            ),
            (
                None,
                Course::Going,
                &["Ready=Unknown 1", "Reconciling=True 1"],
            ),
        ] {
            let conditions = standing(ready, course).conditions(&[], Some(3), "1");
            assert_eq!(said(&conditions), expected);
            assert!(conditions.iter().all(|c| c.observed_generation == Some(3)));
        }
    }

    #[test]
    fn a_condition_keeps_its_time_while_its_status_stays() {
        let before = standing(Some(false), Course::Going).conditions(&[], Some(1), "1");
        let same = standing(Some(false), Course::Stuck).conditions(&before, Some(2), "2");
        assert_eq!(said(&same), ["Ready=False 1", "Stalled=True 2"]);
        let other = standing(Some(true), Course::Settled).conditions(&same, Some(2), "3");
        assert_eq!(said(&other), ["Ready=True 3"]);
    }

    #[test]
    fn a_message_that_is_too_long_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = cut(&"ä".repeat(MESSAGE_CHARS + 1));
        assert_eq!(long.chars().count(), MESSAGE_CHARS + 4);
    }
}
