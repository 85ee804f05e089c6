//! The bundled plugins and the test guests, built for wasm32-wasip2 so that the same source gives the same bytes in any folder.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::go_plugins;
use crate::run::{Run, cargo, program};

/// The bundled plugins: their name in a manifest. The package is `weir-plugin-NAME`.
const PLUGINS: [&str; 7] = [
    "yaml",
    "metadata",
    "baseline",
    "patch",
    "images",
    "substitute",
    "schema",
];
/// Those written in Go: their name in a manifest, and their folder.
const GO_PLUGINS: [(&str, &str); 6] = [
    ("helm", "plugins/helm"),
    ("kustomize", "plugins/kustomize"),
    ("jsonnet", "plugins/jsonnet"),
    ("starlark", "plugins/scripts/starlark"),
    ("js", "plugins/scripts/js"),
    ("cel", "plugins/scripts/cel"),
];

/// What was built against the first version of the interface (`tests/since-0.1.0`).
const SINCE: [&str; 3] = ["since-renderer", "since-transformer", "since-validator"];

/// Where plugins are compiled: a folder for each clone, as Cargo's templates say it.
const BUILD_DIR: &str = "{cargo-cache-home}/weir-build/plugins/{workspace-path-hash}";
const TARGET: &str = "wasm32-wasip2";

/// The folders that a build of the plugins reads, besides the workspace's own files: Cargo wants each member of
/// the workspace, also those that it does not build.
const SOURCES: [&str; 6] = ["host", "plugins", "tests", "fuzz", "wit", ".cargo"];

/// The workspace's own files that decide what is built.
const FILES: [&str; 4] = [
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "clippy.toml",
];

/// The components of one build.
pub(crate) struct Built {
    pub(crate) components: Vec<Component>,
}

/// One component.
pub(crate) struct Component {
    pub(crate) name: String,
    /// SHA-256 in hex.
    pub(crate) digest: String,
    /// Its size.
    pub(crate) bytes: usize,
}

/// Where cargo puts things.
struct Places {
    target: PathBuf,
    /// Another Cargo home and intermediate folder than the developer's own.
    own_home: Option<PathBuf>,
}

/// Builds the bundled plugins into `target/plugins`: each by its digest, and an index of the names.
pub(crate) fn build_plugins(root: &Path) -> Result<Built> {
    let places = Places {
        target: root.join("target"),
        own_home: None,
    };
    let files = compile_plugins(root, &places)?;
    let mut files = files;
    for (name, folder) in GO_PLUGINS {
        files.push((name, go_plugins::component(root, folder)?));
    }
    let dir = root.join("target/plugins");
    let mut built = Built {
        components: Vec::new(),
    };
    for (name, file) in files {
        let (component, bytes) = component(name, &file)?;
        write_whole(&dir.join(format!("{}.wasm", component.digest)), &bytes)?;
        println!(
            "    {name}: {} KiB, sha256:{}",
            component.bytes.div_ceil(1024),
            component.digest
        );
        built.components.push(component);
    }
    // Last, so that an index never names a component that is not there.
    write_whole(&dir.join("index.json"), built.index().as_bytes())?;
    Ok(built)
}

/// Builds the test guests into `target/guests`, each by its name.
pub(crate) fn build_guests(root: &Path) -> Result<Built> {
    let places = Places {
        target: root.join("target"),
        own_home: None,
    };
    let packages = ["--package=weir-guests", "--package=weir-since-0-1-0"];
    compile(root, &places, &[packages[0], packages[1], "--examples"])?;
    let made = places.target.join(TARGET).join("plugin/examples");
    let dir = root.join("target/guests");
    let mut built = Built {
        components: Vec::new(),
    };
    let since = SINCE.map(str::to_owned);
    for name in guest_names(root)?.into_iter().chain(since) {
        let (component, bytes) = component(
            &name,
            &made.join(format!("{}.wasm", name.replace('-', "_"))),
        )?;
        write_whole(&dir.join(format!("{name}.wasm")), &bytes)?;
        built.components.push(component);
    }
    println!("    {} guests", built.components.len());
    Ok(built)
}

/// Builds the bundled plugins again, from a copy in another folder, with another Cargo home and nothing compiled
/// before, and compares the bytes.
pub(crate) fn check_reproducible(root: &Path) -> Result<()> {
    let first = build_plugins(root)?;
    let copy = root.join("target/reproducible/a folder with another name");
    if copy.exists() {
        fs::remove_dir_all(&copy).with_context(|| format!("removing {}", copy.display()))?;
    }
    copy_sources(root, &copy)?;
    let own_home = second_cargo_home(root, &copy)?;
    let places = Places {
        target: copy.join("out"),
        own_home: Some(own_home),
    };
    let files = compile_plugins(&copy, &places)?;
    for (before, (name, file)) in first.components.iter().zip(files) {
        let (after, _) = component(name, &file)?;
        if after.digest != before.digest {
            bail!(
                "{name} is sha256:{} when built in {} and sha256:{} when built in {}: compare the two with `wasm-tools print`",
                before.digest,
                root.display(),
                after.digest,
                file.display(),
            );
        }
    }
    for (_, folder) in GO_PLUGINS {
        go_plugins::check_reproducible(root, &copy, folder)?;
    }
    go_plugins::check_reproducible(root, &copy, "tests/guests/go/renders")?;
    println!(
        "    {} plugins: the same bytes in both folders",
        first.components.len()
    );
    fs::remove_dir_all(&copy).with_context(|| format!("removing {}", copy.display()))
}

fn compile_plugins(root: &Path, places: &Places) -> Result<Vec<(&'static str, PathBuf)>> {
    let packages = PLUGINS.map(|name| format!("--package=weir-plugin-{name}"));
    compile(root, places, &packages)?;
    let made = places.target.join(TARGET).join("plugin");
    Ok(PLUGINS
        .map(|name| (name, made.join(format!("weir_plugin_{name}.wasm"))))
        .to_vec())
}

fn compile(root: &Path, places: &Places, what: &[impl AsRef<std::ffi::OsStr>]) -> Result<()> {
    ensure_target(root)?;
    let mut run = cargo(root)
        .args([
            "build",
            "--locked",
            "--profile",
            "plugin",
            "--target",
            TARGET,
            "--target-dir",
        ])
        .arg(&places.target)
        .args(what)
        // Takes the place of any RUSTFLAGS of this machine: they would change the bytes.
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags(root, places)?)
        // The wrapper that keeps clones apart (.cargo/config.toml) would bring its path into the symbols' hashes
        // and so into the bytes: plugins have a build folder of each clone's own instead.
        .env("RUSTC_WORKSPACE_WRAPPER", "")
        .env("CARGO_BUILD_BUILD_DIR", BUILD_DIR);
    if let Some(home) = &places.own_home {
        run = run
            .env("CARGO_HOME", home)
            .env("CARGO_BUILD_BUILD_DIR", home.join("build"));
    }
    run.run()
}

/// Flags under which no path of this machine reaches the bytes.
fn rust_flags(root: &Path, places: &Places) -> Result<String> {
    let sysroot = rustc(root).args(["--print", "sysroot"]).output()?;
    let home = match &places.own_home {
        Some(home) => home.clone(),
        None => cargo_home()?,
    };
    let mut remaps = [
        (home, "/cargo"),
        (PathBuf::from(sysroot).join("lib/rustlib/src/rust"), "/rust"),
        (root.to_path_buf(), "/weir"),
    ];
    // Where several match, the last one holds: the longest goes last, since one may lie inside another.
    remaps.sort_by_key(|(from, _)| from.as_os_str().len());
    let flags = remaps.map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    Ok(flags.join("\u{1f}"))
}

fn rustc(root: &Path) -> Run {
    program(
        std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()),
        root,
    )
}

/// rustup may be set not to install what `rust-toolchain.toml` names.
fn ensure_target(root: &Path) -> Result<()> {
    let libraries = rustc(root)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()?;
    if Path::new(&libraries).is_dir() {
        return Ok(());
    }
    program("rustup", root)
        .args(["target", "add", TARGET])
        .run()
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::home_dir().context("neither CARGO_HOME nor HOME is set")?;
    Ok(home.join(".cargo"))
}

/// A Cargo home at another path that shares the downloaded sources and the registry's settings.
fn second_cargo_home(root: &Path, copy: &Path) -> Result<PathBuf> {
    let (ours, other) = (cargo_home()?, copy.join("cargo home"));
    fs::create_dir_all(&other).with_context(|| format!("making {}", other.display()))?;
    for name in ["registry", "config.toml"] {
        // Relative to the workspace, as cargo itself takes a relative CARGO_HOME.
        let shared = root.join(&ours).join(name);
        if shared.exists() {
            std::os::unix::fs::symlink(&shared, other.join(name))
                .with_context(|| format!("linking {}", shared.display()))?;
        }
    }
    Ok(other)
}

fn copy_sources(root: &Path, copy: &Path) -> Result<()> {
    for folder in SOURCES {
        copy_folder(&root.join(folder), &copy.join(folder))?;
    }
    for file in FILES {
        fs::copy(root.join(file), copy.join(file)).with_context(|| format!("copying {file}"))?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() && entry.file_name() != "target" {
            copy_folder(&from, &to)?;
        } else if kind.is_file() {
            fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
        }
    }
    Ok(())
}

/// The guests, by the list that the tests check too.
fn guest_names(root: &Path) -> Result<Vec<String>> {
    let path = root.join("tests/guests/guests.txt");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let names = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(names
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect())
}

fn component(name: &str, file: &Path) -> Result<(Component, Vec<u8>)> {
    let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let mut digest = String::new();
    for byte in Sha256::digest(&bytes) {
        write!(digest, "{byte:02x}")?;
    }
    Ok((
        Component {
            name: name.to_owned(),
            digest,
            bytes: bytes.len(),
        },
        bytes,
    ))
}

/// Writes a file so that a reader sees it whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let dir = path.parent().context("the path has a folder")?;
    fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let part = path.with_extension(format!("{}.part", std::process::id()));
    fs::write(&part, bytes).with_context(|| format!("writing {}", part.display()))?;
    fs::rename(&part, path).with_context(|| format!("naming {}", path.display()))
}

impl Built {
    /// The index that the host reads: the digest of each name.
    fn index(&self) -> String {
        let lines: Vec<String> = self
            .components
            .iter()
            .map(|component| {
                format!(
                    "    \"{}\": \"sha256:{}\"",
                    component.name, component.digest
                )
            })
            .collect();
        format!(
            "{{\n  \"version\": 1,\n  \"plugins\": {{\n{}\n  }}\n}}\n",
            lines.join(",\n")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_names_each_plugin_by_its_digest() {
        let component = |name: &str| Component {
            name: name.into(),
            digest: "ab".into(),
            bytes: 1,
        };
        let built = Built {
            components: vec![component("yaml"), component("baseline")],
        };
        let expected = "{\n  \"version\": 1,\n  \"plugins\": {\n    \"yaml\": \"sha256:ab\",\n    \"baseline\": \"sha256:ab\"\n  }\n}\n";
        assert_eq!(built.index(), expected);
    }

    #[test]
    fn each_member_of_the_workspace_is_in_a_copy_of_the_sources() {
        let manifest = include_str!("../../../Cargo.toml");
        let members = manifest.split("members = [").nth(1).unwrap_or_default();
        let members: Vec<&str> = members
            .split(']')
            .next()
            .unwrap_or_default()
            .split('"')
            .skip(1)
            .step_by(2)
            .collect();
        assert!(members.contains(&"host/core"), "{members:?}");
        for member in members {
            let folder = member.split('/').next().unwrap_or_default();
            assert!(SOURCES.contains(&folder), "{member} is not copied");
        }
    }
}
