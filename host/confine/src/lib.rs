//! What a process gives up before it touches what it does not trust: files, network, system calls, memory, time. Knows
//! nothing of Weir.
//!
//! A process confines itself in two steps. [`begin`] comes first of all, while there is one thread: what is given up there
//! is given up by each later thread too. [`Begun::finish`] comes when every thread that it needs is there, and forbids
//! the system calls that are not needed from then on. Nothing of it can be taken back.
//!
//! Not every kernel has everything. What is in force is told by [`Confinement`]; whoever needs more says so.

use std::fmt;
use std::io;
use std::path::PathBuf;

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "other.rs"]
mod system;

mod limits;
mod probe;
#[cfg(target_os = "linux")]
mod syscalls;

pub use limits::{Limit, Resource};
pub use probe::{Probe, Refused};

/// What a process keeps.
#[derive(Debug, Clone)]
pub struct Rights {
    /// The files that it may open; none where this is empty.
    pub files: Vec<Reachable>,
    /// Where it may connect to; none where its calls are not for the network.
    pub network: Network,
    /// The system calls that it may make.
    pub calls: Calls,
    /// How much of each thing it may use.
    pub limits: Vec<Limit>,
    /// Whether the kernel kills it when the thread that started it is gone.
    pub dies_with_parent: bool,
}

/// A file or a folder, with all that is in it.
#[derive(Debug, Clone)]
pub struct Reachable {
    /// Where it is. What is not there is passed over.
    pub path: PathBuf,
    /// What may be done there.
    pub access: Access,
}

/// The ports, of whichever address, that a process may connect to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// Of TCP.
    pub tcp: Vec<u16>,
    /// Of UDP; where the kernel's Landlock knows nothing of UDP, all of them.
    pub udp: Vec<u16>,
}

/// What may be done with files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read them.
    Read,
    /// Read and run them.
    Run,
    /// All of it.
    Write,
}

/// The system calls that a process may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// What computing needs: memory, time, and what it has open already. Each other call fails; those that reach into
    /// other processes or start programs end the process.
    Compute,
    /// The same, and threads of its own.
    ComputeWithThreads,
    /// All but those that reach into other processes, start programs or change the system, which end the process: for
    /// one that needs the network. It makes threads and no processes, connects to the internet's addresses alone (not to
    /// sockets of this machine's other programs), and nobody connects to it.
    Reach,
    /// The same, and programs may be started, of which Landlock says which; they are confined as it is.
    ReachAndStart,
}

/// The first version of Landlock that knows ports.
const PORTS: u32 = 4;
/// The first version of Landlock that knows signals.
const SIGNALS: u32 = 6;

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Confinement {
    /// The version of Landlock that keeps it from files, network and other processes; none where the kernel has no
    /// Landlock.
    pub landlock: Option<u32>,
    /// Whether the kernel filters its system calls.
    pub filter: bool,
    /// Whether it has no capabilities, and cannot get any.
    pub powerless: bool,
    /// How much it may use.
    pub limits: Vec<Limit>,
}

impl Confinement {
    /// What is missing of all that there is, by name.
    pub fn missing(&self) -> Vec<&'static str> {
        let parts = [
            (self.landlock.is_some(), "Landlock"),
            (self.filter, "seccomp"),
            (self.powerless, "no capabilities"),
        ];
        let missing = parts.into_iter().filter(|(there, _)| !there);
        missing.map(|(_, name)| name).collect()
    }

    /// The same for one that reaches out, whose ports and signals older versions of Landlock know nothing of.
    pub fn missing_outward(&self) -> Vec<&'static str> {
        let mut missing = self.missing();
        let parts = [
            (
                PORTS,
                "Landlock of version 4, which bounds the ports that it may connect to",
            ),
            (SIGNALS, "Landlock of version 6, which keeps its signals in"),
        ];
        if let Some(abi) = self.landlock {
            let old = parts.into_iter().filter(|(version, _)| abi < *version);
            missing.extend(old.map(|(_, name)| name));
        }
        missing
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.landlock {
            Some(abi) => write!(f, "Landlock ABI {abi}")?,
            None => f.write_str("no Landlock (this kernel has none)")?,
        }
        f.write_str(match self.filter {
            true => ", seccomp",
            false => ", no seccomp (this kernel has none)",
        })?;
        f.write_str(match self.powerless {
            true => ", no capabilities",
            false => ", its capabilities kept",
        })?;
        for limit in &self.limits {
            write!(f, ", {limit}")?;
        }
        Ok(())
    }
}

/// A process that has begun to give up rights.
#[derive(Debug)]
#[must_use = "system calls are forbidden by `finish`"]
pub struct Begun {
    calls: Calls,
    so_far: Confinement,
}

/// Gives up files, network, capabilities and everything that was open but standard input, output and error, and sets the
/// limits. For a process that has one thread and has opened nothing yet.
///
/// # Errors
/// A limit cannot be set. What the kernel does not have is no error.
pub fn begin(rights: &Rights) -> io::Result<Begun> {
    system::close_inherited()?;
    for limit in &rights.limits {
        limit.set()?;
    }
    let (landlock, powerless) = system::give_up(rights)?;
    Ok(Begun {
        calls: rights.calls,
        so_far: Confinement {
            landlock,
            filter: false,
            powerless,
            limits: rights.limits.clone(),
        },
    })
}

impl Begun {
    /// Whether Landlock decides which files may be opened: where it does not, none can be, once this has been finished.
    pub fn has_landlock(&self) -> bool {
        self.so_far.landlock.is_some()
    }

    /// Gives up system calls, in every thread.
    ///
    /// # Errors
    /// The filter cannot be made. That the kernel has none is no error.
    pub fn finish(self) -> io::Result<Confinement> {
        let filter = system::filter(self.calls, self.has_landlock())?;
        Ok(Confinement {
            filter,
            ..self.so_far
        })
    }
}
