//! A worker: a process that runs plugins for its host and has no rights at all. It gets code and calls over a socket, and
//! asks over the same socket for the files that a guest wants.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use tokio::runtime::Runtime;
use wasmtime::Engine;
use weir_confine::{Calls, Confinement, Limit, Network, Probe, Resource, Rights};
use weir_core::digest::Digest;
use weir_core::tree::DirEntry;

use crate::Role;
use crate::channel::{Channel, Frame, Handed};
use crate::config::WorkerLimits;
use crate::engine::{self, Ticker};
use crate::error::Failure;
use crate::files::{Files, Refusal};
use crate::link::{Linking, World, handed};
use crate::run::run;
use crate::wire::{Reply, Report, Request, Unfit};

/// The way to the host, for a guest's questions.
pub(crate) struct Asking(Arc<Channel>);

impl Asking {
    pub(crate) fn entries(&mut self, dir: &str) -> Result<Vec<DirEntry>, Refusal> {
        match self.ask(&Reply::Entries(dir.to_owned()))? {
            Request::Entries(answer) => answer.map_err(Refusal::Told),
            _ => Err(stopped()),
        }
    }

    pub(crate) fn read(&mut self, path: &str) -> Result<Vec<u8>, Refusal> {
        match self.ask(&Reply::File(path.to_owned()))? {
            Request::File(answer) => answer.map_err(Refusal::Told),
            _ => Err(stopped()),
        }
    }

    fn ask(&self, question: &Reply) -> Result<Request, Refusal> {
        let sent = self.0.send(&question.encode(), None, None);
        let frame = sent.and_then(|()| self.0.take(u32::MAX.into(), Handed::Dropped, None));
        let Ok(Some(frame)) = frame else {
            return Err(stopped());
        };
        Request::decode(&frame.bytes).map_err(|_| stopped())
    }
}

/// The host knows why, and says it.
fn stopped() -> Refusal {
    Refusal::Stop(Failure::Host {
        what: "the host ended the call".to_owned(),
    })
}

/// What a worker may use, and nothing else.
pub(crate) fn rights(limits: &WorkerLimits) -> Rights {
    Rights {
        files: Vec::new(),
        network: Network::default(),
        calls: Calls::Compute,
        limits: vec![
            Limit::fixed(Resource::Data, limits.data_bytes),
            Limit::processor_time(limits.cpu_seconds),
            Limit::fixed(Resource::OpenFiles, limits.open_files),
            Limit::fixed(Resource::FileSize, 0),
            Limit::fixed(Resource::CoreDump, 0),
        ],
        dies_with_parent: true,
    }
}

/// What a worker that says this of itself is confined by.
pub(crate) fn confinement(report: Report, limits: &WorkerLimits) -> Confinement {
    Confinement {
        landlock: (report.landlock > 0).then_some(report.landlock),
        filter: report.filter,
        powerless: report.powerless,
        limits: rights(limits).limits,
    }
}

/// The worker: gives up all rights, then does what its host says over standard input, which is a socket, until that ends.
/// `host/weir` calls this from a hidden subcommand, before anything else of the process has begun.
///
/// # Errors
/// It cannot be confined, the engine does not start, or the host says something that is not understood.
pub fn render_worker(limits: &WorkerLimits) -> io::Result<()> {
    let begun = weir_confine::begin(&rights(limits))?;
    let may_open = begun.has_landlock();
    let engine = engine::engine().map_err(failed)?;
    let linking = Linking::new(&engine).map_err(failed)?;
    let _ticker = Ticker::start(&engine)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let socket: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    let channel = Arc::new(Channel::new(UnixStream::from(socket)));
    let confined = begun.finish()?;
    let mut bench = Bench {
        engine,
        linking,
        plugins: HashMap::new(),
        channel,
        runtime,
        may_open,
    };
    bench.say(&Reply::Ready(Report {
        landlock: confined.landlock.unwrap_or(0),
        filter: confined.filter,
        powerless: confined.powerless,
    }))?;
    while let Some(frame) = bench.channel.take(u32::MAX.into(), Handed::Taken, None)? {
        let reply = bench.done(frame)?;
        bench.say(&reply)?;
    }
    Ok(())
}

/// What a worker works with.
struct Bench {
    engine: Engine,
    linking: Linking,
    plugins: HashMap<(Digest, Role), World>,
    channel: Arc<Channel>,
    runtime: Runtime,
    /// Whether it may open what it has open already once more, by its number.
    may_open: bool,
}

impl Bench {
    fn say(&self, reply: &Reply) -> io::Result<()> {
        self.channel.send(&reply.encode(), None, None)
    }

    /// Does what the host says.
    fn done(&mut self, frame: Frame) -> io::Result<Reply> {
        match Request::decode(&frame.bytes).map_err(io::Error::other)? {
            Request::Load(digest, role) => {
                let file = frame.file.ok_or(io::ErrorKind::InvalidInput)?;
                Ok(Reply::Loaded(self.load(digest, role, File::from(file))))
            }
            Request::Run(digest, terms, asked) => {
                let Some(world) = self.plugins.get(&(digest, asked.ask().role())) else {
                    return Err(io::Error::other("a run of what was not loaded"));
                };
                let files = Files::Asked(Asking(self.channel.clone()));
                let run = run(&self.engine, world, &terms, asked.ask(), files);
                let ran = self.runtime.block_on(run);
                Ok(Reply::Ran(ran.usage, Box::new(ran.gave)))
            }
            Request::Try(probe) => {
                let probe = Probe::ALL.get(usize::from(probe));
                let probe = probe.ok_or(io::ErrorKind::InvalidInput)?;
                Ok(Reply::Tried(probe.attempt().map(|refused| refused.0)))
            }
            Request::Entries(_) | Request::File(_) | Request::Stop => {
                Err(io::Error::other("an answer to no question"))
            }
        }
    }

    fn load(&mut self, digest: Digest, role: Role, code: File) -> Result<(), Unfit> {
        let component = handed(&self.engine, code, self.may_open);
        let component = component.map_err(|e| Unfit::Code(format!("{e:#}")))?;
        let world = self.linking.link(role, &component);
        let world = world.map_err(|e| Unfit::World(format!("{e:#}")))?;
        self.plugins.insert((digest, role), world);
        Ok(())
    }
}

fn failed(e: wasmtime::Error) -> io::Error {
    io::Error::other(format!("{e:#}"))
}
