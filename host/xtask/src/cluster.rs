//! `cargo xtask cluster up|down`: the control plane of the tests in the background, for a person to look at and play with.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use crate::control_plane;
use crate::run::{cargo, program};

/// Where its data, logs and kubeconfig are while it runs.
const FOLDER: &str = "target/cluster";
/// The rig's own tool.
const TOOL: &str = "target/debug/controlplane";

/// What the tool's first line says when it had nothing to start.
const RUNNING: &str = "# it is running already";

/// A cluster that is up.
pub(crate) struct Up {
    /// The administrator's kubeconfig.
    pub(crate) kubeconfig: PathBuf,
    /// kubectl of the cluster's own version.
    pub(crate) kubectl: PathBuf,
    /// Whether it was started just now.
    pub(crate) started: bool,
}

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

/// Starts it unless it runs, and prints how to use it.
///
/// # Errors
/// It cannot be built or started.
pub(crate) fn up(root: &Path) -> Result<Up> {
    up_with(root, control_plane::Building::start(root)?)
}

/// The same, with programs that may still be being built.
///
/// # Errors
/// As there.
pub(crate) fn up_with(root: &Path, building: control_plane::Building) -> Result<Up> {
    let programs = building.finish()?;
    build(root)?;
    let mut started = true;
    let ended_well = program(root.join(TOOL), root)
        .arg("up")
        .arg(root.join(FOLDER))
        .env("WEIR_CONTROL_PLANE", &programs)
        .lines(|line| started &= line != RUNNING)?;
    ensure!(ended_well, "the control plane was not started: see above");
    let kubectl = programs.join("kubectl");
    println!("# kubectl of the same version: {}", kubectl.display());
    Ok(Up {
        kubeconfig: root.join(FOLDER).join("admin.kubeconfig"),
        kubectl,
        started,
    })
}

/// Stops it where it runs, and removes all of it.
///
/// # Errors
/// It does not stop.
pub(crate) fn down(root: &Path) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::RUNNING;

    #[test]
    fn the_tool_says_that_one_runs_in_the_words_that_are_looked_for() {
        let tool = include_str!("../../../tests/src/bin/controlplane.rs");
        assert!(tool.contains(&format!("println!(\"{RUNNING}\")")));
    }
}
