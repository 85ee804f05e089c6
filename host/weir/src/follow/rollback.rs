//! Rollbacks in the loop: what is prepared is exchanged for what the ledger keeps, and without any commit that alone is
//! applied.

use std::sync::Arc;

use weir_core::decision::{Choice, Decision};
use weir_core::digest::Digest;
use weir_core::manifest::OnFailure;
use weir_core::name::AppName;
use weir_core::pin::back_from_late;
use weir_core::record::{Event as Kept, Problem, Record};
use weir_core::schedule::Event;

use super::{Done, Loop};
use crate::error::Error;
use crate::pins;
use crate::prepare::Prepared;

impl Loop<'_> {
    /// What an app renders to at the commit that is prepared.
    pub(super) fn renders_to(&self, app: &AppName) -> Option<Digest> {
        let prepared = self.prepared.as_ref()?;
        pins::output(&pins::commits(prepared.apps.get(app)?))
    }

    /// From now on what is prepared has each app that was rolled back at what it was rolled back to. Where nothing is
    /// prepared, such as when the repository is away, this app alone goes back.
    pub(super) async fn repin(&mut self, app: &AppName) {
        let Some(prepared) = self.prepared.clone() else {
            self.sync_alone(app).await;
            return;
        };
        match self.exchanged(prepared).await {
            Ok(exchanged) => {
                // A run that waits for a hook of what is refused now waits for nothing any more.
                self.take_over();
                self.prepared = Some(exchanged);
            }
            Err(e) => self.could_not(app, e),
        }
    }

    /// What is prepared, with each app that was rolled back at what it was rolled back to.
    async fn exchanged(&self, prepared: Arc<Prepared>) -> Result<Arc<Prepared>, Error> {
        let journal = self.follow.opening.journal().await?;
        pins::pinned(&journal, prepared, self.follow.host.output).await
    }

    /// What an app was rolled back to could not be read when its commit was prepared: before each further run one looks
    /// again.
    pub(super) async fn read_pin_again(&mut self, app: &AppName) {
        let Some(prepared) = &self.prepared else {
            return;
        };
        let known = prepared.apps.get(app);
        if !known.is_some_and(|app| app.pinned.is_some() && app.rendered.is_err()) {
            return;
        }
        match self.exchanged(prepared.clone()).await {
            Ok(exchanged) => self.prepared = Some(exchanged),
            Err(e) => self.could_not(app, e),
        }
    }

    /// Apps whose rollback is not done yet go back without Git, while no commit is known.
    pub(super) async fn go_back_alone(&mut self) {
        if self.prepared.is_some() {
            return;
        }
        let due = self.follow.opening.known().map(pins::under_way);
        for app in due.unwrap_or_default() {
            if !self.alone.contains(&app) {
                self.sync_alone(&app).await;
            }
        }
    }

    /// An app took too long to become healthy: where its policy says so it goes back to what was healthy last.
    pub(super) async fn go_back(&mut self, app: &AppName, problem: &Problem) -> Option<Event> {
        let prepared = self.prepared.as_ref()?.apps.get(app)?;
        let policy = prepared.app.settle.map(|settle| settle.on_failure);
        if policy != Some(OnFailure::Rollback) {
            return None;
        }
        let journal = self.follow.opening.journal().await.ok()?;
        let Some(pin) = journal.status(|s| back_from_late(s.apps.get(app)?)) else {
            tracing::warn!(%app, "on-failure: rollback: the ledger has nothing of it that was healthy before, and it stays as it is");
            return None;
        };
        if let Err(e) = pins::check(&journal, app, &pin.to, self.follow.host.output).await {
            self.could_not(app, e);
            return None;
        }
        tracing::warn!(%app, "on-failure: rollback: it goes back to record {}, which was healthy", pin.to.seq);
        let why = problem.message.lines().next().unwrap_or_default();
        let record = Record {
            app: Some(app.clone()),
            event: Kept::Decided(Decision {
                choice: Choice::RolledBack(pin),
                by: "weir (on-failure: rollback)".to_owned(),
                why: Some(why.to_owned()),
            }),
        };
        if let Err(e) = journal.append(vec![record]).await {
            self.could_not(app, e);
            return None;
        }
        self.repin(app).await;
        Some(Event::Decided(app.clone()))
    }

    /// Applies what an app was rolled back to with nothing but the ledger.
    async fn sync_alone(&mut self, app: &AppName) {
        let prepared = async {
            if self.opened.is_none() {
                let opened = self.follow.opening.open().await?;
                self.opened = Some(Arc::new(opened));
            }
            let journal = self.follow.opening.journal().await?;
            pins::alone(&journal, app, self.follow.host.output).await
        };
        match prepared.await {
            Ok(Some(prepared)) => {
                self.alone.insert(app.clone());
                let run = Box::pin(self.run_of(app.clone(), None, Some(Arc::new(prepared))));
                let app = app.clone();
                self.spawn(async move { Done::Alone(app, run.await) });
            }
            // It was resumed meanwhile: Git decides, when it is back.
            Ok(None) => {}
            Err(e) => self.could_not(app, e),
        }
    }

    fn could_not(&mut self, app: &AppName, error: Error) {
        tracing::error!(%app, "{error}");
        self.ended.problem = Some(error);
    }
}
