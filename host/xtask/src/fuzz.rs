//! `cargo xtask fuzz`: each fuzz target of `fuzz/` for some minutes, through cargo-fuzz.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::arguments::number;
use crate::run::{Run, cargo, cargo_tool, program};
use crate::tools;

/// The cargo-fuzz that is installed into the cache.
const VERSION: &str = "0.13.2";
/// Minutes for each target where nothing else is said.
const MINUTES: u64 = 10;
/// Bytes of one input, at most: what is only large is a limit's work, and tests have that.
const MAX_LEN: usize = 16 << 10;
/// Seconds for one input.
const TIMEOUT: u64 = 10;
/// MiB for the whole process.
const MEMORY: u64 = 2048;
/// How it is called.
const USAGE: &str = "cargo xtask fuzz [--minutes N | --minimize] [TARGET...]";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    what: What,
    /// All, where none is named.
    targets: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    /// Look for new inputs, so many minutes for each target.
    Drive { minutes: u64 },
    /// Keep of a corpus, and of what was found in earlier runs, the fewest inputs that reach as much.
    Minimize,
}

/// Builds the targets and drives them one after another.
///
/// # Errors
/// A target was broken: the driver says by which input, which lies below `fuzz/artifacts`; cargo-fuzz cannot be had.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let asked = read(arguments)?;
    let known = targets(root)?;
    if let Some(unknown) = asked.targets.iter().find(|name| !known.contains(name)) {
        bail!("`{unknown}` is no target; there are: {}", known.join(", "));
    }
    let chosen = if asked.targets.is_empty() {
        &known
    } else {
        &asked.targets
    };
    let tool = installed(root)?;
    let mut broken = Vec::new();
    for name in chosen {
        println!("==> {name}");
        let result = match asked.what {
            What::Drive { minutes } => drive(root, &tool, name, minutes),
            What::Minimize => minimize(root, &tool, name),
        };
        if let Err(error) = result {
            println!("{name}: {error:#}");
            broken.push(name.as_str());
        }
    }
    if broken.is_empty() {
        Ok(())
    } else {
        bail!(
            "broken: {}; the inputs lie in fuzz/artifacts; `cargo run -p weir-fuzz --bin TARGET FILE` repeats one",
            broken.join(", ")
        )
    }
}

/// New inputs go below `target/`: what is worth keeping is put into the corpus by `--minimize`.
fn drive(root: &Path, tool: &Path, name: &str, minutes: u64) -> Result<()> {
    let found = root.join("target/fuzz/found").join(name);
    fs::create_dir_all(&found).with_context(|| format!("making {}", found.display()))?;
    fuzz(root, tool, "run")
        .arg(name)
        .arg(&found)
        .arg(root.join("fuzz/corpus").join(name))
        .arg("--")
        .args([
            format!("-max_total_time={}", minutes * 60),
            format!("-max_len={MAX_LEN}"),
            format!("-timeout={TIMEOUT}"),
            format!("-rss_limit_mb={MEMORY}"),
            "-print_final_stats=1".to_owned(),
            "-verbosity=1".to_owned(),
        ])
        .run()
}

fn minimize(root: &Path, tool: &Path, name: &str) -> Result<()> {
    let (corpus, found) = (
        root.join("fuzz/corpus").join(name),
        root.join("target/fuzz/found").join(name),
    );
    fs::create_dir_all(&found).with_context(|| format!("making {}", found.display()))?;
    for item in fs::read_dir(&found).with_context(|| format!("reading {}", found.display()))? {
        let item = item?;
        fs::copy(item.path(), corpus.join(item.file_name()))
            .with_context(|| format!("copying {}", item.path().display()))?;
    }
    fuzz(root, tool, "cmin").arg(name).arg(&corpus).run()
}

/// Without sanitizers: the code is safe Rust, and so the pinned compiler does.
fn fuzz(root: &Path, tool: &Path, task: &str) -> Run {
    cargo_tool(tool, root)
        .args(["fuzz", task, "--sanitizer", "none", "--fuzz-dir"])
        .arg(root.join("fuzz"))
        .arg("--target-dir")
        .arg(root.join("target/fuzz/build"))
}

/// cargo-fuzz, from the cache or installed into it.
fn installed(root: &Path) -> Result<PathBuf> {
    let cache = tools::cache()?;
    let binary = cache.join("bin/cargo-fuzz");
    let version = program(&binary, root).args(["fuzz", "--version"]);
    let there = binary.exists() && version.output().is_ok_and(|said| said.ends_with(VERSION));
    if !there {
        println!("installing cargo-fuzz {VERSION}, once (a minute or two)");
        cargo(&cache)
            .args([
                "install",
                "cargo-fuzz",
                "--locked",
                "--force",
                "--version",
                VERSION,
                "--root",
            ])
            .arg(&cache)
            .run()?;
    }
    Ok(binary)
}

/// Each target's name, from the folder of their sources.
fn targets(root: &Path) -> Result<Vec<String>> {
    let dir = root.join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for item in fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))? {
        if let Some(name) = item?
            .file_name()
            .to_str()
            .and_then(|f| f.strip_suffix(".rs"))
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn read(arguments: &[String]) -> Result<Asked> {
    let mut asked = Asked {
        what: What::Drive { minutes: MINUTES },
        targets: Vec::new(),
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--minutes" => {
                let minutes = number(word, words.next(), USAGE)?;
                asked.what = What::Drive { minutes };
            }
            "--minimize" => asked.what = What::Minimize,
            flag if flag.starts_with('-') => bail!("`{flag}` is no argument of this task: {USAGE}"),
            target => asked.targets.push(target.to_owned()),
        }
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::{Asked, MINUTES, What, read};

    fn asked(words: &str) -> Result<Asked, String> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        read(&words).map_err(|e| e.to_string())
    }

    #[test]
    fn all_targets_run_ten_minutes_each_unless_others_are_said() {
        let (what, targets) = (What::Drive { minutes: MINUTES }, Vec::new());
        assert_eq!(asked(""), Ok(Asked { what, targets }));
        let (what, targets) = (What::Drive { minutes: 2 }, vec!["lock".to_owned()]);
        assert_eq!(asked("--minutes 2 lock"), Ok(Asked { what, targets }));
        let (what, targets) = (What::Minimize, Vec::new());
        assert_eq!(asked("--minimize"), Ok(Asked { what, targets }));
    }

    #[test]
    fn what_is_no_number_and_no_flag_is_refused_with_the_usage() {
        for (words, part) in [("--minutes many", "--minutes many"), ("--fast", "`--fast`")] {
            let refused = asked(words).unwrap_err();
            assert!(
                refused.contains(part) && refused.contains("cargo xtask fuzz"),
                "{refused}"
            );
        }
    }
}
