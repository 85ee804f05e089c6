//! Why a call gave nothing, in words that name the app, the plugin, the limit and what to do.

use std::borrow::Cow;
use std::fmt;

use weir_core::digest::Digest;
use weir_core::fault::{Blame, Fault, Retry};
use weir_core::grant::Limits;
use weir_core::name::{AppName, PluginName};
use weir_core::tree::ReadError;

use crate::values::{Level, Usage};

/// A call that gave nothing. It is the one app's failure; nothing else stops.
#[derive(Debug)]
pub struct CallError {
    /// The app that the call was for.
    pub app: AppName,
    /// The plugin as the manifest calls it.
    pub plugin: PluginName,
    /// The plugin's digest.
    pub digest: Digest,
    /// What the call might spend.
    pub limits: Limits,
    /// What it did spend.
    pub usage: Box<Usage>,
    /// What happened.
    pub failure: Failure,
}

/// What ended a call.
#[derive(Debug)]
pub enum Failure {
    /// It ran out of fuel.
    Fuel,
    /// It asked for more memory (or tables, or instances) than it may have.
    Memory {
        /// Bytes that it would have had.
        wanted: u64,
    },
    /// It took longer than its wall time.
    Time,
    /// It returned, or read, more than its output limit.
    Output {
        /// What was too much, such as `it returned 70 MB`.
        what: String,
    },
    /// It returned more documents, objects or findings than anybody can need.
    Items {
        /// How many.
        items: usize,
        /// How many it may return at most.
        limit: usize,
    },
    /// It called the host too often.
    HostCalls,
    /// It holds more handles at once (streams, timers) than anybody can need.
    Handles {
        /// How many it may hold at most.
        limit: usize,
    },
    /// It trapped: a bug in the plugin.
    Trap {
        /// Wasm's own words and the backtrace.
        reason: String,
        /// The end of what it wrote to its standard error.
        stderr: String,
    },
    /// It asked for what a render may not depend on.
    Refused {
        /// The interface and function, such as `wasi:random/random.get-random-u64`.
        what: Cow<'static, str>,
        /// What its author can do instead.
        instead: Cow<'static, str>,
    },
    /// It read a file that cannot be read.
    Read(ReadError),
    /// It says itself why it cannot go on.
    Diagnostics(Vec<Diagnostic>),
    /// What it returned is not of the form that its world promises.
    BadOutput {
        /// What is wrong with it.
        what: String,
    },
    /// The process that it ran in went over a limit of its own, behind all others.
    Process {
        /// Which limit.
        limit: &'static str,
        /// Its value.
        value: String,
    },
    /// The process that it ran in did what none does that runs a plugin. It was ended.
    Stray {
        /// What it did.
        what: String,
    },
    /// The host failed, not the plugin.
    Host {
        /// What happened.
        what: String,
    },
}

impl Failure {
    /// What happened, where the host or its process failed and nothing else is known yet.
    pub(crate) fn words(&self) -> String {
        match self {
            Failure::Host { what } | Failure::Stray { what } => what.clone(),
            other => format!("{other:?}"),
        }
    }
}

/// What a plugin has to say when it cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How much it matters.
    pub level: Level,
    /// A short stable word, such as `bad-config`.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
    /// The file in the tree that it is about.
    pub path: Option<String>,
    /// The line in that file, from 1.
    pub line: Option<u32>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            f.write_str(path)?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl CallError {
    fn raise(&self, f: &mut fmt::Formatter<'_>, limit: &str) -> fmt::Result {
        let plugin = &self.plugin;
        write!(
            f,
            "; if it needs more, raise limits.{limit} of plugin `{plugin}` in weir.yaml (at most what the host allows)"
        )
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "app `{}`: plugin `{}` (sha256:{}) ",
            self.app,
            self.plugin,
            self.digest.short()
        )?;
        let limits = &self.limits;
        match &self.failure {
            Failure::Fuel => {
                write!(f, "ran out of fuel: it may use {} units", limits.fuel)?;
                self.raise(f, "fuel")
            }
            Failure::Memory { wanted } => {
                write!(
                    f,
                    "ran out of memory: it may use {} and asked for {wanted} bytes",
                    limits.memory
                )?;
                self.raise(f, "memory")
            }
            Failure::Time => {
                write!(f, "ran out of time: it may take {}", limits.time)?;
                self.raise(f, "time")
            }
            Failure::Output { what } => {
                write!(f, "went over its output limit of {}: {what}", limits.output)?;
                self.raise(f, "output")
            }
            Failure::Items { items, limit } => write!(
                f,
                "returned {items} items, and one call may return at most {limit}; split the app, or report it to the plugin's author"
            ),
            Failure::HostCalls => {
                write!(
                    f,
                    "called the host too often: at most {} times",
                    limits.host_calls
                )?;
                self.raise(f, "hostCalls")
            }
            Failure::Handles { limit } => write!(
                f,
                "holds too many handles at once: at most {limit}; report it to its author, since it never gives back what it asks for"
            ),
            Failure::Trap { reason, stderr } => {
                write!(
                    f,
                    "trapped, which is a bug in the plugin; report it to its author: {reason}"
                )?;
                if stderr.is_empty() {
                    Ok(())
                } else {
                    write!(f, "\nits last words: {stderr}")
                }
            }
            Failure::Refused { what, instead } => write!(
                f,
                "asked for {what}, which is refused during a call: the same commit must always give the same bytes; {instead}"
            ),
            Failure::Read(e) => write!(f, "could not read a file: {e}"),
            Failure::Diagnostics(list) => {
                f.write_str("could not go on")?;
                if list.is_empty() {
                    f.write_str(" and does not say why; ask its author")?;
                }
                for (i, d) in list.iter().enumerate() {
                    write!(f, "{}{d}", if i == 0 { ": " } else { "\n" })?;
                }
                Ok(())
            }
            Failure::BadOutput { what } => {
                write!(
                    f,
                    "returned what its world does not allow: {what}; report it to its author"
                )
            }
            Failure::Process { limit, value } => write!(
                f,
                "went over {limit} of the process that it ran in ({value}), which is there behind the limits of weir.yaml; report it to its author"
            ),
            Failure::Stray { what } => write!(
                f,
                "broke the rules of the process that it ran in, which was ended: {what}. Plugins have no way to do this: it is a bug in Weir or an attempt to break out; keep the component and report it to Weir"
            ),
            Failure::Host { what } => write!(f, "could not be run by this host: {what}"),
        }
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.failure {
            Failure::Read(e) => Some(e),
            _ => None,
        }
    }
}

impl Blame for CallError {
    fn fault(&self) -> Fault {
        match &self.failure {
            Failure::Read(e) => e.fault(),
            Failure::Diagnostics(_) => Fault::Repository,
            Failure::Host { .. } => Fault::Host,
            _ => Fault::Plugin,
        }
    }

    fn retry(&self) -> Retry {
        match &self.failure {
            Failure::Read(e) => e.retry(),
            // A slow or busy machine, not a verdict: fuel is the same everywhere, time is not.
            Failure::Time | Failure::Process { .. } | Failure::Host { .. } => Retry::Backoff,
            _ => Retry::OnChange,
        }
    }
}
