//! What Weir does with outside input, as functions of bytes that a fuzzer drives: no input may panic, run on or break a rule.
//!
//! Each target checks more than that nothing falls over: what was read and is written again has to be the same, what passed
//! the gate has to keep its rules. `cargo xtask fuzz` drives them; the test here runs each over its corpus, so that what was
//! found once is looked at in every run of all tests.

use std::process::ExitCode;

mod files;
mod git;
mod output;
mod proof;
mod shipped;
mod trust;

/// One thing that is done with outside input.
pub struct Target {
    /// Its name: of the binary, and of the folder of its corpus.
    pub name: &'static str,
    /// What is done.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("manifest", files::manifest),
    target("lock", files::lock),
    target("yaml_stream", files::yaml_stream),
    target("names", files::names),
    target("guest_results", output::guest_results),
    target("tree_walk", git::tree_walk),
    target("chart_archive", git::chart_archive),
    target("receipt", proof::receipt),
    target("record", proof::record),
    target("known_hosts", trust::known_hosts),
    target("signatures", trust::signatures),
    target("sops", trust::sops),
    target("plugin_manifest", shipped::plugin_manifest),
    target("cosign", shipped::cosign),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// Runs the target of this name.
///
/// # Panics
/// When a rule is broken: that is what a fuzzer looks for. And when there is no such target.
#[expect(clippy::panic, reason = "a fuzzer is told by a panic")]
pub fn run(name: &str, data: &[u8]) {
    match TARGETS.iter().find(|target| target.name == name) {
        Some(target) => (target.run)(data),
        None => panic!("no target is called {name}"),
    }
}

/// Runs a target once for each file that the command line names: to look at what a fuzzer found.
#[expect(
    clippy::print_stderr,
    reason = "a developer's tool: its output is its terminal"
)]
pub fn repeat(name: &str) -> ExitCode {
    for file in std::env::args_os().skip(1) {
        match std::fs::read(&file) {
            Ok(data) => run(name, &data),
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::TARGETS;

    fn folder(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
    }

    fn names_in(dir: &Path) -> BTreeSet<String> {
        let items = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        items
            .map(|item| item.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn no_input_of_a_corpus_breaks_a_rule() {
        for target in TARGETS {
            let dir = folder("corpus").join(target.name);
            let inputs = names_in(&dir);
            assert!(!inputs.is_empty(), "{} has no input", dir.display());
            for input in inputs {
                println!("{}/{input}", target.name);
                (target.run)(&fs::read(dir.join(input)).unwrap());
            }
        }
    }

    #[test]
    fn each_target_has_a_binary_and_a_corpus_and_nothing_else_is_there() {
        let targets: BTreeSet<String> = TARGETS.iter().map(|t| t.name.to_owned()).collect();
        let binaries: BTreeSet<String> = names_in(&folder("fuzz_targets"))
            .iter()
            .map(|file| file.trim_end_matches(".rs").to_owned())
            .collect();
        assert_eq!(targets, binaries);
        assert_eq!(targets, names_in(&folder("corpus")));
    }

    #[test]
    fn corpora_are_small() {
        for target in TARGETS {
            let dir = folder("corpus").join(target.name);
            let inputs = names_in(&dir);
            let bytes: u64 = inputs
                .iter()
                .map(|input| fs::metadata(dir.join(input)).unwrap().len())
                .sum();
            assert!(
                inputs.len() <= 200 && bytes <= 200 << 10,
                "{}: {} inputs of {bytes} bytes; `cargo xtask fuzz --minimize {}` makes them fewer",
                dir.display(),
                inputs.len(),
                target.name
            );
        }
    }
}
