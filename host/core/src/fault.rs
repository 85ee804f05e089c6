//! Whose fault an error is and whether trying again can help: asked of every error, answered by methods.

use serde::{Deserialize, Serialize};

/// Who has to act before things go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The repository: its files, its manifest, its lock.
    Repository,
    /// A plugin trapped, ran into a limit or answered nonsense.
    Plugin,
    /// The target: a cluster or a directory.
    Target,
    /// This host: its disk, its configuration, its credentials, its network.
    Host,
}

impl Fault {
    /// The word in logs, metrics and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Repository => "repository",
            Fault::Plugin => "plugin",
            Fault::Target => "target",
            Fault::Host => "host",
        }
    }
}

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// The same inputs give the same error: wait for a new commit, configuration or plugin.
    OnChange,
    /// The world may get better by itself: exponential backoff with jitter.
    Backoff,
}

/// What every error of Weir can say of itself.
pub trait Blame {
    /// Who has to act.
    fn fault(&self) -> Fault;
    /// When to try again.
    fn retry(&self) -> Retry;
}
