//! Rules about the tree itself: what every file must have, which crate may know which, what the docs promise.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn rust_files() -> Vec<PathBuf> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                if path.file_name().is_some_and(|n| n != "target") {
                    walk(&path, out);
                }
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    let mut out = Vec::new();
    for dir in ["host", "plugins", "tests"] {
        walk(&root().join(dir), &mut out);
    }
    assert!(out.len() > 60, "the walk found only {} files", out.len());
    out
}

/// The crates that a Cargo.toml names as its dependencies, tests' left out.
fn dependencies(manifest: &str) -> Vec<String> {
    let text = read(manifest);
    let section = text.split("[dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section
        .lines()
        .filter(|l| l.contains('=') && !l.starts_with('#'));
    names
        .filter_map(|l| l.split(['.', ' ', '=']).next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_file_begins_with_what_it_is() {
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("//!"),
            "{}: begin with `//!` and one sentence",
            path.display()
        );
    }
}

#[test]
fn no_test_is_switched_off_and_nothing_is_left_to_do() {
    for path in rust_files().iter().filter(|p| !p.ends_with("tidy.rs")) {
        let text = fs::read_to_string(path).unwrap();
        for bad in ["#[ignore", "todo!(", "unimplemented!("] {
            assert!(!text.contains(bad), "{}: holds {bad}", path.display());
        }
    }
}

#[test]
fn adapters_know_the_core_and_not_each_other() {
    let adapters = ["source", "sandbox", "cluster", "ledger", "api"];
    for name in adapters {
        let own = format!("weir-{name}");
        let weir: Vec<String> = dependencies(&format!("host/{name}/Cargo.toml"))
            .into_iter()
            .filter(|d| d.starts_with("weir") && *d != own)
            .collect();
        assert_eq!(weir, ["weir-core"], "host/{name}/Cargo.toml");
    }
}

#[test]
fn the_core_has_no_means_for_io() {
    let allowed = [
        "base64",
        "globset",
        "granit-parser",
        "hex",
        "jiff",
        "schemars",
        "serde",
        "serde_json",
        "sha2",
        "strsim",
        "thiserror",
    ];
    for name in dependencies("host/core/Cargo.toml") {
        assert!(
            allowed.contains(&name.as_str()),
            "host/core may not depend on {name}: the core does no IO"
        );
    }
}

#[test]
fn each_outside_world_has_one_crate_that_sees_it() {
    for (library, owner) in [
        ("gix", "source"),
        ("wasmtime", "sandbox"),
        ("object_store", "ledger"),
        ("axum", "api"),
    ] {
        for crate_name in [
            "core", "source", "sandbox", "cluster", "ledger", "api", "weir",
        ] {
            let sees = dependencies(&format!("host/{crate_name}/Cargo.toml"))
                .iter()
                .any(|d| d == library);
            assert_eq!(
                sees,
                crate_name == owner,
                "{library} belongs to host/{owner}; host/{crate_name} is asked"
            );
        }
    }
}

#[test]
fn the_readme_names_the_two_commands_and_ci_runs_the_second() {
    let readme = read("README.md");
    assert!(readme.contains("cargo quickstart") && readme.contains("cargo fulltest"));
    let aliases = read(".cargo/config.toml");
    assert!(aliases.contains("quickstart =") && aliases.contains("fulltest ="));
    assert!(read(".ci/run").contains("cargo fulltest"));
}

#[test]
fn every_test_that_the_architecture_names_is_there() {
    let all: String = rust_files()
        .iter()
        .map(|p| fs::read_to_string(p).unwrap())
        .collect();
    let text = read("ARCHITECTURE.md");
    let names: Vec<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|w| {
            w.matches('_').count() >= 3
                && w.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        })
        .collect();
    assert!(
        names.len() >= 10,
        "ARCHITECTURE.md names only {} tests",
        names.len()
    );
    for name in names {
        assert!(
            all.contains(&format!("fn {name}(")),
            "ARCHITECTURE.md names the test `{name}`, which is not there"
        );
    }
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    for path in rust_files() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(
            lines <= 500,
            "{}: {lines} lines; at most 500: split it",
            path.display()
        );
    }
}

#[test]
fn every_suite_is_listed_so_that_it_runs() {
    let manifest = read("tests/Cargo.toml");
    for entry in fs::read_dir(root().join("tests"))
        .unwrap()
        .map(Result::unwrap)
    {
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".rs") {
            assert!(
                manifest.contains(&format!("path = \"{name}\"")),
                "tests/Cargo.toml does not list {name}"
            );
        }
    }
}
