//! Keys and signatures of the real `ssh-keygen` and `gpg`, in a home of their own.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

/// A home with keys. Its agent of gpg ends with it.
#[derive(Debug)]
pub struct Signers {
    dir: TempDir,
}

impl Signers {
    /// Without any key.
    ///
    /// # Errors
    /// No room.
    pub fn new() -> Result<Signers> {
        // The path of the agent's socket has to be short.
        let dir = tempfile::Builder::new().prefix("ws").tempdir_in("/tmp")?;
        fs::DirBuilder::new()
            .mode(0o700)
            .create(dir.path().join("g"))?;
        Ok(Signers { dir })
    }

    /// A file of the home.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A new SSH key: its line of `allowed_signers`, for `NAME@e`.
    ///
    /// # Errors
    /// There is no `ssh-keygen`: install openssh-client.
    pub fn ssh_key(&self, name: &str) -> Result<String> {
        let file = self.path(name);
        let mut keygen = self.tool("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]);
        output(keygen.arg(&file))?;
        let public = fs::read_to_string(self.path(&format!("{name}.pub")))?;
        Ok(format!("{name}@e {}", public.trim_end()))
    }

    /// The settings with which git signs with an SSH key.
    #[must_use]
    pub fn ssh(&self, name: &str) -> Vec<String> {
        let key = format!("user.signingkey={}", self.path(name).display());
        vec!["gpg.format=ssh".to_owned(), key]
    }

    /// A new OpenPGP key for `NAME@e`, armoured, and the settings with which git signs with it.
    ///
    /// # Errors
    /// There is no `gpg`: install gnupg.
    pub fn gpg_key(&self, name: &str) -> Result<(String, Vec<String>)> {
        let user = format!("{name}@e");
        self.gpg(&["--quick-gen-key", &user, "ed25519", "sign", "never"])?;
        let public = self.gpg(&["--armor", "--export", &user])?;
        let program = self.path("gpg-here");
        let home = self.path("g");
        let script = format!(
            "#!/bin/sh\nGNUPGHOME={} exec gpg {} \"$@\"\n",
            home.display(),
            QUIET.map(|word| format!("'{word}'")).join(" ")
        );
        fs::write(&program, script)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        let settings = [
            format!("gpg.program={}", program.display()),
            format!("user.signingkey={user}"),
        ];
        Ok((public, settings.to_vec()))
    }

    /// Writes a file of the home.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    fn gpg(&self, words: &[&str]) -> Result<String> {
        output(self.tool("gpg").args(QUIET).args(words))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the rig signs with the real tools"
    )]
    fn tool(&self, name: impl AsRef<OsStr>) -> Command {
        let mut tool = Command::new(name);
        tool.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            tool.env("PATH", path);
        }
        tool.env("HOME", self.dir.path())
            .env("GNUPGHOME", self.path("g"))
            .env("LC_ALL", "C")
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        tool
    }
}

impl Drop for Signers {
    fn drop(&mut self) {
        let _ = self.tool("gpgconf").args(["--kill", "all"]).output();
    }
}

/// gpg asks nobody anything.
const QUIET: [&str; 7] = [
    "--batch",
    "--quiet",
    "--no-tty",
    "--pinentry-mode",
    "loopback",
    "--passphrase",
    "",
];

fn output(command: &mut Command) -> Result<String> {
    let out = command
        .output()
        .with_context(|| format!("starting {:?}", Path::new(command.get_program())))?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{command:?}: {said}");
    Ok(String::from_utf8(out.stdout)?)
}
