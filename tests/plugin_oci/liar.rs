//! A small HTTP server that says what a registry would say, or something else.

use serde_json::{Value, json};
use weir_source::cosign::Signed;
use weir_tests::charts::{Answer, FileServer, sha256};
use weir_tests::registry::{MANIFEST, WASM_CONFIG, WASM_LAYER, descriptor};

use super::scene::{Scene, versions};

/// What a signature is of, in cosign's classic form.
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The server, and what it has of one plugin.
pub(crate) struct Liar {
    pub(crate) server: FileServer,
    /// The component's repository.
    pub(crate) name: &'static str,
}

impl Liar {
    /// A registry that has nothing yet.
    pub(crate) fn new() -> Liar {
        Liar {
            server: FileServer::start().unwrap(),
            name: "team/labels",
        }
    }

    /// The source of the plugin under the tag `1`.
    pub(crate) fn source(&self) -> String {
        format!("oci://{}/{}:1", self.server.host(), self.name)
    }

    /// The path of a manifest by tag or digest.
    pub(crate) fn manifest_at(&self, named: &str) -> String {
        format!("/v2/{}/manifests/{named}", self.name)
    }

    /// The path of a blob.
    pub(crate) fn blob_at(&self, bytes: &[u8]) -> String {
        format!("/v2/{}/blobs/sha256:{}", self.name, sha256(bytes))
    }

    /// The manifest of a component, as it should be.
    pub(crate) fn manifest(component: &[u8]) -> Value {
        json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(WASM_CONFIG, b"{}"),
            "layers": [descriptor(WASM_LAYER, component)],
        })
    }

    /// Has a manifest under the tag `1` and under its digest, with this media type in the answer's head; its digest.
    pub(crate) fn has_manifest(&self, manifest: &[u8], media_type: &str) -> String {
        let digest = format!("sha256:{}", sha256(manifest));
        for named in ["1", &digest] {
            let answer = Answer {
                status: 200,
                headers: vec![("Content-Type".to_owned(), media_type.to_owned())],
                body: manifest.to_vec(),
            };
            self.server.answer(&self.manifest_at(named), answer);
        }
        digest
    }

    /// Has these signatures, each with what it is over, beside a manifest, where cosign puts them.
    pub(crate) fn has_signatures(&self, manifest: &str, signatures: &[Signed]) {
        let mut layers = Vec::new();
        for signed in signatures {
            let payload = signed.payload.as_bytes();
            self.server.file(&self.blob_at(payload), payload);
            let mut layer = descriptor(SIMPLE, payload);
            layer["annotations"] =
                json!({ "dev.cosignproject.cosign/signature": signed.signature });
            layers.push(layer);
        }
        let config = descriptor("application/vnd.oci.image.config.v1+json", b"{}");
        let all = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
        });
        let tag = manifest.replace(':', "-") + ".sig";
        self.server.file(&self.manifest_at(&tag), all.to_string());
    }

    /// Has a plugin, as it should be; its manifest's digest.
    pub(crate) fn has(&self, component: &[u8]) -> String {
        self.server.file(&self.blob_at(component), component);
        let manifest = Liar::manifest(component).to_string();
        self.has_manifest(manifest.as_bytes(), MANIFEST)
    }
}

/// A registry with a plugin, and a repository that has it locked. The machine has nothing of it.
pub(crate) fn locked() -> (Liar, Scene, Vec<u8>) {
    let liar = Liar::new();
    let [_, component] = versions();
    liar.has(&component);
    let mut scene = Scene::new(&liar.source());
    scene.lock();
    scene.another_machine();
    (liar, scene, component)
}
