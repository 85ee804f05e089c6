//! What a target noticed by itself: which apps drifted, and whose health is another. It rings; who hears it asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use weir_core::name::AppName;
use weir_core::object::ResourceId;

/// The least time between two answers that tell of health only: a rollout changes it all the time.
const HEALTH_PAUSE: Duration = Duration::from_millis(200);

/// What was noticed since the last answer. At most each object and app once, however much happens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noticed {
    /// Objects that are no longer as they were written, or gone, by app.
    pub drifted: BTreeMap<AppName, BTreeSet<ResourceId>>,
    /// Apps of which an object's health is another.
    pub health: BTreeSet<AppName>,
}

/// Where targets say what they notice. Cheap to clone; one loop hears it.
#[derive(Debug, Clone, Default)]
pub struct Notices(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<Waiting>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    noticed: Noticed,
    /// When health was last told.
    told: Option<Instant>,
}

impl Waiting {
    /// What may be told now, or how long to wait where only time is missing.
    fn take(&mut self) -> Result<Noticed, Option<Duration>> {
        let since = self.told.map(|at| at.elapsed());
        let pause = since.map_or(Duration::ZERO, |since| HEALTH_PAUSE.saturating_sub(since));
        if self.noticed.drifted.is_empty() {
            if self.noticed.health.is_empty() {
                return Err(None);
            }
            if !pause.is_zero() {
                return Err(Some(pause));
            }
        }
        if !self.noticed.health.is_empty() {
            self.told = Some(Instant::now());
        }
        Ok(std::mem::take(&mut self.noticed))
    }
}

impl Notices {
    /// An object of this app is not as it was written.
    pub fn drifted(&self, app: &AppName, id: &ResourceId) {
        self.say(|noticed| {
            let objects = noticed.drifted.entry(app.clone()).or_default();
            objects.insert(id.clone())
        });
    }

    /// The health of something of this app is another.
    pub fn health(&self, app: &AppName) {
        self.say(|noticed| noticed.health.insert(app.clone()));
    }

    fn say(&self, put: impl FnOnce(&mut Noticed) -> bool) {
        if put(&mut self.waiting().noticed) {
            self.0.bell.notify_one();
        }
    }

    /// Waits until something was noticed, and takes it. Dropped while it waits, it loses nothing.
    pub async fn next(&self) -> Noticed {
        loop {
            let taken = self.waiting().take();
            match taken {
                Ok(noticed) => return noticed,
                Err(None) => self.0.bell.notified().await,
                // Whichever comes first: drift, or the time at which health may be told.
                Err(Some(pause)) => {
                    let _ = tokio::time::timeout(pause, self.0.bell.notified()).await;
                }
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        let waiting = self.0.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> AppName {
        name.parse().unwrap()
    }

    fn id(name: &str) -> ResourceId {
        ResourceId {
            group: String::new(),
            kind: "ConfigMap".to_owned(),
            namespace: None,
            name: name.to_owned(),
        }
    }

    fn drift(name: &str) -> BTreeMap<AppName, BTreeSet<ResourceId>> {
        BTreeMap::from([(app(name), BTreeSet::from([id("a")]))])
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_said_many_times_is_heard_once() {
        let notices = Notices::default();
        for _ in 0..100 {
            notices.drifted(&app("web"), &id("a"));
        }
        notices.health(&app("db"));
        let heard = notices.next().await;
        assert_eq!(heard.drifted, drift("web"));
        assert_eq!(heard.health, BTreeSet::from([app("db")]));
        let more = tokio::time::timeout(Duration::from_secs(60), notices.next()).await;
        assert!(more.is_err(), "{more:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn health_waits_its_time_and_drift_does_not() {
        let notices = Notices::default();
        notices.health(&app("web"));
        notices.next().await;
        let began = Instant::now();
        notices.health(&app("web"));
        assert_eq!(notices.next().await.health, BTreeSet::from([app("web")]));
        assert!(began.elapsed() >= HEALTH_PAUSE);
        let began = Instant::now();
        notices.health(&app("web"));
        notices.drifted(&app("db"), &id("a"));
        assert_eq!(notices.next().await.drifted, drift("db"));
        assert!(began.elapsed() < HEALTH_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_said_while_nobody_listens_is_kept() {
        let notices = Notices::default();
        let given_up = tokio::time::timeout(Duration::from_millis(1), notices.next()).await;
        assert!(given_up.is_err());
        notices.drifted(&app("web"), &id("a"));
        assert_eq!(notices.next().await.drifted, drift("web"));
    }
}
