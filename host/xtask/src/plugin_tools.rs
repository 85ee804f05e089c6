//! What turns plugins in JavaScript and Python into components for the tests: componentize-js and componentize-py, in the
//! versions that `weir plugin build` names, once into the cache. npm's and pip's own caches make a second time offline.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
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
/// What runs them, and Debian's packages of it.
const PROGRAMS: [(&str, &[&str], &str); 3] = [
    ("node", &["--version"], "nodejs"),
    ("npm", &["--version"], "npm"),
    ("python3", &["-c", "import ensurepip, venv"], "python3-venv"),
];
/// Where Debian's node begins to be new enough.
const NODE: u32 = 20;

/// The folder: `js/node_modules` and the environment `python`. `target/plugin-tools` is a link to it.
///
/// # Errors
/// Node, npm or Python is missing and cannot be had here; the text says what to install.
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
    programs(root)?;
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
    for (tool, arguments) in [("node", "--version"), ("python3", "--version")] {
        digest.update(program(tool, root).arg(arguments).output()?);
    }
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
        javascript(&templates, &folder.join("js"), &js)?;
        python(root, &folder.join("python"), &py)?;
        fs::write(&done, b"").with_context(|| format!("making {}", done.display()))?;
    }
    Ok(folder)
}

/// What a new project has: the same package-lock.json, and so the same bytes.
fn javascript(templates: &Path, folder: &Path, version: &str) -> Result<()> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder)?;
    for file in PACKAGE {
        let text = fs::read_to_string(templates.join(file))?;
        let text = text
            .replace("{{name}}", "plugin-tools")
            .replace("{{componentize-js}}", version);
        fs::write(folder.join(file), text).with_context(|| format!("writing {file}"))?;
    }
    program("npm", folder)
        .args(["ci", "--no-audit", "--no-fund", "--prefer-offline"])
        .run()
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

/// Node, npm and Python are there; installed where this runs as root on Debian.
fn programs(root: &Path) -> Result<()> {
    let missing = || {
        let all = PROGRAMS.iter();
        all.filter(|(tool, arguments, _)| !program(tool, root).args(*arguments).succeeds())
    };
    let packages: Vec<&str> = missing().map(|(_, _, package)| *package).collect();
    if !packages.is_empty() {
        let is_root = program("id", root).arg("-u").output()? == "0";
        if is_root && program("apt-get", root).arg("--version").succeeds() {
            println!("{} missing: installing it", packages.join(" and "));
            program("apt-get", root).args(["update", "-q"]).run()?;
            program("apt-get", root)
                .args(["install", "-q", "-y", "--no-install-recommends"])
                .args(&packages)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .run()?;
        }
    }
    if let Some((tool, _, package)) = missing().next() {
        bail!(
            "{tool} is missing, for the tests of plugins in JavaScript and Python: install it (`apt install {package}`), or name a folder that has been made elsewhere with {VARIABLE}"
        );
    }
    let said = program("node", root).arg("--version").output()?;
    let major = said.trim_start_matches('v').split('.').next();
    if major
        .and_then(|major| major.parse().ok())
        .is_none_or(|major: u32| major < NODE)
    {
        bail!("node says that it is {said}: install Node.js {NODE} or newer (https://nodejs.org)");
    }
    Ok(())
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
