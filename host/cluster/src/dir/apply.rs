//! One run of a staked plan against the directory: wave by wave, written aside first, named then, reported
//! only when it is durable.

use weir_core::fault::Blame as _;
use weir_core::live::Written;
use weir_core::plan::{Plan, Step, Wave};
use weir_core::stake::{Applied, Ended, Failure, Outcome, Staked};

use super::layout::Place;
use super::root::Root;
use super::DirTarget;
use crate::error::TargetError;
use crate::target::ApplyEvent;

/// Up to how many files each one is synced by itself; beyond, the whole file system is synced once, which
/// takes as long for a thousand files as for a hundred.
const SYNC_EACH: usize = 32;

/// A run under way.
pub(super) struct Run<'a> {
    root: &'a Root,
    on_step: &'a mut dyn FnMut(&Outcome),
    on_event: &'a dyn Fn(ApplyEvent),
    outcomes: Vec<Outcome>,
    failed: bool,
    renamed: usize,
    removed: usize,
}

/// What is left to do for one step after all that can fail early was done.
enum Ready {
    /// A temporary file gets the object's name; over what was seen, if something was.
    Name {
        place: Place,
        staged: String,
        seen: Option<String>,
        ended: Ended,
    },
    /// A file goes, if it is what was seen.
    Remove { place: Place, seen: String },
    /// Nothing.
    Done(Ended),
}

impl<'a> Run<'a> {
    /// Runs the plan and says how each step ended.
    pub(super) fn run(
        target: &'a DirTarget,
        staked: &Staked<Plan>,
        on_step: &'a mut dyn FnMut(&Outcome),
        on_event: &'a dyn Fn(ApplyEvent),
    ) -> Applied {
        let root = &target.root;
        let mut run = Run {
            root,
            on_step,
            on_event,
            outcomes: Vec::new(),
            failed: false,
            renamed: 0,
            removed: 0,
        };
        let plan = staked.get();
        if plan.steps().next().is_some() {
            match root.lock(target.limits.lock_wait) {
                Ok(_lock) => plan
                    .apply()
                    .iter()
                    .chain(plan.prune())
                    .for_each(|wave| run.wave(wave)),
                Err(error) => plan
                    .steps()
                    .for_each(|step| run.end(step, failed(&error))),
            }
        }
        Applied {
            stake: staked.stake(),
            outcomes: run.outcomes,
        }
    }

    /// Runs one wave, unless an earlier one failed.
    fn wave(&mut self, wave: &Wave) {
        if self.failed {
            return wave.iter().for_each(|step| self.end(step, Ended::Skipped));
        }
        let writes = wave
            .iter()
            .filter(|step| matches!(step, Step::Create(_) | Step::Update { .. }))
            .count();
        let each = writes <= SYNC_EACH;
        let mut ready: Vec<_> = wave.iter().map(|step| self.prepare(step, each)).collect();
        // The content is on the disk before any name shows it: a name never stands for half a file.
        if !each && let Err(error) = self.root.sync_all() {
            ready = ready
                .into_iter()
                .map(|ready| self.give_up(ready, &error))
                .collect();
        }
        if writes > 0 {
            (self.on_event)(ApplyEvent::WaveWritten);
        }
        let mut touched = Vec::new();
        let ended: Vec<_> = ready
            .into_iter()
            .map(|ready| self.finish(ready, &mut touched))
            .collect();
        let durable = self.sync_names(&touched);
        for (step, ended) in wave.iter().zip(ended) {
            // Also when the file was gone before: a run may have been killed between file and folders.
            if matches!(ended, Ended::Pruned | Ended::Forgotten) {
                self.root.remove_empty_folders(&Place::of(step.id()));
            }
            match &durable {
                Err(error) if changed(&ended) => self.end(step, failed(error)),
                _ => self.end(step, ended),
            }
        }
    }

    /// Writes what a step needs beside its place, and checks what needs no writing.
    fn prepare(&self, step: &Step, sync: bool) -> Result<Ready, TargetError> {
        let place = Place::of(step.id());
        let (object, seen, ended) = match step {
            Step::Create(object) => (object, None, Ended::Created(Written::content(object.digest()))),
            Step::Update { object, seen, .. } => (
                object,
                Some(seen.version.0.clone()),
                Ended::Updated(Written::content(object.digest())),
            ),
            Step::Confirm(object) => {
                self.root.expect(&place, &object.digest().to_string())?;
                return Ok(Ready::Done(Ended::Confirmed(Written::content(object.digest()))));
            }
            Step::Prune { seen, .. } => {
                return Ok(Ready::Remove {
                    place,
                    seen: seen.version.0.clone(),
                });
            }
            Step::Forget(_) => return Ok(Ready::Done(Ended::Forgotten)),
        };
        let private = object.id().group.is_empty() && object.id().kind == "Secret";
        let staged = self
            .root
            .stage(&place, object.text().as_bytes(), private, sync)?;
        Ok(Ready::Name {
            place,
            staged,
            seen,
            ended,
        })
    }

    fn give_up(
        &self,
        ready: Result<Ready, TargetError>,
        error: &TargetError,
    ) -> Result<Ready, TargetError> {
        if let Ok(Ready::Name { place, staged, .. }) = ready {
            self.root.discard(&place, &staged);
            return Ok(Ready::Done(failed(error)));
        }
        ready
    }

    /// Does what is left, and notes the places whose names changed.
    fn finish(&mut self, ready: Result<Ready, TargetError>, touched: &mut Vec<Place>) -> Ended {
        let done = ready.and_then(|ready| match ready {
            Ready::Name {
                place,
                staged,
                seen,
                ended,
            } => {
                self.publish(&place, &staged, seen.as_deref())?;
                touched.push(place);
                Ok(ended)
            }
            Ready::Remove { place, seen } => {
                (self.on_event)(ApplyEvent::BeforePrune(self.removed));
                if !self.root.remove(&place, &seen)? {
                    return Ok(Ended::Forgotten);
                }
                (self.on_event)(ApplyEvent::AfterPrune(self.removed));
                self.removed += 1;
                touched.push(place);
                Ok(Ended::Pruned)
            }
            Ready::Done(ended) => Ok(ended),
        });
        done.unwrap_or_else(|error| failed(&error))
    }

    fn publish(
        &mut self,
        place: &Place,
        staged: &str,
        seen: Option<&str>,
    ) -> Result<(), TargetError> {
        (self.on_event)(ApplyEvent::BeforeWrite(self.renamed));
        let published = match seen {
            None => self.root.publish_new(place, staged),
            Some(seen) => self.root.publish_over(place, staged, seen),
        };
        if published.is_err() {
            self.root.discard(place, staged);
            return published;
        }
        (self.on_event)(ApplyEvent::AfterWrite(self.renamed));
        self.renamed += 1;
        Ok(())
    }

    /// Makes new and removed names durable.
    fn sync_names(&self, touched: &[Place]) -> Result<(), TargetError> {
        if touched.len() > SYNC_EACH {
            return self.root.sync_all();
        }
        self.root.sync_folders(touched)
    }

    fn end(&mut self, step: &Step, ended: Ended) {
        self.failed |= matches!(ended, Ended::Failed(_));
        let outcome = Outcome {
            id: step.id().clone(),
            ended,
        };
        (self.on_step)(&outcome);
        self.outcomes.push(outcome);
    }
}

fn failed(error: &TargetError) -> Ended {
    Ended::Failed(Failure {
        why: error.full(),
        fault: error.fault(),
        retry: error.retry(),
    })
}

fn changed(ended: &Ended) -> bool {
    matches!(ended, Ended::Created(_) | Ended::Updated(_) | Ended::Pruned)
}
