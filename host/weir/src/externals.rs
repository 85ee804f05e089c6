//! Externals on this host: which places it allows, and what a lock pins shown beside a repository's files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use weir_core::external::{Carried, LockedExternal, Reference};
use weir_core::fault::{Blame as _, Fault, Retry};
use weir_core::lock::Lock;
use weir_core::tree::{self, Snapshot, Unavailable};
use weir_source::{
    AccessHost, ExternalAccess, ExternalError, ExternalLimits, ExternalPolicy, Externals,
    FetchProgress, Fetching, HostPattern, HttpOptions, Watch,
};

use crate::error::Error;
use crate::open::blocking;
use crate::prepare::Host;
use crate::progress::{Line, external};
use crate::repository::Auth;

/// What this host's file says of externals.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExternalsConfig {
    /// The hosts that may be reached; `None` for all of https, and plain http on this machine.
    pub(crate) hosts: Option<Vec<HostPattern>>,
    /// A host runs with it, for repositories of others: this machine is reached only where `hosts` names it.
    pub(crate) shared: bool,
    /// What is shown to whom.
    pub(crate) access: Vec<Access>,
}

/// What is shown to one host.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// Which.
    pub(crate) host: AccessHost,
    /// What proves who asks. Files are read when something is fetched.
    pub(crate) auth: Auth,
    /// Certificates (PEM) to trust besides the public ones.
    pub(crate) ca_file: Option<PathBuf>,
}

/// How this host gets externals.
#[derive(Clone)]
pub(crate) struct ExternalsHere {
    config: ExternalsConfig,
    cache: PathBuf,
    fetching: Fetching,
    /// Just these, where they were carried here: nothing else is looked for anywhere.
    carried: Option<Arc<BTreeMap<Reference, Snapshot>>>,
}

impl ExternalsHere {
    /// With a cache below this folder; they are fetched so.
    pub(crate) fn new(
        config: ExternalsConfig,
        cache: &std::path::Path,
        fetching: Fetching,
    ) -> ExternalsHere {
        ExternalsHere {
            config,
            cache: cache.join("externals"),
            fetching,
            carried: None,
        }
    }

    /// Those that lie below this folder: no server is asked.
    pub(crate) fn offline(cache: &std::path::Path) -> ExternalsHere {
        let config = ExternalsConfig {
            hosts: Some(Vec::new()),
            ..ExternalsConfig::default()
        };
        ExternalsHere::new(config, cache, Fetching::InProcess)
    }

    /// The same, where just these were carried here.
    #[must_use]
    pub(crate) fn with_carried(self, carried: BTreeMap<Reference, Snapshot>) -> ExternalsHere {
        ExternalsHere {
            carried: Some(Arc::new(carried)),
            ..self
        }
    }

    /// What was carried here of a reference; the outer `None` where nothing was carried at all.
    fn carried(&self, reference: &Reference) -> Option<Result<Snapshot, Unavailable>> {
        let carried = self.carried.as_ref()?.get(reference).cloned();
        Some(carried.ok_or_else(|| Unavailable {
            why: format!("external `{reference}`: it is not in the bundle").into(),
            fault: Fault::Host,
            retry: Retry::OnChange,
        }))
    }

    /// Ready to fetch: credentials are read now, so that they may change while a host runs.
    pub(crate) fn open(&self) -> Externals {
        let mut policy = ExternalPolicy {
            hosts: self.config.hosts.clone(),
            shared: self.config.shared,
            ..ExternalPolicy::default()
        };
        for access in &self.config.access {
            let read = access
                .auth
                .credentials()
                .map(|from| from.read())
                .transpose();
            let (credentials, unreadable) = match read {
                Ok(credentials) => (credentials, None),
                Err(e) => (None, Some(format!("its `auth` under `access`: {e}"))),
            };
            let given = ExternalAccess {
                credentials,
                unreadable,
                ca_file: access.ca_file.clone(),
            };
            policy.access.insert(access.host.clone(), given);
        }
        Externals {
            limits: ExternalLimits::HOST,
            policy,
            http: HttpOptions {
                user_agent: concat!("weir/", env!("CARGO_PKG_VERSION")).to_owned(),
                ..HttpOptions::host()
            },
            cache_dir: self.cache.clone(),
            fetching: self.fetching.clone(),
        }
    }
}

/// A snapshot with what the lock pins, and nothing else. What cannot be had fails only who looks at it.
pub(crate) async fn shown(
    host: &Arc<Host>,
    snapshot: &Snapshot,
    lock: Option<&Lock>,
) -> Result<Snapshot, Error> {
    let pinned: Vec<_> = lock.into_iter().flat_map(|l| l.externals.clone()).collect();
    if pinned.is_empty() {
        return Ok(snapshot.with_externals(tree::Externals::default()));
    }
    let (host, snapshot) = (host.clone(), snapshot.clone());
    blocking("externals", move || {
        let externals = host.externals.open();
        let stop = host.turns.ended();
        let shown = pinned.into_iter().map(|(reference, locked)| {
            let files = host.externals.carried(&reference).unwrap_or_else(|| {
                let files = show(&externals, &reference, &locked, &stop);
                files.map_err(|e| unavailable(&e))
            });
            (reference, files)
        });
        Ok(snapshot.with_externals(tree::Externals::new(shown)))
    })
    .await
}

/// The files behind one pin.
pub(crate) fn show(
    externals: &Externals,
    reference: &Reference,
    locked: &LockedExternal,
    stop: &Arc<AtomicBool>,
) -> Result<Snapshot, ExternalError> {
    watched(reference.as_str(), stop, |watch| {
        externals.show(reference, locked, watch)
    })
}

/// What is behind one pin, to be carried to another machine.
pub(crate) fn carry(
    externals: &Externals,
    reference: &Reference,
    locked: &LockedExternal,
    stop: &Arc<AtomicBool>,
) -> Result<Carried, ExternalError> {
    watched(reference.as_str(), stop, |watch| {
        externals.carry(reference, locked, watch)
    })
}

/// What a reference means now.
pub(crate) fn resolve(
    externals: &Externals,
    reference: &Reference,
    stop: &Arc<AtomicBool>,
) -> Result<(LockedExternal, Snapshot), ExternalError> {
    watched(reference.as_str(), stop, |watch| {
        externals.resolve(reference, watch)
    })
}

/// Does what may fetch, with a line for it on a person's terminal and one in the log once it does.
pub(crate) fn watched<T, E>(
    reference: &str,
    stop: &Arc<AtomicBool>,
    work: impl FnOnce(Watch<'_>) -> Result<T, E>,
) -> Result<T, E> {
    watched_since(Instant::now(), reference, stop, work)
}

/// The same for one of several fetches that share their time, which began then.
pub(crate) fn watched_since<T, E>(
    since: Instant,
    reference: &str,
    stop: &Arc<AtomicBool>,
    work: impl FnOnce(Watch<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let line = std::cell::OnceCell::new();
    let progress = |how: FetchProgress| {
        let line = line.get_or_init(|| {
            tracing::info!(external = %reference, "fetching {reference}");
            Line::begin(external(reference, &how))
        });
        line.say(external(reference, &how));
    };
    work(Watch {
        since,
        stop,
        progress: &progress,
    })
}

/// Why an external is not shown, as whoever looks at it hears it.
pub(crate) fn unavailable(error: &ExternalError) -> Unavailable {
    Unavailable {
        why: crate::error::with_causes(error).into(),
        fault: error.fault(),
        retry: error.retry(),
    }
}
