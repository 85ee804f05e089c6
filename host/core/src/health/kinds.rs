//! The built-in kinds whose rule is a few lines: claims, services, namespaces, budgets, definitions, autoscalers.

use super::conditions::{Condition, Conditions};
use super::general::{namespace_waits, seen};
use super::live::Live;
use super::{Checked, Health};

/// More addresses than any load balancer has.
const MAX_ADDRESSES: usize = 1024;

/// PersistentVolumeClaim: bound to a volume.
pub(super) fn claim(live: Live<'_>) -> Checked {
    let text = match live.text("status.phase")?.unwrap_or_default() {
        "Bound" => return Ok(()),
        "Lost" => {
            return Err(Health::Failed(
                "the volume that it was bound to is lost".to_owned(),
            ));
        }
        "Pending" => "it is not bound to a volume yet; some storage classes wait for its first pod",
        "" => "nothing has looked for a volume yet",
        _ => "`status.phase` is not one that Weir knows",
    };
    Err(Health::Progressing(text.to_owned()))
}

/// Service: a load balancer needs an address, all others are healthy when they exist.
pub(super) fn service(live: Live<'_>) -> Checked {
    if live.text("spec.type")? != Some("LoadBalancer") {
        return Ok(());
    }
    if live.text("spec.clusterIP")?.is_none_or(str::is_empty) {
        return Err(Health::Progressing(
            "it has no cluster address yet".to_owned(),
        ));
    }
    for address in live.items("status.loadBalancer.ingress", MAX_ADDRESSES)? {
        for field in ["ip", "hostname"] {
            if address.text(field)?.is_some_and(|text| !text.is_empty()) {
                return Ok(());
            }
        }
    }
    Err(Health::Progressing(
        "its load balancer has no address yet".to_owned(),
    ))
}

/// Namespace: active.
pub(super) fn namespace(live: Live<'_>) -> Checked {
    match live.text("status.phase")?.unwrap_or_default() {
        "Active" => Ok(()),
        "Terminating" => Err(Health::Terminating(namespace_waits(live))),
        "" => Err(Health::Progressing("it is not active yet".to_owned())),
        _ => Err(Health::Progressing(
            "`status.phase` is not one that Weir knows".to_owned(),
        )),
    }
}

/// PodDisruptionBudget: counted. That it allows no disruption just now is its work, not a fault.
pub(super) fn disruption_budget(live: Live<'_>, conditions: &Conditions<'_>) -> Checked {
    seen(live)?;
    match conditions.get("DisruptionAllowed") {
        Some(c) if c.is_false() && c.reason == "SyncFailed" => Err(Health::Progressing(c.says())),
        _ => Ok(()),
    }
}

/// HorizontalPodAutoscaler: can scale, and has something to scale by.
pub(super) fn autoscaler(live: Live<'_>, conditions: &Conditions<'_>) -> Checked {
    // Its first version keeps conditions in an annotation.
    if live.text("apiVersion")? == Some("autoscaling/v1") {
        return Ok(());
    }
    let Some(able) = conditions.get("AbleToScale") else {
        return Err(Health::Progressing(
            "its controller has not looked at it yet".to_owned(),
        ));
    };
    for condition in [Some(able), conditions.get("ScalingActive")]
        .into_iter()
        .flatten()
        .filter(|c| c.is_false())
    {
        match condition.reason {
            // Someone set what it scales to 0 replicas: it waits, as it should.
            "ScalingDisabled" => {}
            "InvalidSelector" | "AmbiguousSelector" | "InvalidMetricSourceType" => {
                return Err(Health::Failed(condition.says()));
            }
            // Metrics come a minute after the pods, what it scales may come after it.
            _ => return Err(Health::Progressing(condition.says())),
        }
    }
    Ok(())
}

/// CustomResourceDefinition: served.
pub(super) fn definition(conditions: &Conditions<'_>) -> Checked {
    if let Some(names) = conditions.get("NamesAccepted").filter(|c| c.is_false()) {
        return Err(Health::Failed(names.says()));
    }
    match conditions.get("Established") {
        Some(c) if c.is_true() => Ok(()),
        Some(c) if c.is_false() && c.reason != "Installing" => Err(Health::Failed(c.says())),
        other => Err(missing(other, "it is not served yet")),
    }
}

/// APIService: what is behind it answers.
pub(super) fn api_service(conditions: &Conditions<'_>) -> Checked {
    match conditions.get("Available") {
        Some(c) if c.is_true() => Ok(()),
        other => Err(missing(
            other,
            "nothing has asked yet whether what is behind it answers",
        )),
    }
}

fn missing(condition: Option<&Condition<'_>>, unsaid: &str) -> Health {
    Health::Progressing(condition.map_or_else(|| unsaid.to_owned(), Condition::says))
}
