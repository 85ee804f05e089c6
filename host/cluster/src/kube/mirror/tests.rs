//! What the mirror holds, says and never guesses, event by event.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::notices::Noticed;

const LEDGER: &str = "1f00";

fn mirror() -> (Mirror, Notices) {
    let notices = Notices::default();
    let estate = Estate {
        ledger: LEDGER.to_owned(),
        repository: "shop".parse().unwrap(),
    };
    (Mirror::new(estate, notices.clone()), notices)
}

/// A mirror whose list of config maps and Deployments was empty.
fn live() -> (Mirror, Notices) {
    let (mirror, notices) = mirror();
    for kind in [maps(), deployments()] {
        mirror.begin(&kind);
        mirror.take(&kind, Event::Init);
        mirror.take(&kind, Event::InitDone);
    }
    (mirror, notices)
}

fn maps() -> Kind {
    (String::new(), "ConfigMap".to_owned())
}

fn deployments() -> Kind {
    ("apps".to_owned(), "Deployment".to_owned())
}

fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

fn id(kind: &Kind, name: &str) -> ResourceId {
    ResourceId {
        group: kind.0.clone(),
        kind: kind.1.clone(),
        namespace: Some("prod".parse().unwrap()),
        name: name.to_owned(),
    }
}

/// One ConfigMap as it was last seen.
fn seen_one(mirror: &Mirror, asking: &str, name: &str) -> Option<Seen> {
    let id = id(&maps(), name);
    let mut seen = mirror.seen(&app(asking), &maps(), std::iter::once(&id));
    seen.next().flatten()
}

/// An object of an app at a resource version, whose entry of ours was last changed at second `time`.
fn object(kind: &Kind, name: &str, app: &str, version: u32, time: u32) -> DynamicObject {
    let api_version = if kind.0.is_empty() { "v1" } else { "apps/v1" };
    let body = json!({
        "apiVersion": api_version, "kind": kind.1,
        "metadata": {
            "name": name, "namespace": "prod", "uid": "u1", "resourceVersion": version.to_string(),
            "annotations": {
                ANNOTATION: format!("{LEDGER}/shop/{app}:{}/{}/prod/{name}", kind.0, kind.1),
            },
            "managedFields": [{
                "manager": "weir", "operation": "Apply", "apiVersion": api_version,
                "time": format!("2026-01-01T00:00:{time:02}Z"), "fieldsType": "FieldsV1", "fieldsV1": {},
            }],
        },
    });
    serde_json::from_value(body).unwrap()
}

fn with(mut object: DynamicObject, data: Value) -> DynamicObject {
    object.data = data;
    object
}

/// A Deployment of one replica that is there, or is not.
fn rollout(name: &str, version: u32, available: bool) -> DynamicObject {
    let count = u32::from(available);
    let status = json!({
        "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
        "availableReplicas": count, "readyReplicas": count,
        "conditions": [{"type": "Available", "status": if available { "True" } else { "False" }}],
    });
    with(
        object(&deployments(), name, "web", version, 1),
        json!({"spec": {"replicas": 1}, "status": status}),
    )
}

fn heard(notices: &Notices) -> Noticed {
    use futures::FutureExt as _;
    notices.next().now_or_never().unwrap_or_default()
}

/// The apps that drifted.
fn apps_of(noticed: Noticed) -> BTreeSet<AppName> {
    noticed.drifted.into_keys().collect()
}

fn drift(app_name: &str) -> BTreeSet<AppName> {
    BTreeSet::from([app(app_name)])
}

#[test]
fn what_we_wrote_is_seen_as_written_and_its_event_says_nothing() {
    let (mirror, notices) = live();
    let written = object(&maps(), "a", "web", 10, 1);
    mirror.wrote(&id(&maps(), "a"), &written.metadata);
    heard(&notices);
    mirror.take(&maps(), Event::Apply(written.clone()));
    assert_eq!(heard(&notices), Noticed::default());
    let seen = seen_one(&mirror, "web", "a").unwrap();
    assert_eq!(seen.mark, mark(&written.metadata));
    assert_eq!((seen.owner, &*seen.version.0), (Owner::Us, "10"));
}

#[test]
fn a_change_of_what_is_ours_is_drift_and_of_anything_else_is_not() {
    let (mirror, notices) = live();
    mirror.wrote(
        &id(&maps(), "a"),
        &object(&maps(), "a", "web", 10, 1).metadata,
    );
    heard(&notices);
    let status_only = object(&maps(), "a", "web", 11, 1);
    mirror.take(&maps(), Event::Apply(status_only));
    assert_eq!(apps_of(heard(&notices)), BTreeSet::new());
    let edited = object(&maps(), "a", "web", 12, 2);
    mirror.take(&maps(), Event::Apply(edited));
    assert_eq!(apps_of(heard(&notices)), drift("web"));
}

#[test]
fn what_comes_late_changes_nothing() {
    let (mirror, notices) = live();
    let (old, new) = (
        object(&maps(), "a", "web", 9, 1),
        object(&maps(), "a", "web", 10, 2),
    );
    mirror.wrote(&id(&maps(), "a"), &new.metadata);
    heard(&notices);
    mirror.take(&maps(), Event::Apply(old.clone()));
    mirror.take(&maps(), Event::Delete(old.clone()));
    mirror.wrote(&id(&maps(), "a"), &old.metadata);
    assert_eq!(heard(&notices), Noticed::default());
    let seen = seen_one(&mirror, "web", "a").unwrap();
    assert_eq!(seen.mark, mark(&new.metadata));
}

#[test]
fn a_deleted_object_is_drift_and_nothing_is_said_of_its_place() {
    let (mirror, notices) = live();
    let there = object(&maps(), "a", "web", 10, 1);
    mirror.take(&maps(), Event::Apply(there));
    heard(&notices);
    mirror.take(&maps(), Event::Delete(object(&maps(), "a", "web", 11, 1)));
    assert_eq!(apps_of(heard(&notices)), drift("web"));
    assert_eq!(seen_one(&mirror, "web", "a"), None);
}

#[test]
fn an_object_without_our_name_is_not_held_and_losing_it_is_drift() {
    let (mirror, notices) = live();
    let strangers = object(&maps(), "a", "web", 10, 1);
    for annotation in [
        "",
        "2e11/shop/web:/ConfigMap/prod/a",
        "1f00/shop/web:/ConfigMap/prod/b",
    ] {
        let mut stranger = strangers.clone();
        let annotations = stranger.metadata.annotations.as_mut().unwrap();
        annotations.insert(ANNOTATION.to_owned(), annotation.to_owned());
        mirror.take(&maps(), Event::Apply(stranger));
        assert_eq!(seen_one(&mirror, "web", "a"), None);
        assert_eq!(heard(&notices), Noticed::default());
    }
    mirror.take(&maps(), Event::Apply(strangers));
    heard(&notices);
    let mut bare = object(&maps(), "a", "web", 11, 1);
    bare.metadata.annotations = None;
    mirror.take(&maps(), Event::Apply(bare));
    assert_eq!(apps_of(heard(&notices)), drift("web"));
    assert_eq!(seen_one(&mirror, "web", "a"), None);
}

#[test]
fn an_object_that_moved_is_the_other_apps_and_both_are_told() {
    let (mirror, notices) = live();
    mirror.take(&maps(), Event::Apply(object(&maps(), "a", "web", 10, 1)));
    heard(&notices);
    mirror.take(&maps(), Event::Apply(object(&maps(), "a", "db", 11, 2)));
    assert_eq!(
        apps_of(heard(&notices)),
        BTreeSet::from([app("web"), app("db")])
    );
    let seen = |name| seen_one(&mirror, name, "a").unwrap().owner;
    assert_eq!(seen("web"), Owner::App(app("db")));
    assert_eq!(seen("db"), Owner::Us);
}

#[test]
fn a_kind_whose_watch_failed_answers_nothing_until_it_is_listed_anew() {
    let (mirror, notices) = live();
    mirror.take(&maps(), Event::Apply(object(&maps(), "a", "web", 10, 1)));
    mirror.take(&maps(), Event::Apply(object(&maps(), "b", "db", 10, 1)));
    mirror.take(&maps(), Event::Apply(object(&maps(), "c", "etc", 10, 1)));
    heard(&notices);
    mirror.lost(&maps(), "the server is away".to_owned());
    assert_eq!(seen_one(&mirror, "web", "a"), None);
    assert_eq!(heard(&notices), Noticed::default());
    mirror.take(&maps(), Event::Init);
    mirror.take(
        &maps(),
        Event::InitApply(object(&maps(), "a", "web", 12, 1)),
    );
    mirror.take(&maps(), Event::InitApply(object(&maps(), "b", "db", 13, 2)));
    assert_eq!(seen_one(&mirror, "web", "a"), None);
    mirror.take(&maps(), Event::InitDone);
    // `a` is as it was, `b` was changed and `c` went while nobody looked.
    assert_eq!(
        apps_of(heard(&notices)),
        BTreeSet::from([app("db"), app("etc")])
    );
    assert!(seen_one(&mirror, "web", "a").is_some());
    assert_eq!(seen_one(&mirror, "etc", "c"), None);
}

#[test]
fn a_write_during_the_first_list_is_not_undone_by_it() {
    let (mirror, _) = mirror();
    mirror.begin(&maps());
    mirror.take(&maps(), Event::Init);
    mirror.take(&maps(), Event::InitApply(object(&maps(), "a", "web", 9, 1)));
    let written = object(&maps(), "a", "web", 10, 2);
    mirror.wrote(&id(&maps(), "a"), &written.metadata);
    mirror.take(&maps(), Event::InitDone);
    let seen = seen_one(&mirror, "web", "a").unwrap();
    assert_eq!(seen.mark, mark(&written.metadata));
}

#[test]
fn health_follows_the_status_and_a_rollout_is_no_drift() {
    let (mirror, notices) = live();
    let at = id(&deployments(), "w");
    assert!(!mirror.health(&at).is_ready(), "it is not there");
    mirror.take(&deployments(), Event::Apply(rollout("w", 10, false)));
    heard(&notices);
    assert!(!mirror.health(&at).is_ready(), "{}", mirror.health(&at));
    mirror.take(&deployments(), Event::Apply(rollout("w", 11, true)));
    let noticed = heard_later(&notices);
    assert_eq!(
        (apps_of(noticed.clone()), noticed.health),
        (BTreeSet::new(), drift("web"))
    );
    assert_eq!(mirror.health(&at), Health::Healthy);
    // What we just wrote is not yet what its status speaks of.
    let written = object(&deployments(), "w", "web", 12, 2);
    mirror.wrote(&at, &written.metadata);
    assert!(!mirror.health(&at).is_ready());
}

/// The same, when health may be told again.
fn heard_later(notices: &Notices) -> Noticed {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(notices.next())
}

#[test]
fn what_cannot_be_watched_is_healthy_only_where_being_there_is_all_its_health() {
    let (mirror, _) = mirror();
    for kind in [maps(), deployments()] {
        mirror.begin(&kind);
        mirror.lost(&kind, "forbidden".to_owned());
    }
    assert_eq!(mirror.health(&id(&maps(), "a")), Health::Healthy);
    let health = mirror.health(&id(&deployments(), "w"));
    assert!(
        !health.is_ready() && health.to_string().contains("forbidden"),
        "{health}"
    );
}

#[test]
fn resource_versions_are_compared_as_numbers_and_else_not_at_all() {
    assert!(is_older("9", "10") && !is_older("10", "9") && !is_older("10", "10"));
    assert!(!is_older("abc", "abd") && !is_older("", "1"));
}
