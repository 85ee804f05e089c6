//! The real `cosign`, `oras` and `wkg`, in a folder of their own with nothing of the user's, and no way to the internet.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::places;

/// The password of keys that [`OciTools::key`] makes.
pub const KEY_PASSWORD: &str = "open sesame";
/// Nobody listens there: whatever asks the internet fails, and does not wait.
const NO_PROXY: &str = "http://127.0.0.1:9";

/// A folder with keys and files.
#[derive(Debug)]
pub struct OciTools {
    dir: TempDir,
}

/// A pair of keys that cosign made.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// The private half, encrypted with [`KEY_PASSWORD`].
    pub private: PathBuf,
    /// The public half.
    pub public: PathBuf,
}

impl OciTools {
    /// An empty folder.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn new() -> Result<OciTools> {
        let dir = tempfile::Builder::new().prefix("weir-oci-").tempdir()?;
        Ok(OciTools { dir })
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `cosign generate-key-pair`.
    ///
    /// # Errors
    /// cosign is not built (the text says how to), or refuses.
    pub fn key(&self, name: &str) -> Result<KeyPair> {
        self.cosign(["generate-key-pair", "--output-key-prefix", name])?;
        Ok(KeyPair {
            private: self.path(&format!("{name}.key")),
            public: self.path(&format!("{name}.pub")),
        })
    }

    /// `cosign sign` with a key, without a transparency log: in the form of cosign 3, a bundle, or in the classic one.
    ///
    /// # Errors
    /// cosign is not built (the text says how to), or refuses.
    pub fn sign(&self, key: &KeyPair, reference: &str, as_bundle: bool) -> Result<()> {
        let form = format!("--new-bundle-format={as_bundle}");
        let key = key.private.to_string_lossy();
        self.cosign([
            "sign",
            "--yes",
            "--key",
            &key,
            "--tlog-upload=false",
            "--use-signing-config=false",
            &form,
            reference,
        ])
        .map(drop)
    }

    /// `cosign verify` with a key, without a transparency log: what it says of what it found.
    ///
    /// # Errors
    /// cosign is not built (the text says how to), or refuses.
    pub fn verify(&self, public: &Path, reference: &str) -> Result<Value> {
        self.verify_with(public, reference, &[])
    }

    /// The same of the classic form alone, whatever bundles are there.
    ///
    /// # Errors
    /// As [`OciTools::verify`].
    pub fn verify_classic(&self, public: &Path, reference: &str) -> Result<Value> {
        self.verify_with(public, reference, &["--new-bundle-format=false"])
    }

    fn verify_with(&self, public: &Path, reference: &str, more: &[&str]) -> Result<Value> {
        let key = public.to_string_lossy();
        let start = ["verify", "--key", &key, "--insecure-ignore-tlog=true"];
        let all = start.iter().chain(more).chain([&reference]);
        let said = self.cosign(all.copied())?;
        let json = said.trim().lines().last().unwrap_or_default();
        serde_json::from_str(json).with_context(|| format!("cosign said {said}"))
    }

    /// Runs cosign: what it printed.
    ///
    /// # Errors
    /// cosign is not built (the text says how to), or refuses.
    pub fn cosign<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
        self.ran(&places::cosign()?, arguments)
    }

    /// Runs oras: what it printed.
    ///
    /// # Errors
    /// oras is not built (the text says how to), or refuses.
    pub fn oras<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
        self.ran(&places::oras()?, arguments)
    }

    /// Runs wkg: what it printed.
    ///
    /// # Errors
    /// wkg is not there (the text says how to get it), or refuses.
    pub fn wkg<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
        self.ran(&places::wkg()?, arguments)
    }

    /// Runs a program of openssl's that writes to stdout.
    ///
    /// # Errors
    /// It is not there, or refuses.
    pub fn openssl<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
        self.ran(Path::new("openssl"), arguments)
    }

    fn ran<'a>(
        &self,
        program: &Path,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Result<String> {
        let arguments: Vec<&str> = arguments.into_iter().collect();
        let ran = self.run(program, &arguments)?;
        let said = String::from_utf8_lossy(&ran.stderr);
        let program = program.display();
        ensure!(
            ran.status.success(),
            "{program} {arguments:?}: {}: {said}",
            ran.status
        );
        match String::from_utf8(ran.stdout) {
            Ok(text) => Ok(text),
            Err(_) => bail!("{program} {arguments:?}: printed what is no text"),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the rig runs the real programs")]
    fn run(&self, program: &Path, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("COSIGN_PASSWORD", KEY_PASSWORD)
            .env("HTTPS_PROXY", NO_PROXY)
            .stdin(Stdio::null());
        command
            .output()
            .with_context(|| format!("starting {command:?}"))
    }
}
