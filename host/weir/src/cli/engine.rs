//! What commands that render share: the host's sandbox and plugins, and the snapshot they look at.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use weir_api::Metrics;
use weir_core::grant::Limits;
use weir_core::name::PluginName;
use weir_core::tree::Snapshot;
use weir_core::validate::OutputLimits;
use weir_sandbox::{CompileLimits, Sandbox, SandboxConfig};
use weir_source::{RepoUrl, Source, SourceError};

use crate::config::{Isolation, Places, RepoArgs};
use crate::error::Error;
use crate::externals::ExternalsHere;
use crate::open::blocking;
use crate::plugins::Store;
use crate::prepare::{Canary, Host};
use crate::progress::{Line, fetching};
use crate::random::SecretFrom;
use crate::renders::Renders;
use crate::turns::Turns;
use crate::workers;

/// What renders need of this host, of which none runs twice.
pub(crate) fn host(places: &Places) -> Result<Arc<Host>, Error> {
    host_with(places, Store::open(places)?, canary(places, 0, None))
}

/// The canary of this host: so many percent.
pub(crate) fn canary(places: &Places, percent: u8, metrics: Option<Metrics>) -> Canary {
    Canary::new(percent, places, metrics)
}

/// What renders need of this host, with these components and this canary.
pub(crate) fn host_with(places: &Places, store: Store, canary: Canary) -> Result<Arc<Host>, Error> {
    let sandbox = sandbox(&places.cache.join("compiled"), places.isolation)?;
    Ok(Arc::new(Host {
        renders: Renders::open(places, &sandbox)?,
        sandbox,
        store,
        externals: ExternalsHere::new(
            places.externals.clone(),
            &places.cache,
            workers::fetching(places.isolation)?,
        ),
        limits: Limits::HOST,
        given: BTreeMap::new(),
        output: OutputLimits::HOST,
        turns: turns(),
        canary,
        secret: SecretFrom::Host(places.random.clone()),
    }))
}

/// The same to make one render again: from these components and externals, with these limits and random bytes, and nothing
/// that was made before.
pub(crate) fn host_to_replay(
    places: &Places,
    store: Store,
    externals: ExternalsHere,
    given: BTreeMap<PluginName, Limits>,
    secret: SecretFrom,
) -> Result<Arc<Host>, Error> {
    let sandbox = sandbox(&places.cache.join("compiled"), places.isolation)?;
    Ok(Arc::new(Host {
        renders: Renders::none(&sandbox)?,
        sandbox,
        store,
        externals,
        limits: Limits::HOST,
        given,
        output: OutputLimits::HOST,
        turns: turns(),
        canary: canary(places, 0, None),
        secret,
    }))
}

fn turns() -> Turns {
    Turns::new(std::thread::available_parallelism().map_or(2, std::num::NonZero::get))
}

/// An engine, with its compiled code in a folder.
pub(crate) fn sandbox(compiled: &Path, isolation: Isolation) -> Result<Arc<Sandbox>, Error> {
    let config = SandboxConfig {
        cache_dir: compiled.to_owned(),
        compile: workers::compile()?,
        cache_bytes: SandboxConfig::CACHE_BYTES,
        plugins_in_memory: SandboxConfig::PLUGINS_IN_MEMORY,
        compile_limits: CompileLimits::HOST,
        isolation: workers::isolation(isolation)?,
    };
    Sandbox::new(config).map_err(|e| Error::stage("start", &e))
}

/// Why a ref was not fetched.
pub(super) enum NotFetched {
    /// The repository answered, and has no such ref.
    NoSuchRef(Error),
    /// Anything else.
    Failed(Error),
}

impl From<NotFetched> for Error {
    fn from(why: NotFetched) -> Error {
        match why {
            NotFetched::NoSuchRef(e) | NotFetched::Failed(e) => e,
        }
    }
}

impl From<Error> for NotFetched {
    fn from(e: Error) -> NotFetched {
        NotFetched::Failed(e)
    }
}

/// The source, with what the ref points to fetched.
pub(super) async fn fetched(
    args: &RepoArgs,
    places: &Places,
    reference: &str,
) -> Result<Arc<Source>, NotFetched> {
    let (args, places, reference) = (args.clone(), places.clone(), reference.to_owned());
    let done = tokio::task::spawn_blocking(move || {
        let source = args.open(&places, &reference)?;
        if !matches!(args.url()?, RepoUrl::Local(_)) {
            let line = Line::begin("fetching");
            let fetched = source.fetch(&Arc::default(), &|p| line.say(fetching(&p)));
            fetched.map_err(|e| match e {
                SourceError::RefNotFound { .. } => NotFetched::NoSuchRef(Error::stage("fetch", &e)),
                e => NotFetched::Failed(Error::stage("fetch", &e)),
            })?;
        }
        Ok(Arc::new(source))
    });
    done.await
        .unwrap_or_else(|e| Err(Error::host("fetch", format!("ended early: {e}")).into()))
}

/// The files of a work tree as they lie on disk.
pub(super) async fn worktree(source: &Arc<Source>) -> Result<Snapshot, Error> {
    let source = source.clone();
    blocking("snapshot", move || {
        source
            .worktree_snapshot()
            .map_err(|e| Error::stage("snapshot", &e))
    })
    .await
}
