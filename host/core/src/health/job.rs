//! Job: done when it completed.

use super::conditions::Conditions;
use super::live::{Live, plural};
use super::{Checked, Health};

pub(super) fn job(live: Live<'_>, conditions: &Conditions<'_>) -> Checked {
    // A Job that says only how many pods run at a time is done when as many succeeded.
    let at_a_time = live.count("spec.parallelism")?.unwrap_or(1);
    let wanted = live.count("spec.completions")?.unwrap_or(at_a_time);
    let suspended = live.flag("spec.suspend")?.unwrap_or(false);
    let succeeded = live.tally("status.succeeded")?;
    let active = live.tally("status.active")?;
    let failed = live.tally("status.failed")?;
    let numbers = format!("{succeeded} of {wanted} completions");
    if conditions.is_true("Complete").is_some() {
        return Ok(());
    }
    if let Some(condition) = conditions.is_true("Failed") {
        return Err(Health::Failed(format!(
            "{numbers}, {} failed; {}",
            plural(failed, "pod"),
            condition.says()
        )));
    }
    if suspended {
        return Err(if conditions.is_true("Suspended").is_some() {
            Health::Suspended(format!("it does not run, by `spec.suspend`: {numbers}"))
        } else {
            Health::Progressing(format!("it is being suspended: {numbers}"))
        });
    }
    if live.text("status.startTime")?.is_none_or(str::is_empty) {
        return Err(Health::Progressing("it has not started yet".to_owned()));
    }
    let mut text = format!("{numbers}, {} active", plural(active, "pod"));
    if failed > 0 {
        text.push_str(&format!(", {failed} failed"));
    }
    Err(Health::Progressing(text))
}
