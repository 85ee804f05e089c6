//! What a repository that is followed no more leaves at its targets: deleted, where whoever ended it said so.

use tokio::sync::watch;
use weir_core::name::AppName;

use super::Loops;
use crate::error::Error;
use crate::follow::Round;
use crate::journal::Journal;
use crate::repository::RepositorySettings;
use crate::sync::Pace;

/// What is left of a repository.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// The objects that its apps still own.
    pub(crate) objects: Vec<String>,
    /// Why.
    pub(crate) problems: Vec<String>,
}

impl Loops {
    /// Deletes all that the apps of a repository own: what is left of it. Its loop has ended.
    ///
    /// # Errors
    /// When the ledger does not say what that is, or cannot keep what happened.
    pub(crate) async fn prune(&self, settings: &RepositorySettings) -> Result<Left, Error> {
        let one = self.0.shared.one(0, settings, Round::Once);
        let syncer = one.follow.opening.syncer().await?;
        let own = one.follow.queues.syncs.own();
        let apps: Vec<AppName> = syncer.journal().status(|s| {
            let all = s.apps.iter().filter(|(_, app)| !app.inventory.is_empty());
            all.map(|(name, _)| name.clone()).collect()
        });
        let (_newest, is_newest) = watch::channel(Some(0));
        let mut problems = Vec::new();
        for app in apps {
            let Some(turn) = own.take(None).await else {
                problems.push("the host stops".to_owned());
                break;
            };
            let pruned = turn.run(|pulse| {
                let pace = Pace::new(pulse, is_newest.clone(), Some(0));
                syncer.prune(&app, pace)
            });
            let report = pruned.await?;
            problems.extend(report.problem.map(|problem| problem.message));
        }
        Ok(left(syncer.journal(), problems))
    }

    /// What the apps of a repository own, and why that is left, where it was to go.
    pub(crate) async fn left(&self, settings: &RepositorySettings, why: Option<String>) -> Left {
        let one = self.0.shared.one(0, settings, Round::Once);
        match one.follow.opening.journal().await {
            Ok(journal) => left(&journal, why.into_iter().collect()),
            Err(e) => Left {
                objects: Vec::new(),
                problems: why.into_iter().chain([e.to_string()]).collect(),
            },
        }
    }
}

fn left(journal: &Journal, problems: Vec<String>) -> Left {
    let objects = journal.status(|s| {
        let all = s.apps.values().flat_map(|app| app.inventory.iter());
        all.map(|(id, _)| id.to_string()).collect()
    });
    Left { objects, problems }
}
