//! The order of objects: what others need comes first, and is pruned last.

use crate::object::{Object, ResourceId};

/// The annotation that moves an object before (below 0) or after (above 0) those that have none.
pub const WAVE_ANNOTATION: &str = "weir.dev/wave";

/// The annotation that keeps an object (`"false"`) when it goes from Git.
pub const PRUNE_ANNOTATION: &str = "weir.dev/prune";

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

/// Where an object comes when it is applied: namespaces and definitions first, then by the number that it asks for,
/// then by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    asked: i32,
    kind: usize,
}

impl Turn {
    /// The turn of an object that passed the gate; there, a number that is none was refused.
    pub fn of(object: &Object) -> Turn {
        let kind = wave(object.id());
        let asked = match kind {
            0 => i32::MIN,
            _ => asked(object).ok().flatten().unwrap_or(0),
        };
        Turn { asked, kind }
    }

    /// Whether it is below 0.
    pub fn is_early(self) -> bool {
        self.asked < 0
    }
}

/// The number of an object's [`WAVE_ANNOTATION`]; nothing where it has none.
///
/// # Errors
/// The text, where it is no number.
pub fn asked(object: &Object) -> Result<Option<i32>, &str> {
    let text = object.annotation(WAVE_ANNOTATION);
    text.map(|text| text.parse().map_err(|_| text)).transpose()
}

/// Whether an object with this [`PRUNE_ANNOTATION`] may be pruned.
///
/// # Errors
/// The text, where it is neither `true` nor `false`.
pub fn may_prune(annotation: Option<&str>) -> Result<bool, &str> {
    match annotation {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(other),
    }
}

/// The wave of a kind. Objects are pruned by it, in reverse: what is gone from Git asks for nothing any more.
pub fn wave(id: &ResourceId) -> usize {
    let is = |(group, kind): &(&str, &str)| *group == id.group && *kind == id.kind;
    match FIRST.iter().position(|wave| wave.iter().any(is)) {
        Some(n) => n,
        None if LAST.iter().any(is) => FIRST.len() + 1,
        None => FIRST.len(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Origin;

    fn object(kind: &str, wave: Option<&str>) -> Object {
        let api = match kind {
            "CustomResourceDefinition" => "apiextensions.k8s.io/v1",
            "Job" => "batch/v1",
            _ => "v1",
        };
        let mut body = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "a"}});
        if let Some(wave) = wave {
            body["metadata"]["annotations"] = json!({ WAVE_ANNOTATION: wave });
        }
        let origin = Origin {
            path: "a.yaml".to_owned(),
            line: 1,
        };
        Object::new(body, origin).expect("it is an object")
    }

    #[test]
    fn an_object_comes_by_the_number_that_it_asks_for_and_then_by_its_kind() {
        let in_order = [
            ("CustomResourceDefinition", Some("9")),
            ("ServiceAccount", Some("-2")),
            ("Job", Some("-2")),
            ("ConfigMap", Some("-1")),
            ("ConfigMap", None),
            ("Job", Some("0")),
            ("ConfigMap", Some("1")),
            ("Job", Some("1")),
        ];
        let turns: Vec<Turn> = in_order
            .iter()
            .map(|(kind, wave)| Turn::of(&object(kind, *wave)))
            .collect();
        assert!(turns.is_sorted_by(|a, b| a < b), "{turns:?}");
    }

    #[test]
    fn a_wave_that_is_no_number_is_said() {
        for text in ["first", "", "1.5", "99999999999"] {
            assert_eq!(asked(&object("Job", Some(text))), Err(text));
        }
        assert_eq!(asked(&object("Job", Some("-5"))), Ok(Some(-5)));
        assert_eq!(asked(&object("Job", None)), Ok(None));
    }
}
