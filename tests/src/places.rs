//! Where the workspace, its binary and its plugins are; with an error that says how to build what is missing.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

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

/// The folder with Helm, Kustomize and their tests' trees: `WEIR_NATIVE`, or `target/native`.
///
/// # Errors
/// It is not there; the text says how to build it.
pub fn native() -> Result<PathBuf> {
    existing("WEIR_NATIVE", "target/native", "cargo xtask native")
}

/// A bundled plugin's component, found by the index in [`plugin_dir`].
///
/// # Errors
/// It is not built; the text says how to.
pub fn bundled(name: &str) -> Result<Vec<u8>> {
    let dir = plugin_dir()?;
    let index: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("index.json"))?)?;
    let digest = index["plugins"][name]
        .as_str()
        .and_then(|d| d.strip_prefix("sha256:"));
    let digest = digest.with_context(|| {
        format!(
            "{}: has no plugin {name}: build it with `cargo xtask plugins`",
            dir.display()
        )
    })?;
    Ok(std::fs::read(dir.join(format!("{digest}.wasm")))?)
}

/// Where things are kept between runs, outside the clone: `WEIR_DEV_CACHE`, or `~/.cache/weir-dev`, as `cargo xtask`
/// has it.
///
/// # Errors
/// Neither that variable nor a home folder is set.
pub fn dev_cache() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("WEIR_DEV_CACHE") {
        return Ok(dir.into());
    }
    let parent = match std::env::var_os("XDG_CACHE_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => std::env::home_dir()
            .context("neither WEIR_DEV_CACHE nor HOME is set")?
            .join(".cache"),
    };
    Ok(parent.join("weir-dev"))
}

/// The OCI registry: `WEIR_REGISTRY`, or `target/registry`.
///
/// # Errors
/// It is not there; the text says how to build it.
pub fn registry() -> Result<PathBuf> {
    existing("WEIR_REGISTRY", "target/registry", "cargo xtask registry")
}

/// The S3 server: `WEIR_S3`, or `target/versitygw`.
///
/// # Errors
/// It is not there; the text says how to build it.
pub fn s3() -> Result<PathBuf> {
    existing("WEIR_S3", "target/versitygw", "cargo xtask s3")
}

/// sshd: `WEIR_SSHD`, or `target/sshd`.
///
/// # Errors
/// It is not there; the text says how to get it.
pub fn sshd() -> Result<PathBuf> {
    existing("WEIR_SSHD", "target/sshd", "cargo xtask sshd")
}

/// SOPS' own program: `WEIR_SOPS`, or `target/sops`.
///
/// # Errors
/// It is not there; the text says how to build it.
pub fn sops() -> Result<PathBuf> {
    existing("WEIR_SOPS", "target/sops", "cargo xtask sops")
}

/// The program that makes age keys: `WEIR_AGE_KEYGEN`, or `target/age-keygen`.
///
/// # Errors
/// It is not there; the text says how to build it.
pub fn age_keygen() -> Result<PathBuf> {
    existing("WEIR_AGE_KEYGEN", "target/age-keygen", "cargo xtask sops")
}

/// cosign: `WEIR_COSIGN`, or `target/cosign`.
///
/// # Errors
/// It is not there; the text says how to build it.
pub fn cosign() -> Result<PathBuf> {
    existing("WEIR_COSIGN", "target/cosign", "cargo xtask oci-tools")
}

/// oras: `WEIR_ORAS`, or `target/oras`.
///
/// # Errors
/// It is not there; the text says how to build it.
pub fn oras() -> Result<PathBuf> {
    existing("WEIR_ORAS", "target/oras", "cargo xtask oci-tools")
}

/// wkg: `WEIR_WKG`, or `target/wkg`.
///
/// # Errors
/// It is not there; the text says how to get it.
pub fn wkg() -> Result<PathBuf> {
    existing("WEIR_WKG", "target/wkg", "cargo xtask oci-tools")
}

/// The folder with componentize-js and componentize-py: `WEIR_PLUGIN_TOOLS`, or `target/plugin-tools`.
///
/// # Errors
/// It is not there; the text says how to get it.
pub fn plugin_tools() -> Result<PathBuf> {
    existing(
        "WEIR_PLUGIN_TOOLS",
        "target/plugin-tools",
        "cargo xtask plugin-tools",
    )
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
