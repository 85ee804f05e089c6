//! Helm and Kustomize themselves, and the trees of their own tests: built once from Go modules (`tests/parity/native`) into the cache.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::run::{Run, program};
use crate::tools;

/// What the suites start; the packages that make them, in [`PACKAGES`], are in the same order.
const PROGRAMS: [&str; 4] = ["helm", "kustomize", "native", "trees"];
const PACKAGES: [&str; 4] = [
    "helm.sh/helm/v4/cmd/helm",
    "sigs.k8s.io/kustomize/kustomize/v5",
    ".",
    "./trees",
];
/// The tools whose tests hold trees: a folder of each name is beside the programs, below `cases`.
const CASES: [&str; 2] = ["helm", "kustomize"];
const MODULE: &str = "tests/parity/native";
const GOFLAGS: &str = "-mod=readonly -buildvcs=false -trimpath";
/// No debug information.
const LDFLAGS: &str = "-s -w";

/// The folder with the programs and `cases`; `target/native` is a link to it.
///
/// # Errors
/// Go is missing, or something does not build.
pub(crate) fn build(root: &Path) -> Result<PathBuf> {
    tools::go(root)?;
    let cache = tools::cache()?;
    let folder = cache.join("native").join(key(root)?);
    fs::create_dir_all(cache.join("native"))?;
    // Held until the end of this function or process: nobody builds the same beside.
    let lock = File::create(cache.join("native.lock"))?;
    if !folder.is_dir() {
        lock.lock().context("waiting for the cache's lock")?;
    }
    if !folder.is_dir() {
        println!("building Helm and Kustomize, once (some minutes)");
        make(root, &folder)?;
    }
    link(root, &folder)?;
    Ok(folder)
}

/// Checks that the module's own sources are formatted. (`go vet` would look at all of Helm first, for minutes.)
///
/// # Errors
/// A file is not.
pub(crate) fn check(root: &Path) -> Result<()> {
    let unformatted = program("gofmt", &root.join(MODULE))
        .args(["-l", "."])
        .output()?;
    if !unformatted.is_empty() {
        bail!("{MODULE}: not formatted (`gofmt -w .` does it): {unformatted}");
    }
    Ok(())
}

/// Into a folder beside, which takes its name when everything is there.
fn make(root: &Path, folder: &Path) -> Result<()> {
    let parent = folder.parent().context("the cache is a folder")?;
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        // What a killed build left: nobody else builds while the lock is held.
        if entry.file_name().to_string_lossy().contains(".half-") {
            fs::remove_dir_all(entry.path())?;
        }
    }
    let half = folder.with_extension(format!("half-{}", std::process::id()));
    fs::create_dir_all(&half).with_context(|| format!("making {}", half.display()))?;
    go(root)
        .args(["build", "-ldflags", LDFLAGS, "-o"])
        .arg(&half)
        .args(PACKAGES)
        .run()?;
    let missing: Vec<&str> = PROGRAMS
        .into_iter()
        .filter(|name| !half.join(name).is_file())
        .collect();
    if !missing.is_empty() {
        bail!("{MODULE}: the build made no {}", missing.join(", "));
    }
    for tool in CASES {
        // Go is asked where its modules are, by the module's own go.mod.
        program(half.join("trees"), &root.join(MODULE))
            .arg(tool)
            .arg(half.join("cases").join(tool))
            .run()?;
    }
    fs::rename(&half, folder).with_context(|| format!("making {}", folder.display()))
}

/// What the folder is made of: our own sources, the versions of all others, Go and its flags.
fn key(root: &Path) -> Result<String> {
    let mut digest = Sha256::new();
    let version = go(root).args(["env", "GOVERSION"]).output()?;
    digest.update([version.as_str(), GOFLAGS, LDFLAGS].join("\n"));
    add(&mut digest, &root.join(MODULE))?;
    let mut key = String::new();
    for byte in &digest.finalize()[..8] {
        write!(key, "{byte:02x}")?;
    }
    Ok(key)
}

fn add(digest: &mut Sha256, dir: &Path) -> Result<()> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        paths.push(entry?.path());
    }
    paths.sort();
    for path in paths {
        if path.is_dir() {
            add(digest, &path)?;
            continue;
        }
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let name = path.file_name().unwrap_or_default();
        digest.update(name.as_encoded_bytes());
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(&bytes);
    }
    Ok(())
}

/// Go in the module, with nothing of the user's settings in what it builds.
fn go(root: &Path) -> Run {
    program("go", &root.join(MODULE))
        .env("GOFLAGS", GOFLAGS)
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
}

/// Where the suites look without a variable.
fn link(root: &Path, folder: &Path) -> Result<()> {
    let link = root.join("target/native");
    fs::create_dir_all(root.join("target"))?;
    if fs::read_link(&link).is_ok_and(|to| to == folder) {
        return Ok(());
    }
    let new = root.join(format!("target/native.{}", std::process::id()));
    std::os::unix::fs::symlink(folder, &new)?;
    fs::rename(&new, &link).with_context(|| format!("making {}", link.display()))
}
