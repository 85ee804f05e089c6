//! One run of a guest: a new store and instance, limits on everything, and a verdict. The same in the host's own process
//! and in a worker.

use std::collections::BTreeSet;
use std::future::{Future as _, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use wasmtime::component::ResourceTableError;
use wasmtime::{Engine, Store, Trap, UpdateDeadline, WasmBacktrace};
use weir_core::grant::Limits;
use weir_core::random::Seed;

use crate::answer::{Ask, Gave, could_not_look, diagnostics, documents, findings};
use crate::bindings::types;
use crate::engine::BACKTRACE_FRAMES;
use crate::error::Failure;
use crate::files::Files;
use crate::link::World;
use crate::state::{RESOURCES, State, TooOften};
use crate::values::{Params, Usage};

/// What lifting may hold besides the payload, in bytes: the vectors and strings that point to it. Exceeding
/// it ends a call before the host has made room for the answer.
pub(crate) const LIFT_OVERHEAD: u64 = 32 << 20;

/// What a run may spend, and what it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    /// What it may spend.
    pub(crate) limits: Limits,
    /// The wall clock that the guest sees, in Unix seconds.
    pub(crate) instant: u64,
    /// What it is told.
    pub(crate) params: Params,
    /// What its random bytes are made from, where it is given some.
    pub(crate) random: Option<Seed>,
}

/// What came of a run.
pub(crate) struct Ran {
    /// What it gave, checked.
    pub(crate) gave: Result<Gave, Failure>,
    /// What it spent.
    pub(crate) usage: Usage,
    /// The files, with what was read of them.
    pub(crate) files: Files,
}

/// Runs a guest.
pub(crate) async fn run(
    engine: &Engine,
    world: &World,
    terms: &Terms,
    ask: Ask<'_>,
    files: Files,
) -> Ran {
    let mut running = Running::start(engine, terms, files);
    let params = lower(&terms.params);
    let ended = match (world, ask) {
        (World::Renderer(pre), Ask::Render) => {
            let answer = running.guard(async |store| {
                let guest = pre.instantiate_async(&mut *store).await?;
                store.data_mut().called = true;
                guest.call_render(store, &params).await
            });
            let answer = answer.await;
            let verdict = running.verdict(answer);
            verdict.and_then(|a| a.map(documents).map_err(diagnostics))
        }
        (World::Transformer(pre), Ask::Transform(objects)) => {
            let answer = running.guard(async |store| {
                let guest = pre.instantiate_async(&mut *store).await?;
                store.data_mut().called = true;
                guest.call_transform(store, objects, &params).await
            });
            let answer = answer.await;
            let verdict = running.verdict(answer);
            verdict.and_then(|a| a.map(Gave::Objects).map_err(diagnostics))
        }
        (World::Validator(pre), Ask::Validate(objects)) => {
            let answer = running.guard(async |store| {
                let guest = pre.instantiate_async(&mut *store).await?;
                store.data_mut().called = true;
                guest.call_validate(store, objects, &params).await
            });
            let answer = answer.await;
            let verdict = running.verdict(answer);
            verdict.and_then(|a| a.map(findings).map_err(could_not_look))
        }
        (world, ask) => Err(wrong_role(world.role(), ask.role())),
    };
    running.finish(ended.and_then(|gave| gave.checked(&terms.limits, ask.objects())))
}

/// A plugin of one role was called as another.
pub(crate) fn wrong_role(is: crate::Role, wanted: crate::Role) -> Failure {
    Failure::Host {
        what: format!("it was loaded as a {is} and called as a {wanted}"),
    }
}

/// A run under way.
struct Running {
    store: Store<State>,
    limits: Limits,
    started: Instant,
}

impl Running {
    fn start(engine: &Engine, terms: &Terms, files: Files) -> Running {
        let limits = terms.limits;
        let mut store = Store::new(
            engine,
            State::new(limits, terms.instant, terms.random.as_ref(), files),
        );
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(
            usize::try_from(limits.output.0.saturating_add(LIFT_OVERHEAD)).unwrap_or(usize::MAX),
        );
        // At each tick: is the time over? If not, let others run.
        store.epoch_deadline_callback(|mut context| {
            context.data_mut().check_deadline()?;
            Ok(UpdateDeadline::Yield(1))
        });
        store.set_epoch_deadline(1);
        store
            .set_fuel(limits.fuel.0)
            .expect("the engine counts fuel");
        Running {
            store,
            limits,
            started: Instant::now(),
        }
    }

    /// Runs a guest under its wall time. A panic of the host inside the call is the call's failure.
    async fn guard<T>(
        &mut self,
        run: impl AsyncFnOnce(&mut Store<State>) -> wasmtime::Result<T>,
    ) -> Ended<T> {
        let time = self.limits.time.duration();
        let guest = run(&mut self.store);
        let caught = async {
            let mut guest = pin!(guest);
            poll_fn(
                |cx| match catch_unwind(AssertUnwindSafe(|| guest.as_mut().poll(cx))) {
                    Ok(Poll::Ready(answer)) => Poll::Ready(Ended::Answer(answer)),
                    Ok(Poll::Pending) => Poll::Pending,
                    Err(_) => Poll::Ready(Ended::Panic),
                },
            )
            .await
        };
        tokio::time::timeout(time, caught)
            .await
            .unwrap_or(Ended::TimeOut)
    }

    /// What ended the call, the host's own reasons before what the guest made of them.
    fn verdict<T>(&mut self, ended: Ended<T>) -> Result<T, Failure> {
        let state = self.store.data_mut();
        if let Some(stop) = state.stop.take() {
            return Err(stop);
        }
        let error = match ended {
            Ended::Answer(Ok(answer)) => return Ok(answer),
            Ended::Answer(Err(error)) => error,
            Ended::TimeOut => return Err(Failure::Time),
            Ended::Panic => {
                return Err(Failure::Host {
                    what: "it panicked inside the call; this is a bug in Weir".into(),
                });
            }
        };
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => return Err(Failure::Fuel),
            Some(Trap::Interrupt) => return Err(Failure::Time),
            _ => {}
        }
        if let Some(wanted) = state.memory.denied {
            return Err(Failure::Memory { wanted });
        }
        if state.memory.is_short {
            let what = "the system had no memory for it, though it may use that much: give this host more, or run fewer things beside it";
            return Err(Failure::Host { what: what.into() });
        }
        Err(classify(&error, state))
    }

    fn finish(mut self, gave: Result<Gave, Failure>) -> Ran {
        let left = self.store.get_fuel().unwrap_or(0);
        let state = self.store.data_mut();
        let usage = Usage {
            fuel: self.limits.fuel.0.saturating_sub(left),
            memory: state.memory.peak,
            host_calls: state.host_calls,
            drew: state.random.drew(),
            micros: u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
            log: std::mem::take(&mut state.lines),
            log_dropped: state.lines_dropped,
            stdio: state.stdio.text(),
        };
        Ran {
            gave,
            usage,
            files: std::mem::replace(&mut state.files, Files::Gone),
        }
    }
}

/// How a guest ended.
enum Ended<T> {
    Answer(wasmtime::Result<T>),
    TimeOut,
    Panic,
}

/// An error that no limit explains.
fn classify(error: &wasmtime::Error, state: &State) -> Failure {
    // Wasmtime has no type for these two; the tests hold the words.
    if error.downcast_ref::<TooOften>().is_some() {
        return Failure::HostCalls;
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        return Failure::Handles { limit: RESOURCES };
    }
    let root = error.root_cause().to_string();
    if root.contains("fuel allocated for hostcalls has been exhausted") {
        return Failure::Output {
            what: "it handed over more than that at once".into(),
        };
    }
    if root.contains("invalid utf-8") || root.contains("invalid utf8") {
        return Failure::BadOutput {
            what: format!("a text that is not UTF-8 ({root})"),
        };
    }
    let stderr = state.stdio.text();
    let text = readable(error);
    let reason = match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => format!("its recursion is too deep for the stack\n{text}"),
        // Rust and C keep part of their stack in memory, below everything else, and run out of that first.
        Some(Trap::MemoryOutOfBounds) if recursing(error) => {
            format!("most likely its recursion is too deep for the stack\n{text}")
        }
        Some(trap) => format!("{trap}\n{text}"),
        None => text,
    };
    Failure::Trap { reason, stderr }
}

/// An error with its backtrace, in which each function is named by its component: a name that would look like a line of
/// the host's own is shown as what it is.
fn readable(error: &wasmtime::Error) -> String {
    let mut text = format!("{error:#}");
    let backtrace = error.downcast_ref::<WasmBacktrace>();
    for frame in backtrace.map(WasmBacktrace::frames).unwrap_or_default() {
        for name in [frame.func_name(), frame.module().name()]
            .into_iter()
            .flatten()
        {
            if name.chars().any(char::is_control) {
                text = text.replace(name, &name.escape_debug().to_string());
            }
        }
    }
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

/// Functions that may call each other round and round and still count as one recursion.
const RECURSING: usize = 4;

/// Whether the innermost frames are all of a few functions.
fn recursing(error: &wasmtime::Error) -> bool {
    let frames = error
        .downcast_ref::<WasmBacktrace>()
        .map(WasmBacktrace::frames);
    frames.is_some_and(|frames| {
        let functions: BTreeSet<u32> = frames.iter().map(|f| f.func_index()).collect();
        frames.len() == BACKTRACE_FRAMES && functions.len() <= RECURSING
    })
}

fn lower(p: &Params) -> types::Params {
    types::Params {
        app: p.app.clone(),
        path: p.path.clone(),
        namespace: p.namespace.clone(),
        target: types::TargetFacts {
            name: p.target.name.clone(),
            kubernetes: p.target.kubernetes.clone(),
            apis: p.target.apis.clone(),
        },
        config: p.config.clone(),
    }
}
