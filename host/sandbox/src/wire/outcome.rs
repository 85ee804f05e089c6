//! What came of a run, as bytes.

use std::borrow::Cow;

use super::parts::{Malformed, Put, Take};
use crate::answer::{DIAGNOSTICS, Gave, ITEMS};
use crate::error::{Diagnostic, Failure};
use crate::state::{LOG_LINES, LOG_MESSAGE, RESOURCES, STDIO_TAIL};
use crate::values::{Document, Finding, Level, LogLine, Severity, Usage};

pub(super) fn put_usage(put: &mut Put, usage: &Usage) {
    for amount in [usage.fuel, usage.memory, usage.host_calls, usage.micros] {
        put.u64(amount);
    }
    put.bool(usage.drew);
    put.list(&usage.log, |put, line| {
        put.u8(match line.severity {
            Severity::Debug => 0,
            Severity::Info => 1,
            Severity::Warn => 2,
        });
        put.text(&line.message);
    });
    put.u64(usage.log_dropped);
    put.text(&usage.stdio);
}

pub(super) fn take_usage(take: &mut Take<'_>) -> Result<Usage, Malformed> {
    let line = |take: &mut Take<'_>| {
        let severity = match take.u8()? {
            0 => Severity::Debug,
            1 => Severity::Info,
            2 => Severity::Warn,
            _ => return Err(Malformed("a log line of no known severity")),
        };
        let message = take.text_of(LOG_MESSAGE)?;
        Ok(LogLine { severity, message })
    };
    Ok(Usage {
        fuel: take.u64()?,
        memory: take.u64()?,
        host_calls: take.u64()?,
        micros: take.u64()?,
        drew: take.bool()?,
        log: take.list(LOG_LINES, line)?,
        log_dropped: take.u64()?,
        // What was no UTF-8 takes more room as text.
        stdio: take.text_of(3 * STDIO_TAIL)?,
    })
}

pub(super) fn put_gave(put: &mut Put, gave: &Gave) {
    match gave {
        Gave::Documents(list) => {
            put.u8(0);
            put.list(list, |put, document| {
                put.text(&document.origin);
                put.bytes(&document.body);
            });
        }
        Gave::Objects(list) => {
            put.u8(1);
            put.list(list, |put, object| put.bytes(object));
        }
        Gave::Findings(list) => {
            put.u8(2);
            put.list(list, |put, finding| {
                put.u8(level_code(finding.level));
                put.text(&finding.code);
                put.text(&finding.message);
                put.option(finding.object.as_ref(), |put, n| put.u32(*n));
                put.option(finding.path.as_ref(), |put, path| put.text(path));
                put.option(finding.line.as_ref(), |put, n| put.u32(*n));
            });
        }
    }
}

pub(super) fn put_failure(put: &mut Put, failure: &Failure) {
    let (code, texts): (u8, &[&str]) = match failure {
        Failure::Fuel => (10, &[]),
        Failure::Memory { wanted } => {
            put.u8(11);
            return put.u64(*wanted);
        }
        Failure::Time => (12, &[]),
        Failure::Output { what } => (13, &[what]),
        Failure::Items { items, .. } => {
            put.u8(14);
            return put.u64(*items as u64);
        }
        Failure::HostCalls => (15, &[]),
        Failure::Handles { .. } => (21, &[]),
        Failure::Trap { reason, stderr } => (16, &[reason, stderr]),
        Failure::Refused { what, instead } => (17, &[what, instead]),
        Failure::BadOutput { what } => (18, &[what]),
        Failure::Diagnostics(list) => {
            put.u8(19);
            return put.list(list, |put, d| {
                put.u8(level_code(d.level));
                put.text(&d.code);
                put.text(&d.message);
                put.option(d.path.as_ref(), |put, path| put.text(path));
                put.option(d.line.as_ref(), |put, n| put.u32(*n));
            });
        }
        Failure::Host { what } => (20, &[what]),
        // These are the host's own to say: it knows why it did not answer, and how the process ended.
        Failure::Read(_) | Failure::Process { .. } | Failure::Stray { .. } => {
            (20, &["the host ended the call"])
        }
    };
    put.u8(code);
    for text in texts {
        put.text(text);
    }
}

/// The most bytes of one text about a failure.
const WORDS: usize = 64 << 10;

/// What was given, or why nothing was.
pub(super) fn take_ended(take: &mut Take<'_>) -> Result<Result<Gave, Failure>, Malformed> {
    let failure = match take.u8()? {
        0 => {
            let document = |take: &mut Take<'_>| {
                Ok(Document {
                    origin: take.text()?,
                    body: take.bytes()?,
                })
            };
            return Ok(Ok(Gave::Documents(take.list(ITEMS, document)?)));
        }
        1 => return Ok(Ok(Gave::Objects(take.list(ITEMS, Take::bytes)?))),
        2 => return Ok(Ok(Gave::Findings(take.list(ITEMS, take_finding)?))),
        10 => Failure::Fuel,
        11 => Failure::Memory {
            wanted: take.u64()?,
        },
        12 => Failure::Time,
        13 => Failure::Output { what: words(take)? },
        14 => Failure::Items {
            items: usize::try_from(take.u64()?).unwrap_or(usize::MAX),
            limit: ITEMS,
        },
        15 => Failure::HostCalls,
        16 => Failure::Trap {
            reason: words(take)?,
            stderr: words(take)?,
        },
        17 => Failure::Refused {
            what: Cow::Owned(words(take)?),
            instead: Cow::Owned(words(take)?),
        },
        18 => Failure::BadOutput { what: words(take)? },
        19 => Failure::Diagnostics(take.list(DIAGNOSTICS, take_diagnostic)?),
        20 => Failure::Host { what: words(take)? },
        21 => Failure::Handles { limit: RESOURCES },
        _ => return Err(Malformed("a run that ended in no known way")),
    };
    Ok(Err(failure))
}

fn take_finding(take: &mut Take<'_>) -> Result<Finding, Malformed> {
    Ok(Finding {
        level: level(take.u8()?)?,
        code: take.text()?,
        message: take.text()?,
        object: take.option(Take::u32)?,
        path: take.option(Take::text)?,
        line: take.option(Take::u32)?,
    })
}

/// Words about a failure: for people, so no more than they read, and nothing that steers a terminal.
fn words(take: &mut Take<'_>) -> Result<String, Malformed> {
    let text = take.text()?;
    let end = text.floor_char_boundary(WORDS);
    let shown = |c: char| match c.is_control() && !matches!(c, '\n' | '\t') {
        true => '?',
        false => c,
    };
    Ok(text
        .get(..end)
        .unwrap_or_default()
        .chars()
        .map(shown)
        .collect())
}

fn take_diagnostic(take: &mut Take<'_>) -> Result<Diagnostic, Malformed> {
    Ok(Diagnostic {
        level: level(take.u8()?)?,
        code: words(take)?,
        message: words(take)?,
        path: take.option(words)?,
        line: take.option(Take::u32)?,
    })
}

fn level_code(level: Level) -> u8 {
    match level {
        Level::Error => 0,
        Level::Warning => 1,
        Level::Info => 2,
    }
}

fn level(code: u8) -> Result<Level, Malformed> {
    match code {
        0 => Ok(Level::Error),
        1 => Ok(Level::Warning),
        2 => Ok(Level::Info),
        _ => Err(Malformed("no known level")),
    }
}
