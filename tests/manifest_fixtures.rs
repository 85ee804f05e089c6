//! Fixture pairs of `weir.yaml` and `weir.lock`: each `fixtures/manifest/X.yaml` is a test named `X`.
//!
//! Beside it lies either `X.json` (accepted: the manifest as resolved, with its warnings) or `X.err` (the
//! exact refusal). A name that starts with `lock-` is a lock alone; where `X.lock` lies beside it, the
//! manifest is checked against that lock, too. Comment lines at the top say what is around the file:
//! `# tree: a/b.yaml, c/, link -> a, module @` is the commit's tree, `# fill: N` appends N bytes of comment.
//! `WEIR_BLESS=1` writes what is seen, to be read before it is committed.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use weir_core::digest::{BlobId, CommitId};
use weir_core::lock::{self, LOCK_FILE, Lock};
use weir_core::manifest::{MANIFEST_FILE, Manifest, ManifestErrors};
use weir_core::tree::{Entry, Tree};

/// Fewer would mean that the folder was not read.
const LEAST: usize = 60;

fn main() -> ExitCode {
    let files = fixtures();
    let mut trials: Vec<Trial> = files
        .iter()
        .filter(|path| extension(path) == "yaml")
        .map(|path| {
            let path = path.clone();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            Trial::test(name, move || check(&path))
        })
        .collect();
    trials.push(Trial::test(
        "every_file_of_the_folder_belongs_to_a_pair",
        move || belongs(&files),
    ));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// What a manifest or lock gives: its JSON, or the text of its refusal.
fn outcome(path: &Path) -> Result<Value, ManifestErrors> {
    let text = with_fill(std::fs::read(path).unwrap());
    if is_lock(path) {
        let read = Lock::parse(&text, LOCK_FILE)?;
        return Ok(serde_json::to_value(read).unwrap());
    }
    let tree = tree(&header(&text, "tree").unwrap_or_default());
    let resolved = Manifest::parse(&text, MANIFEST_FILE, &tree)?;
    let beside = path.with_extension("lock");
    if beside.exists() {
        let read = Lock::parse(&std::fs::read(beside).unwrap(), LOCK_FILE)?;
        lock::check(&resolved.manifest, Some(&read), MANIFEST_FILE)?;
    }
    let warnings: Vec<String> = resolved.warnings.iter().map(ToString::to_string).collect();
    Ok(json!({ "manifest": resolved.manifest, "warnings": warnings }))
}

fn check(path: &Path) -> Result<(), Failed> {
    let (seen, wrong, extension) = match outcome(path) {
        Ok(value) => (
            format!("{}\n", serde_json::to_string_pretty(&value).unwrap()),
            "err",
            "json",
        ),
        Err(errors) => (format!("{errors}\n"), "json", "err"),
    };
    let expected = path.with_extension(extension);
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::write(&expected, &seen)?;
        let other = path.with_extension(wrong);
        if other.exists() {
            std::fs::remove_file(other)?;
        }
        return Ok(());
    }
    match std::fs::read_to_string(&expected) {
        Ok(text) if text == seen => Ok(()),
        Ok(text) => Err(format!(
            "{} says:\n{text}\nbut this was seen:\n{seen}",
            expected.display()
        )
        .into()),
        Err(error) => {
            Err(format!("{}: {error}; this was seen:\n{seen}", expected.display()).into())
        }
    }
}

fn belongs(files: &BTreeSet<PathBuf>) -> Result<(), Failed> {
    let with = |path: &Path, extension: &str| files.contains(&path.with_extension(extension));
    let mut wrong = Vec::new();
    let mut pairs = 0;
    for path in files {
        let fits = match extension(path) {
            "yaml" => {
                pairs += 1;
                with(path, "json") != with(path, "err")
            }
            "json" | "err" | "lock" => with(path, "yaml"),
            _ => false,
        };
        if !fits {
            wrong.push(path.display().to_string());
        }
    }
    if pairs < LEAST {
        wrong.push(format!("there are {pairs} pairs, fewer than {LEAST}"));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n").into())
    }
}

fn fixtures() -> BTreeSet<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/manifest");
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|e| e.to_str()).unwrap_or("")
}

fn is_lock(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("lock-"))
}

/// The value of `# key: value` among the comment lines at the top.
fn header(text: &[u8], key: &str) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let prefix = format!("# {key}: ");
    text.lines()
        .take_while(|line| line.starts_with('#'))
        .find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
}

fn with_fill(mut text: Vec<u8>) -> Vec<u8> {
    if let Some(bytes) = header(&text, "fill") {
        let bytes: usize = bytes.parse().unwrap();
        text.push(b'#');
        text.resize(text.len() + bytes, b'x');
    }
    text
}

fn tree(description: &str) -> Tree {
    let id = BlobId::from_bytes([0; 20]);
    let mut entries = BTreeMap::new();
    for item in description.split(", ").filter(|item| !item.is_empty()) {
        let (path, entry) = if let Some((path, target)) = item.split_once(" -> ") {
            let target = target.to_owned();
            (path.to_owned(), Entry::Symlink { id, target })
        } else if let Some(path) = item.strip_suffix(" @") {
            let id = CommitId::from_bytes([0; 20]);
            (path.to_owned(), Entry::Submodule { id })
        } else {
            // A directory is there by what lies in it.
            let below = if item.ends_with('/') { "file.yaml" } else { "" };
            let file = Entry::File {
                id,
                size: 1,
                executable: false,
            };
            (format!("{item}{below}"), file)
        };
        entries.insert(path.parse().unwrap(), entry);
    }
    Tree::new(None, entries).unwrap()
}
