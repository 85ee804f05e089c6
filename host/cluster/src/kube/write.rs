//! The requests that change a cluster: apply, delete, and the wait until a definition is served.

use std::sync::atomic::Ordering;
use std::time::Duration;

use either::Either;
use kube::api::{
    DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy, ValidationDirective,
};
use kube::core::response::Status;
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use serde_json::Value;
use tokio::time::Instant;
use weir_core::live::{Owner, Seen, Uid, Written};
use weir_core::object::{Object, ResourceId};
use weir_core::plan::{Step, Wave};
use weir_core::scope::{self, Definition};
use weir_core::stake::{Ended, Failure};

use super::body::{MANAGER, Precondition, Sent, seen, to_apply, waits_for, written};
use super::error::{KubeError, is_missing};
use super::is_secret;
use super::look::{unknown_kind, version_of};
use super::run::Run;

/// How often a change is tried on an object that others change at the same time.
pub(super) const ATTEMPTS: usize = 5;
/// How much shorter the wait for a delete is once one was in vain.
const STUCK: u32 = 10;
/// The first and the longest pause between two looks at something that takes its time.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

impl Run<'_> {
    /// Makes an object where nothing was. Where nothing says what became of it, it is looked for: one that is there
    /// by then and has our name on it is what we made.
    pub(super) async fn create(&self, object: &Object) -> Result<Written, KubeError> {
        let (resource, id) = self.place(object).await?;
        let body = self.reveal.reveal(object)?;
        let mut tries = self.target.tries();
        let mut uid: Option<Uid> = None;
        loop {
            let only_if = Precondition {
                uid: uid.as_ref(),
                version: None,
            };
            let sent = self.send(body.expose(), &resource, &id, only_if, false);
            let error = match sent.await {
                Err(error) if tries.again(&error, self.target.flight.is_quiet()).await => error,
                ended => return ended.map(|answer| written(object, &answer)),
            };
            if matches!(error, KubeError::Throttled { .. }) {
                continue;
            }
            let now = self.target.look_after(&mut tries, &resource, &id).await?;
            uid = match now.map(|now| seen(self.claim, &id, &now.metadata)) {
                None => None,
                Some(now) if now.owner == Owner::Us => now.mark.uid,
                Some(_) => return Err(changed("somebody else made it")),
            };
        }
    }

    /// Deletes an object of ours, in the state that was seen, and waits until it is gone. Where nothing says what
    /// became of that, it is looked for.
    pub(super) async fn prune(&self, id: &ResourceId, before: &Seen) -> Result<Ended, KubeError> {
        let kinds = self.target.kinds().await?;
        let resource = kinds
            .get(&id.group, &id.kind)
            .and_then(|served| served.resource(&id.group, &id.kind, None));
        let (Some(resource), Some(id)) = (resource, kinds.place(id)) else {
            return Err(unknown_kind(&kinds, id, None));
        };
        self.target.may_touch(&id)?;
        let mut now = before.clone();
        let mut tries = self.target.tries();
        let mut asked = false;
        for _ in 0..ATTEMPTS.max(self.target.limits.throttles) {
            // What is on its way out already is not asked to go again.
            if now.leaving.is_some() {
                let wait = if asked { self.wait() } else { self.leftovers() };
                self.gone(&resource, &id, before, wait).await?;
                return self.unserved(&id).await;
            }
            match self.delete(&resource, &id, &now).await {
                Ok(None) if asked => return self.unserved(&id).await,
                Ok(None) => return Ok(Ended::Forgotten),
                Ok(Some(Either::Right(_))) => return self.unserved(&id).await,
                Ok(Some(Either::Left(_))) => {
                    self.gone(&resource, &id, before, self.wait()).await?;
                    return self.unserved(&id).await;
                }
                Err(KubeError::Changed { .. }) => {}
                Err(error) if tries.again(&error, self.target.flight.is_quiet()).await => {
                    asked |= error.is_unclear();
                }
                Err(error) => return Err(error),
            }
            // Its state moved on: still ours?
            let found = self.target.look_after(&mut tries, &resource, &id).await?;
            let found = found.map(|found| seen(self.claim, &id, &found.metadata));
            let same = |found: &Seen| found.mark.uid == before.mark.uid;
            match found.filter(same) {
                None if asked => return self.unserved(&id).await,
                None => return Ok(Ended::Forgotten),
                Some(found) if matches!(found.owner, Owner::Foreign(_)) => {
                    return Ok(Ended::Forgotten);
                }
                Some(found) if found.keep && !before.keep => {
                    return Err(changed("it says by now that it must not be pruned"));
                }
                Some(found) if before.owner == Owner::Us && found.owner != Owner::Us => {
                    return Err(changed("it carries another name than ours by now"));
                }
                Some(found) => now = found,
            }
        }
        Err(changed("others change it all the time"))
    }

    /// One delete of what was seen, sent once; `None` when nothing is there.
    async fn delete(
        &self,
        resource: &ApiResource,
        id: &ResourceId,
        now: &Seen,
    ) -> Result<Option<Either<DynamicObject, Status>>, KubeError> {
        let api = self.target.api(resource, id);
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions {
                uid: now.mark.uid.as_ref().map(|uid| uid.0.to_string()),
                resource_version: Some(now.version.0.clone()),
            }),
            ..DeleteParams::default()
        };
        let sent = async {
            match api.delete(&id.name, &params).await {
                Err(kube::Error::Api(status)) if is_missing(&status) => Ok(None),
                answer => answer.map(Some),
            }
        };
        let answer = self.target.once(is_secret(id), sent).await;
        if let (Ok(_), Some(watches)) = (&answer, &self.target.watches) {
            watches.mirror().pruned(id);
        }
        answer
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

    /// Waits until a deleted object is gone, and no longer than that.
    async fn gone(
        &self,
        resource: &ApiResource,
        id: &ResourceId,
        before: &Seen,
        mut wait: Pauses,
    ) -> Result<(), KubeError> {
        loop {
            let found = self.target.metadata(resource, id).await?;
            let uid = before.mark.uid.as_ref().map(|uid| &*uid.0);
            let Some(found) = found.filter(|f| f.metadata.uid.as_deref() == uid) else {
                return Ok(());
            };
            if !wait.pause().await {
                self.stuck.store(true, Ordering::Relaxed);
                let what = waits_for(&found.metadata);
                return Err(KubeError::StillThere { what });
            }
        }
    }

    /// The wait for what this run deletes: short where something else of it was waited for in vain already.
    fn wait(&self) -> Pauses {
        let stuck = self.stuck.load(Ordering::Relaxed);
        let all = self.target.limits.delete;
        Pauses::within(if stuck { all / STUCK } else { all })
    }

    /// The wait for what was on its way out before: one for all of it, so that finalizers that nobody takes off
    /// cost each run the same, however many there are.
    fn leftovers(&self) -> Pauses {
        let until = || Instant::now() + self.target.limits.delete;
        Pauses::until(*self.leftovers.get_or_init(until))
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
        let (resource, placed) = resource
            .zip(placed)
            .ok_or_else(|| unknown_kind(&kinds, id, Some(version)))?;
        self.target.may_touch(&placed)?;
        Ok((resource, placed))
    }

    /// One server-side apply, sent once.
    pub(super) async fn send(
        &self,
        body: &Value,
        resource: &ApiResource,
        id: &ResourceId,
        only_if: Precondition<'_>,
        force: bool,
    ) -> Result<PartialObjectMeta<DynamicObject>, KubeError> {
        let api = self.target.api(resource, id);
        let params = PatchParams {
            dry_run: false,
            force,
            field_manager: Some(MANAGER.to_owned()),
            field_validation: Some(ValidationDirective::Strict),
        };
        let patch = Patch::Apply(Sent::new(to_apply(self.claim, body, id, only_if)));
        let sent = api.patch_metadata(&id.name, &params, &patch);
        let answer: PartialObjectMeta<DynamicObject> =
            self.target.once(is_secret(id), sent).await?;
        if let Some(watches) = &self.target.watches {
            watches.mirror().wrote(id, &answer.metadata);
        }
        Ok(answer)
    }

    /// The same, sent again where nothing says what became of it: with the object's uid in it, a second one changes
    /// nothing more.
    pub(super) async fn send_again(
        &self,
        body: &Value,
        resource: &ApiResource,
        id: &ResourceId,
        only_if: Precondition<'_>,
    ) -> Result<PartialObjectMeta<DynamicObject>, KubeError> {
        let mut tries = self.target.tries();
        loop {
            match self.send(body, resource, id, only_if, false).await {
                Err(error) if tries.again(&error, self.target.flight.is_quiet()).await => {}
                ended => return ended,
            }
        }
    }

    /// Waits until what the wave's definitions define is served, so that the next wave finds its kinds.
    pub(super) async fn establish(&self, wave: &Wave, ended: &mut [Ended]) {
        for (step, ended) in wave.iter().zip(ended) {
            let (Step::Create(object) | Step::Update { object, .. }) = step else {
                continue;
            };
            let (Some(definition), false) = (
                scope::definition(object),
                matches!(ended, Ended::Failed(_) | Ended::Skipped),
            ) else {
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
            let now = self.target.request(false, || api.get_opt(&id.name)).await?;
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

pub(super) fn changed(message: &str) -> KubeError {
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
        Pauses::until(Instant::now() + time)
    }

    fn until(until: Instant) -> Pauses {
        Pauses {
            until,
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
