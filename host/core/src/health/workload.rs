//! Deployment, ReplicaSet, StatefulSet and DaemonSet: how many pods there are of how many, and of which revision.

use super::conditions::{Condition, Conditions};
use super::general::seen;
use super::live::{Live, plural};
use super::{Checked, Health};

/// The deadline by which the API says "none": the greatest 32-bit number.
const NO_DEADLINE: u64 = i32::MAX as u64;

/// Progressing with `have` of `want`, unless there are as many.
fn enough(have: u64, want: u64, what: &str) -> Checked {
    if have >= want {
        return Ok(());
    }
    Err(Health::Progressing(format!("{have} of {want} {what}")))
}

/// Progressing while more pods are there than wanted.
fn no_more(have: u64, want: u64) -> Checked {
    match have.checked_sub(want) {
        None | Some(0) => Ok(()),
        Some(extra) => Err(Health::Progressing(format!(
            "{} still {} to go",
            plural(extra, "more replica"),
            if extra == 1 { "has" } else { "have" }
        ))),
    }
}

/// The API's default for a workload that says nothing.
fn wanted(live: Live<'_>) -> Result<u64, Health> {
    Ok(live.count("spec.replicas")?.unwrap_or(1))
}

/// Adds what the controller says of pods that it could not make.
fn explained(found: Health, conditions: &Conditions<'_>) -> Health {
    match (found, conditions.is_true("ReplicaFailure")) {
        (Health::Progressing(text), Some(failure)) => {
            Health::Progressing(format!("{text}; {}", failure.says()))
        }
        (found, _) => found,
    }
}

pub(super) fn deployment(live: Live<'_>, conditions: &Conditions<'_>) -> Checked {
    seen(live)?;
    let deadline = live
        .count("spec.progressDeadlineSeconds")?
        .unwrap_or(NO_DEADLINE);
    let paused = live.flag("spec.paused")?.unwrap_or(false);
    let outstanding = deployment_pods(live).map_err(|found| explained(found, conditions));
    let progress = conditions.get("Progressing");
    if progress.is_some_and(|c| c.reason == "ProgressDeadlineExceeded") {
        let missing = outstanding
            .err()
            .and_then(|found| found.text().map(|text| format!(": {text}")))
            .unwrap_or_default();
        return Err(Health::Failed(format!(
            "no progress within {deadline} seconds{missing}"
        )));
    }
    match outstanding {
        Err(Health::Progressing(text)) if paused => {
            return Err(Health::Progressing(format!(
                "its roll-out is paused by `spec.paused`: {text}"
            )));
        }
        other => other?,
    }
    // Without a deadline, and while paused, the controller does not say that a roll-out is complete.
    let complete = |c: &Condition<'_>| c.is_true() && c.reason == "NewReplicaSetAvailable";
    if !paused && deadline < NO_DEADLINE && !progress.is_some_and(complete) {
        return Err(Health::Progressing(progress.map_or_else(
            || "its controller has not said how the roll-out goes".to_owned(),
            |c| format!("the roll-out is not complete: {}", c.says()),
        )));
    }
    available(conditions)
}

fn deployment_pods(live: Live<'_>) -> Checked {
    let wanted = wanted(live)?;
    let there = live.tally("status.replicas")?;
    let updated = live.tally("status.updatedReplicas")?;
    let available = live.tally("status.availableReplicas")?;
    enough(there, wanted, "replicas exist")?;
    enough(updated, wanted, "replicas are updated")?;
    no_more(there, wanted)?;
    enough(available, updated, "replicas are available")?;
    enough(
        live.tally("status.readyReplicas")?,
        wanted,
        "replicas are ready",
    )
}

fn available(conditions: &Conditions<'_>) -> Checked {
    match conditions.get("Available") {
        Some(c) if c.is_true() => Ok(()),
        Some(c) => Err(Health::Progressing(c.says())),
        None => Err(Health::Progressing(
            "its controller has not said that it is available".to_owned(),
        )),
    }
}

pub(super) fn replica_set(live: Live<'_>, conditions: &Conditions<'_>) -> Checked {
    seen(live)?;
    replica_set_pods(live).map_err(|found| explained(found, conditions))?;
    match conditions.is_true("ReplicaFailure") {
        Some(failure) => Err(Health::Progressing(failure.says())),
        None => Ok(()),
    }
}

fn replica_set_pods(live: Live<'_>) -> Checked {
    let wanted = wanted(live)?;
    let there = live.tally("status.replicas")?;
    enough(there, wanted, "replicas exist")?;
    for (field, what) in [
        (
            "status.fullyLabeledReplicas",
            "replicas have all their labels",
        ),
        ("status.readyReplicas", "replicas are ready"),
        ("status.availableReplicas", "replicas are available"),
    ] {
        enough(live.tally(field)?, wanted, what)?;
    }
    no_more(there, wanted)
}

pub(super) fn stateful_set(live: Live<'_>) -> Checked {
    seen(live)?;
    let wanted = wanted(live)?;
    let there = live.tally("status.replicas")?;
    let updated = live.tally("status.updatedReplicas")?;
    let partition = live.count("spec.updateStrategy.rollingUpdate.partition")?;
    enough(there, wanted, "replicas exist")?;
    enough(
        live.tally("status.readyReplicas")?,
        wanted,
        "replicas are ready",
    )?;
    no_more(there, wanted)?;
    if on_delete(live)? {
        // Which revision its pods have is for a person to decide, pod by pod.
        return Ok(());
    }
    if let Some(partition) = partition {
        // The pods below the partition stay as they are. The API server writes 0 where nothing was said.
        let moving = wanted.saturating_sub(partition);
        return enough(updated, moving, "replicas are updated");
    }
    if live.text("status.currentRevision")? != live.text("status.updateRevision")? {
        enough(updated, wanted, "replicas are updated")?;
        return Err(Health::Progressing(
            "all replicas are updated, the roll-out is not closed yet".to_owned(),
        ));
    }
    enough(
        live.tally("status.currentReplicas")?,
        wanted,
        "replicas are of the current revision",
    )
}

pub(super) fn daemon_set(live: Live<'_>) -> Checked {
    seen(live)?;
    let Some(wanted) = live.count("status.desiredNumberScheduled")? else {
        return Err(Health::Progressing(
            "its controller has not counted its nodes yet".to_owned(),
        ));
    };
    let on_delete = on_delete(live)?;
    for (field, what) in [
        ("status.currentNumberScheduled", "nodes have its pod"),
        ("status.updatedNumberScheduled", "pods are updated"),
        ("status.numberReady", "pods are ready"),
        ("status.numberAvailable", "pods are available"),
    ] {
        if !(on_delete && field == "status.updatedNumberScheduled") {
            enough(live.tally(field)?, wanted, what)?;
        }
    }
    Ok(())
}

/// Whether a person replaces the pods.
fn on_delete(live: Live<'_>) -> Result<bool, Health> {
    Ok(live.text("spec.updateStrategy.type")? == Some("OnDelete"))
}
