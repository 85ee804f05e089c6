//! Two sides in turn, so that a busy moment of the machine hits both; and what `/proc` says of processes.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::table::median;

/// The figures of two sides, run for run.
#[derive(Debug, Default, Clone)]
pub(crate) struct Pairs {
    /// Weir's.
    pub(crate) weir: Vec<f64>,
    /// The other's.
    pub(crate) other: Vec<f64>,
}

/// What else the figures depend on.
pub(crate) struct Machine {
    cores: usize,
    processor: String,
    kernel: String,
    /// The load of the last one, five and fifteen minutes.
    pub(crate) load: String,
}

impl Pairs {
    /// Runs both sides once unseen, then `rounds` times, the first of a pair by turns.
    ///
    /// # Errors
    /// The first run that fails, on either side.
    pub(crate) fn take(
        rounds: usize,
        mut weir: impl FnMut() -> Result<f64>,
        mut other: impl FnMut() -> Result<f64>,
    ) -> Result<Pairs> {
        let mut pairs = Pairs::default();
        weir()?;
        other()?;
        for round in 0..rounds {
            let (a, b) = if round % 2 == 0 {
                let a = weir()?;
                (a, other()?)
            } else {
                let b = other()?;
                (weir()?, b)
            };
            pairs.weir.push(a);
            pairs.other.push(b);
        }
        Ok(pairs)
    }

    /// Weir / other, pair by pair, the median: it holds when the machine's speed drifts.
    pub(crate) fn ratio(&self) -> f64 {
        let pairs = self.weir.iter().zip(&self.other);
        median(&pairs.map(|(a, b)| a / b).collect::<Vec<_>>())
    }

    /// The same with every number changed.
    pub(crate) fn map(mut self, change: impl Fn(f64) -> f64) -> Pairs {
        for number in self.weir.iter_mut().chain(&mut self.other) {
            *number = change(*number);
        }
        self
    }
}

impl Machine {
    pub(crate) fn now() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_else(|_| "unknown".to_owned());
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|l| l.strip_prefix("model name")?.split_once(": "))
            .map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned());
        Machine {
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            processor,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: read("/proc/loadavg")
                .split(' ')
                .take(3)
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "cores": self.cores, "processor": self.processor, "kernel": self.kernel, "load": self.load, "build": build() })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cores, {}, kernel {}, load {}; {} build",
            self.cores,
            self.processor,
            self.kernel,
            self.load,
            build()
        )
    }
}

fn build() -> &'static str {
    if cfg!(debug_assertions) {
        "development"
    } else {
        "release"
    }
}

/// Wall seconds of some work.
///
/// # Errors
/// The work's own.
pub(crate) fn seconds<T>(work: impl FnOnce() -> Result<T>) -> Result<f64> {
    let started = Instant::now();
    let made = work()?;
    let spent = started.elapsed().as_secs_f64();
    // Taking the result apart is no part of the work.
    drop(std::hint::black_box(made));
    Ok(spent)
}

/// A process's memory in bytes: what is resident now, and the most that ever was.
///
/// # Errors
/// It has ended, or the kernel does not say.
pub(crate) fn memory(pid: i32) -> Result<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("/proc/{pid}/status"))?;
    let field = |name: &str| -> Result<f64> {
        let line = status.lines().find_map(|l| l.strip_prefix(name));
        let kib = line.and_then(|l| l.split_whitespace().next());
        let kib: f64 = kib
            .with_context(|| format!("/proc/{pid}/status has no {name}"))?
            .parse()?;
        Ok(kib * 1024.0)
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

/// Processor seconds of a running process, summed over the threads that it has now.
///
/// # Errors
/// It has ended, or the kernel does not say.
pub(crate) fn processor(pid: i32) -> Result<f64> {
    let mut sum = 0.0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        sum += schedstat(&task?.path())?;
    }
    Ok(sum)
}

/// Processor seconds of this thread.
///
/// # Errors
/// The kernel does not say.
pub(crate) fn own_processor() -> Result<f64> {
    // The kernel brings a thread's sum up to date when the thread leaves the processor.
    std::thread::sleep(Duration::from_millis(1));
    schedstat(Path::new("/proc/thread-self"))
}

fn schedstat(task: &Path) -> Result<f64> {
    let text = fs::read_to_string(task.join("schedstat"))
        .with_context(|| format!("{}/schedstat", task.display()))?;
    let nanos = text.split_whitespace().next();
    let nanos: f64 = nanos.context("schedstat is empty")?.parse()?;
    Ok(nanos / 1e9)
}
