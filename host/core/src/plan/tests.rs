//! One object at a time: what is taken, what is refused.

mod owned;
mod properties;

use super::*;
use crate::live::{Mark, Version, Written};
use crate::object::Origin;
use serde_json::json;

fn object(value: &str) -> Object {
    let body = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"v": value},
    });
    let origin = Origin {
        path: "a.yaml".into(),
        line: 1,
    };
    Object::new(body, origin).unwrap()
}

/// What a target that shows an object's content says of it.
fn shown(content: Digest) -> Live {
    Live::Present(Seen {
        version: Version(content.to_string()),
        mark: Mark::of_content(content),
        owner: Owner::Unsaid,
        leaving: None,
        keep: false,
    })
}

/// The plan for one object that another app holds and no longer wants.
fn taking(wanted: &Object, holding: Holding, content: Digest) -> Plan {
    let id = wanted.id().clone();
    let app = "other".parse().unwrap();
    let held = Held {
        app,
        holding,
        wants: false,
    };
    let others = Others {
        holds: [(id.clone(), held)].into(),
        ..Others::default()
    };
    let live = [(id, shown(content))].into();
    plan(
        std::slice::from_ref(wanted),
        &Inventory::default(),
        &live,
        &others,
    )
}

#[test]
fn a_taken_object_is_held_no_more_surely_than_before() {
    let (wanted, staked, foreign) = (object("new"), object("old"), Digest::of(b"foreign"));
    let plan = taking(&wanted, Holding::Intended(staked.digest()), foreign);
    assert_eq!(plan.refused(), [(wanted.id().clone(), Refusal::NotOurs)]);
    assert!(plan.is_empty(), "nothing is written and nothing is taken");
}

#[test]
fn an_object_that_moves_here_is_taken_and_updated() {
    let (wanted, old) = (object("new"), object("old"));
    for holding in [
        Holding::Intended(old.digest()),
        Holding::Confirmed(Written::content(old.digest())),
    ] {
        let plan = taking(&wanted, holding, old.digest());
        assert!(matches!(plan.steps().next(), Some(Step::Update { .. })));
        assert_eq!(plan.taken().len(), 1);
    }
}

#[test]
fn a_kind_that_the_target_does_not_have_is_never_a_create_and_the_repositorys_to_mend() {
    let wanted = object("new");
    let live = [(wanted.id().clone(), Live::Unserved("no Widget".to_owned()))];
    let (empty, others) = (Inventory::default(), Others::default());
    let plan = plan(&[wanted], &empty, &BTreeMap::from(live), &others);
    let (_, refused) = &plan.refused()[0];
    assert!(plan.is_empty() && refused.to_string() == "no Widget");
    let blame = (refused.fault(), refused.retry());
    assert_eq!(blame, (Fault::Repository, Retry::Backoff));
}

#[test]
fn unknown_live_state_is_never_a_create() {
    let wanted = object("new");
    let plan = plan(
        &[wanted],
        &Inventory::default(),
        &BTreeMap::new(),
        &Others::default(),
    );
    assert!(plan.is_empty() && plan.refused().len() == 1);
}

#[test]
fn what_an_app_that_cannot_be_rendered_may_want_is_not_deleted_before_that_is_known() {
    let gone = object("gone");
    let id = gone.id().clone();
    let holding = Holding::Confirmed(Written::content(gone.digest()));
    let inventory = Inventory::from(vec![(id.clone(), holding)]);
    let live = [(id.clone(), shown(gone.digest()))].into();
    let app: AppName = "broken".parse().unwrap();
    let mut others = Others {
        unrendered: Some(app.clone()),
        ..Others::default()
    };
    let waits = plan(&[], &inventory, &live, &others);
    assert_eq!(waits.refused(), [(id, Refusal::MayMove(app))]);
    assert!(waits.is_empty(), "{waits:?}");
    others.unrendered = None;
    let goes = plan(&[], &inventory, &live, &others);
    assert!(
        matches!(goes.prune(), [wave] if wave.len() == 1),
        "{goes:?}"
    );
}
