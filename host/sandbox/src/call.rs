//! One call of a plugin: a new store and instance, limits on everything, and an answer that can be blamed.

use std::collections::BTreeSet;
use std::future::{Future as _, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};
use weir_core::digest::Digest;
use weir_core::grant::Limits;
use weir_core::name::{AppName, PluginName};
use weir_core::tree::{ReadSet, View};

use crate::Role;
use crate::bindings::types;
use crate::engine::BACKTRACE_FRAMES;
use crate::error::{CallError, Diagnostic, Failure};
use crate::load::{Plugin, Sandbox, World};
use crate::state::State;
use crate::values::{Call, Document, Finding, Level, Params, Usage};

/// Documents, objects or findings that one call may return.
const ITEMS: usize = 100_000;
/// What lifting may hold besides the payload, in bytes: the vectors and strings that point to it. Exceeding
/// it ends a call before the host has made room for the answer.
const LIFT_OVERHEAD: u64 = 32 << 20;

impl Sandbox {
    /// Renders an app: its documents, what was read for them, and what it cost.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn render(
        &self,
        plugin: &Plugin,
        call: Call<'_>,
        view: View,
    ) -> Result<(Vec<Document>, ReadSet, Usage), CallError> {
        let mut running = Running::start(self, plugin, &call, Some(view));
        let params = lower(&call.params);
        let answer = running
            .guard(async |store| match plugin.world() {
                World::Renderer(pre) => {
                    let guest = pre.instantiate_async(&mut *store).await?;
                    store.data_mut().called = true;
                    guest.call_render(store, &params).await
                }
                _ => Err(wrong_role(plugin, Role::Renderer)),
            })
            .await;
        let checked = running
            .verdict(answer)
            .and_then(|a| a.map_err(diagnostics))
            .and_then(|list| documents(list, &call.limits));
        let read_set = running
            .store
            .data_mut()
            .view
            .take()
            .map(View::into_read_set)
            .unwrap_or_default();
        let (documents, usage) = running.finish(checked)?;
        Ok((documents, read_set, usage))
    }

    /// Turns objects (each one as JSON) into objects.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn transform(
        &self,
        plugin: &Plugin,
        call: Call<'_>,
        objects: &[Vec<u8>],
    ) -> Result<(Vec<Vec<u8>>, Usage), CallError> {
        let mut running = Running::start(self, plugin, &call, None);
        let params = lower(&call.params);
        let answer = running
            .guard(async |store| match plugin.world() {
                World::Transformer(pre) => {
                    let guest = pre.instantiate_async(&mut *store).await?;
                    store.data_mut().called = true;
                    guest.call_transform(store, objects, &params).await
                }
                _ => Err(wrong_role(plugin, Role::Transformer)),
            })
            .await;
        let limits = call.limits;
        let checked = running
            .verdict(answer)
            .and_then(|a| a.map_err(diagnostics))
            .and_then(|objects| {
                within(&limits, objects.len(), objects.iter().map(Vec::len))?;
                Ok(objects)
            });
        running.finish(checked)
    }

    /// Looks at objects (each one as JSON). An empty list means that all may pass.
    ///
    /// # Errors
    /// See [`Failure`]. A validator that could not look is an error, never an empty list.
    pub async fn validate(
        &self,
        plugin: &Plugin,
        call: Call<'_>,
        objects: &[Vec<u8>],
    ) -> Result<(Vec<Finding>, Usage), CallError> {
        let mut running = Running::start(self, plugin, &call, None);
        let params = lower(&call.params);
        let answer = running
            .guard(async |store| match plugin.world() {
                World::Validator(pre) => {
                    let guest = pre.instantiate_async(&mut *store).await?;
                    store.data_mut().called = true;
                    guest.call_validate(store, objects, &params).await
                }
                _ => Err(wrong_role(plugin, Role::Validator)),
            })
            .await;
        let limits = call.limits;
        let checked = running
            .verdict(answer)
            .and_then(|a| a.map_err(could_not_look))
            .and_then(|list| findings(list, objects.len(), &limits));
        running.finish(checked)
    }
}

/// A call under way.
struct Running {
    store: Store<State>,
    app: AppName,
    plugin: PluginName,
    digest: Digest,
    limits: Limits,
    started: Instant,
}

impl Running {
    fn start(sandbox: &Sandbox, plugin: &Plugin, call: &Call<'_>, view: Option<View>) -> Running {
        let limits = call.limits;
        let mut store = Store::new(sandbox.engine(), State::new(limits, call.instant, view));
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
            app: call.app.clone(),
            plugin: call.plugin.clone(),
            digest: plugin.digest(),
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
        Err(classify(&error, state))
    }

    #[expect(
        clippy::result_large_err,
        reason = "one error for each call; the callers give it on as it is"
    )]
    fn finish<T>(mut self, result: Result<T, Failure>) -> Result<(T, Usage), CallError> {
        let left = self.store.get_fuel().unwrap_or(0);
        let state = self.store.data_mut();
        let usage = Usage {
            fuel: self.limits.fuel.0.saturating_sub(left),
            memory: state.memory.peak,
            host_calls: state.host_calls,
            micros: u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
            log: std::mem::take(&mut state.lines),
            log_dropped: state.lines_dropped,
            stdio: state.stdio.text(),
        };
        match result {
            Ok(value) => Ok((value, usage)),
            Err(failure) => Err(CallError {
                app: self.app,
                plugin: self.plugin,
                digest: self.digest,
                limits: self.limits,
                usage: Box::new(usage),
                failure,
            }),
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
    if let Some(NotThisRole(what)) = error.downcast_ref::<NotThisRole>() {
        return Failure::Host { what: what.clone() };
    }
    let stderr = state.stdio.text();
    let reason = match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => format!("its recursion is too deep for the stack\n{error:#}"),
        // Rust and C keep part of their stack in memory, below everything else, and run out of that first.
        Some(Trap::MemoryOutOfBounds) if recursing(error) => {
            format!("most likely its recursion is too deep for the stack\n{error:#}")
        }
        Some(trap) => format!("{trap}\n{error:#}"),
        None => format!("{error:#}"),
    };
    Failure::Trap { reason, stderr }
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

/// A plugin of one role was called as another.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotThisRole(String);

fn wrong_role(plugin: &Plugin, wanted: Role) -> wasmtime::Error {
    wasmtime::Error::new(NotThisRole(format!(
        "it was loaded as a {} and called as a {wanted}",
        plugin.role()
    )))
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

fn documents(list: Vec<types::Document>, limits: &Limits) -> Result<Vec<Document>, Failure> {
    within(
        limits,
        list.len(),
        list.iter().map(|d| d.body.len() + d.origin.len()),
    )?;
    Ok(list
        .into_iter()
        .map(|d| Document {
            origin: d.origin,
            body: d.body,
        })
        .collect())
}

fn findings(
    list: Vec<types::Finding>,
    objects: usize,
    limits: &Limits,
) -> Result<Vec<Finding>, Failure> {
    let size = |f: &types::Finding| {
        f.code.len() + f.message.len() + f.path.as_ref().map_or(0, String::len)
    };
    within(limits, list.len(), list.iter().map(size))?;
    if let Some(object) = list
        .iter()
        .filter_map(|f| f.object)
        .find(|i| usize::try_from(*i).is_ok_and(|i| i >= objects))
    {
        return Err(Failure::BadOutput {
            what: format!("a finding about object {object} of {objects}"),
        });
    }
    Ok(list
        .into_iter()
        .map(|f| Finding {
            level: f.level.into(),
            code: f.code,
            message: f.message,
            object: f.object,
            path: f.path,
            line: f.line,
        })
        .collect())
}

/// Diagnostics kept of a plugin that sends very many.
const DIAGNOSTICS: usize = 100;

fn diagnostics(list: Vec<types::Diagnostic>) -> Failure {
    let keep = |d: types::Diagnostic| Diagnostic {
        level: d.level.into(),
        code: d.code,
        message: d.message,
        path: d.path,
        line: d.line,
    };
    Failure::Diagnostics(list.into_iter().take(DIAGNOSTICS).map(keep).collect())
}

fn could_not_look(message: String) -> Failure {
    let code = "could-not-look".to_owned();
    Failure::Diagnostics(vec![Diagnostic {
        level: Level::Error,
        code,
        message,
        path: None,
        line: None,
    }])
}

/// Checks how much was returned.
fn within(
    limits: &Limits,
    items: usize,
    sizes: impl Iterator<Item = usize>,
) -> Result<(), Failure> {
    let bytes: u64 = sizes.map(|n| n as u64).sum();
    if items > ITEMS {
        return Err(Failure::Items {
            items,
            limit: ITEMS,
        });
    }
    if bytes > limits.output.0 {
        return Err(Failure::Output {
            what: format!("it returned {bytes} bytes"),
        });
    }
    Ok(())
}
