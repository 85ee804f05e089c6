//! From a status to what the API and the CLI show: the same view for both.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use weir_api::{AppView, HealthView, PublicUrl, RefusedView, RepositoryView, View};
use weir_core::commit_policy::Refused;
use weir_core::fault::Fault;
use weir_core::health::Summary;
use weir_core::name::{AppName, RepositoryName};
use weir_core::status::{AppStatus, Status};

use crate::journal::Journal;
use crate::repository::RepositorySettings;

/// One repository as it is first shown: named, and nothing known yet.
pub(crate) fn unknown(settings: &RepositorySettings) -> RepositoryView {
    RepositoryView {
        name: settings.reach.name.clone(),
        url: PublicUrl::of(&settings.reach.url.to_string()),
        reference: settings.reference.to_string(),
        suspended: settings.policy.suspend,
        commit: None,
        fault: None,
        message: None,
        refused: None,
        apps: Vec::new(),
    }
}

/// A commit that is not followed, in one line.
pub(crate) fn refusal(refused: &Refused) -> String {
    let stays = match refused.stays {
        Some(stays) => format!("the last accepted commit {} stays followed", stays.short()),
        None => "what is there stays, and nothing is done before a commit is accepted".to_owned(),
    };
    let (commit, why) = (refused.commit.short(), &refused.why);
    format!("commit {commit} is refused: {why}; {stays}")
}

/// Where the views of all repositories are gathered. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Board(Arc<watch::Sender<Arc<View>>>);

impl Board {
    /// A board with these repositories on it, and where its views arrive.
    pub(crate) fn new(repositories: Vec<RepositoryView>) -> (Board, watch::Receiver<Arc<View>>) {
        let repositories: Vec<_> = repositories.into_iter().map(Arc::new).collect();
        let (send, receive) = watch::channel(Arc::new(View {
            ready: readiness(&repositories),
            repositories,
        }));
        (Board(Arc::new(send)), receive)
    }

    /// Sends the views of this one of its repositories.
    pub(crate) fn publisher(&self, place: usize, settings: &RepositorySettings) -> Publisher {
        Publisher {
            board: self.clone(),
            place,
            unknown: unknown(settings),
            health: BTreeMap::new(),
        }
    }
}

/// Ready when every repository was fetched, is suspended or has said why not, and not all of them failed.
fn readiness(repositories: &[Arc<RepositoryView>]) -> Result<(), String> {
    let works = |r: &Arc<RepositoryView>| r.commit.is_some() || r.suspended;
    let untried = repositories
        .iter()
        .filter(|r| !works(r) && r.message.is_none());
    match untried.count() {
        0 => {}
        _ if repositories.len() == 1 => return Err("starting".to_owned()),
        n => {
            let of = repositories.len();
            return Err(format!(
                "starting: {n} of {of} repositories were not asked yet"
            ));
        }
    }
    if repositories.iter().any(works) {
        return Ok(());
    }
    let message = repositories.iter().find_map(|r| r.message.clone());
    Err(message.unwrap_or_else(|| "nothing is followed".to_owned()))
}

/// Sends views of one repository to whoever reads them.
pub(crate) struct Publisher {
    board: Board,
    place: usize,
    unknown: RepositoryView,
    health: BTreeMap<AppName, Summary>,
}

impl Publisher {
    /// The repository.
    pub(crate) fn repository(&self) -> &RepositoryName {
        &self.unknown.name
    }

    /// From now on an app is shown as so healthy; how it was shown before.
    pub(crate) fn health(&mut self, app: &AppName, health: Option<Summary>) -> Option<Summary> {
        match health {
            Some(health) => self.health.insert(app.clone(), health),
            None => self.health.remove(app),
        }
    }

    /// Sends how things stand now. Without a journal nothing was opened yet.
    pub(crate) fn publish(&self, journal: Option<&Journal>, problem: Option<&str>) {
        let view = match journal {
            Some(journal) => journal.status(|status| self.view(status, problem)),
            None => self.view(&Status::default(), problem),
        };
        self.board.0.send_modify(|all| {
            let mut repositories = all.repositories.clone();
            if let Some(place) = repositories.get_mut(self.place) {
                *place = Arc::new(view);
            }
            *all = Arc::new(View {
                ready: readiness(&repositories),
                repositories,
            });
        });
    }

    fn view(&self, status: &Status, problem: Option<&str>) -> RepositoryView {
        let kept = status.problem.as_ref();
        let refused = status.refused.as_ref();
        let refused = refused.map(|refused| RefusedView {
            commit: refused.commit,
            kind: refused.kind.clone(),
            message: refusal(refused),
        });
        let fault = kept.map(|p| p.fault);
        RepositoryView {
            commit: status.head.as_ref().map(|h| h.commit),
            fault: fault.or(refused.as_ref().map(|_| Fault::Repository)),
            message: problem
                .map(str::to_owned)
                .or_else(|| refused.as_ref().map(|refused| refused.message.clone()))
                .or_else(|| kept.map(|p| p.message.clone())),
            refused,
            apps: apps(status, &self.health),
            ..self.unknown.clone()
        }
    }
}

/// The apps of a status, by name, with their health where it is known.
pub(crate) fn apps(status: &Status, health: &BTreeMap<AppName, Summary>) -> Vec<AppView> {
    // What is watched is known better than what the ledger was told.
    let known = |name: &AppName, app: &AppStatus| {
        let kept = app.settled.as_ref().map(|settled| &settled.health);
        health.get(name).or(kept).map(HealthView::of)
    };
    let view = |(name, app): (&AppName, &AppStatus)| AppView {
        name: name.clone(),
        target: app.target.clone(),
        state: app.standing().0,
        commit: app.commit,
        objects: app.inventory.len(),
        kept: app.kept.len(),
        drifted: app.drifted.clone(),
        output: app.output,
        message: app.standing().1.map(|p| p.message.clone()),
        health: known(name, app),
        since: app.since,
    };
    status.apps.iter().map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(name: &str) -> RepositoryView {
        RepositoryView {
            name: name.parse().unwrap(),
            url: PublicUrl::of("https://h/x"),
            reference: "main".to_owned(),
            suspended: false,
            commit: None,
            fault: None,
            message: None,
            refused: None,
            apps: Vec::new(),
        }
    }

    #[test]
    fn a_host_is_ready_when_each_repository_was_tried_and_not_all_of_them_failed() {
        let untried = || repository("a");
        let failed = || RepositoryView {
            message: Some("the server is away".to_owned()),
            ..repository("b")
        };
        let fetched = || RepositoryView {
            commit: Some(weir_core::digest::CommitId::from_bytes([1; 20])),
            ..repository("c")
        };
        let suspended = || RepositoryView {
            suspended: true,
            ..repository("d")
        };
        for (repositories, expected) in [
            (vec![untried()], Err("starting")),
            (vec![failed()], Err("the server is away")),
            (vec![fetched()], Ok(())),
            (vec![suspended()], Ok(())),
            (vec![failed(), fetched()], Ok(())),
            (
                vec![untried(), fetched()],
                Err("starting: 1 of 2 repositories were not asked yet"),
            ),
            (vec![failed(), failed()], Err("the server is away")),
        ] {
            let repositories: Vec<_> = repositories.into_iter().map(Arc::new).collect();
            assert_eq!(readiness(&repositories), expected.map_err(str::to_owned));
        }
    }
}
