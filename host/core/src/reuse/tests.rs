//! A key differs with each input and with nothing else; an entry gives just what it was made of, or nothing.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::digest::ObjectId;
use crate::grant::{Bytes, Fuel, Millis};
use crate::manifest::Manifest;
use crate::name::AppName;
use crate::tree::{Entry, Tree};
use crate::validate::Level;

/// What a key is made of, as one value to change.
#[derive(Clone)]
struct Given {
    engine: Digest,
    app: App,
    facts: TargetFacts,
    plugin: Digest,
    limits: Limits,
    role: &'static str,
    output: OutputLimits,
    random: Option<Digest>,
}

fn given() -> Given {
    let file = Entry::File {
        id: ObjectId::from_bytes([1; 20]),
        size: 1,
        executable: false,
    };
    let tree = Tree::new(None, [("web/a.yaml".parse().unwrap(), file)].into()).unwrap();
    let name: AppName = "web".parse().unwrap();
    let manifest = Manifest::implied(&tree, "web".parse().unwrap(), name);
    let app = match manifest {
        Ok(manifest) => manifest.apps[0].clone(),
        Err(e) => panic!("{e}"),
    };
    Given {
        engine: Digest::of(b"engine"),
        app,
        facts: TargetFacts {
            kubernetes: "1.37.0".to_owned(),
            apis: vec!["a/v1".to_owned()],
            instant: "2026-01-01T00:00:00Z".parse().unwrap(),
        },
        plugin: Digest::of(b"plugin"),
        limits: Limits::HOST,
        role: "renderer",
        output: OutputLimits::HOST,
        random: None,
    }
}

fn key_of(given: &Given) -> Digest {
    told_of(given).key
}

fn told_of(given: &Given) -> Told {
    let made = Called {
        role: given.role,
        call: &given.app.render,
        digest: given.plugin,
        limits: given.limits,
        random: given.random,
    };
    told(
        given.engine,
        &given.app,
        &given.facts,
        &[made],
        given.output,
    )
}

#[test]
fn each_input_is_part_of_the_key() {
    type Change = fn(&mut Given);
    let changes: [Change; 23] = [
        |g| g.engine = Digest::of(b"other"),
        |g| g.app.name = "web2".parse().unwrap(),
        |g| g.app.path = "web2".parse().unwrap(),
        |g| g.app.target = "eu".parse().unwrap(),
        |g| g.app.roots.push("charts".parse().unwrap()),
        |g| g.app.roots.clear(),
        |g| g.app.namespace = Some("shop".parse().unwrap()),
        |g| g.app.render.plugin = "other".parse().unwrap(),
        |g| drop(g.app.render.config.insert("a".to_owned(), json!(1))),
        |g| g.facts.kubernetes = "1.36.0".to_owned(),
        |g| g.facts.apis.push("b/v1".to_owned()),
        |g| g.facts.apis.clear(),
        |g| g.facts.instant = "2026-01-01T00:00:01Z".parse().unwrap(),
        |g| g.plugin = Digest::of(b"other plugin"),
        |g| g.role = "transformer",
        |g| g.limits.fuel = Fuel(1),
        |g| g.limits.memory = Bytes(1),
        |g| g.limits.output = Bytes(1),
        |g| g.limits.time = Millis(1),
        |g| g.limits.host_calls = 1,
        |g| g.output.objects = 1,
        |g| g.random = Some(Digest::of(b"a seed")),
        |g| g.random = Some(Digest::of(b"another seed")),
    ];
    let mut keys = BTreeSet::from([key_of(&given())]);
    for (n, change) in changes.iter().enumerate() {
        let mut changed = given();
        change(&mut changed);
        assert!(keys.insert(key_of(&changed)), "change {n} changes no key");
    }
}

#[test]
fn another_secret_is_another_key_and_the_same_inputs() {
    let with = |random: Option<&[u8]>| {
        let random = random.map(Digest::of);
        told_of(&Given { random, ..given() })
    };
    let (none, one, other) = (with(None), with(Some(b"one")), with(Some(b"other")));
    assert_ne!(none.inputs, one.inputs, "the grant is an input");
    assert_eq!(one.inputs, other.inputs, "which secret it is, is none");
    assert_ne!(one.key, other.key);
}

#[test]
fn what_is_done_with_a_render_later_is_no_part_of_its_key() {
    let mut changed = given();
    changed.app.after = vec!["db".parse().unwrap()];
    changed.app.settle = Some(crate::manifest::Settle {
        within: Millis(1),
        on_failure: crate::manifest::OnFailure::Rollback,
    });
    changed.app.mark.line += 7;
    assert_eq!(key_of(&changed), key_of(&given()));
}

/// Two objects with numbers and texts of every kind, and one note.
fn validated() -> Validated {
    let body = |name: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
            "data": {"text": "a: \"b\"\n\u{1f600}", "one": 1, "big": 12_345_678_901_234_567_890_u64, "part": 0.1, "none": null}})
    };
    let object = |name: &str, line| {
        let path = "web/a.yaml".to_owned();
        Object::new(body(name), Origin { path, line }).unwrap()
    };
    let note = Finding {
        level: Level::Warning,
        code: "old".to_owned(),
        message: "it is old".to_owned(),
        plugin: Some("check".parse().unwrap()),
        object: None,
        origin: None,
        pointer: Some("/data".to_owned()),
    };
    let objects = vec![object("b", 9), object("a", 1)];
    admit(objects, vec![note], OutputLimits::HOST).unwrap()
}

fn entry() -> Vec<u8> {
    let plugins = [("yaml".parse().unwrap(), Digest::of(b"plugin"))].into();
    Kept::entry(&ReadSet::default(), &plugins, &validated(), true).unwrap()
}

#[test]
fn an_entry_gives_just_what_it_was_made_of() {
    let entry = entry();
    let (kept, objects) = Kept::read(&entry).unwrap();
    assert_eq!(kept.output, validated().output());
    assert!(kept.drew);
    let again = kept.admit(objects, OutputLimits::HOST).unwrap();
    assert_eq!(again, validated());
    assert_eq!(again.stream(), validated().stream());
    let origins: Vec<u32> = again.objects().iter().map(|o| o.origin().line).collect();
    assert_eq!(origins, [1, 9]);
}

#[test]
fn an_entry_that_was_changed_anywhere_gives_no_other_bytes() {
    let whole = entry();
    let render = |bytes: &[u8]| {
        let (kept, objects) = Kept::read(bytes)?;
        kept.admit(objects, OutputLimits::HOST)
    };
    let right = render(&whole).unwrap();
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 4;
        for bytes in [&bad[..], &whole[..at]] {
            if let Some(other) = render(bytes) {
                assert_eq!(other.stream(), right.stream(), "byte {at}");
            }
        }
    }
}

#[test]
fn narrower_limits_are_kept() {
    let entry = entry();
    let (kept, objects) = Kept::read(&entry).unwrap();
    let limits = OutputLimits {
        objects: 1,
        ..OutputLimits::HOST
    };
    assert!(kept.admit(objects, limits).is_none());
}
