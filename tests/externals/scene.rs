//! A repository whose one app shows what lies in externals, and a machine: what both suites of externals begin with.

use std::fs;
use std::path::PathBuf;

use weir_tests::charts::archive;
use weir_tests::weir::text;
use weir_tests::{Ran, Repo, Weir, places};

/// A repository whose one app shows what lies in externals, and a machine.
pub(crate) struct Scene {
    pub(crate) weir: Weir,
    pub(crate) repo: Repo,
}

impl Scene {
    pub(crate) fn new(references: &[&str]) -> Scene {
        let mut weir = Weir::new().unwrap();
        // The suite of this name has all of them once more, in the other way.
        if env!("CARGO_CRATE_NAME") == "externals_apart" {
            weir.variable("WEIR_ISOLATION", "confined");
        }
        let scene = Scene {
            weir,
            repo: Repo::empty().unwrap(),
        };
        let guest = places::guest_dir().unwrap().join("go/renders.wasm");
        scene
            .repo
            .write("renders.wasm", fs::read(guest).unwrap())
            .unwrap();
        scene.repo.write("app/a.yaml", "").unwrap();
        scene.asks(references);
        scene
    }

    /// Changes what the app asks for.
    pub(crate) fn asks(&self, references: &[&str]) {
        self.manifest(references, "");
    }

    pub(crate) fn manifest(&self, references: &[&str], more: &str) {
        let config = serde_json::json!({ "do": "externals", "references": references });
        let text = format!(
            "version: 1\nplugins: {{ renders: {{ source: \"file:renders.wasm\" }} }}\n{more}apps:\n- {{ name: app, path: app, roots: [app], render: {{ plugin: renders, config: {config} }} }}\n"
        );
        self.repo.write("weir.yaml", text).unwrap();
    }

    pub(crate) fn run(&self, command: &str, more: &[&str]) -> Ran {
        let path = self.repo.path();
        let start = [command, "--repo", text(&path).unwrap()];
        self.weir.run(start.iter().chain(more).copied()).unwrap()
    }

    pub(crate) fn lock(&self) -> String {
        self.run("lock", &[]).success().unwrap();
        self.locked()
    }

    pub(crate) fn locked(&self) -> String {
        fs::read_to_string(self.repo.path().join("weir.lock")).unwrap()
    }

    pub(crate) fn render(&self) -> Ran {
        self.run("render", &["--worktree"])
    }

    pub(crate) fn rendered(&self) -> String {
        self.render().success().unwrap()
    }

    /// What a command that must fail says.
    pub(crate) fn fails(&self, command: &str, more: &[&str], code: i32) -> String {
        self.run(command, more).code(code).unwrap().stderr
    }

    pub(crate) fn archives(&self) -> PathBuf {
        self.weir.cache_dir().join("externals/charts")
    }
}

pub(crate) fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is not in:\n{said}");
    }
}

pub(crate) fn web(version: &str, content: &str) -> Vec<u8> {
    archive("web", version, &[("templates/a.yaml", content)]).unwrap()
}
