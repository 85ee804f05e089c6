//! What follows a flag of a task.

use anyhow::{Context as _, Result};

/// The number after the flag `word`.
///
/// # Errors
/// There is none: the text has the flag, what stands there, and how the task is called.
pub(crate) fn number(word: &str, text: Option<&String>, usage: &str) -> Result<u64> {
    let text = text.map_or("nothing", String::as_str);
    text.parse()
        .with_context(|| format!("{word} {text}: expected a number: {usage}"))
}
