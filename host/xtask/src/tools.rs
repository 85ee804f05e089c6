//! What a machine needs, and the cache for what the tasks install themselves.

use std::collections::BTreeSet;
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

/// The programs that sign commits in tests, and the packages of Debian that have them.
const SIGNING: [(&str, &str); 4] = [
    ("gpg", "gnupg"),
    ("gpgconf", "gnupg"),
    ("gpg-agent", "gpg-agent"),
    ("ssh-keygen", "openssh-client"),
];

/// What signs commits in tests is there; installed where this runs as root on Debian.
///
/// # Errors
/// It is missing and cannot be installed here.
pub(crate) fn signing(root: &Path) -> Result<()> {
    let there = |tool: &str| {
        let mut look = program("sh", root).args(["-c", "command -v \"$0\""]);
        look = look.arg(tool);
        look.succeeds()
    };
    let missing = || SIGNING.iter().filter(|(tool, _)| !there(tool));
    let packages: BTreeSet<&str> = missing().map(|(_, package)| *package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    let is_root = program("id", root).arg("-u").output()? == "0";
    if is_root && there("apt-get") {
        let names: Vec<&str> = packages.iter().copied().collect();
        println!("{} missing: installing it", names.join(" and "));
        program("apt-get", root).args(["update", "-q"]).run()?;
        program("apt-get", root)
            .args(["install", "-q", "-y", "--no-install-recommends"])
            .args(&names)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .run()?;
    }
    match missing().next() {
        None => Ok(()),
        Some((tool, package)) => {
            bail!("{tool} is not in PATH: install it (`apt install {package}`)")
        }
    }
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
