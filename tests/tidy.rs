//! Rules about the tree itself: what every file must have, which crate may know which, what the docs promise.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "tidy/pages.rs"]
mod pages;

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
    for dir in ["fuzz", "host", "plugins", "tests"] {
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
    let adapters = [
        "source", "sandbox", "cluster", "ledger", "api", "receipt", "secrets",
    ];
    for name in adapters {
        let own = format!("weir-{name}");
        let weir: Vec<String> = dependencies(&format!("host/{name}/Cargo.toml"))
            .into_iter()
            .filter(|d| d.starts_with("weir") && *d != own)
            .collect();
        let known: &[&str] = match name {
            "sandbox" => &["weir-cache", "weir-confine", "weir-core"],
            "source" => &["weir-confine", "weir-core"],
            _ => &["weir-core"],
        };
        assert_eq!(weir, known, "host/{name}/Cargo.toml");
    }
    for name in ["cache", "confine", "yaml"] {
        let own = format!("weir-{name}");
        let tool = dependencies(&format!("host/{name}/Cargo.toml")).into_iter();
        let weir: Vec<String> = tool
            .filter(|d| d.starts_with("weir") && *d != own)
            .collect();
        assert!(weir.is_empty(), "host/{name} knows {weir:?}");
    }
}

#[test]
fn the_core_has_no_means_for_io() {
    let allowed = [
        "base64",
        "globset",
        "hex",
        "hmac",
        "jiff",
        "rpds",
        "schemars",
        "serde",
        "serde_json",
        "sha2",
        "strsim",
        "thiserror",
        "weir-yaml",
        "zeroize",
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
        ("ed25519-dalek", "receipt"),
        ("aes-gcm", "secrets"),
        ("x25519-dalek", "secrets"),
    ] {
        for crate_name in [
            "core", "source", "sandbox", "cluster", "ledger", "api", "receipt", "secrets", "weir",
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
            // A test of libtest, or a trial of a suite that makes its own.
            all.contains(&format!("fn {name}(")) || all.contains(&format!("\"{name}\",")),
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
fn every_step_at_which_a_test_may_kill_is_listed_and_each_listed_one_is_there() {
    fn quoted(text: &str) -> Option<String> {
        text.split('"').next().map(str::to_owned)
    }
    let list = read("host/weir/src/crash.rs");
    // Those that every sync passes, and those of hooks.
    let lists = list.split("STEPS: &[&str] = &[").skip(1);
    let lists = lists.filter_map(|list| list.split("];").next());
    let listed: BTreeSet<String> = lists
        .flat_map(|list| list.split('"').skip(1).step_by(2))
        .map(str::to_owned)
        .collect();
    let mut passed = BTreeSet::new();
    let own = root().join("host/weir/src");
    for path in rust_files().iter().filter(|p| p.starts_with(&own)) {
        let text = fs::read_to_string(path).unwrap();
        // Called by its name, or as what an event of a target is.
        let calls = text.split("crash_point(\"").skip(1).filter_map(quoted);
        passed.extend(calls);
        let events = text
            .lines()
            .filter(|l| l.trim().starts_with("ApplyEvent::"));
        let events = events.filter_map(|l| l.split("=> \"").nth(1));
        passed.extend(events.filter_map(quoted));
    }
    assert_eq!(
        listed, passed,
        "on the left: listed in host/weir/src/crash.rs"
    );
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

/// Files that no `mod` line leads to, since Cargo or a test finds them by a path: crate roots.
fn crate_roots() -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = rust_files()
        .into_iter()
        .filter(|path| {
            let parts: Vec<&str> = path.iter().rev().filter_map(|p| p.to_str()).collect();
            matches!(
                parts[..],
                ["lib.rs" | "main.rs", "src", ..] | [_, "examples", ..]
            )
        })
        .collect();
    for manifest in [
        "fuzz/Cargo.toml",
        "tests/Cargo.toml",
        "host/sandbox/Cargo.toml",
    ] {
        let text = read(manifest);
        let dir = root().join(manifest).parent().unwrap().to_owned();
        let paths = text.lines().filter_map(|l| l.strip_prefix("path = \""));
        roots.extend(paths.map(|p| dir.join(p.trim_end_matches('"'))));
    }
    // Cargo finds a crate's own tests and benchmarks without being told, one folder deep.
    roots.extend(rust_files().into_iter().filter(|path| {
        let parent = path.parent().unwrap();
        let found = ["tests", "benches"].iter().any(|d| parent.ends_with(d));
        found
            && parent.with_file_name("Cargo.toml").exists()
            && parent.with_file_name("src").exists()
    }));
    roots
}

/// The files that a file's `mod name;` and `#[path = "name"]` lines mean.
fn modules_of(path: &Path) -> Vec<PathBuf> {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let parent = path.parent().unwrap();
    let is_root = ["lib", "main", "mod"].contains(&stem) || crate_roots().iter().any(|r| r == path);
    let dir = if is_root {
        parent.to_owned()
    } else {
        parent.join(stem)
    };
    let text = fs::read_to_string(path).unwrap();
    let names = text.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub ").unwrap_or(line);
        let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
        let line = line.strip_prefix("pub(super) ").unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    let files = names.flat_map(|n| [dir.join(format!("{n}.rs")), dir.join(n).join("mod.rs")]);
    // Relative to the folder that the file lies in, whatever the file is called.
    let named = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("#[path = \"")?.strip_suffix("\"]"));
    let named = named.map(|name| parent.join(name));
    files.chain(named).filter(|file| file.exists()).collect()
}

#[test]
fn every_file_is_compiled() {
    let mut reached = std::collections::BTreeSet::new();
    let mut next = crate_roots();
    while let Some(path) = next.pop() {
        if reached.insert(path.clone()) {
            next.extend(modules_of(&path));
        }
    }
    for path in rust_files() {
        assert!(
            reached.contains(&path),
            "{}: no `mod` line leads here, so nobody compiles it",
            path.display()
        );
    }
}

#[test]
fn the_plugin_interface_is_the_one_that_its_page_pins() {
    use sha2::{Digest as _, Sha256};
    let mut files: Vec<PathBuf> = fs::read_dir(root().join("wit"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "wit"))
        .collect();
    files.sort();
    let mut hasher = Sha256::new();
    for file in &files {
        hasher.update(file.file_name().unwrap().as_encoded_bytes());
        hasher.update([0]);
        hasher.update(fs::read(file).unwrap());
        hasher.update([0]);
    }
    let digest = format!("digest: `sha256:{}`", hex::encode(hasher.finalize()));
    assert!(
        read("wit/README.md").contains(&digest),
        "wit/*.wit changed: if that is meant, follow wit/README.md, then pin {digest} there"
    );
}

#[test]
fn every_example_says_what_it_is_and_what_it_renders_to() {
    for entry in fs::read_dir(root().join("examples"))
        .unwrap()
        .map(Result::unwrap)
    {
        let path = entry.path();
        if !path.is_dir() {
            continue;
        }
        for part in ["weir.yaml", "README.md", "expected"] {
            assert!(
                path.join(part).exists(),
                "{}: has no {part}",
                path.display()
            );
        }
    }
}

#[test]
fn every_exception_to_a_lint_has_its_reason() {
    for path in rust_files().iter().filter(|p| !p.ends_with("tidy.rs")) {
        let text = fs::read_to_string(path).unwrap();
        for opening in ["[expect(", "[allow("] {
            for (at, _) in text.match_indices(opening) {
                let attribute = text[at..].split(")]").next().unwrap_or_default();
                assert!(
                    attribute.contains("reason = "),
                    "{}: {attribute}: add reason = \"...\"",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn no_function_is_longer_than_a_reader_can_hold() {
    let is_function = |line: &str| {
        let words = line.trim_start().split(' ');
        let mut words =
            words.skip_while(|w| w.starts_with("pub") || ["const", "async", "unsafe"].contains(w));
        words.next() == Some("fn")
    };
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, l)| is_function(l)) {
            let indent = line.len() - line.trim_start().len();
            let end = format!("{}}}", " ".repeat(indent));
            let length = lines[at..].iter().take_while(|l| ***l != end).count() + 1;
            let has_body = !line.ends_with(';') && !line.ends_with('}');
            assert!(
                !has_body || length <= 100,
                "{}:{}: {length} lines; at most 100: split it",
                path.display(),
                at + 1
            );
        }
    }
}

#[test]
fn the_changelog_says_what_is_not_released_yet() {
    let text = read("CHANGELOG.md");
    let unreleased = text.split("\n## ").nth(1).unwrap_or_default();
    assert!(
        unreleased.starts_with("Unreleased"),
        "the first heading is `## Unreleased`"
    );
    assert!(
        unreleased.lines().any(|l| l.starts_with("- ")),
        "nothing is listed under Unreleased"
    );
}
