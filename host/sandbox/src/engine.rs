//! The one engine: every feature that a plugin does not need is off, and a thread moves its clock.

use std::hash::{Hash as _, Hasher};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use wasmtime::{Config, Engine};
use weir_core::digest::{Digest, DigestBuilder};

/// How often the engine's clock moves. A guest yields to other tasks at each tick, and its deadline is
/// looked at then.
pub const TICK: Duration = Duration::from_millis(10);
/// The stack that a guest may use. Deep templates of Go programs need more than Wasmtime's 512 KiB.
const WASM_STACK: usize = 1 << 20;
/// The stack of the fiber that a guest runs on, host functions included.
const ASYNC_STACK: usize = 2 << 20;
/// How large the first contents of a memory may be to be mapped instead of copied for each call, in bytes: a warmed Go
/// program's are 25 to 60 MiB, half of them zeros.
const IMAGE: u64 = 64 << 20;
/// Frames in a backtrace: enough to see who called, short enough to read.
pub(crate) const BACKTRACE_FRAMES: usize = 20;

/// The engine for calls and for the compile worker alike: code that one makes, the other takes.
pub(crate) fn engine() -> wasmtime::Result<Engine> {
    Engine::new(&engine_config())
}

/// The settings of the engine that plugins run on, for benchmarks, which turn one of them off to see what it
/// costs. A [`Sandbox`](crate::Sandbox) always runs on these as they are.
pub fn engine_config() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false)
        .shared_memory(false)
        .gc_support(false)
        .concurrency_support(false)
        .memory_init_cow(true)
        .memory_guaranteed_dense_image_size(IMAGE)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(ASYNC_STACK)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(BACKTRACE_FRAMES));
    config
}

/// What compiled code depends on besides the component: Wasmtime's version, its settings and the processor.
pub(crate) fn fingerprint(engine: &Engine) -> Digest {
    struct Feed(DigestBuilder);
    impl Hasher for Feed {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.part(bytes);
        }
    }
    let mut feed = Feed(Digest::builder());
    engine.precompile_compatibility_hash().hash(&mut feed);
    feed.0.finish()
}

/// Moves an engine's clock from a thread of its own until it is dropped.
pub(crate) struct Ticker {
    _stop: Sender<()>,
}

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Ticker> {
        let (stop, stopped) = mpsc::channel::<()>();
        let engine = engine.weak();
        std::thread::Builder::new()
            .name("weir-epoch".into())
            .spawn(move || {
                while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    let Some(engine) = engine.upgrade() else {
                        return;
                    };
                    engine.increment_epoch();
                }
            })?;
        Ok(Ticker { _stop: stop })
    }
}
