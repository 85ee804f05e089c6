//! A control plane that outlives the process that starts it: `cargo xtask cluster up` and `down`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::supervisor::Supervisor;
use super::{ControlPlane, With};

/// What `up` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Up {
    /// It was not there and is now; the administrator's kubeconfig.
    Started(PathBuf),
    /// It runs already; the administrator's kubeconfig.
    Running(PathBuf),
}

/// Starts a control plane with rollouts in a folder, unless one runs there.
///
/// # Errors
/// The folder holds something else, or a part does not become ready (then nothing is left).
pub fn up(folder: &Path) -> Result<Up> {
    let kubeconfig = folder.join("admin.kubeconfig");
    if Supervisor::of(folder)?.is_some() {
        return Ok(Up::Running(kubeconfig));
    }
    remove_stale(folder)?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let folder = folder.canonicalize()?;
    let supervisor = Supervisor::detached(&folder)?;
    if let Err(error) = ControlPlane::start_in(&folder, supervisor, With::Rollouts) {
        return Err(match down(&folder) {
            Ok(_) => error,
            Err(second) => error.context(format!("and it could not be stopped: {second:#}")),
        });
    }
    Ok(Up::Started(kubeconfig))
}

/// Stops the control plane of a folder and removes the folder; returns whether one ran.
///
/// # Errors
/// It does not stop, or the folder holds something else.
pub fn down(folder: &Path) -> Result<bool> {
    match Supervisor::of(folder)? {
        Some(supervisor) => supervisor.end().map(|()| true),
        None => remove_stale(folder).map(|()| false),
    }
}

/// Removes what a control plane left whose supervisor is gone (the machine was switched off).
fn remove_stale(folder: &Path) -> Result<()> {
    let Ok(mut entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    if entries.next().is_some() && !folder.join("orders").exists() {
        bail!(
            "{} holds something that is no control plane: name another folder",
            folder.display()
        );
    }
    fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))
}
