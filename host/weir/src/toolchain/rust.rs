//! Rust: cargo makes a component for wasm32-wasip2, the same from the same source and toolchain everywhere.

use std::path::{Path, PathBuf};

use weir_core::fault::Fault;

use super::failed;
use super::tool::{Tool, made};
use crate::error::Error;

const TARGET: &str = "wasm32-wasip2";
const GET: &str = "install Rust (https://rustup.rs)";

/// The component of the package in a folder.
pub(super) fn compile(dir: &Path) -> Result<Vec<u8>, Error> {
    // Cargo tells paths as they really are.
    let dir = &dir
        .canonicalize()
        .map_err(|e| Error::Usage(format!("{}: {e}", dir.display())))?;
    has_target(dir)?;
    let cargo = Tool::new(dir, "cargo", GET)
        .args(["build", "--release", "--target", TARGET])
        .args([
            "--message-format",
            "json-render-diagnostics",
            "--target-dir",
        ])
        .args([dir.join("target")])
        // Takes the place of any RUSTFLAGS of this machine: they would change the bytes.
        .env("CARGO_ENCODED_RUSTFLAGS", flags(dir)?)
        // A wrapper's path would come into the bytes, through the symbols' hashes.
        .env("RUSTC_WORKSPACE_WRAPPER", "");
    let messages = cargo.output()?;
    let manifest = dir.join("Cargo.toml");
    let file = messages
        .split(|b| *b == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .filter_map(|message| artifact(&message, &manifest))
        .next_back();
    let file = file.ok_or_else(|| {
        let why = "`cargo build` made no component of this package: its Cargo.toml needs `[lib]` with `crate-type = [\"cdylib\"]`";
        failed(dir, Fault::Plugin, why)
    })?;
    made(dir, &file, "cargo build")
}

/// The component that a message of cargo names, where it is about this package.
fn artifact(message: &serde_json::Value, manifest: &Path) -> Option<PathBuf> {
    let is_ours = message["manifest_path"].as_str() == manifest.to_str();
    let files = message["filenames"].as_array().filter(|_| is_ours)?;
    let mut files = files.iter().filter_map(|f| f.as_str());
    files.find(|f| f.ends_with(".wasm")).map(PathBuf::from)
}

/// Flags under which no path of this machine reaches the bytes.
fn flags(dir: &Path) -> Result<String, Error> {
    let mut remaps = vec![(dir.to_owned(), "/plugin")];
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    remaps.extend(home.map(|home| (home, "/cargo")));
    remaps.push((sysroot(dir)?.join("lib/rustlib/src/rust"), "/rust"));
    // Where several match, the last one holds: the longest goes last, since one may lie inside another.
    remaps.sort_by_key(|(from, _)| from.as_os_str().len());
    let remaps = remaps.iter();
    let flags: Vec<String> = remaps
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
        .collect();
    Ok(flags.join("\u{1f}"))
}

fn sysroot(dir: &Path) -> Result<PathBuf, Error> {
    let said = rustc(dir, &["--print", "sysroot"])?;
    Ok(PathBuf::from(said))
}

/// The standard library for plugins is there.
fn has_target(dir: &Path) -> Result<(), Error> {
    let libraries = rustc(dir, &["--print", "target-libdir", "--target", TARGET])?;
    if Path::new(&libraries).is_dir() {
        return Ok(());
    }
    let why = format!(
        "this Rust toolchain has no standard library for {TARGET}: run `rustup target add {TARGET}`"
    );
    Err(failed(dir, Fault::Host, why))
}

fn rustc(dir: &Path, args: &[&str]) -> Result<String, Error> {
    let said = Tool::new(dir, "rustc", GET).args(args).output()?;
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}
