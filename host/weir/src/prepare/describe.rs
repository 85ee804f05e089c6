//! What a commit says of itself: its manifest and its lock, read from the snapshot or from the host's side.

use std::sync::Arc;

use weir_core::digest::Digest;
use weir_core::external::EXTERNALS_DIR;
use weir_core::lock::{LOCK_FILE, Lock};
use weir_core::manifest::{MANIFEST_FILE, Manifest, Resolved, Warning};
use weir_core::name::{AppName, RepoPath};
use weir_core::receipt::ManifestSeen;
use weir_core::tree::{ReadError, ReadSet, Snapshot, View};

use crate::error::Error;

/// Where the manifest comes from.
#[derive(Debug, Clone)]
pub(crate) enum ManifestFrom {
    /// `weir.yaml` in the tree.
    Tree,
    /// The host's side: a file's name and text.
    Host(String, Vec<u8>),
    /// No manifest: one app from this directory.
    Path(RepoPath),
}

/// The manifest and lock of a snapshot.
pub(crate) struct Described {
    /// The manifest, resolved against the tree.
    pub(crate) manifest: Arc<Manifest>,
    /// Where it lay, and the digest of its bytes.
    pub(crate) seen: ManifestSeen,
    /// The lock, where there is one.
    pub(crate) lock: Option<Arc<Lock>>,
    /// The digest of its bytes.
    pub(crate) lock_digest: Option<Digest>,
    /// What was asked for both.
    pub(super) reads: ReadSet,
    /// What the author should hear.
    pub(crate) warnings: Vec<Warning>,
}

/// Reads manifest and lock.
pub(crate) fn describe(snapshot: &Snapshot, from: &ManifestFrom) -> Result<Described, Error> {
    let reserved: RepoPath = EXTERNALS_DIR
        .parse()
        .map_err(|e| Error::Usage(format!("{e}")))?;
    if snapshot.tree.get(&reserved).is_some() || snapshot.tree.below(&reserved).next().is_some() {
        return Err(Error::Usage(format!(
            "{EXTERNALS_DIR}: the repository has files there, where Weir shows charts and bases from outside it: move them elsewhere"
        )));
    }
    let mut seen = ManifestSeen::Absent;
    let mut view = View::new(snapshot.clone(), vec![RepoPath::root()]);
    let resolved = match from {
        ManifestFrom::Tree => {
            let text = read_in(&mut view, MANIFEST_FILE)?.ok_or_else(|| {
                Error::Usage(format!("{MANIFEST_FILE}: the repository has none: add one, or follow a single directory with --path DIR"))
            })?;
            let digest = Digest::of(&text);
            seen = ManifestSeen::Repository { digest };
            Manifest::parse(&text, MANIFEST_FILE, &snapshot.tree)
        }
        ManifestFrom::Host(name, text) => {
            let digest = Digest::of(text);
            seen = ManifestSeen::Host { digest };
            Manifest::parse(text, name, &snapshot.tree)
        }
        ManifestFrom::Path(path) => {
            let name = path
                .name()
                .unwrap_or("app")
                .to_ascii_lowercase()
                .replace(['_', '.'], "-");
            let name: AppName = name
                .parse()
                .map_err(|e| Error::Usage(format!("--path: {e}")))?;
            Manifest::implied(&snapshot.tree, path.clone(), name).map(|manifest| Resolved {
                manifest,
                warnings: Vec::new(),
            })
        }
    };
    let Resolved { manifest, warnings } = resolved.map_err(|e| Error::Usage(e.to_string()))?;
    let lock = read_in(&mut view, LOCK_FILE)?;
    let lock_digest = lock.as_ref().map(|text| Digest::of(text));
    let lock = lock
        .map(|text| Lock::parse(&text, LOCK_FILE).map_err(|e| Error::Usage(e.to_string())))
        .transpose()?;
    Ok(Described {
        manifest: Arc::new(manifest),
        seen,
        lock: lock.map(Arc::new),
        lock_digest,
        reads: view.into_read_set(),
        warnings,
    })
}

/// What the author of a manifest and a lock should hear.
pub(super) fn heard(described: &Described) -> Vec<String> {
    let mut warnings: Vec<String> = described.warnings.iter().map(ToString::to_string).collect();
    if described.lock.is_none() {
        warnings.push(format!(
            "there is no {LOCK_FILE}: plugins are this host's own and target facts are fixed ones; `weir lock` pins both"
        ));
    }
    warnings
}

/// A file at the top of a snapshot; `None` where there is none.
pub(crate) fn read_file(snapshot: &Snapshot, name: &str) -> Result<Option<Arc<[u8]>>, Error> {
    read_in(
        &mut View::new(snapshot.clone(), vec![RepoPath::root()]),
        name,
    )
}

fn read_in(view: &mut View, name: &str) -> Result<Option<Arc<[u8]>>, Error> {
    match view.read(name) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(ReadError::NotFound(_)) => Ok(None),
        Err(e) => Err(Error::stage("manifest", &e)),
    }
}
