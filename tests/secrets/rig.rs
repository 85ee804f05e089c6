//! A key, the real `sops`, and files opened as the target `kube:` has them opened.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weir_core::object::{Object, Origin};
use weir_core::reveal::Reveal as _;
use weir_secrets::{Keys, Opener, SecretLimits};
use weir_tests::sops::{Key, Sops};

/// How much is read.
pub(super) const LIMITS: SecretLimits = SecretLimits::HOST;
/// What nobody may see.
pub(super) const MARKER: &str = "hunter2-sesame";

/// A key, and sops.
pub(super) struct Rig {
    pub(super) sops: Sops,
    pub(super) key: Key,
}

impl Rig {
    pub(super) fn new() -> Rig {
        let sops = Sops::new().unwrap();
        let key = sops.key("own").unwrap();
        Rig { sops, key }
    }

    pub(super) fn encrypt(&self, name: &str, plain: impl AsRef<[u8]>, flags: &[&str]) -> Vec<u8> {
        self.sops.encrypt(&[&self.key], name, plain, flags).unwrap()
    }

    pub(super) fn opener(&self) -> Opener {
        opener(&[&self.key])
    }

    /// What Weir makes of a file that a Secret holds.
    pub(super) fn weir(&self, sealed: &[u8]) -> Result<Vec<u8>, String> {
        open(&self.opener(), sealed)
    }

    /// A file is opened as `sops` opens it; the bytes.
    #[track_caller]
    pub(super) fn same(&self, name: &str, plain: impl AsRef<[u8]>, flags: &[&str]) -> Vec<u8> {
        let sealed = self.encrypt(name, plain, flags);
        let sops = self.sops.decrypt(&self.key, name, &sealed, &[]).unwrap();
        let weir = self
            .weir(&sealed)
            .unwrap_or_else(|e| panic!("{name}: {e}\n{}", String::from_utf8_lossy(&sealed)));
        assert!(
            weir == sops,
            "{name} {flags:?}: sops has\n{}\nWeir has\n{}\nof\n{}",
            String::from_utf8_lossy(&sops),
            String::from_utf8_lossy(&weir),
            String::from_utf8_lossy(&sealed)
        );
        sops
    }

    /// Why Weir does not open a file that somebody changed.
    #[track_caller]
    pub(super) fn refused(&self, name: &str, sealed: &[u8], from: &str, to: &str) -> String {
        let text = String::from_utf8(sealed.to_vec()).unwrap();
        assert!(text.contains(from), "{from} is not in\n{text}");
        let changed = text.replacen(from, to, 1);
        let by_sops = self.sops.decrypt(&self.key, name, changed.as_bytes(), &[]);
        assert!(by_sops.is_err(), "sops opens it\n{changed}");
        self.weir(changed.as_bytes()).unwrap_err()
    }
}

pub(super) fn opener(keys: &[&Key]) -> Opener {
    let mut all = Keys::none();
    for key in keys {
        all.add_file(&key.path, LIMITS).unwrap();
    }
    Opener::new(all, LIMITS)
}

pub(super) fn secret(data: Value) -> Object {
    let body =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data});
    object(body)
}

pub(super) fn object(body: Value) -> Object {
    let origin = Origin {
        path: "a.yaml".into(),
        line: 1,
    };
    Object::new(body, origin).unwrap()
}

pub(super) fn open(opener: &Opener, sealed: &[u8]) -> Result<Vec<u8>, String> {
    let object = secret(json!({"file": STANDARD.encode(sealed)}));
    let body = opener.reveal(&object).map_err(|e| e.to_string())?;
    let file = body.expose()["data"]["file"].as_str().unwrap();
    Ok(STANDARD.decode(file).unwrap())
}
