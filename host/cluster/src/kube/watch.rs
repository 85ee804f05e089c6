//! The tasks that keep a mirror true: one watch for each kind that a repository owns objects of.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt as _, TryStreamExt as _};
use kube::api::ApiResource;
use kube::core::{DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::runtime::watcher::{self, Config, Error, Event, watcher};
use kube::{Api, Client};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use weir_core::health;
use weir_core::object::ResourceId;
use weir_core::owner::REPOSITORY_LABEL;

use super::KubeLimits;
use super::again::jittered;
use super::error::KubeError;
use super::flight::Flight;
use super::mirror::{Estate, Kind, Mirror};
use crate::notices::Notices;

/// How long the server keeps one watch, in seconds; then it is asked to go on. A connection that died unheard is
/// noticed a little after.
const WATCH_SECONDS: u32 = 60;
/// The first and the longest pause before a watch that failed begins anew.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// How long a watch lasts that is no sign of trouble.
const LASTED: Duration = Duration::from_secs(30);

/// All watches of one repository in one cluster. They end with it.
pub(super) struct Watches {
    mirror: Arc<Mirror>,
    tasks: Mutex<BTreeMap<Kind, Task>>,
}

/// One watch under way, at one version of its kind.
struct Task {
    version: String,
    handle: AbortHandle,
}

impl Drop for Watches {
    fn drop(&mut self) {
        let tasks = self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner);
        for task in tasks.values() {
            task.handle.abort();
        }
    }
}

impl Watches {
    /// None yet.
    pub(super) fn new(estate: Estate, notices: Notices) -> Watches {
        Watches {
            mirror: Arc::new(Mirror::new(estate, notices)),
            tasks: Mutex::default(),
        }
    }

    /// What they know.
    pub(super) fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Watches this kind too, from now on. One that cannot be watched at the version it had begins anew at another.
    pub(super) fn begin(
        &self,
        client: &Client,
        flight: &Arc<Flight>,
        place: &str,
        limits: KubeLimits,
        resource: &ApiResource,
    ) {
        let kind = (resource.group.clone(), resource.kind.clone());
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = tasks.get(&kind) {
            if task.version == resource.version || !self.mirror.is_away(&kind) {
                return;
            }
            task.handle.abort();
        }
        self.mirror.begin(&kind);
        let one = One {
            client: client.clone(),
            resource: resource.clone(),
            place: place.to_owned(),
            mirror: self.mirror.clone(),
            flight: flight.clone(),
            limits,
            kind: kind.clone(),
        };
        let (version, handle) = (resource.version.clone(), tokio::spawn(one.run()));
        let handle = handle.abort_handle();
        tasks.insert(kind, Task { version, handle });
    }
}

/// One kind's watch.
struct One {
    client: Client,
    resource: ApiResource,
    place: String,
    mirror: Arc<Mirror>,
    flight: Arc<Flight>,
    limits: KubeLimits,
    kind: Kind,
}

impl One {
    /// Watches until the task is ended. After each failure all is listed anew: what was missed is not known. One
    /// that fails soon after it began is begun ever later, however far it came: lists cost the server much.
    async fn run(self) {
        let mut pause = PAUSES.0;
        loop {
            let begun = Instant::now();
            let why = self.once().await;
            tracing::debug!(kind = %self.kind.1, group = %self.kind.0, "a watch ended: {why}");
            self.mirror.lost(&self.kind, why);
            if begun.elapsed() >= LASTED {
                pause = PAUSES.0;
            }
            tokio::time::sleep(jittered(pause)).await;
            if let Some(until) = self.flight.quiet_until() {
                tokio::time::sleep_until(until).await;
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Watches until it fails: why.
    async fn once(&self) -> String {
        let mut listed = false;
        let mut events = pin!(self.events());
        loop {
            // The watch itself has its own way to notice that nothing comes any more; a list has none.
            let event = if listed {
                events.next().await
            } else {
                match tokio::time::timeout(self.limits.request, events.next()).await {
                    Ok(event) => event,
                    Err(_) => {
                        let seconds = self.limits.request.as_secs();
                        return format!("no answer to its list within {seconds} s");
                    }
                }
            };
            match event {
                Some(Ok(event)) => {
                    listed |= matches!(event, Event::InitDone);
                    self.mirror.take(&self.kind, event);
                }
                Some(Err(error)) => return self.text(&error),
                None => return "the watch ended".to_owned(),
            }
        }
    }

    /// Whole objects where their state says how healthy they are; otherwise their metadata alone.
    fn events(&self) -> impl Stream<Item = watcher::Result<Event<DynamicObject>>> + Send + use<'_> {
        let repository = &self.mirror.estate().repository;
        let config = Config::default()
            .labels(&format!("{REPOSITORY_LABEL}={repository}"))
            .page_size(self.limits.page)
            .timeout(WATCH_SECONDS);
        let any = ResourceId {
            group: self.kind.0.clone(),
            kind: self.kind.1.clone(),
            namespace: None,
            name: String::new(),
        };
        if health::waits(&any) {
            let whole = Api::<DynamicObject>::all_with(self.client.clone(), &self.resource);
            watcher(whole, config).left_stream()
        } else {
            let metadata = Api::<PartialObjectMeta<DynamicObject>>::all_with(
                self.client.clone(),
                &self.resource,
            );
            watcher(metadata, config)
                .map_ok(|event| match event {
                    Event::Init => Event::Init,
                    Event::InitDone => Event::InitDone,
                    Event::InitApply(object) => Event::InitApply(bare(object.metadata)),
                    Event::Apply(object) => Event::Apply(bare(object.metadata)),
                    Event::Delete(object) => Event::Delete(bare(object.metadata)),
                })
                .right_stream()
        }
    }

    fn text(&self, error: &Error) -> String {
        match error {
            Error::InitialListFailed(e) | Error::WatchStartFailed(e) | Error::WatchFailed(e) => {
                KubeError::of(&self.place, e, true).to_string()
            }
            Error::WatchError(status) => format!("the API server ended it: {}", status.message),
            Error::NoResourceVersion => "the API server gives no resource version".to_owned(),
        }
    }
}

/// An object of which only the metadata is known.
fn bare(metadata: ObjectMeta) -> DynamicObject {
    DynamicObject {
        types: None,
        metadata,
        data: serde_json::Value::Null,
    }
}
