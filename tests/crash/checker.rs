//! The checker itself: each rule is broken once, and named with its object.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use weir_core::digest::Digest;
use weir_core::inventory::{Holding, Inventory};
use weir_core::live::Written;
use weir_core::object::ResourceId;
use weir_core::status::{AppStatus, Status};
use weir_tests::invariants::cluster::{Memory, Owner, Picture, Place, Rule, Violation};

const LEDGER: &str = "1f00";
const TARGETS: &[&str] = &["default"];

fn place(name: &str) -> Place {
    format!("/ConfigMap/shop/{name}")
}

fn id(name: &str) -> ResourceId {
    ResourceId {
        group: String::new(),
        kind: "ConfigMap".to_owned(),
        namespace: Some("shop".parse().unwrap()),
        name: name.to_owned(),
    }
}

/// A map that carries the name of an app of our ledger.
fn map(name: &str, app: &str, uid: &str) -> Value {
    let owner = format!("{LEDGER}/git/{app}:{}", place(name));
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": name, "namespace": "shop", "uid": uid, "annotations": { "weir.dev/owner": owner },
    } })
}

/// Apps that hold maps, all of them surely or none.
fn ledger(apps: &[(&str, &[&str], bool)]) -> BTreeMap<String, Status> {
    let mut status = Status::default();
    for (app, names, sure) in apps {
        let digest = Digest::of(b"content");
        let holding = |sure| match sure {
            true => Holding::Confirmed(Written::content(digest)),
            false => Holding::Intended(digest),
        };
        let held = names.iter().map(|name| (id(name), holding(*sure)));
        let held = AppStatus {
            inventory: Inventory::from(held.collect::<Vec<_>>()),
            target: Some("default".parse().unwrap()),
            ..AppStatus::default()
        };
        status.apps.insert(app.parse().unwrap(), held);
    }
    [("git".to_owned(), status)].into()
}

fn picture(apps: &[(&str, &[&str], bool)], objects: Vec<Value>) -> Picture {
    Picture::of(LEDGER, &ledger(apps), TARGETS, objects)
}

fn wanted(all: &[(&str, &str)]) -> BTreeMap<Place, Owner> {
    let all = all.iter();
    all.map(|(name, app)| (place(name), format!("git/{app}")))
        .collect()
}

fn named(broken: &[Violation]) -> Vec<(Rule, Place)> {
    broken.iter().map(|v| (v.rule, v.place.clone())).collect()
}

#[test]
fn where_all_is_well_nothing_is_said() {
    let picture = picture(
        &[("web", &["a", "b"], true)],
        vec![map("a", "web", "1"), map("b", "web", "2")],
    );
    let all = wanted(&[("a", "web"), ("b", "web")]);
    assert_eq!(picture.settled(&all, &BTreeSet::new()), []);
}

#[test]
fn what_carries_our_name_and_is_in_no_inventory_is_named() {
    let picture = picture(
        &[("web", &["a"], true)],
        vec![map("a", "web", "1"), map("lost", "web", "2")],
    );
    assert_eq!(named(&picture.always()), [(Rule::Tracked, place("lost"))]);
}

#[test]
fn a_copy_of_our_name_and_the_name_of_another_ledger_are_somebody_elses() {
    let mut copy = map("a", "web", "2");
    copy["metadata"]["name"] = json!("derived");
    let mut foreign = map("theirs", "web", "3");
    let owner = format!("2e00/git/web:{}", place("theirs"));
    foreign["metadata"]["annotations"]["weir.dev/owner"] = json!(owner);
    let picture = picture(&[], vec![copy, foreign]);
    assert_eq!((picture.always(), picture.others.len()), (vec![], 2));
}

#[test]
fn what_two_apps_hold_is_named() {
    let picture = picture(
        &[("web", &["a"], true), ("db", &["a"], true)],
        vec![map("a", "web", "1")],
    );
    assert_eq!(named(&picture.always()), [(Rule::OwnedOnce, place("a"))]);
}

#[test]
fn what_git_wants_and_nobody_holds_is_named() {
    let picture = picture(&[], vec![]);
    let broken = picture.settled(&wanted(&[("a", "web")]), &BTreeSet::new());
    assert_eq!(named(&broken), [(Rule::Held, place("a"))]);
}

#[test]
fn what_is_held_and_gone_or_anothers_or_unwanted_or_unsure_is_named() {
    let none = BTreeSet::new();
    let held: &[(&str, &[&str], bool)] = &[("web", &["a"], true)];
    let all = wanted(&[("a", "web")]);
    let broken = picture(held, vec![]).settled(&all, &none);
    assert_eq!(named(&broken), [(Rule::There, place("a"))]);
    let broken = picture(held, vec![map("a", "db", "1")]).settled(&all, &none);
    assert_eq!(named(&broken), [(Rule::There, place("a"))]);
    let broken = picture(held, vec![map("a", "web", "1")]).settled(&wanted(&[]), &none);
    assert_eq!(named(&broken), [(Rule::Wanted, place("a"))]);
    let unsure: &[(&str, &[&str], bool)] = &[("web", &["a"], false)];
    let broken = picture(unsure, vec![map("a", "web", "1")]).settled(&all, &none);
    assert_eq!(named(&broken), [(Rule::Sure, place("a"))]);
}

#[test]
fn an_app_that_could_not_be_rendered_may_hold_what_it_has_and_must_have_it() {
    let held: &[(&str, &[&str], bool)] = &[("web", &["a"], true)];
    let unrendered = BTreeSet::from(["git/web".to_owned()]);
    let there = picture(held, vec![map("a", "web", "1")]);
    assert_eq!(there.settled(&wanted(&[("b", "web")]), &unrendered), []);
    let gone = picture(held, vec![]).settled(&wanted(&[]), &unrendered);
    assert_eq!(named(&gone), [(Rule::There, place("a"))]);
}

#[test]
fn what_goes_or_is_replaced_while_it_is_wanted_is_named_and_what_a_commit_dropped_is_not() {
    let held: &[(&str, &[&str], bool)] = &[("web", &["a", "b"], true)];
    let all = wanted(&[("a", "web"), ("b", "web")]);
    let mut memory = Memory::default();
    let both = picture(held, vec![map("a", "web", "1"), map("b", "web", "2")]);
    assert_eq!(memory.look(&both, &all), []);
    let mut other = memory.clone();
    let replaced = picture(held, vec![map("a", "web", "1"), map("b", "web", "3")]);
    assert_eq!(
        named(&other.look(&replaced, &all)),
        [(Rule::Kept, place("b"))]
    );
    let gone = picture(held, vec![map("a", "web", "1")]);
    assert_eq!(named(&other.look(&gone, &all)), [(Rule::Kept, place("b"))]);
    other.deleted_by_hand(&place("b"));
    assert_eq!(other.look(&gone, &all), []);
    let fewer = wanted(&[("a", "web")]);
    memory.commit(&fewer);
    assert_eq!(memory.look(&gone, &fewer), []);
}

#[test]
fn an_object_that_lost_our_name_by_hand_is_still_there() {
    let held: &[(&str, &[&str], bool)] = &[("web", &["a"], true)];
    let all = wanted(&[("a", "web")]);
    let mut memory = Memory::default();
    memory.look(&picture(held, vec![map("a", "web", "1")]), &all);
    let mut stripped = map("a", "web", "1");
    stripped["metadata"]["annotations"] = Value::Null;
    assert_eq!(memory.look(&picture(held, vec![stripped]), &all), []);
}
