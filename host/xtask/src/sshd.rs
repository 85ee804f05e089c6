//! The sshd of the tests: the machine's own, or Debian's package unpacked into the cache, which installs and starts nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::run::program;
use crate::tools;

/// Where a package puts it.
const INSTALLED: &str = "/usr/sbin/sshd";
/// sshd, and the one library of it that small images do not have.
const PACKAGES: [&str; 2] = ["openssh-server", "libwrap0"];
/// Names a program that a person has already.
pub(crate) const VARIABLE: &str = "WEIR_SSHD";

/// The program. `target/sshd` is a link to it.
///
/// # Errors
/// There is none, and it cannot be had here; the text says what to install.
pub(crate) fn get(root: &Path) -> Result<PathBuf> {
    client(root)?;
    let made = match std::env::var_os(VARIABLE) {
        Some(path) => fs::canonicalize(&path)
            .with_context(|| format!("{} ({VARIABLE})", Path::new(&path).display()))?,
        None if starts(root, Path::new(INSTALLED)) => INSTALLED.into(),
        None => unpacked(root)?,
    };
    account(root)?;
    link(root, &made)?;
    Ok(made)
}

/// OpenSSH's client is there, which the host itself runs: installed where this runs as root.
fn client(root: &Path) -> Result<()> {
    let there = || {
        ["ssh", "ssh-keygen", "ssh-agent"]
            .iter()
            .all(|tool| which(root, tool))
    };
    if there() {
        return Ok(());
    }
    if is_root(root)? && which(root, "apt-get") {
        println!("openssh-client is missing: installing it");
        program("apt-get", root).args(["update", "-q"]).run()?;
        program("apt-get", root)
            .args([
                "install",
                "-q",
                "-y",
                "--no-install-recommends",
                "openssh-client",
            ])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .run()?;
    }
    if !there() {
        bail!("ssh is not in PATH: install OpenSSH's client (`apt install openssh-client`)");
    }
    Ok(())
}

fn unpacked(root: &Path) -> Result<PathBuf> {
    let folder = tools::cache()?.join("sshd");
    let launcher = folder.join("launch");
    if starts(root, &launcher) {
        return Ok(launcher);
    }
    let advice = "install it (`apt install openssh-server`), or name one with WEIR_SSHD";
    if !which(root, "apt-get") || !which(root, "dpkg-deb") {
        bail!("sshd is not at {INSTALLED}: {advice}");
    }
    println!("sshd is missing: unpacking Debian's package into the cache (nothing is installed)");
    let _ = fs::remove_dir_all(&folder);
    let half = folder.join("half");
    fs::create_dir_all(&half).with_context(|| format!("making {}", half.display()))?;
    let download = || program("apt-get", &half).arg("download").args(PACKAGES);
    if !download().succeeds() {
        if is_root(root)? {
            program("apt-get", root).args(["update", "-q"]).run()?;
        }
        download().run().context(advice)?;
    }
    for entry in fs::read_dir(&half)? {
        program("dpkg-deb", root)
            .arg("-x")
            .arg(entry?.path())
            .arg(folder.join("files"))
            .run()?;
    }
    fs::remove_dir_all(&half)?;
    let script = script(&folder.join("files"))?;
    fs::write(&launcher, script).with_context(|| format!("making {}", launcher.display()))?;
    fs::set_permissions(&launcher, fs::Permissions::from_mode(0o755))?;
    if !starts(root, &launcher) {
        bail!(
            "the sshd that was unpacked into {} does not start here: {advice}",
            folder.display()
        );
    }
    Ok(launcher)
}

/// Runs what was unpacked with the libraries beside it. From version 10 on it starts programs of its own, by their paths.
fn script(files: &Path) -> Result<String> {
    let mut libraries = Vec::new();
    for lib in ["lib", "usr/lib"] {
        let Ok(entries) = fs::read_dir(files.join(lib)) else {
            continue;
        };
        for entry in entries {
            libraries.push(entry?.path().display().to_string());
        }
    }
    let mut options = String::new();
    for (option, name) in [
        ("SshdSessionPath", "sshd-session"),
        ("SshdAuthPath", "sshd-auth"),
    ] {
        let path = files.join("usr/lib/openssh").join(name);
        if path.is_file() {
            options.push_str(&format!(" -o {option}={}", path.display()));
        }
    }
    Ok(format!(
        "#!/bin/sh\nLD_LIBRARY_PATH={} exec {}{options} \"$@\"\n",
        libraries.join(":"),
        files.join("usr/sbin/sshd").display()
    ))
}

/// Whether it can be loaded: it knows its own version, or at least how to say that it does not.
fn starts(root: &Path, sshd: &Path) -> bool {
    sshd.is_file()
        && program("sh", root)
            .args(["-c", "\"$0\" -V 2>&1 | grep -q OpenSSH"])
            .arg(sshd)
            .succeeds()
}

/// As root, sshd hands part of its work to a user of its own.
fn account(root: &Path) -> Result<()> {
    if !is_root(root)? || program("id", root).arg("sshd").succeeds() {
        return Ok(());
    }
    println!("the user sshd is missing: adding it");
    program("useradd", root)
        .args(["--system", "--no-create-home", "--home-dir", "/run/sshd"])
        .args(["--shell", "/usr/sbin/nologin", "sshd"])
        .run()
        .context("install openssh-server, which adds it")
}

fn is_root(root: &Path) -> Result<bool> {
    Ok(program("id", root).arg("-u").output()? == "0")
}

fn which(root: &Path, tool: &str) -> bool {
    program("sh", root)
        .args(["-c", "command -v \"$0\""])
        .arg(tool)
        .succeeds()
}

/// Where the suites look without a variable.
fn link(root: &Path, made: &Path) -> Result<()> {
    let link = root.join("target/sshd");
    fs::create_dir_all(root.join("target"))?;
    if fs::read_link(&link).is_ok_and(|to| to == made) {
        return Ok(());
    }
    let new = root.join(format!("target/sshd.{}", std::process::id()));
    symlink(made, &new)?;
    fs::rename(&new, &link).with_context(|| format!("making {}", link.display()))
}
