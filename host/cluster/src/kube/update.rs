//! Changes to an object that is there: what is taken back from others, what is left to them, what is made anew.

use std::collections::BTreeMap;

use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use serde_json::Value;
use weir_core::guard::is_precious;
use weir_core::live::{Seen, Version};
use weir_core::object::{Object, ResourceId};
use weir_core::policy::{self, Policy, may_recreate};
use weir_core::stake::{Ended, Healed};

use super::body::{Precondition, seen, written};
use super::error::{Conflicts, KubeError};
use super::managed::{Ours, remove_path, remove_pointers};
use super::run::Run;
use super::write::{ATTEMPTS, changed};

/// How many healed fields of one object are named.
const MAX_HEALED: usize = 20;

impl Run<'_> {
    /// Changes an object of ours. What others took from us is taken back only when `heal` says that we apply just what
    /// we last applied, or the app says `conflicts: force`; a change through the scale subresource never is. Where a
    /// field that cannot be changed did, the object is made anew if it says that it may be.
    pub(super) async fn update(
        &self,
        object: &Object,
        before: &Seen,
        heal: bool,
    ) -> Result<Ended, KubeError> {
        match self.write_over(object, before, heal).await {
            Err(KubeError::Immutable { .. })
                if may_recreate(object) == Ok(true) && !is_precious(object.id()) =>
            {
                self.recreate(object, before).await
            }
            ended => ended,
        }
    }

    /// Only what was deleted by us is made anew, and only where nothing came in its place meanwhile.
    async fn recreate(&self, object: &Object, before: &Seen) -> Result<Ended, KubeError> {
        let ended = self.prune(object.id(), before).await?;
        let (resource, id) = self.place(object).await?;
        let there = self.target.metadata(&resource, &id).await?.is_some();
        match (ended, there) {
            (Ended::Pruned, false) => self.create(object).await.map(Ended::Updated),
            _ => Err(changed("it is another object, or somebody else's, by now")),
        }
    }

    /// Writes over what is there, as the app's policy has it.
    pub(super) async fn write_over(
        &self,
        object: &Object,
        before: &Seen,
        heal: bool,
    ) -> Result<Ended, KubeError> {
        let (resource, id) = self.place(object).await?;
        let mut body = self.reveal.reveal(object)?.into_revealed();
        // Which fields are ours by now matters only to these: others cost no request more.
        let mut former = Ours::default();
        if heal || self.policy.fields(object.id()).next().is_some() {
            let (_, ours) = self.now(&resource, &id).await?;
            let fields = self.policy.fields(object.id());
            leave(body.expose_mut(), fields, &ours);
            former = ours;
        }
        let takes = heal || self.policy.conflicts == policy::Conflicts::Force;
        let mut taken = Conflicts(Vec::new());
        // The state in which a conflict was judged travels with the request that overrides it.
        let mut judged: Option<Version> = None;
        let mut tries = self.target.tries();
        for _ in 0..ATTEMPTS {
            let only_if = Precondition {
                uid: before.mark.uid.as_ref(),
                version: judged.as_ref(),
            };
            let force = judged.is_some();
            let sent = match force {
                true => {
                    let sent = self.send(body.expose(), &resource, &id, only_if, true);
                    sent.await
                }
                false => {
                    let sent = self.send_again(body.expose(), &resource, &id, only_if);
                    sent.await
                }
            };
            let conflicts = match sent {
                Ok(answer) => {
                    return Ok(ended(
                        object,
                        before,
                        heal.then_some(&former),
                        &taken,
                        &answer,
                    ));
                }
                Err(KubeError::Conflict(conflicts)) => conflicts,
                // Somebody was faster: judged anew.
                Err(KubeError::Changed { .. }) if force => {
                    judged = None;
                    continue;
                }
                // Done or not, the next look at the conflict shows it.
                Err(error) if force && tries.again(&error, self.target.flight.is_quiet()).await => {
                    judged = None;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if yields(self.policy, object.id(), &conflicts, body.expose_mut()) {
                continue;
            }
            if !takes || conflicts.is_of_scale() {
                return Err(KubeError::Conflict(conflicts));
            }
            judged = Some(self.now(&resource, &id).await?.0.version);
            taken = conflicts;
        }
        Err(changed("others change it all the time"))
    }

    /// What is there now, and which of its fields are ours.
    async fn now(
        &self,
        resource: &ApiResource,
        id: &ResourceId,
    ) -> Result<(Seen, Ours), KubeError> {
        let now = self.target.metadata(resource, id).await?;
        let Some(now) = now else {
            return Err(changed("it is gone"));
        };
        Ok((seen(self.claim, id, &now.metadata), Ours::of(&now.metadata)))
    }
}

/// Takes out of a body what is left to others and is not ours any more: neither set again, nor removed.
pub(super) fn leave<'a>(body: &mut Value, fields: impl Iterator<Item = &'a str>, ours: &Ours) {
    let theirs = fields.filter_map(|field| ours.left_to_others(field, body));
    let theirs = theirs.collect();
    remove_pointers(body, theirs);
}

/// Takes out of a body what the app leaves to the managers that have it; whether there was any.
pub(super) fn yields(
    policy: &Policy,
    id: &ResourceId,
    conflicts: &Conflicts,
    body: &mut Value,
) -> bool {
    let theirs = conflicts.0.iter();
    let theirs = theirs.filter(|c| policy.leaves_to(id, c.manager_name()));
    let mut any = false;
    // All of them, also behind the first.
    for conflict in theirs {
        any |= remove_path(body, &conflict.field);
    }
    any
}

/// How a write ended, by what it left behind. An apply that changed nothing leaves the object's version as it was. Our
/// entry, and so the mark, tells whole seconds apart only: it says that a heal put nothing back, and nothing of an update
/// in the second of the write before. `former` are the fields that were ours before, of a heal.
fn ended(
    object: &Object,
    before: &Seen,
    former: Option<&Ours>,
    taken: &Conflicts,
    answer: &PartialObjectMeta<DynamicObject>,
) -> Ended {
    let written = written(object, answer);
    let version = answer.metadata.resource_version.as_deref();
    let is_same = version == Some(before.version.0.as_str());
    if is_same || (former.is_some() && written.mark == before.mark) {
        return Ended::Confirmed(written);
    }
    let Some(former) = former else {
        return Ended::Updated(written);
    };
    let from: BTreeMap<&str, &str> = taken
        .0
        .iter()
        .map(|c| (c.field.trim_start_matches('.'), c.manager_name()))
        .collect();
    let back = Ours::of(&answer.metadata).beyond(former);
    let back = back.into_iter().take(MAX_HEALED);
    let healed: Vec<Healed> = back
        .map(|field| Healed {
            from: from.get(field.as_str()).map(|name| (*name).to_owned()),
            field,
        })
        .collect();
    // Fields that are left to others went, and nothing came back.
    if healed.is_empty() {
        return Ended::Confirmed(written);
    }
    Ended::Healed(written, healed)
}
