//! Runs a module's `_initialize` once, with a fixed clock and constant random bytes, and keeps the memory as it is then.
//!
//! A language's start (Go's runtime, the packages' variables and inits) is then part of the component and costs nothing
//! in a call. Wizer's rules: the snapshot is of memory and globals; what the start leaves elsewhere is lost.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use wasmtime::{Caller, Config, Engine, Extern, Instance, Linker, Module, OptLevel, Store, Trap};
use wasmtime::{StoreLimits, StoreLimitsBuilder, Val};
use wasmtime_wizer::{InstanceState, SnapshotVal, Wizer};

use super::realloc::ARENA;
use super::{BuildError, BuildLimits, within};
use crate::engine::{TICK, Ticker};

/// The function that a reactor is started by (WASI application ABI).
const START: &str = "_initialize";
/// The wall clock while a module starts: 2020-01-01T00:00:00Z, in nanoseconds.
const WALL_CLOCK: u64 = 1_577_836_800_000_000_000;
/// Where the monotonic clock starts, and what each look moves it by, in nanoseconds.
const MONOTONIC: (u64, u64) = (1_000_000_000, 1_000_000);
/// The one argument: libraries look at the program's own name as they start (klog does), and end where there is none.
const PROGRAM: &[u8] = b"plugin\0";
/// What is kept of what a module writes while it starts, in bytes.
const OUTPUT: usize = 16 << 10;
/// `EBADF` and `ENOSYS` of WASI preview 1.
const BAD_FD: i32 = 8;
const NO_SYS: i32 = 52;

/// What the module does to us while it starts.
struct Start {
    monotonic: u64,
    random: u64,
    output: Arc<Mutex<Vec<u8>>>,
    limits: StoreLimits,
}

/// The module as it is after its start, and the address of its arena, where it has one. A module without `_initialize`
/// stays as it is.
pub(super) fn warm(
    module: &[u8],
    limits: &BuildLimits,
) -> Result<(Vec<u8>, Option<u32>), BuildError> {
    let failed = |e: wasmtime::Error| BuildError::Start(format!("{e:#}"));
    let mut wizer = Wizer::new();
    wizer.init_func(START);
    let (cx, instrumented) = wizer.instrument(module).map_err(failed)?;
    let engine = engine().map_err(failed)?;
    let compiled = Module::new(&engine, &instrumented).map_err(failed)?;
    if compiled.get_export(START).is_none() {
        return Ok((module.to_vec(), None));
    }
    let _ticker = Ticker::start(&engine).map_err(|e| BuildError::Start(e.to_string()))?;
    let output = Arc::new(Mutex::new(Vec::new()));
    let mut store = Store::new(
        &engine,
        Start {
            monotonic: MONOTONIC.0,
            random: 0,
            output: output.clone(),
            limits: StoreLimitsBuilder::new().memory_size(limits.memory).build(),
        },
    );
    store.limiter(|start| &mut start.limits);
    let ticks = limits.start.as_millis() / TICK.as_millis();
    store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX));
    let (instance, arena) = start(&mut store, &compiled).map_err(|e| {
        let said = output.lock().unwrap_or_else(PoisonError::into_inner);
        why(&e, &String::from_utf8_lossy(&said), limits)
    })?;
    let mut state = Started {
        store: &mut store,
        instance,
    };
    let snapshot = now(wizer.snapshot(&cx, &mut state)).map_err(failed)?;
    within("the module after its start", snapshot.len(), limits.bytes)?;
    Ok((snapshot, arena))
}

fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::None)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .epoch_interruption(true)
        .gc_support(false);
    Engine::new(&config)
}

fn start(store: &mut Store<Start>, module: &Module) -> wasmtime::Result<(Instance, Option<u32>)> {
    let mut linker = Linker::new(store.engine());
    preview1(&mut linker)?;
    linker.define_unknown_imports_as_traps(module)?;
    let instance = linker.instantiate(&mut *store, module)?;
    let start = instance.get_typed_func::<(), ()>(&mut *store, START)?;
    start.call(&mut *store, ())?;
    let arena = match instance.get_func(&mut *store, ARENA) {
        Some(arena) => Some(arena.typed::<(), u32>(&*store)?.call(store, ())?),
        None => None,
    };
    Ok((instance, arena))
}

fn why(error: &wasmtime::Error, said: &str, limits: &BuildLimits) -> BuildError {
    if matches!(error.downcast_ref::<Trap>(), Some(Trap::Interrupt)) {
        let seconds = limits.start.as_secs();
        return BuildError::Start(format!(
            "its inits take more than {seconds} s: do less in them"
        ));
    }
    let said = said.trim();
    BuildError::Start(if said.is_empty() {
        format!("{error:#}")
    } else {
        format!("{error:#}; it said: {said}")
    })
}

/// What a language's start asks of WASI preview 1. Everything else traps and is named by the trap.
fn preview1(linker: &mut Linker<Start>) -> wasmtime::Result<()> {
    const WASI: &str = "wasi_snapshot_preview1";
    linker.func_wrap(
        WASI,
        "environ_sizes_get",
        |mut caller: Caller<'_, Start>, count: i32, size: i32| {
            put(&mut caller, count, &0_u32.to_le_bytes())?;
            put(&mut caller, size, &0_u32.to_le_bytes())?;
            Ok(0)
        },
    )?;
    linker.func_wrap(WASI, "environ_get", |_: i32, _: i32| 0_i32)?;
    linker.func_wrap(
        WASI,
        "args_sizes_get",
        |mut caller: Caller<'_, Start>, count: i32, size: i32| {
            put(&mut caller, count, &1_u32.to_le_bytes())?;
            put(
                &mut caller,
                size,
                &u32::try_from(PROGRAM.len())?.to_le_bytes(),
            )?;
            Ok(0)
        },
    )?;
    linker.func_wrap(
        WASI,
        "args_get",
        |mut caller: Caller<'_, Start>, list: i32, text: i32| {
            put(&mut caller, list, &text.to_le_bytes())?;
            put(&mut caller, text, PROGRAM)?;
            Ok(0)
        },
    )?;
    linker.func_wrap(WASI, "clock_time_get", clock)?;
    linker.func_wrap(WASI, "random_get", random)?;
    linker.func_wrap(WASI, "fd_write", write)?;
    linker.func_wrap(
        WASI,
        "fd_fdstat_get",
        |fd: i32, _: i32| {
            if fd <= 2 { NO_SYS } else { BAD_FD }
        },
    )?;
    linker.func_wrap(WASI, "fd_fdstat_set_flags", |_: i32, _: i32| NO_SYS)?;
    linker.func_wrap(WASI, "fd_prestat_get", |_: i32, _: i32| BAD_FD)?;
    linker.func_wrap(WASI, "sched_yield", || 0_i32)?;
    linker.func_wrap(WASI, "poll_oneoff", wait)?;
    Ok(())
}

fn clock(mut caller: Caller<'_, Start>, id: i32, _: i64, at: i32) -> wasmtime::Result<i32> {
    let start = caller.data_mut();
    let time = if id == 0 {
        WALL_CLOCK
    } else {
        start.monotonic += MONOTONIC.1;
        start.monotonic
    };
    put(&mut caller, at, &time.to_le_bytes())?;
    Ok(0)
}

/// A constant stream (SplitMix64, Steele et al. 2014).
fn random(mut caller: Caller<'_, Start>, at: i32, size: i32) -> wasmtime::Result<i32> {
    let size = usize::try_from(size).unwrap_or(0).min(OUTPUT);
    let mut bytes = Vec::with_capacity(size + 8);
    let start = caller.data_mut();
    while bytes.len() < size {
        start.random = start.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = start.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend((z ^ (z >> 31)).to_le_bytes());
    }
    put(&mut caller, at, bytes.get(..size).unwrap_or_default())?;
    Ok(0)
}

/// A wait for a moment: the clock moves on to it at once, since nobody ever waits here. What waits for something else
/// waits for what is not there.
fn wait(
    mut caller: Caller<'_, Start>,
    subscriptions: i32,
    events: i32,
    count: i32,
    ready: i32,
) -> wasmtime::Result<i32> {
    // The layouts of `subscription` and `event` in WASI preview 1.
    const SUBSCRIPTION: i32 = 48;
    const CLOCK: u8 = 0;
    for n in 0..count.clamp(0, 64) {
        let at = subscriptions + n * SUBSCRIPTION;
        let [userdata, _, _, timeout] = get_u64s(&mut caller, at)?;
        let [kind, ..] = get_u64s(&mut caller, at + 8)?[0].to_le_bytes();
        if kind != CLOCK {
            continue;
        }
        let absolute = get_u64s(&mut caller, at + 40)?[0] & 1 == 1;
        let start = caller.data_mut();
        start.monotonic = if absolute {
            start.monotonic.max(timeout)
        } else {
            start.monotonic.saturating_add(timeout)
        };
        put(&mut caller, events, &[0; 32])?;
        put(&mut caller, events, &userdata.to_le_bytes())?;
        put(&mut caller, ready, &1_u32.to_le_bytes())?;
        return Ok(0);
    }
    Err(wasmtime::Error::msg(
        "it waits for something: an init has nothing to wait for",
    ))
}

fn write(
    mut caller: Caller<'_, Start>,
    _: i32,
    vectors: i32,
    count: i32,
    written: i32,
) -> wasmtime::Result<i32> {
    let mut total = 0_u32;
    for n in 0..count.min(1024) {
        let at = vectors + n * 8;
        let (start, size) = (get_u32(&mut caller, at)?, get_u32(&mut caller, at + 4)?);
        let (memory, data) = memory(&mut caller)?.data_and_store_mut(&mut caller);
        let bytes = memory.get(start as usize..start as usize + size as usize);
        let mut output = data.output.lock().unwrap_or_else(PoisonError::into_inner);
        let room = OUTPUT.saturating_sub(output.len());
        output.extend(bytes.unwrap_or_default().iter().take(room));
        total = total.saturating_add(size);
    }
    put(&mut caller, written, &total.to_le_bytes())?;
    Ok(0)
}

fn memory(caller: &mut Caller<'_, Start>) -> wasmtime::Result<wasmtime::Memory> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => Err(wasmtime::Error::msg("the module exports no memory")),
    }
}

fn put(caller: &mut Caller<'_, Start>, at: i32, bytes: &[u8]) -> wasmtime::Result<()> {
    let memory = memory(caller)?;
    memory.write(caller, at.cast_unsigned() as usize, bytes)?;
    Ok(())
}

fn get_u32(caller: &mut Caller<'_, Start>, at: i32) -> wasmtime::Result<u32> {
    let mut bytes = [0; 4];
    let memory = memory(caller)?;
    memory.read(caller, at.cast_unsigned() as usize, &mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn get_u64s(caller: &mut Caller<'_, Start>, at: i32) -> wasmtime::Result<[u64; 4]> {
    let mut out = [0; 4];
    for (n, at) in (at..).step_by(8).take(out.len()).enumerate() {
        let (low, high) = (get_u32(caller, at)?, get_u32(caller, at + 4)?);
        out[n] = u64::from(low) | u64::from(high) << 32;
    }
    Ok(out)
}

/// What the snapshot is taken of.
struct Started<'a> {
    store: &'a mut Store<Start>,
    instance: Instance,
}

impl InstanceState for Started<'_> {
    #[expect(
        clippy::panic,
        reason = "Wizer asks for what its own instrumentation exports"
    )]
    async fn global_get(&mut self, name: &str, _: wasmparser::ValType) -> SnapshotVal {
        let global = self.instance.get_global(&mut *self.store, name);
        match global.map(|global| global.get(&mut *self.store)) {
            Some(Val::I32(x)) => SnapshotVal::I32(x),
            Some(Val::I64(x)) => SnapshotVal::I64(x),
            Some(Val::F32(x)) => SnapshotVal::F32(x),
            Some(Val::F64(x)) => SnapshotVal::F64(x),
            Some(Val::V128(x)) => SnapshotVal::V128(x.as_u128()),
            other => panic!("the global {name} is {other:?}"),
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        let memory = self.instance.get_memory(&mut *self.store, name);
        contents(memory.map_or(&[], |memory| memory.data(&*self.store)));
    }
}

/// A future that never waits: ours only look at memory.
#[expect(clippy::panic, reason = "a snapshot of our own instance never waits")]
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a snapshot waited"),
    }
}
