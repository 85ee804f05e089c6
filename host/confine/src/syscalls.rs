//! The lists of system calls, as programs that the kernel runs before each of them.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
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
    libc::SYS_fcntl,
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
            let mut all = vec![program(outward(starts)?, SeccompAction::Allow, refused)?];
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
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(others)?]);
    if !starts {
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
