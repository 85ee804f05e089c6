//! Signs a receipt of each output that the ledger keeps.

use std::sync::Arc;

use weir_api::PublicUrl;
use weir_core::digest::CommitId;
use weir_core::manifest::App;
use weir_core::receipt::{Basis, Engine, Envelope, Repository};
use weir_core::tree::Snapshot;
use weir_receipt::Keys;

use crate::config::Places;
use crate::error::Error;
use crate::open::blocking;
use crate::prepare::{Described, Host, Prepared, Rendered};
use crate::repository::Reach;

/// Who signs for one repository.
pub(crate) struct Notary {
    keys: Keys,
    repository: Repository,
}

impl Notary {
    /// With the keys of this state.
    pub(crate) fn of(places: &Places, reach: &Reach) -> Notary {
        Notary {
            keys: Keys::below(&places.state),
            repository: Repository {
                name: reach.name.clone(),
                url: PublicUrl::of(&reach.url.to_string()).as_str().to_owned(),
            },
        }
    }

    /// The signed receipt of an output; `None` of what comes from no commit.
    ///
    /// # Errors
    /// Where it cannot be made: nothing is applied without one.
    pub(crate) async fn receipt(
        &self,
        prepared: &Prepared,
        commit: Option<CommitId>,
        app: &App,
        rendered: &Rendered,
    ) -> Result<Option<Envelope>, Error> {
        let (Some(basis), Some(commit)) = (&prepared.basis, commit) else {
            return Ok(None);
        };
        let failed = |why: String| {
            let name = &app.name;
            Error::host(
                "record",
                format!(
                    "app {name}: its receipt cannot be made, and nothing is changed without one: {why}"
                ),
            )
        };
        let inputs = basis.inputs(commit, app, &rendered.plugins);
        let Some(inputs) = inputs.map_err(|e| failed(e.to_string()))? else {
            return Ok(None);
        };
        let output = rendered.validated.output();
        let (repository, random) = (self.repository.clone(), rendered.random);
        let receipt = basis.receipt(repository, inputs, &rendered.reads, output, random);
        let keys = self.keys.clone();
        // It reads the key's file.
        let signed = blocking("record", move || Ok(keys.sign(&receipt))).await?;
        signed.map(Some).map_err(|e| failed(e.to_string()))
    }
}

impl Described {
    /// What receipts say that all apps of a snapshot are rendered from.
    pub(crate) fn basis(&self, host: &Host, snapshot: &Snapshot) -> Basis {
        Basis {
            tree: snapshot.tree.id(),
            manifest: Arc::clone(&self.manifest),
            seen: self.seen,
            lock: self.lock.clone(),
            lock_digest: self.lock_digest,
            limits: host.limits,
            engine: Engine {
                weir: env!("CARGO_PKG_VERSION").to_owned(),
                wasmtime: host.sandbox.identity(),
            },
        }
    }
}
