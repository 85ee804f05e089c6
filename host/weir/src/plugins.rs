//! Components by digest: found beside the binary, in the cache, in the state or in the tree; compiled once.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use weir_core::digest::Digest;
use weir_core::fault::{Fault, Retry};
use weir_core::lock::{self, Lock, Pin};
use weir_core::manifest::{Manifest, PluginSource};
use weir_core::name::PluginName;
use weir_core::tree::{Snapshot, View};
use weir_sandbox::{Plugin, Role, Sandbox};

use crate::config::Places;
use crate::error::Error;
use crate::progress::{Line, compiling};

pub(crate) mod registry;
pub(crate) mod rules;

/// The largest component that is read, in bytes.
const MAX_COMPONENT: u64 = 256 << 20;
/// The largest index of bundled plugins, in bytes.
const MAX_INDEX: u64 = 1 << 20;

/// The components that this host has.
pub(crate) struct Store {
    /// Looked at first, and kept nowhere: components that a command was given, or a bundle carries.
    carried: BTreeMap<Digest, Vec<u8>>,
    dirs: Vec<PathBuf>,
    /// Where components from registries lie, which nothing but a source in a registry may name: what once came from
    /// elsewhere is no plugin of Weir's own because a lock says so.
    from_registries: Option<PathBuf>,
    /// Where others are kept; `None` where nothing is.
    keep: Option<PathBuf>,
    bundled: BTreeMap<String, Digest>,
    /// Components that were read whole by this process, and were what their names say.
    sound: Mutex<BTreeSet<Digest>>,
    /// Held while it is noted where a plugin came from.
    noting: Mutex<()>,
}

/// For whom a component is looked for, or kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shelf {
    /// A plugin that comes with Weir.
    Own,
    /// A plugin of a registry: what comes with Weir may lie there, too.
    Registry,
}

impl Shelf {
    fn of(source: Option<&PluginSource>) -> Shelf {
        match source {
            Some(PluginSource::Oci(_)) => Shelf::Registry,
            _ => Shelf::Own,
        }
    }
}

/// `index.json` in a plugin folder.
#[derive(serde::Deserialize)]
struct Index {
    plugins: BTreeMap<String, Digest>,
}

impl Store {
    /// The components of these places.
    pub(crate) fn open(places: &Places) -> Result<Store, Error> {
        let mut bundled = BTreeMap::new();
        for dir in &places.plugins {
            let path = dir.join("index.json");
            if let Some(bytes) = read_capped(&path, MAX_INDEX)? {
                let index: Index = serde_json::from_slice(&bytes).map_err(|e| {
                    Error::host(
                        "plugins",
                        format!(
                            "{}: {e}: build the plugins anew with `cargo xtask plugins`",
                            path.display()
                        ),
                    )
                })?;
                for (name, digest) in index.plugins {
                    bundled.entry(name).or_insert(digest);
                }
            }
        }
        Ok(Store {
            carried: BTreeMap::new(),
            dirs: places.plugins.clone(),
            from_registries: Some(from_registries(places)),
            keep: Some(places.state.join("plugins")),
            bundled,
            sound: Mutex::default(),
            noting: Mutex::default(),
        })
    }

    /// Has a component that lies in none of its folders, and keeps it nowhere.
    pub(crate) fn give(&mut self, digest: Digest, bytes: Vec<u8>) {
        self.carried.insert(digest, bytes);
    }

    /// The components of these places, of which none is kept, with these digests behind the names of bundled ones.
    pub(crate) fn to_look_at(places: &Places, bundled: BTreeMap<String, Digest>) -> Store {
        Store {
            carried: BTreeMap::new(),
            dirs: places.plugins.clone(),
            from_registries: Some(from_registries(places)),
            keep: None,
            bundled,
            sound: Mutex::default(),
            noting: Mutex::default(),
        }
    }

    /// Just these components, with these digests behind the names of bundled ones.
    pub(crate) fn of_carried(
        carried: BTreeMap<Digest, Vec<u8>>,
        bundled: BTreeMap<String, Digest>,
    ) -> Store {
        Store {
            carried,
            dirs: Vec::new(),
            from_registries: None,
            keep: None,
            bundled,
            sound: Mutex::default(),
            noting: Mutex::default(),
        }
    }

    /// The bundled plugins of this host, by name.
    pub(crate) fn bundled(&self) -> &BTreeMap<String, Digest> {
        &self.bundled
    }

    /// A component's bytes, checked against its digest; `None` when this host does not have it.
    pub(crate) fn bytes(&self, shelf: Shelf, digest: Digest) -> Result<Option<Vec<u8>>, Error> {
        if let Some(bytes) = self.carried.get(&digest) {
            return Ok((Digest::of(bytes) == digest).then(|| bytes.clone()));
        }
        for dir in self.dirs_of(shelf) {
            let path = dir.join(format!("{}.wasm", digest.hex()));
            match read_capped(&path, MAX_COMPONENT)? {
                Some(bytes) if Digest::of(&bytes) == digest => return Ok(Some(bytes)),
                Some(_) => {
                    self.sound().remove(&digest);
                    tracing::warn!(path = %path.display(), "is not the component that its name says; looking elsewhere");
                }
                None => {}
            }
        }
        Ok(None)
    }

    /// Whether a component is here. It is read whole once in this process, and again where it was found to be another.
    pub(crate) fn has(&self, shelf: Shelf, digest: Digest) -> Result<bool, Error> {
        let name = format!("{}.wasm", digest.hex());
        let lies_here = || self.dirs_of(shelf).any(|dir| dir.join(&name).exists());
        if self.sound().contains(&digest) && lies_here() {
            return Ok(true);
        }
        let is_here = self.bytes(shelf, digest)?.is_some();
        if is_here {
            self.sound().insert(digest);
        }
        Ok(is_here)
    }

    fn dirs_of(&self, shelf: Shelf) -> impl Iterator<Item = &PathBuf> {
        let registries = self
            .from_registries
            .iter()
            .filter(move |_| shelf == Shelf::Registry);
        self.dirs.iter().chain(registries)
    }

    fn sound(&self) -> MutexGuard<'_, BTreeSet<Digest>> {
        self.sound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One repository at a time notes where a plugin came from.
    fn noting(&self) -> MutexGuard<'_, ()> {
        self.noting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a component that was fetched, whatever lies there under its name.
    fn keep_anew(&self, digest: Digest, bytes: &[u8]) -> Result<(), Error> {
        let path = self.kept_at(Shelf::Registry, digest).ok_or_else(|| {
            Error::host(
                "plugins",
                "nothing is kept here, so that nothing is fetched",
            )
        })?;
        write_atomic(&path, bytes)
            .map_err(|e| Error::host("plugins", format!("{}: {e}", path.display())))
    }

    /// Keeps a component that a lock names, so that upgrading this host changes no render.
    fn keep(&self, shelf: Shelf, digest: Digest, bytes: &[u8]) -> Result<(), Error> {
        let Some(path) = self.kept_at(shelf, digest) else {
            return Ok(());
        };
        if path.exists() || self.carried.contains_key(&digest) {
            return Ok(());
        }
        write_atomic(&path, bytes)
            .map_err(|e| Error::host("plugins", format!("{}: {e}", path.display())))
    }

    fn kept_at(&self, shelf: Shelf, digest: Digest) -> Option<PathBuf> {
        let keep = self.keep.as_ref()?;
        let dir = match shelf {
            Shelf::Own => keep,
            Shelf::Registry => self.from_registries.as_ref()?,
        };
        Some(dir.join(format!("{}.wasm", digest.hex())))
    }
}

fn from_registries(places: &Places) -> PathBuf {
    places.state.join("plugins/registries")
}

/// What a manifest's plugin names stand for, or why one of them stands for nothing.
pub(crate) type Pinned = BTreeMap<PluginName, Result<Digest, Error>>;

/// The digest behind each plugin's name. Without a lock `bundled:` means this host's own.
pub(crate) fn pin(manifest: &Manifest, lock: Option<&Lock>, store: &Store) -> Pinned {
    manifest
        .plugins
        .keys()
        .map(|name| (name.clone(), pin_one(manifest, lock, name, store)))
        .collect()
}

fn pin_one(
    manifest: &Manifest,
    lock: Option<&Lock>,
    name: &PluginName,
    store: &Store,
) -> Result<Digest, Error> {
    match lock::digest_for(manifest, lock, name).map_err(|e| Error::stage("manifest", &e))? {
        Pin::Digest(digest) => Ok(digest),
        Pin::HostsOwn(bundled) => own_bundled(store, &bundled),
    }
}

/// This host's own bundled plugin of that name.
pub(crate) fn own_bundled(store: &Store, name: &str) -> Result<Digest, Error> {
    store
        .bundled
        .get(name)
        .copied()
        .ok_or_else(|| Error::Stage {
            stage: "manifest",
            fault: Fault::Host,
            retry: Retry::OnChange,
            message: format!(
                "bundled:{name}: this host has no such plugin; it has: {}. Its folders: {}. `cargo xtask plugins` builds them",
                if store.bundled.is_empty() {
                    "none".to_owned()
                } else {
                    store.bundled.keys().cloned().collect::<Vec<_>>().join(", ")
                },
                store
                    .dirs
                    .iter()
                    .map(|d| d.display().to_string())
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
        })
}

/// The bytes of a plugin that lies in the tree.
pub(crate) fn bytes_in_tree(
    snapshot: &Snapshot,
    source: &PluginSource,
) -> Result<Option<Vec<u8>>, Error> {
    let PluginSource::File(path) = source else {
        return Ok(None);
    };
    let mut view = View::new(snapshot.clone(), vec![path.clone()]);
    let bytes = view
        .read(path.as_str())
        .map_err(|e| Error::stage("manifest", &e))?;
    Ok(Some(bytes.to_vec()))
}

/// A plugin's bytes by digest: from the tree, or from this host's folders. One that does not lie in the tree is kept.
pub(crate) fn bytes(
    store: &Store,
    snapshot: &Snapshot,
    manifest: &Manifest,
    name: &PluginName,
    digest: Digest,
) -> Result<Vec<u8>, Error> {
    let source = manifest.plugins.get(name).map(|spec| &spec.source);
    let bytes = bytes_of(store, snapshot, source, digest)?;
    if source.is_some_and(|s| !matches!(s, PluginSource::File(_))) {
        store.keep(Shelf::of(source), digest, &bytes)?;
    }
    Ok(bytes)
}

/// The bytes of a plugin of this source, by digest.
pub(crate) fn bytes_of(
    store: &Store,
    snapshot: &Snapshot,
    source: Option<&PluginSource>,
    digest: Digest,
) -> Result<Vec<u8>, Error> {
    let missing = |why: String| Error::Stage {
        stage: "plugins",
        fault: Fault::Repository,
        retry: Retry::OnChange,
        message: why,
    };
    let in_tree = source
        .map(|s| bytes_in_tree(snapshot, s))
        .transpose()?
        .flatten();
    match in_tree {
        Some(bytes) if Digest::of(&bytes) == digest => Ok(bytes),
        Some(bytes) => Err(missing(format!(
            "the file in the tree has digest {}, but weir.lock pins {digest}: run `weir lock --update` and commit it, if the change is meant",
            Digest::of(&bytes)
        ))),
        None => store.bytes(Shelf::of(source), digest)?.ok_or_else(|| match source {
            Some(PluginSource::Oci(_)) => Error::Stage {
                stage: "plugins",
                fault: Fault::Host,
                retry: Retry::Backoff,
                message: format!(
                    "{digest} was changed or removed on this host's disk since it was fetched; it is fetched anew"
                ),
            },
            _ => missing(format!(
                "this host does not have {digest}, which weir.lock pins. A locked plugin is never replaced: put the component into a plugin folder, or run `weir lock --update` to take this host's own"
            )),
        }),
    }
}

/// Whether a plugin could be loaded, as far as that is seen without compiling it: what it made before is used only then.
pub(crate) fn is_here(
    store: &Store,
    snapshot: &Snapshot,
    manifest: &Manifest,
    name: &PluginName,
    digest: Digest,
) -> bool {
    let source = manifest.plugins.get(name).map(|spec| &spec.source);
    // One that is kept already was checked when it was.
    let is_kept = source.is_some_and(|s| !matches!(s, PluginSource::File(_)))
        && store
            .kept_at(Shelf::of(source), digest)
            .is_some_and(|path| path.exists());
    is_kept || bytes(store, snapshot, manifest, name, digest).is_ok()
}

/// Makes a plugin ready: checked, compiled or taken from the compiled cache. `left` is how many come after
/// it, for a person who waits.
pub(crate) fn load(
    sandbox: &Sandbox,
    name: &PluginName,
    digest: Digest,
    role: Role,
    bytes: &[u8],
    left: usize,
) -> Result<Plugin, Error> {
    let begun = OnceCell::new();
    let plugin = sandbox.load(digest, role, bytes, &|_| {
        begun.get_or_init(|| (Instant::now(), Line::begin(compiling(name.as_str(), left))));
    });
    let plugin = plugin.map_err(|e| Error::stage("plugins", &e))?;
    if let Some((since, line)) = begun.into_inner() {
        drop(line);
        let seconds = since.elapsed().as_secs_f64();
        tracing::info!(plugin = %name, digest = %digest.short(), seconds, "compiled plugin {name} in {seconds:.1} s");
    }
    Ok(plugin)
}

/// A component's file, as large as one may be; `None` where there is no such file.
pub(crate) fn read_component(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    read_capped(path, MAX_COMPONENT)
}

/// A file of so many bytes at most; `None` where there is no such file.
pub(crate) fn read_capped(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    use std::io::Read as _;
    let failed = |e: std::io::Error| Error::host("plugins", format!("{}: {e}", path.display()));
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e)
            if matches!(
                e.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(e) => return Err(failed(e)),
    };
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Error::host(
            "plugins",
            format!("{}: more than {limit} bytes", path.display()),
        ));
    }
    Ok(Some(bytes))
}

/// Writes a file so that it is there whole or not at all, whatever is killed.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    write_with(path, bytes, 0o666)
}

/// The same for what only this user may read.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    write_with(path, bytes, 0o600)
}

fn write_with(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    // Of a bare name it is empty.
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Repositories of one host may keep the same plugin at the same time.
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let (process, write) = (std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed));
    let temporary = dir.join(format!(".{name}.{process}.{write}.tmp"));
    let mut options = std::fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(mode);
    let write = || {
        let mut file = options.open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    if let Err(e) = write() {
        // What was written so far is nobody's; the error says what happened.
        let _ = std::fs::remove_file(&temporary);
        return Err(e);
    }
    std::fs::File::open(dir)?.sync_all()
}
