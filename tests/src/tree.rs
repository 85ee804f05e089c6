//! A directory as a value that two tests can compare: every path with its kind, mode and a digest of its bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

/// Every file below a directory: its path with `/`, and what it is.
///
/// Directories count only through the files in them, times and owners not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing(pub BTreeMap<String, String>);

impl Listing {
    /// Reads a directory; one that does not exist is empty.
    ///
    /// # Errors
    /// Something in it cannot be read or is neither a file, a directory nor a symbolic link.
    pub fn read(dir: &Path) -> Result<Listing> {
        let mut files = BTreeMap::new();
        if dir.exists() {
            walk(dir, "", &mut files)?;
        }
        Ok(Listing(files))
    }

    /// The paths, sorted.
    #[must_use]
    pub fn paths(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// Without the paths that the filter refuses.
    #[must_use]
    pub fn only(mut self, keep: impl Fn(&str) -> bool) -> Listing {
        self.0.retain(|path, _| keep(path));
        self
    }

    /// One digest over all paths, modes and bytes.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for (path, what) in &self.0 {
            hasher.update(path.as_bytes());
            hasher.update([0]);
            hasher.update(what.as_bytes());
            hasher.update([0]);
        }
        format!("sha256:{}", hex::encode(hasher.finalize()))
    }

    /// What differs, one line for each path, `-` for only here and `+` for only there; empty when equal.
    #[must_use]
    pub fn differences(&self, other: &Listing) -> String {
        let mut lines = String::new();
        for (path, what) in &self.0 {
            if other.0.get(path) != Some(what) {
                let _ = writeln!(lines, "- {path} {what}");
            }
        }
        for (path, what) in &other.0 {
            if self.0.get(path) != Some(what) {
                let _ = writeln!(lines, "+ {path} {what}");
            }
        }
        lines
    }
}

/// The digest of everything below a directory: paths, modes and bytes.
///
/// # Errors
/// Something in it cannot be read.
pub fn tree_digest(dir: &Path) -> Result<String> {
    Ok(Listing::read(dir)?.digest())
}

fn walk(dir: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            bail!("{} has a name that is not UTF-8", entry.path().display())
        };
        let path = if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}/{name}")
        };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), &path, files)?;
        } else if kind.is_symlink() {
            files.insert(
                path,
                format!("link {}", fs::read_link(entry.path())?.display()),
            );
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).with_context(|| format!("reading {path}"))?;
            let mode = entry.metadata()?.permissions().mode() & 0o7777;
            files.insert(
                path,
                format!("{mode:04o} sha256:{}", hex::encode(Sha256::digest(&bytes))),
            );
        } else {
            bail!("{path} is neither a file, a directory nor a symbolic link");
        }
    }
    Ok(())
}
