//! What a machine needs, and the cache for what the tasks install themselves.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::run::program;

const TARGET: &str = "wasm32-wasip2";

/// Where tools are kept, outside the clone: `WEIR_DEV_CACHE`, or `~/.cache/weir-dev`.
///
/// # Errors
/// Neither that variable nor a home folder is set.
pub(crate) fn cache() -> Result<PathBuf> {
    let dir = match std::env::var_os("WEIR_DEV_CACHE") {
        Some(dir) => PathBuf::from(dir),
        None => match std::env::var_os("XDG_CACHE_HOME") {
            Some(dir) => PathBuf::from(dir).join("weir-dev"),
            None => PathBuf::from(
                std::env::var_os("HOME").context("neither WEIR_DEV_CACHE nor HOME is set")?,
            )
            .join(".cache/weir-dev"),
        },
    };
    std::fs::create_dir_all(dir.join("bin"))
        .with_context(|| format!("making {}", dir.display()))?;
    Ok(dir)
}

/// The same for a help text.
pub(crate) fn cache_text() -> String {
    cache().map_or_else(
        |error| format!("{error:#}"),
        |dir| dir.display().to_string(),
    )
}

/// Git is there.
pub(crate) fn git(root: &Path) -> Result<()> {
    if !program("git", root).arg("--version").succeeds() {
        bail!("git is not in PATH: install it (`apt install git`)");
    }
    Ok(())
}

/// The standard library for plugins is there; added with rustup where missing.
///
/// # Errors
/// It is missing and rustup is not there or cannot add it.
pub(crate) fn wasm_target(root: &Path) -> Result<()> {
    let libs = program("rustc", root)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()?;
    if Path::new(&libs).is_dir() {
        return Ok(());
    }
    println!("the target {TARGET} is missing: adding it");
    program("rustup", root)
        .args(["target", "add", TARGET])
        .run()
        .with_context(|| format!("install rustup (https://rustup.rs), or this toolchain's standard library for {TARGET}"))
}

/// rustfmt and clippy are there; added with rustup where missing.
///
/// # Errors
/// One is missing and rustup is not there or cannot add it.
pub(crate) fn components(root: &Path) -> Result<()> {
    for (component, tool) in [("rustfmt", "cargo-fmt"), ("clippy", "cargo-clippy")] {
        if !program(tool, root).arg("--version").succeeds() {
            println!("{component} is missing: adding it");
            program("rustup", root)
                .args(["component", "add", component])
                .run()
                .with_context(|| format!("install this toolchain's {component}"))?;
        }
    }
    Ok(())
}

/// Go is there.
///
/// # Errors
/// It is not; the text says what it is for.
pub(crate) fn go(root: &Path) -> Result<()> {
    if !program("go", root).arg("version").succeeds() {
        bail!(
            "go is not in PATH: install Go 1.26 or newer (https://go.dev/dl); plugins are written in it, and tests compare with its libraries"
        );
    }
    Ok(())
}

/// Builds the Go program that reads YAML as Kubernetes does, for the differential test.
///
/// # Errors
/// Go is missing, or it does not build (the first build downloads its modules).
pub(crate) fn yaml_oracle(root: &Path) -> Result<PathBuf> {
    go(root)?;
    let binary = cache()?.join("bin/yaml-oracle");
    program("go", &root.join("tests/yaml-differential"))
        .args(["build", "-trimpath", "-o"])
        .arg(&binary)
        .arg(".")
        .env("GOFLAGS", "-mod=readonly")
        .run()?;
    Ok(binary)
}
