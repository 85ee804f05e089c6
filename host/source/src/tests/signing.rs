//! Keys and signatures of the real `ssh-keygen`, `gpg` and `git`, in a home of their own.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use weir_core::digest::CommitId;

use super::git::{self, Repo};

/// A home with SSH keys and a GnuPG folder. Its agent ends with it.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    pub(crate) fn new() -> Home {
        // The path of the agent's socket has to be short.
        let dir = tempfile::Builder::new()
            .prefix("ws")
            .tempdir_in("/tmp")
            .unwrap();
        let gnupg = dir.path().join("g");
        fs::DirBuilder::new().mode(0o700).create(gnupg).unwrap();
        Home { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A tool that sees this home and nothing else.
    pub(crate) fn tool(&self, name: &str) -> Command {
        // The environment of the tests' git, and another program.
        let plain = git::command(self.dir.path());
        #[expect(
            clippy::disallowed_methods,
            reason = "the real tools are what this crate is compared with"
        )]
        let mut tool = Command::new(name);
        tool.env_clear();
        for (variable, value) in plain.get_envs() {
            if let Some(value) = value {
                tool.env(variable, value);
            }
        }
        tool.current_dir(self.dir.path())
            .env("GNUPGHOME", self.path("g"))
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        tool
    }

    pub(crate) fn run(&self, tool: &str, args: &[&str]) -> String {
        ran(self.tool(tool).args(args))
    }

    /// The public line of a new SSH key, whose private half is the file of this name.
    pub(crate) fn ssh_key(&self, name: &str, kind: &[&str]) -> String {
        let file = self.path(name);
        let mut keygen = self.tool("ssh-keygen");
        keygen.args(["-q", "-N", "", "-C", name, "-f"]).arg(&file);
        ran(keygen.arg("-t").args(kind));
        let public = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        public.trim_end().to_owned()
    }

    /// `ssh-keygen -Y sign` over these bytes.
    pub(crate) fn ssh_signature(&self, key: &str, namespace: &str, bytes: &[u8]) -> String {
        let mut keygen = self.tool("ssh-keygen");
        keygen.args(["-Y", "sign", "-n", namespace, "-f"]);
        fed(keygen.arg(self.path(key)), bytes)
    }

    /// gpg that asks nobody anything.
    pub(crate) fn gpg(&self, args: &[&str]) -> String {
        ran(self.tool("gpg").args(QUIET).args(args))
    }

    pub(crate) fn gpg_fed(&self, args: &[&str], bytes: &[u8]) -> String {
        fed(self.tool("gpg").args(QUIET).args(args), bytes)
    }

    /// The fingerprint of a new OpenPGP key.
    pub(crate) fn gpg_key(&self, user: &str, args: &[&str]) -> String {
        self.gpg(&[&["--quick-gen-key", user], args].concat());
        self.fingerprints(user).remove(0)
    }

    /// Of a key and its subkeys.
    pub(crate) fn fingerprints(&self, user: &str) -> Vec<String> {
        let listed = self.gpg(&["--with-colons", "--list-keys", user]);
        let lines = listed.lines().filter_map(|line| line.strip_prefix("fpr:"));
        lines
            .map(|line| line.trim_matches(':').to_owned())
            .collect()
    }

    pub(crate) fn exported(&self, user: &str) -> String {
        self.gpg(&["--armor", "--export", user])
    }

    /// A program that is gpg with more words, for `gpg.program`.
    pub(crate) fn gpg_with(&self, name: &str, words: &str) -> PathBuf {
        let file = self.path(name);
        let quiet = QUIET.iter().map(|word| format!("'{word}'"));
        let quiet: Vec<String> = quiet.collect();
        let script = format!("#!/bin/sh\nexec gpg {} {words} \"$@\"\n", quiet.join(" "));
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    /// `git` in a repository, as this home's user.
    pub(crate) fn git(&self, repo: &Repo, args: &[&str]) -> Result<String, String> {
        let mut git = self.tool("git");
        let out = git.current_dir(repo.path()).args(args).output().unwrap();
        match out.status.success() {
            true => Ok(String::from_utf8(out.stdout).unwrap().trim_end().to_owned()),
            false => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
        }
    }

    /// A commit that git signs with this SSH key. Git itself verifies nothing here.
    pub(crate) fn commit_ssh(&self, repo: &Repo, key: &str, files: &[(&str, &str)]) -> CommitId {
        repo.write(files);
        self.git(repo, &["add", "-A"]).unwrap();
        self.signed(
            repo,
            key,
            &[
                "commit",
                "-q",
                "--allow-empty",
                "-S",
                "-m",
                "A signed change",
            ],
        )
    }

    /// Any command of git that makes a commit, signed with this SSH key.
    pub(crate) fn signed(&self, repo: &Repo, key: &str, args: &[&str]) -> CommitId {
        let key = format!("user.signingkey={}", self.path(key).display());
        let config = ["-c", "gpg.format=ssh", "-c", &key];
        self.git(repo, &[&config, args].concat()).unwrap();
        repo.head()
    }

    /// A commit that git signs with this OpenPGP key, by this program.
    pub(crate) fn commit_gpg(&self, repo: &Repo, key: &str, program: &Path) -> CommitId {
        let (key, program) = (
            format!("user.signingkey={key}"),
            format!("gpg.program={}", program.display()),
        );
        let args = [
            "-c",
            &key,
            "-c",
            &program,
            "commit",
            "-q",
            "--allow-empty",
            "-S",
            "-m",
            "x",
        ];
        self.git(repo, &args).unwrap();
        repo.head()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.tool("gpgconf").args(["--kill", "all"]).output();
    }
}

const QUIET: &[&str] = &[
    "--batch",
    "--quiet",
    "--no-tty",
    "--pinentry-mode",
    "loopback",
    "--passphrase",
    "",
];

fn ran(command: &mut Command) -> String {
    let out = command.output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}: {said}");
    String::from_utf8(out.stdout).unwrap()
}

fn fed(command: &mut Command, bytes: &[u8]) -> String {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}: {said}");
    String::from_utf8(out.stdout).unwrap()
}

/// The bytes of a commit's object.
pub(crate) fn bytes(repo: &Repo, commit: CommitId) -> Vec<u8> {
    let out = git::command(repo.path())
        .args(["cat-file", "commit", &commit.to_string()])
        .output()
        .unwrap();
    assert!(out.status.success());
    out.stdout
}

/// A commit's bytes with this signature in them.
pub(crate) fn with_signature(unsigned: &[u8], signature: &str) -> Vec<u8> {
    let text = String::from_utf8(unsigned.to_vec()).unwrap();
    let (head, message) = text.split_once("\n\n").unwrap();
    let lines = signature.trim_end().replace('\n', "\n ");
    format!("{head}\ngpgsig {lines}\n\n{message}").into_bytes()
}
