//! Revisions and what a commit says of itself.

use std::sync::atomic::{AtomicBool, Ordering};

use gix::bstr::ByteSlice as _;
use gix::objs::Kind;
use weir_core::digest::CommitId;

use crate::error::{SourceError, printable};
use crate::object;

/// Who wrote or committed, as the commit says: nobody has checked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The email address.
    pub email: String,
}

/// What a commit says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its id.
    pub id: CommitId,
    /// Who wrote the change.
    pub author: Person,
    /// Who made the commit.
    pub committer: Person,
    /// When it was committed, in seconds since 1970 (UTC).
    pub time: i64,
    /// The first line of its message.
    pub subject: String,
    /// The commits before it, none for the first one.
    pub parents: Vec<CommitId>,
}

pub(crate) fn info(
    repo: &gix::Repository,
    url: &str,
    id: CommitId,
) -> Result<CommitInfo, SourceError> {
    let damaged = |why: String| SourceError::Damaged {
        url: url.to_owned(),
        why,
    };
    let data = object::read(repo, id, Kind::Commit).map_err(|e| damaged(e.text(id)))?;
    let commit = gix::objs::CommitRef::from_bytes(&data, gix::hash::Kind::Sha1)
        .map_err(|e| damaged(format!("commit {id}: {}", object::causes(&e))))?;
    let committer = commit.committer();
    Ok(CommitInfo {
        id,
        author: person(commit.author()),
        time: committer.as_ref().map_or(0, |c| c.seconds()),
        committer: person(committer),
        subject: printable(&commit.message().summary().to_str_lossy()),
        parents: commit
            .parents()
            .filter_map(|p| object::from_gix(&p))
            .collect(),
    })
}

/// A line that Git would not have written is shown as such: it says nothing about the files of the commit.
fn person(signature: gix::Result<gix::actor::SignatureRef<'_>>) -> Person {
    match signature {
        Ok(s) => Person {
            name: printable(&s.name.to_str_lossy()),
            email: printable(&s.email.to_str_lossy()),
        },
        Err(_) => Person {
            name: "(malformed)".into(),
            email: String::new(),
        },
    }
}

/// The commit that a revision names: an id, a branch, a tag, `HEAD~1`.
///
/// `replaced` is what is looked up instead of `rev`, which is only for the error's text then.
pub(crate) fn resolve(
    repo: &gix::Repository,
    url: &str,
    rev: &str,
    replaced: Option<&str>,
) -> Result<CommitId, SourceError> {
    let not_found = || SourceError::RefNotFound {
        url: url.to_owned(),
        reference: format!("revision {:?}", printable(rev)),
        had: None,
    };
    if rev.is_empty()
        || rev.len() > 512
        || rev.starts_with('-')
        || rev.chars().any(char::is_control)
    {
        return Err(not_found());
    }
    let id = repo
        .rev_parse_single(replaced.unwrap_or(rev))
        .map_err(|e| {
            tracing::debug!(rev, error = %object::causes(&e), "revision not resolved");
            not_found()
        })?;
    let object = id.object().map_err(|_| not_found())?;
    let commit = object.peel_to_kind(Kind::Commit).map_err(|_| not_found())?;
    object::from_gix(&commit.id).ok_or_else(not_found)
}

/// How many commits are walked to tell a fast-forward from a rewrite. Beyond it, a change counts as a rewrite.
const WALK: usize = 100_000;

/// Whether `new` has `old` among its ancestors. It is looked for until `rings`.
pub(crate) fn is_ancestor(
    repo: &gix::Repository,
    old: CommitId,
    new: CommitId,
    rings: &AtomicBool,
) -> bool {
    let (old, new) = (object::to_gix(old), object::to_gix(new));
    let Ok(walk) = repo.rev_walk([new]).all() else {
        return false;
    };
    walk.take(WALK)
        .take_while(|_| !rings.load(Ordering::Relaxed))
        .map_while(Result::ok)
        .any(|commit| commit.id == old)
}
