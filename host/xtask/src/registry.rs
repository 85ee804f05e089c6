//! The OCI registry of the tests: the real `distribution`, built once from Go modules (`tests/registry`) into the cache.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::run::{Run, program};
use crate::tools;

const PACKAGE: &str = "github.com/distribution/distribution/v3/cmd/registry";
const PROGRAM: &str = "registry";
/// A program that a person may have already.
const VARIABLE: &str = "WEIR_REGISTRY";
const GOFLAGS: &str = "-mod=readonly -buildvcs=false -trimpath";

/// The program, built where these versions are not in the cache. `target/registry` is a link to it.
///
/// # Errors
/// Go is missing, or it does not build.
pub(crate) fn build(root: &Path) -> Result<PathBuf> {
    let made = match std::env::var_os(VARIABLE) {
        Some(path) => fs::canonicalize(&path)
            .with_context(|| format!("{} ({VARIABLE})", Path::new(&path).display()))?,
        None => cached(root)?,
    };
    link(root, &made)?;
    Ok(made)
}

fn cached(root: &Path) -> Result<PathBuf> {
    tools::go(root)?;
    let module = root.join("tests/registry");
    let mut digest = Sha256::new();
    for file in ["go.mod", "go.sum"] {
        digest.update(fs::read(module.join(file)).with_context(|| format!("reading {file}"))?);
    }
    digest.update(go(root).arg("version").output()?);
    digest.update(GOFLAGS);
    let mut key = String::new();
    for byte in &digest.finalize()[..8] {
        write!(key, "{byte:02x}")?;
    }
    let all = tools::cache()?.join("registry");
    let folder = all.join(key);
    let made = folder.join(PROGRAM);
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    // Held by whoever builds, and let go of when that process ends in any way.
    let lock = File::create(all.join("lock"))?;
    lock.lock().context("waiting for the cache's lock")?;
    if !made.is_file() {
        println!("building the registry of the tests, once (a minute on 2 cores)");
        let half = folder.join("half");
        go(root)
            .args(["build", "-ldflags", "-s -w", "-o"])
            .arg(&half)
            .arg(PACKAGE)
            .run()?;
        fs::rename(&half, &made).with_context(|| format!("making {}", made.display()))?;
    }
    if !made.is_file() {
        bail!("{} was not made", made.display());
    }
    Ok(made)
}

/// Go in the module, with nothing of the user's settings in what it builds.
fn go(root: &Path) -> Run {
    program("go", &root.join("tests/registry"))
        .env("GOFLAGS", GOFLAGS)
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
}

/// Where the suites look without a variable.
fn link(root: &Path, made: &Path) -> Result<()> {
    let link = root.join("target/registry");
    fs::create_dir_all(root.join("target"))?;
    if fs::read_link(&link).is_ok_and(|to| to == made) {
        return Ok(());
    }
    let new = root.join(format!("target/registry.{}", std::process::id()));
    symlink(made, &new)?;
    fs::rename(&new, &link).with_context(|| format!("making {}", link.display()))
}
