//! A server that a test changes while it runs, and externals that are got from it in this process or in processes of their own.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use rcgen::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;
use weir_core::external::{LockedExternal, Reference};
use weir_core::fault::Blame;
use weir_core::plugin::{PluginReference, RegistryPin};
use weir_core::tree::{Entry, Snapshot};
use weir_source::cosign::{Signed, SigningKey};
use weir_source::{
    AccessHost, Credentials, ExternalAccess, ExternalError, ExternalLimits, ExternalPolicy,
    Externals, Fetching, GotPlugin, HttpOptions, PluginError, Secret, Watch,
};
use weir_tests::charts::{Answer, FileServer, archive, sha256};
use weir_tests::registry::{MANIFEST, WASM_CONFIG, WASM_LAYER, descriptor};

use crate::scene::ways;

/// The repository of the plugin that a [`Rig`] has.
pub(crate) const PLUGIN: &str = "team/labels";

pub(crate) struct Rig {
    pub(crate) server: FileServer,
    pub(crate) dir: TempDir,
    pub(crate) policy: ExternalPolicy,
    pub(crate) limits: ExternalLimits,
}

impl Rig {
    pub(crate) fn new() -> Rig {
        Rig {
            server: FileServer::start().unwrap(),
            dir: TempDir::new().unwrap(),
            policy: ExternalPolicy::default(),
            limits: ExternalLimits::HOST,
        }
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    /// With a cache that has nothing yet.
    pub(crate) fn externals(&self, fetching: Fetching) -> Externals {
        if self.cache().exists() {
            fs::remove_dir_all(self.cache()).unwrap();
        }
        Externals {
            limits: self.limits,
            policy: self.policy.clone(),
            http: HttpOptions {
                user_agent: "weir/test".to_owned(),
                ..HttpOptions::host()
            },
            cache_dir: self.cache(),
            fetching,
        }
    }

    /// What comes of it, which has to be the same in both ways, and done in just that way.
    pub(crate) fn same(&self, what: &str, work: impl Fn(&Externals) -> String) -> String {
        let mut all = Vec::new();
        for (way, fetching) in ways() {
            all.push(work(&self.externals(fetching)));
            // What a process is needed for leaves its folder, and nothing in it.
            let said = &all[0];
            let is_asked = !said.starts_with("not-allowed") && !said.contains("is no version");
            let expected = (way == "process" && is_asked).then_some(0);
            if is_asked || way == "in-process" {
                assert_eq!(incoming(&self.cache()), expected, "{what}: {way}: {said}");
            }
        }
        assert_eq!(all[0], all[1], "{what}");
        all.remove(0)
    }

    /// What is shown to a host.
    pub(crate) fn shows(&mut self, host: &str, user: &str, password: &str) -> &mut ExternalAccess {
        let host: AccessHost = host.parse().unwrap();
        let access = ExternalAccess {
            credentials: Some(Credentials::Basic {
                user: user.to_owned(),
                password: Secret::new(password),
            }),
            ..ExternalAccess::default()
        };
        let place = self.policy.access.entry(host).or_default();
        *place = access;
        place
    }

    /// Serves a chart `web` of version 1.0.0; its reference.
    pub(crate) fn has_chart(&self) -> String {
        self.server.charts(&[("web", "1.0.0", &chart("good"))]);
        self.server.reference("web", "")
    }

    /// Serves a plugin with this component under the tag `1`; its reference and its pin.
    pub(crate) fn has_plugin(&self, component: &[u8]) -> (PluginReference, RegistryPin) {
        self.has_manifest(&manifest(component), MANIFEST);
        self.server.file(&blob_at(component), component);
        (self.plugin(), pin(component))
    }

    /// Serves a manifest under the tag `1` and under its digest.
    pub(crate) fn has_manifest(&self, manifest: &Value, media_type: &str) {
        let body = manifest.to_string().into_bytes();
        for named in ["1", &format!("sha256:{}", sha256(&body))] {
            let answer = Answer {
                status: 200,
                headers: vec![("Content-Type".to_owned(), media_type.to_owned())],
                body: body.clone(),
            };
            self.server.answer(&manifest_at(named), answer);
        }
    }

    pub(crate) fn plugin(&self) -> PluginReference {
        let text = format!("oci://{}/{PLUGIN}:1", self.server.host());
        text.parse().unwrap()
    }
}

/// A chart's archive.
pub(crate) fn chart(content: &str) -> Vec<u8> {
    archive("web", "1.0.0", &[("templates/a.yaml", content)]).unwrap()
}

/// The manifest of a component, as it should be.
pub(crate) fn manifest(component: &[u8]) -> Value {
    json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(WASM_CONFIG, b"{}"),
        "layers": [descriptor(WASM_LAYER, component)],
    })
}

pub(crate) fn pin(component: &[u8]) -> RegistryPin {
    let manifest = manifest(component).to_string();
    let digest = |bytes: &[u8]| format!("sha256:{}", sha256(bytes)).parse().unwrap();
    RegistryPin {
        manifest: digest(manifest.as_bytes()),
        component: digest(component),
        size: component.len() as u64,
    }
}

pub(crate) fn manifest_at(named: &str) -> String {
    format!("/v2/{PLUGIN}/manifests/{named}")
}

pub(crate) fn blob_at(bytes: &[u8]) -> String {
    format!("/v2/{PLUGIN}/blobs/sha256:{}", sha256(bytes))
}

pub(crate) fn signing_key() -> SigningKey {
    let pair = KeyPair::generate().unwrap();
    SigningKey::from_pem(pair.serialize_pem().as_bytes(), None).unwrap()
}

/// Does something that has a time and can be stopped.
pub(crate) fn watched<T>(work: impl FnOnce(Watch<'_>) -> T) -> T {
    let stop = Arc::new(AtomicBool::new(false));
    work(Watch {
        since: Instant::now(),
        stop: &stop,
        progress: &|_| {},
    })
}

/// What a reference is resolved to, and what is shown of that with nothing in the cache.
pub(crate) fn chart_of(externals: &Externals, reference: &str) -> String {
    let reference: Reference = reference.parse().unwrap();
    let resolved = watched(|watch| externals.resolve(&reference, watch));
    let (locked, snapshot) = match resolved {
        Ok(resolved) => resolved,
        Err(e) => return told(e.kind(), &e),
    };
    fs::remove_dir_all(externals.cache_dir.join("charts")).unwrap();
    let shown = shown(externals, &reference, &locked);
    format!("{locked:?}\n{}\n{shown}", files(&snapshot))
}

/// What is shown of a pin.
pub(crate) fn shown(
    externals: &Externals,
    reference: &Reference,
    locked: &LockedExternal,
) -> String {
    match watched(|watch| externals.show(reference, locked, watch)) {
        Ok(snapshot) => files(&snapshot),
        Err(e) => told(e.kind(), &e),
    }
}

fn files(snapshot: &Snapshot) -> String {
    let mut all = String::new();
    for (path, entry) in snapshot.tree.entries() {
        if let Entry::File { id, .. } = entry {
            let bytes = snapshot.blobs.read(*id).unwrap();
            write!(all, "{path}: {}; ", String::from_utf8_lossy(&bytes)).unwrap();
        }
    }
    all
}

/// What is got of a plugin, or why it is not.
pub(crate) fn got(got: Result<GotPlugin, PluginError>) -> String {
    match got {
        Ok(got) => format!("{got:?}"),
        Err(e) => told(e.kind(), &e),
    }
}

pub(crate) fn signed(found: Result<Vec<Signed>, ExternalError>) -> String {
    match found {
        Ok(found) => format!("{found:?}"),
        Err(e) => told(e.kind(), &e),
    }
}

/// All that is told of an error.
pub(crate) fn told<E: Blame + std::fmt::Display>(kind: &str, error: &E) -> String {
    format!("{kind} {:?} {:?}: {error}", error.retry(), error.fault())
}

/// How many files processes have left, where there was one.
pub(crate) fn incoming(cache: &Path) -> Option<usize> {
    let all = fs::read_dir(cache.join("incoming"));
    all.map(Iterator::count).ok()
}

/// What is kept of charts.
pub(crate) fn kept(cache: &Path) -> usize {
    fs::read_dir(cache.join("charts")).map_or(0, Iterator::count)
}
