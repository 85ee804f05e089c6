//! Helm, Kustomize, Jsonnet and the engines of scripts, compiled once for all suites: each has 7 to 30 MB, which takes a development
//! build many seconds.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::fs::{FlockOperation, flock};

use super::Weir;
use crate::places;

impl Weir {
    /// Has this machine begin with all engines compiled, as a host that rendered before.
    ///
    /// The compiled cache is authenticated under a key of its own, so what is linked in is the key and the entries
    /// of one that the real binary filled.
    ///
    /// # Errors
    /// The engines do not compile, or no room.
    pub fn begin_with_engines(&self) -> Result<()> {
        let filled = filled()?;
        let own = self.cache_dir().join("compiled");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&own)?;
        for entry in fs::read_dir(&filled)? {
            let entry = entry?;
            let to = own.join(entry.file_name());
            // Entries are replaced, never written into, so a link is as good as a copy; another file system has none.
            if fs::hard_link(entry.path(), &to).is_err() {
                fs::copy(entry.path(), &to)
                    .with_context(|| format!("copying to {}", to.display()))?;
            }
        }
        Ok(())
    }
}

/// The folder that has all, filled once for each process.
fn filled() -> Result<PathBuf> {
    static FILLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FILLED
        .get_or_init(|| fill().map_err(|e| format!("{e:#}")))
        .clone()
        .map_err(|e| anyhow!(e))
}

fn fill() -> Result<PathBuf> {
    let cache = places::dev_cache()?.join("engines");
    fs::create_dir_all(&cache)?;
    let lock = fs::File::create(cache.join("lock"))?;
    // Suites that begin at once compile once: the others wait here.
    flock(&lock, FlockOperation::LockExclusive)?;
    let weir = Weir::new()?;
    let tree = weir.path("warm");
    for (file, text) in [
        ("weir.yaml", MANIFEST),
        (
            "chart/Chart.yaml",
            "apiVersion: v2\nname: chart\nversion: 0.1.0\n",
        ),
        ("chart/templates/a.yaml", OBJECT),
        ("overlay/kustomization.yaml", "resources: [a.yaml]\n"),
        ("overlay/a.yaml", OBJECT),
        ("scripts/a.yaml", OBJECT),
        ("scripts/a.star", "def transform_object(o, p): return o\n"),
        ("scripts/a.js", "export const transformObject = (o) => o;\n"),
        (
            "program/main.jsonnet",
            "{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } }",
        ),
    ] {
        let path = tree.join(file);
        fs::create_dir_all(path.parent().unwrap_or(&tree))?;
        fs::write(path, text)?;
    }
    let repo = crate::Repo::from_dir(&tree, &[])?;
    let repo = repo.path();
    let arguments = ["render", "--worktree", "--cache"].map(Path::new);
    let places = [cache.as_path(), Path::new("--repo"), &repo];
    let mut compiling = weir.start(arguments.into_iter().chain(places))?;
    let code = compiling.wait(PATIENCE)?;
    ensure!(
        code == Some(0),
        "compiling the engines: {}",
        compiling.stderr()
    );
    Ok(cache.join("compiled"))
}

/// Longer than compiling all takes on a machine that builds other things, too.
const PATIENCE: Duration = Duration::from_secs(500);
const MANIFEST: &str = r#"version: 1
plugins:
  jsonnet: { source: "bundled:jsonnet" }
  starlark: { source: "bundled:starlark" }
  js: { source: "bundled:js" }
  cel: { source: "bundled:cel" }
apps:
- { name: chart, path: chart }
- { name: overlay, path: overlay }
- { name: program, path: program, render: { plugin: jsonnet } }
- name: scripts
  path: scripts
  transform:
  - { plugin: starlark, config: { script: a.star } }
  - { plugin: js, config: { script: a.js } }
  - { plugin: cel, config: { transform: [{ patch: "{}" }] } }
"#;
const OBJECT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
