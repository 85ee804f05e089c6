//! WASI as plugins see it: enough for standard libraries to link, nothing of the host, the same every time.

use bytes::Bytes;
use wasmtime::Engine;
use wasmtime::component::{HasData, HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi_io::bindings::wasi::io;
use wasmtime_wasi_io::poll::subscribe;

use crate::bindings::{log, tree};
use crate::error::Failure;
use crate::state::{State, Tail};

/// Where the monotonic clock starts. Not zero: programs take zero for "never".
const CLOCK_START: u64 = 1_000_000_000;
/// What each look at the monotonic clock moves it by, in nanoseconds.
const CLOCK_STEP: u64 = 1_000_000;
/// The longest wait that is over at once during a call. Runtimes wait for microseconds for threads of their own, which
/// are not there (Go's, when it collects); what waits longer waits for something outside.
pub(crate) const SHORT_WAIT: u64 = 100_000_000;
/// What every plugin gets for a hash seed. Hash maps may then be attacked by whoever writes the
/// repository, who can spend the plugin's fuel in simpler ways.
const SEED: (u64, u64) = (0x7765_6972_7765_6972, 0x6765_6e75_7365_6564);
/// Random bytes that are given at once.
const RANDOM_AT_ONCE: u64 = 64 << 10;
/// Random bytes that count as one more call of the host.
const RANDOM_FOR_A_CALL: u64 = 1 << 10;
/// What to do about a plugin that asks for random bytes and is given none.
const RANDOM_INSTEAD: &str = "take the random value out of the chart or the code, or put it into the repository, or have the manifest give the plugin bytes that stay the same: `grants: { random: stable }`";
/// What a guest may write to its standard output or error at once.
const STDIO_CHUNK: usize = 64 << 10;

/// What plugins of each role are linked with: exactly what [`inspect`](crate::inspect) lets through.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    tree::add_to_linker::<_, HasSelf<State>>(l, |s| s)?;
    log::add_to_linker::<_, HasSelf<State>>(l, |s| s)?;

    io::error::add_to_linker::<_, Io>(l, |s| &mut s.table)?;
    io::poll::add_to_linker::<_, Io>(l, |s| &mut s.table)?;
    io::streams::add_to_linker::<_, Io>(l, |s| &mut s.table)?;
    clocks::wall_clock::add_to_linker::<_, HasSelf<State>>(l, |s| s)?;
    clocks::monotonic_clock::add_to_linker::<_, HasSelf<State>>(l, |s| s)?;
    random::random::add_to_linker::<_, HasSelf<State>>(l, |s| s)?;
    random::insecure::add_to_linker::<_, HasSelf<State>>(l, |s| s)?;
    random::insecure_seed::add_to_linker::<_, HasSelf<State>>(l, |s| s)?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(l, State::filesystem)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(l, State::filesystem)?;
    cli::exit::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::environment::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, State::cli)?;
    Ok(linker)
}

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

impl clocks::wall_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<clocks::wall_clock::Datetime> {
        self.count()?;
        Ok(clocks::wall_clock::Datetime {
            seconds: self.instant,
            nanoseconds: 0,
        })
    }

    fn resolution(&mut self) -> wasmtime::Result<clocks::wall_clock::Datetime> {
        Ok(clocks::wall_clock::Datetime {
            seconds: 1,
            nanoseconds: 0,
        })
    }
}

impl State {
    /// What the monotonic clock says now, without being looked at.
    fn monotonic(&self) -> u64 {
        CLOCK_START.saturating_add(self.monotonic)
    }

    /// Waiting for a moment. Nobody ever waits here: the clock moves on to the moment at once, and where the
    /// clock only counts, this is as deterministic as a look at it. Runtimes such as Go's set timers before
    /// `main` and wait for moments when they collect. During a call a longer wait is refused, since code that
    /// waits for something outside waits for what is not there.
    fn wait(&mut self, until: u64, what: &'static str) -> wasmtime::Result<Resource<DynPollable>> {
        self.count()?;
        if until > self.monotonic() {
            if self.called && until - self.monotonic() > SHORT_WAIT {
                let instead = "a plugin cannot wait: take the sleep or the timer out of it";
                return Err(self.refuse(what, instead));
            }
            self.monotonic = until.saturating_sub(CLOCK_START);
        }
        let over = self.table.push(Over)?;
        subscribe(&mut self.table, over)
    }

    fn refuse(&mut self, what: &'static str, instead: &'static str) -> wasmtime::Error {
        self.stop(Failure::Refused {
            what: what.into(),
            instead: instead.into(),
        })
    }

    /// Random bytes: of a constant stream while the component starts, of the call's own one where it is given some.
    fn random_bytes(&mut self, what: &'static str, len: u64) -> wasmtime::Result<Vec<u8>> {
        if len > RANDOM_AT_ONCE {
            let instead = "ask for fewer bytes at once";
            return Err(self.refuse(what, instead));
        }
        for _ in 0..=len / RANDOM_FOR_A_CALL {
            self.count()?;
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        match self.random.bytes(len, self.called) {
            Some(bytes) => Ok(bytes),
            None => Err(self.refuse(what, RANDOM_INSTEAD)),
        }
    }

    fn random_u64(&mut self, what: &'static str) -> wasmtime::Result<u64> {
        let bytes = self.random_bytes(what, 8)?;
        let bytes: Result<[u8; 8], _> = bytes.try_into();
        bytes
            .map(u64::from_le_bytes)
            .map_err(|_| wasmtime::Error::msg("eight bytes were asked for"))
    }
}

impl clocks::monotonic_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.count()?;
        self.monotonic = self.monotonic.saturating_add(CLOCK_STEP);
        Ok(self.monotonic())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(CLOCK_STEP)
    }

    fn subscribe_instant(&mut self, until: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.wait(
            until,
            "wasi:clocks/monotonic-clock.subscribe-instant (a sleep)",
        )
    }

    fn subscribe_duration(&mut self, time: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.wait(
            self.monotonic().saturating_add(time),
            "wasi:clocks/monotonic-clock.subscribe-duration (a sleep)",
        )
    }
}

/// A wait that is over.
struct Over;

#[wasmtime_wasi_io::async_trait]
impl Pollable for Over {
    async fn ready(&mut self) {}
}

impl random::random::Host for State {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes("wasi:random/random.get-random-bytes", len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_u64("wasi:random/random.get-random-u64")
    }
}

impl random::insecure::Host for State {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes("wasi:random/insecure.get-insecure-random-bytes", len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_u64("wasi:random/insecure.get-insecure-random-u64")
    }
}

impl random::insecure_seed::Host for State {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok(SEED)
    }
}

impl IsTerminal for Tail {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Tail {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink()) // WASI 0.3 only, which is not linked
    }
}

impl OutputStream for Tail {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes).map_err(|e| StreamError::Trap(e.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(STDIO_CHUNK)
    }
}

#[wasmtime_wasi_io::async_trait]
impl Pollable for Tail {
    async fn ready(&mut self) {}
}
