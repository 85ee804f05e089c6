//! What carries a ledger's name in a cluster, whatever any ledger says of it: every kind is listed whole, metadata alone.

use std::collections::BTreeSet;

use kube::Api;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, ObjectMeta};
use weir_core::live::Mark;
use weir_core::object::ResourceId;
use weir_core::owner::{self, ANNOTATION, Claim};

use super::KubeTarget;
use super::body::mark;
use super::error::KubeError;
use crate::error::TargetError;

/// An object that says whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Whose.
    pub claim: Claim,
    /// Which, as the cluster has it.
    pub id: ResourceId,
    /// What the cluster says of it now.
    pub mark: Mark,
}

/// What was found, and what could not be looked at.
#[derive(Debug, Default)]
pub struct Survey {
    /// In no order.
    pub proofs: Vec<Proof>,
    /// Kinds, as `GROUP/KIND`, and groups, as `GROUP/*`, with why. What is there of them is not known.
    pub unread: Vec<(String, String)>,
    /// How many objects were looked at.
    pub looked: usize,
}

impl KubeTarget {
    /// Looks at every object of the cluster, as this host's own account, but for kinds that are left out (`GROUP/KIND` or
    /// `GROUP/*`, where the group without a name is `core`). Labels are not asked for: somebody may have taken them off.
    ///
    /// # Errors
    /// When the cluster does not answer at all. A kind that cannot be listed is in the answer.
    pub async fn survey(
        &self,
        without: &BTreeSet<String>,
        on_kind: impl Fn(&str),
    ) -> Result<Survey, TargetError> {
        let kinds = self.kinds().await?;
        let mut survey = Survey::default();
        let left_out = |group: &str, kind: &str| {
            without.contains(&pattern(group, kind)) || without.contains(&pattern(group, "*"))
        };
        for group in kinds.away() {
            if !left_out(group, "*") {
                let why = KubeError::GroupAway {
                    group: group.clone(),
                };
                survey.unread.push((pattern(group, "*"), why.to_string()));
            }
        }
        for resource in kinds.all() {
            if left_out(&resource.group, &resource.kind) {
                continue;
            }
            let name = pattern(&resource.group, &resource.kind);
            on_kind(&name);
            match self.survey_kind(&resource, &mut survey).await {
                Ok(()) => {}
                Err(error) if error.is_of_all() => return Err(error.into()),
                Err(error) => survey.unread.push((name, error.to_string())),
            }
        }
        Ok(survey)
    }

    async fn survey_kind(
        &self,
        resource: &ApiResource,
        survey: &mut Survey,
    ) -> Result<(), KubeError> {
        let api: Api<DynamicObject> = Api::all_with(self.own.clone(), resource);
        let mut params = ListParams::default().limit(self.limits.page);
        for _ in 0..self.limits.pages {
            let page = self.request(false, || api.list_metadata(&params)).await?;
            survey.looked += page.items.len();
            let proofs = page.items.iter();
            survey
                .proofs
                .extend(proofs.filter_map(|item| proof(resource, &item.metadata)));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(()),
            }
        }
        Err(self.too_many(&resource.kind))
    }
}

/// Whose an object is, where it says so of itself.
fn proof(resource: &ApiResource, metadata: &ObjectMeta) -> Option<Proof> {
    let annotation = metadata.annotations.as_ref()?.get(ANNOTATION)?;
    let id = ResourceId {
        group: resource.group.clone(),
        kind: resource.kind.clone(),
        namespace: match &metadata.namespace {
            Some(namespace) => Some(namespace.parse().ok()?),
            None => None,
        },
        name: metadata.name.clone()?,
    };
    let claim = owner::proven(&id, annotation)?;
    let mark = mark(metadata);
    Some(Proof { claim, id, mark })
}

/// A kind as the host's file names it.
fn pattern(group: &str, kind: &str) -> String {
    let group = if group.is_empty() { "core" } else { group };
    format!("{group}/{kind}")
}
