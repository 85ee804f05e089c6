//! `weir receipts export`: a receipt as a file, or a bundle with all that it takes to prove it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_core::digest::Digest;
use weir_core::external::Carried;
use weir_core::kept::KeptOutput;
use weir_core::lock::LOCK_FILE;
use weir_core::manifest::MANIFEST_FILE;
use weir_core::receipt::{ManifestSeen, Receipt};
use weir_core::tree::Snapshot;
use weir_receipt::{Bundle, Keys};

use super::super::histories::{Histories, RefArgs};
use super::super::{Done, apps, engine, output};
use super::{Found, Which};
use crate::config::{Places, RepoArgs};
use crate::error::Error;
use crate::externals;
use crate::open::blocking;
use crate::plugins::{self, write_atomic, write_private};
use crate::prepare::{Host, ManifestFrom, describe, read_file};

/// What `weir receipts export` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    which: Which,
    /// Write the receipt to this file [default: stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write a bundle: the receipt, its public key, the output, the components and the charts and bases that were read
    #[arg(long, value_name = "FILE.tar", conflicts_with = "out")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    repo: RepoArgs,
    #[command(flatten)]
    reference: RefArgs,
}

/// Writes.
pub(super) async fn export(places: &Places, args: &ExportArgs) -> Result<Done, Error> {
    let found = super::one(places, &args.which).await?;
    if let Some(file) = &args.bundle {
        let bundle = bundle(places, args, &found).await?;
        let size = bundle.len();
        // It holds the output, and so what Secrets hold.
        write(file, write_private(file, &bundle))?;
        return output::print(&format!(
            "wrote {} ({size} bytes): receipt of {} at commit {}\n",
            file.display(),
            found.receipt.subject(),
            found.receipt.inputs.commit
        ));
    }
    let line = found.envelope.to_line();
    let line = line.map_err(|e| Error::host("receipts", e.to_string()))?;
    match &args.out {
        Some(file) => {
            write(file, write_atomic(file, line.as_bytes()))?;
            output::print(&format!(
                "wrote {}: receipt of {} at commit {}\n",
                file.display(),
                found.receipt.subject(),
                found.receipt.inputs.commit
            ))
        }
        None => output::print(&line),
    }
}

fn write(file: &Path, written: std::io::Result<()>) -> Result<(), Error> {
    written.map_err(|e| Error::host("receipts", format!("{}: {e}", file.display())))
}

/// A bundle's bytes, read back once: what is written can be read.
async fn bundle(places: &Places, args: &ExportArgs, found: &Found) -> Result<Vec<u8>, Error> {
    let failed = |why: String| Error::host("receipts", format!("the bundle cannot be made: {why}"));
    let commit = found.receipt.inputs.commit;
    let mut histories = Histories::new(&args.repo, &args.reference, places)?;
    let snapshot = histories.commit(commit).await?.ok_or_else(|| {
        failed(format!("the repository of --repo has no commit {commit}: is it the right one? Name the branch or tag that holds it with --ref"))
    })?;
    let reader = apps::reader(places).await?;
    let kept = super::bytes(&reader, found.blob).await?;
    let output = KeptOutput::read(&kept).map_err(|e| failed(e.to_string()))?;
    let output = output.stream.as_bytes().to_vec();
    let key = Keys::below(&places.state).public(Some(found.envelope.key()));
    let key = key.map_err(|e| failed(e.to_string()))?;
    let host = engine::host(places)?;
    let given = match found.receipt.inputs.manifest {
        ManifestSeen::Repository { .. } => ManifestFrom::Tree,
        ManifestSeen::Absent => ManifestFrom::Path(found.receipt.inputs.app.path.clone()),
        ManifestSeen::Host { .. } => args.repo.manifest().read()?,
    };
    let (receipt, envelope) = (found.receipt.clone(), found.envelope.clone());
    blocking("receipts", move || {
        let (archives, objects) = carried(&host, &receipt)?;
        let bundle = Bundle {
            envelope,
            key,
            output,
            manifest: match &given {
                ManifestFrom::Tree => read_file(&snapshot, MANIFEST_FILE)?.map(|b| b.to_vec()),
                ManifestFrom::Host(_, text) => Some(text.clone()),
                ManifestFrom::Path(_) => None,
            },
            lock: read_file(&snapshot, LOCK_FILE)?.map(|b| b.to_vec()),
            components: components(&host, &snapshot, &given, &receipt)?,
            archives,
            objects,
        };
        let failed =
            |why: String| Error::host("receipts", format!("the bundle cannot be made: {why}"));
        bundle.check_size().map_err(|e| failed(e.to_string()))?;
        let mut bytes = Vec::new();
        bundle
            .write(&mut bytes)
            .map_err(|e| failed(e.to_string()))?;
        drop(bundle);
        Bundle::read(&bytes).map_err(|e| failed(e.to_string()))?;
        Ok(bytes)
    })
    .await
}

/// The components that a receipt names.
fn components(
    host: &Arc<Host>,
    snapshot: &Snapshot,
    from: &ManifestFrom,
    receipt: &Receipt,
) -> Result<BTreeMap<Digest, Vec<u8>>, Error> {
    let manifest = describe(snapshot, from)?.manifest;
    let mut components = BTreeMap::new();
    for plugin in &receipt.inputs.plugins {
        let (name, digest) = (&plugin.name, plugin.digest);
        let bytes = plugins::bytes(&host.store, snapshot, &manifest, name, digest)?;
        components.insert(digest, bytes);
    }
    Ok(components)
}

type Carry = (
    BTreeMap<Digest, Vec<u8>>,
    BTreeMap<weir_core::digest::CommitId, Vec<weir_core::external::GitObject>>,
);

/// What is behind the externals that a receipt names: from the cache, or fetched by their pins.
fn carried(host: &Arc<Host>, receipt: &Receipt) -> Result<Carry, Error> {
    use weir_core::external::LockedExternal;
    let externals = host.externals.open();
    let stop = host.turns.ended();
    let (mut archives, mut objects) = (BTreeMap::new(), BTreeMap::new());
    for (reference, locked) in &receipt.externals {
        let carried = externals::carry(&externals, reference, locked, &stop);
        match (carried.map_err(|e| Error::stage("receipts", &e))?, locked) {
            (Carried::Archive(bytes), LockedExternal::Chart { digest, .. }) => {
                archives.insert(*digest, bytes);
            }
            (Carried::Objects(all), LockedExternal::Commit(commit)) => {
                objects.insert(*commit, all);
            }
            _ => {
                let why = format!("external `{reference}` is not what the receipt pins");
                return Err(Error::host("receipts", why));
            }
        }
    }
    Ok((archives, objects))
}
