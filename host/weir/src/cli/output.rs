//! What goes to stdout and stderr: results, tables, JSON. A closed pipe is the reader's choice, not an error.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use serde::Serialize;

use super::{Done, SchemaOf};
use crate::error::Error;

/// How a command prints its result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

/// Prints a result.
pub(super) fn print(text: &str) -> Result<Done, Error> {
    print_bytes(text.as_bytes())
}

/// Prints a result.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<Done, Error> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(Done::Well),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(Done::Well),
        Err(e) => Err(Error::host("output", format!("stdout: {e}"))),
    }
}

/// Prints one line of many; false when nobody reads any more.
pub(super) fn print_line(line: &str) -> Result<bool, Error> {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Error::host("output", format!("stdout: {e}"))),
    }
}

/// Prints a value for programs.
pub(super) fn print_value(format: Format, value: &impl Serialize) -> Result<Done, Error> {
    let value = serde_json::to_value(value).map_err(|e| Error::host("output", e.to_string()))?;
    match format {
        Format::Yaml => print(&weir_core::yaml::emit(&value)),
        Format::Json | Format::Text => print(&format!("{value:#}\n")),
    }
}

/// Says what went wrong, on stderr. An error about a file keeps its `file:line:column:` at the start.
pub(crate) fn complain(message: &str) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(std::io::stderr().lock(), "{message}");
}

/// Says something beside the result, on stderr.
pub(super) fn note(text: &str) {
    // Nobody is left to tell when stderr is closed.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Whether stdout is a person's terminal that takes colour (https://no-color.org).
pub(super) fn has_colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// A table with a heading: columns as wide as their longest cell, two spaces between, no line ends in spaces.
pub(super) fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heading.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let mut out = line(&mut heading.iter().copied());
    for row in rows {
        out.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    out
}

/// Prints a schema.
pub(super) fn schema(file: SchemaOf) -> Result<Done, Error> {
    let schema = match file {
        SchemaOf::Manifest => weir_core::manifest::manifest_schema(),
        SchemaOf::Lock => weir_core::lock::lock_schema(),
        SchemaOf::Host => crate::config::file::schema(),
        SchemaOf::Externals => crate::config::externals_schema(),
    };
    print_value(Format::Json, &schema)
}

/// Seconds since 1970 as people read them, in UTC.
pub(super) fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.to_string())
}
