//! The order of kinds: what others need comes first, and is pruned last.

use crate::object::ResourceId;

/// Waves in order. Kinds that are not named come after those that are, before [`LAST`].
const FIRST: &[&[(&str, &str)]] = &[
    &[
        ("", "Namespace"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ],
    &[
        ("scheduling.k8s.io", "PriorityClass"),
        ("storage.k8s.io", "StorageClass"),
        ("node.k8s.io", "RuntimeClass"),
    ],
    &[
        ("", "ServiceAccount"),
        ("", "ResourceQuota"),
        ("", "LimitRange"),
        ("policy", "PodDisruptionBudget"),
        ("networking.k8s.io", "NetworkPolicy"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("rbac.authorization.k8s.io", "Role"),
    ],
    &[
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("rbac.authorization.k8s.io", "RoleBinding"),
        ("", "Secret"),
        ("", "ConfigMap"),
        ("", "PersistentVolume"),
        ("", "PersistentVolumeClaim"),
    ],
    &[("", "Service")],
];
const LAST: &[(&str, &str)] = &[
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("networking.k8s.io", "Ingress"),
    (
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
    ),
    (
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration",
    ),
    ("apiregistration.k8s.io", "APIService"),
];

/// The wave that an object is applied in; it is pruned in the reverse order.
pub fn wave(id: &ResourceId) -> usize {
    let is = |(group, kind): &(&str, &str)| *group == id.group && *kind == id.kind;
    match FIRST.iter().position(|wave| wave.iter().any(is)) {
        Some(n) => n,
        None if LAST.iter().any(is) => FIRST.len() + 1,
        None => FIRST.len(),
    }
}
