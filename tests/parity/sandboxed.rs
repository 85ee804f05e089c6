//! The bundled plugins in Weir's sandbox, called in this process, on trees that are held in memory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow, bail};
use weir_core::digest::{Digest, ObjectId};
use weir_core::grant::Limits;
use weir_core::name::{AppName, PluginName, RepoPath};
use weir_core::tree::{Entry, MemoryBlobs, Snapshot, Tree, TreeLimits, View};
use weir_sandbox::{
    Call, CompileLimits, CompileMode, Document, Domain, Failure, Isolation, Params, Plugin, Role,
    Sandbox, SandboxConfig, TargetFacts,
};
use weir_tests::places;

use super::cases::{Case, Tool};

/// Compiled plugins that are kept between runs, in bytes: a few versions of both.
const CACHE_BYTES: u64 = 1 << 30;
/// A clock that both sides could have: renders may not depend on it.
const INSTANT: u64 = 1_767_225_600;
/// Where a chart lies in its repository. An overlay's tree is the repository itself.
const CHART: &str = "apps/chart";

/// A sandbox and the plugins that were asked for.
pub(crate) struct Machine {
    sandbox: Arc<Sandbox>,
    app: AppName,
    plugins: Mutex<BTreeMap<&'static str, Result<Plugin, String>>>,
}

/// Why Weir rendered nothing.
pub(crate) struct Refused {
    pub(crate) text: String,
    /// The plugin said so itself; it neither crashed nor met a limit.
    pub(crate) is_refusal: bool,
}

impl Machine {
    /// A sandbox with the compiled plugins of earlier runs.
    ///
    /// # Errors
    /// The cache cannot be used.
    pub(crate) fn start() -> Result<Machine> {
        let sandbox = Sandbox::new(SandboxConfig {
            cache_dir: places::dev_cache()?.join("engines/compiled"),
            cache_bytes: CACHE_BYTES,
            plugins_in_memory: 2,
            compile: CompileMode::InProcess,
            compile_limits: CompileLimits::HOST,
            isolation: Isolation::InProcess,
        })?;
        Ok(Machine {
            sandbox,
            app: "parity".parse()?,
            plugins: Mutex::default(),
        })
    }

    /// Renders a case; the inner error is the plugin's.
    ///
    /// # Errors
    /// The plugin is not built, or the tree cannot be read.
    pub(crate) fn render(&self, case: &Case) -> Result<Result<Vec<Document>, Refused>> {
        let plugin = self.plugin(case.tool)?;
        let (base, path) = match case.tool {
            Tool::Helm => (CHART, join(CHART, &case.dir)),
            Tool::Kustomize => ("", case.dir.clone()),
        };
        let snapshot = snapshot(&case.tree, base)
            .with_context(|| format!("{}: as a tree of a repository", case.name()))?;
        let name: PluginName = case.tool.as_str().parse()?;
        let domain = Domain::new("parity");
        let call = Call {
            domain: &domain,
            app: &self.app,
            plugin: &name,
            limits: Limits::HOST,
            instant: INSTANT,
            random: None,
            params: Params {
                app: self.app.to_string(),
                path,
                namespace: None,
                target: TargetFacts {
                    name: "default".to_owned(),
                    kubernetes: case.kubernetes.clone(),
                    apis: case.apis.clone(),
                },
                config: serde_json::to_vec(&case.config)?,
            },
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let view = View::new(snapshot, vec![RepoPath::root()]);
        let rendered = runtime.block_on(self.sandbox.render(&plugin, call, view));
        Ok(match rendered {
            Ok((documents, _, _)) => Ok(documents),
            Err(error) => Err(Refused {
                is_refusal: matches!(error.failure, Failure::Diagnostics(_) | Failure::Read(_)),
                text: error.to_string(),
            }),
        })
    }

    /// The bundled plugin, compiled by whoever needs it first.
    fn plugin(&self, tool: Tool) -> Result<Plugin> {
        let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        let plugin = plugins.entry(tool.as_str()).or_insert_with(|| {
            let load = || -> Result<Plugin> {
                let bytes = places::bundled(tool.as_str())?;
                Ok(self
                    .sandbox
                    .load(Digest::of(&bytes), Role::Renderer, &bytes, &|_| {})?)
            };
            load().map_err(|error| format!("{error:#}"))
        });
        plugin.clone().map_err(|error| anyhow!(error))
    }
}

/// A folder as the tree of a commit, below `base`.
fn snapshot(folder: &Path, base: &str) -> Result<Snapshot> {
    let mut walk = Walk::default();
    walk.add(folder, base)?;
    let tree = Tree::new(None, walk.entries).map_err(|path| anyhow!("{path} is twice there"))?;
    Ok(Snapshot {
        tree: Arc::new(tree),
        blobs: Arc::new(walk.blobs),
        limits: TreeLimits::HOST,
        externals: weir_core::tree::Externals::default(),
    })
}

#[derive(Default)]
struct Walk {
    entries: BTreeMap<RepoPath, Entry>,
    blobs: MemoryBlobs,
}

impl Walk {
    fn add(&mut self, folder: &Path, base: &str) -> Result<()> {
        let list = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
        for entry in list {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                bail!("{}: the name is not UTF-8", entry.path().display());
            };
            let path = join(base, name);
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.add(&entry.path(), &path)?;
            } else if kind.is_file() {
                self.file(&entry, &path)?;
            } else {
                bail!("{path} is neither a file nor a folder");
            }
        }
        Ok(())
    }

    fn file(&mut self, file: &fs::DirEntry, path: &str) -> Result<()> {
        let bytes = fs::read(file.path())?;
        let mut id = [0; 20];
        id.copy_from_slice(&Digest::of(&bytes).as_bytes()[..20]);
        let id = ObjectId::from_bytes(id);
        let entry = Entry::File {
            id,
            size: bytes.len() as u64,
            executable: file.metadata()?.permissions().mode() & 0o100 != 0,
        };
        self.entries.insert(path.parse()?, entry);
        self.blobs.insert(id, bytes);
        Ok(())
    }
}

fn join(base: &str, name: &str) -> String {
    match (base, name) {
        ("", name) => name.to_owned(),
        (base, "") => base.to_owned(),
        (base, name) => format!("{base}/{name}"),
    }
}
