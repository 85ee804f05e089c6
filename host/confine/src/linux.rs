//! What Linux lets a process give up: what it was started with, capabilities, files and network by Landlock, system calls
//! by seccomp.

use std::io;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use rustix::process::{
    DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal,
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

use crate::{Access, Calls, Rights, syscalls};

/// The newest version of Landlock that was looked at here. Older kernels do what they can of it.
const NEWEST: ABI = ABI::V10;
/// The highest of standard input, output and error.
const STANDARD: i32 = 2;

/// Closes what this process was started with besides standard input, output and error. What Rust opens is never passed
/// on; what whoever started the host left open is.
#[expect(
    unsafe_code,
    reason = "closing what nobody in this process owns has no safe form"
)]
pub(crate) fn close_inherited() -> io::Result<()> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse::<i32>().ok());
        open.extend(number.filter(|n| *n > STANDARD));
    }
    for number in open {
        // The one that listed them is among them, and closed already.
        if std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_err() {
            continue;
        }
        // SAFETY: this runs before anything of this process opens a file (see `begin`), so nobody owns the number.
        unsafe { rustix::io::close(number) };
    }
    Ok(())
}

/// Gives up privileges, files, network and signals: the version of Landlock that is in force, and whether capabilities
/// are gone.
pub(crate) fn give_up(rights: &Rights) -> io::Result<(Option<u32>, bool)> {
    set_no_new_privs(true)?;
    // No other process of this user reads its memory, and it leaves no core.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    if rights.dies_with_parent {
        set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    let landlock = landlock(rights).map_err(io::Error::other)?;
    // After Landlock: what a folder is opened with may need them.
    let powerless = set_capabilities(None, none).is_ok();
    Ok((landlock, powerless))
}

fn landlock(rights: &Rights) -> Result<Option<u32>, landlock::RulesetError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .create()?;
    for port in &rights.network.tcp {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    for port in &rights.network.udp {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectSendUdp))?;
    }
    if !rights.network.udp.is_empty() {
        // Any port of its own, which the kernel picks.
        rules = rules.add_rule(NetPort::new(0, AccessNet::BindUdp))?;
    }
    for reachable in &rights.files {
        // What is not there cannot be reached, and cannot be made there either.
        let Ok(at) = PathFd::new(&reachable.path) else {
            continue;
        };
        let is_folder = reachable.path.is_dir();
        rules = rules.add_rule(PathBeneath::new(at, access(reachable.access, is_folder)))?;
    }
    let status = rules.restrict_self()?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => None,
        (_, LandlockStatus::Available { effective_abi, .. }) => Some(effective_abi as u32),
        (_, _) => None,
    })
}

/// A file has fewer rights than a folder, and Landlock refuses what it has not.
fn access(access: Access, is_folder: bool) -> BitFlags<AccessFs> {
    let all = match access {
        Access::Read => AccessFs::ReadFile | AccessFs::ReadDir,
        Access::Run => AccessFs::from_read(NEWEST),
        Access::Write => AccessFs::from_all(NEWEST) & !BitFlags::from(AccessFs::Execute),
    };
    match is_folder {
        true => all,
        false => all & AccessFs::from_file(NEWEST),
    }
}

/// Gives up system calls in all threads; whether the kernel does so.
pub(crate) fn filter(calls: Calls, has_landlock: bool) -> io::Result<bool> {
    for program in syscalls::programs(calls, has_landlock)? {
        match seccompiler::apply_filter_all_threads(&program) {
            Ok(()) => {}
            Err(seccompiler::Error::Seccomp(e) | seccompiler::Error::Prctl(e)) => {
                let is_absent = matches!(
                    e.raw_os_error(),
                    Some(libc::ENOSYS | libc::EINVAL | libc::EPERM | libc::EACCES)
                );
                return if is_absent { Ok(false) } else { Err(e) };
            }
            Err(e) => return Err(io::Error::other(e)),
        }
    }
    Ok(true)
}
