//! One fetch: list the ref, take the pack if it moved, check that the commit is whole, and only then move our own ref.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gix::protocol::handshake::Ref;
use gix::remote::Direction;
use gix_transport::client::blocking_io::Transport;
use weir_core::digest::CommitId;
use weir_core::tree::TreeLimits;

use crate::cache::{self, Cache, Current, Grown, INCOMING, Lock, Reading};
use crate::commit;
use crate::error::SourceError;
use crate::exchange::Exchange;
use crate::object;
use crate::snapshot;
use crate::source::{FetchLimits, FetchProgress, Fetched, RefChange};
use crate::url::RefName;
use crate::wire::Wire;

pub(crate) mod alarm;

/// All that one fetch works with.
pub(crate) struct Job<'a> {
    pub(crate) wire: &'a Wire,
    pub(crate) cache: &'a Cache,
    pub(crate) reference: &'a RefName,
    pub(crate) limits: FetchLimits,
    pub(crate) tree_limits: TreeLimits,
    pub(crate) stop: &'a Arc<AtomicBool>,
    pub(crate) progress: &'a dyn Fn(FetchProgress),
}

/// What the server says of the ref: the name to ask for, and the commit (tags followed where the server does).
struct Listed {
    name: String,
    commit: CommitId,
}

/// What a fetch has found, with the clone that has it.
type Found = (Fetched, Reading);

impl<'a> Job<'a> {
    /// Fetches. `own` is the clone that was read last; on an error it is the one that is to be read from then on.
    pub(crate) fn run(&self, own: &mut Option<Reading>) -> Result<Fetched, SourceError> {
        let lock = self.lock()?;
        self.wire.begin(self.stop)?;
        let mut current = self.cache.current()?;
        if let (Some(current), Some(own)) = (current.as_mut(), own.as_ref())
            && current.reading.is(own)
            && !current.reading.is_damaged()
        {
            // What was found wrong with it in this process counts.
            current.reading = own.clone();
        }
        let exchange = self.exchange()?;
        let had = current.as_ref().map(|current| current.head);
        let result = match &current {
            Some(current) if !current.reading.is_damaged() => {
                self.refresh(&lock, &exchange, current)
            }
            _ => self.clone_anew(&lock, &exchange, had),
        };
        match result {
            Ok((fetched, reading)) => {
                *own = Some(reading);
                Ok(fetched)
            }
            Err(error) => {
                if let Some(current) = current {
                    match &error {
                        // What came lies in the clone now, and would be taken for whole.
                        SourceError::Damaged { why, .. } if exchange.is_taken() => {
                            current.reading.damaged(why);
                        }
                        SourceError::Damaged { .. } => current.reading.doubt(),
                        _ => {}
                    }
                    *own = Some(current.reading);
                }
                Err(error)
            }
        }
    }

    /// Brings one commit by its id, wherever refs point. A clone that does not take it is replaced.
    pub(crate) fn bring(&self, commit: CommitId) -> Result<Reading, SourceError> {
        let lock = self.lock()?;
        self.wire.begin(self.stop)?;
        let exchange = self.exchange()?;
        let listed = Listed {
            name: commit.to_string(),
            commit,
        };
        if let Some(current) = self.cache.current()?
            && !current.reading.is_damaged()
            && current.reading.grown(&self.limits.cache).is_none()
        {
            let repo = current.reading.handle();
            match self.receive(&repo, &exchange, &listed) {
                Err(SourceError::Damaged { .. }) => {}
                result => return result.and_then(|commit| self.reopen(commit)),
            }
        }
        self.replace(&lock, |repo| self.receive(repo, &exchange, &listed))?;
        self.reopen(commit)
    }

    fn refresh(
        &self,
        lock: &Lock,
        exchange: &Rc<Exchange<'_>>,
        current: &Current,
    ) -> Result<Found, SourceError> {
        let Current { reading, head: had } = current;
        let repo = reading.handle();
        let listed = self.list(&repo, exchange, Some(*had))?;
        if listed.commit == *had {
            let change = RefChange::Unchanged;
            let commit = *had;
            return Ok((Fetched { commit, change }, reading.clone()));
        }
        if let Some(grown) = reading.grown(&self.limits.cache)
            && let Some(result) = self.smaller(lock, current, &grown)
        {
            return result;
        }
        let commit = self.receive(&repo, exchange, &listed)?;
        let change = change(&repo, Some(*had), commit, exchange.rings());
        Ok((Fetched { commit, change }, self.reopen(*had)?))
    }

    /// A clone that fetches have made large is made anew beside it. Where that fails and need not be, none: then it
    /// grows some more, and it is tried again later.
    fn smaller(
        &self,
        lock: &Lock,
        current: &Current,
        grown: &Grown,
    ) -> Option<Result<Found, SourceError>> {
        let result = self
            .exchange()
            .and_then(|exchange| self.clone_anew(lock, &exchange, Some(current.head)));
        let (url, why) = (self.wire.url(), &grown.why);
        match result {
            Ok(found) => {
                tracing::info!(%url, "the clone was made anew: {why}");
                Some(Ok(found))
            }
            Err(
                error @ (SourceError::Limit { .. }
                | SourceError::Damaged { .. }
                | SourceError::Unreachable { .. }
                | SourceError::NoSpace { .. }
                | SourceError::Host { .. }),
            ) if !grown.must => {
                tracing::warn!(%url, "the clone cannot be made anew yet ({why}): {error}");
                current.reading.later(grown, &self.limits.cache);
                None
            }
            Err(error) => Some(Err(error)),
        }
    }

    fn clone_anew(
        &self,
        lock: &Lock,
        exchange: &Rc<Exchange<'_>>,
        had: Option<CommitId>,
    ) -> Result<Found, SourceError> {
        let fetched = self.replace(lock, |repo| {
            let listed = self.list(repo, exchange, had)?;
            let commit = self.receive(repo, exchange, &listed)?;
            let change = change(repo, had, commit, exchange.rings());
            Ok(Fetched { commit, change })
        })?;
        Ok((fetched, self.reopen(fetched.commit)?))
    }

    /// Fills a new clone, and makes it the one that counts. Nothing is left of one that could not be filled.
    fn replace<T>(
        &self,
        lock: &Lock,
        fill: impl FnOnce(&gix::Repository) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let filled = self
            .cache
            .begin(lock)
            .and_then(|new| fill(&new.to_thread_local()))
            .and_then(|filled| self.cache.publish(lock).map(|()| filled));
        if filled.is_err() {
            self.cache.abandon(lock);
        }
        filled
    }

    /// A handle that knows the new packs.
    fn reopen(&self, commit: CommitId) -> Result<Reading, SourceError> {
        let current = self.cache.current()?;
        current
            .map(|current| current.reading)
            .ok_or_else(|| self.damaged(format!("the cache lost its head ({commit})")))
    }

    fn lock(&self) -> Result<Lock, SourceError> {
        let lock = self.cache.lock(self.stop, self.limits.deadline)?;
        lock.ok_or_else(|| SourceError::Stopped {
            url: self.wire.url(),
        })
    }

    fn exchange(&self) -> Result<Rc<Exchange<'_>>, SourceError> {
        let exchange = Exchange::begin(self.wire.url(), self.limits, self.stop, self.progress)?;
        Ok(Rc::new(exchange))
    }

    /// Where the ref points on the server: a branch of that name before a tag.
    fn list(
        &self,
        repo: &gix::Repository,
        exchange: &Rc<Exchange<'_>>,
        had: Option<CommitId>,
    ) -> Result<Listed, SourceError> {
        let names = self.reference.candidates();
        let not_understood = |e: &gix::Error| {
            exchange.unreachable(format!(
                "its answer is not understood: {}",
                object::causes(e)
            ))
        };
        let failed = |e: gix::Error| exchange.failure().unwrap_or_else(|| not_understood(&e));
        // HEAD as well: it tells an empty repository from a ref that is not there.
        let mut asked = names.clone();
        asked.extend((!names.iter().any(|n| n == "HEAD")).then(|| "HEAD".to_owned()));
        let remote = self.remote(repo, &asked)?;
        let options = gix::remote::ref_map::Options::default();
        let (map, _) = self
            .connect(&remote, exchange)?
            .ref_map(gix::progress::Discard, options)
            .map_err(failed)?;
        names
            .iter()
            .find_map(|name| map.remote_refs.iter().find_map(|r| listed(r, name)))
            .ok_or_else(|| self.not_listed(&map.remote_refs, had))
    }

    fn not_listed(&self, refs: &[Ref], had: Option<CommitId>) -> SourceError {
        let (url, reference) = (self.wire.url(), self.reference.to_string());
        if had.is_none() && refs.iter().all(|r| matches!(r, Ref::Unborn { .. })) {
            return SourceError::Empty { url, reference };
        }
        SourceError::RefNotFound {
            url,
            reference,
            had,
        }
    }

    /// Takes the pack, and moves our ref when its commit is whole.
    fn receive(
        &self,
        repo: &gix::Repository,
        exchange: &Rc<Exchange<'_>>,
        listed: &Listed,
    ) -> Result<CommitId, SourceError> {
        let failed = |e: gix::Error| {
            exchange
                .failure()
                .unwrap_or_else(|| self.not_received(exchange, &e))
        };
        exchange.builds_on(repo);
        let remote = self.remote(repo, &[format!("+{}:{INCOMING}", listed.name)])?;
        let connection = self.connect(&remote, exchange)?;
        let prepared = connection
            .prepare_fetch(gix::progress::Discard, Default::default())
            .map_err(failed)?;
        prepared
            .receive(gix::progress::Discard, exchange.rings())
            .map_err(failed)?;
        exchange.has_taken();
        (self.progress)(FetchProgress::Checking);
        let commit = cache::commit_at(repo, INCOMING).ok_or_else(|| {
            self.damaged(format!(
                "{} does not point at a commit that was sent",
                self.reference
            ))
        })?;
        // Only what is missing or wrong counts here; what a commit must not hold is for its snapshot to refuse.
        if let Err(error @ (SourceError::Damaged { .. } | SourceError::Collision { .. })) =
            snapshot::tree(repo, &self.wire.url(), commit, self.tree_limits, None)
        {
            return Err(error);
        }
        let moved = cache::set_head(repo, commit);
        moved.map_err(|e| {
            let said = object::system_error(&e);
            let said = said.unwrap_or_else(|| io::Error::other(object::causes(&e)));
            self.cache.host("moving the ref of", said)
        })?;
        Ok(commit)
    }

    fn remote<'r>(
        &self,
        repo: &'r gix::Repository,
        specs: &[String],
    ) -> Result<gix::Remote<'r>, SourceError> {
        let make = || -> gix::Result<gix::Remote<'r>> {
            repo.remote_at_without_url_rewrite(self.wire.url().as_str())?
                .with_fetch_tags(gix::remote::fetch::Tags::None)
                .with_refspecs(specs.iter().map(String::as_str), Direction::Fetch)
        };
        make().map_err(|e| SourceError::BadUrl {
            url: self.wire.url(),
            why: object::causes(&e),
        })
    }

    fn connect<'b, 'r>(
        &self,
        remote: &'b gix::Remote<'r>,
        exchange: &Rc<Exchange<'b>>,
    ) -> Result<gix::remote::Connection<'b, 'static, 'r, Box<dyn Transport + 'b>>, SourceError>
    where
        'a: 'b,
    {
        let transport = self.wire.connect(exchange)?;
        // Our client has the credentials; Git's helpers, which are programs, are never asked.
        Ok(remote
            .to_connection_with_transport(transport)
            .with_credentials(|_| Ok(None))
            .with_transport_options(Box::new(())))
    }

    /// Why gix could not take a pack where the exchange itself was fine.
    fn not_received(&self, exchange: &Exchange<'_>, error: &gix::Error) -> SourceError {
        let (url, text) = (self.wire.url(), object::causes(error));
        if self.stop.load(Ordering::Relaxed) {
            return SourceError::Stopped { url };
        }
        if exchange.has_rung() {
            return exchange.unreachable("the fetch took longer than its deadline");
        }
        if object::is_collision(error) {
            let what = "in the pack that was sent".to_owned();
            return SourceError::Collision { url, what };
        }
        if error.is_resource_exhausted() {
            let which = format!(
                "object_bytes of {} bytes for one object ({text})",
                self.limits.object_bytes
            );
            return SourceError::Limit { url, which };
        }
        if let Some(said) = object::system_error(error) {
            return self.cache.host("writing into", said);
        }
        self.damaged(format!("the pack that was sent cannot be used: {text}"))
    }

    fn damaged(&self, why: String) -> SourceError {
        SourceError::Damaged {
            url: self.wire.url(),
            why: format!("{why}; the last good state stays, the next fetch clones anew"),
        }
    }
}

/// How a ref moved. Where it takes longer than until `rings`, it counts as rewritten.
pub(crate) fn change(
    repo: &gix::Repository,
    from: Option<CommitId>,
    to: CommitId,
    rings: &AtomicBool,
) -> RefChange {
    match from {
        None => RefChange::First,
        Some(from) if from == to => RefChange::Unchanged,
        Some(from) if commit::is_ancestor(repo, from, to, rings) => RefChange::FastForward { from },
        Some(from) => RefChange::Rewritten { from },
    }
}

fn listed(reference: &Ref, wanted: &str) -> Option<Listed> {
    let (name, object, target) = match reference {
        Ref::Peeled {
            full_ref_name,
            object,
            ..
        }
        | Ref::Direct {
            full_ref_name,
            object,
        } => (full_ref_name, object, None),
        Ref::Symbolic {
            full_ref_name,
            target,
            object,
            ..
        } => (full_ref_name, object, Some(target)),
        Ref::Unborn { .. } => return None,
    };
    if name != wanted {
        return None;
    }
    let name = target.unwrap_or(name).to_string();
    Some(Listed {
        name,
        commit: object::from_gix(object)?,
    })
}
