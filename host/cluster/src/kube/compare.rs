//! Compare: what a sync would change, field by field, as the API server itself answers to a dry run. Writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use kube::api::{Patch, PatchParams, ValidationDirective};
use kube::core::{ApiResource, DynamicObject};
use serde::Serialize;
use serde_json::Value;
use weir_core::fields::{FieldChange, Fields, MaskKey};
use weir_core::live::{Live, Owner, Seen, Uid};
use weir_core::object::{Object, ResourceId};
use weir_core::owner::Claim;
use weir_core::policy::{self, Policy};
use weir_core::reveal::{Body, Reveal, Revealed};
use weir_core::scope;

use super::adopt::{adopted, body_of, is_former};
use super::body::{MANAGER, Precondition, Sent, seen, to_apply};
use super::error::{Conflicts, KubeError};
use super::look::{unknown_kind, version_of};
use super::managed::Ours;
use super::update::{leave, yields};
use super::{KubeTarget, is_secret};

/// What would become of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Nothing.
    Unchanged,
    /// It is made.
    Created,
    /// Some of its fields change.
    Updated,
    /// It is deleted.
    Pruned,
}

/// One object, as it is and as a sync would leave it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// Which.
    pub object: ResourceId,
    /// What would become of it.
    pub change: Change,
    /// The fields that differ; for a new one those that Git sets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
    /// What a sync would stop at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Somebody else made it, and this is which one: an adoption would take it over.
    #[serde(skip)]
    pub stranger: Option<Uid>,
}

/// What is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// What the next sync would do.
    Sync,
    /// What it would do if it took over what somebody else made.
    Adopt,
}

/// What all objects of one comparison are looked at with.
struct Coming<'a> {
    /// What is left to others.
    policy: &'a Policy,
    /// Kinds that are defined by what is wanted.
    kinds: BTreeSet<(String, String)>,
    /// Namespaces that are wanted.
    namespaces: BTreeSet<String>,
    /// Whether it matters whose an object is.
    owners: bool,
    /// What is compared with.
    with: Compare,
}

impl KubeTarget {
    /// Compares what is wanted under an app's policy, and what is held and no longer wanted, with what is there. Without `held` this host
    /// has no ledger: then whose an object is stands in no one's way.
    ///
    /// # Errors
    /// When the API server does not answer at all. What it says of one object is in the answer.
    pub async fn compare(
        &self,
        claim: &Claim,
        (policy, with): (&Policy, Compare),
        wanted: &[Object],
        held: Option<&BTreeSet<ResourceId>>,
        reveal: &dyn Reveal,
    ) -> Result<Vec<Compared>, KubeError> {
        self.has_account().await?;
        let mut random = [0; 32];
        getrandom::fill(&mut random)
            .map_err(|e| KubeError::Config(format!("this machine gives no random bytes: {e}")))?;
        let key = &MaskKey::new(random);
        let definitions = wanted.iter().filter_map(scope::definition);
        let coming = Coming {
            policy,
            kinds: definitions.map(|d| (d.group, d.kind)).collect(),
            namespaces: wanted
                .iter()
                .map(Object::id)
                .filter(|id| id.group.is_empty() && id.kind == "Namespace")
                .map(|id| id.name.clone())
                .collect(),
            owners: held.is_some(),
            with,
        };
        let each: Vec<_> = wanted
            .iter()
            .map(|object| self.compare_one(claim, object, &coming, (key, reveal)))
            .collect();
        let mut each = stream::iter(each).buffer_unordered(self.limits.in_flight.max(1));
        let mut out = BTreeMap::new();
        while let Some(compared) = each.next().await {
            let compared = compared?;
            out.insert(compared.object.clone(), compared);
        }
        let ids: BTreeSet<&ResourceId> = wanted.iter().map(Object::id).collect();
        let held = held.into_iter().flatten();
        let mut left: BTreeSet<ResourceId> = held.filter(|id| !ids.contains(id)).cloned().collect();
        // What is wanted under another name is not pruned.
        let doubles = self.kinds().await?.doubles(ids.into_iter(), left.iter());
        left.retain(|id| !doubles.contains_key(id));
        for (object, live) in self.observe(claim, &[], &left).await? {
            if let Some(compared) = pruned(object, &live) {
                out.insert(compared.object.clone(), compared);
            }
        }
        Ok(out.into_values().collect())
    }

    async fn compare_one(
        &self,
        claim: &Claim,
        object: &Object,
        coming: &Coming<'_>,
        (key, reveal): (&MaskKey, &dyn Reveal),
    ) -> Result<Compared, KubeError> {
        let tried = match reveal.reveal(object) {
            Ok(body) => self.try_compare(claim, object, &body, coming, key).await,
            Err(sealed) => Err(sealed.into()),
        };
        match tried {
            Err(error) if error.is_of_all() => Err(error),
            Err(error) => Ok(Compared {
                object: object.id().clone(),
                change: Change::Unchanged,
                fields: Vec::new(),
                problem: Some(error.to_string()),
                stranger: None,
            }),
            compared => compared,
        }
    }

    async fn try_compare(
        &self,
        claim: &Claim,
        object: &Object,
        wanted: &Body,
        coming: &Coming<'_>,
        key: &MaskKey,
    ) -> Result<Compared, KubeError> {
        let (id, version) = (object.id(), version_of(object));
        let kinds = self.kinds().await?;
        let resource = kinds
            .get(&id.group, &id.kind)
            .and_then(|served| served.resource(&id.group, &id.kind, Some(version)));
        let Some((resource, placed)) = resource.zip(kinds.place(id)) else {
            if coming.kinds.contains(&(id.group.clone(), id.kind.clone())) {
                return Ok(made(object, wanted, key));
            }
            return Err(unknown_kind(&kinds, id, Some(version)));
        };
        let get = || async { self.api(&resource, &placed).get_opt(&placed.name).await };
        let Some(live) = self.request(is_secret(id), get).await? else {
            let tried = self.dry_run(claim, wanted.expose(), &resource, &placed, None, false);
            return match tried.await {
                Err(KubeError::NoNamespace { .. }) if comes_with(&placed, coming) => {
                    Ok(made(object, wanted, key))
                }
                Err(error) => Err(error),
                Ok(_) => Ok(made(object, wanted, key)),
            };
        };
        let before = seen(claim, &placed, &live.metadata);
        let strange = matches!(before.owner, Owner::Nobody | Owner::Foreign(_));
        if coming.with == Compare::Adopt && strange && before.leaving.is_none() {
            let object = (object, wanted);
            let adopted =
                self.compare_adopted(claim, object, coming, (&resource, &placed), &live, key);
            return adopted.await;
        }
        let mut problem = coming.owners.then(|| refused(&before)).flatten();
        let mut revealed = Revealed::new(wanted.expose().clone());
        let body = revealed.expose_mut();
        leave(body, coming.policy.fields(id), &Ours::of(&live.metadata));
        let tried = self.dry_run(claim, body, &resource, &placed, Some(&before), false);
        let mut tried = tried.await;
        if let Err(KubeError::Conflict(conflicts)) = &tried
            && yields(coming.policy, id, conflicts, body)
        {
            let again = self.dry_run(claim, body, &resource, &placed, Some(&before), false);
            tried = again.await;
        }
        let after = match tried {
            Err(KubeError::Conflict(conflicts)) => {
                // What it would be if it were ours: the conflict stands beside it.
                let refuses = coming.policy.conflicts == policy::Conflicts::Refuse;
                if refuses || conflicts.is_of_scale() {
                    let conflict = || Some(KubeError::Conflict(conflicts).to_string());
                    problem = problem.or_else(conflict);
                }
                let forced = self.dry_run(claim, body, &resource, &placed, Some(&before), true);
                forced.await?
            }
            tried => tried?,
        };
        let fields = |object: &DynamicObject| {
            let body = serde_json::to_value(object).unwrap_or(Value::Null);
            Fields::of(id, &body, key)
        };
        let fields = fields(&live).changes(&fields(&after));
        Ok(Compared {
            object: id.clone(),
            change: match fields.is_empty() {
                true => Change::Unchanged,
                false => Change::Updated,
            },
            fields,
            problem,
            stranger: None,
        })
    }

    /// The same for an object that would be taken over.
    async fn compare_adopted(
        &self,
        claim: &Claim,
        (object, wanted): (&Object, &Body),
        coming: &Coming<'_>,
        (resource, placed): (&ApiResource, &ResourceId),
        live: &DynamicObject,
        key: &MaskKey,
    ) -> Result<Compared, KubeError> {
        let id = object.id();
        let before = seen(claim, placed, &live.metadata);
        let mut revealed = body_of(id, wanted, coming.policy, &live.metadata);
        let body = revealed.expose_mut();
        let tried = self.dry_run(claim, body, resource, placed, Some(&before), false);
        let mut problem = None;
        if let Err(KubeError::Conflict(conflicts)) = tried.await {
            let others = Conflicts(
                conflicts
                    .0
                    .iter()
                    .filter(|c| !is_former(Some(c.manager_name())))
                    .cloned()
                    .collect(),
            );
            yields(coming.policy, id, &others, body);
            let refuses =
                coming.policy.conflicts == policy::Conflicts::Refuse || others.is_of_scale();
            let stay = Conflicts(
                others
                    .0
                    .into_iter()
                    .filter(|c| !coming.policy.leaves_to(id, c.manager_name()))
                    .collect(),
            );
            problem =
                (refuses && !stay.0.is_empty()).then(|| KubeError::Conflict(stay).to_string());
        }
        let after = self
            .dry_run(claim, body, resource, placed, Some(&before), true)
            .await?;
        let after = Fields::of(id, &adopted(&live.metadata, &after), key);
        let now = serde_json::to_value(live).unwrap_or(Value::Null);
        Ok(Compared {
            object: id.clone(),
            change: Change::Updated,
            fields: Fields::of(id, &now, key).changes(&after),
            problem,
            stranger: before.mark.uid,
        })
    }

    /// The object as a server-side apply would leave it.
    async fn dry_run(
        &self,
        claim: &Claim,
        body: &Value,
        resource: &ApiResource,
        placed: &ResourceId,
        before: Option<&Seen>,
        force: bool,
    ) -> Result<DynamicObject, KubeError> {
        let only_if = Precondition {
            uid: before.and_then(|seen| seen.mark.uid.as_ref()),
            version: None,
        };
        let params = PatchParams {
            dry_run: true,
            force,
            field_manager: Some(MANAGER.to_owned()),
            field_validation: Some(ValidationDirective::Strict),
        };
        let patch = Patch::Apply(Sent::new(to_apply(claim, body, placed, only_if)));
        let api = self.api(resource, placed);
        let sent = || api.patch(&placed.name, &params, &patch);
        self.request(is_secret(placed), sent).await
    }
}

/// An object that nothing is at the place of.
fn made(object: &Object, wanted: &Body, key: &MaskKey) -> Compared {
    let fields = Fields::of(object.id(), wanted.expose(), key);
    Compared {
        object: object.id().clone(),
        change: Change::Created,
        fields: Fields::default().changes(&fields),
        problem: None,
        stranger: None,
    }
}

fn comes_with(placed: &ResourceId, coming: &Coming<'_>) -> bool {
    let namespace = placed.namespace.as_ref().map(|n| n.as_str());
    namespace.is_some_and(|namespace| coming.namespaces.contains(namespace))
}

/// Why a sync would not touch what is there.
fn refused(seen: &Seen) -> Option<String> {
    if let Some(why) = &seen.leaving {
        return Some(format!("it is being deleted: {why}"));
    }
    match &seen.owner {
        Owner::Us | Owner::Unsaid => None,
        Owner::App(app) => Some(format!(
            "app {app} has it: a sync takes it over only when that app leaves it out"
        )),
        Owner::Nobody => Some("Weir did not make it: a sync does not touch it".to_owned()),
        Owner::Foreign(who) => Some(format!("{who} has it: a sync does not touch it")),
    }
}

/// An object that is held and no longer wanted; `None` where it is gone, or somebody else's by now, or kept.
fn pruned(object: ResourceId, live: &Live) -> Option<Compared> {
    let problem = match live {
        Live::Absent | Live::Same(_) => return None,
        Live::Present(seen) if seen.keep => return None,
        Live::Present(seen) => match seen.owner {
            Owner::Us | Owner::Unsaid => None,
            Owner::App(_) | Owner::Nobody | Owner::Foreign(_) => return None,
        },
        Live::Unknown(why) | Live::Unserved(why) => Some(why.clone()),
    };
    Some(Compared {
        object,
        change: Change::Pruned,
        fields: Vec::new(),
        problem,
        stranger: None,
    })
}
