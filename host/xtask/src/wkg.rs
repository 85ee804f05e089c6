//! wkg, the reference client of the CNCF's Wasm artifacts, for the tests of plugins in registries: installed once into the cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::run::cargo;
use crate::{services, tools};

/// Names one that a person has already.
pub(crate) const VARIABLE: &str = "WEIR_WKG";
const VERSION: &str = "0.16.1";

/// The program, installed where this version is not in the cache. `target/wkg` is a link to it.
///
/// # Errors
/// It does not build, or crates.io cannot be reached.
pub(crate) fn get(root: &Path) -> Result<PathBuf> {
    let made = match std::env::var_os(VARIABLE) {
        Some(path) => fs::canonicalize(&path)
            .with_context(|| format!("{} ({VARIABLE})", Path::new(&path).display()))?,
        None => installed()?,
    };
    services::link(root, "wkg", &made)?;
    Ok(made)
}

fn installed() -> Result<PathBuf> {
    let cache = tools::cache()?;
    let folder = cache.join(format!("wkg-{VERSION}"));
    let made = folder.join("bin/wkg");
    if made.is_file() {
        return Ok(made);
    }
    println!("installing wkg {VERSION} for the tests, once (minutes on 2 cores)");
    // Outside the workspace: its settings (a shared build folder) are not for tools. Not optimized: it is there sooner, and moves
    // a few bytes.
    cargo(&cache)
        .args([
            "install",
            "wkg",
            "--locked",
            "--debug",
            "--version",
            VERSION,
            "--root",
        ])
        .arg(&folder)
        .run()?;
    Ok(made)
}
