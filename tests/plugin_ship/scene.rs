//! A machine, a registry and the tools of others: what each trial begins with.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use serde_json::Value;
use weir_sandbox::{Claims, with_claims};
use weir_tests::oci_tools::{KEY_PASSWORD, KeyPair, OciTools};
use weir_tests::registry::Registry;
use weir_tests::{Ran, Weir, places};

/// Where plugins are pushed to.
pub(crate) const PATH: &str = "team/team-labels";

pub(crate) struct Scene {
    pub(crate) weir: Weir,
    pub(crate) registry: Registry,
    pub(crate) tools: OciTools,
    /// Paths of files with components, by version.
    files: Mutex<BTreeMap<String, &'static str>>,
}

/// A plugin of a version: the bundled `metadata`, which says of itself that it is this.
pub(crate) fn component(version: &str) -> Vec<u8> {
    let claims = Claims {
        name: "team-labels".into(),
        version: version.into(),
        description: "Labels each object with its team".into(),
        license: "Apache-2.0".into(),
        source: "https://git.example/team-labels".into(),
        role: "transformer".into(),
    };
    with_claims(&places::bundled("metadata").unwrap(), &claims)
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let mut weir = Weir::new().unwrap();
        let dir = weir.path("");
        weir.current_dir(&dir);
        Scene {
            weir,
            registry: Registry::start().unwrap(),
            tools: OciTools::new().unwrap(),
            files: Mutex::default(),
        }
    }

    /// A reference by tag.
    pub(crate) fn reference(&self, tag: &str) -> String {
        format!("oci://{}/{PATH}:{tag}", self.registry.host())
    }

    /// The path of a file with the component of a version.
    pub(crate) fn file(&self, version: &str) -> &'static str {
        let mut files = self.files.lock().unwrap();
        files.entry(version.to_owned()).or_insert_with(|| {
            let path = self.weir.path(&format!("{version}.wasm"));
            fs::write(&path, component(version)).unwrap();
            // A test's few paths may stay as long as it runs.
            Box::leak(path.to_str().unwrap().to_owned().into_boxed_str())
        })
    }

    /// Pushes the plugin of a version under it as its tag: its reference with the digest.
    pub(crate) fn push(&self, version: &str) -> String {
        let to = self.reference(version);
        let pushed = self.json(&["push", self.file(version), &to, "-o", "json"]);
        pushed["reference"].as_str().unwrap().to_owned()
    }

    /// `weir plugin sign` with a key of cosign's.
    pub(crate) fn sign(&self, key: &KeyPair, reference: &str) -> String {
        let password = self.weir.path("key-password");
        fs::write(&password, format!("{KEY_PASSWORD}\n")).unwrap();
        let (key, password) = (key.private.to_str().unwrap(), password.to_str().unwrap());
        self.says(&["sign", reference, "--key", key, "--password-file", password])
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let all = ["plugin"].iter().chain(arguments);
        self.weir.run(all.copied()).unwrap()
    }

    pub(crate) fn says(&self, arguments: &[&str]) -> String {
        self.run(arguments).success().unwrap()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.says(arguments)).unwrap()
    }

    /// What a command that must fail says.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert!(matches!(ran.code, Some(1 | 2)), "{arguments:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{arguments:?}");
        ran.stderr
    }
}

/// What others call the same thing: without the scheme.
pub(crate) fn plain(reference: &str) -> &str {
    reference.trim_start_matches("oci://")
}
