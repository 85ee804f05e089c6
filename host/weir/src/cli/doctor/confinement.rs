//! What `weir doctor` says of the processes that fetch, compile and render: what confines them here, tried out.

use std::path::PathBuf;

use weir_sandbox::{Attempts, Confinement};
use weir_source::{FetchAttempts, FetchProcess, Fetching, try_fetching, try_getting};

use super::Check;
use crate::cli::engine;
use crate::config::{Isolation, Places};
use crate::workers;

/// Attempts, by what was tried: how each was refused, or what was done.
type Tries = Vec<(String, Result<String, String>)>;

/// Where plugins run and repositories are fetched, and what holds the processes that do it.
pub(super) fn checks(places: &Places, asked: Option<Isolation>, checks: &mut Vec<Check>) {
    let mut push = |what: &str, result| {
        checks.push(Check {
            what: what.to_owned(),
            result,
        });
    };
    let service = asked.unwrap_or(Isolation::SERVICE);
    let command = asked.unwrap_or(Isolation::COMMAND);
    let (serve, other) = (service.as_str(), command.as_str());
    push(
        "isolation",
        Ok(format!(
            "plugins run {serve} under `weir serve`, {other} under other commands; remote repositories, charts and plugins of registries are fetched likewise"
        )),
    );
    match engine::sandbox(&places.cache.join("compiled"), service) {
        Err(e) => push("confinement", Err(e.to_string())),
        Ok(sandbox) => {
            for tried in sandbox.confinement() {
                let what = format!("confinement of {}", tried.job.as_str());
                push(&what, tried.attempts.and_then(of_plugins));
            }
        }
    }
    if service == Isolation::InProcess {
        let text = "none: plugins run in the host's own process, with Wasmtime between them and what the host may do";
        push("confinement of rendering", Ok(text.to_owned()));
    }
    for (what, fetched, tried) in [
        (
            "confinement of fetching",
            "repositories",
            fetching as fn(&Places, &FetchProcess, &[PathBuf]) -> Tried,
        ),
        (
            "confinement of fetching externals",
            "charts and plugins of registries",
            getting,
        ),
    ] {
        push(
            what,
            match workers::fetching(service) {
                Err(e) => Err(e.to_string()),
                Ok(Fetching::InProcess) => Ok(format!(
                    "none: {fetched} are fetched in the host's own process"
                )),
                Ok(Fetching::Process(process)) => {
                    tried(places, &process, &kept_from(places)).and_then(of_fetching)
                }
            },
        );
    }
}

/// What came of trying.
type Tried = Result<FetchAttempts, String>;

fn fetching(places: &Places, process: &FetchProcess, files: &[PathBuf]) -> Tried {
    try_fetching(process, &places.cache.join("git"), files)
}

fn getting(places: &Places, process: &FetchProcess, files: &[PathBuf]) -> Tried {
    try_getting(process, &places.cache.join("externals"), files)
}

/// What this host has besides, and a process that fetches tries to read: its kubeconfig, its state and its ledger.
fn kept_from(places: &Places) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = places.kube.files.clone();
    files.push(places.state.clone());
    files.push(places.cache.clone());
    files.retain(|file| file.exists());
    files
}

fn of_fetching(tried: FetchAttempts) -> Result<String, String> {
    let missing = tried.confinement.missing_outward();
    found(&tried.confinement, &missing, &tried.attempts)
}

fn of_plugins(tried: Attempts) -> Result<String, String> {
    let attempts = tried.attempts.into_iter();
    let named = attempts.map(|(probe, result)| (probe.to_string(), result));
    let missing = tried.confinement.missing();
    found(&tried.confinement, &missing, &named.collect())
}

/// What is in force, and what came of trying. That the kernel lacks something is said; that something is in force and does
/// not hold is wrong.
fn found(confinement: &Confinement, missing: &[&str], attempts: &Tries) -> Result<String, String> {
    let (refused, done): (Vec<_>, Vec<_>) = attempts.iter().partition(|(_, r)| r.is_ok());
    let names = |list: &[&(String, Result<String, String>)]| {
        let names: Vec<&str> = list.iter().map(|(what, _)| what.as_str()).collect();
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
    match missing.is_empty() {
        true => Err(format!(
            "{text}: the kernel says that it confines this process and does not; report it"
        )),
        false => Ok(text),
    }
}
