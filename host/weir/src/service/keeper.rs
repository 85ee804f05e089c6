//! The keeper of one Repository: has it followed as it says, and keeps its resources true. One thing at a time, and at
//! most one round a second.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use weir_api::Control as _;
use weir_cluster::kube::KubeError;
use weir_cluster::service::{Found, Key, Note, RepositorySpec, SUSPEND, SYNC, Which};
use weir_core::name::RepositoryName;

use super::secret::{Folder, Shown};
use super::standing::Trouble;
use super::write::Book;
use super::{Input, Service, settings};
use crate::repository::RepositorySettings;

/// The shortest time between two rounds: each resource is written at most once in it.
const ROUND: Duration = Duration::from_secs(1);
/// How often a Secret is looked at, besides when the Repository changes or asks to be synced.
const SECRET_LOOK: Duration = Duration::from_secs(30);
/// After how long what could not be done is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How long the end of a loop is waited for at once; then again in the next round.
const END_WITHIN: Duration = Duration::from_secs(10);
/// So many events of a Repository and its Apps are written at once.
const EVENTS: u32 = 50;
/// So often one more is.
const EVENT_EACH: Duration = Duration::from_secs(5);

/// What keeps one Repository.
pub(super) struct Keeper {
    pub(super) service: Arc<Service>,
    pub(super) key: Key,
    /// What this host calls it, where it has a name that fits.
    pub(super) name: Option<RepositoryName>,
    input: watch::Receiver<Input>,
    /// Which of those that ever had its name.
    uid: String,
    /// What is followed, or what was found wrong.
    configured: Option<Configured>,
    pub(super) trouble: Option<Trouble>,
    pub(super) handled_sync: Option<String>,
    secret_look: Option<Instant>,
    /// Something could not be done and is tried again.
    pub(super) is_owed: bool,
    pub(super) book: Book,
    /// It was deleted, and all was done about that but to let go of it.
    pub(super) has_left: bool,
    events: Events,
}

/// What a loop was begun with.
#[derive(Debug, Clone, PartialEq)]
struct Configured {
    spec: Value,
    suspend: bool,
    /// How credentials are shown: another form needs another loop, another value does not.
    shown: String,
}

/// Why it cannot be followed as it says.
enum NotNow {
    /// Something is wrong with it.
    Trouble(Trouble),
    /// The cluster did not answer.
    Later(KubeError),
}

/// How many events may still be written.
struct Events {
    left: u32,
    next: Instant,
    /// It was said that some are left out.
    is_said: bool,
}

impl Keeper {
    /// Nothing is done yet.
    pub(super) fn new(service: Arc<Service>, key: Key, input: watch::Receiver<Input>) -> Keeper {
        Keeper {
            name: settings::name(&key).ok(),
            service,
            key,
            input,
            uid: String::new(),
            configured: None,
            trouble: None,
            handled_sync: None,
            secret_look: None,
            is_owed: false,
            book: Book::default(),
            has_left: false,
            events: Events {
                left: EVENTS,
                next: Instant::now() + EVENT_EACH,
                is_said: false,
            },
        }
    }

    /// Keeps it until it is gone.
    pub(super) async fn run(mut self) {
        loop {
            let begun = Instant::now();
            let input = self.input.borrow_and_update().clone();
            match input.found.clone() {
                None => {
                    if self.gone().await {
                        return;
                    }
                }
                Some(found) => {
                    if found.uid != self.uid {
                        self.begin_anew(&found);
                    }
                    self.is_owed = false;
                    match found.is_deleting {
                        true => self.leave(&found).await,
                        false => self.follow(&found, &input).await,
                    }
                }
            }
            tokio::time::sleep_until(begun + ROUND).await;
            let wake = self.wake();
            tokio::select! {
                changed = self.input.changed() => if changed.is_err() {
                    return;
                },
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    fn wake(&self) -> Instant {
        let now = Instant::now();
        let far = now + Duration::from_secs(3_600);
        let owed = if self.is_owed { now + AGAIN } else { far };
        owed.min(self.secret_look.unwrap_or(far))
    }

    /// Another resource of the name than before: nothing of what was known is true of it.
    fn begin_anew(&mut self, found: &Found) {
        self.uid.clone_from(&found.uid);
        self.configured = None;
        self.trouble = None;
        self.has_left = false;
        self.book = Book::default();
        let handled = found.status.get("lastHandledSync");
        self.handled_sync = handled.and_then(Value::as_str).map(str::to_owned);
    }

    /// Has it followed as it says now.
    async fn follow(&mut self, found: &Arc<Found>, input: &Input) {
        if !found.is_kept
            && let Err(e) = self.service.cluster.keep(found, true).await
        {
            // What is not kept could go unseen: nothing of it is applied.
            self.owe("the finalizer cannot be set", &e);
            return;
        }
        let asked = found.annotations.get(SYNC);
        let is_asked = asked.is_some() && asked != self.handled_sync.as_ref();
        self.configure(found, is_asked).await;
        if is_asked {
            self.handled_sync = asked.cloned();
            self.refresh();
        }
        self.answer_approvals(input).await;
        self.write(found, input).await;
    }

    /// Begins, exchanges or ends its loop where that is due.
    async fn configure(&mut self, found: &Found, look: bool) {
        let suspend = found.annotations.get(SUSPEND).is_some_and(|v| v == "true");
        let same = self
            .configured
            .as_ref()
            .is_some_and(|c| c.spec == found.spec && c.suspend == suspend);
        let due = look || self.secret_look.is_some_and(|at| at <= Instant::now());
        // What was found wrong is looked at again only where that may have changed.
        if same && !due && !self.trouble.as_ref().is_some_and(|t| t.is_tried_again) {
            return;
        }
        match self.settings(found, suspend).await {
            Ok((settings, configured)) => {
                if self.configured.as_ref() == Some(&configured) && self.trouble.is_none() {
                    return;
                }
                if !self.end_loop().await {
                    return;
                }
                self.trouble = None;
                self.configured = Some(configured);
                let one = self.service.loops.one(&settings);
                self.service.loops.begin(one);
            }
            // What is followed goes on with what was said last.
            Err(NotNow::Later(e)) if same && self.trouble.is_none() => {
                self.owe("its Secret cannot be looked at", &e);
            }
            Err(not_now) => {
                let trouble = not_now.trouble();
                self.is_owed |= trouble.is_tried_again;
                if self.trouble.as_ref() == Some(&trouble) && same {
                    return;
                }
                tracing::error!("{}", trouble.message);
                self.trouble = Some(trouble);
                self.configured = Some(Configured {
                    spec: found.spec.clone(),
                    suspend,
                    shown: String::new(),
                });
                if let Some(name) = &self.name {
                    // Its end is heard of, and waited for where another one is to begin.
                    let _ = tokio::time::timeout(END_WITHIN, self.service.loops.end(name)).await;
                }
            }
        }
    }

    /// Whether it has ended, and all that it had begun.
    async fn end_loop(&mut self) -> bool {
        let Some(name) = self.name.clone() else {
            return true;
        };
        let ended = tokio::time::timeout(END_WITHIN, self.service.loops.end(&name)).await;
        if ended.is_err() {
            self.is_owed = true;
            self.trouble = Some(Trouble {
                reason: "Waiting",
                message: "the change is taken up when what is under way has ended".to_owned(),
                is_tried_again: true,
            });
        }
        ended.is_ok()
    }

    async fn settings(
        &mut self,
        found: &Found,
        suspend: bool,
    ) -> Result<(RepositorySettings, Configured), NotNow> {
        self.secret_look = None;
        let spec: RepositorySpec = found.read().map_err(invalid)?;
        let shown = self.shown(&spec).await?;
        let form = format!("{shown:?}");
        let settings = settings::settings(&self.key, &spec, shown, suspend, &self.service.bounds)
            .map_err(invalid)?;
        let configured = Configured {
            spec: found.spec.clone(),
            suspend,
            shown: form,
        };
        Ok((settings, configured))
    }

    /// What is shown to its server, as the Secret says now.
    async fn shown(&mut self, spec: &RepositorySpec) -> Result<Shown, NotNow> {
        let Some(folder) = self.folder() else {
            return Ok(Shown::nothing());
        };
        let Some(secret) = &spec.secret_ref else {
            let removed = folder.remove();
            return removed.map(|()| Shown::nothing()).map_err(|e| {
                unusable(format!(
                    "what an earlier Secret said cannot be removed: {e}"
                ))
            });
        };
        self.secret_look = Some(Instant::now() + SECRET_LOOK);
        let url = settings::url(spec).map_err(invalid)?;
        let data = self
            .service
            .cluster
            .secret(&self.key.namespace, &secret.name);
        let data = data.await.map_err(|e| match e {
            KubeError::Config(message) => unusable(message),
            other => NotNow::Later(other),
        })?;
        let kept = folder.keep(&url, &data);
        kept.map_err(|e| {
            unusable(format!(
                "Secret {}/{}: {e}",
                self.key.namespace, secret.name
            ))
        })
    }

    pub(super) fn folder(&self) -> Option<Folder> {
        let name = self.name.as_ref()?;
        Some(Folder::of(&self.service.places.state, name))
    }

    /// Asks for a fetch now; how it ends is in the view.
    fn refresh(&self) {
        if let Some(name) = self.name.clone() {
            let loops = self.service.loops.clone();
            tokio::spawn(async move {
                // The host stops, or the loop has ended: nothing is to be fetched.
                let _ = loops.refresh(name).await;
            });
        }
    }

    /// It is gone: nothing of it runs or is kept here. Whether nobody has made it again meanwhile.
    async fn gone(&mut self) -> bool {
        if !self.end_loop().await {
            return false;
        }
        self.forget();
        let mut inputs = self.service.inputs();
        let is_gone = inputs
            .get(&self.key)
            .is_none_or(|input| input.borrow().found.is_none());
        if is_gone {
            inputs.remove(&self.key);
        }
        is_gone
    }

    /// Nothing of it is shown or kept here any more, but for its ledger.
    pub(super) fn forget(&mut self) {
        if let Some(name) = &self.name {
            self.service.loops.forget(name);
        }
        if let Some(folder) = self.folder()
            && let Err(e) = folder.remove()
        {
            tracing::error!("what its Secret said cannot be removed: {e}");
        }
        self.configured = None;
        self.secret_look = None;
        self.claim(std::collections::BTreeSet::new());
    }

    /// Something could not be done: it is said, and tried again.
    pub(super) fn owe(&mut self, what: &str, error: &KubeError) {
        self.is_owed = true;
        tracing::warn!("{what}: {error}");
    }

    /// Says what happened to the Repository or one of its Apps, where not too much was said of late.
    pub(super) async fn say(&mut self, which: Which, key: &Key, uid: &str, note: &Note) {
        if !self.events.take() {
            return;
        }
        if let Err(e) = self.service.cluster.say(which, key, uid, note).await {
            tracing::warn!("an event cannot be written: {e}");
        }
    }
}

impl Events {
    fn take(&mut self) -> bool {
        let now = Instant::now();
        while self.left < EVENTS && self.next <= now {
            self.left += 1;
            self.next += EVENT_EACH;
        }
        if self.left == EVENTS {
            self.next = now + EVENT_EACH;
            self.is_said = false;
        }
        if self.left > 0 {
            self.left -= 1;
            return true;
        }
        if !std::mem::replace(&mut self.is_said, true) {
            tracing::warn!(
                "more than {EVENTS} events at once: the others are left out, statuses have it all"
            );
        }
        false
    }
}

impl NotNow {
    fn trouble(self) -> Trouble {
        match self {
            NotNow::Trouble(trouble) => trouble,
            NotNow::Later(e) => Trouble {
                reason: "SecretUnusable",
                message: e.to_string(),
                is_tried_again: true,
            },
        }
    }
}

fn invalid(message: String) -> NotNow {
    NotNow::Trouble(Trouble {
        reason: "InvalidSpec",
        message,
        is_tried_again: false,
    })
}

fn unusable(message: String) -> NotNow {
    NotNow::Trouble(Trouble {
        reason: "SecretUnusable",
        message,
        is_tried_again: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn events_are_bounded_and_come_back_with_time() {
        let mut events = Events {
            left: EVENTS,
            next: Instant::now(),
            is_said: false,
        };
        assert_eq!(
            (0..1_000).filter(|_| events.take()).count(),
            EVENTS as usize
        );
        tokio::time::advance(EVENT_EACH * 2).await;
        assert_eq!((0..1_000).filter(|_| events.take()).count(), 2);
        tokio::time::advance(EVENT_EACH * 10_000).await;
        assert_eq!(
            (0..1_000).filter(|_| events.take()).count(),
            EVENTS as usize
        );
    }
}
