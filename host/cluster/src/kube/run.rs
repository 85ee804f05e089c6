//! One run of a staked plan against the cluster: wave by wave, many at once within a wave, definitions
//! established before what they define.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::{StreamExt as _, stream};
use tokio::time::Instant;
use weir_core::fault::Blame as _;
use weir_core::object::ResourceId;
use weir_core::owner::Claim;
use weir_core::plan::{Plan, Step, Wave};
use weir_core::policy::Policy;
use weir_core::reveal::{AsRendered, Reveal};
use weir_core::stake::{Applied, Ended, Failure, Outcome, Staked};

use super::KubeTarget;
use super::error::KubeError;
use crate::target::ApplyEvent;

/// A run under way.
pub(super) struct Run<'a> {
    pub(super) target: &'a KubeTarget,
    pub(super) claim: &'a Claim,
    pub(super) policy: &'a Policy,
    /// Opens what is encrypted, for one request at a time.
    pub(super) reveal: &'a dyn Reveal,
    adopts: &'a BTreeSet<ResourceId>,
    on_event: &'a (dyn Fn(ApplyEvent) + Send + Sync),
    written: AtomicUsize,
    pruned: AtomicUsize,
    /// When nothing more is begun.
    until: Instant,
    /// The run goes no further.
    halted: AtomicBool,
    /// Until when it waits for what was on its way out before it began, from the first of that on.
    pub(super) leftovers: OnceLock<Instant>,
    /// Something that it deleted was waited for in vain.
    pub(super) stuck: AtomicBool,
}

impl KubeTarget {
    /// Does what was staked: waves in order, prunes last, nothing after a wave with a failure.
    pub(crate) async fn apply(
        &self,
        claim: &Claim,
        staked: Staked<Plan>,
        reveal: &dyn Reveal,
        on_event: &(dyn Fn(ApplyEvent) + Send + Sync),
    ) -> Applied {
        let plan = staked.get();
        let run = Run {
            target: self,
            claim,
            policy: plan.policy(),
            reveal,
            adopts: plan.adopts(),
            on_event,
            written: AtomicUsize::new(0),
            pruned: AtomicUsize::new(0),
            until: Instant::now() + self.limits.run,
            halted: AtomicBool::new(false),
            leftovers: OnceLock::new(),
            stuck: AtomicBool::new(false),
        };
        let mut outcomes: Vec<Outcome> = Vec::new();
        let mut failed = false;
        for wave in plan.apply().iter().chain(plan.prune()) {
            let ended = if failed {
                wave.iter().map(|_| Ended::Skipped).collect()
            } else {
                run.wave(wave).await
            };
            failed |= ended.iter().any(|e| matches!(e, Ended::Failed(_)));
            outcomes.extend(wave.iter().zip(ended).map(|(step, ended)| Outcome {
                id: step.id().clone(),
                ended,
            }));
        }
        Applied {
            stake: staked.stake(),
            outcomes,
        }
    }
}

impl<'a> Run<'a> {
    /// One in which single requests are made, of which nobody hears.
    pub(super) fn silent(target: &'a KubeTarget, claim: &'a Claim) -> Run<'a> {
        static PLAIN: Policy = Policy::PLAIN;
        static NONE: BTreeSet<ResourceId> = BTreeSet::new();
        Run {
            target,
            claim,
            policy: &PLAIN,
            reveal: &AsRendered,
            adopts: &NONE,
            on_event: &|_| {},
            written: AtomicUsize::new(0),
            pruned: AtomicUsize::new(0),
            until: Instant::now() + target.limits.run,
            halted: AtomicBool::new(false),
            leftovers: OnceLock::new(),
            stuck: AtomicBool::new(false),
        }
    }
}

impl Run<'_> {
    /// One wave, in any order; how each step ended, in the wave's order.
    async fn wave(&self, wave: &Wave) -> Vec<Ended> {
        let steps: Vec<_> = wave
            .iter()
            .enumerate()
            .map(|(n, step)| self.nth(n, step))
            .collect();
        let mut ended: Vec<(usize, Ended)> = stream::iter(steps)
            .buffer_unordered(self.target.limits.in_flight.max(1))
            .collect()
            .await;
        ended.sort_by_key(|(n, _)| *n);
        let mut ended: Vec<Ended> = ended.into_iter().map(|(_, e)| e).collect();
        self.establish(wave, &mut ended).await;
        ended
    }

    /// One step, and its place in the wave.
    async fn nth(&self, n: usize, step: &Step) -> (usize, Ended) {
        if self.halted.load(Ordering::Relaxed) {
            return (n, Ended::Skipped);
        }
        let begun = Instant::now();
        if begun >= self.until {
            return (n, self.late());
        }
        let ended = match self.step(step).await {
            Ok(ended) => ended,
            Err(error) => {
                // Not one object's trouble: no answer came to anything that was asked meanwhile. What is left
                // would wait as long in vain, and others wait for the turn.
                let away = matches!(error, KubeError::Away { .. });
                if away && !self.target.flight.heard_since(begun) {
                    self.halted.store(true, Ordering::Relaxed);
                }
                failed(&error)
            }
        };
        (n, ended)
    }

    /// The run's time is over: one step says so.
    fn late(&self) -> Ended {
        if self.halted.swap(true, Ordering::Relaxed) {
            return Ended::Skipped;
        }
        let minutes = self.target.limits.run.as_secs() / 60;
        failed(&KubeError::Late { minutes })
    }

    async fn step(&self, step: &Step) -> Result<Ended, KubeError> {
        let event = |event: fn(usize) -> ApplyEvent, count: &AtomicUsize, add: usize| {
            (self.on_event)(event(count.fetch_add(add, Ordering::Relaxed)));
        };
        match step {
            Step::Create(object) => {
                event(ApplyEvent::BeforeWrite, &self.written, 0);
                let written = self.create(object).await?;
                event(ApplyEvent::AfterWrite, &self.written, 1);
                Ok(Ended::Created(written))
            }
            Step::Update { object, seen, heal } => {
                event(ApplyEvent::BeforeWrite, &self.written, 0);
                let ended = match self.adopts.contains(object.id()) {
                    true => self.adopt(object, seen).await?,
                    false => self.update(object, seen, *heal).await?,
                };
                event(ApplyEvent::AfterWrite, &self.written, 1);
                Ok(ended)
            }
            // Planned only for a target that shows content.
            Step::Confirm(object) => Err(KubeError::Changed {
                message: format!("{} was to be confirmed unseen", object.id()),
            }),
            Step::Prune { id, seen } => {
                event(ApplyEvent::BeforePrune, &self.pruned, 0);
                let ended = self.prune(id, seen).await?;
                event(ApplyEvent::AfterPrune, &self.pruned, 1);
                Ok(ended)
            }
            Step::Forget(_) => Ok(Ended::Forgotten),
        }
    }
}

/// A step that failed, as it is recorded.
fn failed(error: &KubeError) -> Ended {
    Ended::Failed(Failure {
        why: error.to_string(),
        fault: error.fault(),
        retry: error.retry(),
    })
}

#[cfg(test)]
mod tests;
