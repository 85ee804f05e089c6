//! Hooks in a cluster: what is at a hook's place, the one create that is never an apply, and the delete before or after.

use kube::api::PostParams;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use weir_core::digest::Digest;
use weir_core::hook::{self, Found};
use weir_core::live::{Seen, Written};
use weir_core::object::{Object, ResourceId};
use weir_core::owner::Claim;

use super::body::{MANAGER, Precondition, mark, seen, to_apply};
use super::error::{KubeError, is_missing};
use super::look::unknown_kind;
use super::run::Run;
use super::{KubeTarget, is_secret};
use crate::error::TargetError;

impl KubeTarget {
    /// What is at a hook's place; `None` where nothing is.
    ///
    /// # Errors
    /// When that cannot be read.
    pub async fn hook(&self, claim: &Claim, id: &ResourceId) -> Result<Option<Found>, TargetError> {
        let kinds = self.kinds().await?;
        let served = kinds.get(&id.group, &id.kind);
        let resource = served.and_then(|s| s.resource(&id.group, &id.kind, None));
        let (Some(resource), Some(placed)) = (resource, kinds.place(id)) else {
            return Err(unknown_kind(&kinds, id, None).into());
        };
        let api = self.api(&resource, &placed);
        let get = || async {
            match api.get(&placed.name).await {
                Err(kube::Error::Api(status)) if is_missing(&status) => Ok(None),
                answer => answer.map(Some),
            }
        };
        let found: Option<DynamicObject> = self.request(is_secret(id), get).await?;
        Ok(found.map(|found| {
            let annotations = found.metadata.annotations.as_ref();
            Found {
                seen: seen(claim, &placed, &found.metadata),
                run: annotations.and_then(|a| a.get(hook::RUN)).cloned(),
                ran: hook::ran(&serde_json::to_value(&found).unwrap_or_default()),
            }
        }))
    }

    /// Makes a hook's object for a run; where something is there by now, it is refused.
    ///
    /// # Errors
    /// When nothing is known to have been made.
    pub async fn start_hook(
        &self,
        claim: &Claim,
        object: &Object,
        output: Digest,
    ) -> Result<Written, TargetError> {
        let run = Run::silent(self, claim);
        let (resource, id) = run.place(object).await?;
        let mut body = to_apply(claim, &object.body(), &id, Precondition::default());
        body["metadata"]["annotations"][hook::RUN] = json!(output.to_string());
        let made: DynamicObject = from_json(body)?;
        let api = self.api(&resource, &id);
        let params = PostParams {
            dry_run: false,
            field_manager: Some(MANAGER.to_owned()),
        };
        let mut tries = self.tries();
        let answer = loop {
            let sent = self.once(is_secret(&id), api.create(&params, &made));
            match sent.await {
                // The one answer that says for sure that nothing was made.
                Err(error @ KubeError::Throttled { .. })
                    if tries.again(&error, self.flight.is_quiet()).await => {}
                ended => break ended?,
            }
        };
        if let Some(watches) = &self.watches {
            watches.mirror().wrote(&id, &answer.metadata);
        }
        Ok(Written {
            content: object.digest(),
            mark: mark(&answer.metadata),
        })
    }

    /// Deletes the object of a run, in the state that was seen, and waits until it is gone.
    ///
    /// # Errors
    /// When it is not known to be gone.
    pub async fn end_hook(
        &self,
        claim: &Claim,
        id: &ResourceId,
        before: &Seen,
    ) -> Result<(), TargetError> {
        Run::silent(self, claim).prune(id, before).await?;
        Ok(())
    }

    /// The command with which a person sees what a hook printed.
    pub async fn logs_of(&self, id: &ResourceId) -> String {
        let placed = match self.kinds().await {
            Ok(kinds) => kinds.place(id),
            Err(_) => None,
        };
        let namespace = placed
            .as_ref()
            .or(Some(id))
            .and_then(|id| id.namespace.as_ref());
        let namespace = namespace.map_or_else(String::new, |n| format!(" -n {n}"));
        format!(
            "kubectl logs{namespace} {}/{}",
            id.kind.to_lowercase(),
            id.name
        )
    }
}

fn from_json(body: Value) -> Result<DynamicObject, KubeError> {
    serde_json::from_value(body).map_err(|e| KubeError::Invalid {
        message: e.to_string(),
    })
}
