//! The requests that change a cluster: apply, delete, and the wait until a definition is served.

use std::time::{Duration, Instant};

use either::Either;
use kube::api::{
    DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy, ValidationDirective,
};
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use serde_json::Value;
use weir_core::live::{Owner, Seen, Written};
use weir_core::object::{Object, ResourceId};
use weir_core::plan::{Step, Wave};
use weir_core::scope::{self, Definition};
use weir_core::stake::{Ended, Failure};

use super::body::{MANAGER, Precondition, seen, to_apply, waits_for, written};
use super::error::{KubeError, is_missing};
use super::is_secret;
use super::look::{unknown_kind, version_of};
use super::run::Run;

/// How often a change is tried on an object that others change at the same time.
const ATTEMPTS: usize = 5;
/// The first and the longest pause between two looks at something that takes its time.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

impl Run<'_> {
    /// Makes an object where nothing was.
    pub(super) async fn create(&self, object: &Object) -> Result<Written, KubeError> {
        let (resource, id) = self.place(object).await?;
        self.send(object, &resource, &id, Precondition::default(), false)
            .await
    }

    /// Changes an object of ours. What others took from us by hand is taken back only when `heal` says that
    /// we apply just what we last applied; a change through the scale subresource never is.
    pub(super) async fn update(
        &self,
        object: &Object,
        before: &Seen,
        heal: bool,
    ) -> Result<Written, KubeError> {
        let (resource, id) = self.place(object).await?;
        let uid = before.mark.uid.as_ref();
        let same = Precondition { uid, version: None };
        for _ in 0..ATTEMPTS {
            match self.send(object, &resource, &id, same, false).await {
                Err(KubeError::Conflict(conflicts)) if heal && !conflicts.is_of_scale() => {}
                ended => return ended,
            }
            // The state in which the conflict is judged travels with the request that overrides it.
            let now = self.target.metadata(&resource, &id).await?;
            let Some(now) = now.map(|now| seen(self.claim, &id, &now.metadata)) else {
                return Err(changed("it is gone"));
            };
            let only_if = Precondition {
                uid,
                version: Some(&now.version),
            };
            match self.send(object, &resource, &id, only_if, true).await {
                Err(KubeError::Changed { .. }) => {}
                ended => return ended,
            }
        }
        Err(changed("others change it all the time"))
    }

    /// Deletes an object of ours, in the state that was seen, and waits until it is gone.
    pub(super) async fn prune(&self, id: &ResourceId, before: &Seen) -> Result<Ended, KubeError> {
        let kinds = self.target.kinds().await?;
        let resource = kinds
            .get(&id.group, &id.kind)
            .and_then(|served| served.resource(&id.group, &id.kind, None));
        let (Some(resource), Some(id)) = (resource, kinds.place(id)) else {
            return Err(unknown_kind(&kinds, id, None));
        };
        let api = self.target.api(&resource, &id);
        let mut now = before.clone();
        for _ in 0..ATTEMPTS {
            let params = DeleteParams {
                propagation_policy: Some(PropagationPolicy::Background),
                preconditions: Some(Preconditions {
                    uid: now.mark.uid.as_ref().map(|uid| uid.0.to_string()),
                    resource_version: Some(now.version.0.clone()),
                }),
                ..DeleteParams::default()
            };
            let answer = self
                .target
                .request(is_secret(&id), async {
                    match api.delete(&id.name, &params).await {
                        Err(kube::Error::Api(status)) if is_missing(&status) => Ok(None),
                        answer => answer.map(Some),
                    }
                })
                .await;
            if let (Ok(_), Some(watches)) = (&answer, &self.target.watches) {
                watches.mirror().pruned(&id);
            }
            match answer {
                Ok(None) => return Ok(Ended::Forgotten),
                Ok(Some(Either::Right(_))) => return self.unserved(&id).await,
                Ok(Some(Either::Left(_))) => {
                    self.gone(&resource, &id, before).await?;
                    return self.unserved(&id).await;
                }
                Err(KubeError::Changed { .. }) => {}
                Err(error) => return Err(error),
            }
            // Its state moved on: still ours?
            let Some(found) = self.target.metadata(&resource, &id).await? else {
                return Ok(Ended::Forgotten);
            };
            let found = seen(self.claim, &id, &found.metadata);
            let same = found.mark.uid == before.mark.uid;
            if !same || matches!(found.owner, Owner::Foreign(_)) {
                return Ok(Ended::Forgotten);
            }
            now = found;
        }
        Err(changed("others change it all the time"))
    }

    /// Of a definition that is gone: waits until its kind is served no more, so that nobody asks for it.
    async fn unserved(&self, id: &ResourceId) -> Result<Ended, KubeError> {
        if !scope::is_definition(id) {
            return Ok(Ended::Pruned);
        }
        let mut pauses = Pauses::within(self.target.limits.delete);
        while self.target.ask_kinds().await?.has_definition(&id.name) && pauses.pause().await {}
        Ok(Ended::Pruned)
    }

    /// Waits until a deleted object is gone.
    async fn gone(
        &self,
        resource: &ApiResource,
        id: &ResourceId,
        before: &Seen,
    ) -> Result<(), KubeError> {
        let mut pauses = Pauses::within(self.target.limits.delete);
        loop {
            let found = self.target.metadata(resource, id).await?;
            let uid = before.mark.uid.as_ref().map(|uid| &*uid.0);
            let Some(found) = found.filter(|f| f.metadata.uid.as_deref() == uid) else {
                return Ok(());
            };
            if !pauses.pause().await {
                let what = waits_for(&found.metadata);
                return Err(KubeError::StillThere { what });
            }
        }
    }

    /// Where an object goes.
    pub(super) async fn place(
        &self,
        object: &Object,
    ) -> Result<(ApiResource, ResourceId), KubeError> {
        let (id, version) = (object.id(), version_of(object));
        let kinds = self.target.kinds().await?;
        let served = kinds.get(&id.group, &id.kind);
        let resource = served.and_then(|s| s.resource(&id.group, &id.kind, Some(version)));
        let placed = kinds.place(id);
        resource
            .zip(placed)
            .ok_or_else(|| unknown_kind(&kinds, id, Some(version)))
    }

    async fn send(
        &self,
        object: &Object,
        resource: &ApiResource,
        id: &ResourceId,
        only_if: Precondition<'_>,
        force: bool,
    ) -> Result<Written, KubeError> {
        let api = self.target.api(resource, id);
        let params = PatchParams {
            dry_run: false,
            force,
            field_manager: Some(MANAGER.to_owned()),
            field_validation: Some(ValidationDirective::Strict),
        };
        let patch = Patch::Apply(to_apply(self.claim, object, id, only_if));
        let sent = api.patch_metadata(&id.name, &params, &patch);
        let answer: PartialObjectMeta<DynamicObject> =
            self.target.request(is_secret(id), sent).await?;
        if let Some(watches) = &self.target.watches {
            watches.mirror().wrote(id, &answer.metadata);
        }
        Ok(written(object, &answer))
    }

    /// Waits until what the wave's definitions define is served, so that the next wave finds its kinds.
    pub(super) async fn establish(&self, wave: &Wave, ended: &mut [Ended]) {
        for (step, ended) in wave.iter().zip(ended) {
            let (Step::Create(object) | Step::Update { object, .. }) = step else {
                continue;
            };
            let (Some(definition), false) =
                (scope::definition(object), matches!(ended, Ended::Failed(_)))
            else {
                continue;
            };
            if let Err(error) = self.established(object, &definition).await {
                use weir_core::fault::Blame as _;
                *ended = Ended::Failed(Failure {
                    why: error.to_string(),
                    fault: error.fault(),
                    retry: error.retry(),
                });
            }
        }
    }

    async fn established(&self, object: &Object, definition: &Definition) -> Result<(), KubeError> {
        let (resource, id) = self.place(object).await?;
        let api = self.target.api(&resource, &id);
        let mut pauses = Pauses::within(self.target.limits.establish);
        loop {
            let now = self.target.request(false, api.get_opt(&id.name)).await?;
            let why = match now.as_ref().map(|now| why_not_established(&now.data)) {
                None => return Err(changed("it is gone")),
                Some(None) => {
                    let kinds = self.target.ask_kinds().await?;
                    if kinds.get(&definition.group, &definition.kind).is_some() {
                        return Ok(());
                    }
                    "its kind is not in the server's discovery yet".to_owned()
                }
                Some(Some(why)) => why,
            };
            if !pauses.pause().await {
                let seconds = self.target.limits.establish.as_secs();
                return Err(KubeError::NotEstablished { seconds, why });
            }
        }
    }
}

/// Why a definition's kind is not served yet, by its conditions; `None` when it is.
fn why_not_established(definition: &Value) -> Option<String> {
    let conditions = definition
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let conditions = conditions.map_or(&[][..], Vec::as_slice);
    let text = |c: &Value, field| {
        c.get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let of = |kind: &str| conditions.iter().find(|c| text(c, "type") == kind);
    let is = |kind: &str, status: &str| of(kind).is_some_and(|c| text(c, "status") == status);
    if is("Established", "True") {
        return None;
    }
    let refused = of("NamesAccepted").filter(|c| text(c, "status") == "False");
    Some(match refused {
        Some(refused) => format!("its names are not accepted: {}", text(refused, "message")),
        None => "the API server has not said that it is".to_owned(),
    })
}

fn changed(message: &str) -> KubeError {
    KubeError::Changed {
        message: message.to_owned(),
    }
}

/// Pauses that grow, within a time.
struct Pauses {
    until: Instant,
    next: Duration,
}

impl Pauses {
    fn within(time: Duration) -> Pauses {
        Pauses {
            until: Instant::now() + time,
            next: PAUSES.0,
        }
    }

    /// Waits a little; false when the time is over.
    async fn pause(&mut self) -> bool {
        if Instant::now() + self.next > self.until {
            return false;
        }
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(PAUSES.1);
        true
    }
}
