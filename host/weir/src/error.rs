//! What can end a command: one enum by what the caller does, with its exit code.

use std::process::ExitCode;

use weir_core::fault::{Blame, Fault, Retry};
use weir_core::name::{AppName, PluginName};
use weir_core::record::Problem;

/// Why a command or a stage ended early.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Error {
    /// Wrong usage, a bad manifest or lock: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// A stage failed: exit code 1.
    #[error("{message}")]
    Stage {
        /// Which.
        stage: &'static str,
        /// Who has to act.
        fault: Fault,
        /// When to try again.
        retry: Retry,
        /// For a person.
        message: String,
    },
}

impl Error {
    /// A failed stage, from an error that knows whose fault it is.
    pub(crate) fn stage<E: Blame + std::error::Error>(stage: &'static str, error: &E) -> Error {
        Error::Stage {
            stage,
            fault: error.fault(),
            retry: error.retry(),
            message: with_causes(error),
        }
    }

    /// The same error of a plugin that could not be made ready, as one of its apps hears it. Errors about
    /// the manifest or the lock keep their `file:line:column:` at the start.
    pub(crate) fn for_app(self, app: &AppName, plugin: &PluginName) -> Error {
        match self {
            Error::Stage {
                stage: stage @ "plugins",
                fault,
                retry,
                message,
            } => Error::Stage {
                stage,
                fault,
                retry,
                message: format!("app `{app}`: plugin `{plugin}`: {message}"),
            },
            other => other,
        }
    }

    /// The same error of a plugin that could not be resolved, for whoever locks it.
    pub(crate) fn for_plugin(self, plugin: &PluginName) -> Error {
        match self {
            Error::Stage {
                stage,
                fault,
                retry,
                message,
            } => Error::Stage {
                stage,
                fault,
                retry,
                message: format!("plugin `{plugin}`: {message}"),
            },
            other => other,
        }
    }

    /// This host's fault: its disk, its set-up.
    pub(crate) fn host(stage: &'static str, message: impl Into<String>) -> Error {
        Error::Stage {
            stage,
            fault: Fault::Host,
            retry: Retry::Backoff,
            message: message.into(),
        }
    }

    /// The same error of a repository that could not be opened: on this host, and worth another try.
    pub(crate) fn at_start(self) -> Error {
        match self {
            Error::Usage(message) => Error::host("start", message),
            Error::Stage {
                stage,
                fault,
                message,
                ..
            } => Error::Stage {
                stage,
                fault,
                retry: Retry::Backoff,
                message,
            },
        }
    }

    /// How the process ends.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Error::Usage(_) => ExitCode::from(2),
            Error::Stage { .. } => ExitCode::from(1),
        }
    }

    /// As the ledger keeps it.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Error::Usage(message) => Problem {
                stage: "manifest".to_owned(),
                fault: Fault::Repository,
                message: message.clone(),
            },
            Error::Stage {
                stage,
                fault,
                message,
                ..
            } => Problem {
                stage: (*stage).to_owned(),
                fault: *fault,
                message: message.clone(),
            },
        }
    }
}

impl Blame for Error {
    fn fault(&self) -> Fault {
        match self {
            Error::Usage(_) => Fault::Repository,
            Error::Stage { fault, .. } => *fault,
        }
    }
    fn retry(&self) -> Retry {
        match self {
            Error::Usage(_) => Retry::OnChange,
            Error::Stage { retry, .. } => *retry,
        }
    }
}

/// An error and what caused it, in one line. A cause that the text already holds is not said again.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        let more = e.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = e.source();
    }
    text
}
