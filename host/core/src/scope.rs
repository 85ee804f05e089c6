//! Which kinds live in a namespace, and the namespace that an object without one gets.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::name::Namespace;
use crate::object::{Object, ObjectError, ResourceId};

/// Kinds of Kubernetes' own that live in no namespace (Kubernetes 1.37, `kubectl api-resources --namespaced=false`).
const CLUSTER: &[(&str, &str)] = &[
    ("", "ComponentStatus"),
    ("", "Namespace"),
    ("", "Node"),
    ("", "PersistentVolume"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
    (
        "admissionregistration.k8s.io",
        "MutatingAdmissionPolicyBinding",
    ),
    (
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration",
    ),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    (
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding",
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
    ("certificates.k8s.io", "ClusterTrustBundle"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
    ("networking.k8s.io", "IPAddress"),
    ("networking.k8s.io", "IngressClass"),
    ("networking.k8s.io", "ServiceCIDR"),
    ("node.k8s.io", "RuntimeClass"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("resource.k8s.io", "DeviceClass"),
    ("resource.k8s.io", "ResourceSlice"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("storage.k8s.io", "CSIDriver"),
    ("storage.k8s.io", "CSINode"),
    ("storage.k8s.io", "StorageClass"),
    ("storage.k8s.io", "VolumeAttachment"),
    ("storage.k8s.io", "VolumeAttributesClass"),
];

/// Groups of Kubernetes' own: a kind in one of them that is not in [`CLUSTER`] lives in a namespace.
fn is_builtin_group(group: &str) -> bool {
    matches!(
        group,
        "" | "apps" | "batch" | "autoscaling" | "policy" | "extensions"
    ) || group.ends_with(".k8s.io")
}

/// Gives every object of a namespaced kind a namespace where it has none, and takes it from objects of
/// cluster-scoped kinds, as the API server would see them. Kinds of definitions in the same render are
/// known from there; other custom kinds count as namespaced when the app has a namespace.
///
/// # Errors
/// None that the objects did not have before: the changed object is parsed again.
pub fn place(
    objects: Vec<Object>,
    namespace: Option<&Namespace>,
) -> Result<Vec<Object>, ObjectError> {
    let defined: BTreeSet<Definition> = objects.iter().filter_map(definition).collect();
    place_among(objects, namespace, &defined)
}

/// The same for some objects of a render, which defines these kinds.
///
/// # Errors
/// As above.
pub fn place_among(
    objects: Vec<Object>,
    namespace: Option<&Namespace>,
    defined: &BTreeSet<Definition>,
) -> Result<Vec<Object>, ObjectError> {
    let of_scope = |cluster: bool| -> BTreeSet<(&str, &str)> {
        let of_scope = defined.iter().filter(|d| d.cluster == cluster);
        of_scope
            .map(|d| (d.group.as_str(), d.kind.as_str()))
            .collect()
    };
    let (cluster_defined, namespaced_defined) = (of_scope(true), of_scope(false));
    let mut out = Vec::with_capacity(objects.len());
    for object in objects {
        let kind = (object.id().group.as_str(), object.id().kind.as_str());
        let is_cluster = CLUSTER.contains(&kind) || cluster_defined.contains(&kind);
        let is_known = is_builtin_group(kind.0) || namespaced_defined.contains(&kind);
        let wanted = match (&object.id().namespace, namespace) {
            (Some(_), _) if is_cluster => None,
            (None, Some(app)) if !is_cluster => Some(app.as_str().to_owned()),
            (None, None) if !is_cluster && is_known => Some("default".to_owned()),
            _ => {
                out.push(object);
                continue;
            }
        };
        out.push(with_namespace(&object, wanted)?);
    }
    Ok(out)
}

/// What a CustomResourceDefinition defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Definition {
    /// The kind's group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// Whether its objects live in no namespace.
    pub cluster: bool,
}

/// Whether it is a CustomResourceDefinition.
pub fn is_definition(id: &ResourceId) -> bool {
    (id.group.as_str(), id.kind.as_str()) == ("apiextensions.k8s.io", "CustomResourceDefinition")
}

/// What an object defines, if it is a CustomResourceDefinition.
pub fn definition(object: &Object) -> Option<Definition> {
    if !is_definition(object.id()) {
        return None;
    }
    let body = object.body();
    let spec = body.get("spec")?;
    let text = |pointer: &str| {
        spec.pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    Some(Definition {
        group: text("/group")?,
        kind: text("/names/kind")?,
        cluster: text("/scope")? == "Cluster",
    })
}

fn with_namespace(object: &Object, namespace: Option<String>) -> Result<Object, ObjectError> {
    let mut body = object.body();
    if let Some(Value::Object(metadata)) = body.get_mut("metadata") {
        match namespace {
            Some(namespace) => metadata.insert("namespace".to_owned(), Value::String(namespace)),
            None => metadata.remove("namespace"),
        };
    }
    Object::new(body, object.origin().clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Origin;
    use serde_json::json;

    fn object(api: &str, kind: &str, namespace: Option<&str>) -> Object {
        let mut body = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "x"}});
        if let Some(n) = namespace {
            body["metadata"]["namespace"] = json!(n);
        }
        Object::new(
            body,
            Origin {
                path: "a".into(),
                line: 0,
            },
        )
        .unwrap()
    }

    fn placed(objects: Vec<Object>, app: Option<&str>) -> Vec<Option<String>> {
        let app = app.map(|n| n.parse().unwrap());
        let placed = place(objects, app.as_ref()).unwrap();
        placed
            .iter()
            .map(|o| o.id().namespace.as_ref().map(ToString::to_string))
            .collect()
    }

    #[test]
    fn a_namespace_is_given_only_where_one_belongs() {
        let objects = vec![
            object("v1", "ConfigMap", None),
            object("v1", "ConfigMap", Some("own")),
            object("v1", "Namespace", None),
            object("rbac.authorization.k8s.io/v1", "ClusterRole", Some("wrong")),
        ];
        let expected = vec![Some("shop".into()), Some("own".into()), None, None];
        assert_eq!(placed(objects, Some("shop")), expected);
    }

    #[test]
    fn without_an_app_namespace_only_known_kinds_get_default() {
        let objects = vec![
            object("v1", "ConfigMap", None),
            object("example.com/v1", "Thing", None),
        ];
        assert_eq!(placed(objects, None), vec![Some("default".into()), None]);
    }

    #[test]
    fn a_definition_in_the_same_render_says_the_scope() {
        let crd = |kind: &str, scope: &str| {
            let body = json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": kind}, "spec": {"group": "example.com", "names": {"kind": kind}, "scope": scope}
            });
            Object::new(
                body,
                Origin {
                    path: "a".into(),
                    line: 0,
                },
            )
            .unwrap()
        };
        let objects = vec![
            crd("Wide", "Cluster"),
            crd("Narrow", "Namespaced"),
            object("example.com/v1", "Wide", None),
            object("example.com/v1", "Narrow", None),
        ];
        assert_eq!(
            placed(objects, Some("shop"))[2..],
            [None, Some("shop".into())]
        );
    }
}
