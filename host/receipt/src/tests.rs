//! Keys that others can get at sign nothing; what was signed or bundled cannot be changed unseen.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use weir_core::digest::{CommitId, Digest};
use weir_core::external::{GitKind, GitObject, LockedExternal};
use weir_core::grant::Limits;
use weir_core::lock::TargetFacts;
use weir_core::name::TargetName;
use weir_core::receipt::{
    AppInputs, Engine, Envelope, Inputs, ManifestSeen, PluginUse, Reads, Receipt, Repository, Role,
};

use super::*;

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn commit(n: u8) -> CommitId {
    CommitId::from_bytes([n; 20])
}

fn receipt() -> Receipt {
    let chart = LockedExternal::Chart {
        version: "1.0.0".to_owned(),
        digest: digest("archive"),
        size: 7,
    };
    let externals = [
        ("oci://h/web?version=1", chart),
        (
            "git+https://h/base?ref=v1",
            LockedExternal::Commit(commit(3)),
        ),
    ];
    Receipt {
        repository: Repository {
            name: "shop".parse().unwrap(),
            url: "https://git.example/shop".to_owned(),
        },
        inputs: Inputs {
            commit: commit(1),
            tree: commit(2),
            manifest: ManifestSeen::Repository {
                digest: digest("manifest"),
            },
            lock: Some(digest("lock")),
            app: AppInputs {
                name: "web".parse().unwrap(),
                path: "web".parse().unwrap(),
                roots: vec!["web".parse().unwrap()],
                namespace: None,
                target: TargetName::default_target(),
            },
            plugins: vec![PluginUse {
                role: Role::Renderer,
                name: "yaml".parse().unwrap(),
                source: "bundled:yaml".to_owned(),
                digest: digest("component"),
                config: digest("{}"),
                limits: Limits::HOST,
            }],
            facts: TargetFacts::fixed(),
        },
        reads: Reads {
            digest: digest("reads"),
            questions: 2,
        },
        externals: externals
            .into_iter()
            .map(|(r, l)| (r.parse().unwrap(), l))
            .collect(),
        engine: Engine {
            weir: "0.1.0".to_owned(),
            wasmtime: digest("wasmtime"),
        },
        output: digest("output"),
        stable_random: false,
        random_secret: None,
    }
}

/// A state, and the keys below it.
fn state() -> (TempDir, Keys) {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::below(dir.path());
    (dir, keys)
}

fn bundle(keys: &Keys) -> Bundle {
    let envelope = keys.sign(&receipt()).unwrap();
    let object = |kind, n: u8, text: &str| GitObject {
        kind,
        id: commit(n),
        bytes: text.as_bytes().to_vec(),
    };
    Bundle {
        key: keys.public(Some(envelope.key())).unwrap(),
        envelope,
        output: b"output".to_vec(),
        manifest: Some(b"manifest".to_vec()),
        lock: Some(b"lock".to_vec()),
        components: [(digest("component"), b"component".to_vec())].into(),
        archives: [(digest("archive"), b"archive".to_vec())].into(),
        objects: [(
            commit(3),
            vec![
                object(GitKind::Commit, 3, "commit"),
                object(GitKind::Blob, 4, "blob"),
            ],
        )]
        .into(),
    }
}

fn written(bundle: &Bundle) -> Vec<u8> {
    let mut bytes = Vec::new();
    bundle.write(&mut bytes).unwrap();
    bytes
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_first_receipt_makes_a_private_key_that_only_this_user_can_read() {
    let (dir, keys) = state();
    assert!(keys.list().unwrap().is_empty());
    assert_eq!(keys.public(None), Err(KeysError::None));
    let envelope = keys.sign(&receipt()).unwrap();
    assert_eq!(keys.check(&envelope), Ok(receipt()));
    assert_eq!(
        keys.sign(&receipt()).unwrap(),
        envelope,
        "the same gives the same"
    );
    let folder = dir.path().join("keys");
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600));
    let all = keys.list().unwrap();
    assert_eq!((all.len(), all[0].standing), (1, Standing::Signing));
    let private = fs::read_to_string(folder.join("signing.pem")).unwrap();
    assert!(private.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    let key = key::PrivateKey::read(&private).unwrap();
    let secret = private.lines().nth(1).unwrap();
    assert!(!format!("{key:?}").contains(&secret[8..20]));
    assert_eq!(
        format!("{key:?}"),
        format!("PrivateKey({})", envelope.key().short())
    );
    // Neither by mistake: a private key is no public one.
    assert!(PublicKey::read(&private).unwrap_err().contains("private"));
}

#[test]
fn an_old_receipt_is_checked_with_the_key_that_signed_it() {
    let (dir, keys) = state();
    let old = keys.sign(&receipt()).unwrap();
    let made = keys.rotate().unwrap();
    let new = keys.sign(&receipt()).unwrap();
    assert_eq!(new.key(), made.id());
    assert_ne!(old.key(), new.key());
    assert!(keys.check(&old).is_ok() && keys.check(&new).is_ok());
    let standings: Vec<Standing> = keys.list().unwrap().iter().map(|k| k.standing).collect();
    assert_eq!(standings, [Standing::Signing, Standing::Retired]);
    // The old private key is gone: nobody can sign with it any more.
    let folder = dir.path().join("keys");
    let private = fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path());
    let private = private.filter(|f| fs::read_to_string(f).unwrap().contains("PRIVATE"));
    assert_eq!(private.count(), 1);
    // Another host trusts one of them once it is told to.
    let (_other, others) = state();
    let id = old.key();
    assert_eq!(others.check(&old), Err(CheckError::UnknownKey { id }));
    let exported = keys.public(Some(id)).unwrap();
    others
        .import(&PublicKey::read(exported.pem()).unwrap())
        .unwrap();
    assert_eq!(others.check(&old), Ok(receipt()));
    assert!(matches!(
        others.check(&new),
        Err(CheckError::UnknownKey { .. })
    ));
    let all = others.list().unwrap();
    assert_eq!((all.len(), all[0].standing), (1, Standing::Imported));
    assert_eq!(
        others.public(Some(made.id())),
        Err(KeysError::Unknown(made.id()))
    );
}

#[test]
fn keys_that_others_can_get_at_are_not_used() {
    let refused = |change: &dyn Fn(&Path), word: &str| {
        let (dir, keys) = state();
        let envelope = keys.sign(&receipt()).unwrap();
        change(&dir.path().join("keys"));
        for found in [
            keys.sign(&receipt()).map(drop).map_err(|e| e.to_string()),
            keys.list().map(drop).map_err(|e| e.to_string()),
            keys.check(&envelope).map(drop).map_err(|e| e.to_string()),
        ] {
            let said = found.unwrap_err();
            assert!(said.contains(word), "{said}");
        }
    };
    for mode in [0o640, 0o604, 0o620, 0o601] {
        refused(
            &|dir| chmod(&dir.join("signing.pem"), mode),
            "others have access",
        );
    }
    for mode in [0o750, 0o705, 0o701] {
        refused(&|dir| chmod(dir, mode), "others have access");
    }
    refused(
        &|dir| {
            fs::rename(dir.join("signing.pem"), dir.join("elsewhere")).unwrap();
            symlink(dir.join("elsewhere"), dir.join("signing.pem")).unwrap();
        },
        "symbolic link",
    );
    refused(
        &|dir| {
            fs::remove_file(dir.join("signing.pem")).unwrap();
            fs::create_dir(dir.join("signing.pem")).unwrap();
        },
        "no plain file",
    );
    refused(
        &|dir| {
            let moved = dir.with_file_name("moved");
            fs::rename(dir, &moved).unwrap();
            symlink(moved, dir).unwrap();
        },
        "keys",
    );
    refused(
        &|dir| fs::write(dir.join("signing.pem"), "x".repeat(20_000)).unwrap(),
        "more than",
    );
}

#[test]
fn no_bit_of_a_signed_receipt_or_of_its_key_can_be_changed() {
    let (_dir, keys) = state();
    let envelope = keys.sign(&receipt()).unwrap();
    let trusted = keys.trusted().unwrap();
    let line = envelope.to_line().unwrap().into_bytes();
    let (mut unknown, mut bad) = (0, 0);
    for at in 0..line.len() {
        for bit in 0..8 {
            let mut other = line.clone();
            other[at] ^= 1 << bit;
            match Envelope::read(&other).map(|read| trusted.check(&read)) {
                Ok(Ok(_)) => panic!("byte {at}, bit {bit}: it is believed"),
                Ok(Err(CheckError::UnknownKey { .. })) => unknown += 1,
                Ok(Err(CheckError::BadSignature { .. })) => bad += 1,
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }
    assert!(unknown > 100 && bad > 1000, "{unknown} unknown, {bad} bad");
    let pem = keys.public(None).unwrap().pem().as_bytes().to_vec();
    for at in 0..pem.len() {
        for bit in 0..8 {
            let mut other = pem.clone();
            other[at] ^= 1 << bit;
            let read = std::str::from_utf8(&other).map(PublicKey::read);
            if let Ok(Ok(key)) = read {
                let trusted: Trusted = [key].into_iter().collect();
                let found = trusted.check(&envelope);
                assert!(found.is_err(), "byte {at}, bit {bit}: it is believed");
            }
        }
    }
}

#[test]
fn a_private_key_that_was_changed_signs_nothing_as_the_old_one_and_is_not_printed() {
    let (dir, keys) = state();
    let old = keys.sign(&receipt()).unwrap().key();
    let file = dir.path().join("keys/signing.pem");
    let pem = fs::read(&file).unwrap();
    for at in (0..pem.len()).step_by(3) {
        let mut other = pem.clone();
        other[at] ^= 1 << (at % 7);
        fs::write(&file, &other).unwrap();
        match keys.sign(&receipt()) {
            Ok(envelope) => assert_ne!(envelope.key(), old, "byte {at}"),
            Err(e) => {
                let secret =
                    String::from_utf8_lossy(&pem).lines().nth(1).unwrap()[24..40].to_owned();
                assert!(!e.to_string().contains(&secret), "{e}");
            }
        }
    }
}

#[test]
fn a_bundle_reads_back_and_is_the_same_bytes_each_time() {
    let (_dir, keys) = state();
    let bundle = bundle(&keys);
    bundle.check_size().unwrap();
    let bytes = written(&bundle);
    assert_eq!(bytes, written(&bundle));
    let read = Bundle::read(&bytes).unwrap();
    assert_eq!(written(&read), bytes);
    assert_eq!(
        (&read.output, &read.components),
        (&bundle.output, &bundle.components)
    );
    assert_eq!(keys.check(&read.envelope), Ok(receipt()));
}

#[test]
fn no_byte_of_a_bundle_can_be_changed() {
    let (_dir, keys) = state();
    let trusted = keys.trusted().unwrap();
    let good = bundle(&keys);
    let bytes = written(&good);
    for at in 0..bytes.len() {
        let mut other = bytes.clone();
        other[at] ^= 1 << (at % 8);
        let Ok(read) = Bundle::read(&other) else {
            continue;
        };
        // Of the receipt itself the signature tells; of an object of Git's its id, which whoever uses it compares.
        let is_object = read.objects != Bundle::read(&bytes).unwrap().objects;
        assert!(
            trusted.check(&read.envelope).is_err() || is_object,
            "byte {at}: it is believed"
        );
    }
    for at in 0..bytes.len() {
        assert!(
            at == bytes.len() || Bundle::read(&bytes[..at]).is_err(),
            "cut at {at}"
        );
    }
    let longer = [bytes.as_slice(), &[0; 512]].concat();
    assert!(Bundle::read(&longer).is_err());
}

#[test]
fn a_bundle_has_just_what_its_receipt_names() {
    let (_dir, keys) = state();
    let refused = |change: &dyn Fn(&mut Bundle), word: &str| {
        let mut other = bundle(&keys);
        change(&mut other);
        let said = Bundle::read(&written(&other)).unwrap_err().to_string();
        assert!(said.contains(word), "{said}");
    };
    let (_dir, others) = state();
    refused(&|b| b.manifest = None, "has no weir.yaml");
    refused(&|b| b.lock = None, "has no weir.lock");
    refused(&|b| b.components = BTreeMap::new(), "has no plugin");
    refused(&|b| b.archives = BTreeMap::new(), "has no chart");
    refused(&|b| b.objects = BTreeMap::new(), "has no commit");
    refused(&|b| b.output.push(b'x'), "not what the receipt says");
    refused(
        &|b| b.manifest = Some(Vec::new()),
        "not what the receipt says",
    );
    refused(
        &|b| drop(b.components.insert(digest("more"), b"more".to_vec())),
        "does not name",
    );
    refused(
        &|b| drop(b.archives.insert(digest("more"), b"more".to_vec())),
        "does not name",
    );
    refused(
        &|b| drop(b.objects.insert(commit(9), b.objects[&commit(3)].clone())),
        "does not name",
    );
    refused(
        &|b| drop(b.components.insert(digest("component"), Vec::new())),
        "have the digest",
    );
    refused(&|b| b.key = others.rotate().unwrap(), "not the key");
}

#[test]
fn no_member_of_a_bundle_lies_outside_or_is_anything_but_a_file() {
    let (_dir, keys) = state();
    let good = written(&bundle(&keys));
    let with = |name: &[u8], kind: tar::EntryType| {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o644);
        header.set_cksum();
        let said = Bundle::read(&[header.as_bytes(), good.as_slice()].concat());
        said.unwrap_err().to_string()
    };
    let file = tar::EntryType::Regular;
    for name in [
        "../x",
        "/etc/passwd",
        "plugins/../x",
        "plugins/x.wasm",
        "git/x",
        "more",
        "./receipt.json",
    ] {
        let said = with(name.as_bytes(), file);
        assert!(
            said.contains("no bundle has such a member"),
            "{name}: {said}"
        );
    }
    for kind in [
        tar::EntryType::Symlink,
        tar::EntryType::Link,
        tar::EntryType::Directory,
        tar::EntryType::Fifo,
        tar::EntryType::GNULongName,
        tar::EntryType::XHeader,
        tar::EntryType::XGlobalHeader,
    ] {
        let said = with(b"weir.yaml", kind);
        assert!(said.contains("no plain file"), "{kind:?}: {said}");
    }
    assert!(with(b"weir.yaml", file).contains("twice"));
}

proptest! {
    #[test]
    fn whatever_bytes_come_they_are_no_bundle_and_no_key(bytes: Vec<u8>, text: String) {
        prop_assert!(Bundle::read(&bytes).is_err());
        prop_assert!(PublicKey::read(&text).is_err());
        prop_assert!(key::PrivateKey::read(&text).is_err());
    }

    #[test]
    fn a_bundle_with_other_bytes_in_the_middle_is_none(at in 0usize..10_000, patch: Vec<u8>) {
        let (_dir, keys) = state();
        let bytes = written(&bundle(&keys));
        let at = at.min(bytes.len());
        let other = [&bytes[..at], &patch, &bytes[at..]].concat();
        prop_assert!(patch.is_empty() || Bundle::read(&other).is_err());
    }
}
