//! Whether a clone is made as ours are: files and folders, no links, nothing that leads to another repository or says how to read it.
//!
//! A process that fetches may write to its clone whatever it likes. What is in it is read by id and hashed; this holds that
//! reading it opens no file elsewhere.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

/// The most files and folders that are looked at: a clone has a few for each of its packs.
const MOST: usize = 20_000;
/// The most folders inside each other: refs are as deep as their names.
const DEEPEST: usize = 16;
/// The largest configuration: ours has seven short lines.
const CONFIG: u64 = 4 << 10;
/// Files that lead elsewhere, by their place in a bare repository.
const ELSEWHERE: &[&str] = &[
    "objects/info/alternates",
    "objects/info/http-alternates",
    "commondir",
    "config.worktree",
    "gitdir",
];
/// All that the configuration of a clone of ours may say.
const KEYS: &[&str] = &[
    "repositoryformatversion",
    "filemode",
    "bare",
    "symlinks",
    "ignorecase",
    "precomposeunicode",
    "logallrefupdates",
];

/// # Errors
/// What is not as in a clone of ours.
pub(super) fn check(clone: &Path) -> Result<(), String> {
    let mut left = MOST;
    walk(clone, DEEPEST, &mut left)?;
    if let Some(name) = (ELSEWHERE.iter()).find(|name| clone.join(name).exists()) {
        return Err(format!("it has {name}, which no clone of ours has"));
    }
    config(&clone.join("config"))
}

fn walk(dir: &Path, deeper: usize, left: &mut usize) -> Result<(), String> {
    let unreadable = |e: std::io::Error| format!("{} cannot be read: {e}", dir.display());
    let entries = match fs::read_dir(dir) {
        // Whoever fetches into it just now removes what it has made.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && deeper < DEEPEST => return Ok(()),
        entries => entries.map_err(unreadable)?,
    };
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        *left = left
            .checked_sub(1)
            .ok_or_else(|| format!("it has more than {MOST} files"))?;
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() {
            let deeper = deeper
                .checked_sub(1)
                .ok_or_else(|| format!("it has more than {DEEPEST} folders inside each other"))?;
            walk(&entry.path(), deeper, left)?;
        } else if !kind.is_file() {
            let path = entry.path();
            return Err(format!("{} is neither a file nor a folder", path.display()));
        }
    }
    Ok(())
}

fn config(path: &Path) -> Result<(), String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|e| format!("its config cannot be read: {e}"))?;
    file.take(CONFIG + 1)
        .read_to_string(&mut text)
        .map_err(|e| format!("its config cannot be read: {e}"))?;
    let is_ours = |line: &str| {
        let line = line.trim();
        let known = |(key, value): (&str, &str)| {
            KEYS.contains(&key.trim()) && matches!(value.trim(), "0" | "true" | "false")
        };
        line.is_empty()
            || line.starts_with(['#', ';'])
            || line == "[core]"
            || line.split_once('=').is_some_and(known)
    };
    if text.len() as u64 > CONFIG || !text.lines().all(is_ours) {
        return Err("its config says what no clone of ours says".to_owned());
    }
    Ok(())
}
