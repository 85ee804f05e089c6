//! Receipts read back just as they were written, nothing else is one, and each thing that differs is named.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::envelope::pae;
use super::*;
use crate::fields::MaskKey;
use crate::grant::{Fuel, Limits};
use crate::object::{Object, Origin};
use crate::tree::{Dir, Entry, MemoryBlobs, Snapshot, Tree, TreeLimits, View};
use crate::validate::{OutputLimits, Validated, admit};

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn commit(n: u8) -> CommitId {
    CommitId::from_bytes([n; 20])
}

fn tree(files: &[(&str, &str)]) -> Snapshot {
    let mut blobs = MemoryBlobs::default();
    let mut entries = BTreeMap::new();
    for (n, (path, text)) in (1..).zip(files) {
        let id = commit(n);
        let size = text.len() as u64;
        let executable = false;
        blobs.insert(id, text.as_bytes());
        entries.insert(
            path.parse().unwrap(),
            Entry::File {
                id,
                size,
                executable,
            },
        );
    }
    let plain = Tree::new(None, entries).unwrap();
    let root = plain.root();
    let root = Dir::new(Some(commit(8)), root.items().to_vec(), root.size());
    Snapshot {
        tree: Arc::new(Tree::of(Some(commit(9)), Arc::new(root))),
        blobs: Arc::new(blobs),
        limits: TreeLimits::HOST,
        externals: crate::tree::Externals::default(),
    }
}

const MANIFEST: &str = "version: 1\nplugins: { metadata: { source: 'bundled:metadata', limits: { fuel: 2G } } }\n\
    apps: [{ name: web, path: web, transform: [{ plugin: metadata, config: { labels: { b: two, a: one } } }] }]\n";

fn basis(snapshot: &Snapshot, lock: Option<Lock>) -> Basis {
    let manifest = Manifest::parse(MANIFEST.as_bytes(), "weir.yaml", &snapshot.tree);
    Basis {
        tree: snapshot.tree.id(),
        manifest: Arc::new(manifest.unwrap().manifest),
        seen: ManifestSeen::Repository {
            digest: digest(MANIFEST),
        },
        lock_digest: lock.as_ref().map(|lock| digest(&lock.emit())),
        lock: lock.map(Arc::new),
        limits: Limits::HOST,
        engine: Engine {
            weir: "0.1.0".to_owned(),
            wasmtime: digest("wasmtime"),
        },
    }
}

fn digests() -> BTreeMap<PluginName, Digest> {
    let all = ["yaml", "metadata"].iter();
    all.map(|name| (name.parse().unwrap(), digest(name)))
        .collect()
}

fn receipt() -> Receipt {
    let snapshot = tree(&[("web/a.yaml", "a"), ("web/b.yaml", "b")]);
    let basis = basis(&snapshot, None);
    let inputs = basis.inputs(commit(9), &basis.manifest.apps[0], &digests());
    let mut view = View::new(snapshot, vec![RepoPath::root()]);
    view.read("web/a.yaml").unwrap();
    let repository = Repository {
        name: "shop".parse().unwrap(),
        url: "https://git.example/shop".to_owned(),
    };
    let inputs = inputs.unwrap().unwrap();
    let reads = view.into_read_set();
    basis.receipt(repository, inputs, &reads, digest("output"), None)
}

fn envelope() -> Envelope {
    Envelope::new(receipt().to_bytes().unwrap(), digest("key"), [7; 64])
}

#[test]
fn a_statement_reads_back_and_has_one_form() {
    let bytes = receipt().to_bytes().unwrap();
    assert_eq!(bytes, receipt().to_bytes().unwrap());
    assert_eq!(Receipt::read(&bytes).unwrap(), receipt());
    let text = String::from_utf8(bytes).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["_type"], STATEMENT_TYPE);
    assert_eq!(value["predicateType"], PREDICATE_TYPE);
    assert_eq!(value["subject"][0]["name"], "shop/web");
    assert_eq!(
        value["subject"][0]["digest"]["sha256"],
        digest("output").hex()
    );
    assert_eq!(value["predicate"]["inputs"]["lock"], Value::Null);
    assert_eq!(value["predicate"]["stableRandom"], false);
    let plugins = value["predicate"]["inputs"]["plugins"].as_array().unwrap();
    assert_eq!(plugins[0]["role"], "renderer");
    assert_eq!(plugins[1]["limits"]["fuel"], "2G");
    for (what, other) in [
        ("a space", text.replacen(':', ": ", 1)),
        ("an end of line", format!("{text}\n")),
        (
            "an unknown key",
            text.replacen("{\"name\"", "{\"more\":1,\"name\"", 1),
        ),
        ("another subject", text.replacen("shop/web", "shop/wob", 1)),
        (
            "another output",
            text.replacen(&digest("output").hex(), &digest("o").hex(), 1),
        ),
        ("no lock said", text.replacen("\"lock\":null,", "", 1)),
        (
            "a key twice",
            text.replacen("\"lock\":null,", "\"lock\":null,\"lock\":null,", 1),
        ),
        (
            "other words for a limit",
            text.replacen("\"2G\"", "\"2000M\"", 1),
        ),
        ("two renderers", text.replacen("transformer", "renderer", 1)),
        (
            "another type",
            text.replacen("Statement/v1", "Statement/v2", 1),
        ),
        (
            "another predicate",
            text.replacen("receipt/v1", "receipt/v2", 1),
        ),
        (
            "what a terminal would do",
            text.replacen("git.example", "git\\u001b[2J", 1),
        ),
    ] {
        assert_ne!(other, text, "{what}");
        assert!(Receipt::read(other.as_bytes()).is_err(), "{what}");
    }
    let long = vec![b' '; MAX_STATEMENT + 1];
    let too_large = matches!(Receipt::read(&long), Err(ReceiptError::TooLarge { .. }));
    assert!(too_large);
}

#[test]
fn stable_random_bytes_are_said_with_their_secret_and_only_so() {
    let with = |stable_random: bool, random_secret: Option<Digest>| Receipt {
        stable_random,
        random_secret,
        ..receipt()
    };
    let said = with(true, Some(digest("secret")));
    let bytes = said.to_bytes().unwrap();
    assert_eq!(Receipt::read(&bytes), Ok(said));
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    let secret = &value["predicate"]["randomSecret"];
    assert_eq!(secret, &digest("secret").to_string());
    for wrong in [with(true, None), with(false, Some(digest("secret")))] {
        let refused = matches!(wrong.to_bytes(), Err(ReceiptError::NotUnderstood(_)));
        assert!(refused, "{wrong:?}");
    }
    let text = String::from_utf8(receipt().to_bytes().unwrap()).unwrap();
    assert!(!text.contains("randomSecret"), "{text}");
    let empty = text.replacen("false}", "false,\"randomSecret\":null}", 1);
    assert_ne!(empty, text);
    assert!(Receipt::read(empty.as_bytes()).is_err(), "it has one form");
}

#[test]
fn what_is_signed_is_encoded_as_dsse_says() {
    let signed = pae("http://example.com/HelloWorld", b"hello world");
    assert_eq!(
        signed,
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
    let line = envelope().to_line().unwrap();
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["payloadType"], PAYLOAD_TYPE);
    assert_eq!(value["signatures"][0]["keyid"], digest("key").to_string());
}

#[test]
fn no_byte_of_an_envelope_can_be_changed_and_mean_the_same() {
    let line = envelope().to_line().unwrap().into_bytes();
    assert_eq!(Envelope::read(&line), Ok(envelope()));
    assert_eq!(Envelope::read(&line[..line.len() - 1]), Ok(envelope()));
    // Each bit of it is looked at where signatures are checked.
    for at in 0..line.len() {
        let mut other = line.clone();
        other[at] ^= 1 << (at % 8);
        // What still reads says something else, which its signature does not cover.
        if let Ok(read) = Envelope::read(&other) {
            assert_ne!(read, envelope(), "byte {at}");
        }
    }
    let text = String::from_utf8(line).unwrap();
    for other in [
        text.replace(PAYLOAD_TYPE, "text/plain"),
        text.replace(
            "\"signatures\":[",
            "\"signatures\":[{\"keyid\":\"\",\"sig\":\"\"},",
        ),
        format!("{text}\n"),
        format!(" {text}"),
    ] {
        assert!(Envelope::read(other.as_bytes()).is_err(), "{other}");
    }
}

#[test]
fn each_input_that_differs_is_named_and_nothing_else_is() {
    type Change = fn(&mut Receipt);
    let changes: &[(Part, Change)] = &[
        (Part::Commit, |r| r.inputs.commit = commit(1)),
        (Part::Tree, |r| r.inputs.tree = commit(1)),
        (Part::Manifest, |r| r.inputs.manifest = ManifestSeen::Absent),
        (Part::Manifest, |r| {
            r.inputs.manifest = ManifestSeen::Host {
                digest: digest(MANIFEST),
            }
        }),
        (Part::Lock, |r| r.inputs.lock = Some(digest("lock"))),
        (Part::App, |r| r.inputs.app.path = "wob".parse().unwrap()),
        (Part::App, |r| {
            r.inputs.app.roots.push("more".parse().unwrap());
        }),
        (Part::App, |r| {
            r.inputs.app.namespace = Some("shop".parse().unwrap());
        }),
        (Part::App, |r| r.inputs.app.target = "prod".parse().unwrap()),
        (Part::Plugin, |r| {
            r.inputs.plugins[1].digest = digest("other");
        }),
        (Part::Plugin, |r| {
            r.inputs.plugins[0].source = "file:a.wasm".to_owned();
        }),
        (Part::Plugin, |r| r.inputs.plugins[1].role = Role::Validator),
        (Part::Plugin, |r| drop(r.inputs.plugins.pop())),
        (Part::Config, |r| {
            r.inputs.plugins[1].config = digest("config");
        }),
        (Part::Facts, |r| {
            r.inputs.facts.kubernetes = "1.36.0".to_owned();
        }),
        (Part::Facts, |r| {
            r.inputs.facts.apis.push("a.b/v1".to_owned());
        }),
        (Part::Facts, |r| {
            r.inputs.facts.instant += jiff::SignedDuration::from_secs(1);
        }),
        (Part::Reads, |r| r.reads.digest = digest("reads")),
        (Part::Reads, |r| r.reads.questions += 1),
        (Part::Externals, |r| {
            drop(r.externals.insert(reference("a"), pin("a")));
        }),
        (Part::Random, |r| {
            r.stable_random = true;
            r.random_secret = Some(digest("secret"));
        }),
        (Part::Output, |r| r.output = digest("other")),
    ];
    for (part, change) in changes {
        let mut other = receipt();
        change(&mut other);
        let found = receipt().difference(&other);
        assert_eq!(found.map(|d| d.part), Some(*part));
        assert!(other.difference(&receipt()).is_some(), "{part:?}");
    }
    let nothing: &[Change] = &[
        |_| (),
        |r| r.engine.weir = "9".to_owned(),
        |r| r.repository.url = "elsewhere".to_owned(),
        |r| r.inputs.plugins[0].limits.fuel = Fuel(1),
    ];
    for change in nothing {
        let mut other = receipt();
        change(&mut other);
        assert_eq!(receipt().difference(&other), None);
    }
}

fn reference(chart: &str) -> Reference {
    format!("oci://h/{chart}?version=1").parse().unwrap()
}

fn pin(text: &str) -> LockedExternal {
    LockedExternal::Chart {
        version: "1.0.0".to_owned(),
        digest: digest(text),
        size: 1,
    }
}

#[test]
fn only_externals_that_were_looked_at_are_named() {
    let mut lock = Lock::default();
    let target = TargetName::default_target();
    lock.targets.insert(target, TargetFacts::fixed());
    for name in ["a", "b"] {
        lock.externals.insert(reference(name), pin(name));
    }
    let snapshot = tree(&[("web/a.yaml", "a")]);
    let basis = basis(&snapshot, Some(lock));
    let looked = |path: &str, list: bool| {
        let mut view = View::new(snapshot.clone(), vec![RepoPath::root()]);
        let failed = match list {
            true => view.entries(path).is_err(),
            false => view.read(path).is_err(),
        };
        assert!(failed, "nothing is shown here");
        let found = basis.externals(&view.into_read_set());
        found.into_keys().collect::<Vec<_>>()
    };
    let inside = format!("{}/Chart.yaml", reference("a").dir());
    assert_eq!(looked(&inside, false), [reference("a")]);
    assert_eq!(
        looked(EXTERNALS_DIR, true),
        [reference("a"), reference("b")]
    );
    let unknown = format!("{}/x", reference("c").dir());
    assert_eq!(looked(&unknown, false), []);
    assert_eq!(looked("web/none", false), []);
}

#[test]
fn the_order_of_a_config_is_no_difference() {
    let map = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
    let one = map(r#"{"b":[{"y":1,"x":"é\n"}],"a":{"d":null,"c":1.5}}"#);
    let other = map(r#"{"a":{"c":1.5,"d":null},"b":[{"x":"é\n","y":1}]}"#);
    assert_eq!(canonical::json(&one), canonical::json(&other));
    let text = r#"{"a":{"c":1.5,"d":null},"b":[{"x":"é\n","y":1}]}"#;
    assert_eq!(canonical::json(&one), text);
}

fn validated(objects: &[Value]) -> Validated {
    let nowhere = Origin {
        path: "a.yaml".to_owned(),
        line: 1,
    };
    let objects = objects
        .iter()
        .map(|o| Object::new(o.clone(), nowhere.clone()));
    let objects = objects.collect::<Result<Vec<_>, _>>().unwrap();
    admit(objects, vec![], OutputLimits::HOST).unwrap()
}

#[test]
fn the_first_object_and_field_that_differ_are_named_and_no_secrets_value() {
    let object = |kind: &str, name: &str, value: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "data": {"k": value}});
    let was = validated(&[
        object("ConfigMap", "a", "one"),
        object("Secret", "s", "aGlkZGVu"),
    ]);
    let differs = |now: &[Value]| first_difference(&was.stream(), &validated(now));
    let same = [
        object("ConfigMap", "a", "one"),
        object("Secret", "s", "aGlkZGVu"),
    ];
    assert_eq!(differs(&same), None);
    let field = differs(&[object("ConfigMap", "a", "two"), same[1].clone()]).unwrap();
    assert_eq!(field, "ConfigMap a: ~ data.k: \"one\" -> \"two\"");
    let secret = differs(&[same[0].clone(), object("Secret", "s", "b3RoZXI=")]).unwrap();
    assert!(secret.contains("Secret s: ~ data.k: (secret"), "{secret}");
    assert!(
        !secret.contains("aGlk") && !secret.contains("b3Ro"),
        "{secret}"
    );
    let gone = differs(&[same[0].clone()]).unwrap();
    assert_eq!(gone, "Secret s: it is not made any more");
    let more = [
        same[0].clone(),
        same[1].clone(),
        object("ConfigMap", "b", "x"),
    ];
    assert_eq!(differs(&more).unwrap(), "ConfigMap b: it is new");
    assert_eq!(first_difference("{ no: object", &was), None);
    // The key of the masks is a value of its own kind: it cannot be printed.
    assert_eq!(format!("{:?}", MaskKey::new([1; 32])), "MaskKey");
}

#[test]
fn a_limit_above_the_hosts_is_named() {
    assert_eq!(Limits::HOST.above(&Limits::HOST), None);
    let mut more = Limits::HOST;
    more.host_calls += 1;
    assert_eq!(
        more.above(&Limits::HOST).map(|(name, _, _)| name),
        Some("hostCalls")
    );
    more.fuel = Fuel(Limits::HOST.fuel.0 * 2);
    let above = more.above(&Limits::HOST);
    assert_eq!(above, Some(("fuel", "80G".to_owned(), "40G".to_owned())));
}

proptest! {
    #[test]
    fn whatever_bytes_come_they_are_read_or_refused(bytes: Vec<u8>, text: String) {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            let _ = Receipt::read(bytes);
            let _ = Envelope::read(bytes);
        }
    }

    #[test]
    fn a_statement_that_was_cut_or_patched_is_another_or_none(at in 0usize..3000, patch: Vec<u8>) {
        let bytes = receipt().to_bytes().unwrap();
        let at = at.min(bytes.len());
        let mut other = bytes[..at].to_vec();
        other.extend(&patch);
        other.extend(bytes.iter().skip(at + patch.len()));
        if other != bytes {
            prop_assert!(Receipt::read(&other).is_ok_and(|r| r != receipt()) || Receipt::read(&other).is_err());
        }
        let cut = &bytes[..at.min(bytes.len() - 1)];
        prop_assert!(Receipt::read(cut).is_err());
    }
}
