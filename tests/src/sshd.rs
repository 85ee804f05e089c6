//! The real sshd on a loopback port, with keys by the real ssh-keygen, that serves repositories by the real git.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::places;
use crate::weir::Serving;

/// Longer than sshd takes to start on any machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Ports that somebody else may take before the server does.
const TRIES: usize = 5;

/// The kinds of keys, as ssh-keygen calls them.
pub const KINDS: [&str; 3] = ["ed25519", "ecdsa", "rsa"];

/// What the server does with whoever has logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// What git's own shell lets them: fetch.
    Git,
    /// What they ask for, by the user's shell, as a plain account would.
    Shell,
    /// The same as `Git`, and breaks off after so many bytes.
    Cut(usize),
    /// Nothing, for as long as they stay.
    Nothing,
    /// Says this on its standard error and ends with this code.
    Say(&'static str, i32),
}

/// How the server is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The kinds of host keys that it shows.
    pub host_keys: Vec<&'static str>,
    /// It takes the protocol's version from the client.
    pub protocol: bool,
    /// More lines of its configuration; `{dir}` is [`Sshd::dir`].
    pub more: String,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            host_keys: vec!["ed25519"],
            protocol: true,
            more: String::new(),
        }
    }
}

/// The server. Dropping it ends the process and removes its keys.
#[derive(Debug)]
pub struct Sshd {
    dir: TempDir,
    setup: Setup,
    user: String,
    port: u16,
    process: Option<Serving>,
}

impl Sshd {
    /// One that serves all repositories below this folder, which is also the home of `~`.
    ///
    /// # Errors
    /// sshd or ssh-keygen is not there (the text says what to do), or does not start.
    pub fn start(root: &Path) -> Result<Sshd> {
        Sshd::with(root, Setup::default())
    }

    /// The same, set up otherwise.
    ///
    /// # Errors
    /// As [`Sshd::start`].
    pub fn with(root: &Path, setup: Setup) -> Result<Sshd> {
        let dir = tempfile::Builder::new().prefix("weir-sshd-").tempdir()?;
        for kind in &setup.host_keys {
            make_key(kind, &dir.path().join(format!("host_{kind}")), "")?;
        }
        fs::write(dir.path().join("authorized_keys"), "")?;
        std::os::unix::fs::symlink(root, dir.path().join("root"))?;
        let user = output("id", &["-un"])?;
        let mut server = Sshd {
            dir,
            setup,
            user,
            port: 0,
            process: None,
        };
        server.does(Does::Git)?;
        let mut last = None;
        for _ in 0..TRIES {
            server.port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
                .local_addr()?
                .port();
            match server.again() {
                Ok(()) => return Ok(server),
                Err(e) => last = Some(e),
            }
        }
        bail!("sshd does not start: {last:?}")
    }

    /// Starts it where it was, with the keys that it has.
    ///
    /// # Errors
    /// It does not start.
    #[expect(clippy::disallowed_methods, reason = "the rig runs the real sshd")]
    pub fn again(&mut self) -> Result<()> {
        let dir = self.dir.path().to_str().context("a folder that is text")?;
        let mut config = format!(
            "ListenAddress 127.0.0.1:{}\nAuthorizedKeysFile {dir}/authorized_keys\nForceCommand {dir}/serve\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\nMaxStartups 100\nMaxAuthTries 10\nLogLevel VERBOSE\n",
            self.port
        );
        for kind in &self.setup.host_keys {
            writeln!(config, "HostKey {dir}/host_{kind}")?;
        }
        if self.setup.protocol {
            config.push_str("AcceptEnv GIT_PROTOCOL\n");
        }
        config.push_str(&self.setup.more.replace("{dir}", dir));
        let sshd = places::sshd()?;
        if punishes(&sshd)? {
            // Many tests are refused from this one address, and no address is to be shut out for that.
            config.push_str("PerSourcePenalties no\n");
        }
        let file = self.dir.path().join("sshd_config");
        fs::write(&file, config)?;
        if self.user == "root" {
            // sshd wants this empty folder of its own, which a package makes at each start of the machine.
            let _ = fs::create_dir("/run/sshd");
        }
        let mut command = Command::new(sshd);
        command
            .args(["-D", "-e", "-f"])
            .arg(&file)
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .stdin(Stdio::null());
        let mut process = Serving::start(command)?;
        process.wait_for_text("Server listening on 127.0.0.1", PATIENCE)?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends it: connections are refused.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// What it does with whoever logs in from now on.
    ///
    /// # Errors
    /// No room.
    pub fn does(&self, what: Does) -> Result<()> {
        let dir = self.dir.path().display();
        let git = format!(
            "env -i PATH=/usr/bin:/bin HOME={dir}/root \"GIT_PROTOCOL=$GIT_PROTOCOL\" GIT_CONFIG_GLOBAL=/dev/null \
             GIT_CONFIG_NOSYSTEM=1 git-shell -c \"$SSH_ORIGINAL_COMMAND\""
        );
        let script = match what {
            Does::Git => format!("exec {git}"),
            Does::Shell => "export HOME=$PWD GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1\nexec \"$SHELL\" -c \
                            \"$SSH_ORIGINAL_COMMAND\""
                .to_owned(),
            // git would wait for the next question; the shell that sshd waits for is gone by then.
            Does::Cut(bytes) => format!("{git} 2>/dev/null | {{ dd bs=4k iflag=count_bytes count={bytes} status=none; kill -9 $$; }}"),
            Does::Nothing => "exec cat >/dev/null".to_owned(),
            Does::Say(text, code) => format!("echo '{text}' >&2\nexit {code}"),
        };
        let path = self.dir.path().join("serve");
        let new = self.dir.path().join("serve.new");
        fs::write(&new, format!("#!/bin/sh\ncd {dir}/root\n{script}\n"))?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
        fs::rename(new, path).context("changing what the server does")
    }

    /// Where its files lie, and a test's own may.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Who may log in: whoever runs the test.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Its port of 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a path on the server, which begins with a slash.
    #[must_use]
    pub fn url_of(&self, path: &str) -> String {
        format!("ssh://{}@127.0.0.1:{}{path}", self.user, self.port)
    }

    /// The URL of a repository below the root.
    #[must_use]
    pub fn url(&self, repository: &str) -> String {
        self.url_of(&format!("/~/{repository}"))
    }

    /// A new key of a kind that may log in.
    ///
    /// # Errors
    /// ssh-keygen fails.
    pub fn key(&self, kind: &str) -> Result<PathBuf> {
        let path = self.stranger(kind)?;
        self.let_in(&path)?;
        Ok(path)
    }

    /// A new key of a kind that nobody knows.
    ///
    /// # Errors
    /// ssh-keygen fails.
    pub fn stranger(&self, kind: &str) -> Result<PathBuf> {
        let count = fs::read_dir(self.dir.path())?.count();
        let path = self.dir.path().join(format!("key_{count}_{kind}"));
        make_key(kind, &path, "")?;
        Ok(path)
    }

    /// Lets a key in from now on, and no other one.
    ///
    /// # Errors
    /// There is no public half beside it.
    pub fn let_in_only(&self, key: &Path) -> Result<()> {
        fs::write(self.dir.path().join("authorized_keys"), public(key)?).context("authorized_keys")
    }

    /// Lets a key in from now on, too.
    ///
    /// # Errors
    /// There is no public half beside it.
    pub fn let_in(&self, key: &Path) -> Result<()> {
        let file = self.dir.path().join("authorized_keys");
        let keys = fs::read_to_string(&file)?;
        fs::write(file, keys + &public(key)?).context("authorized_keys")
    }

    /// What `known_hosts` calls it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("[127.0.0.1]:{}", self.port)
    }

    /// The public half of its host key of a kind: type and key.
    ///
    /// # Errors
    /// It has none of that kind.
    pub fn host_key(&self, kind: &str) -> Result<String> {
        let text = public(&self.dir.path().join(format!("host_{kind}")))?;
        Ok(text.split(' ').take(2).collect::<Vec<_>>().join(" "))
    }

    /// The fingerprint of its host key of a kind, as ssh-keygen prints it.
    ///
    /// # Errors
    /// It has none of that kind.
    pub fn fingerprint(&self, kind: &str) -> Result<String> {
        fingerprint(&self.dir.path().join(format!("host_{kind}.pub")))
    }

    /// A `known_hosts` with these lines.
    ///
    /// # Errors
    /// No room.
    pub fn known_hosts(&self, text: &str) -> Result<PathBuf> {
        let count = fs::read_dir(self.dir.path())?.count();
        let path = self.dir.path().join(format!("known_hosts_{count}"));
        fs::write(&path, text)?;
        Ok(path)
    }

    /// A `known_hosts` that knows it by all of its keys.
    ///
    /// # Errors
    /// No room.
    pub fn known(&self) -> Result<PathBuf> {
        let mut text = String::new();
        for kind in &self.setup.host_keys {
            writeln!(text, "{} {}", self.name(), self.host_key(kind)?)?;
        }
        self.known_hosts(&text)
    }

    /// What it logged so far, with all that it has logged until now.
    ///
    /// # Errors
    /// It does not run.
    pub fn log(&mut self) -> Result<String> {
        let process = self.process.as_mut().context("sshd does not run")?;
        process.runs_for(Duration::ZERO)?;
        Ok(process.transcript())
    }

    /// Waits until it has logged this, after what was waited for before.
    ///
    /// # Errors
    /// It does not in time.
    pub fn wait_for(&mut self, text: &str) -> Result<String> {
        let process = self.process.as_mut().context("sshd does not run")?;
        process.wait_for_text(text, PATIENCE)
    }
}

/// Whether it has the option `PerSourcePenalties`: since 9.8, and before that it does not start with it.
#[expect(clippy::disallowed_methods, reason = "the rig runs the real sshd")]
fn punishes(sshd: &Path) -> Result<bool> {
    let out = Command::new(sshd).arg("-V").output()?;
    let text = String::from_utf8_lossy(&out.stderr);
    let version = text.split("OpenSSH_").nth(1).unwrap_or_default();
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .map(|n| n.parse::<u32>().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    Ok((major, minor) >= (9, 8))
}

/// Makes a key by the real ssh-keygen.
///
/// # Errors
/// It fails.
pub fn make_key(kind: &str, path: &Path, passphrase: &str) -> Result<()> {
    let file = path.to_str().context("a path that is text")?;
    output(
        "ssh-keygen",
        &["-q", "-t", kind, "-N", passphrase, "-C", "", "-f", file],
    )
    .map(drop)
}

/// The fingerprint of a public key's file.
///
/// # Errors
/// It is none.
pub fn fingerprint(file: &Path) -> Result<String> {
    let file = file.to_str().context("a path that is text")?;
    let line = output("ssh-keygen", &["-lf", file])?;
    let word = line.split(' ').nth(1).context("a fingerprint")?;
    Ok(word.to_owned())
}

/// Runs one of ssh's tools; what it printed.
///
/// # Errors
/// It is not there, or fails.
#[expect(
    clippy::disallowed_methods,
    reason = "keys are made by who makes them everywhere"
)]
pub fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null());
    let out = command
        .output()
        .with_context(|| format!("{program}: install openssh-client"))?;
    if !out.status.success() {
        bail!(
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

fn public(key: &Path) -> Result<String> {
    let mut file = key.as_os_str().to_owned();
    file.push(".pub");
    fs::read_to_string(&file).with_context(|| format!("reading {}", Path::new(&file).display()))
}

/// Processes of ssh that were told of this folder's files: none may be left when a fetch is over.
///
/// # Errors
/// The processes of this machine cannot be listed.
pub fn left_over(dir: &Path) -> Result<Vec<String>> {
    let needle = format!("IdentityFile=\"{}", dir.display());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        // One that has ended meanwhile has no words.
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(&needle) {
            found.push(command);
        }
    }
    Ok(found)
}
