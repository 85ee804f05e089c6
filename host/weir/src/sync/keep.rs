//! What the ledger keeps of an output besides what was done with it: its bytes, and which fields it changed.

use weir_core::digest::Digest;
use weir_core::fault::{Fault, Retry};
use weir_core::guard::Hold;
use weir_core::kept::{self, Changed, KeptOutput};
use weir_core::manifest::App;
use weir_core::name::AppName;
use weir_core::plan::Counts;
use weir_core::remade::{Remade, remade};
use weir_core::stake::Outcome;
use weir_core::status::State;

use super::{Report, Run, Syncer};
use crate::crash::crash_point;
use crate::error::Error;
use crate::prepare::{Prepared, Rendered};

impl Syncer {
    /// Keeps an output's bytes before the first change, so that each record names bytes that are there. What was kept at
    /// this commit is not kept again. The inner error says why there is no receipt of it.
    pub(super) async fn keep_output(
        &self,
        run: &Run<'_>,
        prepared: &Prepared,
        app: &App,
        rendered: &Rendered,
    ) -> Result<Result<Digest, Error>, Error> {
        let output = rendered.validated.output();
        let known = self.journal.status(|s| {
            let known = s.apps.get(run.app)?;
            let pinned = known.pin.as_ref().map(|pin| &pin.to);
            let all = [known.deployed.as_ref(), pinned];
            let mut same = all.into_iter().flatten().filter(|d| d.output == output);
            same.find(|d| d.commit == run.commit).map(|d| d.bytes)
        });
        if let Some(known) = known {
            return Ok(Ok(known));
        }
        let receipt = match self
            .notary
            .receipt(prepared, run.commit, app, rendered)
            .await
        {
            Ok(receipt) => receipt,
            Err(e) => return Ok(Err(e)),
        };
        let (plugins, validated) = (&rendered.plugins, &rendered.validated);
        let bytes = kept::keep(run.commit, app, plugins, validated, receipt);
        let bytes = bytes.map_err(|e| Error::host("record", e.to_string()))?;
        let kept = self.journal.keep_bytes(bytes.into()).await?;
        crash_point("output-kept");
        Ok(Ok(kept))
    }

    /// Which fields of the updated objects are other than in the output that was synced before. That the older bytes
    /// cannot be read stops nothing: the record says what was written all the same.
    pub(super) async fn changed(
        &self,
        run: &Run<'_>,
        rendered: &Rendered,
        outcomes: &[Outcome],
    ) -> Vec<Changed> {
        let before = self.journal.status(|s| {
            let known = s.apps.get(run.app)?.deployed.as_ref()?;
            (known.output != rendered.validated.output()).then_some(known.bytes)
        });
        let Some(before) = before else {
            return Vec::new();
        };
        let bytes = match self.journal.bytes(before).await {
            Ok(bytes) => bytes,
            Err(e) => {
                tracing::warn!(app = %run.app, "the record will not say which fields changed: {e}");
                return Vec::new();
            }
        };
        match KeptOutput::read(&bytes) {
            Ok(before) => kept::changed(&before, &rendered.validated, outcomes),
            Err(e) => {
                tracing::warn!(app = %run.app, "the record will not say which fields changed: blob {before}: {e}");
                Vec::new()
            }
        }
    }

    /// Whether the app was rolled back, or resumed, after what is prepared here was.
    pub(super) fn is_decided_otherwise(&self, prepared: &Prepared, app: &AppName) -> bool {
        let Some(known) = prepared.apps.get(app) else {
            return false;
        };
        let here = known.pinned.as_ref().map(|pinned| &pinned.to);
        self.journal.status(|s| {
            let pin = s.apps.get(app).and_then(|a| a.pin.as_ref());
            pin.map(|pin| &pin.to) != here
        })
    }

    /// Other bytes from the same inputs: what waits for a person, or whose fault it is.
    pub(super) fn remade(&self, run: &Run<'_>, rendered: &Rendered) -> Option<Result<Hold, Error>> {
        let output = rendered.validated.output();
        let found = self.journal.status(|s| {
            let known = s.apps.get(run.app)?;
            remade(known, rendered.made, output)
        });
        Some(match found? {
            Remade::Held(hold) => Ok(hold),
            Remade::Unsteady { was } => Err(not_the_same(run, rendered, was)),
        })
    }
}

impl Run<'_> {
    /// A decision came meanwhile: the run that it asks for does it.
    pub(super) fn not_now(&self) -> Report {
        let (none, pending) = (Counts::default(), State::Pending);
        self.report(vec![], none, pending, None, Retry::Backoff, false)
    }
}

fn not_the_same(run: &Run<'_>, rendered: &Rendered, was: Digest) -> Error {
    let each = rendered.plugins.iter();
    let plugins: Vec<String> = each
        .map(|(name, digest)| format!("{name} ({digest})"))
        .collect();
    Error::Stage {
        stage: "render",
        fault: Fault::Plugin,
        retry: Retry::OnChange,
        message: format!(
            "app {}: the same commit, plugins and host gave output {} before and give {} now: one of its plugins is not deterministic: {}. Nothing is changed",
            run.app,
            was.short(),
            rendered.validated.output().short(),
            plugins.join(", ")
        ),
    }
}
