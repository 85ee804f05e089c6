//! What the answers of a view depend on.

use crate::name::RepoPath;

/// What an answer depends on: something in the tree that would have to change before the answer does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watch {
    /// What lies at this path, to the byte.
    Content(RepoPath),
    /// What kind of thing lies at this path.
    Kind(RepoPath),
    /// Whether a link lies at this path, which could lead to where more is seen.
    Link(RepoPath),
    /// What lies in this directory, to the byte, but for what is below its directories.
    Items(RepoPath),
    /// The externals that are shown.
    Externals,
}

/// What an answer depends on, where somebody wants to know.
pub(super) struct Trail(pub(super) Option<Vec<Watch>>);

impl Trail {
    /// Nobody wants to know.
    pub(super) fn none() -> Trail {
        Trail(None)
    }

    pub(super) fn see(&mut self, watch: impl FnOnce() -> Watch) {
        if let Some(all) = &mut self.0 {
            all.push(watch());
        }
    }
}

/// Where the rest of a path (the last part first) ends, where it goes straight down.
pub(super) fn straight_down(at: &RepoPath, rest: &[String]) -> Option<RepoPath> {
    let mut parts = rest.iter().rev();
    parts.try_fold(at.clone(), |at, part| match part.as_str() {
        ".." => None,
        part => at.join(part).ok(),
    })
}
