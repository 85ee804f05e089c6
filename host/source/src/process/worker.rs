//! The process that fetches: hears what, gives up its rights, does it, says what came of it.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use weir_confine::{Confinement, Rights};

use super::external::errand::Errand;
use super::failure::Failure;
use super::notes::Notes;
use super::words::{Found, Job, LINE, Outcome, Progress, REQUEST, Report, Request, Word, Work};
use super::{FetcherLimits, attempts, rights};
use crate::error::SourceError;
use crate::source::{FetchProgress, Source, SourceConfig};

/// How often it says how many bytes have come.
const OFTEN: Duration = Duration::from_millis(100);
/// The longest text of its own that it sends, in bytes: a line has room for several, with all that JSON escapes.
const TEXT: usize = 4 << 10;

/// The process: nothing of it has been opened, and there is one thread, when this is called. `host/weir` does so from a
/// hidden word, before anything else.
///
/// # Errors
/// The request is none, the process cannot be confined, or its host is gone.
pub fn fetch_worker() -> io::Result<()> {
    let mut line = Vec::new();
    let most = REQUEST as u64 + 1;
    io::stdin().lock().take(most).read_until(b'\n', &mut line)?;
    let Request {
        job,
        limits,
        is_required,
    } = serde_json::from_slice(&line).map_err(|e| unfit(&e))?;
    drop(line);
    let task = Task::of(job).map_err(io::Error::other)?;
    let begun = weir_confine::begin(&task.rights(&limits))?;
    let confined = begun.finish()?;
    // Before its host takes the file's name away.
    let output = task.opened()?;
    let mouth = Mouth::default();
    mouth.say(&Word::Ready(report(&confined)))?;
    let missing = confined.missing_outward();
    if is_required && !missing.is_empty() {
        return mouth.say(&Word::Unconfined(missing.join(" and no ")));
    }
    if let Some((own, files)) = task.tries() {
        return mouth.say(&Word::Tried(attempts::tried(&own, files)));
    }
    let stop = Arc::new(AtomicBool::new(false));
    listen(stop.clone())?;
    tracing::subscriber::set_global_default(Notes(mouth.clone())).map_err(io::Error::other)?;
    let outcome = match (task, output) {
        (Task::Repository(work, config), _) => Word::Done(done(&work, *config, &stop, &mouth)),
        (Task::External(errand), Some(mut output)) => {
            Word::Got(errand.done(&mut output, &stop, &progress(&mouth)))
        }
        (Task::External(_), None) => return Err(io::Error::other("there is no file to fill")),
    };
    mouth.say(&outcome)
}

/// What it is told to do, as it is meant.
enum Task {
    Repository(Work, Box<SourceConfig>),
    External(Box<Errand>),
}

impl Task {
    fn of(job: Job) -> Result<Task, String> {
        match job {
            Job::Repository { work, told } => match told.config() {
                Ok(config) => Ok(Task::Repository(work, Box::new(config))),
                Err(e) => Err(e.to_string()),
            },
            Job::External(told) => Errand::of(*told).map(|e| Task::External(Box::new(e))),
        }
    }

    fn rights(&self, limits: &FetcherLimits) -> Rights {
        match self {
            Task::Repository(_, config) => rights::of(config, limits),
            Task::External(errand) => rights::of_errand(errand, limits),
        }
    }

    /// The file that it fills, where it fills one.
    fn opened(&self) -> io::Result<Option<File>> {
        match self {
            Task::Repository(..) => Ok(None),
            Task::External(errand) => errand.open().map(Some),
        }
    }

    /// What it may write to, and the files that it is to try to read, where it is to try what must not be possible.
    fn tries(&self) -> Option<(PathBuf, &[OsString])> {
        match self {
            Task::Repository(Work::Try { files }, config) => {
                Some((super::own_folder(config), files))
            }
            Task::Repository(..) => None,
            Task::External(errand) => Some((errand.output().to_owned(), errand.tries()?)),
        }
    }
}

/// What is wrong with a request: where, and nothing of it, since it may hold a secret.
fn unfit(e: &serde_json::Error) -> io::Error {
    let at = e.column();
    io::Error::other(format!(
        "this is a process that a host starts to fetch with, and it was told nothing that it understands (column {at})"
    ))
}

/// What is said over standard output, a line at a time.
#[derive(Clone, Default)]
pub(super) struct Mouth(Arc<Mutex<()>>);

impl Mouth {
    pub(super) fn say(&self, word: &Word) -> io::Result<()> {
        let mut line = serde_json::to_vec(word)?;
        if line.len() >= LINE {
            return Err(io::Error::other("there is too much to say at once"));
        }
        line.push(b'\n');
        let _turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = io::stdout().lock();
        out.write_all(&line)?;
        out.flush()
    }
}

/// Stops when the host says nothing more: it has closed its end, or is gone.
fn listen(stop: Arc<AtomicBool>) -> io::Result<()> {
    let hear = move || {
        // Whatever comes: nothing more is to be said.
        let _ = io::stdin().lock().read(&mut [0]);
        stop.store(true, Ordering::Relaxed);
    };
    std::thread::Builder::new()
        .name("fetch-stop".into())
        .spawn(hear)
        .map(drop)
}

/// Says how far it is, and only now and then how many bytes have come.
fn progress(mouth: &Mouth) -> impl Fn(FetchProgress) {
    let last: Cell<Option<Instant>> = Cell::new(None);
    move |how: FetchProgress| {
        let how = Progress::from(how);
        if matches!(how, Progress::Receiving(_)) {
            if last.get().is_some_and(|at| at.elapsed() < OFTEN) {
                return;
            }
            last.set(Some(Instant::now()));
        }
        // A host that is gone ends this process, and one that does not listen hears the end.
        let _ = mouth.say(&Word::Progress(how));
    }
}

fn done(work: &Work, config: SourceConfig, stop: &Arc<AtomicBool>, mouth: &Mouth) -> Outcome {
    let progress = progress(mouth);
    let source = match Source::open(config) {
        Ok(source) => source,
        Err(e) => {
            return Outcome {
                result: Err(failure(e)),
                doubts: false,
            };
        }
    };
    let result = match work {
        Work::Fetch { doubted } => {
            if let Some(clone) = doubted {
                source.doubt(clone);
            }
            source.fetch(stop, &progress).map(Found::of)
        }
        Work::Bring { commit } => match commit.parse() {
            Ok(commit) => source
                .bring(commit, stop, &progress)
                .map(|()| Found::Brought),
            Err(e) => Err(SourceError::BadUrl {
                url: source.url().to_owned(),
                why: format!("{e}"),
            }),
        },
        Work::Try { .. } => Ok(Found::Brought),
    };
    Outcome {
        doubts: result.is_err() && source.is_doubted(),
        result: result.map_err(failure),
    }
}

/// Texts are cut where they would not fit into a line; none of ours is as long.
fn failure(error: SourceError) -> Failure {
    let long = error.to_string().len() > TEXT;
    match Failure::of(error) {
        Failure::Unreachable(why) if long => Failure::Unreachable(cut(&why)),
        Failure::NotFound(why) if long => Failure::NotFound(cut(&why)),
        Failure::Damaged(why) if long => Failure::Damaged(cut(&why)),
        Failure::BadUrl(why) if long => Failure::BadUrl(cut(&why)),
        other => other,
    }
}

fn cut(text: &str) -> String {
    super::failure::text(text)
}

fn report(confined: &Confinement) -> Report {
    Report {
        landlock: confined.landlock,
        filter: confined.filter,
        powerless: confined.powerless,
    }
}
