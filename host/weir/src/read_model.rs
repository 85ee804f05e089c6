//! From a status to what the API and the CLI show: the same view for both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use weir_api::{AppView, HealthView, PublicUrl, RefusedView, RepositoryView, View};
use weir_core::commit_policy::Refused;
use weir_core::digest::CommitId;
use weir_core::fault::Fault;
use weir_core::guard::Hold;
use weir_core::health::Summary;
use weir_core::name::{AppName, RepositoryName};
use weir_core::status::{AppStatus, Status};

use crate::journal::{Journal, now};
use crate::repository::RepositorySettings;

/// One repository as it is first shown: named, and nothing known yet.
fn unknown(settings: &RepositorySettings) -> RepositoryView {
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
        is_known: false,
        waiting: None,
        fetched: None,
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

/// When a host is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadyWhen {
    /// Every repository was tried, and not all of them failed.
    ItWorks,
    /// It is known which repositories there are, or not yet: how they fare is their teams' own.
    Known(bool),
}

/// Where the views of all repositories are gathered. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Board(Arc<Gathered>);

struct Gathered {
    send: watch::Sender<Arc<View>>,
    ready: Mutex<ReadyWhen>,
}

impl Board {
    /// An empty board, and where its views arrive.
    pub(crate) fn new(ready: ReadyWhen) -> (Board, watch::Receiver<Arc<View>>) {
        let (send, receive) = watch::channel(Arc::new(View {
            ready: readiness(ready, &[]),
            repositories: Vec::new(),
        }));
        let ready = Mutex::new(ready);
        (Board(Arc::new(Gathered { send, ready })), receive)
    }

    /// This repository is on the board, and nothing is known of it yet, in the place of an earlier one of its name.
    pub(crate) fn put(&self, settings: &RepositorySettings) {
        let new = Arc::new(unknown(settings));
        self.change(|all| match all.iter_mut().find(|r| r.name == new.name) {
            Some(place) => *place = new,
            None => all.push(new),
        });
    }

    /// A repository is on the board no more.
    pub(crate) fn remove(&self, name: &RepositoryName) {
        self.change(|all| all.retain(|r| r.name != *name));
    }

    /// From now on the host is ready then.
    pub(crate) fn ready_when(&self, ready: ReadyWhen) {
        *self.0.ready.lock().unwrap_or_else(PoisonError::into_inner) = ready;
        self.change(|_| {});
    }

    /// Sends the views of this one of its repositories.
    pub(crate) fn publisher(&self, settings: &RepositorySettings) -> Publisher {
        Publisher {
            board: self.clone(),
            unknown: unknown(settings),
            health: BTreeMap::new(),
            fetched: None,
            wanted: None,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<RepositoryView>>)) {
        let ready = *self.0.ready.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.send.send_modify(|all| {
            let mut repositories = all.repositories.clone();
            change(&mut repositories);
            *all = Arc::new(View {
                ready: readiness(ready, &repositories),
                repositories,
            });
        });
    }
}

/// Ready when every repository was fetched, is suspended or has said why not, and not all of them failed; or when it is
/// known which ones there are.
fn readiness(ready: ReadyWhen, repositories: &[Arc<RepositoryView>]) -> Result<(), String> {
    match ready {
        ReadyWhen::Known(true) => return Ok(()),
        ReadyWhen::Known(false) => {
            return Err(
                "starting: the cluster has not said yet which Repositories there are".to_owned(),
            );
        }
        ReadyWhen::ItWorks => {}
    }
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
    unknown: RepositoryView,
    health: BTreeMap<AppName, Summary>,
    fetched: Option<i64>,
    wanted: Option<(Option<CommitId>, BTreeSet<AppName>)>,
}

impl Publisher {
    /// The repository.
    pub(crate) fn repository(&self) -> &RepositoryName {
        &self.unknown.name
    }

    /// These are the apps of the commit that is followed.
    pub(crate) fn wants(&mut self, commit: Option<CommitId>, apps: BTreeSet<AppName>) {
        self.wanted = Some((commit, apps));
    }

    /// The repository's server was asked just now.
    pub(crate) fn has_fetched(&mut self) {
        self.fetched = Some(now());
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
            Some(journal) => RepositoryView {
                is_known: true,
                ..journal.status(|status| self.view(status, problem))
            },
            None => self.view(&Status::default(), problem),
        };
        self.board.change(|all| {
            // One that was taken off the board is shown no more.
            if let Some(place) = all.iter_mut().find(|r| r.name == view.name) {
                *place = Arc::new(view);
            }
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
        let commit = status.head.as_ref().map(|h| h.commit);
        let wanted = self.wanted.as_ref().filter(|(of, _)| *of == commit);
        let waiting = wanted.map(|(_, apps)| {
            let unknown = apps.iter().filter(|app| !status.apps.contains_key(*app));
            unknown.count()
        });
        RepositoryView {
            commit,
            waiting,
            fault: fault.or(refused.as_ref().map(|_| Fault::Repository)),
            message: problem
                .map(str::to_owned)
                .or_else(|| refused.as_ref().map(|refused| refused.message.clone()))
                .or_else(|| kept.map(|p| p.message.clone())),
            refused,
            apps: apps(status, &self.health),
            fetched: self.fetched,
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
        hold: app.hold.as_ref().map(Hold::id),
        record: app.deployed.as_ref().map(|deployed| deployed.seq),
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
            is_known: true,
            waiting: None,
            fetched: None,
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
            let ready = readiness(ReadyWhen::ItWorks, &repositories);
            assert_eq!(ready, expected.map_err(str::to_owned));
        }
    }
}
