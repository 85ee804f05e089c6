//! JavaScript: componentize-js, from the project's own node_modules, puts an engine and the module into a component.

use std::path::Path;

use weir_core::fault::Fault;
use weir_sandbox::Role;

use super::failed;
use super::tool::{Tool, made, scratch};
use crate::error::Error;
use crate::plugins::read_capped;

/// The version of componentize-js that new projects name.
pub(crate) const COMPONENTIZE_JS: &str = "0.23.0";
const PACKAGE: &str = "@bytecodealliance/componentize-js";
/// The oldest versions of Node that it runs on, of each line that it knows; every later line does.
const NODE: [(u32, u32); 2] = [(20, 19), (22, 12)];
const GET_NODE: &str = "install Node.js 20.19, 22.12 or newer with npm (https://nodejs.org)";
const SCRIPT: &str = include_str!("componentize.mjs");
/// The largest package.json that is read, in bytes.
const MAX_PACKAGE: u64 = 1 << 20;

/// The component of the module in a folder.
pub(super) fn compile(dir: &Path, role: Role) -> Result<Vec<u8>, Error> {
    let package = package(dir, &dir.join("package.json"))?.unwrap_or_default();
    node(dir)?;
    installed(dir, &package)?;
    let main = package["main"].as_str().unwrap_or("plugin.js");
    for (needed, what) in [
        (main, "the plugin's module"),
        ("wit", "the plugin interface"),
    ] {
        if !dir.join(needed).exists() {
            let why = format!("{what} is not there: {needed}; `weir plugin new` makes it");
            return Err(failed(dir, Fault::Plugin, why));
        }
    }
    let scratch = scratch()?;
    let out = scratch.path().join("plugin.wasm");
    Tool::new(dir, "node", GET_NODE)
        .args(["--input-type=module", "--eval", SCRIPT, "--"])
        .args([main, "wit", role.as_str()])
        .args([&out])
        .run()?;
    made(dir, &out, "componentize-js")
}

/// A package.json; `None` where there is none.
fn package(dir: &Path, file: &Path) -> Result<Option<serde_json::Value>, Error> {
    let Some(bytes) = read_capped(file, MAX_PACKAGE)? else {
        return Ok(None);
    };
    let read = serde_json::from_slice(&bytes);
    read.map(Some)
        .map_err(|e| failed(dir, Fault::Plugin, format!("{}: {e}", file.display())))
}

/// Node is there, and new enough.
fn node(dir: &Path) -> Result<(), Error> {
    let said = Tool::new(dir, "node", GET_NODE)
        .args(["--version"])
        .output()?;
    let said = String::from_utf8_lossy(&said);
    match is_new_enough(said.trim()) {
        true => Ok(()),
        false => {
            let why = format!("node says that it is {}: {GET_NODE}", said.trim());
            Err(failed(dir, Fault::Host, why))
        }
    }
}

/// Whether componentize-js runs on what `node --version` says.
fn is_new_enough(said: &str) -> bool {
    let mut parts = said
        .trim_start_matches('v')
        .split('.')
        .map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
        return false;
    };
    let known = NODE.iter().find(|(line, _)| *line == major);
    let newest = NODE.iter().map(|(line, _)| *line).max();
    known.map_or(Some(major) > newest, |(_, least)| minor >= *least)
}

/// The project's componentize-js is in its node_modules, in the version that its package.json names: npm brings it.
fn installed(dir: &Path, own: &serde_json::Value) -> Result<(), Error> {
    let wanted = ["devDependencies", "dependencies"]
        .iter()
        .find_map(|list| own[list][PACKAGE].as_str());
    let wanted = wanted.ok_or_else(|| {
        let why = format!(
            "package.json does not name {PACKAGE}: add \"{PACKAGE}\": \"{COMPONENTIZE_JS}\" to its devDependencies"
        );
        failed(dir, Fault::Plugin, why)
    })?;
    let file = dir.join("node_modules").join(PACKAGE).join("package.json");
    let is_there = || -> Result<bool, Error> {
        let found = package(dir, &file)?;
        let found = found.as_ref().and_then(|found| found["version"].as_str());
        // What a range means is npm's to say.
        Ok(found.is_some_and(|found| !is_exact(wanted) || found == wanted))
    };
    if is_there()? {
        return Ok(());
    }
    let has_lock = dir.join("package-lock.json").is_file();
    let command = if has_lock { "ci" } else { "install" };
    Tool::new(dir, "npm", GET_NODE)
        .args([command, "--no-audit", "--no-fund"])
        .run()?;
    if is_there()? {
        return Ok(());
    }
    let why = format!(
        "npm did not bring {PACKAGE} {wanted}, which package.json names: does package-lock.json name another version?"
    );
    Err(failed(dir, Fault::Plugin, why))
}

/// Whether it is one version and no range.
fn is_exact(version: &str) -> bool {
    let mut parts = version.split('.');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    parts.clone().count() == 3 && parts.all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_new_enough_from_a_version_on_in_each_line() {
        for good in ["v20.19.0", "v20.20.2", "v22.12.0", "v23.0.0", "v24.1.0"] {
            assert!(is_new_enough(good), "{good}");
        }
        for bad in [
            "v18.20.4", "v20.18.9", "v21.7.0", "v22.11.0", "v22", "", "node",
        ] {
            assert!(!is_new_enough(bad), "{bad}");
        }
    }

    #[test]
    fn a_range_is_no_version() {
        assert!(is_exact("0.23.0"));
        for range in ["^0.23.0", "0.23.x", "0.23", "0.23.0 - 0.24", "latest", ""] {
            assert!(!is_exact(range), "{range}");
        }
    }
}
