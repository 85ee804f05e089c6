//! Where the workspace, its binary and its plugins are; with an error that says how to build what is missing.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The root of the workspace: the folder above this package.
#[must_use]
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// The `weir` binary: `WEIR_BIN`, or the development build.
///
/// # Errors
/// It is not there; the text says how to build it.
pub fn weir_binary() -> Result<PathBuf> {
    existing(
        "WEIR_BIN",
        "target/debug/weir",
        "cargo build --workspace --features weir/crash-points",
    )
}

/// The folder with the built plugins: `WEIR_PLUGIN_DIR`, or `target/plugins`.
///
/// # Errors
/// It is not there; the text says how to build it.
pub fn plugin_dir() -> Result<PathBuf> {
    existing("WEIR_PLUGIN_DIR", "target/plugins", "cargo xtask plugins")
}

/// The folder with the built test guests: `WEIR_GUEST_DIR`, or `target/guests`.
///
/// # Errors
/// It is not there; the text says how to build it.
pub fn guest_dir() -> Result<PathBuf> {
    existing("WEIR_GUEST_DIR", "target/guests", "cargo xtask plugins")
}

/// The folder with the programs of a control plane: `WEIR_CONTROL_PLANE`, or `target/control-plane`.
///
/// # Errors
/// It is not there; the text says how to build it.
pub fn control_plane() -> Result<PathBuf> {
    existing(
        "WEIR_CONTROL_PLANE",
        "target/control-plane",
        "cargo xtask control-plane",
    )
}

/// The OCI registry: `WEIR_REGISTRY`, or `target/registry`.
///
/// # Errors
/// It is not there; the text says how to build it.
pub fn registry() -> Result<PathBuf> {
    existing("WEIR_REGISTRY", "target/registry", "cargo xtask registry")
}

fn existing(variable: &str, default: &str, build: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable).map_or_else(|| root().join(default), PathBuf::from);
    if !path.exists() {
        bail!(
            "{} does not exist: build it with `{build}`, run everything with `cargo fulltest`, or name another with {variable}",
            path.display()
        );
    }
    Ok(path)
}
