//! Fetches of one repository: in this process, or in one of its own whose clone is read here afterwards.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};

use weir_core::digest::CommitId;

use super::{FetchProgress, Fetched, Place, Source};
use crate::cache::{Cache, Current, Reading};
use crate::error::SourceError;
use crate::fetch;
use crate::object;
use crate::process::{Came, Elsewhere, ProcessEnd};
use crate::wire::Wire;

impl Source {
    /// Looks where the ref points, and brings what is missing. Where it has not moved, that is one small request.
    ///
    /// Whatever fails, the last good commit stays readable. `stop` is looked at several times a second, also
    /// while the server is silent; only a name look-up and a connection being made are waited for, and in a process of its
    /// own not even these.
    ///
    /// # Errors
    /// All of [`SourceError`] but `Refused`.
    pub fn fetch(
        &self,
        stop: &Arc<AtomicBool>,
        progress: &dyn Fn(FetchProgress),
    ) -> Result<Fetched, SourceError> {
        let (wire, cache) = match &self.place {
            Place::Local { path, last } => return self.look(path, last),
            Place::Remote {
                wire,
                cache,
                elsewhere: Some(elsewhere),
            } => return self.fetch_elsewhere(wire, cache, elsewhere, stop, progress),
            Place::Remote { wire, cache, .. } => (wire, cache),
        };
        let job = self.job(wire, cache, stop, progress);
        let mut reading = self.shared().ok();
        let fetched = object::walled(|| job.run(&mut reading));
        let fetched = fetched.unwrap_or_else(|why| {
            if let Some(reading) = &reading {
                reading.doubt();
            }
            Err(self.damaged(why))
        });
        self.read_from(reading);
        fetched
    }

    /// Brings one commit by its id, wherever the ref points. A local repository has what it has.
    ///
    /// # Errors
    /// As [`Source::fetch`].
    pub(crate) fn bring(
        &self,
        commit: CommitId,
        stop: &Arc<AtomicBool>,
        progress: &dyn Fn(FetchProgress),
    ) -> Result<(), SourceError> {
        match &self.place {
            Place::Local { .. } => Ok(()),
            Place::Remote {
                wire,
                cache,
                elsewhere: Some(elsewhere),
            } => {
                cache.reachable()?;
                let Came { result, doubts } = elsewhere.bring(wire, commit, stop, progress);
                self.taken(cache, result.map(|_| (commit, ())), doubts)
            }
            Place::Remote { wire, cache, .. } => {
                let job = self.job(wire, cache, stop, progress);
                let brought = object::walled(|| job.bring(commit));
                let brought = brought.map_err(|why| self.damaged(why))?;
                self.read_from(Some(brought?));
                Ok(())
            }
        }
    }

    fn fetch_elsewhere(
        &self,
        wire: &Wire,
        cache: &Cache,
        elsewhere: &Elsewhere,
        stop: &Arc<AtomicBool>,
        progress: &dyn Fn(FetchProgress),
    ) -> Result<Fetched, SourceError> {
        cache.reachable()?;
        let own = self.shared().ok();
        let doubted = own.filter(Reading::is_damaged);
        let doubted = doubted.and_then(|own| own.name());
        let Came { result, doubts } = elsewhere.fetch(wire, doubted, stop, progress);
        let said = result.and_then(|found| {
            let fetched = found.fetched();
            let fetched = fetched.ok_or_else(|| self.lied("it did not say which commit it has"))?;
            Ok((fetched.commit, fetched))
        });
        self.taken(cache, said, doubts)
    }

    /// After a process has worked on the clones: which one is read from now on, and whether it has what was said.
    fn taken<T>(
        &self,
        cache: &Cache,
        said: Result<(CommitId, T), SourceError>,
        doubts: bool,
    ) -> Result<T, SourceError> {
        let own = self.shared().ok();
        let opened = object::walled(|| cache.current());
        let opened = opened.map_err(|why| self.damaged(why)).and_then(|o| o);
        let (reading, said) = match (opened, said) {
            (Ok(Some(Current { reading, .. })), Ok((commit, said))) => {
                if object::is_there(&reading.handle(), commit) {
                    (Some(reading), Ok(said))
                } else {
                    reading.doubt();
                    let what = format!("it said that it has {commit}, and its clone has not");
                    (Some(reading), Err(self.lied(&what)))
                }
            }
            (Ok(None), Ok((commit, _))) => {
                let why = format!(
                    "the cache lost its head ({commit}); the last good state stays, the next fetch clones anew"
                );
                (own, Err(self.damaged(why)))
            }
            (Err(e), Ok(_)) => (own, Err(e)),
            // What was found wrong with it in this process counts.
            (Ok(Some(current)), Err(e)) => {
                let same = own.filter(|own| own.is(&current.reading));
                (Some(same.unwrap_or(current.reading)), Err(e))
            }
            (Ok(None) | Err(_), Err(e)) => (own, Err(e)),
        };
        if let Some(reading) = reading.as_ref().filter(|_| doubts) {
            reading.doubt();
        }
        self.read_from(reading);
        said
    }

    /// The process that fetched said what is not so.
    fn lied(&self, what: &str) -> SourceError {
        SourceError::Process {
            url: self.url.clone(),
            end: ProcessEnd::Strayed(what.to_owned()),
        }
    }

    /// The clone of this name is to be made anew, if it is the one that counts.
    pub(crate) fn doubt(&self, clone: &str) {
        let reading = self.shared().ok();
        if let Some(reading) = reading.filter(|reading| reading.name().as_deref() == Some(clone)) {
            reading.doubt();
        }
    }

    /// Whether the clone that is read is to be made anew.
    pub(crate) fn is_doubted(&self) -> bool {
        self.shared().is_ok_and(|reading| reading.is_damaged())
    }

    fn damaged(&self, why: String) -> SourceError {
        let url = self.url.clone();
        SourceError::Damaged { url, why }
    }

    fn read_from(&self, reading: Option<Reading>) {
        *self.reading.write().unwrap_or_else(PoisonError::into_inner) = reading;
    }

    fn job<'a>(
        &'a self,
        wire: &'a Wire,
        cache: &'a Cache,
        stop: &'a Arc<AtomicBool>,
        progress: &'a dyn Fn(FetchProgress),
    ) -> fetch::Job<'a> {
        fetch::Job {
            wire,
            cache,
            reference: &self.reference,
            limits: self.fetch_limits,
            tree_limits: self.tree_limits,
            stop,
            progress,
        }
    }
}
