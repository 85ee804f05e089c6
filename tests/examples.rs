//! Every folder of `examples/` is a repository: rendered by the real binary to its `expected/`, byte for byte, and synced.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;
use weir_core::lock::Lock;
use weir_tests::{Listing, Repo, Weir, places};

/// What is beside the repository in an example's folder, and no part of it.
const BESIDE: &[&str] = &["expected"];

fn examples() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(places::root().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    assert!(folders.len() >= 2, "{folders:?}");
    folders
}

fn repository(example: &Path) -> Repo {
    Repo::from_dir(example, BESIDE).unwrap()
}

/// A machine that renders charts and overlays.
fn weir() -> Weir {
    let weir = Weir::new().unwrap();
    weir.begin_with_engines().unwrap();
    weir
}

fn run(weir: &Weir, repo: &Repo, command: &str, more: &[&str]) -> String {
    let path = repo.path();
    let start = [command, "--repo", path.to_str().unwrap()];
    let ran = weir.run(start.iter().chain(more).copied()).unwrap();
    ran.success()
        .unwrap_or_else(|e| panic!("{command} {more:?}: {e}"))
}

/// The apps' names, as the binary itself lists them.
fn apps(weir: &Weir, repo: &Repo) -> Vec<String> {
    let all: Value = serde_json::from_str(&run(weir, repo, "render", &["-o", "json"])).unwrap();
    let apps = all["apps"].as_array().unwrap();
    assert!(!apps.is_empty());
    apps.iter()
        .map(|app| app["app"].as_str().unwrap().to_owned())
        .collect()
}

/// What `weir render APP` prints, by the name of the file in `expected/`.
fn rendered(weir: &Weir, repo: &Repo, more: &[&str]) -> BTreeMap<String, String> {
    let render = |app: String| {
        let arguments: Vec<&str> = [app.as_str()].iter().chain(more).copied().collect();
        let text = run(weir, repo, "render", &arguments);
        (format!("{app}.yaml"), text)
    };
    apps(weir, repo).into_iter().map(render).collect()
}

fn expected(example: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(example.join("expected")) else {
        return BTreeMap::new();
    };
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(&path).unwrap())
    };
    entries.map(|entry| read(entry.unwrap().path())).collect()
}

fn bless(example: &Path, rendered: &BTreeMap<String, String>) {
    let dir = example.join("expected");
    if dir.exists() {
        fs::remove_dir_all(&dir).unwrap();
    }
    fs::create_dir(&dir).unwrap();
    for (name, text) in rendered {
        fs::write(dir.join(name), text).unwrap();
    }
}

#[test]
fn every_example_renders_to_what_it_promises() {
    for example in examples() {
        let (weir, repo) = (weir(), repository(&example));
        let is = rendered(&weir, &repo, &[]);
        if std::env::var_os("WEIR_BLESS").is_some_and(|v| v == "1") {
            bless(&example, &is);
        }
        let should = expected(&example);
        let files = |all: &BTreeMap<String, String>| all.keys().cloned().collect::<Vec<_>>();
        let hint = format!(
            "{}: if the change is meant, run again with WEIR_BLESS=1 and read the diff of expected/",
            example.display()
        );
        assert_eq!(files(&is), files(&should), "{hint}");
        for (name, text) in &is {
            assert_eq!(text, &should[name], "{name}: {hint}");
        }
    }
}

#[test]
fn a_second_render_elsewhere_and_one_of_the_work_tree_give_the_same_bytes() {
    for example in examples() {
        let first = rendered(&weir(), &repository(&example), &[]);
        let mut other = weir();
        other
            .timezone("Asia/Kathmandu")
            .locale("tr_TR.UTF-8")
            .umask(0o077);
        let repo = repository(&example);
        assert_eq!(rendered(&other, &repo, &[]), first, "{}", example.display());
        let of_worktree = rendered(&other, &repo, &["--worktree"]);
        assert_eq!(of_worktree, first, "{}: --worktree", example.display());
    }
}

#[test]
fn with_a_lock_an_example_renders_the_same_and_without_a_warning() {
    for example in examples() {
        let (weir, mut repo) = (weir(), repository(&example));
        let without = rendered(&weir, &repo, &[]);
        run(&weir, &repo, "lock", &[]);
        repo.commit("Lock").unwrap();
        assert_eq!(
            rendered(&weir, &repo, &[]),
            without,
            "{}",
            example.display()
        );
        let path = repo.path();
        let ran = weir
            .run(["render", "--repo", path.to_str().unwrap()])
            .unwrap();
        assert!(!ran.stderr.contains("weir.lock"), "{}", ran.stderr);
    }
}

/// When each file was last written.
fn written(dir: &Path) -> BTreeMap<String, SystemTime> {
    let listing = Listing::read(dir).unwrap();
    let time = |path: &str| fs::metadata(dir.join(path)).unwrap().modified().unwrap();
    listing
        .paths()
        .into_iter()
        .map(|path| (path.to_owned(), time(path)))
        .collect()
}

#[test]
fn a_second_sync_of_an_example_changes_nothing() {
    for example in examples() {
        let (weir, repo) = (weir(), repository(&example));
        run(&weir, &repo, "lock", &[]);
        let lock = fs::read(repo.path().join("weir.lock")).unwrap();
        let lock = Lock::parse(&lock, "weir.lock").unwrap();
        repo.git(["checkout", "--quiet", "--", "."]).unwrap();
        let live = weir.path("live");
        let targets: Vec<String> = lock
            .targets
            .keys()
            .map(|name| format!("--target={name}=dir:{}", live.join(name.as_str()).display()))
            .collect();
        assert!(!targets.is_empty());
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        run(&weir, &repo, "sync", &targets);
        let (first, times) = (Listing::read(&live).unwrap(), written(&live));
        assert!(!first.paths().is_empty(), "{}", example.display());
        run(&weir, &repo, "sync", &targets);
        let second = Listing::read(&live).unwrap();
        assert_eq!(first.differences(&second), "", "{}", example.display());
        assert_eq!(
            written(&live),
            times,
            "{}: a file was written",
            example.display()
        );
    }
}
