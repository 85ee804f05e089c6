//! What a followed repository says of a commit before it is followed, and the commit that stays followed instead.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use gix::objs::Kind;
use weir_core::commit_policy::{CommitPolicy, Facts};
use weir_core::digest::CommitId;

use super::{Place, Source};
use crate::cache;
use crate::error::SourceError;
use crate::history::HistoryLimits;
use crate::judged::{Budget, Compared, HostKeys, Job};
use crate::object;

impl Source {
    /// What a commit is judged by, as far as it can be known here. What cannot is said in the facts.
    ///
    /// # Errors
    /// `Unreachable` where nothing was fetched yet; `Damaged` where the reader of Git's files gave up.
    pub fn facts(
        &self,
        policy: &CommitPolicy,
        keys: &HostKeys,
        compared: Compared,
        limits: HistoryLimits,
    ) -> Result<Facts, SourceError> {
        let reading = self.shared()?;
        let repo = reading.handle();
        let job = Job {
            repo: &repo,
            policy,
            keys,
            limits,
            tree_limits: self.tree_limits,
            budget: Budget::whole(),
        };
        let facts = object::walled(|| job.facts(compared)).map_err(|why| {
            reading.doubt();
            let url = self.url.clone();
            SourceError::Damaged { url, why }
        })?;
        // What is missing may be a file that is damaged: then the clone is made anew, and the commit judged again.
        if job.budget.has_hole.get()
            && !reading.is_damaged()
            && let Some(why) = reading.broken()
        {
            reading.damaged(&why);
        }
        Ok(facts)
    }

    /// Has a commit here that is wherever the ref points: brings it where it is missing. The ref stays.
    ///
    /// # Errors
    /// As [`Source::fetch`].
    pub fn keep(&self, commit: CommitId, stop: &Arc<AtomicBool>) -> Result<(), SourceError> {
        let has = |id| {
            let repo = self.handle();
            repo.is_ok_and(|repo| object::read(&repo, id, Kind::Commit).is_ok())
        };
        if has(commit) {
            return Ok(());
        }
        let head = self.last_good();
        self.bring(commit, stop, &|_| {})?;
        let (Some(head), Place::Remote { cache, .. }) = (head, &self.place) else {
            return Ok(());
        };
        if !has(head) {
            // It is not in a clone that was made anew: the next fetch brings it.
            return Ok(());
        }
        let lock = cache.lock(stop, self.fetch_limits.deadline)?;
        let _lock = lock.ok_or_else(|| SourceError::Stopped {
            url: self.url.clone(),
        })?;
        cache::set_head(&self.handle()?, head).map_err(|e| {
            let e = io::Error::other(object::causes(&e));
            SourceError::host("moving the ref of the cache back", e)
        })
    }
}
