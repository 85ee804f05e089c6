//! The target `kube:`: a Kubernetes cluster, written to by server-side apply as the field manager `weir`.
//!
//! Rules that hold at every instant, whoever else writes there:
//! - Whose an object is stands on the object. What is not ours is neither changed nor deleted.
//! - A write says which object it is for (its uid), a delete also in which state it was seen. Server-side
//!   apply has no create-only form: that nothing was there is known from the look before.
//! - An object that nobody touched since we wrote it costs no request: its managed fields say so.

mod account;
mod adopt;
mod again;
mod assess;
mod body;
mod compare;
mod connect;
mod error;
mod flight;
mod hang;
mod hooks;
mod kinds;
mod look;
mod managed;
mod mirror;
mod placed;
mod recover;
mod run;
mod update;
mod watch;
mod write;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use weir_core::allow::Rules;
use weir_core::health::Summary;
use weir_core::live::Live;
use weir_core::name::RepositoryName;
use weir_core::object::ResourceId;

pub use account::{Account, AccountError};
use again::Tries;
pub use compare::{Change, Compare, Compared};
use connect::Clients;
pub use connect::{KubeAccess, KubePlace, secret_data};
pub(crate) use connect::{client, read_secret};
pub use error::{Conflicts, FieldConflict, KubeError};
use flight::Flight;
use kinds::Kinds;
use mirror::Estate;
pub use recover::{Proof, Survey};
use watch::Watches;

use crate::notices::Notices;

/// How much is asked of a cluster, and how long it is waited for. There is no `Default`: whoever opens one says
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KubeLimits {
    /// Requests under way at once, where the API server does not ask for fewer.
    pub in_flight: usize,
    /// How long one request may take until it is given up.
    pub request: Duration,
    /// How long one request may take until it counts as hanging and others are sent in its place: what one namespace's
    /// webhook holds up holds up no other one.
    pub hangs: Duration,
    /// How often one request is sent that got no answer, or one that says nothing of what became of it.
    pub attempts: usize,
    /// How long after the first of these the last one may begin.
    pub patience: Duration,
    /// How often one request is sent that the API server has no room for.
    pub throttles: usize,
    /// How long after the first of these the last one may begin.
    pub throttled: Duration,
    /// The longest wait that the API server may ask for.
    pub longest_wait: Duration,
    /// How long one run may take until nothing more of it is begun.
    pub run: Duration,
    /// Objects of one kind and namespace up to which each is asked for by itself; more are listed.
    pub singles: usize,
    /// Objects on one page of a list.
    pub page: u32,
    /// Pages of one list. What lies beyond is an error, never absent.
    pub pages: usize,
    /// How long a definition may take until its kind is served.
    pub establish: Duration,
    /// How long a deleted object may take until it is gone.
    pub delete: Duration,
    /// How long a look waits for the first list of a kind's watch before it asks by itself.
    pub first_list: Duration,
}

impl KubeLimits {
    /// What a host allows that was told nothing else.
    pub const HOST: KubeLimits = KubeLimits {
        in_flight: 16,
        // A little more than an API server gives itself for a write with slow webhooks: 34 s.
        request: Duration::from_secs(36),
        hangs: Duration::from_secs(2),
        attempts: 3,
        patience: Duration::from_secs(60),
        throttles: 20,
        throttled: Duration::from_secs(180),
        longest_wait: Duration::from_secs(60),
        run: Duration::from_secs(15 * 60),
        singles: 8,
        page: 500,
        pages: 2_000,
        establish: Duration::from_secs(30),
        delete: Duration::from_secs(20),
        first_list: Duration::from_secs(10),
    };
}

/// How old what is known of the cluster's kinds must be before an unknown kind makes us ask again.
const KINDS_SETTLE: Duration = Duration::from_secs(1);

/// A cluster that apps land in.
pub struct KubeTarget {
    /// Runs as the target's service account, where it names one: all reads and writes of objects.
    client: Client,
    /// Runs as this host's own account: which kinds there are, and the watches.
    own: Client,
    account: Option<Account>,
    rules: Rules,
    place: String,
    limits: KubeLimits,
    flight: Arc<Flight>,
    kinds: Mutex<Option<(Instant, Arc<Kinds>)>>,
    watches: Option<Watches>,
}

impl KubeTarget {
    /// Reads how to reach the cluster. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`KubeError::Config`] when the kubeconfig cannot be used; what a kubeconfig in a Secret needs of the
    /// cluster that holds it can fail like any request.
    pub async fn open(access: &KubeAccess, limits: KubeLimits) -> Result<KubeTarget, KubeError> {
        let flight = Arc::new(Flight::new(limits));
        let Clients { acting, own } = connect::clients(access, limits, &flight).await?;
        Ok(KubeTarget {
            client: acting,
            own,
            account: access.account.clone(),
            rules: Rules::default(),
            place: access.to_string(),
            limits,
            flight,
            kinds: Mutex::new(None),
            watches: None,
        })
    }

    /// Watches what this repository of this ledger has there, from each kind's first look on. What changes is
    /// said in `notices`; what nobody touched is looked at without a request.
    #[must_use]
    pub fn watching(
        mut self,
        ledger: String,
        repository: RepositoryName,
        notices: Notices,
    ) -> KubeTarget {
        self.watches = Some(Watches::new(Estate { ledger, repository }, notices));
        self
    }

    /// How healthy these objects of ours are, as the watches say; `None` where nothing is watched.
    pub(crate) fn health<'a>(
        &self,
        held: impl IntoIterator<Item = &'a ResourceId>,
    ) -> Option<Summary> {
        let mirror = self.watches.as_ref()?.mirror();
        let (_, kinds) = self.known_kinds()?;
        let all: Vec<_> = held
            .into_iter()
            .map(|id| {
                (
                    id,
                    mirror.health(&kinds.place(id).unwrap_or_else(|| id.clone())),
                )
            })
            .collect();
        Some(Summary::of(all.iter().map(|(id, health)| (*id, health))))
    }

    /// The objects of one kind, in one namespace or in none.
    fn api(&self, resource: &ApiResource, id: &ResourceId) -> Api<DynamicObject> {
        match &id.namespace {
            Some(namespace) => {
                Api::namespaced_with(self.client.clone(), namespace.as_str(), resource)
            }
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    /// A request that may be done twice: a read, or a write that names the object that it is for. It is sent again
    /// where nothing says what became of it, and where the server has no room for it.
    async fn request<T, F>(&self, secret: bool, request: impl Fn() -> F) -> Result<T, KubeError>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let mut tries = self.tries();
        loop {
            match self.once(secret, request()).await {
                Err(error) if tries.again(&error, self.flight.is_quiet()).await => {}
                ended => return ended,
            }
        }
    }

    /// One request that is sent once, within its time and among so many at once. Whoever sends it again by
    /// [`KubeTarget::tries`] looks first at what became of it.
    async fn once<T>(
        &self,
        secret: bool,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, KubeError> {
        let turn = self.flight.turn().await;
        let begun = tokio::time::Instant::now();
        let Ok(probe) = self.flight.may_ask() else {
            return Err(KubeError::Away {
                place: self.place.clone(),
                message: "it answers nothing, and gets one request at a time until it does"
                    .to_owned(),
            });
        };
        let request = tokio::time::timeout(self.limits.request, request);
        match hang::lent((turn, probe), self.limits.hangs, request).await {
            Ok(answer) => answer.map_err(|e| {
                let error = KubeError::of(&self.place, &e, secret);
                let error = match &self.account {
                    Some(account) => account.explained(error),
                    None => error,
                };
                if matches!(error, KubeError::NotServed { .. }) {
                    self.forget_kinds();
                }
                error
            }),
            Err(_) => {
                self.flight.gave_up(begun);
                Err(KubeError::Away {
                    place: self.place.clone(),
                    message: format!("no answer within {} s", self.limits.request.as_secs()),
                })
            }
        }
    }

    /// How often one request is sent from now on.
    fn tries(&self) -> Tries {
        Tries::new(self.limits)
    }

    /// What the cluster serves, as it was last asked.
    async fn kinds(&self) -> Result<Arc<Kinds>, KubeError> {
        if let Some((_, kinds)) = self.known_kinds() {
            return Ok(kinds);
        }
        self.ask_kinds().await
    }

    /// The same, asked anew where something is missing in what is known and that is not of just now.
    async fn kinds_with(&self, has: impl Fn(&Kinds) -> bool) -> Result<Arc<Kinds>, KubeError> {
        match self.known_kinds() {
            Some((at, kinds)) if has(&kinds) || at.elapsed() < KINDS_SETTLE => Ok(kinds),
            _ => self.ask_kinds().await,
        }
    }

    async fn ask_kinds(&self) -> Result<Arc<Kinds>, KubeError> {
        let kinds = match self.request(false, || Kinds::ask(&self.own)).await {
            Ok(kinds) => Arc::new(kinds),
            // No API server at all.
            Err(KubeError::NotServed { message }) => {
                return Err(KubeError::Other { code: 404, message });
            }
            Err(error) => return Err(error),
        };
        let known = Some((Instant::now(), kinds.clone()));
        *self.kinds.lock().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(kinds)
    }

    /// What was known of the kinds turned out wrong: they are asked for anew before the next use.
    fn forget_kinds(&self) {
        *self.kinds.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn known_kinds(&self) -> Option<(Instant, Arc<Kinds>)> {
        let known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }
}

/// Whether an object's values may not be shown.
fn is_secret(id: &ResourceId) -> bool {
    id.group.is_empty() && id.kind == "Secret"
}

/// An object that could not be read, as the plan hears of it.
fn unknown(error: &KubeError) -> Live {
    match error {
        KubeError::UnknownKind { .. } | KubeError::UnknownVersion { .. } => {
            Live::Unserved(error.to_string())
        }
        _ => Live::Unknown(error.to_string()),
    }
}
