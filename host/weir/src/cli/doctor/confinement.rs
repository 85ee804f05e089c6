//! What `weir doctor` says of the processes that compile and render: what confines them here, tried out.

use weir_sandbox::{Attempts, Tried};

use super::Check;
use crate::cli::engine;
use crate::config::{Isolation, Places};

/// Where plugins run, and what holds the processes that handle them.
pub(super) fn checks(places: &Places, asked: Option<Isolation>, checks: &mut Vec<Check>) {
    let mut push = |what: String, result| checks.push(Check { what, result });
    let service = asked.unwrap_or(Isolation::SERVICE);
    let command = asked.unwrap_or(Isolation::COMMAND);
    let (serve, other) = (service.as_str(), command.as_str());
    push(
        "isolation".to_owned(),
        Ok(format!(
            "plugins run {serve} under `weir serve`, {other} under other commands"
        )),
    );
    match engine::sandbox(&places.cache.join("compiled"), service) {
        Err(e) => push("confinement".to_owned(), Err(e.to_string())),
        Ok(sandbox) => {
            for tried in sandbox.confinement() {
                let what = format!("confinement of {}", tried.job.as_str());
                push(what, found(&tried));
            }
        }
    }
    if service == Isolation::InProcess {
        let text = "none: plugins run in the host's own process, with Wasmtime between them and what the host may do";
        push("confinement of rendering".to_owned(), Ok(text.to_owned()));
    }
}

/// What is in force, and what came of trying. That the kernel lacks something is said; that something is in force and does
/// not hold is wrong.
fn found(tried: &Tried) -> Result<String, String> {
    let Attempts {
        confinement,
        attempts,
    } = tried.attempts.as_ref().map_err(Clone::clone)?;
    let (refused, done): (Vec<_>, Vec<_>) = attempts.iter().partition(|(_, r)| r.is_ok());
    let names = |list: &[&(weir_sandbox::Probe, Result<String, String>)]| {
        let names: Vec<String> = list.iter().map(|(probe, _)| probe.to_string()).collect();
        names.join(", ")
    };
    let mut text = confinement.to_string();
    if !refused.is_empty() {
        text.push_str(&format!("; tried and refused: {}", names(&refused)));
    }
    if done.is_empty() {
        return Ok(text);
    }
    text.push_str(&format!("; NOT refused: {}", names(&done)));
    match confinement.missing().is_empty() {
        true => Err(format!(
            "{text}: the kernel says that it confines this process and does not; report it"
        )),
        false => Ok(text),
    }
}
