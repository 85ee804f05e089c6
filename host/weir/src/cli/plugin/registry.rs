//! What the commands that speak with a registry share: this host's access to it, references as they are typed, keys in files.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use weir_core::digest::Digest;
use weir_core::fault::Blame as _;
use weir_core::plugin::PluginReference;
use weir_sandbox::Inspected;
use weir_source::cosign::{PublicKey, Signed, signer};
use weir_source::{ExternalError, Externals, FetchProgress, GotPlugin, PluginError, Watch};
use zeroize::Zeroizing;

use super::{failed, output};
use crate::config::GlobalArgs;
use crate::error::Error;
use crate::externals::ExternalsHere;
use crate::open::blocking;
use crate::plugins::read_capped;
use crate::progress::{Line, external};
use crate::workers;

/// The largest file of a key that is read, in bytes.
const MAX_KEY: u64 = 16 << 10;

/// Does what asks a registry, off the runtime's threads, with this host's hosts, credentials and authorities.
pub(super) async fn asking<T: Send + 'static>(
    global: &GlobalArgs,
    work: impl FnOnce(&Externals, &Arc<AtomicBool>) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let places = global.places()?;
    let fetching = workers::fetching(places.isolation)?;
    let here = ExternalsHere::new(places.externals, &places.cache, fetching);
    blocking("plugin", move || {
        work(&here.open(), &Arc::new(AtomicBool::new(false)))
    })
    .await
}

/// Does one thing at a registry, with a line for it on a person's terminal: whoever types a command knows what it asks, and
/// wants no log of it.
pub(super) fn watched<T, E>(
    reference: &str,
    stop: &Arc<AtomicBool>,
    work: impl FnOnce(Watch<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let line = Line::begin(reference);
    let progress = |how: FetchProgress| line.say(external(reference, &how));
    work(Watch {
        since: std::time::Instant::now(),
        stop,
        progress: &progress,
    })
}

/// A plugin as its registry has it, with its component.
pub(super) fn fetched(
    externals: &Externals,
    reference: &PluginReference,
    stop: &Arc<AtomicBool>,
) -> Result<(GotPlugin, Vec<u8>), Error> {
    let text = reference.to_string();
    let named = watched(&text, stop, |w| externals.plugin_named(reference, w));
    let pin = named.map_err(|e| refused(&e))?.pin;
    let got = watched(&text, stop, |w| externals.plugin(reference, pin, w));
    let mut got = got.map_err(|e| refused(&e))?;
    match got.component.take() {
        Some(component) => Ok((got, component)),
        None => Err(failed(format!("{reference}: it has no component"))),
    }
}

/// The digest of the manifest that a reference names now. It is a plugin's.
pub(super) fn manifest(
    externals: &Externals,
    reference: &PluginReference,
    stop: &Arc<AtomicBool>,
) -> Result<Digest, Error> {
    let text = reference.to_string();
    let named = watched(&text, stop, |w| externals.plugin_named(reference, w));
    Ok(named.map_err(|e| refused(&e))?.pin.manifest)
}

/// All signatures of a manifest that the registry has.
pub(super) fn signatures(
    externals: &Externals,
    reference: &PluginReference,
    manifest: Digest,
    stop: &Arc<AtomicBool>,
) -> Result<Vec<Signed>, Error> {
    let text = reference.to_string();
    let found = watched(&text, stop, |w| {
        externals.signatures(reference, manifest, w)
    });
    found.map_err(|e| unanswered(&e))
}

/// What a command says that could not be done at a registry.
pub(super) fn unanswered(error: &ExternalError) -> Error {
    Error::Stage {
        stage: "plugin",
        fault: error.fault(),
        retry: error.retry(),
        message: crate::error::with_causes(error),
    }
}

fn refused(error: &PluginError) -> Error {
    Error::stage("plugin", error)
}

/// A reference with the digest that it names now: what to write down.
pub(super) fn pinned(reference: &PluginReference, manifest: Digest) -> String {
    match reference.digest() {
        Some(_) => reference.to_string(),
        None => format!("{reference}@{manifest}"),
    }
}

/// Public keys, each in a PEM file of its own.
pub(super) fn keys(files: &[PathBuf]) -> Result<Vec<PublicKey>, Error> {
    files
        .iter()
        .map(|file| {
            PublicKey::from_pem(&key_file(file)?)
                .map_err(|e| Error::Usage(format!("{}: {e}", file.display())))
        })
        .collect()
}

/// A file of a public key.
fn key_file(file: &Path) -> Result<Vec<u8>, Error> {
    read_capped(file, MAX_KEY)?.ok_or_else(|| {
        Error::Usage(format!(
            "{}: there is no such file; give one with a key in PEM",
            file.display()
        ))
    })
}

/// A file that only its owner and group should read, overwritten when it goes. Its mode is that of what was opened, whatever lies at
/// the path by then; one that others may read is a warning.
pub(super) fn secret_file(what: &str, file: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |e: std::io::Error| Error::Usage(format!("the {what} {}: {e}", file.display()));
    let opened = std::fs::File::open(file).map_err(failed)?;
    let mode = opened.metadata().map_err(failed)?.permissions().mode() & 0o777;
    // A pod's volume with an fsGroup is the group's to read.
    if mode & 0o027 != 0 {
        output::note(&format!(
            "warning: the {what} {}: other users may read it (mode {mode:o}): chmod 600 it\n",
            file.display()
        ));
    }
    // Never moved while it grows, so that nothing of it stays behind.
    let room = usize::try_from(MAX_KEY).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    opened
        .take(MAX_KEY + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_KEY {
        let why = format!("it has more than {MAX_KEY} bytes");
        return Err(failed(std::io::Error::other(why)));
    }
    Ok(bytes)
}

/// Which of the keys signed a manifest.
pub(super) fn signed_by(
    keys: &[PublicKey],
    reference: &PluginReference,
    manifest: Digest,
    signatures: &[Signed],
) -> Result<usize, Error> {
    match signer(keys, manifest, signatures) {
        Ok((key, _)) => Ok(key),
        Err(e) => Err(Error::Stage {
            stage: "plugin",
            fault: e.fault(),
            retry: e.retry(),
            message: format!("{reference}: {e}"),
        }),
    }
}

/// What a component is, where it is a plugin.
pub(super) fn plugin(from: &str, component: &[u8]) -> Result<Inspected, Error> {
    let inspected = weir_sandbox::inspect(component).map_err(|e| failed(format!("{from}: {e}")))?;
    if !inspected.roles.is_empty() {
        return Ok(inspected);
    }
    let why = match &inspected.misfits[..] {
        [] => "it exports none of `render`, `transform` and `validate`".to_owned(),
        misfits => misfits.join("; "),
    };
    Err(failed(format!(
        "{from}: the component {} is no plugin: {why}",
        inspected.digest
    )))
}
