//! From a component's bytes to a plugin that can be called: checked, compiled once, linked once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmtime::Engine;
use weir_core::digest::Digest;
use weir_core::fault::{Blame, Fault, Retry};

use crate::cache::Cache;
use crate::compile::{CompileError, compile, too_large, try_compiler};
use crate::config::{CompileMode, Isolation, SandboxConfig};
use crate::confinement::{Job, Tried};
use crate::engine::{self, Ticker};
use crate::inspect;
use crate::link::{Linking, World, component};
use crate::pool::{NotReady, Pool, Shipped};
use crate::{INTERFACE, Role};
use weir_cache::{CacheError, Looked, Mappable, Verified};

/// The place where plugins are loaded and called. One for each process.
pub struct Sandbox {
    config: SandboxConfig,
    engine: Engine,
    linking: Linking,
    /// The processes that calls run in; none where they run in this one.
    pool: Option<Arc<Pool>>,
    /// None where the disk had no room for it.
    cache: Option<Cache>,
    loaded: Mutex<Loaded>,
    counts: Counts,
    _ticker: Ticker,
}

/// A component that is ready to be called in its role. Cheap to clone.
#[derive(Clone)]
pub struct Plugin(Arc<Ready>);

struct Ready {
    digest: Digest,
    role: Role,
    made: Made,
}

/// What a call needs of a plugin.
pub(crate) enum Made {
    /// To call it in this process.
    Linked(World),
    /// To call it in another one.
    Shipped(Shipped),
}

/// How plugins came to be ready since the sandbox was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadCounts {
    /// Already in memory.
    pub memory: u64,
    /// Taken from the cache on disk.
    pub cache: u64,
    /// Compiled.
    pub compiled: u64,
    /// Of these, where an entry of the cache was not to be trusted.
    pub doubtful: u64,
}

#[derive(Default)]
struct Counts {
    memory: AtomicU64,
    cache: AtomicU64,
    compiled: AtomicU64,
    doubtful: AtomicU64,
}

/// A sandbox cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The engine does not start on this machine.
    #[error("the Wasm engine does not start: {0}")]
    Engine(String),
    /// The cache for compiled code cannot be used.
    #[error("the cache for compiled plugins cannot be used: {0}")]
    Cache(#[from] CacheError),
    /// Processes for calls cannot be started, or this system cannot confine them as was asked for.
    #[error("plugins cannot run in processes of their own: {0}")]
    Workers(String),
}

impl Blame for SandboxError {
    fn fault(&self) -> Fault {
        Fault::Host
    }
    fn retry(&self) -> Retry {
        Retry::OnChange
    }
}

/// A component is not a plugin of the role, or cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bytes are not those that the lock names.
    #[error(
        "the component {expected}: its bytes have the digest {found} instead; they are not what weir.lock names: get the file again, or run `weir lock --update` if the change is wanted"
    )]
    WrongDigest {
        /// What was asked for.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// Not a WebAssembly component.
    #[error("the component {digest} is not a WebAssembly component: {why}")]
    NotAComponent {
        /// The plugin.
        digest: Digest,
        /// What is wrong.
        why: String,
    },
    /// It imports what its role may not have.
    #[error(
        "the component {digest} imports `{import}`, which a {role} may not have: plugins see the commit's files and a log, no network, no file system and no process; build it without, or ask its author to"
    )]
    Import {
        /// The plugin.
        digest: Digest,
        /// The role that it was loaded for.
        role: Role,
        /// The import as the component names it.
        import: String,
    },
    /// It was built for another interface than this host has.
    #[error(
        "the component {digest} imports `{import}`, and this host has weir:plugin@{INTERFACE}: it was built for another version of Weir; upgrade this host, or take a build of the plugin for {INTERFACE}"
    )]
    Interface {
        /// The plugin.
        digest: Digest,
        /// The import as the component names it.
        import: String,
    },
    /// It does not fit the world of its role.
    #[error(
        "the component {digest} is not a {role} of weir:plugin@{INTERFACE}: {why}; use it in its own role, or build it against this world"
    )]
    World {
        /// The plugin.
        digest: Digest,
        /// The role that it was loaded for.
        role: Role,
        /// What does not fit.
        why: String,
    },
    /// No process to run it in.
    #[error("the component {digest} could not be made ready in a process of its own: {why}")]
    Worker {
        /// The plugin.
        digest: Digest,
        /// What happened.
        why: String,
    },
    /// It cannot be compiled.
    #[error("the component {digest} could not be compiled: {source}")]
    Compile {
        /// The plugin.
        digest: Digest,
        /// What happened.
        source: CompileError,
    },
}

impl Blame for LoadError {
    fn fault(&self) -> Fault {
        match self {
            LoadError::Compile {
                source: CompileError::Host(_) | CompileError::Ended { .. },
                ..
            }
            | LoadError::Worker { .. } => Fault::Host,
            _ => Fault::Plugin,
        }
    }
    fn retry(&self) -> Retry {
        match self {
            // Limits of time depend on how busy the machine is.
            LoadError::Compile {
                source:
                    CompileError::Host(_) | CompileError::Limit { .. } | CompileError::Ended { .. },
                ..
            }
            | LoadError::Worker { .. } => Retry::Backoff,
            _ => Retry::OnChange,
        }
    }
}

/// Plugins in memory. Each has a lock of its own, so that two loads of one compile once.
#[derive(Default)]
struct Loaded {
    slots: HashMap<(Digest, Role), Slot>,
    uses: u64,
}

#[derive(Default)]
struct Slot {
    plugin: Arc<Mutex<Option<Plugin>>>,
    last_use: u64,
}

impl Plugin {
    /// The component's digest.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// The role that it was loaded for.
    pub fn role(&self) -> Role {
        self.0.role
    }

    pub(crate) fn made(&self) -> &Made {
        &self.0.made
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plugin({} {})", self.0.role, self.0.digest)
    }
}

impl Sandbox {
    /// Starts the engine, its clock and the cache.
    ///
    /// # Errors
    /// When the engine does not start or the cache's directory is not private.
    pub fn new(config: SandboxConfig) -> Result<Arc<Sandbox>, SandboxError> {
        let engine_error = |e: wasmtime::Error| SandboxError::Engine(format!("{e:#}"));
        let engine = engine::engine().map_err(engine_error)?;
        let linking = Linking::new(&engine).map_err(engine_error)?;
        let pool = match &config.isolation {
            Isolation::InProcess => None,
            Isolation::Processes(workers) => Some(Pool::start(workers.clone())?),
        };
        let cache = Cache::open(
            &config.cache_dir,
            config.cache_bytes,
            engine::fingerprint(&engine),
        );
        let cache = match cache {
            Ok(cache) => Some(cache),
            // A full disk must not stop a sync that could be done.
            Err(e) if e.is_full => {
                tracing::warn!(
                    "compiled plugins are not kept, and each start compiles them anew: {e}"
                );
                None
            }
            Err(e) => return Err(e.into()),
        };
        let ticker = Ticker::start(&engine).map_err(|e| SandboxError::Engine(e.to_string()))?;
        Ok(Arc::new(Sandbox {
            config,
            engine,
            linking,
            pool,
            cache,
            loaded: Mutex::default(),
            counts: Counts::default(),
            _ticker: ticker,
        }))
    }

    /// What a render depends on besides its plugins and their inputs: the engine's version and settings.
    pub fn identity(&self) -> Digest {
        engine::fingerprint(&self.engine)
    }

    /// Makes a plugin ready. It blocks, for seconds where it has to compile: call it from a blocking thread.
    /// `progress` is told what is going on while it takes long.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(
        &self,
        digest: Digest,
        role: Role,
        bytes: &[u8],
        progress: &dyn Fn(&str),
    ) -> Result<Plugin, LoadError> {
        let slot = self.slot(digest, role);
        let mut slot = lock(&slot);
        if let Some(plugin) = &*slot {
            is_of(bytes, digest)?;
            self.counts.memory.fetch_add(1, Ordering::Relaxed);
            return Ok(plugin.clone());
        }
        if bytes.len() as u64 > self.config.compile_limits.component_bytes {
            is_of(bytes, digest)?;
            return Err(LoadError::Compile {
                digest,
                source: too_large(&self.config.compile_limits),
            });
        }
        // Code in the cache is named by the digest, whatever these bytes are: it is read while they are looked at.
        let (checked, kept) = std::thread::scope(|scope| {
            let checked = scope.spawn(|| {
                is_of(bytes, digest)?;
                inspect::check(digest, role, bytes)
            });
            let kept = self.kept(digest);
            (checked.join(), kept)
        });
        checked.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let failed = |why: NotReady| match why {
            NotReady::World(why) => LoadError::World { digest, role, why },
            NotReady::Host(why) => LoadError::Worker { digest, why },
            NotReady::Code(why) => {
                let source = CompileError::Component(why);
                LoadError::Compile { digest, source }
            }
        };
        let kept = kept.map(|code| self.make_ready(digest, role, code));
        let made = match kept {
            Some(Ok(made)) => {
                self.counts.cache.fetch_add(1, Ordering::Relaxed);
                made
            }
            Some(Err(NotReady::Code(why))) => {
                self.doubt(digest, &why);
                let code = self.compiled(digest, bytes, progress)?;
                self.make_ready(digest, role, code).map_err(failed)?
            }
            Some(Err(why)) => return Err(failed(why)),
            None => {
                let code = self.compiled(digest, bytes, progress)?;
                self.make_ready(digest, role, code).map_err(failed)?
            }
        };
        let plugin = Plugin(Arc::new(Ready { digest, role, made }));
        *slot = Some(plugin.clone());
        Ok(plugin)
    }

    /// A plugin that is in memory already, by its digest.
    pub fn loaded(&self, digest: Digest, role: Role) -> Option<Plugin> {
        let slot = lock(&self.loaded)
            .slots
            .get(&(digest, role))
            .map(|s| s.plugin.clone())?;

        lock(&slot).clone()
    }

    /// How plugins came to be ready so far.
    pub fn counts(&self) -> LoadCounts {
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        LoadCounts {
            memory: get(&self.counts.memory),
            cache: get(&self.counts.cache),
            compiled: get(&self.counts.compiled),
            doubtful: get(&self.counts.doubtful),
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What confines the processes of this sandbox, tried out: the one that compiles, and the ones that calls run in.
    /// It blocks.
    pub fn confinement(&self) -> Vec<Tried> {
        let mut all = Vec::new();
        if let CompileMode::Child { program, args } = &self.config.compile {
            let tried = try_compiler(program, args, &self.config.compile_limits);
            all.push(Tried::of(Job::Compile, tried));
        }
        if let Some(pool) = &self.pool {
            all.push(Tried::of(Job::Render, pool.try_confinement()));
        }
        all
    }

    fn slot(&self, digest: Digest, role: Role) -> Arc<Mutex<Option<Plugin>>> {
        let mut loaded = lock(&self.loaded);
        loaded.uses += 1;
        let uses = loaded.uses;
        let slot = loaded.slots.entry((digest, role)).or_default();
        slot.last_use = uses;
        let plugin = slot.plugin.clone();
        if loaded.slots.len() > self.config.plugins_in_memory.max(1) {
            let oldest = loaded
                .slots
                .iter()
                .min_by_key(|(_, slot)| slot.last_use)
                .map(|(key, _)| *key);
            oldest.and_then(|key| loaded.slots.remove(&key));
        }
        plugin
    }

    /// The compiled component, from the cache.
    fn kept(&self, digest: Digest) -> Option<Mappable> {
        match self.cache.as_ref()?.get(digest) {
            Looked::Hit(code) => Some(code),
            Looked::Miss => None,
            Looked::Doubtful(why) => {
                self.doubt(digest, &why);
                None
            }
        }
    }

    fn doubt(&self, digest: Digest, why: &str) {
        tracing::warn!(plugin = %digest, "the compiled code in the cache is not used and is made again: {why}");
        self.counts.doubtful.fetch_add(1, Ordering::Relaxed);
    }

    /// The component, compiled now.
    fn compiled(
        &self,
        digest: Digest,
        bytes: &[u8],
        progress: &dyn Fn(&str),
    ) -> Result<Mappable, LoadError> {
        let code = compile(
            &self.engine,
            &self.config.compile,
            &self.config.compile_limits,
            bytes,
            progress,
        );
        let code = code.map_err(|source| LoadError::Compile { digest, source })?;
        let code = Verified::fresh(code);
        self.counts.compiled.fetch_add(1, Ordering::Relaxed);
        if let Some(Err(e)) = self.cache.as_ref().map(|c| c.put(digest, code.bytes())) {
            // A full disk must not stop a sync; it only makes the next start slower.
            tracing::warn!(plugin = %digest, "the compiled code could not be kept: {e}");
        }
        Ok(Mappable::Bytes(code))
    }

    /// Makes code ready to be called: linked here, or to be handed to workers, of which one has linked it.
    fn make_ready(&self, digest: Digest, role: Role, code: Mappable) -> Result<Made, NotReady> {
        let Some(pool) = &self.pool else {
            let component =
                component(&self.engine, &code).map_err(|e| NotReady::Code(format!("{e:#}")))?;
            let world = self.linking.link(role, &component);
            let world = world.map_err(|e| NotReady::World(format!("{e:#}")))?;
            return Ok(Made::Linked(world));
        };
        let file = code
            .into_sealed()
            .map_err(|e| NotReady::Host(format!("a file in memory for it: {e}")))?;
        let code = Shipped {
            digest,
            role,
            file,
            pool: pool.clone(),
        };
        pool.try_out(&code)?;
        Ok(Made::Shipped(code))
    }
}

/// Whether bytes are those of a digest.
fn is_of(bytes: &[u8], digest: Digest) -> Result<(), LoadError> {
    let found = Digest::of(bytes);
    if found == digest {
        return Ok(());
    }
    Err(LoadError::WrongDigest {
        expected: digest,
        found,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
