//! Observe: what is at each object's place, by one list of metadata for each kind and namespace.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, ObjectMeta, PartialObjectMeta};
use serde_json::Value;
use weir_core::live::Live;
use weir_core::name::Namespace;
use weir_core::object::{Object, ResourceId};
use weir_core::owner::Claim;
use weir_core::scope;

use super::again::Tries;
use super::body::seen;
use super::error::{KubeError, is_missing};
use super::kinds::Kinds;
use super::mirror::Kind;
use super::{KubeTarget, is_secret, unknown};

/// An object that is asked for: its identity for Weir, and as the cluster has it.
struct Asked {
    id: ResourceId,
    placed: ResourceId,
}

/// What is asked for together: one kind in one namespace.
struct Batch {
    resource: ApiResource,
    asked: Vec<Asked>,
}

/// A group, a kind of it, and the version that is wanted.
type KindAsked<'i> = (&'i str, &'i str, Option<&'i str>);
/// Version and kind of a resource, and the namespace.
type BatchKey<'i> = (&'i str, &'i str, Option<Namespace>);

fn kind_asked<'i>(id: &'i ResourceId, version: Option<&'i str>) -> KindAsked<'i> {
    (&id.group, &id.kind, version)
}

impl KubeTarget {
    /// What is at the place of each wanted object, and of each one that the app holds.
    ///
    /// # Errors
    /// When the API server does not answer at all. An object that cannot be read is in the answer.
    pub(crate) async fn observe(
        &self,
        claim: &Claim,
        wanted: &[Object],
        held: &BTreeSet<ResourceId>,
    ) -> Result<BTreeMap<ResourceId, Live>, KubeError> {
        let seen = self.look_at_all(claim, wanted, held).await?;
        match self.known_kinds() {
            Some(_) => Ok(seen),
            // A kind went since the cluster was asked for them: now it says so.
            None => self.look_at_all(claim, wanted, held).await,
        }
    }

    async fn look_at_all(
        &self,
        claim: &Claim,
        wanted: &[Object],
        held: &BTreeSet<ResourceId>,
    ) -> Result<BTreeMap<ResourceId, Live>, KubeError> {
        let (mut batches, mut out) = self.batches(wanted, held).await?;
        self.mirrored(claim, &mut batches, &mut out).await;
        if !batches.is_empty() {
            self.has_account().await?;
        }
        let looks: Vec<_> = batches
            .into_iter()
            .map(|batch| self.look(claim, batch))
            .collect();
        let mut looks = stream::iter(looks).buffer_unordered(self.limits.in_flight.max(1));
        while let Some(found) = looks.next().await {
            out.extend(found?);
        }
        Ok(out)
    }

    /// Answers from the watches what they know. What they do not have is asked for: it may be there all the same.
    async fn mirrored(
        &self,
        claim: &Claim,
        batches: &mut Vec<Batch>,
        out: &mut BTreeMap<ResourceId, Live>,
    ) {
        let Some(watches) = &self.watches else { return };
        let mirror = watches.mirror();
        let mut kinds: Vec<Kind> = Vec::new();
        for Batch { resource, .. } in &*batches {
            watches.begin(&self.own, &self.flight, &self.place, self.limits, resource);
            kinds.push((resource.group.clone(), resource.kind.clone()));
        }
        // A watch that is slow to begin holds nothing up: what it does not answer is asked for.
        let _ = tokio::time::timeout(self.limits.first_list, mirror.decided(&kinds)).await;
        for batch in &mut *batches {
            let kind = (batch.resource.group.clone(), batch.resource.kind.clone());
            let mut seen = mirror.seen(&claim.app, &kind, batch.asked.iter().map(|a| &a.placed));
            batch.asked.retain(|asked| {
                let seen = seen.next().flatten();
                let known = seen.is_some();
                out.extend(seen.map(|seen| (asked.id.clone(), Live::Present(seen))));
                !known
            });
        }
        batches.retain(|batch| !batch.asked.is_empty());
    }

    /// What to ask for, and what is known without: objects of kinds that the cluster does not have.
    async fn batches(
        &self,
        wanted: &[Object],
        held: &BTreeSet<ResourceId>,
    ) -> Result<(Vec<Batch>, BTreeMap<ResourceId, Live>), KubeError> {
        // Each with the version that is wanted, where it is.
        let unversioned = held.iter().map(|id| (id, None));
        let versioned = wanted.iter().map(|o| (o.id(), Some(version_of(o))));
        let all: BTreeMap<&ResourceId, Option<&str>> = unversioned.chain(versioned).collect();
        let resource = |kinds: &Kinds, (group, kind, version): KindAsked<'_>| {
            kinds.get(group, kind)?.resource(group, kind, version)
        };
        let asked: BTreeSet<KindAsked<'_>> = all.iter().map(|(id, v)| kind_asked(id, *v)).collect();
        let kinds = self.kinds_with(|kinds| asked.iter().all(|k| resource(kinds, *k).is_some()));
        let kinds = kinds.await?;
        // Of many objects there are few kinds.
        let resources: BTreeMap<KindAsked<'_>, Option<ApiResource>> =
            asked.iter().map(|k| (*k, resource(&kinds, *k))).collect();
        let coming: BTreeSet<(String, String)> = wanted
            .iter()
            .filter_map(scope::definition)
            .map(|d| (d.group, d.kind))
            .collect();
        let mut batches: BTreeMap<BatchKey<'_>, Batch> = BTreeMap::new();
        let doubles = kinds.doubles(wanted.iter().map(Object::id), held.iter());
        let mut out: BTreeMap<ResourceId, Live> = BTreeMap::new();
        let mut defined = None;
        for (id, version) in all {
            let key = kind_asked(id, version);
            if let Some(other) = doubles.get(id) {
                out.insert(id.clone(), Live::Same(other.clone()));
                continue;
            }
            let resource = resources.get(&key).and_then(Option::as_ref);
            match (resource, kinds.place(id)) {
                (Some(resource), Some(placed)) => {
                    let key = (&*resource.api_version, &*resource.kind);
                    let found = batches.entry((key.0, key.1, placed.namespace.clone()));
                    let batch = found.or_insert_with(|| Batch {
                        resource: resource.clone(),
                        asked: Vec::new(),
                    });
                    let id = id.clone();
                    batch.asked.push(Asked { id, placed });
                }
                _ if !kinds.is_whole(&id.group) => {
                    let group = id.group.clone();
                    out.insert(id.clone(), unknown(&KubeError::GroupAway { group }));
                }
                // The definition goes first; until then nothing of its kind can be there.
                _ if coming.contains(&(id.group.clone(), id.kind.clone())) => {
                    out.insert(id.clone(), Live::Absent);
                }
                (None, _) | (_, None) => {
                    let live = match version {
                        Some(version) => unknown(&unknown_kind(&kinds, id, Some(version))),
                        None => self.without_kind(&kinds, id, &mut defined).await?,
                    };
                    out.insert(id.clone(), live);
                }
            }
        }
        Ok((batches.into_values().collect(), out))
    }

    /// An object that we hold, of a kind that is not served: gone with the kind's definition, or unknown.
    async fn without_kind(
        &self,
        kinds: &Kinds,
        id: &ResourceId,
        defined: &mut Option<BTreeSet<(String, String)>>,
    ) -> Result<Live, KubeError> {
        let defined = match defined {
            Some(defined) => defined,
            None => defined.insert(self.defined().await?),
        };
        let key = (id.group.clone(), id.kind.clone());
        // Kinds of Kubernetes' own have no definition: that one is not served says nothing of its objects.
        let custom = id.group.contains('.') && !id.group.ends_with(".k8s.io");
        Ok(if custom && !defined.contains(&key) {
            Live::Absent
        } else {
            Live::Unknown(unknown_kind(kinds, id, None).to_string())
        })
    }

    /// The kinds that have a CustomResourceDefinition, served or not.
    async fn defined(&self) -> Result<BTreeSet<(String, String)>, KubeError> {
        let kinds = self.kinds().await?;
        let group = "apiextensions.k8s.io";
        let resource = kinds
            .get(group, "CustomResourceDefinition")
            .and_then(|served| served.resource(group, "CustomResourceDefinition", None));
        let Some(resource) = resource else {
            return Ok(BTreeSet::new());
        };
        let api = kube::Api::<DynamicObject>::all_with(self.own.clone(), &resource);
        let mut out = BTreeSet::new();
        let mut params = ListParams::default().limit(self.limits.page);
        for _ in 0..self.limits.pages {
            let page = self.request(false, || api.list(&params)).await?;
            for item in page.items {
                let text = |pointer| item.data.pointer(pointer).and_then(Value::as_str);
                if let (Some(group), Some(kind)) = (text("/spec/group"), text("/spec/names/kind")) {
                    out.insert((group.to_owned(), kind.to_owned()));
                }
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(out),
            }
        }
        Err(self.too_many("CustomResourceDefinition"))
    }

    /// One kind in one namespace.
    async fn look(
        &self,
        claim: &Claim,
        batch: Batch,
    ) -> Result<Vec<(ResourceId, Live)>, KubeError> {
        let found = if batch.asked.len() <= self.limits.singles {
            return self.look_at_each(claim, &batch).await;
        } else {
            self.list(&batch).await
        };
        let live = |asked: Asked, found: &Result<BTreeMap<String, ObjectMeta>, KubeError>| {
            let live = match found {
                Err(error) => unknown(error),
                Ok(found) => match found.get(&asked.placed.name) {
                    None => Live::Absent,
                    Some(metadata) => Live::Present(seen(claim, &asked.placed, metadata)),
                },
            };
            (asked.id, live)
        };
        match found {
            Err(error) if error.is_of_all() => Err(error),
            found => Ok(batch.asked.into_iter().map(|a| live(a, &found)).collect()),
        }
    }

    async fn look_at_each(
        &self,
        claim: &Claim,
        batch: &Batch,
    ) -> Result<Vec<(ResourceId, Live)>, KubeError> {
        let looks = batch
            .asked
            .iter()
            .map(|asked| self.look_at_one(claim, &batch.resource, asked));
        futures::future::try_join_all(looks).await
    }

    async fn look_at_one(
        &self,
        claim: &Claim,
        resource: &ApiResource,
        asked: &Asked,
    ) -> Result<(ResourceId, Live), KubeError> {
        let live = match self.metadata(resource, &asked.placed).await {
            Ok(None) => Live::Absent,
            Ok(Some(found)) => Live::Present(seen(claim, &asked.placed, &found.metadata)),
            Err(error) if error.is_of_all() => return Err(error),
            Err(error) => unknown(&error),
        };
        Ok((asked.id.clone(), live))
    }

    /// One object's metadata; `None` when it is not there.
    pub(super) async fn metadata(
        &self,
        resource: &ApiResource,
        id: &ResourceId,
    ) -> Result<Option<PartialObjectMeta<DynamicObject>>, KubeError> {
        self.request(is_secret(id), || self.metadata_of(resource, id))
            .await
    }

    /// The same after a request of which nothing says what became: its tries are those that are left of that one's.
    pub(super) async fn look_after(
        &self,
        tries: &mut Tries,
        resource: &ApiResource,
        id: &ResourceId,
    ) -> Result<Option<PartialObjectMeta<DynamicObject>>, KubeError> {
        loop {
            match self
                .once(is_secret(id), self.metadata_of(resource, id))
                .await
            {
                Err(error) if tries.again(&error, self.flight.is_quiet()).await => {}
                ended => return ended,
            }
        }
    }

    async fn metadata_of(
        &self,
        resource: &ApiResource,
        id: &ResourceId,
    ) -> Result<Option<PartialObjectMeta<DynamicObject>>, kube::Error> {
        match self.api(resource, id).get_metadata(&id.name).await {
            Err(kube::Error::Api(status)) if is_missing(&status) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// The metadata of the asked objects, by name, from one list of the kind in the namespace.
    async fn list(&self, batch: &Batch) -> Result<BTreeMap<String, ObjectMeta>, KubeError> {
        let Some(first) = batch.asked.first() else {
            return Ok(BTreeMap::new());
        };
        let wanted: BTreeSet<&str> = batch.asked.iter().map(|a| a.placed.name.as_str()).collect();
        let api = self.api(&batch.resource, &first.placed);
        let mut out = BTreeMap::new();
        let mut params = ListParams::default().limit(self.limits.page);
        for _ in 0..self.limits.pages {
            let page = self.request(false, || api.list_metadata(&params)).await?;
            for item in page.items {
                if let Some(name) = item
                    .metadata
                    .name
                    .clone()
                    .filter(|n| wanted.contains(n.as_str()))
                {
                    out.insert(name, item.metadata);
                }
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(out),
            }
        }
        Err(self.too_many(&batch.resource.kind))
    }

    /// A list that does not end within the limit.
    pub(super) fn too_many(&self, kind: &str) -> KubeError {
        KubeError::Config(format!(
            "more than {} {kind} objects are in one place, and no more are listed (limit: pages)",
            self.limits.pages * self.limits.page as usize
        ))
    }
}

/// The version that an object names.
pub(super) fn version_of(object: &Object) -> &str {
    let api = object.api_version();
    api.split_once('/').map_or(api, |(_, version)| version)
}

/// The cluster has no such kind, or not in this version.
pub(super) fn unknown_kind(kinds: &Kinds, id: &ResourceId, version: Option<&str>) -> KubeError {
    let in_group = |version: Option<&str>| match (id.group.as_str(), version) {
        ("", version) => version.unwrap_or("v1").to_owned(),
        (group, None) => group.to_owned(),
        (group, Some(version)) => format!("{group}/{version}"),
    };
    let (api_version, kind) = (in_group(version), id.kind.clone());
    match kinds.get(&id.group, &id.kind) {
        None => KubeError::UnknownKind { api_version, kind },
        Some(served) => {
            let served = served.versions.iter().map(|v| in_group(Some(v)));
            KubeError::UnknownVersion {
                api_version,
                kind,
                served: served.collect::<Vec<_>>().join(", "),
            }
        }
    }
}
