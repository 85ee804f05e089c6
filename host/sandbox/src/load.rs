//! From a component's bytes to a plugin that can be called: checked, compiled once, linked once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentNamedList, InstancePre, Lift, Linker, Lower};
use weir_core::digest::Digest;
use weir_core::fault::{Blame, Fault, Retry};

use crate::Role;
use crate::bindings::renderer::RendererPre;
use crate::bindings::transformer::TransformerPre;
use crate::bindings::types;
use crate::bindings::validator::ValidatorPre;
use crate::cache::Cache;
use crate::compile::{CompileError, compile, too_large};
use crate::config::SandboxConfig;
use crate::engine::{self, Ticker};
use crate::inspect;
use crate::state::State;
use crate::wasi;
use weir_cache::{CacheError, Looked, Mappable, Verified};

/// The place where plugins are loaded and called. One for each process.
pub struct Sandbox {
    config: SandboxConfig,
    engine: Engine,
    linkers: HashMap<Role, Linker<State>>,
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
    world: World,
}

/// A linked component of each world.
pub(crate) enum World {
    Renderer(RendererPre<State>),
    Transformer(TransformerPre<State>),
    Validator(ValidatorPre<State>),
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
    /// It does not fit the world of its role.
    #[error(
        "the component {digest} is not a {role} of weir:plugin@0.1.0: {why}; use it in its own role, or build it against this world"
    )]
    World {
        /// The plugin.
        digest: Digest,
        /// The role that it was loaded for.
        role: Role,
        /// What does not fit.
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
            } => Fault::Host,
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
            } => Retry::Backoff,
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

    pub(crate) fn world(&self) -> &World {
        &self.0.world
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
        let mut linkers = HashMap::new();
        for role in [Role::Renderer, Role::Transformer, Role::Validator] {
            linkers.insert(role, wasi::linker(&engine, role).map_err(engine_error)?);
        }
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
            linkers,
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
        let component = match kept {
            Some(component) => component,
            None => self.compiled(digest, bytes, progress)?,
        };
        let plugin = Plugin(Arc::new(Ready {
            digest,
            role,
            world: self.link(digest, role, &component)?,
        }));
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
    fn kept(&self, digest: Digest) -> Option<Component> {
        let why = match self.cache.as_ref()?.get(digest) {
            Looked::Hit(code) => match self.deserialize(&code) {
                Ok(component) => {
                    self.counts.cache.fetch_add(1, Ordering::Relaxed);
                    return Some(component);
                }
                Err(e) => format!("{e:#}"),
            },
            Looked::Miss => return None,
            Looked::Doubtful(why) => why,
        };
        tracing::warn!(plugin = %digest, "the compiled code in the cache is not used and is made again: {why}");
        self.counts.doubtful.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// The component, compiled now.
    fn compiled(
        &self,
        digest: Digest,
        bytes: &[u8],
        progress: &dyn Fn(&str),
    ) -> Result<Component, LoadError> {
        let failed = |source| LoadError::Compile { digest, source };
        let code = compile(
            &self.engine,
            &self.config.compile,
            &self.config.compile_limits,
            bytes,
            progress,
        );
        let code = Verified::fresh(code.map_err(failed)?);
        self.counts.compiled.fetch_add(1, Ordering::Relaxed);
        if let Some(Err(e)) = self.cache.as_ref().map(|c| c.put(digest, code.bytes())) {
            // A full disk must not stop a sync; it only makes the next start slower.
            tracing::warn!(plugin = %digest, "the compiled code could not be kept: {e}");
        }
        self.deserialize(&Mappable::Bytes(code))
            .map_err(|e| failed(CompileError::Component(format!("{e:#}"))))
    }

    #[expect(unsafe_code, reason = "taking compiled code is unsafe in Wasmtime")]
    fn deserialize(&self, code: &Mappable) -> wasmtime::Result<Component> {
        // SAFETY: the code was made by this build's own compiler, in this process or its child, just now or
        // under a MAC with this installation's key, which was checked on exactly these bytes: in memory of ours, or in
        // a file in memory that the kernel lets nobody write to. The mapping keeps that file after ours is closed.
        unsafe {
            match code {
                Mappable::Bytes(code) => Component::deserialize(&self.engine, code.bytes()),
                Mappable::Sealed(file) => Component::deserialize_file(&self.engine, file.path()),
            }
        }
    }

    fn link(&self, digest: Digest, role: Role, component: &Component) -> Result<World, LoadError> {
        let misfit = |e: wasmtime::Error| LoadError::World {
            digest,
            role,
            why: format!("{e:#}"),
        };
        let pre = |linker: &Linker<State>| linker.instantiate_pre(component).map_err(misfit);
        let pre: InstancePre<State> =
            pre(self.linkers.get(&role).expect("each role has a linker"))?;
        type Diagnostics = Vec<types::Diagnostic>;
        match role {
            Role::Renderer => {
                type Answer = (Result<Vec<types::Document>, Diagnostics>,);
                self.exports::<(&types::Params,), Answer>(component, "render")
                    .map_err(misfit)?;
                RendererPre::new(pre).map(World::Renderer).map_err(misfit)
            }
            Role::Transformer => {
                type Answer = (Result<Vec<Vec<u8>>, Diagnostics>,);
                self.exports::<(&[Vec<u8>], &types::Params), Answer>(component, "transform")
                    .map_err(misfit)?;
                TransformerPre::new(pre)
                    .map(World::Transformer)
                    .map_err(misfit)
            }
            Role::Validator => {
                type Answer = (Result<Vec<types::Finding>, String>,);
                self.exports::<(&[Vec<u8>], &types::Params), Answer>(component, "validate")
                    .map_err(misfit)?;
                ValidatorPre::new(pre).map(World::Validator).map_err(misfit)
            }
        }
    }

    /// Checks that the component exports a function of this name and type, so that a misfit is known when
    /// it is loaded and not when it is called.
    fn exports<P, R>(&self, component: &Component, name: &str) -> wasmtime::Result<()>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let ty = component.component_type();
        match ty.get_export(&self.engine, name).map(|e| e.ty) {
            Some(ComponentItem::ComponentFunc(f)) => f.typecheck::<P, R>(&ty.instance_type()),
            Some(_) => Err(wasmtime::Error::msg(format!(
                "its export `{name}` is not a function"
            ))),
            None => Err(wasmtime::Error::msg(format!("it does not export `{name}`"))),
        }
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
