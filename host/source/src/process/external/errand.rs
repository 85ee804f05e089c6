//! What a process does that gets a chart or a plugin: as a host does it in its own process, with what it was given.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use weir_core::digest::Digest;
use weir_core::external::Reference;
use weir_core::plugin::PluginReference;

use super::failure::Failure;
use super::words::{Get, Got, Of, Short, Told};
use crate::cosign;
use crate::external::{
    About, ExternalError, ExternalLimits, ExternalPolicy, Held, Meant, PluginError, Registry,
    Watch, Web, manifest_alone, named, pinned, shelf, unpacked,
};
use crate::http::HttpOptions;
use crate::secret::Secret;
use crate::source::FetchProgress;

/// What a process was told to get.
pub(in crate::process) struct Errand {
    get: Get,
    of: Of,
    limits: ExternalLimits,
    policy: ExternalPolicy,
    http: HttpOptions,
    held: Held,
    since: Instant,
    output: PathBuf,
}

/// What it got.
enum Came {
    Meant(Meant),
    Parts(Vec<Vec<u8>>),
}

impl Errand {
    /// # Errors
    /// What cannot be meant.
    pub(in crate::process) fn of(told: Told) -> Result<Errand, String> {
        let now = Instant::now();
        let (policy, others) = told.rules.policy()?;
        Ok(Errand {
            get: told.get,
            of: told.of,
            limits: told.limits,
            policy,
            http: told.http.options(),
            held: Held::new(told.ports, others, told.token.map(Secret::new)),
            since: now.checked_sub(told.spent).unwrap_or(now),
            output: told.output.into(),
        })
    }

    /// The file that it fills.
    pub(in crate::process) fn output(&self) -> &Path {
        &self.output
    }

    /// The files of authorities that it may have to trust.
    pub(in crate::process) fn authorities(&self) -> Vec<PathBuf> {
        let of_hosts = self.policy.access.values().map(|a| a.ca_file.clone());
        let pair = self.http.client_cert.clone();
        let pair = pair.into_iter().flat_map(|(cert, key)| [cert, key]);
        let own = self.http.ca_file.clone();
        of_hosts.flatten().chain(own).chain(pair).collect()
    }

    pub(in crate::process) fn ports(&self) -> &[u16] {
        &self.held.ports
    }

    /// What it is to try, where it is to get nothing.
    pub(in crate::process) fn tries(&self) -> Option<&[OsString]> {
        match &self.get {
            Get::Try(files) => Some(files),
            _ => None,
        }
    }

    /// Opens the file that it fills.
    ///
    /// # Errors
    /// The system's.
    pub(in crate::process) fn open(&self) -> io::Result<File> {
        File::options()
            .write(true)
            .truncate(true)
            .open(&self.output)
    }

    /// Gets it, and fills the file with it.
    pub(in crate::process) fn done(
        &self,
        output: &mut File,
        stop: &Arc<AtomicBool>,
        progress: &dyn Fn(FetchProgress),
    ) -> Result<Got, Short> {
        let text = self.of.text();
        let about = About(&text);
        let watch = Watch {
            since: self.since,
            stop,
            progress,
        };
        let web = Web::new(about, &self.limits, &self.policy, &self.http, watch);
        let came = self.came(&web.holding(&self.held));
        if let Some(lack) = self.held.lacked() {
            return Err(Short::Lack(lack));
        }
        let parts = match came.map_err(|e| Short::Failed(Failure::of(e)))? {
            Came::Meant(meant) => return Ok(Got::Meant(meant)),
            Came::Parts(parts) => parts,
        };
        for part in &parts {
            let written = output.write_all(part);
            let failed = |e| about.host("keeping what came", e);
            written.map_err(|e| Short::Failed(Failure::of(failed(e).into())))?;
        }
        Ok(Got::Parts(
            parts.iter().map(|part| part.len() as u64).collect(),
        ))
    }

    fn came(&self, web: &Web<'_>) -> Result<Came, PluginError> {
        match (&self.get, &self.of) {
            (Get::Token(realm), of) => {
                let (host, name) = of.registry().ok_or_else(|| unfit(web))?;
                let token = Registry::new(web, host, name).token_of(realm)?;
                Ok(Came::Parts(vec![token.into_bytes()]))
            }
            (get, Of::External(reference)) => Ok(self.chart(web, get, reference)?),
            (get, Of::Plugin(reference)) => plugin(web, get, reference),
        }
    }

    fn chart(
        &self,
        web: &Web<'_>,
        get: &Get,
        reference: &Reference,
    ) -> Result<Came, ExternalError> {
        let (shelf, version) = shelf(web, reference)?;
        match get {
            Get::Meant => shelf.meant(version).map(Came::Meant),
            Get::Locked {
                version,
                digest,
                size,
            } => shelf.locked(version, *digest, *size).map(Came::Meant),
            Get::Archive(meant) => {
                let archive = shelf.bytes(meant)?;
                // The first reading of it. What is not what the lock pins is for the host to say.
                if meant
                    .pinned
                    .is_none_or(|pinned| pinned == Digest::of(&archive))
                {
                    unpacked(web.about, &archive, &self.limits)?;
                }
                Ok(Came::Parts(vec![archive]))
            }
            _ => Err(unfit(web)),
        }
    }
}

fn plugin(web: &Web<'_>, get: &Get, reference: &PluginReference) -> Result<Came, PluginError> {
    let got = match get {
        Get::Named => named(web, reference)?,
        Get::Manifest(pin) => manifest_alone(web, reference, pin.meant())?,
        Get::Plugin(pin) => pinned(web, reference, pin.meant())?,
        Get::Signatures(manifest) => {
            let signed = cosign::signatures(web, reference, *manifest)?;
            let signed = serde_json::to_vec(&signed)
                .map_err(|e| web.about.host("handing over signatures", e.into()))?;
            return Ok(Came::Parts(vec![signed]));
        }
        _ => return Err(unfit(web).into()),
    };
    let parts = [Some(got.manifest), got.component];
    Ok(Came::Parts(parts.into_iter().flatten().collect()))
}

/// What no host of ours asks for.
fn unfit(web: &Web<'_>) -> ExternalError {
    web.about.refused("that is not to be had of it")
}
