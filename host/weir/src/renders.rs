//! Renders that were made before, kept below the cache: found again by their key where all that was read holds.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use weir_cache::{Cache, Durable, Looked};
use weir_core::digest::Digest;
use weir_core::name::PluginName;
use weir_core::random::SecretId;
use weir_core::record::Made;
use weir_core::reuse::{Kept, Told};
use weir_core::tree::{ReadSet, View};
use weir_core::validate::{OutputLimits, Validated};
use weir_sandbox::Sandbox;

use crate::config::Places;
use crate::error::Error;
use crate::prepare::Rendered;

/// What all kept renders may take on the disk, in bytes.
const CAP: u64 = 1 << 30;
/// How many renders of one key are kept, each of another tree: the sides of a comparison, branches that are worked on.
const SLOTS: u8 = 4;
const SUFFIX: &str = ".render";

mod pack;
pub(crate) use pack::{PART, Pack, WORTH};

/// The kept renders of this host.
pub(crate) struct Renders {
    /// `None` where the folder cannot be used, or is not to be: then everything is made.
    files: Option<Cache>,
    /// What each render depends on that is this host's own.
    engine: Digest,
}

impl Renders {
    /// Those below the cache.
    pub(crate) fn open(places: &Places, sandbox: &Sandbox) -> Result<Arc<Renders>, Error> {
        let dir = places.cache.join("renders");
        let files = Cache::open(&dir, CAP, SUFFIX, Durable::No);
        let files = files.map_err(|e| {
            tracing::warn!("the cache for renders is not used, and each app is rendered anew: {e}");
        });
        let files = files.ok();
        let engine = engine(sandbox)
            .map_err(|e| Error::host("start", format!("this binary's own file: {e}")))?;
        Ok(Arc::new(Renders { files, engine }))
    }

    /// None, and none is kept: everything is made.
    pub(crate) fn none(sandbox: &Sandbox) -> Result<Arc<Renders>, Error> {
        let engine = engine(sandbox)
            .map_err(|e| Error::host("start", format!("this binary's own file: {e}")))?;
        let files = None;
        Ok(Arc::new(Renders { files, engine }))
    }

    /// What each render depends on that is this host's own.
    pub(crate) fn engine(&self) -> Digest {
        self.engine
    }

    /// What a render was made of that was told this, read this and took random bytes of that secret, and by whom.
    pub(crate) fn made(&self, told: Told, reads: &ReadSet, random: Option<SecretId>) -> Made {
        let mut inputs = Digest::builder();
        inputs
            .part(told.inputs.as_bytes())
            .part(reads.digest().as_bytes());
        Made {
            inputs: inputs.finish(),
            engine: self.engine,
            random,
        }
    }

    /// The renders of a repository's commit that were packed together; `None` where there are none, or they are in doubt.
    pub(crate) fn packed(&self, repository: &str) -> Option<Pack> {
        let files = self.files.as_ref()?;
        let name = self.pack_of(repository);
        match files.get(&name) {
            Looked::Hit(entry) => Pack::read(entry),
            Looked::Miss => None,
            Looked::Doubtful(why) => {
                tracing::warn!("the kept renders of {repository} are not used together: {why}");
                files.drop_entry(&name);
                None
            }
        }
    }

    /// Packs the renders of a repository's commit. That they cannot be kept stops nothing.
    pub(crate) fn pack(&self, repository: &str, renders: Vec<(Digest, Arc<Rendered>)>) {
        let Some(files) = &self.files else {
            return;
        };
        let entry = |(key, r): (Digest, Arc<Rendered>)| {
            Some((
                key,
                Kept::entry(&r.reads, &r.plugins, &r.validated, r.random.is_some())?,
            ))
        };
        let bytes = Pack::of(renders.into_iter().filter_map(entry));
        if let Err(e) = files.put(&self.pack_of(repository), &bytes) {
            tracing::warn!("the renders of {repository} could not be kept together: {e}");
        }
    }

    fn pack_of(&self, repository: &str) -> String {
        let mut name = Digest::builder();
        name.part(b"pack")
            .part(self.engine.as_bytes())
            .part(repository.as_bytes());
        name.finish().hex()
    }

    /// The render of a key that would come out the same in this view. What is damaged or of another form is none.
    pub(crate) fn find(
        &self,
        key: Digest,
        view: &View,
        limits: OutputLimits,
        pack: Option<&Pack>,
    ) -> Option<(Validated, Kept)> {
        let packed = pack.and_then(|pack| {
            let (kept, objects) = Kept::read(pack.get(key)?)?;
            let holds = kept.holds(view);
            let validated = kept.clone().admit(objects, limits).filter(|_| holds)?;
            Some((validated, kept))
        });
        if packed.is_some() {
            return packed;
        }
        let files = self.files.as_ref()?;
        (0..SLOTS).find_map(|slot| {
            let name = name(key, slot);
            let entry = match files.get(&name) {
                Looked::Hit(entry) => entry,
                Looked::Miss => return None,
                Looked::Doubtful(why) => {
                    tracing::warn!("a kept render is not used and is made again: {why}");
                    files.drop_entry(&name);
                    return None;
                }
            };
            let (kept, objects) = Kept::read(entry.bytes())?;
            if !kept.holds(view) {
                return None;
            }
            let validated = kept.clone().admit(objects, limits)?;
            Some((validated, kept))
        })
    }

    /// Keeps a render. That it cannot be kept stops nothing.
    pub(crate) fn keep(
        &self,
        key: Digest,
        reads: &ReadSet,
        plugins: &BTreeMap<PluginName, Digest>,
        validated: &Validated,
        drew: bool,
    ) {
        let entry = Kept::entry(reads, plugins, validated, drew);
        let (Some(files), Some(entry)) = (&self.files, entry) else {
            return;
        };
        let is_free = |slot: &u8| !matches!(files.get(&name(key, *slot)), Looked::Hit(_));
        let chance = reads.digest().as_bytes()[0] % SLOTS;
        let slot = (0..SLOTS).find(is_free).unwrap_or(chance);
        if let Err(e) = files.put(&name(key, slot), &entry) {
            tracing::warn!("a render could not be kept: {e}");
        }
    }
}

fn name(key: Digest, slot: u8) -> String {
    let mut name = Digest::builder();
    name.part(key.as_bytes()).part(&[slot]);
    name.finish().hex()
}

/// The engine, and the program around it: another build may make other bytes of the same.
fn engine(sandbox: &Sandbox) -> std::io::Result<Digest> {
    let program = std::fs::metadata(std::env::current_exe()?)?;
    let since = program.modified()?.duration_since(std::time::UNIX_EPOCH);
    let mut engine = Digest::builder();
    engine
        .part(sandbox.identity().as_bytes())
        .part(env!("CARGO_PKG_VERSION").as_bytes())
        .part(&program.len().to_be_bytes())
        .part(&since.unwrap_or_default().as_nanos().to_be_bytes())
        // A package may say when a file was made as it likes, but not when it was put here.
        .part(&program.ctime().to_be_bytes())
        .part(&program.ctime_nsec().to_be_bytes())
        .part(&program.ino().to_be_bytes());
    Ok(engine.finish())
}
