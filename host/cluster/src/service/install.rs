//! What a cluster needs before the service runs there: definitions, rights, and who may approve. As values, so that
//! `weir crds` prints them and tests apply the same.

use kube::CustomResourceExt as _;
use serde_json::{Value, json};

use super::{APPROVE, App, GROUP, Repository};

/// The name of the policy that lets people approve in no other name than their own.
pub const APPROVAL_POLICY: &str = "weir.dev-approve";

/// The definitions of the custom resources.
#[must_use]
pub fn crds() -> Vec<Value> {
    let mut all = vec![json!(Repository::crd()), json!(App::crd())];
    for crd in &mut all {
        // Both have to be known by one label of an object's name and of the ledger.
        if let Some(schema) = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema")
            && crd_is_of_people(schema)
        {
            schema["x-kubernetes-validations"] = json!([{
                "rule": "self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",
                "message": "a name has at most 63 characters and no dots"
            }]);
        }
    }
    all
}

/// Whether people make resources of this schema: those that Weir makes have names with dots.
fn crd_is_of_people(schema: &Value) -> bool {
    schema.pointer("/properties/spec/properties/url").is_some()
}

/// What holds of whoever writes the annotation: it is their own name, unless they write nothing new or take it off.
pub(super) fn approval_rule() -> &'static str {
    "variables.now == variables.before || variables.now == '' || variables.now.split(' ')[0] == request.userInfo.username"
}

/// The policy that has the API server refuse an approval in somebody else's name, and its binding.
#[must_use]
pub fn admission() -> Vec<Value> {
    let read = |object: &str| {
        format!(
            "{object} != null && has({object}.metadata.annotations) && '{APPROVE}' in {object}.metadata.annotations ? {object}.metadata.annotations['{APPROVE}'] : ''"
        )
    };
    vec![
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": { "name": APPROVAL_POLICY },
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": { "resourceRules": [{
                    "apiGroups": [GROUP],
                    "apiVersions": ["*"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["apps"],
                }] },
                "variables": [
                    { "name": "now", "expression": read("object") },
                    { "name": "before", "expression": read("oldObject") },
                ],
                "validations": [{
                    "expression": approval_rule(),
                    "messageExpression": format!(
                        "'annotation {APPROVE}: expected \"USER HOLD-ID\" with your own name, which is ' + request.userInfo.username"
                    ),
                    "message": format!("annotation {APPROVE}: expected \"USER HOLD-ID\" with your own name"),
                    "reason": "Forbidden",
                }],
            },
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": { "name": APPROVAL_POLICY },
            "spec": { "policyName": APPROVAL_POLICY, "validationActions": ["Deny"] },
        }),
    ]
}

/// The rights that the service's own account needs in the whole cluster: rules of a ClusterRole.
#[must_use]
pub fn cluster_rules() -> Value {
    json!([
        { "apiGroups": [GROUP], "resources": ["repositories"], "verbs": ["get", "list", "watch", "patch"] },
        { "apiGroups": [GROUP], "resources": ["repositories/status"], "verbs": ["patch"] },
        { "apiGroups": [GROUP], "resources": ["apps"], "verbs": ["get", "list", "watch", "create", "patch", "delete"] },
        { "apiGroups": [GROUP], "resources": ["apps/status"], "verbs": ["patch"] },
        { "apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"] },
        {
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": ["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
            "resourceNames": [APPROVAL_POLICY],
            "verbs": ["get"],
        },
        { "apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["list"] },
    ])
}

/// The rights that it needs in each namespace that has Repositories: rules of a Role there. Bound in the whole cluster, the
/// first is all rights of every service account.
#[must_use]
pub fn tenant_rules() -> Value {
    json!([
        { "apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get", "impersonate"] },
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"] },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_definition_has_its_columns_its_status_and_its_rules() {
        let all = crds();
        let names: Vec<&str> = all
            .iter()
            .filter_map(|c| c.pointer("/metadata/name")?.as_str())
            .collect();
        assert_eq!(names, ["repositories.weir.dev", "apps.weir.dev"]);
        for crd in &all {
            let version = &crd["spec"]["versions"][0];
            assert!(version["subresources"]["status"].is_object(), "{crd}");
            let columns = version["additionalPrinterColumns"].as_array();
            assert!(columns.is_some_and(|all| all.len() >= 5), "{crd}");
            let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
            assert!(
                !spec.to_string().contains("nullable"),
                "a null is no value: {spec}"
            );
        }
        let schema = &all[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        assert!(schema["x-kubernetes-validations"].is_array());
        let spec = &schema["properties"]["spec"];
        assert_eq!(
            spec["x-kubernetes-validations"].as_array().map(Vec::len),
            Some(2),
            "{spec}"
        );
        assert!(
            spec["properties"]["interval"]["x-kubernetes-validations"].is_array(),
            "{spec}"
        );
        assert_eq!(
            spec["properties"]["targets"]["x-kubernetes-list-map-keys"],
            json!(["name"])
        );
    }
}
