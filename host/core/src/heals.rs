//! Heals of late: how often which field of which object was put back, so that nobody races with whoever sets it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::object::ResourceId;
use crate::stake::Healed;

/// How often one field is healed within [`WITHIN`] seconds.
pub const MOST: usize = 5;
/// The seconds in which heals of one field are counted.
pub const WITHIN: i64 = 600;
/// How many fields of one object are counted.
const MOST_FIELDS: usize = 100;

/// Somebody undoes the heals of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contested {
    /// The field that was healed so often.
    pub healed: Healed,
    /// How often of late.
    pub times: usize,
    /// When it is healed again, in seconds since 1970.
    pub until: i64,
}

impl fmt::Display for Contested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} was healed {} times within {} minutes and is changed back each time: it stays as it is until then. \
             Settle who sets it: leave it out of the repository, name it under the app's `ignore:`, or stop the other",
            self.healed,
            self.times,
            WITHIN / 60
        )
    }
}

/// The heals of one app of late. Empty where nobody interferes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Row>", into = "Vec<Row>")]
pub struct Heals(BTreeMap<ResourceId, BTreeMap<String, Times>>);

/// One field's heals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Times {
    /// Who had the field when it was last healed.
    from: Option<String>,
    /// When, in seconds since 1970; the latest last.
    at: Vec<i64>,
}

type Row = (ResourceId, BTreeMap<String, Times>);

impl From<Vec<Row>> for Heals {
    fn from(rows: Vec<Row>) -> Heals {
        Heals(rows.into_iter().collect())
    }
}
impl From<Heals> for Vec<Row> {
    fn from(heals: Heals) -> Vec<Row> {
        heals.0.into_iter().collect()
    }
}

impl Heals {
    /// Counts heals of an object. What is older than counts is forgotten.
    pub fn add(&mut self, at: i64, id: &ResourceId, healed: &[Healed]) {
        self.forget(at);
        if healed.is_empty() {
            return;
        }
        let fields = self.0.entry(id.clone()).or_default();
        for healed in healed.iter().take(MOST_FIELDS) {
            if fields.len() >= MOST_FIELDS && !fields.contains_key(&healed.field) {
                continue;
            }
            let times = fields.entry(healed.field.clone()).or_default();
            times.from.clone_from(&healed.from);
            times.at.push(at);
            if times.at.len() > MOST {
                times.at.remove(0);
            }
        }
    }

    /// The objects that were healed too often to be healed now.
    pub fn contested(&self, now: i64) -> BTreeMap<ResourceId, Contested> {
        let counts = |at: &&i64| is_of_late(now, **at);
        let mut out = BTreeMap::new();
        for (id, fields) in &self.0 {
            for (field, times) in fields {
                let of_late: Vec<i64> = times.at.iter().filter(counts).copied().collect();
                let Some(first) = of_late.first().filter(|_| of_late.len() >= MOST) else {
                    continue;
                };
                let contested = Contested {
                    healed: Healed {
                        field: field.clone(),
                        from: times.from.clone(),
                    },
                    times: of_late.len(),
                    until: first + WITHIN,
                };
                out.entry(id.clone()).or_insert(contested);
            }
        }
        out
    }

    fn forget(&mut self, now: i64) {
        for fields in self.0.values_mut() {
            fields.retain(|_, times| times.at.last().is_some_and(|at| is_of_late(now, *at)));
        }
        self.0.retain(|_, fields| !fields.is_empty());
    }
}

/// Whether a time is within [`WITHIN`] before now. One that lies ahead was written while the clock was wrong.
fn is_of_late(now: i64, at: i64) -> bool {
    (0..WITHIN).contains(&now.saturating_sub(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ResourceId {
        ResourceId {
            group: String::new(),
            kind: "ConfigMap".to_owned(),
            namespace: None,
            name: name.to_owned(),
        }
    }

    fn healed(field: &str) -> Healed {
        Healed {
            field: field.to_owned(),
            from: Some("scaler".to_owned()),
        }
    }

    #[test]
    fn five_heals_of_one_field_in_ten_minutes_are_enough() {
        let mut heals = Heals::default();
        for at in [0, 100, 200, 300] {
            heals.add(at, &id("a"), &[healed("data.x")]);
            assert!(heals.contested(at).is_empty());
        }
        heals.add(400, &id("a"), &[healed("data.x")]);
        let contested = &heals.contested(400)[&id("a")];
        assert_eq!(contested.until, 600);
        let text = contested.to_string();
        assert!(
            text.starts_with("data.x (which scaler had set) was healed 5 times within 10 minutes"),
            "{text}"
        );
        assert!(heals.contested(599).contains_key(&id("a")));
        assert!(
            heals.contested(600).is_empty(),
            "the first one is too long ago"
        );
    }

    #[test]
    fn heals_of_several_fields_or_objects_or_long_ago_are_no_race() {
        let mut heals = Heals::default();
        for at in 0..4 {
            heals.add(at, &id("a"), &[healed("data.x"), healed("data.y")]);
            heals.add(at, &id("b"), &[healed("data.x")]);
        }
        heals.add(700, &id("a"), &[healed("data.x")]);
        assert!(heals.contested(700).is_empty());
        assert_eq!(heals.0.len(), 1, "what is old is forgotten");
        heals.add(2_000, &id("c"), &[]);
        assert!(heals.0.is_empty());
    }

    #[test]
    fn heals_of_a_time_that_lies_ahead_count_for_nothing() {
        let mut heals = Heals::default();
        for at in 0..5 {
            heals.add(1_000_000 + at, &id("a"), &[healed("data.x")]);
        }
        assert!(heals.contested(1_000_004).contains_key(&id("a")));
        assert!(heals.contested(500).is_empty(), "the clock was put right");
        heals.add(500, &id("b"), &[healed("data.x")]);
        assert_eq!(heals.0.len(), 1, "and what lies ahead is forgotten");
    }
}
