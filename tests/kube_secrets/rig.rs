//! Two apps on a real API server, a key, and the real `sops`.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use weir_tests::control_plane::{ControlPlane, wait};
use weir_tests::scene::{SOON, Scene};
use weir_tests::sops::{Key, Sops};
use weir_tests::{Ran, Serving};

/// What nobody may see, in each value.
pub(super) const MARKER: &str = "hunter2-sesame";
/// What is encrypted of a Secret manifest.
pub(super) const VALUES: [&str; 2] = ["--encrypted-regex", "^(data|stringData)$"];

/// Two apps in one namespace, `web` of plain YAML and `made` of Kustomize, a key, and `sops`.
pub(super) struct Rig {
    pub(super) scene: Scene<'static>,
    pub(super) sops: Sops,
    pub(super) key: Key,
}

impl Rig {
    pub(super) fn new(prefix: &str) -> Rig {
        let scene = Scene::new(ControlPlane::shared().unwrap(), prefix).unwrap();
        scene.weir.begin_with_engines().unwrap();
        let sops = Sops::new().unwrap();
        let key = sops.key("own").unwrap();
        let mut rig = Rig { scene, sops, key };
        let namespace = &rig.scene.namespace;
        rig.scene
            .repo
            .write_text(&format!(
                "//- weir.yaml\n\
                 version: 1\n\
                 apps:\n\
                 - {{ name: web, path: web, target: {{ namespace: {namespace} }} }}\n\
                 - {{ name: made, path: made, target: {{ namespace: {namespace} }} }}\n\
                 //- made/kustomization.yaml\n\
                 generatorOptions: {{ disableNameSuffixHash: true }}\n\
                 configMapGenerator:\n\
                 - {{ name: beside, literals: [a=b] }}\n"
            ))
            .unwrap();
        rig.commit();
        rig
    }

    pub(super) fn commit(&mut self) {
        self.scene.repo.commit("change").unwrap();
    }

    pub(super) fn encrypted(&self, name: &str, plain: impl AsRef<[u8]>, flags: &[&str]) -> Vec<u8> {
        self.sops.encrypt(&[&self.key], name, plain, flags).unwrap()
    }

    /// A file of the repository, encrypted on its way; what it is.
    pub(super) fn encrypt(&self, path: &str, plain: impl AsRef<[u8]>, flags: &[&str]) -> String {
        let name = path.rsplit('/').next().unwrap();
        let sealed = self.encrypted(name, plain, flags);
        self.scene.repo.write(path, &sealed).unwrap();
        String::from_utf8(sealed).unwrap()
    }

    /// A Secret manifest in app `web`, encrypted as the documentation says.
    pub(super) fn encrypt_secret(&self, password: &str) -> String {
        self.encrypt("web/secret.yaml", secret(password), &VALUES)
    }

    pub(super) fn sync(&self, key: &Key) -> Ran {
        let path = key.path.to_str().unwrap();
        self.scene.sync(&["--age-key-file", path]).unwrap()
    }

    pub(super) fn synced(&self) {
        self.sync(&self.key).code(0).unwrap();
    }

    /// What a Secret's key holds in the cluster; nothing where there is none.
    pub(super) fn value(&self, secret: &str, key: &str) -> Option<Vec<u8>> {
        let found = self.secret(secret)?;
        let value = found["data"].get(key)?.as_str()?;
        Some(STANDARD.decode(value).unwrap())
    }

    pub(super) fn secret(&self, name: &str) -> Option<Value> {
        let namespace = &self.scene.namespace;
        let words = [
            "get",
            "secret",
            name,
            "--namespace",
            namespace,
            "--ignore-not-found",
            "-o",
            "json",
        ];
        let text = self.scene.kubectl.text(&words).unwrap();
        (!text.trim().is_empty()).then(|| serde_json::from_str(&text).unwrap())
    }

    #[track_caller]
    pub(super) fn holds(&self, secret: &str, key: &str, expected: &str) {
        let found = self
            .value(secret, key)
            .map(|v| String::from_utf8(v).unwrap());
        assert_eq!(found.as_deref(), Some(expected), "{secret}.{key}");
    }

    /// `weir COMMAND` for the repository, with the key or without.
    pub(super) fn diff(&self, key: Option<&Key>) -> Ran {
        let url = self.scene.server.url("work");
        let mut words = vec!["diff", "--live", "--repo", &url, "--target", "kube:"];
        if let Some(key) = key {
            words.extend(["--age-key-file", key.path.to_str().unwrap()]);
        }
        self.scene.weir.run(words).unwrap()
    }

    pub(super) fn serve(&self, key: &Path) -> Serving {
        let url = self.scene.server.url("work");
        let words = [
            "serve",
            "--repo",
            &url,
            "--target",
            "kube:",
            "--interval",
            "200ms",
            "--listen",
            "127.0.0.1:0",
            "--age-key-file",
            key.to_str().unwrap(),
        ];
        self.scene.weir.start(words).unwrap()
    }

    pub(super) fn until_holds(&self, secret: &str, key: &str, expected: &str) {
        let what = format!("{secret}.{key} is {expected}");
        wait::until(SOON, &what, || {
            let found = self.value(secret, key);
            Ok((found.as_deref() == Some(expected.as_bytes())).then_some(()))
        })
        .unwrap();
    }
}

pub(super) fn secret(password: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ntype: Opaque\nstringData:\n  password: {password}\n  user: ada\ndata:\n  token: {}\n",
        STANDARD.encode(format!("token of {password}"))
    )
}

/// Files and lines of an app that Kustomize makes Secrets of.
pub(super) fn generators(rig: &Rig) {
    rig.scene
        .repo
        .write_text(
            "//- made/kustomization.yaml\n\
             namePrefix: my-\n\
             generatorOptions: { disableNameSuffixHash: true }\n\
             resources: [secret.yaml]\n\
             secretGenerator:\n\
             - { name: files, files: [a.yaml, a.json, a.bin, renamed=a.env, plain.txt] }\n\
             - { name: lines, envs: [a.env] }\n\
             //- made/plain.txt\n\
             not a secret\n",
        )
        .unwrap();
    let long = format!("{MARKER} ").repeat(40);
    rig.encrypt("made/secret.yaml", secret(&format!("{MARKER}-2")), &VALUES);
    rig.encrypt(
        "made/a.yaml",
        format!("# of the database\ndb:\n  password: {MARKER}\n  port: 5432\n  long: {long}\n  key: |\n    one\n    two\n"),
        &[],
    );
    rig.encrypt(
        "made/a.json",
        format!(r#"{{"password": "{MARKER}", "n": [1, true]}}"#),
        &[],
    );
    rig.encrypt("made/a.bin", [b"\x00\xff", MARKER.as_bytes()].concat(), &[]);
    rig.encrypt(
        "made/a.env",
        format!("# lines\nPASSWORD={MARKER}\nTWO=a\\nb\nEQ=a=b\n"),
        &[],
    );
}
