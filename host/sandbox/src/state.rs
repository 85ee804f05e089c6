//! What one call holds on the host's side: what it may still spend, what it read, why it was stopped.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use weir_core::grant::Limits;
use weir_core::random::Seed;

use crate::bindings::{log, tree, types};
use crate::error::Failure;
use crate::files::{Files, Refusal};
use crate::random::{self, Random};
use crate::values::{LogLine, Severity};

/// Elements of all tables of a call together. The largest Go programs need some tens of thousands.
const TABLE_ELEMENTS: usize = 1 << 20;
/// Core instances, memories and tables of a call, each. A component of several modules needs about ten.
const PARTS: usize = 200;
/// Resources that a guest may hold at once: streams and such, of which the allowed interfaces have few uses.
pub(crate) const RESOURCES: usize = 1000;
/// One message of a log, in bytes; longer ones are cut.
pub(crate) const LOG_MESSAGE: usize = 4 << 10;
/// Log lines that a call may leave; more are dropped and counted.
pub(crate) const LOG_LINES: usize = 500;
/// What is kept of what a guest writes to its standard output and error: the end, in bytes.
pub(crate) const STDIO_TAIL: usize = 8 << 10;
/// What one entry of a listing counts against the output limit besides its name, in bytes.
pub(crate) const ENTRY_COST: u64 = 64;

/// The data of a call's store.
pub(crate) struct State {
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) memory: MemoryLimit,
    pub(crate) files: Files,
    /// Why the host stopped the call: the first reason wins over whatever the guest makes of it.
    pub(crate) stop: Option<Failure>,
    /// False while the component starts: constant random bytes are given then, and waits are over at once.
    pub(crate) called: bool,
    pub(crate) instant: u64,
    /// Nanoseconds that the monotonic clock has moved: it moves when it is looked at and by waits at the start.
    pub(crate) monotonic: u64,
    pub(crate) random: Random,
    pub(crate) host_calls: u64,
    pub(crate) lines: Vec<LogLine>,
    pub(crate) lines_dropped: u64,
    pub(crate) stdio: Tail,
    read_bytes: u64,
    limits: Limits,
    deadline: Instant,
}

impl State {
    /// `instant` is the wall clock that the guest sees, in Unix seconds; `random` what its random bytes are made from,
    /// where it is given some.
    pub(crate) fn new(limits: Limits, instant: u64, random: Option<&Seed>, files: Files) -> State {
        let stdio = Tail::of(limits.host_calls);
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        let mut wasi = WasiCtx::builder();
        wasi.stdout(stdio.clone()).stderr(stdio.clone());
        State {
            wasi: wasi.build(),
            table,
            memory: MemoryLimit {
                limit: limits.memory.0,
                ..MemoryLimit::default()
            },
            files,
            stop: None,
            called: false,
            instant,
            monotonic: 0,
            random: Random::new(random),
            host_calls: 0,
            lines: Vec::new(),
            lines_dropped: 0,
            stdio,
            read_bytes: 0,
            limits,
            deadline: Instant::now() + limits.time.duration(),
        }
    }

    /// Stops the call. The error becomes a trap in the guest.
    pub(crate) fn stop(&mut self, failure: Failure) -> wasmtime::Error {
        self.stop.get_or_insert(failure);
        wasmtime::Error::msg("stopped by the host")
    }

    /// Counts one call of the host.
    pub(crate) fn count(&mut self) -> wasmtime::Result<()> {
        if self.host_calls >= self.limits.host_calls {
            return Err(self.stop(Failure::HostCalls));
        }
        self.host_calls += 1;
        Ok(())
    }

    /// Ends a call whose wall time is over; asked at each tick.
    pub(crate) fn check_deadline(&mut self) -> wasmtime::Result<()> {
        if Instant::now() >= self.deadline {
            Err(self.stop(Failure::Time))
        } else {
            Ok(())
        }
    }

    fn count_read(&mut self, bytes: u64) -> wasmtime::Result<()> {
        self.read_bytes = self.read_bytes.saturating_add(bytes);
        if self.read_bytes > self.limits.output.0 {
            let what = format!("it read {} bytes of files in all", self.read_bytes);
            return Err(self.stop(Failure::Output { what }));
        }
        Ok(())
    }

    /// What a guest is told of a failed read; a failure that it may not handle ends the call.
    fn refusal(&mut self, refusal: Refusal) -> wasmtime::Result<tree::FsError> {
        match refusal {
            Refusal::Told(error) => Ok(error),
            Refusal::Stop(failure) => Err(self.stop(failure)),
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl types::Host for State {}

impl tree::Host for State {
    fn entries(
        &mut self,
        dir: String,
    ) -> wasmtime::Result<Result<Vec<tree::Entry>, tree::FsError>> {
        self.count()?;
        if random::is_reserved(&dir) {
            return Ok(Err(self.random.no_directory(&dir)));
        }
        let list = match self.files.entries(&dir) {
            Ok(list) => list,
            Err(e) => return self.refusal(e).map(Err),
        };
        self.count_read(list.iter().map(|e| e.name.len() as u64 + ENTRY_COST).sum())?;
        Ok(Ok(list.into_iter().map(tree_entry).collect()))
    }

    fn read(&mut self, path: String) -> wasmtime::Result<Result<Vec<u8>, tree::FsError>> {
        self.count()?;
        if random::is_reserved(&path) {
            return Ok(self.random.file(&path));
        }
        match self.files.read(&path) {
            Ok(bytes) => {
                self.count_read(bytes.len() as u64)?;
                Ok(Ok(bytes))
            }
            Err(e) => self.refusal(e).map(Err),
        }
    }
}

fn tree_entry(e: weir_core::tree::DirEntry) -> tree::Entry {
    tree::Entry {
        kind: if e.file.is_some() {
            tree::Kind::File
        } else {
            tree::Kind::Directory
        },
        digest: e.file.map(|id| id.to_string()).unwrap_or_default(),
        name: e.name,
        size: e.size,
        executable: e.executable,
    }
}

impl log::Host for State {
    fn write(&mut self, severity: log::Severity, mut message: String) -> wasmtime::Result<()> {
        self.count()?;
        if self.lines.len() >= LOG_LINES {
            self.lines_dropped += 1;
            return Ok(());
        }
        message.truncate(message.floor_char_boundary(LOG_MESSAGE));
        let severity = match severity {
            log::Severity::Debug => Severity::Debug,
            log::Severity::Info => Severity::Info,
            log::Severity::Warn => Severity::Warn,
        };
        self.lines.push(LogLine { severity, message });
        Ok(())
    }
}

/// The sum of a call's linear memories, and whether it ever asked for too much.
#[derive(Debug, Default)]
pub(crate) struct MemoryLimit {
    limit: u64,
    now: u64,
    pub(crate) peak: u64,
    /// What it would have had, the first time that it was told no. A guest that is told no mostly traps
    /// somewhere else later; this says why.
    pub(crate) denied: Option<u64>,
    last: u64,
    /// Whether the system had no memory for it, though it may have that much.
    pub(crate) is_short: bool,
    table_elements: usize,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|max| desired > max) {
            return Ok(false); // its own limit, not ours
        }
        let more = desired.saturating_sub(current) as u64;
        let wanted = self.now.saturating_add(more);
        if wanted > self.limit {
            self.denied.get_or_insert(wanted);
            return Ok(false);
        }
        self.last = more;
        self.now = wanted;
        self.peak = self.peak.max(wanted);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.now -= std::mem::take(&mut self.last);
        self.is_short = true;
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|max| desired > max) {
            return Ok(false);
        }
        let wanted = self
            .table_elements
            .saturating_add(desired.saturating_sub(current));
        if wanted > TABLE_ELEMENTS {
            self.denied
                .get_or_insert(self.now.saturating_add(wanted as u64 * 8));
            return Ok(false);
        }
        self.table_elements = wanted;
        Ok(true)
    }

    fn instances(&self) -> usize {
        PARTS
    }
    fn tables(&self) -> usize {
        PARTS
    }
    fn memories(&self) -> usize {
        PARTS
    }
}

/// The end of what was written.
#[derive(Debug, Clone)]
pub(crate) struct Tail(Arc<Mutex<Written>>);

#[derive(Debug)]
struct Written {
    end: VecDeque<u8>,
    /// How often it may still be written to.
    left: u64,
}

/// It was written to more often than a call may call the host.
#[derive(Debug, thiserror::Error)]
#[error("written to too often")]
pub(crate) struct TooOften;

impl Tail {
    /// One that may be written to so often.
    fn of(times: u64) -> Tail {
        let written = Written {
            end: VecDeque::new(),
            left: times,
        };
        Tail(Arc::new(Mutex::new(written)))
    }

    pub(crate) fn push(&self, bytes: &[u8]) -> Result<(), TooOften> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.left = written.left.checked_sub(1).ok_or(TooOften)?;
        let end = &mut written.end;
        end.extend(&bytes[bytes.len().saturating_sub(STDIO_TAIL)..]);
        let over = end.len().saturating_sub(STDIO_TAIL);
        end.drain(..over);
        Ok(())
    }

    pub(crate) fn text(&self) -> String {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(written.end.make_contiguous())
            .trim()
            .to_owned()
    }
}
