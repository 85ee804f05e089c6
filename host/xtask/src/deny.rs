//! cargo-deny: installed once into the cache while other steps run, then asked about licences, bans, sources and advisories.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::run::{cargo, program};
use crate::tools;

const VERSION: &str = "0.20.2";
/// Longer than a fetch of the database takes where it can be reached.
const FETCH: Duration = Duration::from_secs(60);

/// cargo-deny, perhaps still being installed.
pub(crate) struct Installing {
    root: PathBuf,
    binary: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

/// cargo-deny, installed.
pub(crate) struct Deny {
    root: PathBuf,
    binary: PathBuf,
}

impl Installing {
    /// Begins the installation where this version is not in the cache.
    ///
    /// # Errors
    /// No cache, or cargo cannot be started.
    pub(crate) fn start(root: &Path) -> Result<Installing> {
        let cache = tools::cache()?;
        let (binary, log) = (cache.join("bin/cargo-deny"), cache.join("cargo-deny.log"));
        let mut child = None;
        if !is_installed(root, &binary) {
            println!(
                "installing cargo-deny {VERSION} beside the other steps, once (minutes); its log: {}",
                log.display()
            );
            // Outside the workspace: its settings (a shared build folder) are not for tools.
            let install = cargo(&cache)
                .args([
                    "install",
                    "cargo-deny",
                    "--locked",
                    "--force",
                    "--version",
                    VERSION,
                    "--root",
                ])
                .arg(&cache);
            child = Some(install.spawn_into(&log)?);
        }
        Ok(Installing {
            root: root.to_path_buf(),
            binary,
            log,
            child,
        })
    }

    /// Waits for the installation.
    ///
    /// # Errors
    /// It failed; its log says why.
    pub(crate) fn finish(mut self) -> Result<Deny> {
        if let Some(mut child) = self.child.take() {
            println!("waiting for cargo-deny");
            if !child.wait()?.success() {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(20).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                bail!(
                    "cargo-deny {VERSION} could not be installed; the end of {}:\n{}",
                    self.log.display(),
                    tail.join("\n")
                );
            }
        }
        Ok(Deny {
            root: self.root.clone(),
            binary: self.binary.clone(),
        })
    }
}

impl Drop for Installing {
    /// A task that fails early leaves no compiler running behind it.
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Deny {
    /// Licences, bans and sources by `deny.toml`; advisories where their database can be reached.
    ///
    /// # Errors
    /// A dependency breaks a rule; cargo-deny says which and why.
    pub(crate) fn check(&self) -> Result<()> {
        program(&self.binary, &self.root)
            .args(["check", "licenses", "bans", "sources"])
            .run()
            .context("deny.toml holds the rules and, for each exception, its reason")?;
        match program(&self.binary, &self.root)
            .args(["fetch", "db"])
            .within(FETCH)
        {
            Ok(()) => program(&self.binary, &self.root)
                .args(["check", "--disable-fetch", "advisories"])
                .run(),
            Err(error) => {
                println!("SKIPPED advisories: their database cannot be fetched here ({error:#})");
                Ok(())
            }
        }
    }
}

fn is_installed(root: &Path, binary: &Path) -> bool {
    binary.exists()
        && program(binary, root)
            .arg("--version")
            .output()
            .is_ok_and(|version| version == format!("cargo-deny {VERSION}"))
}
