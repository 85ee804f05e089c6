//! Tests of the kinds that count pods.

use serde_json::{Value, json};

use super::{condition, live, table, with};

fn complete() -> Value {
    condition("Progressing", "True", "NewReplicaSetAvailable", "done")
}
fn available() -> Value {
    condition("Available", "True", "MinimumReplicasAvailable", "")
}
fn deployed() -> Value {
    json!({
        "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3,
        "conditions": [complete(), available()],
    })
}
fn deployment(spec: Value, over: Value) -> Value {
    let spec = with(
        &json!({"replicas": 3, "progressDeadlineSeconds": 600}),
        spec,
    );
    live("apps/v1", "Deployment", spec, with(&deployed(), over))
}

#[test]
fn a_deployment_is_healthy_once_its_roll_out_is_complete() {
    table([
        (deployment(json!({}), json!({})), "healthy"),
        (
            deployment(json!({}), json!({"observedGeneration": "2"})),
            "healthy",
        ),
        (
            deployment(
                json!({"replicas": 0}),
                json!({"replicas": null, "updatedReplicas": null, "readyReplicas": null, "availableReplicas": null}),
            ),
            "healthy",
        ),
        (
            deployment(
                json!({"progressDeadlineSeconds": 2_147_483_647}),
                json!({"conditions": [available()]}),
            ),
            "healthy",
        ),
        (
            deployment(
                json!({"paused": true}),
                json!({"conditions": [condition("Progressing", "Unknown", "DeploymentPaused", ""), available()]}),
            ),
            "healthy",
        ),
    ]);
}

#[test]
fn a_deployment_says_which_replicas_are_missing() {
    let of = |over| deployment(json!({}), over);
    table([
        (
            of(json!({"observedGeneration": null})),
            "progressing: its controller has not seen it yet",
        ),
        (
            of(json!({"observedGeneration": 1})),
            "progressing: its controller has seen generation 1, it is at 2",
        ),
        (
            of(json!({"replicas": 2})),
            "progressing: 2 of 3 replicas exist",
        ),
        (
            of(json!({"updatedReplicas": 1})),
            "progressing: 1 of 3 replicas are updated",
        ),
        (
            of(json!({"replicas": 4})),
            "progressing: 1 more replica still has to go",
        ),
        (
            of(json!({"replicas": 5})),
            "progressing: 2 more replicas still have to go",
        ),
        (
            of(json!({"availableReplicas": 2})),
            "progressing: 2 of 3 replicas are available",
        ),
        (
            of(json!({"readyReplicas": 2})),
            "progressing: 2 of 3 replicas are ready",
        ),
        (
            of(
                json!({"replicas": null, "conditions": [condition("ReplicaFailure", "True", "FailedCreate", "quota")]}),
            ),
            "progressing: 0 of 3 replicas exist; ReplicaFailure is True (FailedCreate): quota",
        ),
    ]);
}

#[test]
fn a_deployment_waits_for_what_its_controller_says() {
    let of = |conditions| deployment(json!({}), json!({"conditions": conditions}));
    table([
        (
            of(json!([])),
            "progressing: its controller has not said how the roll-out goes",
        ),
        (
            of(json!([condition(
                "Progressing",
                "True",
                "ReplicaSetUpdated",
                ""
            )])),
            "progressing: the roll-out is not complete: Progressing is True (ReplicaSetUpdated)",
        ),
        (
            of(json!([complete()])),
            "progressing: its controller has not said that it is available",
        ),
        (
            of(json!([
                complete(),
                condition("Available", "False", "MinimumReplicasUnavailable", "")
            ])),
            "progressing: Available is False (MinimumReplicasUnavailable)",
        ),
        (
            deployment(json!({"paused": true}), json!({"updatedReplicas": 0})),
            "progressing: its roll-out is paused by `spec.paused`: 0 of 3 replicas are updated",
        ),
    ]);
}

#[test]
fn a_deployment_fails_when_its_deadline_passes() {
    let late = json!([condition(
        "Progressing",
        "False",
        "ProgressDeadlineExceeded",
        ""
    )]);
    table([
        (
            deployment(
                json!({}),
                json!({"availableReplicas": 2, "conditions": late}),
            ),
            "failed: no progress within 600 seconds: 2 of 3 replicas are available",
        ),
        (
            deployment(json!({}), json!({"conditions": late})),
            "failed: no progress within 600 seconds",
        ),
        (
            // What it says of an older generation does not count.
            deployment(
                json!({}),
                json!({"observedGeneration": 1, "conditions": late}),
            ),
            "progressing: its controller has seen generation 1, it is at 2",
        ),
    ]);
}

#[test]
fn a_replica_set_wants_its_replicas_labelled_ready_and_available() {
    let good = json!({
        "observedGeneration": 2, "replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
    });
    let of = |over| {
        live(
            "apps/v1",
            "ReplicaSet",
            json!({"replicas": 2}),
            with(&good, over),
        )
    };
    let failure = json!([condition("ReplicaFailure", "True", "FailedCreate", "quota")]);
    table([
        (of(json!({})), "healthy"),
        (
            live(
                "v1",
                "ReplicationController",
                json!({"replicas": 2}),
                good.clone(),
            ),
            "healthy",
        ),
        (
            of(json!({"observedGeneration": null})),
            "progressing: its controller has not seen it yet",
        ),
        (
            of(json!({"replicas": 1})),
            "progressing: 1 of 2 replicas exist",
        ),
        (
            of(json!({"fullyLabeledReplicas": 0})),
            "progressing: 0 of 2 replicas have all their labels",
        ),
        (
            of(json!({"readyReplicas": 1})),
            "progressing: 1 of 2 replicas are ready",
        ),
        (
            of(json!({"availableReplicas": 1})),
            "progressing: 1 of 2 replicas are available",
        ),
        (
            of(json!({"replicas": 3})),
            "progressing: 1 more replica still has to go",
        ),
        (
            of(json!({"conditions": failure})),
            "progressing: ReplicaFailure is True (FailedCreate): quota",
        ),
    ]);
}

fn stateful(spec: Value, over: Value) -> Value {
    let good = json!({
        "observedGeneration": 2, "replicas": 3, "readyReplicas": 3, "currentReplicas": 3, "updatedReplicas": 3,
        "currentRevision": "web-1", "updateRevision": "web-1",
    });
    let spec = with(&json!({"replicas": 3}), spec);
    live("apps/v1", "StatefulSet", spec, with(&good, over))
}

#[test]
fn a_stateful_set_wants_all_replicas_ready_and_of_one_revision() {
    let of = |over| stateful(json!({}), over);
    table([
        (of(json!({})), "healthy"),
        (
            of(json!({"observedGeneration": null})),
            "progressing: its controller has not seen it yet",
        ),
        (
            of(json!({"replicas": 1})),
            "progressing: 1 of 3 replicas exist",
        ),
        (
            of(json!({"readyReplicas": 2})),
            "progressing: 2 of 3 replicas are ready",
        ),
        (
            of(json!({"replicas": 4})),
            "progressing: 1 more replica still has to go",
        ),
        (
            of(json!({"updateRevision": "web-2", "updatedReplicas": 1})),
            "progressing: 1 of 3 replicas are updated",
        ),
        (
            of(json!({"updateRevision": "web-2"})),
            "progressing: all replicas are updated, the roll-out is not closed yet",
        ),
        (
            of(json!({"currentReplicas": 2})),
            "progressing: 2 of 3 replicas are of the current revision",
        ),
    ]);
}

#[test]
fn a_stateful_set_with_a_partition_updates_only_what_is_above_it() {
    let of = |partition: u64, updated: u64| {
        stateful(
            json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}}),
            json!({"updateRevision": "web-2", "updatedReplicas": updated, "currentReplicas": 3 - updated}),
        )
    };
    table([
        (of(2, 1), "healthy"),
        (of(9, 0), "healthy"),
        (of(0, 3), "healthy"),
        (of(2, 0), "progressing: 0 of 1 replicas are updated"),
        (of(0, 2), "progressing: 2 of 3 replicas are updated"),
    ]);
}

#[test]
fn pods_that_a_person_replaces_may_be_of_any_revision() {
    let by_hand = json!({"updateStrategy": {"type": "OnDelete"}});
    let old = json!({"updateRevision": "web-2", "updatedReplicas": 0});
    table([
        (stateful(by_hand.clone(), old), "healthy"),
        (
            stateful(by_hand.clone(), json!({"readyReplicas": 0})),
            "progressing: 0 of 3 replicas are ready",
        ),
        (
            daemon(by_hand.clone(), json!({"updatedNumberScheduled": 0})),
            "healthy",
        ),
        (
            daemon(by_hand, json!({"numberReady": 1})),
            "progressing: 1 of 2 pods are ready",
        ),
    ]);
}

fn daemon(spec: Value, over: Value) -> Value {
    let good = json!({
        "observedGeneration": 2, "desiredNumberScheduled": 2, "currentNumberScheduled": 2,
        "updatedNumberScheduled": 2, "numberReady": 2, "numberAvailable": 2,
    });
    live("apps/v1", "DaemonSet", spec, with(&good, over))
}

#[test]
fn a_daemon_set_wants_an_updated_pod_on_every_node() {
    let of = |over| daemon(json!({}), over);
    table([
        (of(json!({})), "healthy"),
        (
            of(json!({"desiredNumberScheduled": 0, "currentNumberScheduled": 0, "numberReady": 0})),
            "healthy",
        ),
        (
            of(json!({"observedGeneration": null})),
            "progressing: its controller has not seen it yet",
        ),
        (
            of(json!({"desiredNumberScheduled": null})),
            "progressing: its controller has not counted its nodes yet",
        ),
        (
            of(json!({"currentNumberScheduled": 1})),
            "progressing: 1 of 2 nodes have its pod",
        ),
        (
            of(json!({"updatedNumberScheduled": 1})),
            "progressing: 1 of 2 pods are updated",
        ),
        (
            of(json!({"numberReady": null})),
            "progressing: 0 of 2 pods are ready",
        ),
        (
            of(json!({"numberAvailable": 1})),
            "progressing: 1 of 2 pods are available",
        ),
    ]);
}

#[test]
fn a_job_is_healthy_when_it_completed_and_suspended_when_told_so() {
    let of = |spec, status| live("batch/v1", "Job", spec, status);
    let started = "2026-01-01T00:00:00Z";
    table([
        (
            of(
                json!({"completions": 2}),
                json!({"succeeded": 2, "conditions": [condition("Complete", "True", "", "")]}),
            ),
            "healthy",
        ),
        (
            of(
                json!({"suspend": true}),
                json!({"conditions": [condition("Suspended", "True", "JobSuspended", "")]}),
            ),
            "suspended: it does not run, by `spec.suspend`: 0 of 1 completions",
        ),
        (
            of(json!({"suspend": true}), json!({})),
            "progressing: it is being suspended: 0 of 1 completions",
        ),
        (
            of(json!({}), Value::Null),
            "progressing: it has not started yet",
        ),
        (
            of(
                json!({"parallelism": 3}),
                json!({"startTime": started, "active": 1, "succeeded": 2, "failed": 4}),
            ),
            "progressing: 2 of 3 completions, 1 pod active, 4 failed",
        ),
        (
            of(
                json!({}),
                json!({"startTime": started, "conditions": [condition("Complete", "False", "", "")]}),
            ),
            "progressing: 0 of 1 completions, 0 pods active",
        ),
        (
            of(
                json!({}),
                json!({"failed": 1, "conditions": [condition("Failed", "True", "BackoffLimitExceeded", "too many")]}),
            ),
            "failed: 0 of 1 completions, 1 pod failed; Failed is True (BackoffLimitExceeded): too many",
        ),
    ]);
}
