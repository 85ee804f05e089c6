//! The workers of a host: started ahead, used again for calls of one repository, replaced before they are old. None ever
//! runs calls of two repositories.

use std::os::fd::AsFd as _;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use weir_cache::SealedFile;
use weir_confine::Probe;
use weir_core::digest::Digest;
use zeroize::Zeroizing;

use crate::Role;
use crate::answer::{Ask, Gave};
use crate::config::Workers;
use crate::confinement::Attempts;
use crate::error::Failure;
use crate::files::Files;
use crate::load::{Made, Plugin, SandboxError};
use crate::run::{Ran, Terms};
use crate::values::{Domain, Usage};
use crate::wire::{Reply, Request, Unfit, run_request};

mod process;
mod talk;

use process::{Ended, Lost, Worker};
use talk::{Talk, Told};

/// Spare workers that are kept, those that tried code out among them.
const SPARES: usize = 4;
/// How often a call is begun: once more where its worker was killed by somebody else.
const TIMES: usize = 2;

/// Code that is handed to workers.
pub(crate) struct Shipped {
    pub(crate) digest: Digest,
    pub(crate) role: Role,
    pub(crate) file: SealedFile,
    pub(crate) pool: Arc<Pool>,
}

/// Why code was not made ready.
pub(crate) enum NotReady {
    /// It is no code of this build.
    Code(String),
    /// The component does not fit its role's world.
    World(String),
    /// There is no process to run it in.
    Host(String),
}

/// The workers of a sandbox.
pub(crate) struct Pool {
    workers: Workers,
    shelf: Mutex<Shelf>,
    orders: Sender<Order>,
}

/// Workers that have nothing to do.
#[derive(Default)]
struct Shelf {
    /// Those that ran nothing yet; some have code already.
    spare: Vec<Worker>,
    /// Those that ran calls of a repository, the last used last.
    idle: Vec<(Domain, Worker)>,
}

/// What the thread that starts workers is told.
enum Order {
    /// Have a spare one.
    Ahead,
    /// Hand one over.
    Now(Sender<std::io::Result<Worker>>),
}

/// What a call needs that goes to a thread where it may block.
struct Errand {
    plugin: Plugin,
    domain: Domain,
    /// Wiped when it goes: a seed may be in it.
    request: Zeroizing<Vec<u8>>,
    terms: Terms,
    objects: usize,
}

impl Pool {
    /// Starts the first worker, and says what is missing where that is required.
    ///
    /// # Errors
    /// None starts, or it lacks what is required.
    pub(crate) fn start(workers: Workers) -> Result<Arc<Pool>, SandboxError> {
        let (orders, told) = mpsc::channel();
        let pool = Arc::new(Pool {
            workers,
            shelf: Mutex::default(),
            orders,
        });
        let weak = Arc::downgrade(&pool);
        let (program, args) = (pool.workers.program.clone(), pool.workers.args.clone());
        // Workers die with the thread that started them: this one lives as long as the pool.
        std::thread::Builder::new()
            .name("weir-workers".into())
            .spawn(move || start_workers(&program, &args, &weak, &told))
            .map_err(|e| SandboxError::Workers(e.to_string()))?;
        if pool.workers.is_required {
            let worker = pool.new_worker().map_err(SandboxError::Workers)?;
            let missing = worker.confined().missing();
            if !missing.is_empty() {
                return Err(SandboxError::Workers(format!(
                    "this kernel has no {}, and --isolation confined asks for all of it: run on a kernel that has it, or choose --isolation processes",
                    missing.join(" and no ")
                )));
            }
            pool.shelf().spare.push(worker);
        } else {
            pool.order_ahead();
        }
        Ok(pool)
    }

    /// Has a worker link code, so that a misfit is known when it is loaded. It blocks.
    pub(crate) fn try_out(&self, code: &Shipped) -> Result<(), NotReady> {
        let mut worker = self.spare(None).map_err(NotReady::Host)?;
        match worker.load(code, &self.workers.limits) {
            Ok(Ok(())) => {
                let mut shelf = self.shelf();
                shelf.spare.push(worker);
                if shelf.spare.len() > SPARES {
                    shelf.spare.remove(0);
                }
                Ok(())
            }
            Ok(Err(Unfit::Code(why))) => Err(NotReady::Code(why)),
            Ok(Err(Unfit::World(why))) => Err(NotReady::World(why)),
            Err(lost) => Err(NotReady::Host(
                match worker.ended(lost, &self.workers.limits) {
                    Ended::Killed(signal) => format!("its process was ended by {signal}"),
                    Ended::Failed(failure) => format!("{failure:?}"),
                },
            )),
        }
    }

    /// Runs a call in a worker. Dropping it ends the worker.
    pub(crate) async fn run(
        self: Arc<Pool>,
        domain: &Domain,
        plugin: Plugin,
        terms: Terms,
        ask: Ask<'_>,
        files: Files,
    ) -> Ran {
        let errand = Errand {
            domain: domain.clone(),
            request: Zeroizing::new(run_request(plugin.digest(), &terms, ask)),
            plugin,
            terms,
            objects: ask.objects(),
        };
        let told = Told::default();
        let stops = told.clone();
        // Dropped with this future.
        let _stopping = told.stopping();
        let work = tokio::task::spawn_blocking(move || self.work(&errand, files, &stops));
        work.await.unwrap_or_else(|e| Ran {
            gave: Err(Failure::Host {
                what: format!("the thread that talked to its process ended early: {e}"),
            }),
            usage: Usage::default(),
            files: Files::Gone,
        })
    }

    fn work(&self, errand: &Errand, mut files: Files, told: &Told) -> Ran {
        let mut begun = 0;
        let (gave, usage) = loop {
            begun += 1;
            match self.once(errand, &mut files, told) {
                Ok((gave, usage)) => break (gave, usage),
                Err(Ended::Killed(signal)) if begun < TIMES && !told.is_stopped() => {
                    let plugin = errand.plugin.digest();
                    tracing::warn!(%plugin, "the process of a call was ended by {signal}, which none of its limits sends: the call begins once more");
                }
                Err(ended) => break (Err(ended.into_failure()), Usage::default()),
            }
        };
        Ran { gave, usage, files }
    }

    /// One attempt at a call.
    fn once(
        &self,
        errand: &Errand,
        files: &mut Files,
        told: &Told,
    ) -> Result<(Result<Gave, Failure>, Usage), Ended> {
        let Made::Shipped(code) = errand.plugin.made() else {
            let what = "it was made for calls in the host's own process".to_owned();
            return Err(Ended::Failed(Failure::Host { what }));
        };
        let limits = &self.workers.limits;
        let worker = self.worker(&errand.domain, code);
        let mut worker = worker.map_err(|what| Ended::Failed(Failure::Host { what }))?;
        let begun = Instant::now();
        let talked = (|| {
            told.listen(worker.channel())?;
            if let Err(unfit) = worker.load(code, limits)? {
                return Err(Lost::Host(format!("its code was not taken: {unfit:?}")));
            }
            Talk::new(&worker, &errand.terms.limits, limits).run(&errand.request, files)
        })();
        told.deafen();
        let (mut usage, gave) = match talked {
            Ok(talked) => talked,
            Err(lost) => return Err(worker.ended(lost, limits)),
        };
        if gave.as_ref().is_ok_and(|gave| gave.role() != code.role) {
            let what = "it gave an answer of another role than it was asked in".to_owned();
            return Err(worker.ended(Lost::Stray(what), limits));
        }
        let took = begun.elapsed();
        usage.micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // What a worker says is checked by the host as what a guest says is.
        let gave = gave.and_then(|gave| gave.checked(&errand.terms.limits, errand.objects));
        // Where the call was given up meanwhile, its channel is shut.
        if keeps(&gave) && worker.is_young(took, limits) && !told.is_stopped() {
            self.keep(errand.domain.clone(), worker);
        }
        Ok((gave, usage))
    }

    /// A worker for a call: one that ran calls of this repository, one that has this code and ran nothing, a new one.
    fn worker(&self, domain: &Domain, code: &Shipped) -> Result<Worker, String> {
        self.drop_old();
        while let Some(mut worker) = self.idle(domain, code) {
            // One that was killed while it had nothing to do is nobody's failure.
            if !worker.is_gone() {
                return Ok(worker);
            }
        }
        self.spare(Some(code))
    }

    /// A worker that ran calls of this repository.
    fn idle(&self, domain: &Domain, code: &Shipped) -> Option<Worker> {
        let mut shelf = self.shelf();
        let own = |(of, _): &(Domain, Worker)| of == domain;
        let held = shelf.idle.iter().rposition(|w| own(w) && w.1.holds(code));
        let roomy = |w: &(Domain, Worker)| w.1.has_room(&self.workers.limits);
        let any = || shelf.idle.iter().rposition(|w| own(w) && roomy(w));
        let at = held.or_else(any)?;
        Some(shelf.idle.remove(at).1)
    }

    /// A worker that ran nothing, and has no code but this.
    fn spare(&self, code: Option<&Shipped>) -> Result<Worker, String> {
        let worker = loop {
            let Some(mut worker) = self.started_ahead(code) else {
                break self.new_worker();
            };
            // One that was started ahead says only now how it is confined, or that it could not start.
            match worker.greeted(&self.workers.limits) {
                Ok(()) if worker.is_gone() => {}
                Ok(()) => break Ok(worker),
                Err(_) => break self.new_worker(),
            }
        };
        self.order_ahead();
        worker
    }

    fn started_ahead(&self, code: Option<&Shipped>) -> Option<Worker> {
        let mut shelf = self.shelf();
        let with = code.and_then(|code| shelf.spare.iter().position(|w| w.holds_only(code)));
        let without = || shelf.spare.iter().position(Worker::holds_nothing);
        let at = with.or_else(without)?;
        Some(shelf.spare.remove(at))
    }

    fn new_worker(&self) -> Result<Worker, String> {
        let (to, from) = mpsc::channel();
        let gone = || "the thread that starts processes is gone".to_owned();
        self.orders.send(Order::Now(to)).map_err(|_| gone())?;
        let started = from.recv().map_err(|_| gone())?;
        let mut worker = started.map_err(|e| format!("no process could be started: {e}"))?;
        match worker.greeted(&self.workers.limits) {
            Ok(()) => Ok(worker),
            Err(lost) => Err(match worker.ended(lost, &self.workers.limits) {
                Ended::Killed(signal) => {
                    format!("its process was ended by {signal} while it started")
                }
                Ended::Failed(failure) => {
                    format!("its process did not start: {}", failure.words())
                }
            }),
        }
    }

    /// Ends those that have waited for too long. It may take a moment for each, so nobody waits for the shelf meanwhile.
    fn drop_old(&self) {
        let limits = &self.workers.limits;
        let mut shelf = self.shelf();
        let idle: Vec<_> = shelf.idle.extract_if(.., |w| w.1.is_old(limits)).collect();
        let spare: Vec<_> = shelf.spare.extract_if(.., |w| w.is_old(limits)).collect();
        drop(shelf);
        drop((idle, spare));
    }

    fn order_ahead(&self) {
        // Without the thread each call finds out that there are no workers, and says so.
        let _ = self.orders.send(Order::Ahead);
    }

    fn keep(&self, domain: Domain, worker: Worker) {
        let mut shelf = self.shelf();
        shelf.idle.push((domain, worker));
        let over = shelf.idle.len().saturating_sub(self.workers.limits.idle);
        let oldest: Vec<_> = shelf.idle.drain(..over).collect();
        drop(shelf);
        drop(oldest);
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What confines a worker, and what came of each attempt to do what it must not.
    pub(crate) fn try_confinement(&self) -> Result<Attempts, String> {
        let worker = self.new_worker()?;
        let mut attempts = Vec::new();
        for (n, probe) in Probe::ALL.into_iter().enumerate() {
            let code = u8::try_from(n).map_err(|e| e.to_string())?;
            let until = Instant::now() + self.workers.limits.start;
            match worker.ask(&Request::Try(code), None, until) {
                Ok(Reply::Tried(result)) => attempts.push((probe, result)),
                Ok(_) => return Err("a worker answered something else".to_owned()),
                Err(lost) => return Err(format!("{probe}: {lost:?}")),
            }
        }
        Ok(Attempts {
            confinement: worker.confined(),
            attempts,
        })
    }
}

/// Whether a worker is used again after this: whoever ran into a limit may have done more than that.
fn keeps(gave: &Result<Gave, Failure>) -> bool {
    matches!(
        gave,
        Ok(_) | Err(Failure::Diagnostics(_) | Failure::Read(_))
    )
}

/// Starts workers, until the pool is gone.
fn start_workers(
    program: &std::path::Path,
    args: &[String],
    pool: &Weak<Pool>,
    orders: &Receiver<Order>,
) {
    while let Ok(order) = orders.recv() {
        match order {
            Order::Now(to) => {
                // Whoever asked may be gone: then the worker goes, too.
                let _ = to.send(Worker::start(program, args));
            }
            Order::Ahead => {
                let Some(pool) = pool.upgrade() else { return };
                if pool.shelf().spare.iter().any(Worker::holds_nothing) {
                    continue;
                }
                match Worker::start(program, args) {
                    Ok(worker) => pool.shelf().spare.push(worker),
                    Err(e) => tracing::warn!("no process could be started ahead: {e}"),
                }
            }
        }
    }
}

impl Shipped {
    /// What workers know it by.
    fn key(&self) -> (Digest, Role) {
        (self.digest, self.role)
    }

    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}
