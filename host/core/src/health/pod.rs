//! Pod: its phase, and what its containers wait for.

use super::conditions::Conditions;
use super::live::{Live, plural, quote};
use super::{Checked, Health, MAX_CONTAINERS};

/// Why containers wait while all is well.
const ORDINARY: [&str; 2] = ["ContainerCreating", "PodInitializing"];

pub(super) fn pod(live: Live<'_>, conditions: &Conditions<'_>) -> Checked {
    match live.text("status.phase")?.unwrap_or_default() {
        "Succeeded" => Ok(()),
        "Running" if conditions.is_true("Ready").is_some() => Ok(()),
        "Running" => {
            containers(live)?;
            let (ready, all) = ready_containers(live)?;
            if ready < all {
                return Err(Health::Progressing(format!(
                    "{ready} of {all} containers are ready"
                )));
            }
            Err(Health::Progressing(conditions.get("Ready").map_or_else(
                || "it runs and is not ready".to_owned(),
                |c| c.says(),
            )))
        }
        "Pending" => {
            if let Some(c) = conditions.get("PodScheduled").filter(|c| c.is_false()) {
                return Err(Health::Progressing(format!("it has no node: {}", c.says())));
            }
            containers(live)?;
            Err(Health::Progressing(
                "its containers are being made".to_owned(),
            ))
        }
        "Failed" => Err(Health::Failed(ended(live)?)),
        "Unknown" => Err(Health::Progressing("its node does not answer".to_owned())),
        "" => Err(Health::Progressing(
            "nothing has taken it up yet".to_owned(),
        )),
        _ => Err(Health::Progressing(
            "`status.phase` is not one that Weir knows".to_owned(),
        )),
    }
}

/// The first container that does not get on by itself, otherwise the first that waits.
fn containers(live: Live<'_>) -> Checked {
    let mut first = Ok(());
    for list in ["status.initContainerStatuses", "status.containerStatuses"] {
        for container in live.items(list, MAX_CONTAINERS)? {
            match waiting(container) {
                Err(Health::Failed(text)) => return Err(Health::Failed(text)),
                Err(found) if first.is_ok() => first = Err(found),
                _ => {}
            }
        }
    }
    first
}

fn waiting(container: Live<'_>) -> Checked {
    let reason = container.text("state.waiting.reason")?.unwrap_or_default();
    if reason.is_empty() || ORDINARY.contains(&reason) {
        return Ok(());
    }
    let name = quote(container.text("name")?.unwrap_or_default());
    if reason == "CrashLoopBackOff" {
        let restarts = container.tally("restartCount")?;
        let code = container
            .number("lastState.terminated.exitCode")?
            .map(|code| format!(", the last with exit code {code}"))
            .unwrap_or_default();
        return Err(Health::Failed(format!(
            "container {name} ends again and again ({reason}): {}{code}",
            plural(restarts, "restart")
        )));
    }
    let message = container.text("state.waiting.message")?.unwrap_or_default();
    let colon = if message.is_empty() { "" } else { ": " };
    let text = format!(
        "container {name} waits ({}){colon}{}",
        quote(reason),
        quote(message)
    );
    Err(if reason == "InvalidImageName" {
        Health::Failed(text)
    } else {
        Health::Progressing(text)
    })
}

fn ready_containers(live: Live<'_>) -> Result<(usize, usize), Health> {
    let list = live.items("status.containerStatuses", MAX_CONTAINERS)?;
    let all = list.len();
    let mut ready = 0;
    for container in list {
        ready += usize::from(container.flag("ready")?.unwrap_or(false));
    }
    Ok((ready, all))
}

/// How a pod ended that did not succeed.
fn ended(live: Live<'_>) -> Result<String, Health> {
    let mut text = "it ended".to_owned();
    for (field, before, after) in [("status.reason", " (", ")"), ("status.message", ": ", "")] {
        if let Some(said) = live.text(field)?.filter(|said| !said.is_empty()) {
            text.push_str(&format!("{before}{}{after}", quote(said)));
        }
    }
    for list in ["status.initContainerStatuses", "status.containerStatuses"] {
        for container in live.items(list, MAX_CONTAINERS)? {
            let code = container.number("state.terminated.exitCode")?.unwrap_or(0);
            if code != 0 {
                let name = quote(container.text("name")?.unwrap_or_default());
                return Ok(format!(
                    "{text}; container {name} ended with exit code {code}"
                ));
            }
        }
    }
    Ok(text)
}
