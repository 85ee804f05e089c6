//! What there is of the custom resources: watched as plain values, so that one that cannot be read hides no other.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use kube::Api;
use kube::core::DynamicObject;
use kube::runtime::watcher::{Config, Error, Event, watcher};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::FINALIZER;
use super::cluster::ServiceCluster;
use crate::kube::KubeError;

/// How long the server keeps one watch, in seconds; then it is asked to go on.
const WATCH_SECONDS: u32 = 60;
/// The first and the longest pause before a watch that failed begins anew.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// What was seen and not taken yet.
const SEEN: usize = 256;

/// Which custom resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// What people write.
    Repositories,
    /// What the service writes.
    Apps,
}

/// A resource's namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// A resource as it is, whether or not it can be read.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where.
    pub key: Key,
    /// Which of those that ever had its name.
    pub uid: String,
    /// How often its spec was changed.
    pub generation: Option<i64>,
    /// Which state of it this is.
    pub version: String,
    /// It waits to be let go of.
    pub is_deleting: bool,
    /// The service keeps it.
    pub is_kept: bool,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The uids of those that it belongs to.
    pub owners: Vec<String>,
    /// What it should be.
    pub spec: Value,
    /// How it was said to stand.
    pub status: Value,
}

/// What was seen.
#[derive(Debug)]
pub enum Seen {
    /// A resource is so.
    Is(Which, Box<Found>),
    /// A resource is gone.
    Gone(Which, Key),
    /// All that there were have been seen.
    Listed(Which),
    /// They cannot be watched: why.
    Lost(Which, String),
}

/// The watches. They end with it.
pub struct Watching {
    /// What is seen, in order for each of both.
    pub seen: mpsc::Receiver<Seen>,
    tasks: Vec<AbortHandle>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Found {
    /// Its spec, read.
    ///
    /// # Errors
    /// Where in it something is not as expected, and what.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_path_to_error::deserialize(&self.spec).map_err(|e| match e.path().to_string() {
            path if path == "." => format!("spec: {}", e.inner()),
            path => format!("spec.{path}: {}", e.inner()),
        })
    }

    fn of(object: DynamicObject) -> Found {
        let DynamicObject {
            metadata, mut data, ..
        } = object;
        let mut part = |name: &str| data.get_mut(name).map(Value::take).unwrap_or_default();
        Found {
            spec: part("spec"),
            status: part("status"),
            key: Key {
                namespace: metadata.namespace.unwrap_or_default(),
                name: metadata.name.unwrap_or_default(),
            },
            uid: metadata.uid.unwrap_or_default(),
            generation: metadata.generation,
            version: metadata.resource_version.unwrap_or_default(),
            is_deleting: metadata.deletion_timestamp.is_some(),
            is_kept: metadata
                .finalizers
                .is_some_and(|all| all.iter().any(|f| f == FINALIZER)),
            annotations: metadata.annotations.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            owners: metadata
                .owner_references
                .unwrap_or_default()
                .into_iter()
                .map(|o| o.uid)
                .collect(),
        }
    }
}

impl ServiceCluster {
    /// Watches both from now on.
    #[must_use]
    pub fn watch(&self) -> Watching {
        let (send, seen) = mpsc::channel(SEEN);
        let begin = |which| {
            let one = One {
                cluster: self.clone(),
                which,
                known: BTreeSet::new(),
                send: send.clone(),
            };
            tokio::spawn(one.run()).abort_handle()
        };
        let tasks = vec![begin(Which::Repositories), begin(Which::Apps)];
        Watching { seen, tasks }
    }
}

/// The watch of one of both.
struct One {
    cluster: ServiceCluster,
    which: Which,
    known: BTreeSet<Key>,
    send: mpsc::Sender<Seen>,
}

impl One {
    /// Watches until nobody listens any more. After each failure all is listed anew.
    async fn run(mut self) {
        let mut pause = PAUSES.0;
        loop {
            let (why, listed) = match self.once().await {
                Ok(()) => return,
                Err(failed) => failed,
            };
            if listed {
                pause = PAUSES.0;
            }
            if self.send.send(Seen::Lost(self.which, why)).await.is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Watches until it fails: why, and whether it had come far. Well, when nobody listens any more.
    async fn once(&mut self) -> Result<(), (String, bool)> {
        let limits = self.cluster.limits;
        let api: Api<DynamicObject> =
            Api::all_with(self.cluster.client.clone(), &self.which.resource());
        let config = Config::default()
            .page_size(limits.page)
            .timeout(WATCH_SECONDS);
        let mut events = pin!(watcher(api, config));
        let mut listed = false;
        let mut now = BTreeSet::new();
        loop {
            let event = if listed {
                events.next().await
            } else {
                match tokio::time::timeout(limits.request, events.next()).await {
                    Ok(event) => event,
                    Err(_) => {
                        let seconds = limits.request.as_secs();
                        return Err((format!("no answer to the list within {seconds} s"), false));
                    }
                }
            };
            let event = match event {
                Some(Ok(event)) => event,
                Some(Err(error)) => return Err((text(&error), listed)),
                None => return Err(("the watch ended".to_owned(), listed)),
            };
            let seen = match event {
                Event::Init => {
                    now.clear();
                    continue;
                }
                Event::InitApply(object) => {
                    let found = Found::of(object);
                    now.insert(found.key.clone());
                    vec![Seen::Is(self.which, Box::new(found))]
                }
                Event::InitDone => {
                    listed = true;
                    let before = std::mem::replace(&mut self.known, std::mem::take(&mut now));
                    let gone = before.into_iter().filter(|key| !self.known.contains(key));
                    let mut seen: Vec<Seen> = gone.map(|key| Seen::Gone(self.which, key)).collect();
                    seen.push(Seen::Listed(self.which));
                    seen
                }
                Event::Apply(object) => {
                    let found = Found::of(object);
                    self.known.insert(found.key.clone());
                    vec![Seen::Is(self.which, Box::new(found))]
                }
                Event::Delete(object) => {
                    let key = Found::of(object).key;
                    self.known.remove(&key);
                    vec![Seen::Gone(self.which, key)]
                }
            };
            for one in seen {
                if self.send.send(one).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

fn text(error: &Error) -> String {
    match error {
        Error::InitialListFailed(e) | Error::WatchStartFailed(e) | Error::WatchFailed(e) => {
            match KubeError::of("kube:", e, false) {
                KubeError::NotServed { .. } => {
                    "the cluster has no such resources: install their definitions, weir crds | kubectl apply --server-side -f -".to_owned()
                }
                other => other.to_string(),
            }
        }
        Error::WatchError(status) => format!("the API server ended it: {}", status.message),
        Error::NoResourceVersion => "the API server gives no resource version".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::RepositorySpec;
    use super::*;

    fn found(spec: Value) -> Found {
        let object = json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": "Repository",
            "metadata": { "namespace": "team", "name": "shop", "uid": "1", "finalizers": [FINALIZER] },
            "spec": spec,
        });
        Found::of(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn what_is_left_out_is_what_the_page_says() {
        let spec: RepositorySpec = found(json!({ "url": "https://h/x" })).read().unwrap();
        assert_eq!(
            (spec.reference.as_str(), spec.interval.as_str()),
            ("main", "1m")
        );
        assert_eq!(
            (spec.service_account.as_str(), spec.targets.len()),
            ("default", 1)
        );
        assert_eq!(spec.policy.guard.objects, 10);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_place_and_a_null_is_no_value() {
        for (spec, expected) in [
            (Value::Null, "spec: "),
            (json!({}), "spec: missing field `url`"),
            (json!({ "url": 1 }), "spec.url: invalid type"),
            (
                json!({ "url": "x", "secretRef": { "name": 7 } }),
                "spec.secretRef.name: invalid type",
            ),
            (
                json!({ "url": "x", "allow": null }),
                "spec.allow: invalid type: null",
            ),
            (
                json!({ "url": "x", "allow": { "clusterKinds": [], "kinds": null } }),
                "spec.allow.kinds: invalid type: null",
            ),
            (
                json!({ "url": "x", "policy": { "onDelete": "burn" } }),
                "spec.policy.onDelete: unknown variant",
            ),
            (
                json!({ "url": "x", "targets": "all" }),
                "spec.targets: invalid type",
            ),
        ] {
            let error = found(spec).read::<RepositorySpec>().unwrap_err();
            assert!(error.starts_with(expected), "{expected}: {error}");
        }
        assert!(found(json!({})).is_kept);
    }
}
