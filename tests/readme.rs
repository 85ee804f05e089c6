//! What the README says is run: its manifest, its commands, its plugin, its exit codes.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

use std::fs;

use weir_tests::{Repo, Weir, places};

/// Documents whose `weir` commands are run.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "examples/quickstart/README.md",
    "examples/multi-app/README.md",
];

fn read(path: &str) -> String {
    fs::read_to_string(places::root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The fenced blocks of a language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}");
    let mut found = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if line == opening {
            let body: Vec<&str> = lines.by_ref().take_while(|l| *l != "```").collect();
            found.push(body.join("\n") + "\n");
        }
    }
    found
}

/// The `weir` commands of a document's console blocks, as words.
fn commands(document: &str) -> Vec<Vec<String>> {
    let text = blocks(document, "console").concat();
    text.lines()
        .filter_map(|line| line.strip_prefix("$ weir "))
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect()
}

/// A repository with the README's manifest and two commits.
fn repository() -> Repo {
    let mut repo = Repo::empty().unwrap();
    let manifests = blocks(&read("README.md"), "yaml");
    assert_eq!(manifests.len(), 1, "the README shows one manifest");
    repo.write("weir.yaml", &manifests[0]).unwrap();
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: web }\ndata: { a: one }\n";
    repo.write("apps/web/map.yaml", map).unwrap();
    repo.commit("One").unwrap();
    repo.write("apps/web/map.yaml", map.replace("one", "two"))
        .unwrap();
    repo.commit("Two").unwrap();
    repo
}

#[test]
fn the_manifest_of_the_readme_renders_what_it_says() {
    let (weir, repo) = (Weir::new().unwrap(), repository());
    let path = repo.path();
    let text = weir
        .run(["render", "--repo", path.to_str().unwrap()])
        .unwrap()
        .success()
        .unwrap();
    assert!(
        text.contains("team: shop") && text.contains("namespace: shop"),
        "{text}"
    );
}

#[test]
fn the_commands_of_the_readme_run_in_the_order_given() {
    let repo = repository();
    let mut weir = Weir::new().unwrap();
    weir.current_dir(repo.path());
    let all = commands(&read("README.md"));
    assert!(all.len() >= 8, "{all:?}");
    for words in all.iter().filter(|words| words[0] != "serve") {
        let ran = weir.run(words).unwrap();
        ran.success()
            .unwrap_or_else(|e| panic!("weir {}: {e}", words.join(" ")));
    }
}

#[test]
fn every_command_that_a_document_shows_is_one_that_the_binary_takes() {
    let weir = Weir::new().unwrap();
    for document in DOCUMENTS {
        let all = commands(&read(document));
        assert!(!all.is_empty(), "{document} shows no command");
        for mut words in all {
            // Help stops the run, not the reading of what comes before it.
            words.push("--help".to_owned());
            let ran = weir.run(&words).unwrap();
            ran.success()
                .unwrap_or_else(|e| panic!("{document}: weir {}: {e}", words.join(" ")));
            let unknown: Vec<&String> = words.iter().filter(|w| w.starts_with("--")).collect();
            let help = weir.run([words[0].as_str(), "--help"]).unwrap();
            for flag in unknown {
                let name = flag.split('=').next().unwrap_or_default();
                assert!(
                    help.stdout.contains(name),
                    "{document}: {name} is not in the help of weir {}",
                    words[0]
                );
            }
        }
    }
}

#[test]
fn the_plugin_of_the_readme_is_one_that_is_built_and_has_twenty_lines() {
    let shown = blocks(&read("README.md"), "rust");
    assert_eq!(shown.len(), 1, "the README shows one plugin");
    assert_eq!(
        shown[0],
        read("tests/guests/examples/adds_team.rs"),
        "the README and tests/guests/examples/adds_team.rs are the same text"
    );
    assert!(
        shown[0].lines().count() <= 20,
        "{} lines",
        shown[0].lines().count()
    );
    assert!(read("tests/guests/guests.txt").contains("adds-team "));
}

#[test]
fn the_exit_codes_of_the_readme_are_those_of_the_help() {
    let help = Weir::new().unwrap().run(["--help"]).unwrap().success();
    let help = help
        .unwrap()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let (_, codes) = help.split_once("Exit codes: ").unwrap();
    let readme = read("README.md");
    let rows: Vec<String> = readme
        .split("| exit code | meaning |")
        .nth(1)
        .unwrap()
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            cells.join(" ")
        })
        .collect();
    assert_eq!(format!("{}.", rows.join(", ")), codes);
}

#[test]
fn the_words_that_the_readme_gives_the_quickstart_are_those_that_it_takes() {
    let (readme, task) = (read("README.md"), read("host/xtask/src/quickstart.rs"));
    let spans = readme.split('`').skip(1).step_by(2);
    let words: Vec<&str> = spans
        .filter_map(|span| span.strip_prefix("cargo quickstart"))
        .flat_map(str::split_whitespace)
        .collect();
    assert!(words.contains(&"--cluster") && words.contains(&"--check"));
    for word in words {
        assert!(task.contains(&format!("\"{word}\" =>")), "{word}");
    }
}
