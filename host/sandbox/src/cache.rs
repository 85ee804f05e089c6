//! Compiled code on disk, by the component and what else it depends on. Whatever is in doubt is compiled again.

use std::io;
use std::path::Path;

use weir_cache::{CacheError, Durable, Looked, Mappable};
use weir_core::digest::Digest;

/// The layout of an entry. A change here makes all old entries foreign.
const FORMAT: &[u8] = b"weir-cwasm-3";
const SUFFIX: &str = ".cwasm";

/// The cache's folder.
pub(crate) struct Cache {
    files: weir_cache::Cache,
    fingerprint: Digest,
}

impl Cache {
    /// Opens or makes the folder. `fingerprint` says what code depends on besides the component.
    pub(crate) fn open(dir: &Path, cap: u64, fingerprint: Digest) -> Result<Cache, CacheError> {
        let files = weir_cache::Cache::open(dir, cap, SUFFIX, Durable::Yes)?;
        Ok(Cache { files, fingerprint })
    }

    /// The code of a component.
    pub(crate) fn get(&self, component: Digest) -> Looked<Mappable> {
        self.files.get_mappable(&self.name(component))
    }

    /// Keeps the code of a component.
    pub(crate) fn put(&self, component: Digest, code: &[u8]) -> io::Result<()> {
        self.files.put(&self.name(component), code)
    }

    /// The entry's name: it holds everything that the code depends on.
    fn name(&self, component: Digest) -> String {
        let mut digest = Digest::builder();
        digest
            .part(FORMAT)
            .part(component.as_bytes())
            .part(self.fingerprint.as_bytes());
        digest.finish().hex()
    }
}
