//! From a status to what the API and the CLI show: the same view for both.

use std::sync::Arc;

use tokio::sync::watch;
use weir_api::{AppView, PublicUrl, RepositoryView, View};
use weir_core::name::RepositoryName;
use weir_core::status::Status;

use crate::journal::Journal;

/// Sends views of one repository to whoever reads them.
pub(crate) struct Publisher {
    send: watch::Sender<Arc<View>>,
    url: PublicUrl,
    reference: String,
}

impl Publisher {
    /// A publisher, and where its views arrive.
    pub(crate) fn new(url: &str, reference: &str) -> (Publisher, watch::Receiver<Arc<View>>) {
        let view = View {
            ready: Err("starting".to_owned()),
            repositories: Vec::new(),
        };
        let (send, receive) = watch::channel(Arc::new(view));
        (
            Publisher {
                send,
                url: PublicUrl::of(url),
                reference: reference.to_owned(),
            },
            receive,
        )
    }

    /// Sends how things stand now.
    pub(crate) fn publish(&self, journal: &Journal, problem: Option<&str>) {
        let repository =
            journal.status(|status| self.repository(journal.repository(), status, problem));
        let ready = match &repository.commit {
            Some(_) => Ok(()),
            None => Err(problem.unwrap_or("nothing was fetched yet").to_owned()),
        };
        self.send.send_replace(Arc::new(View {
            ready,
            repositories: vec![repository],
        }));
    }

    fn repository(
        &self,
        name: &RepositoryName,
        status: &Status,
        problem: Option<&str>,
    ) -> RepositoryView {
        let kept = status.problem.as_ref();
        RepositoryView {
            name: name.clone(),
            url: self.url.clone(),
            reference: self.reference.clone(),
            commit: status.head.as_ref().map(|h| h.commit),
            fault: kept.map(|p| p.fault),
            message: problem
                .map(str::to_owned)
                .or_else(|| kept.map(|p| p.message.clone())),
            apps: apps(status),
        }
    }
}

/// The apps of a status, by name.
pub(crate) fn apps(status: &Status) -> Vec<AppView> {
    let view = |(name, app): (&weir_core::name::AppName, &weir_core::status::AppStatus)| AppView {
        name: name.clone(),
        target: app.target.clone(),
        state: app.state,
        commit: app.commit,
        objects: app.inventory.len(),
        output: app.output,
        message: app.problem.as_ref().map(|p| p.message.clone()),
        since: app.since,
    };
    status.apps.iter().map(view).collect()
}
