//! `weir lock`: pins what comes from outside the repository.

use std::collections::BTreeMap;
use std::path::PathBuf;

use weir_core::lock::{LOCK_FILE, Lock, LockedPlugin};
use weir_core::manifest::{PluginSource, PluginSpec};
use weir_core::name::PluginName;
use weir_source::RepoUrl;

use super::{Done, engine, output};
use crate::config::{GlobalArgs, RepoArgs};
use crate::error::Error;
use crate::plugins::write_atomic;
use crate::prepare::{Described, describe};

mod externals;
mod plugins;

/// What `weir lock` takes.
#[derive(Debug, clap::Args)]
pub(super) struct LockArgs {
    #[command(flatten)]
    repo: RepoArgs,
    /// Pin everything anew: plugins, charts and bases as they are now, the instant of now
    #[arg(long)]
    update: bool,
    /// Write nothing; exit with 3 where the lock is not what it would be, or a file: or oci:// plugin is not what it pins
    #[arg(long)]
    check: bool,
}

/// Writes the lock beside the manifest of a work tree.
pub(super) async fn lock(global: &GlobalArgs, args: &LockArgs) -> Result<Done, Error> {
    let places = global.places()?;
    let RepoUrl::Local(path) = args.repo.url()? else {
        return Err(Error::Usage(
            "--repo: `weir lock` writes into a work tree: give the path of one".to_owned(),
        ));
    };
    let source = engine::fetched(&args.repo, &places, "HEAD").await?;
    let snapshot = engine::worktree(&source).await?;
    let Described {
        manifest,
        lock: old,
        warnings,
        ..
    } = describe(&snapshot, &args.repo.manifest().read()?)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let host = engine::host(&places)?;
    let resolving = plugins::Resolving {
        host: &host,
        snapshot: &snapshot,
        manifest: &manifest,
        old: old.as_deref(),
        update: args.update,
        check: args.check,
    };
    let found = resolving.run().await?;
    let new = Lock::update(
        &manifest,
        &found.plugins,
        old.as_deref(),
        jiff::Timestamp::now(),
        args.update,
    );
    let mut new = new.map_err(|e| Error::stage("manifest", &e))?;
    let locking = externals::Locking {
        host: &host,
        whose: &args.repo.whose()?,
        snapshot: &snapshot,
        manifest: &manifest,
        lock: &new,
        old: old
            .as_ref()
            .map(|l| l.externals.clone())
            .unwrap_or_default(),
        update: args.update,
    };
    new.externals = locking.run().await?;
    let mut stale = stale(&new, &found.plugins, &manifest.plugins);
    stale.extend(found.moved);
    if !stale.is_empty() && args.check {
        output::print(&format!("{}\n", stale.join("\n")))?;
        return Ok(Done::Different);
    }
    for text in &stale {
        tracing::warn!("{text}");
    }
    finish(args, &path, old.as_deref(), &new)
}

/// Pins that are kept although the file in the tree is another by now: no render takes it.
fn stale(
    lock: &Lock,
    found: &BTreeMap<PluginName, LockedPlugin>,
    plugins: &BTreeMap<PluginName, PluginSpec>,
) -> Vec<String> {
    let files = plugins
        .iter()
        .filter(|(_, spec)| matches!(spec.source, PluginSource::File(_)));
    files
        .filter_map(|(name, _)| {
            let (found, pinned) = (found.get(name)?.digest, lock.plugins.get(name)?.digest);
            (found != pinned).then(|| {
                format!("plugin {name}: the file in the tree has digest {found}, but {LOCK_FILE} pins {pinned}: run `weir lock --update` and commit it, if the change is meant")
            })
        })
        .collect()
}

fn finish(
    args: &LockArgs,
    repository: &std::path::Path,
    old: Option<&Lock>,
    new: &Lock,
) -> Result<Done, Error> {
    if old == Some(new) {
        return output::print(&format!("{LOCK_FILE} is up to date\n"));
    }
    if args.check {
        output::print(&format!("{LOCK_FILE} is not up to date: run `weir lock`\n"))?;
        return Ok(Done::Different);
    }
    let file: PathBuf = repository.join(LOCK_FILE);
    write_atomic(&file, new.emit().as_bytes())
        .map_err(|e| Error::host("lock", format!("{}: {e}", file.display())))?;
    let mut text = format!("wrote {}\n", file.display());
    for (name, plugin) in &new.plugins {
        text.push_str(&format!("  {name}  {}  {}\n", plugin.source, plugin.digest));
    }
    for (reference, locked) in &new.externals {
        text.push_str(&format!("  {reference}  {locked}\n"));
    }
    output::print(&text)
}
