//! Logs: for people on a terminal, JSON otherwise; always on stderr, so that stdout is a command's result.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::{SystemTime, Uptime};

use crate::progress::{self, BesideLines};

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people where stderr is a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One JSON object for each line.
    Json,
}

/// Starts logging. `filter` is a level, or directives such as `info,weir_source=debug`.
pub(crate) fn start(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|e| format!("--log {filter:?}: {e}"))?;
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| BesideLines)
        .with_ansi(terminal);
    let result = match (format, terminal) {
        (LogFormat::Json, _) | (LogFormat::Auto, false) => builder
            .json()
            .flatten_event(true)
            .with_timer(SystemTime)
            .try_init(),
        (LogFormat::Text, _) | (LogFormat::Auto, true) => {
            if terminal {
                progress::on();
            }
            builder
                .with_target(false)
                .with_timer(Uptime::default())
                .compact()
                .try_init()
        }
    };
    result.map_err(|e| e.to_string())
}
