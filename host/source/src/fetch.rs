//! One fetch: list the ref, take the pack if it moved, check that the commit is whole, and only then move our own ref.

use std::error::Error as _;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gix::ThreadSafeRepository;
use gix::protocol::handshake::Ref;
use gix::remote::Direction;
use gix_transport::client::blocking_io::Transport;
use weir_core::digest::CommitId;
use weir_core::tree::TreeLimits;

use crate::cache::{self, Cache, INCOMING, Lock};
use crate::commit;
use crate::error::SourceError;
use crate::exchange::Exchange;
use crate::object;
use crate::snapshot;
use crate::source::{FetchLimits, FetchProgress, Fetched, RefChange};
use crate::url::RefName;
use crate::wire::Wire;

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

impl<'a> Job<'a> {
    /// Fetches; `damaged` says that the cache is to be replaced, and is set where this finds it so.
    pub(crate) fn run(
        &self,
        damaged: &AtomicBool,
    ) -> Result<(Fetched, ThreadSafeRepository), SourceError> {
        let lock = self.cache.lock()?;
        self.wire.begin(self.stop)?;
        let current = self.cache.current()?;
        let had = current.as_ref().map(|(_, head)| *head);
        let exchange = self.exchange();
        let result = match current {
            Some((repo, head)) if !damaged.load(Ordering::Relaxed) => {
                self.refresh(&lock, &exchange, repo, head)
            }
            _ => self.clone_anew(&lock, &exchange, had),
        };
        match &result {
            Ok(_) => damaged.store(false, Ordering::Relaxed),
            Err(SourceError::Damaged { .. }) => damaged.store(true, Ordering::Relaxed),
            Err(_) => {}
        }
        result
    }

    /// Brings one commit by its id, wherever refs point. A clone that does not take it is replaced.
    pub(crate) fn bring(&self, commit: CommitId) -> Result<ThreadSafeRepository, SourceError> {
        let lock = self.cache.lock()?;
        self.wire.begin(self.stop)?;
        let exchange = self.exchange();
        let listed = Listed {
            name: commit.to_string(),
            commit,
        };
        if let Some((shared, _)) = self.cache.current()? {
            let repo = shared.to_thread_local();
            if !cache::has_many_packs(&repo) {
                match self.receive(&repo, &exchange, &listed) {
                    Err(SourceError::Damaged { .. }) => {}
                    result => return result.and_then(|commit| self.reopen(commit)),
                }
            }
        }
        let repo = self.cache.begin(&lock)?.to_thread_local();
        self.receive(&repo, &exchange, &listed)?;
        drop(repo);
        self.cache.publish(&lock)?;
        self.reopen(commit)
    }

    fn refresh(
        &self,
        lock: &Lock,
        exchange: &Rc<Exchange<'_>>,
        shared: ThreadSafeRepository,
        had: CommitId,
    ) -> Result<(Fetched, ThreadSafeRepository), SourceError> {
        let repo = shared.to_thread_local();
        let listed = self.list(&repo, exchange, Some(had))?;
        if listed.commit == had {
            return Ok((
                Fetched {
                    commit: had,
                    change: RefChange::Unchanged,
                },
                shared,
            ));
        }
        if cache::has_many_packs(&repo) {
            return self.clone_anew(lock, exchange, Some(had));
        }
        let commit = self.receive(&repo, exchange, &listed)?;
        let change = change(&repo, Some(had), commit);
        Ok((Fetched { commit, change }, self.reopen(had)?))
    }

    fn clone_anew(
        &self,
        lock: &Lock,
        exchange: &Rc<Exchange<'_>>,
        had: Option<CommitId>,
    ) -> Result<(Fetched, ThreadSafeRepository), SourceError> {
        let repo = self.cache.begin(lock)?.to_thread_local();
        let listed = self.list(&repo, exchange, had)?;
        let commit = self.receive(&repo, exchange, &listed)?;
        let change = change(&repo, had, commit);
        drop(repo);
        self.cache.publish(lock)?;
        Ok((Fetched { commit, change }, self.reopen(commit)?))
    }

    /// A handle that knows the new packs.
    fn reopen(&self, commit: CommitId) -> Result<ThreadSafeRepository, SourceError> {
        let current = self.cache.current()?;
        current
            .map(|(repo, _)| repo)
            .ok_or_else(|| self.damaged(format!("the cache lost its head ({commit})")))
    }

    fn exchange(&self) -> Rc<Exchange<'_>> {
        Rc::new(Exchange::begin(
            self.wire.url(),
            self.limits,
            self.stop,
            self.progress,
        ))
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
        let failed = |e: gix::Error| exchange.failure().unwrap_or_else(|| self.not_received(&e));
        let remote = self.remote(repo, &[format!("+{}:{INCOMING}", listed.name)])?;
        let connection = self.connect(&remote, exchange)?;
        let prepared = connection
            .prepare_fetch(gix::progress::Discard, Default::default())
            .map_err(failed)?;
        prepared
            .receive(gix::progress::Discard, self.stop)
            .map_err(failed)?;
        (self.progress)(FetchProgress::Checking);
        let commit = cache::commit_at(repo, INCOMING).ok_or_else(|| {
            self.damaged(format!(
                "{} does not point at a commit that was sent",
                self.reference
            ))
        })?;
        // Only what is missing or wrong counts here; what a commit must not hold is for its snapshot to refuse.
        if let Err(error @ SourceError::Damaged { .. }) =
            snapshot::tree(repo, &self.wire.url(), commit, self.tree_limits, None)
        {
            return Err(error);
        }
        let moved = cache::set_head(repo, commit);
        moved.map_err(|e| {
            SourceError::host(
                "moving the ref of the cache",
                io::Error::other(object::causes(&e)),
            )
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
    fn not_received(&self, error: &gix::Error) -> SourceError {
        let text = object::causes(error);
        if self.stop.load(Ordering::Relaxed) {
            return SourceError::Stopped {
                url: self.wire.url(),
            };
        }
        if error.is_resource_exhausted() {
            let which = format!(
                "object_bytes of {} bytes for one object ({text})",
                self.limits.object_bytes
            );
            return SourceError::Limit {
                url: self.wire.url(),
                which,
            };
        }
        let mut source = error.source();
        while let Some(e) = source {
            if let Some(io) = e
                .downcast_ref::<io::Error>()
                .filter(|e| e.raw_os_error().is_some())
            {
                return SourceError::host(
                    "writing into the cache",
                    io::Error::new(io.kind(), text),
                );
            }
            source = e.source();
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

/// How a ref moved.
pub(crate) fn change(repo: &gix::Repository, from: Option<CommitId>, to: CommitId) -> RefChange {
    match from {
        None => RefChange::First,
        Some(from) if from == to => RefChange::Unchanged,
        Some(from) if commit::is_ancestor(repo, from, to) => RefChange::FastForward { from },
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
