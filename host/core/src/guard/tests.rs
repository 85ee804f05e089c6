//! What needs a person and what does not; what an approval allows and for how long.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::inventory::{Holding, Inventory};
use crate::live::{Live, Mark, Owner, Seen, Version, Written};
use crate::object::{Object, Origin};
use crate::plan::{Others, plan};

fn object(kind: &str, name: usize) -> Object {
    let api = match kind {
        "CustomResourceDefinition" => "apiextensions.k8s.io/v1",
        _ => "v1",
    };
    let body = json!({"apiVersion": api, "kind": kind, "metadata": {"name": format!("o{name}")}});
    let (path, line) = ("a.yaml".to_owned(), 1);
    Object::new(body, Origin { path, line }).unwrap()
}

/// The plan of an app that owns `owned` maps and these further objects, and wants the first `wanted` maps.
fn planned(owned: usize, wanted: usize, further: &[Object]) -> (Plan, usize) {
    let maps: Vec<Object> = (0..owned).map(|n| object("ConfigMap", n)).collect();
    let all = maps.iter().chain(further);
    let written = |o: &Object| Written::content(o.digest());
    let inventory: Vec<_> = all
        .clone()
        .map(|o| (o.id().clone(), Holding::Confirmed(written(o))))
        .collect();
    let live = all
        .map(|o| {
            let seen = Seen {
                version: Version(o.digest().to_string()),
                mark: Mark::of_content(o.digest()),
                owner: Owner::Unsaid,
                leaving: None,
                keep: false,
            };
            (o.id().clone(), Live::Present(seen))
        })
        .collect();
    let (desired, inventory) = (&maps[..wanted], Inventory::from(inventory));
    let count = inventory.len();
    (plan(desired, &inventory, &live, &Others::default()), count)
}

fn output(n: u8) -> Digest {
    Digest::of(&[n])
}

fn held(owned: usize, wanted: usize, further: &[Object]) -> Option<Hold> {
    let (plan, owned) = planned(owned, wanted, further);
    guard(&plan, owned, output(0), GuardLimits::HOST, None)
}

#[test]
fn more_than_a_share_and_more_than_a_number_of_deletes_need_a_person() {
    // (owned, still wanted, held)
    for (owned, wanted, expected) in [
        (100, 70, false),
        (100, 69, true),
        (12, 1, true),
        (12, 2, false),
        (10, 0, false),
        (11, 0, true),
        (1_000, 1_000, false),
    ] {
        let hold = held(owned, wanted, &[]);
        assert_eq!(hold.is_some(), expected, "{owned} owned, {wanted} wanted");
        if let Some(hold) = hold {
            assert_eq!(hold.cause, Cause::Share { of: owned });
            assert_eq!(hold.deletes.len(), owned - wanted);
        }
    }
}

#[test]
fn a_single_object_that_takes_more_with_it_needs_a_person() {
    for kind in [
        "Namespace",
        "CustomResourceDefinition",
        "PersistentVolume",
        "PersistentVolumeClaim",
    ] {
        let hold = held(1_000, 1_000, &[object(kind, 0)]).unwrap();
        assert_eq!(hold.cause, Cause::Precious, "{kind}");
        let text = hold.to_string();
        assert!(text.contains(kind), "{text}");
    }
    assert_eq!(held(1_000, 1_000, &[object("Secret", 0)]), None);
}

#[test]
fn a_hold_names_first_what_takes_more_with_it_and_counts_the_rest() {
    let text = held(60, 10, &[object("Namespace", 9)]).unwrap().to_string();
    assert!(
        text.starts_with("this would delete 51 of its 61 objects: Namespace o9, ConfigMap o10"),
        "{text}"
    );
    assert!(text.ends_with("and 31 more"), "{text}");
}

#[test]
fn an_approval_is_of_one_output_and_of_no_more_deletes_than_were_seen() {
    let (plan, owned) = planned(20, 5, &[]);
    let ask = |approval, output| guard(&plan, owned, output, GuardLimits::HOST, approval);
    let hold = ask(None, output(0)).unwrap();
    let approval = hold.approved();
    assert_eq!(ask(Some(&approval), output(0)), None);
    assert!(ask(Some(&approval), output(1)).is_some(), "another output");
    let (more, _) = planned(20, 4, &[]);
    let more = guard(&more, owned, output(0), GuardLimits::HOST, Some(&approval));
    assert_ne!(more.unwrap().id(), hold.id(), "one more object");
    let (less, _) = planned(20, 6, &[]);
    let less = guard(&less, owned, output(0), GuardLimits::HOST, Some(&approval));
    assert_eq!(less, None, "what is left after some are gone");
}

#[test]
fn of_an_approval_that_was_used_only_what_was_kept_is_left() {
    let approval = held(20, 5, &[]).unwrap().approved();
    let kept: Vec<ResourceId> = approval.deletes.iter().take(2).cloned().collect();
    assert_eq!(approval.clone().left(&[]), None);
    let elsewhere = object("Secret", 1).id().clone();
    assert_eq!(approval.clone().left(&[elsewhere]), None);
    let left = approval.clone().left(&kept).unwrap();
    assert_eq!(left.deletes, kept.into_iter().collect());
    assert_eq!(left.output, approval.output);
}

proptest! {
    #[test]
    fn without_an_approval_no_plan_deletes_more_than_the_limits_say(
        owned in 0..60_usize, wanted in 0..60_usize, percent in 0..=100_usize, objects in 0..20_usize,
    ) {
        let wanted = wanted.min(owned);
        let (plan, owned) = planned(owned, wanted, &[]);
        let limits = GuardLimits { percent, objects };
        let deletes = owned - wanted;
        let over = deletes > objects && deletes * 100 > owned * percent;
        prop_assert_eq!(guard(&plan, owned, output(0), limits, None).is_some(), over);
    }

    #[test]
    fn two_holds_of_one_id_are_one(a in 0..30_usize, b in 0..30_usize, x in 0..3_u8, y in 0..3_u8) {
        let hold = |wanted, n| {
            let (plan, owned) = planned(45, wanted, &[]);
            guard(&plan, owned, output(n), GuardLimits::HOST, None).unwrap()
        };
        let (one, other) = (hold(a, x), hold(b, y));
        prop_assert_eq!(one.id() == other.id(), one == other);
    }
}
