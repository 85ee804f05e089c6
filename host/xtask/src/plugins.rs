//! The bundled plugins and the test guests, built for wasm32-wasip2.

use std::path::Path;

use anyhow::Result;

use crate::run::cargo;

/// Builds the bundled plugins into `target/plugins`.
pub(crate) fn build_plugins(root: &Path) -> Result<()> {
    let names = ["yaml", "metadata", "baseline"].map(|name| format!("weir-plugin-{name}"));
    let packages = names.iter().flat_map(|name| ["--package", name]);
    cargo(root)
        .args(["build", "--profile", "plugin", "--target", "wasm32-wasip2"])
        .args(packages)
        .run()
}

/// Builds the test guests into `target/guests`.
pub(crate) fn build_guests(root: &Path) -> Result<()> {
    cargo(root)
        .args([
            "build",
            "--profile",
            "plugin",
            "--target",
            "wasm32-wasip2",
            "--package",
            "weir-guests",
        ])
        .run()
}

/// Two builds in two folders give the same bytes: comes with branch h-plugins, which replaces this file.
pub(crate) fn check_reproducible(_: &Path) -> Result<()> {
    anyhow::bail!("the reproducible-build check is not merged yet (branch h-plugins)")
}
