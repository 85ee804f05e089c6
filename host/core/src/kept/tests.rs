//! What was kept gives the same objects, or nothing; what changed is named by field, and no Secret's value with it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::grant::Millis;
use crate::live::Written;
use crate::manifest::{Manifest, OnFailure, Settle};
use crate::policy::Ignore;
use crate::tree::{Entry, Tree};
use crate::yaml::Mark;

fn app() -> App {
    let file = Entry::File {
        id: crate::digest::ObjectId::from_bytes([1; 20]),
        size: 1,
        executable: false,
    };
    let tree = Tree::new(None, [("web/a.yaml".parse().unwrap(), file)].into()).unwrap();
    let manifest = Manifest::implied(&tree, "web".parse().unwrap(), "web".parse().unwrap());
    let mut app = manifest.map(|m| m.apps[0].clone()).unwrap();
    app.settle = Some(Settle {
        within: Millis(90_000),
        on_failure: OnFailure::Rollback,
    });
    app.policy.ignore.push(Ignore {
        kind: Some("Deployment".to_owned()),
        fields: vec!["/spec/replicas".to_owned()],
        ..Ignore::default()
    });
    app.render.config = json!({"release": "web"}).as_object().unwrap().clone();
    app.mark = Mark::default();
    app
}

fn object(kind: &str, name: &str, field: &str, data: &Value) -> Object {
    let body = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, field: data});
    let origin = Origin {
        path: format!("{name}.yaml"),
        line: 3,
    };
    Object::new(body, origin).unwrap()
}

fn map(name: &str, data: &Value) -> Object {
    object("ConfigMap", name, "data", data)
}

fn validated(objects: Vec<Object>) -> Validated {
    admit(objects, vec![], OutputLimits::HOST).unwrap()
}

fn kept(validated: &Validated) -> Vec<u8> {
    keep(None, &app(), &BTreeMap::new(), validated, None).unwrap()
}

/// What a record says of a sync from one output to the other that updated every object.
fn changes(before: Vec<Object>, after: Vec<Object>) -> Vec<Changed> {
    let (before, after) = (kept(&validated(before)), validated(after));
    let updated = |o: &Object| Outcome {
        id: o.id().clone(),
        ended: Ended::Updated(Written::content(Digest::of(b"x"))),
    };
    let outcomes: Vec<Outcome> = after.objects().iter().map(updated).collect();
    changed(&KeptOutput::read(&before).unwrap(), &after, &outcomes)
}

#[test]
fn what_was_kept_gives_the_same_objects_with_their_files_and_the_app_as_it_was() {
    let all = validated(vec![map("a", &json!({"k": "v"})), map("b", &json!({}))]);
    let bytes = kept(&all);
    let read = KeptOutput::read(&bytes).unwrap();
    assert_eq!(read.stream, all.stream());
    assert_eq!(read.beside.app, app());
    assert_eq!(read.admit(OutputLimits::HOST).unwrap(), all);
    let origin = read.origin(all.objects()[1].id()).unwrap();
    assert_eq!(origin.to_string(), "b.yaml:3");
}

#[test]
fn every_flipped_bit_of_an_output_and_every_cut_is_found() {
    let bytes = kept(&validated(vec![map("a", &json!({"k": "v"}))]));
    let head = bytes.iter().position(|b| *b == b'\n').unwrap();
    for at in head + 1..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            let error = KeptOutput::read(&bad).unwrap_err();
            assert!(matches!(error, KeptError::OtherBytes { .. }), "{error}");
        }
    }
    for cut in 0..bytes.len() {
        assert!(KeptOutput::read(&bytes[..cut]).is_err(), "cut to {cut}");
    }
}

#[test]
fn a_newer_form_is_told_from_damage() {
    let bytes = kept(&validated(vec![map("a", &json!({}))]));
    let newer = String::from_utf8(bytes).unwrap();
    let newer = newer.replacen("\"version\":1", "\"version\":2", 1);
    let error = KeptOutput::read(newer.as_bytes()).unwrap_err();
    assert_eq!(error, KeptError::Newer(2));
}

#[test]
fn the_fields_that_changed_are_named_and_what_is_new_or_the_same_is_not() {
    let all = changes(
        vec![
            map("a", &json!({"k": "v", "gone": "x"})),
            map("b", &json!({"k": "v"})),
        ],
        vec![
            map("a", &json!({"k": "w", "new": "x"})),
            map("b", &json!({"k": "v"})),
            map("c", &json!({"k": "v"})),
        ],
    );
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0].fields, ["data.gone", "data.k", "data.new"]);
}

#[test]
fn of_many_fields_the_first_are_named_and_the_others_counted() {
    let many = |value: &str| {
        let all = (0..MAX_FIELDS + 5).map(|n| (format!("k{n:02}"), json!(value)));
        vec![map("a", &Value::Object(all.collect()))]
    };
    let all = changes(many("v"), many("w"));
    assert_eq!((all[0].fields.len(), all[0].more), (MAX_FIELDS, 5));
}

#[test]
fn of_a_secret_the_keys_are_named_and_no_value() {
    let secret = |value: &str| {
        vec![object(
            "Secret",
            "s",
            "stringData",
            &json!({"password": value}),
        )]
    };
    let all = changes(secret("hunter2"), secret("hunter3"));
    assert_eq!(all[0].fields, ["stringData.password"]);
    assert!(!serde_json::to_string(&all).unwrap().contains("hunter"));
}

proptest! {
    #[test]
    fn whatever_texts_objects_hold_each_is_found_in_the_stream(
        texts in proptest::collection::vec("[ -~\n]{0,40}|---|--- \n---\n", 1..6)
    ) {
        let objects = texts.iter().enumerate().map(|(n, text)| {
            map(&format!("m{n}"), &json!({"text": text, "list": [text, {"deep": text}]}))
        });
        let all = validated(objects.collect());
        let bytes = kept(&all);
        let read = KeptOutput::read(&bytes).unwrap();
        prop_assert_eq!(read.documents().count(), texts.len());
        prop_assert_eq!(read.admit(OutputLimits::HOST).unwrap(), all);
    }
}
