//! Tests of claims, services, namespaces, budgets, definitions and autoscalers, and of the kinds without a status.

use serde_json::{Value, json};

use super::{condition, live, table};

#[test]
fn a_claim_is_healthy_once_it_is_bound() {
    let of = |status| live("v1", "PersistentVolumeClaim", json!({}), status);
    table([
        (of(json!({"phase": "Bound"})), "healthy"),
        (
            of(json!({"phase": "Pending"})),
            "progressing: it is not bound to a volume yet; some storage classes wait for its first pod",
        ),
        (
            of(json!({})),
            "progressing: nothing has looked for a volume yet",
        ),
        (
            of(json!({"phase": "Odd"})),
            "progressing: `status.phase` is not one that Weir knows",
        ),
        (
            of(json!({"phase": "Lost"})),
            "failed: the volume that it was bound to is lost",
        ),
    ]);
}

#[test]
fn only_a_load_balancer_service_waits_for_an_address() {
    let of = |spec, ingress: Value| {
        live(
            "v1",
            "Service",
            spec,
            json!({"loadBalancer": {"ingress": ingress}}),
        )
    };
    let balanced = json!({"type": "LoadBalancer", "clusterIP": "10.0.0.1"});
    let none = "progressing: its load balancer has no address yet";
    table([
        (of(json!({"type": "ClusterIP"}), Value::Null), "healthy"),
        (of(json!({}), Value::Null), "healthy"),
        (of(json!({"type": "ExternalName"}), Value::Null), "healthy"),
        (
            of(balanced.clone(), json!([{"ip": "192.0.2.1"}])),
            "healthy",
        ),
        (
            of(
                balanced.clone(),
                json!([{}, {"hostname": "lb.example.org"}]),
            ),
            "healthy",
        ),
        (of(balanced.clone(), Value::Null), none),
        (of(balanced.clone(), json!([])), none),
        (of(balanced, json!([{"ip": ""}])), none),
        (
            of(json!({"type": "LoadBalancer"}), Value::Null),
            "progressing: it has no cluster address yet",
        ),
    ]);
}

#[test]
fn a_namespace_is_healthy_while_it_is_active() {
    let of = |status| live("v1", "Namespace", json!({}), status);
    let remains = condition(
        "NamespaceContentRemaining",
        "True",
        "SomeResourcesRemain",
        "pods. has 1",
    );
    table([
        (of(json!({"phase": "Active"})), "healthy"),
        (of(json!({})), "progressing: it is not active yet"),
        (
            of(json!({"phase": "Odd"})),
            "progressing: `status.phase` is not one that Weir knows",
        ),
        (
            of(json!({"phase": "Terminating"})),
            "terminating: it is being deleted, its objects first",
        ),
        (
            of(json!({"phase": "Terminating", "conditions": [remains]})),
            "terminating: NamespaceContentRemaining is True (SomeResourcesRemain): pods. has 1",
        ),
    ]);
}

#[test]
fn a_disruption_budget_is_healthy_once_counted() {
    let of = |status| live("policy/v1", "PodDisruptionBudget", json!({}), status);
    let insufficient = condition("DisruptionAllowed", "False", "InsufficientPods", "");
    let failed = condition("DisruptionAllowed", "False", "SyncFailed", "no scale");
    table([
        (
            of(json!({"observedGeneration": 2, "disruptionsAllowed": 1})),
            "healthy",
        ),
        (
            of(json!({"observedGeneration": 2, "conditions": [insufficient]})),
            "healthy",
        ),
        (
            of(json!({})),
            "progressing: its controller has not seen it yet",
        ),
        (
            of(json!({"observedGeneration": 2, "conditions": [failed]})),
            "progressing: DisruptionAllowed is False (SyncFailed): no scale",
        ),
    ]);
}

#[test]
fn a_definition_is_healthy_once_established() {
    let of = |conditions: Value| {
        live(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            json!({}),
            json!({"conditions": conditions}),
        )
    };
    let accepted = condition("NamesAccepted", "True", "NoConflicts", "");
    table([
        (
            of(json!([
                accepted,
                condition("Established", "True", "InitialNamesAccepted", "")
            ])),
            "healthy",
        ),
        (of(json!([])), "progressing: it is not served yet"),
        (
            of(json!([
                accepted,
                condition("Established", "False", "Installing", "")
            ])),
            "progressing: Established is False (Installing)",
        ),
        (
            of(json!([condition(
                "Established",
                "False",
                "NotAccepted",
                ""
            )])),
            "failed: Established is False (NotAccepted)",
        ),
        (
            of(json!([condition(
                "NamesAccepted",
                "False",
                "PluralConflict",
                "taken"
            )])),
            "failed: NamesAccepted is False (PluralConflict): taken",
        ),
    ]);
}

#[test]
fn an_api_service_is_healthy_once_available() {
    let of = |conditions: Value| {
        live(
            "apiregistration.k8s.io/v1",
            "APIService",
            json!({}),
            json!({"conditions": conditions}),
        )
    };
    table([
        (
            of(json!([condition("Available", "True", "Passed", "")])),
            "healthy",
        ),
        (
            of(json!([])),
            "progressing: nothing has asked yet whether what is behind it answers",
        ),
        (
            of(json!([condition(
                "Available",
                "False",
                "MissingEndpoints",
                ""
            )])),
            "progressing: Available is False (MissingEndpoints)",
        ),
    ]);
}

#[test]
fn an_autoscaler_is_healthy_once_it_can_scale() {
    let of = |conditions: Value| {
        live(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            json!({}),
            json!({"conditions": conditions}),
        )
    };
    let able = condition("AbleToScale", "True", "ReadyForNewScale", "");
    let active = |reason| json!([able, condition("ScalingActive", "False", reason, "")]);
    table([
        (
            of(json!([
                able,
                condition("ScalingActive", "True", "ValidMetricFound", "")
            ])),
            "healthy",
        ),
        (of(active("ScalingDisabled")), "healthy"),
        (
            live(
                "autoscaling/v1",
                "HorizontalPodAutoscaler",
                json!({}),
                Value::Null,
            ),
            "healthy",
        ),
        (
            of(json!([])),
            "progressing: its controller has not looked at it yet",
        ),
        (
            of(active("FailedGetResourceMetric")),
            "progressing: ScalingActive is False (FailedGetResourceMetric)",
        ),
        (
            of(json!([condition(
                "AbleToScale",
                "False",
                "FailedGetScale",
                "not found"
            )])),
            "progressing: AbleToScale is False (FailedGetScale): not found",
        ),
        (
            of(active("InvalidSelector")),
            "failed: ScalingActive is False (InvalidSelector)",
        ),
    ]);
}

#[test]
fn kinds_without_a_status_of_their_own_are_healthy_whatever_they_hold() {
    let odd = json!("not a map");
    for (version, kind) in [
        ("v1", "ConfigMap"),
        ("v1", "Secret"),
        ("batch/v1", "CronJob"),
        ("networking.k8s.io/v1", "Ingress"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ] {
        table([(live(version, kind, odd.clone(), odd.clone()), "healthy")]);
    }
}
