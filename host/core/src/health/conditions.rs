//! The conditions of a live object: what its controllers say of it.

use super::live::{Live, quote};
use super::{Health, MAX_CONDITIONS};

/// One condition.
pub(super) struct Condition<'a> {
    pub(super) kind: &'a str,
    pub(super) status: &'a str,
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
    /// The generation of the object that it is about, where it says so.
    pub(super) generation: Option<i64>,
}

impl Condition<'_> {
    pub(super) fn is_true(&self) -> bool {
        self.status == "True"
    }
    pub(super) fn is_false(&self) -> bool {
        self.status == "False"
    }

    /// `Ready is False (DependencyNotReady): what the controller wrote`.
    pub(super) fn says(&self) -> String {
        let status = if self.status.is_empty() {
            "Unknown"
        } else {
            self.status
        };
        let mut text = format!("{} is {}", quote(self.kind), quote(status));
        if !self.reason.is_empty() {
            text.push_str(&format!(" ({})", quote(self.reason)));
        }
        if !self.message.is_empty() {
            text.push_str(&format!(": {}", quote(self.message)));
        }
        text
    }
}

/// All conditions of an object, in its own order.
pub(super) struct Conditions<'a>(Vec<Condition<'a>>);

impl<'a> Conditions<'a> {
    /// The first condition of this type.
    pub(super) fn get(&self, kind: &str) -> Option<&Condition<'a>> {
        self.0.iter().find(|c| c.kind == kind)
    }
    /// The condition of this type, where it is true.
    pub(super) fn is_true(&self, kind: &str) -> Option<&Condition<'a>> {
        self.get(kind).filter(|c| c.is_true())
    }
    pub(super) fn iter(&self) -> impl Iterator<Item = &Condition<'a>> {
        self.0.iter()
    }
}

impl<'a> Live<'a> {
    /// The object's conditions.
    pub(super) fn conditions(self) -> Result<Conditions<'a>, Health> {
        self.items("status.conditions", MAX_CONDITIONS)?
            .map(|item| {
                Ok(Condition {
                    kind: item.text("type")?.unwrap_or_default(),
                    status: item.text("status")?.unwrap_or_default(),
                    reason: item.text("reason")?.unwrap_or_default(),
                    message: item.text("message")?.unwrap_or_default(),
                    generation: item.generation("observedGeneration")?,
                })
            })
            .collect::<Result<Vec<_>, Health>>()
            .map(Conditions)
    }
}
