//! Python: componentize-py puts an interpreter and the module into a component. It comes from the path, where it has the
//! right version, or from the project's own `.venv`.

use std::path::{Path, PathBuf};

use weir_core::fault::Fault;
use weir_sandbox::Role;

use super::failed;
use super::tool::{Tool, made, scratch};
use crate::error::Error;

/// The version of componentize-py that plugins are built with.
pub(crate) const COMPONENTIZE_PY: &str = "0.25.0";
const GET_PYTHON: &str = "install Python 3.10 or newer (https://www.python.org/downloads; on Debian `apt install python3-venv`)";
/// The oldest Python that componentize-py runs on.
const PYTHON: (u32, u32) = (3, 10);
/// The plugin's module.
const MODULE: &str = "plugin";

/// The component of the module in a folder.
pub(super) fn compile(dir: &Path, role: Role) -> Result<Vec<u8>, Error> {
    // A path of the environment's programs holds from any folder.
    let dir = &dir
        .canonicalize()
        .map_err(|e| Error::Usage(format!("{}: {e}", dir.display())))?;
    for (needed, what) in [
        ("plugin.py", "the plugin's module"),
        ("wit", "the plugin interface"),
    ] {
        if !dir.join(needed).exists() {
            let why = format!("{what} is not there: {needed}; `weir plugin new` makes it");
            return Err(failed(dir, Fault::Plugin, why));
        }
    }
    let program = componentize_py(dir)?;
    let scratch = scratch()?;
    let out = scratch.path().join("plugin.wasm");
    Tool::at(&program, dir, "componentize-py", GET_PYTHON)
        .args(["--wit-path", "wit", "--world", role.as_str()])
        // Without WASI a plugin is the same everywhere: no clock, no random numbers, no files.
        .args(["componentize", "--stub-wasi", MODULE, "--output"])
        .args([&out])
        .run()?;
    made(dir, &out, "componentize-py")
}

/// The program: the path's, or the one in the project's own environment, which is made where it is not there.
fn componentize_py(dir: &Path) -> Result<PathBuf, Error> {
    let own = dir.join(".venv/bin/componentize-py");
    for program in [own.clone(), PathBuf::from("componentize-py")] {
        let asked = Tool::at(&program, dir, "componentize-py", GET_PYTHON).args(["--version"]);
        let said = asked.quiet();
        if said.is_some_and(|said| said.ends_with(&format!(" {COMPONENTIZE_PY}"))) {
            return Ok(program);
        }
    }
    let said = Tool::new(dir, "python3", GET_PYTHON)
        .args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
        .output()?;
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    if version(&said).is_none_or(|found| found < PYTHON) {
        let why = format!("python3 says that it is {said}: {GET_PYTHON}");
        return Err(failed(dir, Fault::Host, why));
    }
    Tool::at(Path::new("python3"), dir, "python3 -m venv", GET_PYTHON)
        .args(["-m", "venv", ".venv"])
        .run()?;
    Tool::at(&dir.join(".venv/bin/pip"), dir, "pip", GET_PYTHON)
        .args(["install", "--disable-pip-version-check", "--quiet"])
        .args([format!("componentize-py=={COMPONENTIZE_PY}")])
        .run()?;
    Ok(own)
}

/// `3.12` as numbers.
fn version(said: &str) -> Option<(u32, u32)> {
    let (major, minor) = said.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
