//! How healthy objects of ours are, asked where no watch says it.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject};
use weir_core::health::{self, Health};
use weir_core::name::Namespace;
use weir_core::object::ResourceId;
use weir_core::owner::{APP_LABEL, Claim, REPOSITORY_LABEL};

use super::error::{KubeError, is_missing};
use super::{KubeTarget, is_secret};

/// Objects of one kind in one namespace: as the app has them, and as the cluster does.
struct Batch {
    resource: ApiResource,
    asked: Vec<(ResourceId, ResourceId)>,
}

impl KubeTarget {
    /// How healthy these objects of an app are. What is watched is known; the others are asked for, but those that have
    /// no health beyond being there: they were written.
    pub(crate) async fn assess(
        &self,
        claim: &Claim,
        held: &BTreeSet<ResourceId>,
    ) -> BTreeMap<ResourceId, Health> {
        let mut out = BTreeMap::new();
        let kinds = match self.kinds().await {
            Ok(kinds) => kinds,
            Err(error) => return held.iter().map(|id| (id.clone(), unread(&error))).collect(),
        };
        let mut batches: BTreeMap<(String, String, Option<Namespace>), Batch> = BTreeMap::new();
        for id in held {
            let served = kinds.get(&id.group, &id.kind);
            let resource = served.and_then(|s| s.resource(&id.group, &id.kind, None));
            let (Some(resource), Some(placed)) = (resource, kinds.place(id)) else {
                let why = "its kind is not served".to_owned();
                out.insert(id.clone(), Health::Progressing(why));
                continue;
            };
            let watched = self
                .watches
                .as_ref()
                .and_then(|w| w.mirror().heard(&placed));
            match watched {
                Some(health) => {
                    out.insert(id.clone(), health);
                }
                None if !health::waits(id) => {
                    out.insert(id.clone(), Health::Healthy);
                }
                None => {
                    let key = (id.group.clone(), id.kind.clone(), placed.namespace.clone());
                    let asked = Vec::new();
                    let batch = batches.entry(key).or_insert(Batch { resource, asked });
                    batch.asked.push((id.clone(), placed));
                }
            }
        }
        let asks: Vec<_> = batches
            .values()
            .map(|batch| self.ask(claim, batch))
            .collect();
        let mut asks = stream::iter(asks).buffer_unordered(self.limits.in_flight.max(1));
        while let Some(found) = asks.next().await {
            out.extend(found);
        }
        out
    }

    /// Few objects are asked for one by one, more are listed.
    async fn ask(&self, claim: &Claim, batch: &Batch) -> Vec<(ResourceId, Health)> {
        if batch.asked.len() <= self.limits.singles {
            let asks = batch.asked.iter().map(async |(id, placed)| {
                let health = self.ask_one(&batch.resource, placed).await;
                (id.clone(), health.unwrap_or_else(|error| unread(&error)))
            });
            return futures::future::join_all(asks).await;
        }
        let found = self.list_health(claim, batch).await;
        let health = |placed: &ResourceId| match &found {
            Ok(found) => found.get(&placed.name).cloned().unwrap_or_else(missing),
            Err(error) => unread(error),
        };
        let asked = batch.asked.iter();
        asked
            .map(|(id, placed)| (id.clone(), health(placed)))
            .collect()
    }

    async fn ask_one(
        &self,
        resource: &ApiResource,
        placed: &ResourceId,
    ) -> Result<Health, KubeError> {
        let api = self.api(resource, placed);
        let get = || async {
            match api.get(&placed.name).await {
                Err(kube::Error::Api(status)) if is_missing(&status) => Ok(None),
                answer => answer.map(Some),
            }
        };
        let found = self.request(is_secret(placed), get).await?;
        Ok(found.as_ref().map_or_else(missing, of))
    }

    /// The health of the app's objects of one kind in one namespace, by name.
    async fn list_health(
        &self,
        claim: &Claim,
        batch: &Batch,
    ) -> Result<BTreeMap<String, Health>, KubeError> {
        let Some((_, first)) = batch.asked.first() else {
            return Ok(BTreeMap::new());
        };
        let api = self.api(&batch.resource, first);
        let labels = format!(
            "{APP_LABEL}={},{REPOSITORY_LABEL}={}",
            claim.app, claim.repository
        );
        let mut out = BTreeMap::new();
        let mut params = ListParams::default()
            .limit(self.limits.page)
            .labels(&labels);
        for _ in 0..self.limits.pages {
            let page = self.request(false, || api.list(&params)).await?;
            for item in page.items {
                out.insert(item.metadata.name.clone().unwrap_or_default(), of(&item));
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(out),
            }
        }
        Err(self.too_many(&batch.resource.kind))
    }
}

fn of(object: &DynamicObject) -> Health {
    serde_json::to_value(object).map_or_else(
        |e| Health::Progressing(format!("it cannot be read: {e}")),
        |body| health::assess(&body),
    )
}

fn missing() -> Health {
    Health::Progressing("it is not there".to_owned())
}

fn unread(error: &KubeError) -> Health {
    Health::Progressing(format!("it could not be read: {error}"))
}
