//! The tools' own libraries in a few running processes, and a case as a request to them.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use weir_tests::native::Native;

use super::cases::{Case, Tool};

/// Processes: as many as a small machine has cores.
const PROCESSES: usize = 2;

/// What the tool rendered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Everything but what follows, as one stream.
    pub(crate) output: String,
    /// The files of `crds/` folders.
    pub(crate) crds: Vec<String>,
    pub(crate) hooks: Vec<Hook>,
}

/// A hook of a chart as Helm reads it.
#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) manifest: String,
    pub(crate) events: Vec<String>,
    pub(crate) weight: i64,
    pub(crate) policies: Vec<String>,
}

/// Processes that nobody asks at the moment.
pub(crate) struct Pool {
    idle: Mutex<Vec<Native>>,
    given_back: Condvar,
}

impl Pool {
    /// Starts the processes.
    ///
    /// # Errors
    /// The program is not built.
    pub(crate) fn start() -> Result<Pool> {
        let mut idle = Vec::new();
        for _ in 0..PROCESSES {
            idle.push(Native::start()?);
        }
        Ok(Pool {
            idle: Mutex::new(idle),
            given_back: Condvar::new(),
        })
    }

    /// Renders a case; the inner error is the tool's own.
    ///
    /// # Errors
    /// The process broke off, which is no answer.
    pub(crate) fn render(&self, case: &Case) -> Result<Result<Answer, String>> {
        let mut process = self.take();
        let answer = process.ask(&request(case));
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(process);
        self.given_back.notify_one();
        answered(&answer.with_context(|| format!("{}: the native process", case.name()))?)
    }

    fn take(&self) -> Native {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(process) = idle.pop() {
                return process;
            }
            idle = self
                .given_back
                .wait(idle)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn request(case: &Case) -> Value {
    let app = case.place();
    if case.tool == Tool::Kustomize {
        return json!({ "tool": "kustomize", "dir": app });
    }
    let config = &case.config;
    let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or_default();
    let values: Vec<PathBuf> = config
        .get("values")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|file| Some(app.join(file.as_str()?)))
        .collect();
    let set = config.get("set").cloned().unwrap_or_else(|| json!([]));
    let inline = config
        .get("inline")
        .map(Value::to_string)
        .unwrap_or_default();
    json!({
        "tool": "helm",
        "dir": app.join(text("chart")),
        "config": {
            "release": text("release"),
            "namespace": text("namespace"),
            "values": values,
            "inline": inline,
            "set": set,
            "kubernetes": case.kubernetes,
            "apis": case.apis,
            "skipCrds": config.get("skipCrds").and_then(Value::as_bool).unwrap_or_default(),
        },
    })
}

fn answered(answer: &Value) -> Result<Result<Answer, String>> {
    if let Some(error) = answer["error"].as_str() {
        return Ok(Err(error.to_owned()));
    }
    let texts = |list: &Value| -> Vec<String> {
        let list = list.as_array().into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    };
    let mut hooks = Vec::new();
    for hook in answer["hooks"].as_array().into_iter().flatten() {
        hooks.push(Hook {
            manifest: hook["manifest"]
                .as_str()
                .context("a hook has a manifest")?
                .to_owned(),
            events: texts(&hook["events"]),
            weight: hook["weight"].as_i64().context("a hook has a weight")?,
            policies: texts(&hook["policies"]),
        });
    }
    Ok(Ok(Answer {
        output: answer["output"]
            .as_str()
            .context("an answer has an output")?
            .to_owned(),
        crds: texts(&answer["crds"]),
        hooks,
    }))
}
