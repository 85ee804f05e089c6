//! `cargo xtask bench`: what the benchmark needs, in release builds, and its run.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::run::cargo;
use crate::{control_plane, native, plugin_tools, plugins_task};

/// The rows that need the control plane.
const ON_A_CLUSTER: &str = "kube";
/// The rows that need Helm and Kustomize themselves.
const AGAINST_THE_TOOLS: [&str; 2] = ["render", "impact"];
/// The rows that need what authors of plugins in JavaScript and Python have.
const AUTHORS: &str = "plugins";
/// The flags with a value: a file, and a number.
const JSON: &str = "--json";
const PAIRS: &str = "--pairs";

/// Builds and measures; the arguments go to the benchmark.
///
/// # Errors
/// Something does not build, or a group of rows cannot run.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let building = asks_for(arguments, ON_A_CLUSTER)
        .then(|| control_plane::Building::start(root))
        .transpose()?;
    plugins_task(root, &[])?;
    if AGAINST_THE_TOOLS
        .iter()
        .any(|group| asks_for(arguments, group))
    {
        native::build(root)?;
    }
    if asks_for(arguments, AUTHORS) {
        plugin_tools::get(root)?;
    }
    // The same selection in both, so that dependencies are compiled once.
    let selection = ["--package", "weir", "--package", "weir-tests"];
    // Cargo runs a benchmark in its package's folder: a file is meant from where the developer stands.
    let mut arguments = arguments.to_vec();
    if let Some(file) = arguments
        .iter()
        .position(|a| a == JSON)
        .and_then(|at| arguments.get_mut(at + 1))
    {
        *file = std::path::absolute(&*file)?.display().to_string();
    }
    cargo(root)
        .args(["build", "--release", "--bin", "weir", "--bench", "spine"])
        .args(selection)
        .run()?;
    // With a link in target/, where the rows look.
    let programs = building.map(control_plane::Building::finish);
    programs
        .transpose()
        .context("the rows of `kube` need the control plane; name others to leave them out")?;
    cargo(root)
        .args(["bench", "--bench", "spine"])
        .args(selection)
        .arg("--")
        .args(arguments)
        .env("WEIR_BIN", root.join("target/release/weir"))
        .env("WEIR_PLUGIN_DIR", root.join("target/plugins"))
        .env("WEIR_GUEST_DIR", root.join("target/guests"))
        .run()
}

/// Whether a group of rows is asked for: by name, or by no name at all.
fn asks_for(arguments: &[String], group: &str) -> bool {
    let mut names = arguments.iter().enumerate().filter(|(at, word)| {
        let is_value = *at > 0
            && arguments
                .get(at - 1)
                .is_some_and(|a| a == JSON || a == PAIRS);
        !word.starts_with("--") && !is_value
    });
    let first = names.next();
    first.is_none() || first.into_iter().chain(names).any(|(_, n)| n == group)
}

#[cfg(test)]
mod tests {
    use super::{ON_A_CLUSTER, asks_for};

    #[test]
    fn the_control_plane_is_needed_for_its_rows_and_for_all_rows() {
        for (words, needed) in [
            ("", true),
            ("--quick", true),
            ("--json kube.json", true),
            ("kube", true),
            ("yaml kube", true),
            ("yaml", false),
            ("--pairs 3 yaml", false),
            ("--pairs 3", true),
            ("--quick --json kube dir", false),
        ] {
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            assert_eq!(asks_for(&words, ON_A_CLUSTER), needed, "{words:?}");
        }
    }
}
