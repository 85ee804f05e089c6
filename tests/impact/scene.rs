//! A repository of four apps for the suite of `weir impact`, and what is printed without what differs from build to build.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use weir_tests::scene::map;
use weir_tests::weir::text;
use weir_tests::{Ran, Repo, Weir, places};

/// Four apps: three with a label from a transformer, one without.
pub(crate) const MANIFEST: &str = "version: 1\n\
    plugins: { metadata: { source: 'bundled:metadata' } }\n\
    apps:\n\
    - { name: a, path: a, transform: [{ plugin: metadata, config: { labels: { team: shop } } }] }\n\
    - { name: b, path: b, transform: [{ plugin: metadata, config: { labels: { team: shop } } }] }\n\
    - { name: c, path: c, transform: [{ plugin: metadata, config: { labels: { team: shop } } }] }\n\
    - { name: d, path: d }\n";

pub(crate) struct Scene {
    pub(crate) repo: Repo,
    pub(crate) weir: Weir,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let mut repo = Repo::empty().unwrap();
        repo.write("weir.yaml", MANIFEST).unwrap();
        for app in ["a", "b", "c", "d"] {
            let file = format!("{app}/map.yaml");
            repo.write(&file, map(app, "one")).unwrap();
        }
        repo.commit("first").unwrap();
        let weir = Weir::new().unwrap();
        Scene { repo, weir }
    }

    pub(crate) fn impact(&self, more: &[&str]) -> Ran {
        let repo = self.repo.path();
        let words = ["impact", "--repo", text(&repo).unwrap()];
        self.weir.run(words.iter().chain(more).copied()).unwrap()
    }

    /// What it prints where it does well. Commit ids are always the same: see [`Repo`].
    pub(crate) fn says(&self, more: &[&str]) -> String {
        self.impact(more).success().unwrap()
    }

    pub(crate) fn json(&self, more: &[&str]) -> Value {
        let more: Vec<&str> = more.iter().copied().chain(["-o", "json"]).collect();
        serde_json::from_str(&self.says(&more)).unwrap()
    }

    pub(crate) fn commit(&mut self, files: &[(&str, String)]) {
        for (path, text) in files {
            self.repo.write(path, text).unwrap();
        }
        self.repo.commit("change").unwrap();
    }

    pub(crate) fn lock(&self) {
        let repo = self.repo.path();
        let lock = ["lock", "--repo", text(&repo).unwrap()];
        self.weir.run(lock).unwrap().success().unwrap();
    }

    /// A file of this machine, outside the repository.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.weir.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// The first line says which commits: short ids, the same in each run.
pub(crate) fn without_ids(text: &str) -> String {
    let mut out = String::new();
    for part in text.split_inclusive([')', '\n']) {
        match part.rsplit_once('(') {
            Some((before, id)) if id.len() == 11 => {
                out.push_str(before);
                out.push_str("(ID)");
            }
            _ => out.push_str(part),
        }
    }
    out
}

/// The same component under another digest: a section that nobody reads.
pub(crate) fn another_build(name: &str) -> Vec<u8> {
    let mut bytes = places::bundled(name).unwrap();
    // A custom section: id 0, its size, the length of its name, its name, one byte of content.
    bytes.extend(b"\0\x07\x05build\x01");
    bytes
}

/// Every kind of change at once: a label in three apps, an object more, one fewer, one app fewer, one more, one broken.
pub(crate) fn all_at_once(scene: &mut Scene) {
    let two = format!("{}---\n{}", map("a", "two"), map("more", "x"));
    scene.repo.remove("d").unwrap();
    let manifest = MANIFEST.replace("team: shop", "team: till").replace(
        "- { name: d, path: d }\n",
        "- { name: e, path: e }\n- { name: f, path: f }\n",
    );
    scene.commit(&[
        ("weir.yaml", manifest),
        ("a/map.yaml", two),
        ("e/map.yaml", map("e", "one")),
        ("f/map.yaml", "kind: nothing\n".to_owned()),
    ]);
}

/// The short digest that a text names.
pub(crate) fn digest_in(text: &str) -> String {
    let (_, rest) = text.split_once("(sha256:").unwrap();
    rest.split(')').next().unwrap().to_owned()
}

/// The console blocks of a page: the words after `$ weir`, and what is printed. A fence of three ticks inside ends none
/// that has four.
pub(crate) fn console(page: &str) -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(ticks) = line
            .strip_suffix("console")
            .filter(|t| t.starts_with("```"))
        else {
            continue;
        };
        let body: Vec<&str> = lines.by_ref().take_while(|l| *l != ticks).collect();
        let (command, printed) = body.split_first().unwrap();
        let words = command.strip_prefix("$ weir ").unwrap();
        let words = words.split_whitespace().map(str::to_owned).collect();
        found.push((words, printed.join("\n") + "\n"));
    }
    found
}
