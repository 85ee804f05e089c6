//! What a process that fetches must not be able to do, tried for real: for `weir doctor` and the tests.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use weir_confine::{Confinement, Probe};
use weir_core::tree::TreeLimits;

use super::external::Elsewhere;
use super::external::words::Of;
use super::talk::{Lost, Talk};
use super::words::{Job, Request, Told, Word, Work};
use super::{FetchProcess, Fetching, failure, own_folder, rights};
use crate::external::{About, ExternalLimits, ExternalPolicy, Externals, Watch};
use crate::http::HttpOptions;
use crate::source::{FetchLimits, SourceConfig};
use crate::ssh::SshOptions;

/// The most attempts that a process tells of.
const MOST: usize = 100;
/// A server that nobody asks.
const URL: &str = "https://git.invalid/doctor";
/// A chart in a registry that nobody asks.
const CHART: &str = "oci://registry.invalid/doctor";

/// What a process said of itself, and what came of each attempt: how it was refused, or what was done.
#[derive(Debug)]
pub struct FetchAttempts {
    /// What confines it.
    pub confinement: Confinement,
    /// The attempts, by what was tried.
    pub attempts: Vec<(String, Result<String, String>)>,
}

/// Has a process try what it must not be able to do, confined as for a repository over https whose clone lies below this
/// folder; also to read these files.
///
/// # Errors
/// It did not start, or did not answer; the folder cannot be made.
pub fn try_fetching(
    process: &FetchProcess,
    cache_dir: &Path,
    files: &[PathBuf],
) -> Result<FetchAttempts, String> {
    let config = SourceConfig {
        name: "doctor".parse().map_err(|e| format!("{e}"))?,
        url: URL.parse().map_err(|e| format!("{e}"))?,
        reference: "main".parse().map_err(|e| format!("{e}"))?,
        cache_dir: cache_dir.to_owned(),
        credentials: None,
        http: HttpOptions::host(),
        ssh: SshOptions::host(),
        fetch_limits: FetchLimits::HOST,
        tree_limits: TreeLimits::HOST,
        fetching: Fetching::InProcess,
    };
    let own = own_folder(&config);
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&own);
    made.map_err(|e| format!("making {}: {e}", own.display()))?;
    let request = Request {
        job: Job::Repository {
            work: Work::Try {
                files: there(files),
            },
            told: Box::new(Told::of(&config)),
        },
        limits: process.limits,
        is_required: false,
    };
    let said = asked(process, &request);
    // Nothing is kept of it.
    let _ = fs::remove_dir_all(&own);
    said
}

/// The same, confined as for a chart in a registry.
///
/// # Errors
/// As of [`try_fetching`].
pub fn try_getting(
    process: &FetchProcess,
    cache_dir: &Path,
    files: &[PathBuf],
) -> Result<FetchAttempts, String> {
    let externals = Externals {
        limits: ExternalLimits::HOST,
        policy: ExternalPolicy::default(),
        http: HttpOptions::host(),
        cache_dir: cache_dir.to_owned(),
        fetching: Fetching::Process(process.clone()),
    };
    let of = Of::External(CHART.parse().map_err(|e| format!("{e}"))?);
    let stop = Arc::new(AtomicBool::new(false));
    let watch = Watch {
        since: Instant::now(),
        stop: &stop,
        progress: &|_| {},
    };
    let elsewhere = Elsewhere::new(process, &externals, of, About(CHART), watch);
    let request = elsewhere.trying(there(files));
    let (request, _incoming) = request.map_err(|e| e.to_string())?;
    asked(process, &request)
}

fn there(files: &[PathBuf]) -> Vec<OsString> {
    (files.iter().filter(|file| file.exists()))
        .map(|file| file.clone().into_os_string())
        .collect()
}

fn asked(process: &FetchProcess, request: &Request) -> Result<FetchAttempts, String> {
    talked(process, request).map_err(|lost| {
        let about = failure::About {
            url: URL.to_owned(),
            reference: String::new(),
            ssh: None,
        };
        match lost {
            Lost::Start(why) => format!("no process could be started: {why}"),
            lost => about.lost(lost).to_string(),
        }
    })
}

fn talked(process: &FetchProcess, request: &Request) -> Result<FetchAttempts, Lost> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut talk = Talk::start(process, request, process.limits.start, &stop)?;
    let stray = || Lost::Stray("it said what nobody asked".to_owned());
    let Word::Ready(report) = talk.next()? else {
        return Err(stray());
    };
    let Word::Tried(tried) = talk.next()? else {
        return Err(stray());
    };
    let said = |result: Result<String, String>| match result {
        Ok(text) => Ok(failure::text(&text)),
        Err(text) => Err(failure::text(&text)),
    };
    let tried = tried.into_iter().take(MOST);
    Ok(FetchAttempts {
        confinement: Confinement {
            landlock: report.landlock,
            filter: report.filter,
            powerless: report.powerless,
            limits: rights::of_limits(&process.limits),
        },
        attempts: tried
            .map(|(what, result)| (failure::text(&what), said(result)))
            .collect(),
    })
}

/// Tries all of it, in the process.
pub(super) fn tried(own: &Path, files: &[OsString]) -> Vec<(String, Result<String, String>)> {
    let mut all: Vec<(String, Result<String, String>)> = (Probe::ALL.iter())
        .map(|probe| (probe.to_string(), probe.attempt().map(|refused| refused.0)))
        .collect();
    let name = format!(".weir-probe-{}", std::process::id());
    let made = |path: &Path| fs::write(path, b"weir").and_then(|()| fs::remove_file(path));
    // What it is there for: a process that may do nothing would pass all of these. One that fills a file has it open.
    let written = match own.is_dir() {
        true => made(&own.join(&name)),
        false => Ok(()),
    };
    if let Err(e) = written {
        let what = format!("its own clone cannot be written to: {e}");
        all.push(("its own clone".to_owned(), Err(what)));
    }
    let mut attempt = |what: String, done: std::io::Result<()>| {
        let result = match done {
            Ok(()) => Err(format!("{what}: done")),
            Err(e) => Ok(e.to_string()),
        };
        all.push((what, result));
    };
    let beside = own.with_file_name(name);
    let its_own = if own.is_dir() { "clone" } else { "file" };
    attempt(format!("making a file beside its {its_own}"), made(&beside));
    let socket = UnixDatagram::unbound().map(drop);
    attempt("opening a socket of this machine".to_owned(), socket);
    for file in files.iter().take(MOST / 2) {
        let what = format!("reading {}", Path::new(file).display());
        attempt(what, fs::File::open(file).map(drop));
    }
    all
}
