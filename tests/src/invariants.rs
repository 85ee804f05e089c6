//! What must hold of directories at any time, whatever was killed when: each check names the path that breaks it. Of clusters: [`cluster`].

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Result, bail};

use crate::tree::Listing;
use crate::weir::Weir;

/// The same for a ledger and a cluster.
pub mod cluster;

/// Two directories hold the same paths, modes and bytes.
///
/// # Errors
/// They differ; the text lists where.
pub fn same(left: &Path, right: &Path) -> Result<()> {
    let differences = Listing::read(left)?.differences(&Listing::read(right)?);
    if !differences.is_empty() {
        bail!(
            "{} and {} differ:\n{differences}",
            left.display(),
            right.display()
        );
    }
    Ok(())
}

/// The paths are as they were: kind, mode and bytes.
///
/// # Errors
/// One of them changed, went or was not there before.
pub fn untouched(before: &Listing, dir: &Path, paths: &[&str]) -> Result<()> {
    let after = Listing::read(dir)?;
    for path in paths {
        match (before.0.get(*path), after.0.get(*path)) {
            (Some(was), Some(is)) if was == is => {}
            (was, is) => bail!(
                "{path} in {} should be untouched: it was {was:?} and is {is:?}",
                dir.display()
            ),
        }
    }
    Ok(())
}

/// No file in a directory is half-written: none is empty, none has a temporary name.
///
/// # Errors
/// One is.
pub fn whole(dir: &Path) -> Result<()> {
    for path in Listing::read(dir)?.paths() {
        let name = path.rsplit('/').next().unwrap_or(path);
        if name.starts_with(".tmp") || name.ends_with(".tmp") || name.ends_with('~') {
            bail!(
                "{path} in {} is a temporary file that was left behind",
                dir.display()
            );
        }
        if fs::symlink_metadata(dir.join(path))?.len() == 0 {
            bail!("{path} in {} is empty", dir.display());
        }
    }
    Ok(())
}

/// Nobody but the owner can read anything in a directory that holds state or keys.
///
/// # Errors
/// Something in it is open to the group or to others.
pub fn private(dir: &Path) -> Result<()> {
    // A closed folder closes everything in it.
    let mode = fs::metadata(dir)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        bail!(
            "{} has mode {mode:04o}: nothing for group and others was expected (0700)",
            dir.display()
        );
    }
    Ok(())
}

/// `weir doctor` has nothing to complain about on this machine.
///
/// # Errors
/// It has; the text is its output.
pub fn healthy(weir: &Weir) -> Result<()> {
    weir.run(["doctor"])?.success().map(drop)
}
