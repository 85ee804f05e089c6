//! A process that has given up its rights has none: this test binary plays it, and tries.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says what is wrong by failing"
)]

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Output, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use weir_confine::{Access, Calls, Limit, Network, Probe, Reachable, Resource, Rights};

/// A program that does nothing, well.
const TRUE: &str = "/usr/bin/true";
/// What a process says that did what it should not.
const DONE: &str = "done:";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["play", part, calls, more @ ..] = &words[..] {
        return play(part, calls, more);
    }
    let trials = [
        (
            "a_computing_process_can_read_write_connect_start_and_look_at_nothing",
            probes as fn() -> Result<(), Failed>,
        ),
        (
            "whoever_starts_another_program_in_its_place_is_ended",
            executes,
        ),
        ("threads_start_where_they_may_and_nowhere_else", threads),
        ("what_it_was_started_with_is_closed", inherits),
        (
            "a_process_that_reaches_out_touches_its_own_folder_and_no_other",
            reaches,
        ),
        (
            "a_process_that_reaches_out_connects_to_its_ports_alone_and_listens_to_nobody",
            connects,
        ),
        (
            "one_that_reaches_out_starts_nothing_or_just_what_it_may",
            starts,
        ),
        ("its_limits_are_set_and_cannot_be_raised", limits),
        ("memory_that_no_limit_counts_is_refused", shares),
        ("what_is_in_force_is_told", told),
    ];
    let trials = trials.map(|(name, run)| Trial::test(name, run));
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

fn rights(calls: Calls, files: Vec<Reachable>) -> Rights {
    Rights {
        files,
        network: Network::default(),
        calls,
        limits: vec![
            Limit::fixed(Resource::Data, 512 << 20),
            Limit::fixed(Resource::OpenFiles, 32),
            Limit::fixed(Resource::CoreDump, 0),
        ],
        dies_with_parent: true,
    }
}

/// Starts this binary in a part.
fn started(part: &str, calls: &str, more: &[&str]) -> Output {
    let mut command = playing(part, calls, more);
    command.output().unwrap()
}

fn playing(part: &str, calls: &str, more: &[&str]) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "this test binary, as a process that confines itself"
    )]
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["play", part, calls]).args(more);
    command.env_clear().stdin(Stdio::null());
    command
}

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    format!("{text}{words} ({})", output.status)
}

/// One process that gives up its rights, and what it tries.
fn play(part: &str, calls: &str, more: &[&str]) -> ExitCode {
    let calls = match calls {
        "compute" => Calls::Compute,
        "threads" => Calls::ComputeWithThreads,
        "start" => Calls::ReachAndStart,
        _ => Calls::Reach,
    };
    let files = match more {
        [own, ..] if part == "reach" => vec![Reachable {
            path: PathBuf::from(own),
            access: Access::Write,
        }],
        _ => Vec::new(),
    };
    let files = match more {
        [] if part == "start" => runnable(),
        _ => files,
    };
    let mut rights = rights(calls, files);
    if let ("connect", [own, _]) = (part, more) {
        rights.network.tcp = vec![own.parse().unwrap()];
    }
    let begun = weir_confine::begin(&rights).unwrap();
    let confinement = begun.finish().unwrap();
    match (part, more) {
        ("probe", _) => {
            for probe in Probe::ALL {
                match probe.attempt() {
                    Ok(refused) => println!("{probe}: {}", refused.0),
                    Err(what) => println!("{DONE} {what}"),
                }
            }
        }
        ("execute", _) => {
            #[expect(clippy::disallowed_methods, reason = "an attempt that has to fail")]
            let error = Command::new("/proc/self/exe").exec();
            println!("{DONE} it is still here: {error}");
        }
        ("thread", _) => match std::thread::Builder::new().spawn(|| 7) {
            Ok(thread) => println!("a thread came to {}", thread.join().unwrap()),
            Err(e) => println!("no thread: {e}"),
        },
        ("inherit", [number]) => {
            let path = format!("/proc/self/fd/{number}");
            println!("{:?}", std::fs::read_link(path).map_err(|e| e.kind()));
        }
        ("reach", [own, other]) => {
            let text =
                |r: std::io::Result<()>| r.map_or_else(|e| e.to_string(), |()| "well".into());
            let write = |dir: &str| std::fs::write(format!("{dir}/made"), b"x");
            let read = |path: &str| std::fs::read(path).map(drop);
            println!("own: {}", text(write(own)));
            println!("other: {}", text(write(other)));
            println!("read: {}", text(read(&format!("{other}/secret"))));
        }
        ("connect", [own, other]) => {
            use std::net::{Ipv4Addr, TcpListener, TcpStream};
            let to = |port: &str| TcpStream::connect((Ipv4Addr::LOCALHOST, port.parse().unwrap()));
            println!("own: {:?}", to(own).map(drop));
            println!("other: {:?}", to(other).map(drop));
            let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
            println!("listen: {:?}", bound.map(drop));
            let socket = std::os::unix::net::UnixDatagram::unbound();
            println!("socket: {:?}", socket.map(drop));
            let thread = std::thread::Builder::new().spawn(|| 7);
            println!("thread: {:?}", thread.map(|t| t.join().unwrap()));
            around_the_rules();
        }
        ("start", _) => {
            for program in [TRUE, "/bin/sh"] {
                #[expect(clippy::disallowed_methods, reason = "attempts, one of which may be")]
                let mut command = Command::new(program);
                let status = command.args(["-c", "exit 0"]).status();
                println!("{program}: {:?}", status.map(|s| s.success()));
            }
        }
        ("limit", _) => {
            use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
            let now = getrlimit(Resource::Nofile);
            let more = Rlimit {
                current: Some(1000),
                maximum: Some(1000),
            };
            println!("{:?} {:?}", now.current, setrlimit(Resource::Nofile, more));
            let mut room: Vec<u8> = Vec::new();
            println!("{}", room.try_reserve_exact(1 << 30).is_err());
        }
        ("share", _) => {
            let made = rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC);
            println!("{:?}", made.map(drop));
        }
        ("told", _) => println!("{confinement}; missing: {:?}", confinement.missing()),
        _ => println!("no such part"),
    }
    ExitCode::SUCCESS
}

/// What leads to the network, or to the process that started it, by a way that Landlock does not look at.
fn around_the_rules() {
    use rustix::net::{AddressFamily, SocketType, ipproto, socket};
    use rustix::process::{Resource, getppid, getrlimit, prlimit, test_kill_process};
    let mptcp = socket(
        AddressFamily::INET,
        SocketType::STREAM,
        Some(ipproto::MPTCP),
    );
    println!("mptcp: {:?}", mptcp.map(drop));
    let parent = getppid();
    let same = getrlimit(Resource::Nofile);
    println!(
        "limits: {:?}",
        prlimit(parent, Resource::Nofile, same).map(drop)
    );
    println!("signal: {:?}", parent.map(test_kill_process));
}

fn probes() -> Result<(), Failed> {
    for calls in ["compute", "threads"] {
        let output = started("probe", calls, &[]);
        let text = said(&output);
        assert!(output.status.success(), "{calls}: {text}");
        assert!(!text.contains(DONE), "{calls}: {text}");
        assert!(text.matches(": ").count() >= 6, "{calls}: {text}");
    }
    // The same process without it can do all of them, or the test would say nothing.
    for probe in [Probe::Read, Probe::Write, Probe::Connect, Probe::Signal] {
        assert!(probe.attempt().is_err(), "{probe}");
    }
    Ok(())
}

fn executes() -> Result<(), Failed> {
    let output = started("execute", "compute", &[]);
    assert_eq!(output.status.signal(), Some(31), "{}", said(&output));
    Ok(())
}

fn threads() -> Result<(), Failed> {
    let may = said(&started("thread", "threads", &[]));
    assert!(may.contains("a thread came to 7"), "{may}");
    let may_not = said(&started("thread", "compute", &[]));
    assert!(may_not.contains("no thread"), "{may_not}");
    Ok(())
}

fn inherits() -> Result<(), Failed> {
    let file = File::open("/etc/passwd")?;
    // Passed on, as whoever starts a host may do by mistake.
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty())?;
    let number = file.as_raw_fd().to_string();
    let text = said(&started("inherit", "reach", &[&number]));
    assert!(text.contains("NotFound"), "{text}");
    Ok(())
}

fn reaches() -> Result<(), Failed> {
    let own = scratch("own");
    let other = scratch("other");
    std::fs::write(other.join("secret"), b"x")?;
    let paths = [own.to_str().unwrap(), other.to_str().unwrap()];
    let text = said(&started("reach", "reach", &paths));
    std::fs::remove_dir_all(&own)?;
    std::fs::remove_dir_all(&other)?;
    assert!(text.contains("own: well"), "{text}");
    assert!(text.contains("other: Permission denied"), "{text}");
    assert!(text.contains("read: Permission denied"), "{text}");
    Ok(())
}

fn connects() -> Result<(), Failed> {
    let listen = || std::net::TcpListener::bind("127.0.0.1:0");
    let (own, other) = (listen()?, listen()?);
    let port = |l: &std::net::TcpListener| l.local_addr().map(|a| a.port().to_string());
    let (own, other) = (port(&own)?, port(&other)?);
    let text = said(&started("connect", "reach", &[&own, &other]));
    assert!(text.contains("own: Ok"), "{text}");
    assert!(text.contains("thread: Ok(7)"), "{text}");
    for refused in ["other", "listen", "socket", "mptcp", "limits"] {
        assert!(text.contains(&format!("{refused}: Err(")), "{text}");
    }
    assert!(text.contains("signal: Some(Err("), "{text}");
    Ok(())
}

/// What the one program needs that may be started.
fn runnable() -> Vec<Reachable> {
    let at = |path: &str, access| Reachable {
        path: path.into(),
        access,
    };
    let run = [
        TRUE,
        "/lib64/ld-linux-x86-64.so.2",
        "/lib/ld-linux-aarch64.so.1",
    ];
    let read = [
        "/lib",
        "/lib64",
        "/usr/lib",
        "/usr/lib64",
        "/etc/ld.so.cache",
    ];
    let run = run.into_iter().map(|path| at(path, Access::Run));
    let read = read.into_iter().map(|path| at(path, Access::Read));
    run.chain(read).collect()
}

fn starts() -> Result<(), Failed> {
    let text = said(&started("start", "reach", &[]));
    assert_eq!(text.matches("Err(").count(), 2, "{text}");
    let text = said(&started("start", "start", &[]));
    assert!(text.contains(&format!("{TRUE}: Ok(true)")), "{text}");
    assert!(text.contains("/bin/sh: Err("), "{text}");
    Ok(())
}

fn scratch(name: &str) -> PathBuf {
    let name = format!("weir-confine-{name}-{}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn limits() -> Result<(), Failed> {
    let text = said(&started("limit", "compute", &[]));
    assert!(text.contains("Some(32) Err("), "{text}");
    assert!(text.contains("true"), "{text}");
    Ok(())
}

fn shares() -> Result<(), Failed> {
    let text = said(&started("share", "compute", &[]));
    assert!(text.contains("Err("), "{text}");
    Ok(())
}

fn told() -> Result<(), Failed> {
    let text = said(&started("told", "compute", &[]));
    assert!(
        text.contains("seccomp") && text.contains("512 MiB of memory"),
        "{text}"
    );
    assert!(text.contains("no capabilities"), "{text}");
    Ok(())
}
