//! Renders that were made before, for many apps at once: each is checked, on all cores.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_core::manifest::App;
use weir_core::name::RepoPath;
use weir_core::reuse::Told;
use weir_core::tree::{Snapshot, View};

use super::{Come, Host, Rendered};
use crate::error::Error;
use crate::open::blocking;
use crate::random::Random;
use crate::renders::Pack;

/// Fewer looks than this are worth no thread of their own.
const SMALL: usize = 32;

/// What each app comes to that was made before from the same inputs; `None` where it has to be made.
pub(super) async fn reused(
    host: &Arc<Host>,
    snapshot: &Snapshot,
    told: &[Option<Told>],
    apps: &[App],
    random: &Random,
    pack: Option<Arc<Pack>>,
) -> Result<Vec<Option<Come>>, Error> {
    let looks: Vec<(Option<Told>, Vec<RepoPath>)> = told
        .iter()
        .zip(apps)
        .map(|(told, app)| (*told, app.roots.clone()))
        .collect();
    let (host, snapshot, secret) = (host.clone(), snapshot.clone(), random.id());
    blocking("render", move || {
        let find = |(told, roots): &(Option<Told>, Vec<RepoPath>)| -> Option<Come> {
            let told = (*told)?;
            let view = View::new(snapshot.clone(), roots.clone());
            let found = host
                .renders
                .find(told.key, &view, host.output, pack.as_deref());
            let (validated, kept) = found?;
            // The key has the seeds: they are of the secret that is here.
            let random = secret.filter(|_| kept.drew);
            Some(Ok(Some(Rendered {
                validated,
                plugins: kept.plugins,
                made: Some(host.renders.made(told, &kept.reads, random)),
                random,
                reads: Arc::new(kept.reads),
                placed: None,
                reused: true,
                micros: BTreeMap::new(),
            })))
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let part = looks.len().div_ceil(threads).max(SMALL);
        let found = std::thread::scope(|scope| {
            let find = &find;
            let mut work = Vec::new();
            for part in looks.chunks(part) {
                work.push(scope.spawn(move || part.iter().map(find).collect::<Vec<_>>()));
            }
            let ended = work.into_iter().map(|part| part.join());
            ended.collect::<Vec<_>>()
        });
        let early = |_| Error::host("render", "a look at kept renders ended early");
        let found = found.into_iter().map(|part| part.map_err(early));
        let found: Vec<Vec<Option<Come>>> = found.collect::<Result<_, _>>()?;
        Ok(found.into_iter().flatten().collect())
    })
    .await
}
