//! What goes into a call and what comes out of it.

use std::sync::Arc;

use weir_core::grant::Limits;
use weir_core::name::{AppName, PluginName};
use weir_core::random::Seed;

use crate::bindings::types;

/// Whose calls may share a process, where calls run in processes of their own: those of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(Arc<str>);

impl Domain {
    /// The one of this name.
    pub fn new(name: &str) -> Domain {
        Domain(name.into())
    }
}

/// What a call is for and what it may spend.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// Whose it is: calls of two of them never meet in one process.
    pub domain: &'a Domain,
    /// The app.
    pub app: &'a AppName,
    /// The plugin as the manifest calls it.
    pub plugin: &'a PluginName,
    /// What it may spend.
    pub limits: Limits,
    /// The wall clock that the plugin sees, in Unix seconds: the lock's instant.
    pub instant: u64,
    /// What the plugin is told.
    pub params: Params,
    /// What its random bytes are made from; `None` for a plugin that is given none.
    pub random: Option<Seed>,
}

/// What a plugin is told about the call. All of it is an input of the render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    /// The app's name.
    pub app: String,
    /// The app's path in the tree; empty is the root.
    pub path: String,
    /// The namespace that objects without one will get.
    pub namespace: Option<String>,
    /// Where the app lands.
    pub target: TargetFacts,
    /// The plugin's `config`: a JSON object.
    pub config: Vec<u8>,
}

/// What a render may know of its target, from `weir.lock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetFacts {
    /// The target's name in the manifest.
    pub name: String,
    /// The Kubernetes version, such as `1.37.2`.
    pub kubernetes: String,
    /// The API list, such as `apps/v1/Deployment`, sorted.
    pub apis: Vec<String>,
}

/// A stream of YAML or JSON documents and the file it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The path in the tree.
    pub origin: String,
    /// The bytes as the plugin gave them: not parsed yet.
    pub body: Vec<u8>,
}

/// How much a diagnostic or a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The app stops.
    Error,
    /// The app goes on; people should look.
    Warning,
    /// Worth knowing.
    Info,
}

/// What a validator found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// A short stable word, such as `image-not-pinned`.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
    /// Which object: its index in the list that was passed in. Always inside the list.
    pub object: Option<u32>,
    /// Where in the object: a JSON pointer (RFC 6901).
    pub path: Option<String>,
    /// The line in the file that the object came from, from 1.
    pub line: Option<u32>,
}

/// How a log line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// For the plugin's author.
    Debug,
    /// For whoever looks at the render.
    Info,
    /// For whoever looks at the render, and should.
    Warn,
}

/// One line that a plugin wrote to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How it is meant.
    pub severity: Severity,
    /// The text, cut to 4 KiB.
    pub message: String,
}

/// What a call spent and said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Units of fuel.
    pub fuel: u64,
    /// The most linear memory that it had, in bytes.
    pub memory: u64,
    /// Calls of the host.
    pub host_calls: u64,
    /// Whether it took stable random bytes.
    pub drew: bool,
    /// Wall time in microseconds, making the instance included.
    pub micros: u64,
    /// What it logged.
    pub log: Vec<LogLine>,
    /// Log lines past the budget, which are not kept.
    pub log_dropped: u64,
    /// The end of what it wrote to its standard output and error.
    pub stdio: String,
}

impl From<types::Level> for Level {
    fn from(level: types::Level) -> Level {
        match level {
            types::Level::Error => Level::Error,
            types::Level::Warning => Level::Warning,
            types::Level::Info => Level::Info,
        }
    }
}
