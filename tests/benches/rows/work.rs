//! The work: a repository of ConfigMaps in ten files, as a list of files, a view and a Git repository.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use weir_core::digest::{Digest, ObjectId};
use weir_core::grant::Limits;
use weir_core::name::{AppName, PluginName, RepoPath};
use weir_core::tree::{Entry, MemoryBlobs, Snapshot, Tree, TreeLimits};
use weir_sandbox::{
    Call, CompileLimits, CompileMode, Domain, Isolation, Params, Plugin, Role, Sandbox,
    SandboxConfig, TargetFacts,
};
use weir_tests::{Repo, places};

/// The app's folder.
pub(crate) const APP: &str = "app";

/// ConfigMaps of about 300 bytes each, spread over files.
pub(crate) fn files(objects: usize, files: usize) -> Vec<(String, String)> {
    files_in("w1", objects, files)
}

/// The same in a namespace.
pub(crate) fn files_in(namespace: &str, objects: usize, files: usize) -> Vec<(String, String)> {
    let each = objects.div_ceil(files);
    let file = |n: usize| {
        let mut text = String::new();
        for i in n * each..objects.min((n + 1) * each) {
            let words = "the quick brown fox jumps over the lazy dog ".repeat(3);
            // Writing into a String cannot fail.
            let _ = write!(
                text,
                "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cm-{i:04}\n  namespace: {namespace}\n  labels:\n    bench: w1\n\
                 data:\n  rev: \"r0\"\n  index: \"{i}\"\n  host: \"svc-{i}.w1.svc.cluster.local\"\n  text: \"{words}\"\n"
            );
        }
        (format!("{APP}/f{n}.yaml"), text)
    };
    (0..files).map(file).collect()
}

/// The files as a snapshot in memory.
///
/// # Errors
/// None, with the files above.
pub(crate) fn snapshot(files: &[(String, String)]) -> Result<Snapshot> {
    let (mut entries, mut blobs) = (BTreeMap::new(), MemoryBlobs::default());
    for (path, text) in files {
        let mut id = [0; 20];
        id.copy_from_slice(&Digest::of(text.as_bytes()).as_bytes()[..20]);
        let id = ObjectId::from_bytes(id);
        let size = text.len() as u64;
        let executable = false;
        let entry = Entry::File {
            id,
            size,
            executable,
        };
        entries.insert(path.parse()?, entry);
        blobs.insert(id, text.as_bytes());
    }
    let tree = Tree::new(None, entries).map_err(|path| anyhow::anyhow!("{path} is twice there"))?;
    Ok(Snapshot {
        tree: Arc::new(tree),
        blobs: Arc::new(blobs),
        limits: TreeLimits::HOST,
        externals: Default::default(),
    })
}

/// The files as a repository with one commit and a manifest of one app.
///
/// # Errors
/// Git fails.
pub(crate) fn repository(objects: usize) -> Result<Repo> {
    repository_in("w1", objects)
}

/// The same in a namespace.
///
/// # Errors
/// As there.
pub(crate) fn repository_in(namespace: &str, objects: usize) -> Result<Repo> {
    let mut repo = Repo::empty()?;
    for (path, text) in files_in(namespace, objects, 10.min(objects)) {
        repo.write(&path, text)?;
    }
    let manifest = format!("version: 1\napps:\n  - name: bench\n    path: {APP}\n");
    repo.write("weir.yaml", manifest)?;
    repo.commit("The work")?;
    Ok(repo)
}

/// A sandbox as a host has it, and a runtime to call it on.
pub(crate) struct Bench {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) runtime: Runtime,
    domain: Domain,
    app: AppName,
    plugin: PluginName,
    _cache: Option<TempDir>,
}

impl Bench {
    /// A sandbox with an empty cache of its own.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn new() -> Result<Bench> {
        let cache = tempfile::Builder::new().prefix("weir-bench-").tempdir()?;
        let bench = Bench::sharing(&cache.path().join("compiled"))?;
        Ok(Bench {
            _cache: Some(cache),
            ..bench
        })
    }

    /// A sandbox with a cache that is kept: large plugins compile for long.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn sharing(cache: &Path) -> Result<Bench> {
        Ok(Bench {
            sandbox: Sandbox::new(Bench::config(cache))?,
            runtime: runtime()?,
            domain: Domain::new("bench"),
            app: "bench".parse()?,
            plugin: "bench".parse()?,
            _cache: None,
        })
    }

    /// A host's own configuration.
    pub(crate) fn config(cache: &Path) -> SandboxConfig {
        SandboxConfig {
            cache_dir: cache.to_owned(),
            cache_bytes: SandboxConfig::CACHE_BYTES,
            plugins_in_memory: SandboxConfig::PLUGINS_IN_MEMORY,
            compile: CompileMode::InProcess,
            compile_limits: CompileLimits::HOST,
            isolation: Isolation::InProcess,
        }
    }

    /// A component, ready to be called.
    ///
    /// # Errors
    /// See [`weir_sandbox::LoadError`].
    pub(crate) fn load(&self, role: Role, bytes: &[u8]) -> Result<Plugin> {
        Ok(self.sandbox.load(Digest::of(bytes), role, bytes, &|_| {})?)
    }

    /// A call with a host's own limits.
    pub(crate) fn call(&self) -> Call<'_> {
        self.call_at(APP, &Value::Object(Map::new()))
    }

    /// The same of an app elsewhere in its tree, and with a config.
    pub(crate) fn call_at(&self, path: &str, config: &Value) -> Call<'_> {
        Call {
            domain: &self.domain,
            app: &self.app,
            plugin: &self.plugin,
            limits: Limits::HOST,
            instant: 1_767_225_600,
            random: None,
            params: Params {
                app: self.app.to_string(),
                path: path.to_owned(),
                namespace: None,
                target: TargetFacts {
                    name: "default".to_owned(),
                    kubernetes: "1.37.0".to_owned(),
                    apis: Vec::new(),
                },
                config: config.to_string().into_bytes(),
            },
        }
    }
}

/// One thread: what is measured is work, not how it is spread.
///
/// # Errors
/// No room.
pub(crate) fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// The roots that show everything.
pub(crate) fn roots() -> Vec<RepoPath> {
    vec![RepoPath::root()]
}

/// A test guest's component.
///
/// # Errors
/// It is not built; the text says how to.
pub(crate) fn guest(name: &str) -> Result<Vec<u8>> {
    let file = places::guest_dir()?.join(format!("{name}.wasm"));
    fs::read(&file).with_context(|| file.display().to_string())
}
