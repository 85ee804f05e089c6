//! From a repository's settings to what a loop works with: its journal, its source, its targets.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{OnceCell, mpsc};
use weir_cluster::dir::{DirLimits, DirTarget};
use weir_cluster::kube::{KubeAccess, KubeTarget};
use weir_cluster::{Noticed, Notices, Target};
use weir_core::allow::Rules;
use weir_core::name::TargetName;
use weir_ledger::Ledger;
use weir_source::Source;

use crate::commits::LastRefusal;
use crate::config::{Bound, Places, TargetPlace};
use crate::error::Error;
use crate::journal::Journal;
use crate::keyring::Keyring;
use crate::landing::{Landing, Watch};
use crate::notary::Notary;
use crate::prepare::{Last, ManifestFrom};
use crate::repository::RepositorySettings;
use crate::sync::Syncer;

/// Lives as long as anything that a repository has begun: a run that is under way keeps it.
#[derive(Clone)]
pub(crate) struct Alive(
    #[expect(dead_code, reason = "it is there to be dropped")] mpsc::Sender<Infallible>,
);

/// Hears when nothing lives any more.
pub(crate) struct Gone(mpsc::Receiver<Infallible>);

impl Alive {
    /// Something new, and who hears of its end.
    pub(crate) fn new() -> (Alive, Gone) {
        let (send, receive) = mpsc::channel(1);
        (Alive(send), Gone(receive))
    }
}

impl Gone {
    /// Waits until nothing lives.
    pub(crate) async fn wait(mut self) {
        // Nothing is ever sent: this is the last sender's end.
        let _ = self.0.recv().await;
    }
}

/// Opens one repository, again after it failed.
pub(crate) struct Opening {
    /// Which, and how.
    settings: RepositorySettings,
    places: Places,
    ledger: Arc<Ledger>,
    /// The one journal of the repository in this process: made once, even if all else fails.
    journal: OnceCell<Arc<Journal>>,
    /// Where targets say what they notice; where nobody would hear it, nothing is watched.
    notices: Option<Notices>,
    /// Last, so that it goes after all else here.
    alive: Alive,
}

/// A repository that was opened.
pub(crate) struct Opened {
    /// Where commits come from.
    pub(crate) source: Arc<Source>,
    /// Where apps land.
    pub(crate) syncer: Arc<Syncer>,
    /// Where the manifest comes from.
    pub(crate) from: ManifestFrom,
    /// What its last commit came to.
    pub(crate) last: tokio::sync::Mutex<Last>,
    /// What its ref was refused for.
    pub(crate) refusal: Arc<LastRefusal>,
    /// Last, so that it goes after all else here.
    _alive: Alive,
}

/// The half that needs no ledger.
pub(crate) struct Reached {
    source: Source,
    from: ManifestFrom,
}

/// Opens the source. Nothing is asked over the network.
pub(crate) async fn reach(
    settings: &RepositorySettings,
    places: &Places,
) -> Result<Reached, Error> {
    let from = settings.manifest.read()?;
    if let Some(commits) = &settings.commits {
        commits.read().map(drop)?;
    }
    let (reach, reference) = (settings.reach.clone(), settings.reference.clone());
    let places = places.clone();
    let source = blocking("fetch", move || reach.open(&places, &reference)).await?;
    Ok(Reached { source, from })
}

impl Opening {
    /// Nothing is opened yet. With `notices`, targets watch what is ours there.
    pub(crate) fn new(
        settings: RepositorySettings,
        places: Places,
        ledger: Arc<Ledger>,
        notices: Option<Notices>,
        alive: Alive,
    ) -> Opening {
        Opening {
            settings,
            places,
            ledger,
            journal: OnceCell::new(),
            notices,
            alive,
        }
    }

    /// What targets noticed; waits for ever where nothing is watched.
    pub(crate) async fn noticed(&self) -> Noticed {
        match &self.notices {
            Some(notices) => notices.next().await,
            None => std::future::pending().await,
        }
    }

    /// Which repository, and how.
    pub(crate) fn settings(&self) -> &RepositorySettings {
        &self.settings
    }

    /// Opens all of it. Nothing is asked of the repository's server.
    pub(crate) async fn open(&self) -> Result<Opened, Error> {
        // First: what the ledger knows is shown though all else fails.
        self.journal().await?;
        let reached = reach(&self.settings, &self.places).await?;
        self.with(reached).await
    }

    /// Opens what is missing to a source, and all targets: one that cannot be opened ends it.
    pub(crate) async fn finish(&self, reached: Reached) -> Result<Opened, Error> {
        let opened = self.with(reached).await?;
        opened.syncer.open_all().await?;
        Ok(opened)
    }

    /// Opens what is missing to a source. Targets are opened when apps land in them.
    async fn with(&self, reached: Reached) -> Result<Opened, Error> {
        let syncer = self.syncer().await?;
        Ok(Opened {
            source: Arc::new(reached.source),
            syncer: Arc::new(syncer),
            from: reached.from,
            last: tokio::sync::Mutex::default(),
            refusal: Arc::default(),
            _alive: self.alive.clone(),
        })
    }

    /// What brings its apps to their targets, which needs no source.
    pub(crate) async fn syncer(&self) -> Result<Syncer, Error> {
        let journal = self.journal().await?;
        let targets = self.landings(&journal);
        Ok(Syncer::new(
            journal,
            targets,
            self.settings.policy.limits(),
            Notary::of(&self.places, &self.settings.reach),
            Keyring::new(self.settings.decrypt.clone(), self.places.kube.clone()),
        ))
    }

    /// The repository's own chain of the ledger.
    pub(crate) async fn journal(&self) -> Result<Arc<Journal>, Error> {
        let name = self.settings.reach.name.clone();
        let open = async || {
            let journal = Journal::open(self.ledger.clone(), name).await;
            journal.map(Arc::new)
        };
        self.journal.get_or_try_init(open).await.cloned()
    }

    /// The journal, where it was opened.
    pub(crate) fn known(&self) -> Option<&Journal> {
        self.journal.get().map(Arc::as_ref)
    }

    fn landings(&self, journal: &Journal) -> BTreeMap<TargetName, Landing> {
        let all = self.settings.targets.iter();
        all.map(|(name, bound)| {
            let watch = self.notices.clone().map(|notices| Watch {
                ledger: journal.ledger_id(),
                repository: journal.repository().clone(),
                notices,
            });
            let rules = Rules::new(
                [&self.settings.bound, &self.settings.allow, &bound.allow]
                    .into_iter()
                    .flatten()
                    .cloned(),
            );
            let landing = Landing::new(bound.clone(), rules, watch, self.places.clone());
            (name.clone(), landing)
        })
        .collect()
    }
}

/// Opens one place, to look at. Nothing is written there, and nothing is watched.
pub(crate) async fn target(bound: &Bound, places: &Places) -> Result<Target, Error> {
    opened(bound, places, Rules::default(), None).await
}

/// Opens one place.
pub(crate) async fn opened(
    bound: &Bound,
    places: &Places,
    rules: Rules,
    watch: Option<Watch>,
) -> Result<Target, Error> {
    match &bound.place {
        TargetPlace::Dir(dir) => {
            let dir = absolute(dir)?;
            let open = move || {
                DirTarget::open(&dir, DirLimits::HOST).map_err(|e| Error::stage("observe", &e))
            };
            let target = blocking("observe", open).await?;
            Ok(Target::Dir(Arc::new(target.within(rules))))
        }
        TargetPlace::Kube(place) => {
            let access = KubeAccess {
                place: place.clone(),
                kubeconfig: places.kube.files.clone(),
                in_cluster: places.kube.in_cluster,
                account: bound.account.clone(),
            };
            let target = KubeTarget::open(&access, places.kube.limits).await;
            let mut target = target
                .map_err(|e| Error::stage("observe", &e))?
                .within(rules);
            if let Some(watch) = watch {
                target = target.watching(watch.ledger, watch.repository, watch.notices);
            }
            Ok(Target::Kube(Arc::new(target)))
        }
    }
}

fn absolute(dir: &Path) -> Result<std::path::PathBuf, Error> {
    std::path::absolute(dir)
        .map_err(|e| Error::Usage(format!("--target dir:{}: {e}", dir.display())))
}

/// Runs what blocks, off the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    stage: &'static str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(Error::host(stage, format!("ended early: {e}"))),
    }
}
