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
/// The oldest major version of Node that it runs on.
const NODE: u32 = 20;
const GET_NODE: &str = "install Node.js 20 or newer with npm (https://nodejs.org)";
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
    let major = said.trim().trim_start_matches('v').split('.').next();
    match major.and_then(|major| major.parse::<u32>().ok()) {
        Some(major) if major >= NODE => Ok(()),
        _ => {
            let why = format!("node says that it is {}: {GET_NODE}", said.trim());
            Err(failed(dir, Fault::Host, why))
        }
    }
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
    let found = package(dir, &file)?;
    let found = found.as_ref().and_then(|found| found["version"].as_str());
    let is_exact = wanted.starts_with(|c: char| c.is_ascii_digit());
    if found.is_some_and(|found| !is_exact || found == wanted) {
        return Ok(());
    }
    let has_lock = dir.join("package-lock.json").is_file();
    let command = if has_lock { "ci" } else { "install" };
    Tool::new(dir, "npm", GET_NODE)
        .args([command, "--no-audit", "--no-fund"])
        .run()
}
