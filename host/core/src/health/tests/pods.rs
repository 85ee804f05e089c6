//! Tests of Pods: phases, and containers that do not get on.

use serde_json::{Value, json};

use super::{condition, live, table};

fn pod(status: Value) -> Value {
    live("v1", "Pod", json!({}), status)
}
fn waits(reason: &str, message: &str) -> Value {
    json!({"name": "app", "ready": false, "state": {"waiting": {"reason": reason, "message": message}}})
}

#[test]
fn a_pod_is_healthy_when_it_is_ready_or_has_succeeded() {
    table([
        (
            pod(json!({"phase": "Running", "conditions": [condition("Ready", "True", "", "")]})),
            "healthy",
        ),
        (pod(json!({"phase": "Succeeded"})), "healthy"),
    ]);
}

#[test]
fn a_pod_on_its_way_says_what_it_waits_for() {
    let unscheduled = condition(
        "PodScheduled",
        "False",
        "Unschedulable",
        "0/3 nodes are available",
    );
    table([
        (pod(Value::Null), "progressing: nothing has taken it up yet"),
        (
            pod(json!({"phase": "Unknown"})),
            "progressing: its node does not answer",
        ),
        (
            pod(json!({"phase": "Dancing"})),
            "progressing: `status.phase` is not one that Weir knows",
        ),
        (
            pod(json!({"phase": "Pending", "conditions": [unscheduled]})),
            "progressing: it has no node: PodScheduled is False (Unschedulable): 0/3 nodes are available",
        ),
        (
            pod(json!({"phase": "Pending", "containerStatuses": [waits("ContainerCreating", "")]})),
            "progressing: its containers are being made",
        ),
        (
            pod(
                json!({"phase": "Pending", "containerStatuses": [waits("ImagePullBackOff", "Back-off\npulling")]}),
            ),
            "progressing: container app waits (ImagePullBackOff): Back-off pulling",
        ),
        (
            pod(
                json!({"phase": "Running", "containerStatuses": [{"name": "a", "ready": true}, {"name": "b"}]}),
            ),
            "progressing: 1 of 2 containers are ready",
        ),
        (
            pod(json!({"phase": "Running"})),
            "progressing: it runs and is not ready",
        ),
        (
            pod(
                json!({"phase": "Running", "conditions": [condition("Ready", "False", "ReadinessGatesNotReady", "")]}),
            ),
            "progressing: Ready is False (ReadinessGatesNotReady)",
        ),
    ]);
}

#[test]
fn a_pod_fails_when_a_container_restarts_again_and_again() {
    let crashing = json!({
        "name": "app", "restartCount": 7, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 137}},
    });
    let once = json!({"name": "app", "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
    let seven = "failed: container app ends again and again (CrashLoopBackOff): 7 restarts, the last with exit code 137";
    table([
        (
            pod(json!({"phase": "Running", "containerStatuses": [crashing]})),
            seven,
        ),
        (
            pod(json!({"phase": "Pending", "initContainerStatuses": [crashing]})),
            seven,
        ),
        (
            // A container that failed counts before one that only waits.
            pod(
                json!({"phase": "Running", "containerStatuses": [waits("ErrImagePull", ""), crashing]}),
            ),
            seven,
        ),
        (
            pod(json!({"phase": "Running", "containerStatuses": [once]})),
            "failed: container app ends again and again (CrashLoopBackOff): 1 restart",
        ),
        (
            pod(
                json!({"phase": "Pending", "containerStatuses": [waits("InvalidImageName", "bad")]}),
            ),
            "failed: container app waits (InvalidImageName): bad",
        ),
    ]);
}

#[test]
fn a_pod_that_ended_badly_says_how() {
    let ended = json!([{"name": "ok", "state": {"terminated": {"exitCode": 0}}},
        {"name": "app", "state": {"terminated": {"exitCode": 3}}}]);
    table([
        (pod(json!({"phase": "Failed"})), "failed: it ended"),
        (
            pod(json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"})),
            "failed: it ended (Evicted): low on memory",
        ),
        (
            pod(json!({"phase": "Failed", "containerStatuses": ended})),
            "failed: it ended; container app ended with exit code 3",
        ),
    ]);
}
