//! Tests of the rules for all kinds, of what has the wrong form, of `waits`, and of an app's summary.

use serde_json::{Value, json};

use super::super::{Health, MAX_CONDITIONS, MAX_QUOTE, Summary, assess, waits};
use super::{condition, live, table, with};
use crate::object::ResourceId;

fn custom(status: Value) -> Value {
    live("example.org/v1", "Widget", json!({}), status)
}
fn said(conditions: Value) -> Value {
    custom(json!({"conditions": conditions}))
}
fn id(group: &str, kind: &str, name: &str) -> ResourceId {
    ResourceId {
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: None,
        name: name.to_owned(),
    }
}

#[test]
fn what_is_being_deleted_is_terminating_whatever_else_it_is() {
    let of = |kind: &str, finalizers: Value| {
        json!({"apiVersion": "v1", "kind": kind, "status": {"phase": "Bound"},
            "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": finalizers}})
    };
    table([
        (
            of("PersistentVolumeClaim", Value::Null),
            "terminating: it is being deleted",
        ),
        (
            of("ConfigMap", json!([])),
            "terminating: it is being deleted",
        ),
        (
            of("Secret", json!(["a/b"])),
            "terminating: it is being deleted and waits for 1 finalizer: a/b",
        ),
        (
            of("ConfigMap", json!(["a", "b", "c", "d", "e"])),
            "terminating: it is being deleted and waits for 5 finalizers: a, b, c and 2 more",
        ),
        (
            of("ConfigMap", json!([1])),
            "terminating: it is being deleted; `metadata.finalizers[0]` is another number, expected text",
        ),
        (
            of("Namespace", Value::Null),
            "terminating: it is being deleted, its objects first",
        ),
    ]);
}

#[test]
fn a_custom_resource_is_healthy_unless_its_conditions_say_otherwise() {
    table([
        (custom(Value::Null), "healthy"),
        (said(json!([])), "healthy"),
        (said(json!([condition("Ready", "True", "", "")])), "healthy"),
        (
            said(json!([condition("Synced", "False", "", "")])),
            "healthy",
        ),
        (
            said(json!([
                condition("Stalled", "False", "", ""),
                condition("Reconciling", "False", "", "")
            ])),
            "healthy",
        ),
        (
            said(json!([condition("Ready", "False", "Waits", "for it")])),
            "progressing: Ready is False (Waits): for it",
        ),
        (
            said(json!([{"type": "Ready"}])),
            "progressing: Ready is Unknown",
        ),
        (
            said(json!([
                condition("Reconciling", "True", "Busy", ""),
                condition("Ready", "True", "", "")
            ])),
            "progressing: Reconciling is True (Busy)",
        ),
        (
            said(json!([
                condition("Stalled", "True", "NoWay", ""),
                condition("Ready", "True", "", "")
            ])),
            "failed: Stalled is True (NoWay)",
        ),
        (
            said(json!([condition("Failed", "True", "Broken", "")])),
            "failed: Failed is True (Broken)",
        ),
    ]);
}

#[test]
fn what_was_said_of_an_older_generation_does_not_count() {
    let old = |kind| {
        let condition = condition(kind, "True", "", "");
        said(json!([with(&condition, json!({"observedGeneration": 1}))]))
    };
    table([
        (custom(json!({"observedGeneration": 2})), "healthy"),
        (custom(json!({"observedGeneration": "2"})), "healthy"),
        (
            custom(json!({"observedGeneration": 1})),
            "progressing: its controller has seen generation 1, it is at 2",
        ),
        (
            custom(json!({"observedGeneration": "1"})),
            "progressing: its controller has seen generation 1, it is at 2",
        ),
        (
            old("Ready"),
            "progressing: its condition Ready is of generation 1, it is at 2",
        ),
        (
            old("Stalled"),
            "progressing: its condition Stalled is of generation 1, it is at 2",
        ),
    ]);
}

#[test]
fn what_has_the_wrong_form_is_progressing_and_the_field_is_named() {
    let many = vec![condition("A", "True", "", ""); MAX_CONDITIONS + 1];
    table([
        (
            Value::Null,
            "progressing: the object is nothing, expected a map",
        ),
        (
            json!([]),
            "progressing: the object is a list, expected a map",
        ),
        (json!({}), "progressing: `apiVersion` is missing"),
        (
            json!({"apiVersion": "v1"}),
            "progressing: `kind` is missing",
        ),
        (
            json!({"apiVersion": 1, "kind": "Pod"}),
            "progressing: `apiVersion` is another number, expected text",
        ),
        (
            custom(json!("fine")),
            "progressing: `status` is text, expected a map",
        ),
        (
            custom(json!({"observedGeneration": "two"})),
            "progressing: `status.observedGeneration` is text, expected a whole number",
        ),
        (
            custom(json!({"observedGeneration": 1.5})),
            "progressing: `status.observedGeneration` is a fraction, expected a whole number",
        ),
        (
            said(json!({})),
            "progressing: `status.conditions` is a map, expected a list",
        ),
        (
            said(json!([true])),
            "progressing: `status.conditions[0]` is a boolean, expected a map",
        ),
        (
            said(json!([{"type": "Ready", "status": true}])),
            "progressing: `status.conditions[0].status` is a boolean, expected text",
        ),
        (
            said(json!(many)),
            "progressing: `status.conditions` has 129 items, and Weir reads at most 128",
        ),
        (
            live(
                "apps/v1",
                "Deployment",
                json!({"replicas": -1}),
                json!({"observedGeneration": 2}),
            ),
            "progressing: `spec.replicas` is another number, expected a whole number from 0",
        ),
    ]);
}

#[test]
fn a_long_message_is_cut_and_stays_on_one_line() {
    let text = |message: &str| {
        assess(&said(json!([condition("Ready", "False", "", message)]))).to_string()
    };
    assert_eq!(
        text("a\r\n\tb\u{1b}[0m "),
        "progressing: Ready is False: a b [0m"
    );
    let cut = text(&"é".repeat(MAX_QUOTE + 1));
    assert!(cut.ends_with("é…"), "{cut}");
    assert_eq!(cut.matches('é').count(), MAX_QUOTE);
    assert!(!text(&"é".repeat(MAX_QUOTE)).contains('…'));
}

#[test]
fn kinds_that_only_hold_data_or_rights_are_not_waited_for() {
    for (group, kind) in [
        ("", "ConfigMap"),
        ("", "Secret"),
        ("", "ServiceAccount"),
        ("rbac.authorization.k8s.io", "RoleBinding"),
        ("batch", "CronJob"),
        ("networking.k8s.io", "NetworkPolicy"),
    ] {
        assert!(!waits(&id(group, kind, "x")), "{group}/{kind}");
    }
    for (group, kind) in [
        ("apps", "Deployment"),
        ("batch", "Job"),
        ("", "Service"),
        ("", "Namespace"),
        ("example.org", "Widget"),
        ("example.org", "ConfigMap"),
        ("example.org", "Ingress"),
    ] {
        assert!(waits(&id(group, kind, "x")), "{group}/{kind}");
    }
}

#[test]
fn an_app_is_as_its_worst_object() {
    let (a, b, c) = (id("", "Pod", "a"), id("", "Pod", "b"), id("", "Pod", "c"));
    let healthy = Health::Healthy;
    let one = Health::Progressing("one".to_owned());
    let two = Health::Failed("two".to_owned());
    let suspended = Health::Suspended("off".to_owned());
    let health = |objects: &[(&ResourceId, &Health)]| {
        Summary::of(objects.iter().copied()).health().to_string()
    };
    assert_eq!(health(&[]), "healthy");
    assert_eq!(health(&[(&a, &healthy), (&b, &healthy)]), "healthy");
    assert_eq!(
        health(&[(&a, &healthy), (&b, &suspended)]),
        "suspended: 1 of 2 objects are healthy; Pod b: off"
    );
    assert!(suspended.is_ready() && !one.is_ready());
    let worst = "failed: 1 of 3 objects are healthy; Pod b: two";
    assert_eq!(health(&[(&a, &one), (&b, &two), (&c, &healthy)]), worst);
    assert_eq!(health(&[(&c, &healthy), (&b, &two), (&a, &one)]), worst);
    // Of those equally bad, the first by identity.
    let first = "progressing: 0 of 2 objects are healthy; Pod a: one";
    assert_eq!(health(&[(&b, &one), (&a, &one)]), first);
}
