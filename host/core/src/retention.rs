//! How long records are kept, what says that older ones were removed, and which kept bytes are still named.

use std::collections::BTreeSet;
use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize};

use crate::decision::{Choice, Decision};
use crate::digest::Digest;
use crate::record::{Event, Record};
use crate::status::{AppStatus, Status};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// How long records are kept. What no rule removes stays for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Records that are older than so many days go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<NonZeroU32>,
    /// Only so many of the newest records stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<NonZeroU64>,
}

impl Retention {
    /// Whether nothing ever goes.
    pub fn is_for_ever(&self) -> bool {
        self.days.is_none() && self.records.is_none()
    }

    /// Whether records go that were written at a time and have so many newer ones behind them. Times are in
    /// seconds since 1970.
    pub fn drops(&self, now: i64, written: i64, newer: u64) -> bool {
        let age = now.saturating_sub(written);
        let is_old = self
            .days
            .is_some_and(|days| age > i64::from(days.get()).saturating_mul(DAY));
        is_old || self.records.is_some_and(|records| newer >= records.get())
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.days, self.records) {
            (None, None) => f.write_str("all records stay"),
            (Some(days), None) => write!(f, "records stay for {days} days"),
            (None, Some(records)) => write!(f, "the newest {records} records stay"),
            (Some(days), Some(records)) => {
                write!(f, "the newest {records} records stay, for {days} days")
            }
        }
    }
}

/// That records were removed, which ones, and what stands for them. It is itself a record, so that an auditor
/// sees it, and the chain holds what is needed to prove what stands for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trim {
    /// The number of the last batch that goes; all before it go, too.
    pub through: u64,
    /// That batch's digest: the next one names it as its predecessor.
    pub batch: Digest,
    /// The digest of the anchor: the file with the status that all removed records fold to.
    pub anchor: Digest,
    /// How many records go by this.
    pub records: u64,
    /// By which rule.
    pub rule: Retention,
}

/// The digests of kept bytes that a record names: what must stay as long as the record does.
pub fn blobs_of(record: &Record) -> BTreeSet<Digest> {
    match &record.event {
        Event::Synced(sync) => sync.bytes.into_iter().collect(),
        Event::Decided(Decision {
            choice: Choice::RolledBack(pin),
            ..
        }) => BTreeSet::from([pin.to.bytes]),
        Event::Commit(_)
        | Event::Refused(_)
        | Event::Staked(_)
        | Event::Hook(_)
        | Event::Settled(_)
        | Event::Failed { .. }
        | Event::Held { .. }
        | Event::Decided(_)
        | Event::Trimmed(_)
        | Event::Carried(_)
        | Event::Removed => BTreeSet::new(),
    }
}

impl Status {
    /// The digests of kept bytes that are needed as things stand, whatever records are left.
    pub fn blobs(&self) -> BTreeSet<Digest> {
        let named = |app: &AppStatus| {
            let pinned = app.pin.as_ref().map(|pin| pin.to.bytes);
            let known = [app.deployed.as_ref(), app.healthy.as_ref()];
            let known = known.map(|known| known.map(|deployed| deployed.bytes));
            known.into_iter().chain([pinned]).flatten()
        };
        self.apps.values().flat_map(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(days: u32, records: u64) -> Retention {
        Retention {
            days: NonZeroU32::new(days),
            records: NonZeroU64::new(records),
        }
    }

    #[test]
    fn a_record_goes_when_it_is_too_old_or_has_too_many_behind_it() {
        for (rule, age, newer, goes) in [
            (rule(0, 0), i64::MAX, u64::MAX, false),
            (rule(2, 0), 2 * DAY, u64::MAX, false),
            (rule(2, 0), 2 * DAY + 1, 0, true),
            (rule(0, 3), i64::MAX, 2, false),
            (rule(0, 3), 0, 3, true),
            (rule(2, 3), 0, 3, true),
            (rule(2, 3), 3 * DAY, 0, true),
            (rule(2, 3), 0, 2, false),
            // A clock that was set back removes nothing.
            (rule(2, 0), -9 * DAY, 0, false),
        ] {
            assert_eq!(
                rule.drops(age, 0, newer),
                goes,
                "{rule}: {age} s, {newer} newer"
            );
        }
    }

    #[test]
    fn a_rule_says_what_it_keeps() {
        assert!(rule(0, 0).is_for_ever() && !rule(1, 0).is_for_ever());
        assert_eq!(rule(0, 0).to_string(), "all records stay");
        assert_eq!(
            rule(9, 5).to_string(),
            "the newest 5 records stay, for 9 days"
        );
    }
}
