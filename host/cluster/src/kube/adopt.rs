//! Taking over an object that somebody else made: its former owner's fields become ours, and what Git does not set of them goes.

use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, ObjectMeta, PartialObjectMeta};
use serde_json::{Value, json};
use weir_core::live::Seen;
use weir_core::object::{Object, ResourceId};
use weir_core::policy;
use weir_core::reveal::{Body, Revealed};
use weir_core::stake::Ended;

use super::body::{MANAGER, Precondition, our_entry};
use super::error::KubeError;
use super::is_secret;
use super::managed::{self, item_in};
use super::run::Run;
use super::update::leave;
use super::write::{ATTEMPTS, changed};

/// Field managers of tools that apply what people wrote. Controllers that set fields of their own, such as an
/// autoscaler, are none: what they have stays theirs.
const FORMER: [&str; 12] = [
    "kubectl",
    "kubectl-client-side-apply",
    "kubectl-create",
    "kubectl-replace",
    "before-first-apply",
    "helm",
    "Helm",
    "argocd-controller",
    "argocd-application-controller",
    "kustomize-controller",
    "helm-controller",
    "flux",
];

/// Whether a field manager is a tool that is taken over from.
pub(super) fn is_former(manager: Option<&str>) -> bool {
    manager.is_some_and(|name| FORMER.contains(&name))
}

/// An object's managed fields with the former owners' entries made ours; `None` where there are none of these. An
/// entry at another version of the API cannot be joined: its fields become nobody's, and stay as they are.
fn migrated(metadata: &ObjectMeta, api_version: &str) -> Option<Vec<Value>> {
    let entries = metadata.managed_fields.as_deref().unwrap_or_default();
    let moves = |e: &&_| is_moved(e);
    entries.iter().find(moves)?;
    let mut joined = our_entry(metadata)
        .and_then(|e| e.fields_v1.as_ref())
        .map_or_else(|| json!({}), |fields| fields.0.clone());
    let mut out = Vec::new();
    for entry in entries {
        let ours = our_entry(metadata).is_some_and(|ours| std::ptr::eq(ours, entry));
        if ours {
            continue;
        }
        if !is_moved(entry) {
            out.extend(serde_json::to_value(entry));
        } else if entry.api_version.as_deref() == Some(api_version)
            && let Some(fields) = &entry.fields_v1
        {
            managed::join(&mut joined, &fields.0);
        }
    }
    out.push(json!({
        "manager": MANAGER,
        "operation": "Apply",
        "apiVersion": api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": joined,
    }));
    Some(out)
}

/// Entries of subresources, such as a status, are nobody's to take.
fn is_moved(entry: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry) -> bool {
    is_former(entry.manager.as_deref())
        && entry.subresource.as_deref().unwrap_or_default().is_empty()
}

impl Run<'_> {
    /// Makes what a person said is this app's wholly so: the former owner's fields first, then an apply. Fields that
    /// others have are conflicts as ever.
    pub(super) async fn adopt(&self, object: &Object, before: &Seen) -> Result<Ended, KubeError> {
        let (resource, id) = self.place(object).await?;
        let same = Precondition {
            uid: before.mark.uid.as_ref(),
            version: None,
        };
        self.migrate(&resource, &id, same).await?;
        self.write_over(object, before, false).await
    }

    async fn migrate(
        &self,
        resource: &ApiResource,
        id: &ResourceId,
        same: Precondition<'_>,
    ) -> Result<(), KubeError> {
        for _ in 0..ATTEMPTS {
            let now = self.target.metadata(resource, id).await?;
            let now = now.ok_or_else(|| changed("it is gone"))?.metadata;
            if now.uid.as_deref() != same.uid.map(|uid| &*uid.0) {
                return Err(changed("another object has its name by now"));
            }
            let Some(fields) = migrated(&now, &resource.api_version) else {
                return Ok(());
            };
            // The state that the fields were read in travels with what is made of them.
            let patch = json!({"metadata": {
                "managedFields": fields,
                "uid": now.uid,
                "resourceVersion": now.resource_version,
            }});
            match self.patch(resource, id, &patch).await {
                Err(KubeError::Changed { .. }) => {}
                ended => return ended,
            }
        }
        Err(changed("others change it all the time"))
    }

    async fn patch(
        &self,
        resource: &ApiResource,
        id: &ResourceId,
        patch: &Value,
    ) -> Result<(), KubeError> {
        let api = self.target.api(resource, id);
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(patch);
        let sent = || api.patch_metadata(&id.name, &params, &patch);
        let answer: Result<PartialObjectMeta<DynamicObject>, _> =
            self.target.request(is_secret(id), sent).await;
        answer.map(drop)
    }
}

/// What an adoption would leave of an object: the answer to a dry run of its apply, without what only the former
/// owner set.
pub(super) fn adopted(live: &ObjectMeta, applied: &DynamicObject) -> Value {
    let mut body = serde_json::to_value(applied).unwrap_or(Value::Null);
    let entries = live.managed_fields.as_deref().unwrap_or_default();
    let mut goes = json!({});
    for entry in entries.iter().filter(|e| is_moved(e)) {
        if let Some(fields) = &entry.fields_v1 {
            managed::join(&mut goes, &fields.0);
        }
    }
    let after = applied
        .metadata
        .managed_fields
        .as_deref()
        .unwrap_or_default();
    for entry in after.iter().filter(|e| !is_moved(e)) {
        if let Some(fields) = &entry.fields_v1 {
            managed::subtract(&mut goes, &fields.0);
        }
    }
    remove_all(&mut body, &goes);
    body
}

/// Takes all fields of an entry out of an object.
fn remove_all(body: &mut Value, fields: &Value) {
    let Some(fields_map) = fields.as_object() else {
        return;
    };
    match body {
        Value::Object(map) => {
            for (key, below) in fields_map {
                let Some(name) = key.strip_prefix("f:") else {
                    continue;
                };
                if managed::is_leaf(below) {
                    map.remove(name);
                } else if let Some(value) = map.get_mut(name) {
                    remove_all(value, below);
                }
            }
        }
        Value::Array(items) => {
            items.retain(|item| {
                item_in(fields, item)
                    .is_none_or(|below| below.get(".").is_none() && !managed::is_leaf(below))
            });
            for item in items {
                let below = item_in(fields, item).cloned();
                if let Some(below) = below {
                    remove_all(item, &below);
                }
            }
        }
        _ => {}
    }
}

/// The body that an adoption applies.
pub(super) fn body_of(
    id: &ResourceId,
    wanted: &Body,
    policy: &policy::Policy,
    live: &ObjectMeta,
) -> Revealed {
    let mut body = Revealed::new(wanted.expose().clone());
    // What was the former owner's is ours by then.
    let (mut ours, mut others) = (json!({}), Vec::new());
    for entry in live.managed_fields.as_deref().unwrap_or_default() {
        let own = our_entry(live).is_some_and(|own| std::ptr::eq(own, entry));
        match &entry.fields_v1 {
            Some(fields) if own || is_moved(entry) => managed::join(&mut ours, &fields.0),
            Some(fields) => others.push(fields.0.clone()),
            None => {}
        }
    }
    leave(
        body.expose_mut(),
        policy.fields(id),
        &managed::Ours::from_fields(ours, others),
    );
    body
}
