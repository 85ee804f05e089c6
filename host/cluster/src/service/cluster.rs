//! What the service asks of its cluster besides watching: Secrets, the resources that it writes, events, whether
//! approvals are guarded.

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicySpec,
};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::{Value, json};
use weir_core::reveal::Hidden;

use super::install::{APPROVAL_POLICY, admission};
use super::watch::{Found, Key, Which};
use super::{FINALIZER, GROUP, MANAGER, REPOSITORY_LABEL, VERSION};
use crate::kube::{KubeAccess, KubeError, KubeLimits, client, read_secret};

/// The longest note of an event, in bytes: the API server takes 1,024.
const NOTE_BYTES: usize = 1_000;
/// As whom the finalizer is set: it is taken off by applying none.
const FINALIZER_MANAGER: &str = "weir-finalizer";

/// The cluster that the service runs for. Cheap to clone.
#[derive(Clone)]
pub struct ServiceCluster {
    pub(super) client: Client,
    access: KubeAccess,
    pub(super) limits: KubeLimits,
}

/// One thing that happened to a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Whether somebody should look at it.
    pub is_warning: bool,
    /// One word for it.
    pub reason: &'static str,
    /// What happened.
    pub text: String,
}

/// A resource as it is after it was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// Which of those that ever had its name.
    pub uid: String,
    /// Its status.
    pub status: Value,
}

impl ServiceCluster {
    /// Reads how to reach the cluster. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When the kubeconfig cannot be used.
    pub async fn open(access: KubeAccess, limits: KubeLimits) -> Result<ServiceCluster, KubeError> {
        let client = client(&access, limits).await?;
        Ok(ServiceCluster {
            client,
            access,
            limits,
        })
    }

    /// What a Secret holds.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or has no such Secret. No text of a value is in the error.
    pub async fn secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<BTreeMap<String, Hidden>, KubeError> {
        let data = read_secret(&self.client, &self.access, self.limits, namespace, name).await?;
        let all = data.into_iter();
        Ok(all
            .map(|(key, value)| (key, Hidden::new(value.0)))
            .collect())
    }

    /// Makes the App of this name, or makes it again what it should be. It belongs to its Repository.
    ///
    /// # Errors
    /// When the cluster does not do it.
    pub async fn apply_app(
        &self,
        name: &str,
        repository: &Found,
        app: &str,
    ) -> Result<Written, KubeError> {
        let Key {
            namespace,
            name: of,
        } = &repository.key;
        let body = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "App",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": { REPOSITORY_LABEL: of },
                "ownerReferences": [{
                    "apiVersion": format!("{GROUP}/{VERSION}"),
                    "kind": "Repository",
                    "name": of,
                    "uid": repository.uid,
                    "controller": true,
                }],
            },
            "spec": { "repository": of, "app": app },
        });
        let params = PatchParams::apply(MANAGER).force();
        let api = self.api(Which::Apps, namespace);
        let patch = Patch::Apply(&body);
        let patched = self.asked(api.patch(name, &params, &patch));
        patched.await.map(written)
    }

    /// Deletes this App, and no other one of its name.
    ///
    /// # Errors
    /// When the cluster does not do it. One that is gone already is no error.
    pub async fn delete_app(&self, app: &Found) -> Result<(), KubeError> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(app.uid.clone()),
                // What became another Repository's meanwhile stays.
                resource_version: Some(app.version.clone()),
            }),
            ..DeleteParams::default()
        };
        let api = self.api(Which::Apps, &app.key.namespace);
        let deleted = async {
            match api.delete(&app.key.name, &params).await {
                Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
                answer => answer.map(drop),
            }
        };
        self.asked(deleted).await
    }

    /// Writes a resource's status; `None` where the resource is not there.
    ///
    /// # Errors
    /// When the cluster does not do it.
    pub async fn apply_status(
        &self,
        which: Which,
        key: &Key,
        status: &Value,
    ) -> Result<Option<Written>, KubeError> {
        let body = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": which.kind(),
            "metadata": { "name": key.name, "namespace": key.namespace },
            "status": status,
        });
        let params = PatchParams::apply(MANAGER).force();
        let api = self.api(which, &key.namespace);
        let patched = async {
            match api
                .patch_status(&key.name, &params, &Patch::Apply(&body))
                .await
            {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
                answer => answer.map(|object| Some(written(object))),
            }
        };
        self.asked(patched).await
    }

    /// A Repository is kept from now on until the service lets go of it; or it lets go. One that is gone is no error.
    ///
    /// # Errors
    /// When the cluster does not do it.
    pub async fn keep(&self, repository: &Found, is_kept: bool) -> Result<(), KubeError> {
        let finalizers = match is_kept {
            true => json!([FINALIZER]),
            false => json!([]),
        };
        let body = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "Repository",
            // The uid: one that is gone is not made anew by this.
            "metadata": {
                "name": repository.key.name,
                "namespace": repository.key.namespace,
                "uid": repository.uid,
                "finalizers": finalizers,
            },
        });
        let params = PatchParams::apply(FINALIZER_MANAGER).force();
        let api = self.api(Which::Repositories, &repository.key.namespace);
        let patched = async {
            let patch = Patch::Apply(&body);
            match api.patch(&repository.key.name, &params, &patch).await {
                Err(kube::Error::Api(status)) if !is_kept && [404, 409].contains(&status.code) => {
                    Ok(())
                }
                answer => answer.map(drop),
            }
        };
        self.asked(patched).await
    }

    /// Says what happened to a resource.
    ///
    /// # Errors
    /// When the cluster does not keep it.
    pub async fn say(
        &self,
        which: Which,
        of: &Key,
        uid: &str,
        note: &Note,
    ) -> Result<(), KubeError> {
        let now = Timestamp::now();
        let event = Event {
            action: Some(note.reason.to_owned()),
            reason: Some(note.reason.to_owned()),
            event_time: Some(MicroTime(now)),
            regarding: Some(ObjectReference {
                api_version: Some(format!("{GROUP}/{VERSION}")),
                kind: Some(which.kind().to_owned()),
                namespace: Some(of.namespace.clone()),
                name: Some(of.name.clone()),
                uid: Some(uid.to_owned()),
                ..ObjectReference::default()
            }),
            note: Some(fitting(&note.text)),
            metadata: ObjectMeta {
                namespace: Some(of.namespace.clone()),
                name: Some(format!("{}.{:x}", of.name, now.as_nanosecond())),
                ..ObjectMeta::default()
            },
            reporting_controller: Some(format!("{GROUP}/service")),
            reporting_instance: Some(MANAGER.to_owned()),
            type_: Some(if note.is_warning { "Warning" } else { "Normal" }.to_owned()),
            ..Event::default()
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), &of.namespace);
        let params = PostParams::default();
        self.asked(api.create(&params, &event)).await.map(drop)
    }

    /// Whether the API server lets nobody approve in somebody else's name: its policy and binding are there as
    /// [`super::admission`] has them.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn guards_approvals(&self) -> Result<bool, KubeError> {
        let policies: Api<ValidatingAdmissionPolicy> = Api::all(self.client.clone());
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(self.client.clone());
        let policy = self.asked(policies.get_opt(APPROVAL_POLICY)).await?;
        let binding = self.asked(bindings.get_opt(APPROVAL_POLICY)).await?;
        let is_ours = policy
            .and_then(|policy| policy.spec)
            .is_some_and(|spec| is_as_ours(&spec));
        let is_bound = binding.is_some_and(|binding| {
            let spec = binding.spec;
            let actions = &spec.validation_actions;
            let of = spec.policy_name == APPROVAL_POLICY && spec.param_ref.is_none();
            of && is_of_all(spec.match_resources.as_ref())
                && actions.iter().any(|action| action == "Deny")
        });
        Ok(is_ours && is_bound)
    }

    pub(super) fn api(&self, which: Which, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &which.resource())
    }

    /// One request within its time.
    async fn asked<T: Debug>(
        &self,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, KubeError> {
        let place = self.access.to_string();
        match tokio::time::timeout(self.limits.request, request).await {
            Ok(answer) => answer.map_err(|e| KubeError::of(&place, &e, false)),
            Err(_) => Err(KubeError::Away {
                place,
                message: format!("no answer within {} s", self.limits.request.as_secs()),
            }),
        }
    }
}

impl Which {
    /// The kind.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Which::Repositories => "Repository",
            Which::Apps => "App",
        }
    }

    pub(super) fn resource(self) -> ApiResource {
        let plural = match self {
            Which::Repositories => "repositories",
            Which::Apps => "apps",
        };
        ApiResource {
            group: GROUP.to_owned(),
            version: VERSION.to_owned(),
            api_version: format!("{GROUP}/{VERSION}"),
            kind: self.kind().to_owned(),
            plural: plural.to_owned(),
        }
    }
}

fn written(object: DynamicObject) -> Written {
    let DynamicObject {
        metadata, mut data, ..
    } = object;
    Written {
        uid: metadata.uid.unwrap_or_default(),
        status: data.get_mut("status").map(Value::take).unwrap_or_default(),
    }
}

/// Whether a policy holds what ours does, for each App of each namespace.
fn is_as_ours(spec: &ValidatingAdmissionPolicySpec) -> bool {
    let ours = admission().into_iter().next();
    let ours =
        ours.and_then(|mut policy| serde_json::from_value(policy.get_mut("spec")?.take()).ok());
    let Some(ours): Option<ValidatingAdmissionPolicySpec> = ours else {
        return false;
    };
    let rules = |spec: &ValidatingAdmissionPolicySpec| {
        let all = spec.validations.iter().flatten();
        all.map(|rule| rule.expression.clone()).collect::<Vec<_>>()
    };
    let about = |spec: &ValidatingAdmissionPolicySpec| {
        let all = spec
            .match_constraints
            .iter()
            .flat_map(|m| m.resource_rules.iter().flatten());
        let of = all.map(|rule| {
            (
                rule.api_groups.clone(),
                rule.operations.clone(),
                rule.resources.clone(),
                rule.resource_names.clone(),
            )
        });
        of.collect::<Vec<_>>()
    };
    spec.failure_policy == ours.failure_policy
        && spec.variables == ours.variables
        && spec.param_kind.is_none()
        && spec.match_conditions.as_ref().is_none_or(Vec::is_empty)
        && rules(spec) == rules(&ours)
        && about(spec) == about(&ours)
        && is_of_all(spec.match_constraints.as_ref())
}

/// Whether nothing is left out by a selector or an exception.
fn is_of_all(matches: Option<&MatchResources>) -> bool {
    matches.is_none_or(|matches| {
        let all = LabelSelector::default();
        let selectors = [&matches.namespace_selector, &matches.object_selector];
        let excluded = matches.exclude_resource_rules.as_ref();
        excluded.is_none_or(Vec::is_empty) && selectors.into_iter().flatten().all(|s| *s == all)
    })
}

/// A note that the API server takes.
fn fitting(text: &str) -> String {
    let mut end = text.len().min(NOTE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    match text.get(..end) {
        Some(start) if end < text.len() => format!("{start} ..."),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_leaves_anything_out_guards_nothing() {
        let ours = || {
            let mut policy = admission().swap_remove(0);
            policy["spec"].take()
        };
        let holds = |spec: Value| is_as_ours(&serde_json::from_value(spec).unwrap());
        assert!(holds(ours()));
        // What the API server adds by itself.
        let mut with_defaults = ours();
        with_defaults["matchConstraints"]["namespaceSelector"] = json!({});
        with_defaults["matchConstraints"]["matchPolicy"] = json!("Equivalent");
        with_defaults["matchConstraints"]["resourceRules"][0]["scope"] = json!("*");
        assert!(holds(with_defaults));
        for (at, value) in [
            ("/failurePolicy", json!("Ignore")),
            ("/validations/0/expression", json!("true")),
            ("/variables/0/expression", json!("''")),
            (
                "/matchConstraints/resourceRules/0/operations",
                json!(["CREATE"]),
            ),
            (
                "/matchConstraints/resourceRules/0/resources",
                json!(["repositories"]),
            ),
            ("/matchConstraints", json!({})),
        ] {
            let mut spec = ours();
            *spec.pointer_mut(at).unwrap() = value;
            assert!(!holds(spec), "{at}");
        }
        for (key, value) in [
            ("namespaceSelector", json!({ "matchLabels": { "a": "b" } })),
            (
                "excludeResourceRules",
                json!([{ "apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["apps"] }]),
            ),
        ] {
            let mut spec = ours();
            spec["matchConstraints"][key] = value;
            assert!(!holds(spec), "{key}");
        }
        let mut spec = ours();
        spec["matchConditions"] = json!([{ "name": "a", "expression": "false" }]);
        assert!(!holds(spec));
    }

    #[test]
    fn a_note_is_cut_between_characters_to_what_the_api_server_takes() {
        assert_eq!(fitting("short"), "short");
        let long = fitting(&"ä".repeat(NOTE_BYTES));
        assert!(
            long.len() <= 1_024 && long.ends_with(" ..."),
            "{}",
            long.len()
        );
    }
}
