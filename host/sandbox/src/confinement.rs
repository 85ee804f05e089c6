//! What confines the processes of a sandbox, and whether it holds: for `weir doctor` and the tests.

use weir_confine::{Confinement, Probe};

/// What a process of the sandbox does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// It compiles a component.
    Compile,
    /// It runs plugins.
    Render,
}

impl Job {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Job::Compile => "compiling",
            Job::Render => "rendering",
        }
    }
}

/// A process that was asked.
#[derive(Debug)]
pub struct Tried {
    /// What it does.
    pub job: Job,
    /// What it said; or why it did not.
    pub attempts: Result<Attempts, String>,
}

impl Tried {
    pub(crate) fn of(job: Job, attempts: Result<Attempts, String>) -> Tried {
        Tried { job, attempts }
    }
}

/// What a process said of itself, and what came of each attempt to do what it must not: how it was refused, or what was
/// done.
#[derive(Debug)]
pub struct Attempts {
    /// What confines it.
    pub confinement: Confinement,
    /// The attempts.
    pub attempts: Vec<(Probe, Result<String, String>)>,
}

impl Attempts {
    /// The attempts that were not refused, in words.
    pub fn done(&self) -> Vec<&str> {
        let done = self.attempts.iter();
        done.filter_map(|(_, result)| result.as_ref().err().map(String::as_str))
            .collect()
    }
}
