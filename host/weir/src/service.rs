//! `weir serve --cluster`: the custom resources of a cluster in, loops begun, exchanged and ended, statuses out.
//!
//! One keeper for each Repository does all about it, one thing at a time; this file hands each what is news to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinSet;
use weir_api::{RepositoryView, View};
use weir_cluster::kube::{KubeAccess, KubePlace};
use weir_cluster::service::{AppSpec, Found, Key, Seen, ServiceCluster, Which};
use weir_core::name::RepositoryName;

use crate::config::Places;
use crate::error::Error;
use crate::hosting::Loops;
use crate::read_model::ReadyWhen;
use crate::repository::Bounds;

mod approve;
mod keeper;
mod leave;
mod names;
mod secret;
mod settings;
mod standing;
mod write;
use keeper::Keeper;
use names::Names;

/// The service of one cluster.
pub(crate) struct Service {
    cluster: ServiceCluster,
    loops: Loops,
    places: Places,
    bounds: Bounds,
    names: Mutex<Names>,
    inputs: Mutex<BTreeMap<Key, watch::Sender<Input>>>,
}

/// What a keeper is told: always all of it, so that nothing is missed however much happens.
#[derive(Debug, Clone, Default)]
struct Input {
    /// The Repository; nothing where it is gone.
    found: Option<Arc<Found>>,
    /// How it stands, as its loop says.
    view: Option<Arc<RepositoryView>>,
    /// Its Apps, by their names.
    apps: BTreeMap<String, Arc<Found>>,
    /// All Apps of the cluster were seen: one that is not here is not there.
    has_apps: bool,
    /// How many of its Apps went so far.
    gone: u64,
    /// How often something else was news to it.
    poked: u64,
}

/// What the service knows by itself.
#[derive(Default)]
struct Known {
    /// The Repository of each name of this host.
    keys: BTreeMap<RepositoryName, Key>,
    /// The Repository of each App.
    owners: BTreeMap<Key, Key>,
    listed_repositories: bool,
    listed_apps: bool,
    /// What was said last of a watch that failed.
    lost: BTreeMap<Which, String>,
}

impl Service {
    /// Reads how to reach the cluster. Nothing is asked of it yet.
    pub(crate) async fn open(
        places: &Places,
        loops: Loops,
        bounds: Bounds,
    ) -> Result<Service, Error> {
        let access = KubeAccess {
            place: KubePlace::Current,
            kubeconfig: places.kube.files.clone(),
            in_cluster: places.kube.in_cluster,
            account: None,
        };
        let cluster = ServiceCluster::open(access, places.kube.limits).await;
        Ok(Service {
            cluster: cluster.map_err(|e| Error::stage("start", &e))?,
            loops,
            places: places.clone(),
            bounds,
            names: Mutex::default(),
            inputs: Mutex::default(),
        })
    }

    /// Follows the cluster's Repositories until it is dropped.
    pub(crate) async fn run(self, mut view: watch::Receiver<Arc<View>>) {
        let service = Arc::new(self);
        let mut watching = service.cluster.watch();
        let mut keepers = JoinSet::new();
        let mut known = Known::default();
        loop {
            tokio::select! {
                seen = watching.seen.recv() => match seen {
                    Some(seen) => service.take(seen, &mut known, &mut keepers),
                    None => return,
                },
                changed = view.changed() => match changed {
                    Ok(()) => service.hand_out(&view.borrow_and_update().clone(), &known),
                    Err(_) => return,
                },
                Some(ended) = keepers.join_next() => {
                    if let Err(e) = ended {
                        // A fault of ours: its Repository is left alone until the host begins anew.
                        tracing::error!("the keeper of a Repository ended early: {e}");
                    }
                }
            }
        }
    }

    fn take(self: &Arc<Self>, seen: Seen, known: &mut Known, keepers: &mut JoinSet<()>) {
        match seen {
            Seen::Is(Which::Repositories, found) => self.is_there(found, known, keepers),
            Seen::Gone(Which::Repositories, key) => {
                if let Ok(name) = settings::name(&key) {
                    known.keys.remove(&name);
                }
                self.tell(&key, |input| input.found = None);
            }
            Seen::Is(Which::Apps, found) => self.app_is_there(found, known),
            Seen::Gone(Which::Apps, key) => {
                if let Some(owner) = known.owners.remove(&key) {
                    self.tell(&owner, |input| {
                        input.apps.remove(&key.name);
                        input.gone += 1;
                    });
                }
            }
            Seen::Listed(which) => {
                if known.lost.remove(&which).is_some() {
                    tracing::info!("the cluster's {} are watched again", which.kind());
                }
                match which {
                    Which::Repositories if !known.listed_repositories => {
                        known.listed_repositories = true;
                        self.loops.ready_when(ReadyWhen::Known(true));
                    }
                    Which::Apps => {
                        known.listed_apps = true;
                        for input in self.inputs().values() {
                            input.send_modify(|input| input.has_apps = true);
                        }
                    }
                    Which::Repositories => {}
                }
            }
            Seen::Lost(which, why) => {
                if known.lost.get(&which) != Some(&why) {
                    tracing::error!(
                        "the cluster's {} cannot be watched, what was known stays: {why}",
                        which.kind()
                    );
                    known.lost.insert(which, why);
                }
            }
        }
    }

    fn is_there(self: &Arc<Self>, found: Box<Found>, known: &mut Known, keepers: &mut JoinSet<()>) {
        let (key, found) = (found.key.clone(), Arc::from(found));
        if let Ok(name) = settings::name(&key) {
            known.keys.insert(name, key.clone());
        }
        let mut inputs = self.inputs();
        if let Some(input) = inputs.get(&key) {
            input.send_modify(|input| input.found = Some(found));
            return;
        }
        let (send, receive) = watch::channel(Input {
            found: Some(found),
            has_apps: known.listed_apps,
            ..Input::default()
        });
        inputs.insert(key.clone(), send);
        let span = tracing::error_span!("repository", repository = %format_args!("{}.{}", key.namespace, key.name));
        let keeper = Keeper::new(self.clone(), key, receive);
        keepers.spawn(tracing::Instrument::instrument(keeper.run(), span));
    }

    fn app_is_there(&self, found: Box<Found>, known: &mut Known) {
        // One that somebody else made of nothing that is here is nobody's.
        let Ok(spec) = found.read::<AppSpec>() else {
            return;
        };
        let owner = Key {
            namespace: found.key.namespace.clone(),
            name: spec.repository,
        };
        if !known.listed_apps
            && let Ok(app) = spec.app.parse()
        {
            self.names().remember(&owner, app);
        }
        let before = known.owners.insert(found.key.clone(), owner.clone());
        let name = found.key.name.clone();
        if let Some(before) = before.filter(|before| *before != owner) {
            self.tell(&before, |input| drop(input.apps.remove(&name)));
        }
        let found: Arc<Found> = Arc::from(found);
        self.tell(&owner, |input| drop(input.apps.insert(name, found)));
    }

    /// Hands each keeper its own repository's view, where that is another one.
    fn hand_out(&self, view: &View, known: &Known) {
        let inputs = self.inputs();
        for repository in &view.repositories {
            let key = known.keys.get(&repository.name);
            if let Some(input) = key.and_then(|key| inputs.get(key)) {
                input.send_if_modified(|input| {
                    let same = input
                        .view
                        .as_ref()
                        .is_some_and(|v| Arc::ptr_eq(v, repository));
                    if !same {
                        input.view = Some(repository.clone());
                    }
                    !same
                });
            }
        }
    }

    fn tell(&self, key: &Key, change: impl FnOnce(&mut Input)) {
        if let Some(input) = self.inputs().get(key) {
            input.send_modify(change);
        }
    }

    fn inputs(&self) -> MutexGuard<'_, BTreeMap<Key, watch::Sender<Input>>> {
        self.inputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
