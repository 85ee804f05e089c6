//! What can go wrong with an external, by what the caller does about it. Every text names the reference.

use std::io;

use weir_core::fault::{Blame, Fault, Retry};

use crate::error::SourceError;
use crate::process::ProcessEnd;

/// Why an external could not be resolved or shown. No text of these carries a credential.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// The host's own file does not let a repository reach this place.
    #[error(
        "external `{reference}`: this host may not reach {place}: {why}: add it to `hosts` of the host's externals, or use another place"
    )]
    NotAllowed {
        /// The reference.
        reference: String,
        /// Scheme, host and port.
        place: String,
        /// Which rule.
        why: &'static str,
    },
    /// No usable answer came: DNS, connection, TLS, a time-out, an error of the server's own (5xx).
    #[error("external `{reference}`: {url} cannot be reached: {why}")]
    Unreachable {
        /// The reference.
        reference: String,
        /// What was asked.
        url: String,
        /// What happened.
        why: String,
    },
    /// The server answered 401 or 403.
    #[error("external `{reference}`: {url}: the server refused access ({status}): {hint}")]
    Unauthorized {
        /// The reference.
        reference: String,
        /// What was asked.
        url: String,
        /// 401 or 403.
        status: u16,
        /// What to do.
        hint: &'static str,
    },
    /// What it names is not there.
    #[error("external `{reference}`: {why}")]
    NotFound {
        /// The reference.
        reference: String,
        /// What was looked for where, and what is there instead.
        why: String,
    },
    /// The server serves something else than the lock pins, or than it said itself.
    #[error("external `{reference}`: {why}")]
    Changed {
        /// The reference.
        reference: String,
        /// What was expected, what came, and what to do.
        why: String,
    },
    /// The chart, the index or the manifest is not what Weir takes in.
    #[error("external `{reference}`: {why}")]
    Refused {
        /// The reference.
        reference: String,
        /// What is wrong with it and what was expected.
        why: String,
    },
    /// It is larger, deeper or slower than the host allows.
    #[error("external `{reference}` exceeds the limit {limit}: {why}; use a smaller one")]
    Limit {
        /// The reference.
        reference: String,
        /// The limit's name, as in docs/externals.md.
        limit: &'static str,
        /// The limit's value and what was found.
        why: String,
    },
    /// The process that fetches it ended without an outcome.
    #[error("external `{reference}`: the process that fetches it {end}")]
    Process {
        /// The reference.
        reference: String,
        /// How.
        end: ProcessEnd,
    },
    /// Told to stop while working.
    #[error("external `{reference}`: stopped before it was fetched")]
    Stopped {
        /// The reference.
        reference: String,
    },
    /// The other repository.
    #[error("external `{reference}`: {source}")]
    Git {
        /// The reference.
        reference: String,
        /// What happened.
        #[source]
        source: Box<SourceError>,
    },
    /// This host's own disk or configuration.
    #[error("external `{reference}`: {what}: {source}")]
    Host {
        /// The reference.
        reference: String,
        /// What was being done.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl ExternalError {
    /// One word for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            ExternalError::NotAllowed { .. } => "not-allowed",
            ExternalError::Unreachable { .. } => "unreachable",
            ExternalError::Unauthorized { .. } => "unauthorized",
            ExternalError::NotFound { .. } => "not-found",
            ExternalError::Changed { .. } => "changed",
            ExternalError::Refused { .. } => "refused",
            ExternalError::Limit { .. } => "limit",
            ExternalError::Process { .. } => "fetch-process",
            ExternalError::Stopped { .. } => "stopped",
            ExternalError::Git { .. } => "git",
            ExternalError::Host { .. } => "host",
        }
    }
}

impl Blame for ExternalError {
    fn fault(&self) -> Fault {
        match self {
            ExternalError::NotFound { .. }
            | ExternalError::Changed { .. }
            | ExternalError::Refused { .. }
            | ExternalError::Limit { .. } => Fault::Repository,
            ExternalError::Git { source, .. } => source.fault(),
            ExternalError::Process { end, .. } => end.fault(),
            _ => Fault::Host,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            ExternalError::NotAllowed { .. }
            | ExternalError::Refused { .. }
            | ExternalError::Limit { .. } => Retry::OnChange,
            ExternalError::Git { source, .. } => source.retry(),
            ExternalError::Process { end, .. } => end.retry(),
            // Servers come back, credentials rotate, a chart that was taken away may be put back.
            _ => Retry::Backoff,
        }
    }
}

/// Makes errors of one reference, by its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a>(pub(crate) &'a str);

impl About<'_> {
    fn name(self) -> String {
        self.0.to_owned()
    }

    pub(crate) fn not_allowed(self, place: String, why: &'static str) -> ExternalError {
        let reference = self.name();
        ExternalError::NotAllowed {
            reference,
            place,
            why,
        }
    }

    pub(crate) fn unreachable(self, url: &str, why: impl Into<String>) -> ExternalError {
        ExternalError::Unreachable {
            reference: self.name(),
            url: url.to_owned(),
            why: why.into(),
        }
    }

    pub(crate) fn not_found(self, why: impl Into<String>) -> ExternalError {
        ExternalError::NotFound {
            reference: self.name(),
            why: why.into(),
        }
    }

    pub(crate) fn changed(self, why: impl Into<String>) -> ExternalError {
        ExternalError::Changed {
            reference: self.name(),
            why: why.into(),
        }
    }

    pub(crate) fn refused(self, why: impl Into<String>) -> ExternalError {
        ExternalError::Refused {
            reference: self.name(),
            why: why.into(),
        }
    }

    pub(crate) fn limit(self, limit: &'static str, why: impl Into<String>) -> ExternalError {
        ExternalError::Limit {
            reference: self.name(),
            limit,
            why: why.into(),
        }
    }

    pub(crate) fn process(self, end: ProcessEnd) -> ExternalError {
        ExternalError::Process {
            reference: self.name(),
            end,
        }
    }

    pub(crate) fn stopped(self) -> ExternalError {
        ExternalError::Stopped {
            reference: self.name(),
        }
    }

    pub(crate) fn host(self, what: impl Into<String>, source: io::Error) -> ExternalError {
        ExternalError::Host {
            reference: self.name(),
            what: what.into(),
            source,
        }
    }

    /// An error of the Git side or of the client under both.
    pub(crate) fn source(self, source: SourceError) -> ExternalError {
        match source {
            SourceError::Stopped { .. } => self.stopped(),
            source => ExternalError::Git {
                reference: self.name(),
                source: Box::new(source),
            },
        }
    }
}
