//! What a process that fetches would log: sent to its host, which logs it.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::failure::text;
use super::words::Word;
use super::worker::Mouth;

/// A line of a log.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Note {
    level: Weight,
    message: String,
    /// All that was said besides.
    more: String,
}

#[derive(Debug, Serialize, Deserialize)]
enum Weight {
    Error,
    Warn,
    Info,
}

impl Note {
    /// Logs it as what a process has said of the fetch of a repository.
    pub(super) fn repeat(&self, url: &str) {
        let (message, more) = (text(&self.message), text(&self.more));
        match self.level {
            Weight::Error => tracing::error!(%url, %more, "{message}"),
            Weight::Warn => tracing::warn!(%url, %more, "{message}"),
            Weight::Info => tracing::info!(%url, %more, "{message}"),
        }
    }
}

/// Sends what this crate logs to the host.
pub(super) struct Notes(pub(super) Mouth);

impl Subscriber for Notes {
    fn enabled(&self, of: &Metadata<'_>) -> bool {
        of.is_event() && *of.level() <= Level::INFO && of.target().starts_with("weir_source")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut said);
        let level = *event.metadata().level();
        let note = Note {
            level: match level {
                Level::ERROR => Weight::Error,
                Level::WARN => Weight::Warn,
                _ => Weight::Info,
            },
            message: said.message,
            more: said.more,
        };
        // Where the host is gone nobody reads it.
        let _ = self.0.say(&Word::Note(note));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Said {
    message: String,
    more: String,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing into a text does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            // The host says it itself.
            "url" => Ok(()),
            name => {
                let comma = if self.more.is_empty() { "" } else { ", " };
                write!(self.more, "{comma}{name}: {value:?}")
            }
        };
    }
}
