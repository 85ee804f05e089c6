//! `cargo xtask cluster up|down`: the control plane of the tests in the background, for a person to look at and play with.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::control_plane;
use crate::run::{cargo, program};

/// Where its data, logs and kubeconfig are while it runs.
const FOLDER: &str = "target/cluster";
/// The rig's own tool.
const TOOL: &str = "target/debug/controlplane";

/// Starts or stops it.
///
/// # Errors
/// It cannot be built, started or stopped.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    match arguments {
        [word] if word == "up" => up(root).map(drop),
        [word] if word == "down" => down(root),
        _ => bail!("say `cargo xtask cluster up` or `cargo xtask cluster down`"),
    }
}

/// Starts it unless it runs, and prints how to use it; the administrator's kubeconfig.
///
/// # Errors
/// It cannot be built or started.
pub(crate) fn up(root: &Path) -> Result<PathBuf> {
    let programs = control_plane::Building::start(root)?.finish()?;
    build(root)?;
    program(root.join(TOOL), root)
        .arg("up")
        .arg(root.join(FOLDER))
        .env("WEIR_CONTROL_PLANE", &programs)
        .run()?;
    println!(
        "# kubectl of the same version: {}",
        programs.join("kubectl").display()
    );
    Ok(root.join(FOLDER).join("admin.kubeconfig"))
}

fn down(root: &Path) -> Result<()> {
    build(root)?;
    program(root.join(TOOL), root)
        .arg("down")
        .arg(root.join(FOLDER))
        .run()
}

/// What it starts is what the tests start.
fn build(root: &Path) -> Result<()> {
    cargo(root)
        .args(["build", "--quiet", "--workspace", "--bin", "controlplane"])
        .run()
}
