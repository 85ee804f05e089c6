//! How much of each thing a process may use, as the kernel counts it.

use std::fmt;
use std::io;

use rustix::process::{Rlimit, getrlimit, setrlimit};

/// How much later than SIGXCPU the system ends a process that does not end by it, in seconds of processor time.
const GRACE: u64 = 5;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Address space, in bytes: all that is mapped, used or not.
    AddressSpace,
    /// Memory that it may write to and that is its own, in bytes.
    Data,
    /// Processor time over all threads, in seconds.
    CpuSeconds,
    /// Files that it writes, each, in bytes.
    FileSize,
    /// Files that are open.
    OpenFiles,
    /// The file that is left of a crash, in bytes.
    CoreDump,
}

/// A limit, and the one that it cannot be raised above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Of what.
    pub resource: Resource,
    /// The limit.
    pub soft: u64,
    /// What it may be raised to. For processor time the soft limit sends SIGXCPU; were the hard one the same, Linux would
    /// send SIGKILL, as it does when the machine has no memory left, and nobody could tell the two apart.
    pub hard: u64,
}

impl Limit {
    /// One that cannot be raised.
    pub fn fixed(resource: Resource, value: u64) -> Limit {
        Limit {
            resource,
            soft: value,
            hard: value,
        }
    }

    /// Processor time: at its end there is a little more, in which the process ends by SIGXCPU.
    pub fn processor_time(seconds: u64) -> Limit {
        Limit {
            resource: Resource::CpuSeconds,
            soft: seconds,
            hard: seconds.saturating_add(GRACE),
        }
    }

    /// Sets it for this process. One that is lower already stays: nobody may raise it.
    pub(crate) fn set(&self) -> io::Result<()> {
        use rustix::process::Resource as System;
        let resource = match self.resource {
            Resource::AddressSpace => System::As,
            Resource::Data => System::Data,
            Resource::CpuSeconds => System::Cpu,
            Resource::FileSize => System::Fsize,
            Resource::OpenFiles => System::Nofile,
            Resource::CoreDump => System::Core,
        };
        let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        setrlimit(
            resource,
            Rlimit {
                current: Some(self.soft.min(most)),
                maximum: Some(self.hard.min(most)),
            },
        )
        .map_err(io::Error::from)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.soft;
        match self.resource {
            Resource::AddressSpace => write!(f, "{} MiB of address space", value >> 20),
            Resource::Data => write!(f, "{} MiB of memory", value >> 20),
            Resource::CpuSeconds => write!(f, "{value} s of processor time"),
            Resource::FileSize => write!(f, "files of {} MiB", value >> 20),
            Resource::OpenFiles => write!(f, "{value} open files"),
            Resource::CoreDump => write!(f, "core dumps of {value} bytes"),
        }
    }
}
