//! Properties of health: there is an answer for any JSON, and it is fit to print.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::assess;

/// The names that the rules look for, so that arbitrary bodies reach them.
const NAMES: [&str; 24] = [
    "type",
    "status",
    "reason",
    "message",
    "observedGeneration",
    "conditions",
    "phase",
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "desiredNumberScheduled",
    "containerStatuses",
    "initContainerStatuses",
    "state",
    "waiting",
    "terminated",
    "exitCode",
    "restartCount",
    "loadBalancer",
    "ingress",
    "ip",
    "startTime",
    "suspend",
];
const TEXTS: [&str; 12] = [
    "",
    "True",
    "False",
    "Ready",
    "Progressing",
    "Available",
    "Complete",
    "Failed",
    "Running",
    "Pending",
    "CrashLoopBackOff",
    "LoadBalancer",
];
const KINDS: [(&str, &str); 15] = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("v1", "Pod"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Service"),
    ("v1", "Namespace"),
    ("policy/v1", "PodDisruptionBudget"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("apiregistration.k8s.io/v1", "APIService"),
    ("example.org/v1", "Widget"),
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        (0u64..4).prop_map(Value::from),
        prop::sample::select(&TEXTS[..]).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        let name = prop_oneof![
            4 => prop::sample::select(&NAMES[..]).prop_map(str::to_owned),
            1 => any::<String>(),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn is_printable(body: &Value) -> bool {
    let text = assess(body).to_string();
    !text.chars().any(char::is_control)
}

proptest! {
    #[test]
    fn any_json_has_a_health_that_fits_on_one_line(body in any_json()) {
        prop_assert!(is_printable(&body));
    }

    #[test]
    fn any_spec_and_status_of_any_kind_have_a_health(
        (version, kind) in prop::sample::select(&KINDS[..]),
        metadata in any_json(),
        spec in any_json(),
        status in any_json(),
    ) {
        let whole = json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec, "status": status});
        prop_assert!(is_printable(&whole));
        let plain = json!({"apiVersion": version, "kind": kind, "spec": spec, "status": status});
        prop_assert!(is_printable(&plain));
    }
}
