//! How healthy a live object is: the rules of kstatus for the built-in kinds and for all others, without a cluster.
//!
//! ```text
//! live body ─deletion→ ─generation→ ─conditions→ ─the kind's own rule→ Health ─Summary::of→ of an app
//! ```
//!
//! The rules are those of `sigs.k8s.io/cli-utils/pkg/kstatus` (read at 5895ad6c, October 2025). Weir differs where
//! kstatus calls something settled that a person, or an app that waits with `after`, would not, or waits for what
//! never comes:
//!
//! | kind | kstatus | here |
//! | --- | --- | --- |
//! | a workload or PodDisruptionBudget without `status.observedGeneration` | as its numbers say | progressing |
//! | StatefulSet with `OnDelete` | settled | its replicas have to be there and ready, of whatever revision |
//! | DaemonSet with `OnDelete` | waits for updated pods | of whatever revision |
//! | Deployment that is paused | never settled | settled when nothing is outstanding |
//! | Job that runs | settled | progressing until it completes |
//! | Job that is suspended | settled | suspended, which is ready too |
//! | Pod that ended badly | settled | failed |
//! | Pod that finds no node | failed after 15 seconds | progressing: no clock here, and a node may come |
//! | Pod whose init container restarts again and again | progressing | failed |
//! | Service of type `LoadBalancer` | wants a cluster address | wants the balancer's address too |
//! | PersistentVolumeClaim whose volume is lost | progressing | failed |
//! | APIService, Namespace, HorizontalPodAutoscaler | settled | wants `Available`, `Active`, its conditions |
//! | a `Ready` or `Stalled` condition of an older generation | counts | progressing |
//! | a `Failed` condition of a kind without a rule of its own | does not count | failed |
//! | PodDisruptionBudget whose pods cannot be counted | settled | progressing |
//! | an `observedGeneration` written as text | an error | read as a number |
//!
//! No time is known here: how long a host waits before it gives up is the host's matter. `Failed` is how things
//! are, not how they end: a Pod that restarts again and again may come up after all.

mod conditions;
mod general;
mod job;
mod kinds;
mod live;
mod pod;
mod workload;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::object::ResourceId;
use live::Live;

/// The most characters taken over from one text of a live object, such as a condition's message.
pub const MAX_QUOTE: usize = 240;
/// The most conditions of an object; one that has more is not understood, and said to be so.
pub const MAX_CONDITIONS: usize = 128;
/// The most container statuses of a Pod, in each of its lists; one that has more is not understood.
pub const MAX_CONTAINERS: usize = 128;
/// The most finalizers that a text names; the others are counted.
pub const MAX_FINALIZERS_NAMED: usize = 3;

/// How a live object is. Each text says what is missing, in numbers where there are any, for a person; it may hold
/// what a controller wrote into the object's status, and never what the object's data or spec hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As its specification says, as far as one can see.
    Healthy,
    /// Told not to run, by its own specification.
    Suspended(String),
    /// On its way, or not understood.
    Progressing(String),
    /// Marked for deletion and still there.
    Terminating(String),
    /// Does not work, and its controller sees no way on.
    Failed(String),
}

impl Health {
    /// The word in the CLI, the API and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Health::Healthy => "healthy",
            Health::Suspended(_) => "suspended",
            Health::Progressing(_) => "progressing",
            Health::Terminating(_) => "terminating",
            Health::Failed(_) => "failed",
        }
    }

    /// What is missing; `None` where nothing is.
    pub fn text(&self) -> Option<&str> {
        match self {
            Health::Healthy => None,
            Health::Suspended(text)
            | Health::Progressing(text)
            | Health::Terminating(text)
            | Health::Failed(text) => Some(text),
        }
    }

    /// Whether what waits for this object may go on: it is healthy, or suspended on purpose.
    pub fn is_ready(&self) -> bool {
        matches!(self, Health::Healthy | Health::Suspended(_))
    }

    /// How bad it is, from 0.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Health::Healthy => 0,
            Health::Suspended(_) => 1,
            Health::Progressing(_) => 2,
            Health::Terminating(_) => 3,
            Health::Failed(_) => 4,
        }
    }
}

impl fmt::Display for Health {
    /// `progressing: 2 of 3 replicas are updated`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            None => f.write_str(self.as_str()),
            Some(text) => write!(f, "{}: {text}", self.as_str()),
        }
    }
}

/// What a rule finds: `Ok` where nothing is missing, otherwise how the object is. The first finding counts.
type Checked = Result<(), Health>;

/// How healthy a live object is, by its whole body as the API server gives it.
///
/// Total: whatever the body is, there is an answer. What is not of the form that its kind has is `Progressing`, with
/// a text that names the field.
pub fn assess(body: &Value) -> Health {
    let live = Live::new(body);
    match check(live) {
        Ok(()) => Health::Healthy,
        Err(found) => found,
    }
}

fn check(live: Live<'_>) -> Checked {
    let (group, kind) = live.group_kind()?;
    general::deletion(live, group, kind)?;
    if !waits_for(group, kind) {
        return Ok(());
    }
    general::generation(live)?;
    let conditions = live.conditions()?;
    general::standard(live, &conditions)?;
    match (group, kind) {
        ("apps" | "extensions", "Deployment") => workload::deployment(live, &conditions),
        ("apps" | "extensions", "ReplicaSet") | ("", "ReplicationController") => {
            workload::replica_set(live, &conditions)
        }
        ("apps", "StatefulSet") => workload::stateful_set(live),
        ("apps" | "extensions", "DaemonSet") => workload::daemon_set(live),
        ("", "Pod") => pod::pod(live, &conditions),
        ("batch", "Job") => job::job(live, &conditions),
        ("", "PersistentVolumeClaim") => kinds::claim(live),
        ("", "Service") => kinds::service(live),
        ("", "Namespace") => kinds::namespace(live),
        ("policy", "PodDisruptionBudget") => kinds::disruption_budget(live, &conditions),
        ("autoscaling", "HorizontalPodAutoscaler") => kinds::autoscaler(live, &conditions),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => kinds::definition(&conditions),
        ("apiregistration.k8s.io", "APIService") => kinds::api_service(&conditions),
        _ => general::ready(live, &conditions),
    }
}

/// Whether this kind has a health beyond being there, so that a host has to watch its whole body. For the others,
/// metadata is enough: they are healthy, or terminating. A kind that Weir does not know may have one.
pub fn waits(id: &ResourceId) -> bool {
    waits_for(&id.group, &id.kind)
}

fn waits_for(group: &str, kind: &str) -> bool {
    !matches!(
        (group, kind),
        (
            "",
            "ConfigMap"
                | "Endpoints"
                | "Event"
                | "LimitRange"
                | "PodTemplate"
                | "ResourceQuota"
                | "Secret"
                | "ServiceAccount"
        ) | ("admissionregistration.k8s.io", _)
            | ("apps", "ControllerRevision")
            | ("batch", "CronJob")
            | ("coordination.k8s.io", "Lease")
            | ("discovery.k8s.io", "EndpointSlice")
            | ("events.k8s.io", "Event")
            | ("extensions", "Ingress")
            | ("flowcontrol.apiserver.k8s.io", _)
            | (
                "networking.k8s.io",
                "Ingress" | "IngressClass" | "NetworkPolicy"
            )
            | ("node.k8s.io", "RuntimeClass")
            | ("rbac.authorization.k8s.io", _)
            | ("scheduling.k8s.io", "PriorityClass")
            | (
                "storage.k8s.io",
                "CSIDriver" | "CSINode" | "CSIStorageCapacity" | "StorageClass"
            )
    )
}

/// How an app's objects are, taken together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// How many are healthy.
    pub healthy: u64,
    /// How many are suspended.
    pub suspended: u64,
    /// How many are progressing.
    pub progressing: u64,
    /// How many are terminating.
    pub terminating: u64,
    /// How many failed.
    pub failed: u64,
    /// The object that is worst, and how it is: the first by identity of those that are equally bad. `None` where
    /// all are healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<(ResourceId, Health)>,
}

impl Summary {
    /// All of `objects` together. Their order changes nothing.
    pub fn of<'a>(objects: impl IntoIterator<Item = (&'a ResourceId, &'a Health)>) -> Summary {
        let mut summary = Summary::default();
        let mut worst: Option<(&ResourceId, &Health)> = None;
        for (id, health) in objects {
            let count = match health {
                Health::Healthy => &mut summary.healthy,
                Health::Suspended(_) => &mut summary.suspended,
                Health::Progressing(_) => &mut summary.progressing,
                Health::Terminating(_) => &mut summary.terminating,
                Health::Failed(_) => &mut summary.failed,
            };
            *count = count.saturating_add(1);
            let worse = worst.is_none_or(|(other, than)| {
                health.rank() > than.rank() || (health.rank() == than.rank() && id < other)
            });
            if worse && *health != Health::Healthy {
                worst = Some((id, health));
            }
        }
        summary.worst = worst.map(|(id, health)| (id.clone(), health.clone()));
        summary
    }

    /// How the app is: as its worst object, with a text that names it.
    pub fn health(&self) -> Health {
        let Some((id, worst)) = &self.worst else {
            return Health::Healthy;
        };
        let text = format!(
            "{} of {} objects are healthy; {id}: {}",
            self.healthy,
            self.total(),
            worst.text().unwrap_or_default()
        );
        match worst {
            Health::Healthy => Health::Healthy,
            Health::Suspended(_) => Health::Suspended(text),
            Health::Progressing(_) => Health::Progressing(text),
            Health::Terminating(_) => Health::Terminating(text),
            Health::Failed(_) => Health::Failed(text),
        }
    }

    /// How many objects.
    pub fn total(&self) -> u64 {
        [
            self.healthy,
            self.suspended,
            self.progressing,
            self.terminating,
            self.failed,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests;
