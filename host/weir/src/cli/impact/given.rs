//! One side of an impact: a revision's files, and the lock and the plugins that were given in place of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use weir_core::digest::{BlobId, Digest, ObjectId};
use weir_core::lock::{LOCK_FILE, Lock, LockedPlugin, TargetFacts};
use weir_core::manifest::{Manifest, PluginSource};
use weir_core::name::{PluginName, RepoPath};
use weir_core::tree::{BlobError, Blobs, Entry, Snapshot, Tree};

use crate::error::Error;
use crate::plugins::{self, Shelf, Store, read_component};
use crate::prepare::{Described, ManifestFrom, describe};

/// The largest lock that is read, in bytes: as large as the reader of YAML takes.
const MAX_LOCK: u64 = 4 << 20;

/// A plugin in place of the locked one: `NAME=FILE` or `NAME=DIGEST`.
#[derive(Debug, Clone)]
pub(super) struct PluginGiven {
    name: PluginName,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Digest(Digest),
    File(String),
}

impl FromStr for PluginGiven {
    type Err = String;

    fn from_str(text: &str) -> Result<PluginGiven, String> {
        let (name, what) = text
            .split_once('=')
            .filter(|(_, what)| !what.is_empty())
            .ok_or("expected NAME=FILE or NAME=sha256:DIGEST")?;
        let name = name
            .parse()
            .map_err(|e| format!("{name:?} is no plugin's name: {e}"))?;
        let what = if what.starts_with("sha256:") {
            What::Digest(what.parse().map_err(|e| format!("{what}: {e}"))?)
        } else {
            What::File(what.to_owned())
        };
        Ok(PluginGiven { name, what })
    }
}

/// One side.
pub(super) struct At {
    /// What it is, in words.
    pub(super) words: String,
    /// Its files.
    pub(super) snapshot: Snapshot,
}

impl At {
    /// A revision as it is.
    pub(super) fn new(words: &str, snapshot: Snapshot) -> At {
        let words = match snapshot.tree.commit() {
            Some(commit) => format!("{words} ({})", commit.short()),
            None => words.to_owned(),
        };
        At { words, snapshot }
    }

    /// Its manifest and lock.
    pub(super) fn described(&self, from: &ManifestFrom) -> Result<Described, Error> {
        describe(&self.snapshot, from).map_err(|e| self.on_this_side(e))
    }

    /// The same error, which says on which side it is. What it begins with stays: an error about a file has its place there.
    pub(super) fn on_this_side(&self, error: Error) -> Error {
        let said = |message: String| format!("{message}\nthat is at {}", self.words);
        match error {
            Error::Usage(message) => Error::Usage(said(message)),
            Error::Stage {
                stage,
                fault,
                retry,
                message,
            } => Error::Stage {
                stage,
                fault,
                retry,
                message: said(message),
            },
        }
    }

    /// Has a file in place of its lock.
    pub(super) fn lock(&mut self, flag: &str, file: &Path) -> Result<(), Error> {
        let name = file.display().to_string();
        let text = plugins::read_capped(file, MAX_LOCK)
            .map_err(|e| Error::Usage(format!("--{flag} {e}")))?;
        let text =
            text.ok_or_else(|| Error::Usage(format!("--{flag} {name}: there is no such file")))?;
        // Here, so that what is wrong with it is said of this file.
        Lock::parse(&text, &name).map_err(|e| Error::Usage(e.to_string()))?;
        self.snapshot = with_file(&self.snapshot, LOCK_FILE, text)?;
        self.words.push_str(&format!(" with {name}"));
        Ok(())
    }

    /// Has another component in place of a plugin's own.
    pub(super) fn plugin(
        &mut self,
        given: &PluginGiven,
        from: &ManifestFrom,
        store: &mut Store,
    ) -> Result<(), Error> {
        let Described { manifest, lock, .. } = self.described(from)?;
        let PluginGiven { name, what } = given;
        let Some(spec) = manifest.plugins.get(name) else {
            let known: Vec<&str> = manifest.plugins.keys().map(PluginName::as_str).collect();
            return Err(Error::Usage(format!(
                "--plugin {name}: no plugin of that name is called at {}; there are: {}",
                self.words,
                known.join(", ")
            )));
        };
        let bytes = component(name, what, store)?;
        let digest = Digest::of(&bytes);
        let mut lock = match lock {
            Some(lock) => Lock::clone(&lock),
            None => implied(&manifest, store),
        };
        lock.plugins
            .insert(name.clone(), LockedPlugin::here(&spec.source, digest));
        if let PluginSource::File(path) = &spec.source {
            self.snapshot = with_file(&self.snapshot, path.as_str(), bytes)?;
        } else {
            store.give(digest, bytes);
        }
        self.snapshot = with_file(&self.snapshot, LOCK_FILE, lock.emit().into_bytes())?;
        self.words
            .push_str(&format!(" with plugin {name} sha256:{}", digest.short()));
        Ok(())
    }
}

/// The bytes that were given.
fn component(name: &PluginName, what: &What, store: &Store) -> Result<Vec<u8>, Error> {
    match what {
        What::Digest(digest) => store.bytes(Shelf::Registry, *digest)?.ok_or_else(|| {
            Error::Usage(format!(
                "--plugin {name}: this host does not have {digest}: give the component's file, or put it into a plugin folder"
            ))
        }),
        What::File(file) => read_component(Path::new(file))
            .map_err(|e| Error::Usage(format!("--plugin {name}: {e}")))?
            .ok_or_else(|| Error::Usage(format!("--plugin {name}: {file}: there is no such file"))),
    }
}

/// What a repository without a lock is rendered with, as a lock.
fn implied(manifest: &Manifest, store: &Store) -> Lock {
    let pinned = plugins::pin(manifest, None, store);
    let plugins = manifest.plugins.iter().filter_map(|(name, spec)| {
        let digest = *pinned.get(name)?.as_ref().ok()?;
        Some((name.clone(), LockedPlugin::here(&spec.source, digest)))
    });
    let targets = manifest.targets.iter();
    Lock {
        plugins: plugins.collect(),
        targets: targets.map(|t| (t.clone(), TargetFacts::fixed())).collect(),
        ..Lock::default()
    }
}

/// The same files with one that has these bytes: no commit has them.
fn with_file(snapshot: &Snapshot, path: &str, bytes: Vec<u8>) -> Result<Snapshot, Error> {
    let wrong = |why: String| Error::Usage(format!("{path}: {why}"));
    let path: RepoPath = path.parse().map_err(|e| wrong(format!("{e}")))?;
    // Of another kind than Git's ids are, so that it is none of them.
    let mut id = [0; 20];
    let digest = Digest::of(&bytes);
    id.iter_mut()
        .zip(digest.as_bytes())
        .for_each(|(to, from)| *to = *from);
    let id = ObjectId::from_bytes(id);
    let mut entries: BTreeMap<RepoPath, Entry> = snapshot
        .tree
        .entries()
        .map(|(path, entry)| (path.clone(), entry.clone()))
        .collect();
    let entry = Entry::File {
        id,
        size: bytes.len() as u64,
        executable: false,
    };
    entries.insert(path, entry);
    let tree = Tree::new(None, entries).map_err(|at| wrong(format!("{at} is there already")))?;
    Ok(Snapshot {
        tree: Arc::new(tree),
        blobs: Arc::new(Over {
            id,
            bytes: bytes.into(),
            below: snapshot.blobs.clone(),
        }),
        ..snapshot.clone()
    })
}

/// One blob before all others.
struct Over {
    id: BlobId,
    bytes: Arc<[u8]>,
    below: Arc<dyn Blobs>,
}

impl Blobs for Over {
    fn read(&self, id: BlobId) -> Result<Arc<[u8]>, BlobError> {
        if id == self.id {
            return Ok(self.bytes.clone());
        }
        self.below.read(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_given_by_a_file_or_a_digest() {
        let digest = Digest::of(b"x").to_string();
        let of = |text: &str| text.parse::<PluginGiven>();
        assert!(matches!(of("helm=a/b=c.wasm").unwrap().what, What::File(f) if f == "a/b=c.wasm"));
        assert!(matches!(
            of(&format!("helm={digest}")).unwrap().what,
            What::Digest(_)
        ));
        for wrong in ["helm", "helm=", "=a.wasm", "Helm!=a.wasm", "helm=sha256:12"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
