//! The real `sops` and the real `age-keygen`, in a folder of their own with nothing of the user's.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::places;

/// A folder with keys and files.
#[derive(Debug)]
pub struct Sops {
    dir: TempDir,
}

/// A key that `age-keygen` made.
#[derive(Debug, Clone)]
pub struct Key {
    /// The file that it wrote, which only this user may read.
    pub path: PathBuf,
    /// The public half: `age1...`.
    pub recipient: String,
}

impl Key {
    /// The line with the secret half.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn secret(&self) -> Result<String> {
        let text = std::fs::read_to_string(&self.path)?;
        let line = text.lines().find(|l| l.starts_with("AGE-SECRET-KEY-"));
        Ok(line.context("a secret key")?.to_owned())
    }
}

impl Sops {
    /// An empty folder.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn new() -> Result<Sops> {
        let dir = tempfile::Builder::new().prefix("weir-sops-").tempdir()?;
        Ok(Sops { dir })
    }

    /// Makes a key.
    ///
    /// # Errors
    /// `age-keygen` is not built (the text says how to), or refuses.
    pub fn key(&self, name: &str) -> Result<Key> {
        let path = self.dir.path().join(format!("{name}.agekey"));
        let keygen = places::age_keygen()?;
        let file = path.as_os_str();
        self.run(&keygen, |c| c.arg("-o").arg(file), &[])?;
        let text = std::fs::read_to_string(&path)?;
        let recipient = text
            .lines()
            .find_map(|line| line.strip_prefix("# public key: "));
        Ok(Key {
            recipient: recipient.context("a public key")?.to_owned(),
            path,
        })
    }

    /// `sops --encrypt` of a file of this name, for these keys.
    ///
    /// # Errors
    /// `sops` is not built (the text says how to), or refuses.
    pub fn encrypt(
        &self,
        keys: &[&Key],
        name: &str,
        plain: impl AsRef<[u8]>,
        flags: &[&str],
    ) -> Result<Vec<u8>> {
        let recipients: Vec<&str> = keys.iter().map(|key| key.recipient.as_str()).collect();
        let path = self.write(name, plain.as_ref())?;
        let recipients = recipients.join(",");
        let encrypt = ["--encrypt", "--age", &recipients];
        self.run(
            &places::sops()?,
            |c| c.args(encrypt).args(flags).arg(&path),
            &[],
        )
    }

    /// `sops --decrypt` of a file of this name.
    ///
    /// # Errors
    /// `sops` refuses.
    pub fn decrypt(&self, key: &Key, name: &str, sealed: &[u8], flags: &[&str]) -> Result<Vec<u8>> {
        let path = self.write(name, sealed)?;
        self.run(
            &places::sops()?,
            |c| c.arg("--decrypt").args(flags).arg(&path),
            &[("SOPS_AGE_KEY_FILE", &key.path)],
        )
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes)?;
        Ok(path)
    }

    #[expect(clippy::disallowed_methods, reason = "the rig runs the real program")]
    fn run(
        &self,
        program: &Path,
        arguments: impl FnOnce(&mut Command) -> &mut Command,
        variables: &[(&str, &Path)],
    ) -> Result<Vec<u8>> {
        let mut command = Command::new(program);
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::null());
        arguments(&mut command);
        let ran = command
            .output()
            .with_context(|| format!("starting {command:?}"))?;
        let said = String::from_utf8_lossy(&ran.stderr);
        ensure!(ran.status.success(), "{command:?}: {}: {said}", ran.status);
        Ok(ran.stdout)
    }
}
