//! What happened so far, a line for each thing, for whoever has to understand a failure.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::invariants::cluster::Violation;
use crate::places;

/// How many lines an error shows; all of them are in the file.
const SHOWN: usize = 12;
/// How many broken rules an error shows.
const BROKEN: usize = 20;

/// The commits, kills and edits of one seed.
pub(super) struct History {
    seed: u64,
    lines: Vec<String>,
}

impl History {
    pub(super) fn new(seed: u64) -> History {
        let lines = Vec::new();
        History { seed, lines }
    }

    pub(super) fn note(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// An error where rules are broken.
    pub(super) fn check(&self, when: &str, broken: &[Violation]) -> Result<()> {
        if broken.is_empty() {
            return Ok(());
        }
        let mut shown: Vec<String> = broken
            .iter()
            .take(BROKEN)
            .map(ToString::to_string)
            .collect();
        if broken.len() > BROKEN {
            shown.push(format!("... and {} more", broken.len() - BROKEN));
        }
        bail!(
            "{when}, {} rules are broken:\n  {}",
            broken.len(),
            shown.join("\n  ")
        )
    }

    /// What a failure says: how to repeat it and what came before, all of which is written to a file.
    pub(super) fn failure(&self, error: &anyhow::Error) -> String {
        let mut text = format!("WEIR_CRASH_SEED={}\n", self.seed);
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str(&format!("{error:#}\n"));
        let file = self.file();
        let written = match file.parent().map(fs::create_dir_all) {
            Some(Ok(())) => fs::write(&file, &text),
            Some(Err(e)) => Err(e),
            None => Ok(()),
        };
        let place = match written {
            Ok(()) => format!("the whole history is in {}", file.display()),
            Err(e) => format!("{} cannot be written ({e})", file.display()),
        };
        let last = &self.lines[self.lines.len().saturating_sub(SHOWN)..];
        format!(
            "{error:#}\nseed {}: repeat with `cargo xtask crash --seed {}`; {place}; at last:\n  {}",
            self.seed,
            self.seed,
            last.join("\n  ")
        )
    }

    fn file(&self) -> PathBuf {
        places::root().join(format!("target/crash/seed-{}.txt", self.seed))
    }
}
