//! The rules for every kind: deletion, the generation that was seen, and the conditions that kinds share.

use super::conditions::{Condition, Conditions};
use super::live::{Live, plural, quote};
use super::{Checked, Health, MAX_FINALIZERS_NAMED};

/// The conditions that say why a namespace is still there, the most telling first.
const NAMESPACE_WAITS: [&str; 5] = [
    "NamespaceDeletionContentFailure",
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceFinalizersRemaining",
    "NamespaceContentRemaining",
];
/// More finalizers than any object has.
const MAX_FINALIZERS: usize = 1024;

/// What is marked for deletion is terminating, whatever else it is.
pub(super) fn deletion(live: Live<'_>, group: &str, kind: &str) -> Checked {
    let since = live.text("metadata.deletionTimestamp")?;
    if since.is_none_or(str::is_empty) {
        return Ok(());
    }
    Err(Health::Terminating(if (group, kind) == ("", "Namespace") {
        namespace_waits(live)
    } else {
        // A list that cannot be read changes nothing about the deletion.
        finalizers(live).unwrap_or_else(|found| {
            format!("it is being deleted; {}", found.text().unwrap_or_default())
        })
    }))
}

/// Why a namespace that is being deleted is still there.
pub(super) fn namespace_waits(live: Live<'_>) -> String {
    let said = live.conditions().ok().and_then(|conditions| {
        NAMESPACE_WAITS
            .iter()
            .find_map(|kind| conditions.is_true(kind).map(Condition::says))
    });
    said.unwrap_or_else(|| "it is being deleted, its objects first".to_owned())
}

fn finalizers(live: Live<'_>) -> Result<String, Health> {
    let list = live.items("metadata.finalizers", MAX_FINALIZERS)?;
    let count = list.len();
    if count == 0 {
        return Ok("it is being deleted".to_owned());
    }
    let mut names = list
        .take(MAX_FINALIZERS_NAMED)
        .map(|item| item.as_text().map(quote))
        .collect::<Result<Vec<_>, Health>>()?
        .join(", ");
    if count > MAX_FINALIZERS_NAMED {
        names.push_str(&format!(" and {} more", count - MAX_FINALIZERS_NAMED));
    }
    Ok(format!(
        "it is being deleted and waits for {}: {names}",
        plural(u64::try_from(count).unwrap_or(u64::MAX), "finalizer")
    ))
}

/// A controller that says which generation it saw has to have seen this one.
pub(super) fn generation(live: Live<'_>) -> Checked {
    let (Some(wanted), Some(seen)) = (
        live.number("metadata.generation")?,
        live.generation("status.observedGeneration")?,
    ) else {
        return Ok(());
    };
    if wanted == seen {
        return Ok(());
    }
    Err(Health::Progressing(format!(
        "its controller has seen generation {seen}, it is at {wanted}"
    )))
}

/// For the kinds whose controllers always say which generation they saw: that they said so.
pub(super) fn seen(live: Live<'_>) -> Checked {
    let generation = live.number("metadata.generation")?;
    if generation.is_some() && live.generation("status.observedGeneration")?.is_none() {
        return Err(Health::Progressing(
            "its controller has not seen it yet".to_owned(),
        ));
    }
    Ok(())
}

/// `Reconciling` and `Stalled`, which any controller may set to decide for its objects. The first that is true
/// counts.
pub(super) fn standard(live: Live<'_>, conditions: &Conditions<'_>) -> Checked {
    for condition in conditions.iter().filter(|c| c.is_true()) {
        match condition.kind {
            "Reconciling" => return Err(Health::Progressing(condition.says())),
            "Stalled" => {
                current(live, condition)?;
                return Err(Health::Failed(condition.says()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// `Failed` and `Ready`, for the kinds that have no rule of their own. One without these is taken as healthy.
pub(super) fn ready(live: Live<'_>, conditions: &Conditions<'_>) -> Checked {
    if let Some(failed) = conditions.is_true("Failed") {
        current(live, failed)?;
        return Err(Health::Failed(failed.says()));
    }
    let Some(ready) = conditions.get("Ready") else {
        return Ok(());
    };
    current(live, ready)?;
    if ready.is_true() {
        return Ok(());
    }
    Err(Health::Progressing(ready.says()))
}

/// A condition that says which generation it is about has to be about this one.
fn current(live: Live<'_>, condition: &Condition<'_>) -> Checked {
    match (live.number("metadata.generation")?, condition.generation) {
        (Some(wanted), Some(seen)) if seen < wanted => Err(Health::Progressing(format!(
            "its condition {} is of generation {seen}, it is at {wanted}",
            quote(condition.kind)
        ))),
        _ => Ok(()),
    }
}
