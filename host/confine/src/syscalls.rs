//! The lists of system calls, as programs that the kernel runs before each of them.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, sock_filter,
};

use crate::Calls;

/// What computing needs: memory, time, signals of its own, and what is open already.
const COMPUTE: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_newfstatat,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_statx,
    libc::SYS_sysinfo,
    libc::SYS_write,
    libc::SYS_writev,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
];

/// What reaches into other processes, starts programs or changes the system. Nothing of ours ever tries it, so whoever
/// does is ended.
const NEVER: &[i64] = &[
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

/// What starts another program in this process' place.
const EXEC: &[i64] = &[libc::SYS_execve, libc::SYS_execveat];

/// What an open file may be asked with `fcntl`: not who gets signals about it, and which.
const ASKED: &[i32] = &[
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GET_SEALS,
];

/// What says which process gets signals about a file, and which.
const STEERED: &[i32] = &[libc::F_SETOWN, F_SETSIG, F_SETOWN_EX];

/// Of `linux/fcntl.h`; the crate has them not.
const F_SETSIG: i32 = 10;
/// As [`F_SETSIG`].
const F_SETOWN_EX: i32 = 15;

/// What changes how other processes run.
const STEERS: &[i64] = &[
    libc::SYS_ioprio_set,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    libc::SYS_setpriority,
];

/// What signals other processes.
const SIGNALS: &[i64] = &[
    libc::SYS_kill,
    libc::SYS_pidfd_send_signal,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_tkill,
];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The programs, in the order in which they are to be set: the last one forbids setting any more.
pub(crate) fn programs(calls: Calls, has_landlock: bool) -> io::Result<Vec<BpfProgram>> {
    let make = || -> Result<Vec<BpfProgram>, BackendError> {
        let arch = TargetArch::try_from(std::env::consts::ARCH)?;
        let program = |rules: Rules, otherwise, then| {
            SeccompFilter::new(rules, otherwise, then, arch)?.try_into()
        };
        let never = NEVER.iter().copied();
        if matches!(calls, Calls::Reach | Calls::ReachAndStart) {
            let starts = calls == Calls::ReachAndStart;
            let exec = EXEC.iter().copied().filter(|_| !starts);
            let ends = always(never.chain(exec));
            let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
            let no_such_call = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
            let absent = always(Some(libc::SYS_clone3).filter(|_| !starts));
            let mut all = other_numbers();
            all.push(program(outward(starts)?, SeccompAction::Allow, refused)?);
            if !absent.is_empty() {
                all.push(program(absent, SeccompAction::Allow, no_such_call)?);
            }
            let kill = SeccompAction::KillProcess;
            all.push(program(ends, SeccompAction::Allow, kill)?);
            return Ok(all);
        }
        // As on a kernel that has them not: glibc then asks for threads in a way whose flags a filter can see, and
        // Wasmtime copies where it would have mapped.
        let absent = always([libc::SYS_clone3, libc::SYS_memfd_create]);
        let no_such_call = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
        let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
        let never = always(never.chain(EXEC.iter().copied()));
        Ok(vec![
            program(absent, SeccompAction::Allow, no_such_call)?,
            program(never, SeccompAction::Allow, SeccompAction::KillProcess)?,
            program(allowed(calls, has_landlock)?, refused, SeccompAction::Allow)?,
        ])
    };
    make().map_err(io::Error::other)
}

fn always(calls: impl IntoIterator<Item = i64>) -> Rules {
    calls.into_iter().map(|call| (call, Vec::new())).collect()
}

/// What is refused to one that reaches out: sockets that lead to other programs of this machine, or that others connect
/// to; and processes of its own, where it may not start programs.
fn outward(starts: bool) -> Result<Rules, BackendError> {
    let mut rules = always([libc::SYS_listen]);
    // Names are looked up over the internet's sockets, and the machine's own addresses over netlink.
    let families = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let others = families.map(|family| {
        let family = family.cast_unsigned().into();
        condition(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family)
    });
    let others = others.into_iter().collect::<Result<Vec<_>, _>>()?;
    // Of the ways to talk over them the plain ones: Landlock looks at no other.
    let plain = [0, libc::IPPROTO_TCP, libc::IPPROTO_UDP].map(|protocol| {
        let protocol = protocol.cast_unsigned().into();
        condition(2, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, protocol)
    });
    let plain = plain.into_iter().collect::<Result<Vec<_>, _>>()?;
    rules.insert(
        libc::SYS_socket,
        vec![SeccompRule::new(others)?, SeccompRule::new(plain)?],
    );
    for (call, flags) in [
        (libc::SYS_sendto, 3),
        (libc::SYS_sendmsg, 2),
        (libc::SYS_sendmmsg, 3),
    ] {
        // It connects as it sends, and Landlock does not see that.
        let connects = mask(flags, libc::MSG_FASTOPEN, libc::MSG_FASTOPEN)?;
        rules.insert(call, vec![connects]);
    }
    // What is its own to change.
    for call in [libc::SYS_prlimit64, libc::SYS_sched_setaffinity] {
        let of_another = condition(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, 0)?;
        rules.insert(call, vec![SeccompRule::new(vec![of_another])?]);
    }
    rules.extend(always(STEERS.iter().copied()));
    rules.insert(libc::SYS_fcntl, commands(STEERED)?);
    if !starts {
        rules.extend(always(SIGNALS.iter().copied()));
        let own = u64::from(std::process::id());
        let to_another = condition(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, own)?;
        rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![to_another])?]);
        let process = mask(0, libc::CLONE_THREAD, 0)?;
        rules.insert(libc::SYS_clone, vec![process]);
        #[cfg(target_arch = "x86_64")]
        rules.extend(always([libc::SYS_fork, libc::SYS_vfork]));
    }
    Ok(rules)
}

/// The list of what may be done, with the arguments where they matter.
fn allowed(calls: Calls, has_landlock: bool) -> Result<Rules, BackendError> {
    let mut rules = always(COMPUTE.iter().copied());
    // These two get their answer from another program of this list.
    rules.extend(always([libc::SYS_clone3, libc::SYS_memfd_create]));
    // Memory of its own: what is shared is counted by no limit.
    let is_private = mask(3, libc::MAP_TYPE, libc::MAP_PRIVATE)?;
    rules.insert(libc::SYS_mmap, vec![is_private]);
    // Looking at its limits, and not changing them.
    let only_looks = SeccompRule::new(vec![condition(
        2,
        SeccompCmpArgLen::Qword,
        SeccompCmpOp::Eq,
        0,
    )?])?;
    rules.insert(libc::SYS_prlimit64, vec![only_looks]);
    rules.insert(libc::SYS_fcntl, commands(ASKED)?);
    // How a process ends itself.
    let own = u64::from(std::process::id());
    let to_itself = condition(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, own)?;
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![to_itself])?]);
    if has_landlock {
        // Landlock has the last word: what was handed over by its number is all that can be opened.
        let not_to_write = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC;
        let only_reads = mask(2, not_to_write, libc::O_RDONLY)?;
        rules.insert(libc::SYS_openat, vec![only_reads]);
    }
    if calls == Calls::ComputeWithThreads {
        let thread = mask(0, libc::CLONE_THREAD, libc::CLONE_THREAD)?;
        rules.insert(libc::SYS_clone, vec![thread]);
    }
    Ok(rules)
}

/// That the second argument is one of these.
fn commands(all: &[i32]) -> Result<Vec<SeccompRule>, BackendError> {
    let one = |command: &i32| {
        let command = command.cast_unsigned().into();
        let is = condition(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, command)?;
        SeccompRule::new(vec![is])
    };
    all.iter().map(one).collect()
}

/// On `x86_64` each call has a second number, of the x32 ABI, which a list of numbers that are refused does not know:
/// whoever uses one is ended.
fn other_numbers() -> Vec<BpfProgram> {
    const X32: u32 = 0x4000_0000;
    // Load the number; is it one of those; end the process, or go on.
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let program = vec![
        step(0x20, 0, 0, 0),
        step(0x35, 0, 1, X32),
        step(0x06, 0, 0, 0x8000_0000),
        step(0x06, 0, 0, 0x7fff_0000),
    ];
    match cfg!(target_arch = "x86_64") {
        true => vec![program],
        false => Vec::new(),
    }
}

/// That these bits of an argument are those.
fn mask(argument: u8, bits: i32, are: i32) -> Result<SeccompRule, BackendError> {
    let (bits, are) = (bits.cast_unsigned().into(), are.cast_unsigned().into());
    SeccompRule::new(vec![condition(
        argument,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(bits),
        are,
    )?])
}

fn condition(
    argument: u8,
    length: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, length, operator, value)
}
