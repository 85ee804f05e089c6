//! A repository with one app, a machine that syncs it into a directory, and strangers who prove what came of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use weir_tests::{Ran, Repo, Weir, places};

const MANIFEST: &str = "version: 1\n\
    plugins: { metadata: { source: 'bundled:metadata' } }\n\
    apps: [{ name: web, path: web, transform: [{ plugin: metadata, config: { labels: { team: shop } } }] }]\n";
pub(crate) const MAP: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: m }\ndata: { value: one }\n";
const SECRET: &str =
    "---\napiVersion: v1\nkind: Secret\nmetadata: { name: s }\nstringData: { p: hidden }\n";

pub(crate) struct Scene {
    pub(crate) repo: Repo,
    pub(crate) weir: Weir,
    files: std::cell::Cell<u32>,
}

/// A machine that has nothing but the public key, a repository and what it is given.
pub(crate) struct Stranger {
    pub(crate) weir: Weir,
    pub(crate) key: PathBuf,
    pub(crate) repo: PathBuf,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let mut repo = Repo::empty().unwrap();
        repo.write("weir.yaml", MANIFEST).unwrap();
        repo.write("web/map.yaml", format!("{MAP}{SECRET}"))
            .unwrap();
        repo.commit("first").unwrap();
        let weir = Weir::new().unwrap();
        let files = std::cell::Cell::default();
        Scene { repo, weir, files }
    }

    /// The app shows what lies in an external.
    pub(crate) fn shows(&mut self, reference: &str) {
        let guest = places::guest_dir().unwrap().join("go/renders.wasm");
        self.repo
            .write("renders.wasm", fs::read(guest).unwrap())
            .unwrap();
        let config = serde_json::json!({ "do": "externals", "references": [reference] });
        let manifest = format!(
            "version: 1\nplugins: {{ renders: {{ source: \"file:renders.wasm\" }} }}\napps:\n- {{ name: web, path: web, roots: [web], render: {{ plugin: renders, config: {config} }} }}\n"
        );
        self.repo.write("weir.yaml", manifest).unwrap();
    }

    /// Locks what is there, and commits it.
    pub(crate) fn locked(&self) {
        self.on_repo("lock", &[]).success().unwrap();
        self.repo.git(["add", "--all"]).unwrap();
        self.repo
            .git(["commit", "--quiet", "--message", "Lock"])
            .unwrap();
    }

    pub(crate) fn push(&mut self, value: &str) {
        let text = format!("{}{SECRET}", MAP.replace("one", value));
        self.repo.write("web/map.yaml", text).unwrap();
        self.repo.commit("change").unwrap();
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        self.weir.run(words).unwrap()
    }

    pub(crate) fn on_repo(&self, command: &str, more: &[&str]) -> Ran {
        let path = self.repo.path();
        let start = [command, "--repo", path.to_str().unwrap()];
        self.weir.run(start.iter().chain(more)).unwrap()
    }

    pub(crate) fn sync_with(&self, more: &[&str]) -> Ran {
        let target = format!("dir:{}", self.weir.path("live").display());
        let flags = ["--name", "shop", "--target", &target];
        let all: Vec<&str> = flags.iter().chain(more).copied().collect();
        self.on_repo("sync", &all)
    }

    pub(crate) fn try_sync(&self) -> Ran {
        self.sync_with(&[])
    }

    pub(crate) fn sync(&self) {
        self.try_sync().code(0).unwrap();
    }

    /// What lies in the target.
    pub(crate) fn live(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn walk(dir: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
                let path = entry.path();
                match path.is_dir() {
                    true => walk(&path, found),
                    false => drop(found.insert(path.clone(), fs::read(path).unwrap())),
                }
            }
        }
        let mut found = BTreeMap::new();
        walk(&self.weir.path("live"), &mut found);
        found
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.set(self.files.get() + 1);
        self.weir.path(&format!("{}-{name}", self.files.get()))
    }

    /// A file with a receipt.
    pub(crate) fn export(&self, which: &[&str]) -> PathBuf {
        let file = self.file("receipt.json");
        let words = ["receipts", "export", "--out", file.to_str().unwrap()];
        let words: Vec<&str> = words.iter().chain(which).copied().collect();
        self.run(&words).success().unwrap();
        file
    }

    /// A file with a bundle.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.bundle_with(&[])
    }

    pub(crate) fn bundle_with(&self, more: &[&str]) -> PathBuf {
        let (file, repo) = (self.file("bundle.tar"), self.repo.path());
        let words = ["receipts", "export", "--app", "web", "--bundle"];
        let words = words.into_iter().chain([file.to_str().unwrap()]);
        let words = words.chain(["--repo", repo.to_str().unwrap()]);
        let words: Vec<&str> = words.chain(more.iter().copied()).collect();
        self.run(&words).success().unwrap();
        file
    }

    /// A file with the public key that signs now.
    pub(crate) fn key(&self) -> PathBuf {
        let file = self.file("key.pem");
        let pem = self.run(&["keys", "export"]).success().unwrap();
        fs::write(&file, pem).unwrap();
        file
    }

    pub(crate) fn stranger(&self) -> Stranger {
        Stranger {
            weir: Weir::new().unwrap(),
            key: self.key(),
            repo: self.repo.path(),
        }
    }
}

impl Stranger {
    pub(crate) fn without_plugins(&mut self) {
        let empty = self.weir.path("no-plugins");
        fs::create_dir(&empty).unwrap();
        self.weir.variable("WEIR_PLUGIN_DIR", &empty);
    }

    pub(crate) fn at(mut self, repo: &str) -> Stranger {
        self.repo = PathBuf::from(repo);
        self
    }

    pub(crate) fn verify(&self, file: &Path, more: &[&str]) -> Ran {
        let words = [
            "verify",
            file.to_str().unwrap(),
            "--repo",
            self.repo.to_str().unwrap(),
        ];
        let words = words
            .into_iter()
            .chain(["--key", self.key.to_str().unwrap()]);
        self.weir.run(words.chain(more.iter().copied())).unwrap()
    }
}

/// The bytes with one bit of one byte changed.
pub(crate) fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut other = bytes.to_vec();
    other[at] ^= 1 << (at % 8);
    other
}

pub(crate) fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is not in:\n{said}");
    }
}
