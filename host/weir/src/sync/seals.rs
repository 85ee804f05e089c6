//! What of an app is encrypted, looked at before anything is staked: each object can be opened, and each source file is as
//! it was encrypted. Opened is it again by the target, for one request at a time.

use std::sync::Arc;

use weir_cluster::Target;
use weir_core::fault::Blame;
use weir_core::manifest::App;
use weir_core::name::AppName;
use weir_core::plan::Plan;
use weir_core::reveal::{AsRendered, Reveal};
use weir_core::tree::{Answer, Question, Snapshot, View};
use weir_secrets::{Opener, SecretLimits, Sources, sealed};

use super::{Run, Syncer};
use crate::error::Error;
use crate::keyring::STAGE;
use crate::open::blocking;
use crate::prepare::{Prepared, Rendered};

/// How much is read of encrypted files.
const LIMITS: SecretLimits = SecretLimits::HOST;

impl Syncer {
    /// How what the app has encrypted is opened for requests. A directory gets everything as it was rendered, and where
    /// nothing is to be written no key is asked for.
    ///
    /// # Errors
    /// When something of it cannot be opened, was changed since it was encrypted, or would go to a cluster as
    /// ciphertext. Then nothing of the app may be staked.
    pub(super) async fn revealed(
        &self,
        run: &Run<'_>,
        plan: &Plan,
        prepared: &Prepared,
        target: &Target,
    ) -> Result<Arc<dyn Reveal>, Error> {
        let known = prepared.apps.get(run.app);
        let known = known.and_then(|known| Some((&known.app, known.rendered.clone().ok()?)));
        let (Target::Kube(_), Some((app, rendered)), false) = (target, known, plan.is_empty())
        else {
            return Ok(Arc::new(AsRendered));
        };
        let name = run.app.clone();
        let look = move || any(&name, &rendered).map(|any| (any, rendered));
        let (any, rendered) = blocking(STAGE, look).await?;
        if !any {
            return Ok(Arc::new(AsRendered));
        }
        let keys = self.keyring.keys().await;
        let opener = Opener::new(keys.map_err(|e| of_app(run.app, &e))?, LIMITS);
        // What an app was rolled back to has its tags alone: no file of then need be there.
        let snapshot = match run.pinned {
            false => prepared.snapshot.clone(),
            true => None,
        };
        let app = app.clone();
        blocking(STAGE, move || {
            let sealed = sealed(rendered.validated.objects(), LIMITS);
            let sealed = sealed.map_err(|e| of_app(&app.name, &e))?;
            let sources = snapshot.map(|snapshot| sources(snapshot, &app, &rendered));
            let checked = opener.check(&sealed, sources.transpose()?.as_ref());
            checked.map_err(|e| of_app(&app.name, &e))?;
            Ok(Arc::new(opener) as Arc<dyn Reveal>)
        })
        .await
    }
}

/// Whether anything of an app is encrypted.
fn any(app: &AppName, rendered: &Rendered) -> Result<bool, Error> {
    let found = sealed(rendered.validated.objects(), LIMITS);
    found
        .map(|found| !found.is_empty())
        .map_err(|e| of_app(app, &e))
}

/// The encrypted files among those that an app was rendered from.
fn sources(snapshot: Snapshot, app: &App, rendered: &Rendered) -> Result<Sources, Error> {
    let mut view = View::new(snapshot, app.roots.clone());
    let mut sources = Sources::new(LIMITS);
    for (question, path, answer) in rendered.reads.iter() {
        if (question, matches!(answer, Answer::File(_))) == (Question::Read, true) {
            let bytes = view.read(path.as_str());
            sources.add(path, &bytes.map_err(|e| of_app(&app.name, &e))?);
        }
    }
    Ok(sources)
}

fn of_app<E: Blame + std::error::Error>(app: &AppName, error: &E) -> Error {
    Error::Stage {
        stage: STAGE,
        fault: error.fault(),
        retry: error.retry(),
        message: format!("app `{app}`: {error}. Nothing of the app is applied"),
    }
}
