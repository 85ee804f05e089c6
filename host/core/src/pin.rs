//! Rollback: an output that is applied again, and the outputs that are refused meanwhile. Pure.
//!
//! A pinned app is kept at what a record says, whatever Git says: outputs that were found bad are refused by their digest,
//! whichever commit carries them. The pin ends by itself when the app renders to anything else, or when a person says so.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::{CommitId, Digest};
use crate::status::{AppStatus, State};

/// An output that was synced wholly and is kept: where, and what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployed {
    /// The number of the record, as `weir history` prints it.
    pub seq: u64,
    /// The commit that it was made from; `None` for a work tree.
    pub commit: Option<CommitId>,
    /// The digest of its bytes.
    pub output: Digest,
    /// The blob that holds it ([`crate::kept`]).
    pub bytes: Digest,
}

/// What an app is pinned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// What is applied.
    pub to: Deployed,
    /// What is not applied, whatever commit it comes from.
    pub refused: BTreeSet<Digest>,
}

/// What a render means for a pinned app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The pin stays: this output is refused, or there is none.
    Stays,
    /// The pin ends: Git has what the app was rolled back to.
    Same,
    /// The pin ends: this is another output, which nobody has refused.
    Other,
}

impl Pin {
    /// What it means that the app renders to this; `None` where it does not render.
    pub fn meaning(&self, rendered: Option<Digest>) -> Meaning {
        match rendered {
            None => Meaning::Stays,
            Some(output) if output == self.to.output => Meaning::Same,
            Some(output) if self.refused.contains(&output) => Meaning::Stays,
            Some(_) => Meaning::Other,
        }
    }

    /// The pin of an app that stands so, and renders to this: all that it was to be, but for what it goes back to, is
    /// refused. `None` where that is nothing: the app is there, and Git has nothing else for it.
    pub fn of(app: &AppStatus, to: Deployed, rendered: Option<Digest>) -> Option<Pin> {
        let before = app.pin.iter().flat_map(|pin| pin.refused.iter().copied());
        let held = app.hold.as_ref().map(|hold| hold.output);
        let known = [app.output, app.tried, held, rendered];
        let all = before.chain(known.into_iter().flatten());
        let refused: BTreeSet<Digest> = all.filter(|output| *output != to.output).collect();
        (!refused.is_empty()).then_some(Pin { to, refused })
    }
}

/// Where an app that was late goes back to by itself: what was healthy before, where that is something else than what
/// is there, and it is not pinned already.
pub fn back_from_late(app: &AppStatus) -> Option<Pin> {
    let to = app.healthy.clone()?;
    let is_other = app.output.is_some_and(|output| output != to.output);
    let goes = app.pin.is_none() && app.state == State::Synced && is_other;
    goes.then(|| Pin::of(app, to, None)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployed(text: &str) -> Deployed {
        Deployed {
            seq: 3,
            commit: None,
            output: Digest::of(text.as_bytes()),
            bytes: Digest::of(b"blob"),
        }
    }

    fn at(output: &str) -> AppStatus {
        AppStatus {
            output: Some(Digest::of(output.as_bytes())),
            state: State::Synced,
            ..AppStatus::default()
        }
    }

    #[test]
    fn what_was_bad_stays_refused_whatever_commit_has_it_until_the_app_renders_to_something_else() {
        let pin = Pin::of(&at("bad"), deployed("good"), Some(Digest::of(b"worse"))).unwrap();
        for (rendered, meaning) in [
            (Some("bad"), Meaning::Stays),
            (Some("worse"), Meaning::Stays),
            (None, Meaning::Stays),
            (Some("good"), Meaning::Same),
            (Some("mended"), Meaning::Other),
        ] {
            let rendered = rendered.map(|text| Digest::of(text.as_bytes()));
            assert_eq!(pin.meaning(rendered), meaning, "{rendered:?}");
        }
    }

    #[test]
    fn a_second_rollback_refuses_what_the_first_one_went_to_as_well() {
        let mut app = at("bad");
        app.pin = Pin::of(&app, deployed("good"), None);
        app.output = Some(Digest::of(b"good"));
        let pin = Pin::of(&app, deployed("older"), None).unwrap();
        let refused: BTreeSet<_> = ["bad", "good"].map(|t| Digest::of(t.as_bytes())).into();
        assert_eq!(pin.refused, refused);
    }

    #[test]
    fn what_was_tried_or_held_and_never_synced_is_refused_too() {
        let mut app = at("good");
        assert_eq!(Pin::of(&app, deployed("good"), None), None, "it is there");
        app.tried = Some(Digest::of(b"half"));
        let pin = Pin::of(&app, deployed("good"), None).unwrap();
        assert_eq!(pin.refused, BTreeSet::from([Digest::of(b"half")]));
    }

    #[test]
    fn an_app_goes_back_by_itself_only_to_something_else_that_was_healthy_and_only_once() {
        let mut app = at("bad");
        assert_eq!(back_from_late(&app), None, "nothing was ever healthy");
        app.healthy = Some(deployed("bad"));
        assert_eq!(back_from_late(&app), None, "it is the same");
        app.healthy = Some(deployed("good"));
        let pin = back_from_late(&app).unwrap();
        assert_eq!(pin.to, deployed("good"));
        app.pin = Some(pin);
        assert_eq!(back_from_late(&app), None, "it is pinned");
    }
}
