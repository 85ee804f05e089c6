//! Webhooks: one answer for each delivery. Who sent it is found out while its body streams by; nothing of the body is kept.
//!
//! Whoever knows no secret gets the same answer for every repository, whether there is one, and whether it has a webhook:
//! headers are read, and the body is heard to its end, in the same way for all of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, HttpBody as _};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};
use weir_core::name::RepositoryName;
use weir_core::webhook::{
    Asks, Claims, Delivery, Forge, Go, Header, Keys, PAYLOAD_BYTES, Pace, Refusal, Seen, Verifier,
};

use crate::metrics::{Metrics, WebhookResult};
use crate::routes::{Site, refuse};

/// How long a body may take. GitHub gives up after as long.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Between two lines of the log about deliveries that are refused: anybody can send those.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What is said where no repository has a webhook, or they arrive elsewhere.
const NOT_HERE: &str = "this host takes no webhooks here: its file says for which repositories it does (`webhook`), and where they arrive (`webhooks`)";

/// What the host knows of webhooks, and does for them.
pub trait Hooks: Send + Sync + 'static {
    /// How deliveries for this repository are verified, with its secrets as they are now; `None` where it takes none.
    /// Called where it may block.
    fn keys(&self, repository: &RepositoryName) -> Option<Keys>;

    /// Has it looked at, by a fetch that begins after this; waits for nothing.
    fn look(&self, repository: &RepositoryName) -> Looks;
}

/// What becomes of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// It comes.
    Asked,
    /// The host is told to leave the repository alone.
    Suspended,
    /// The host stops.
    Stopping,
}

/// What takes deliveries. Cheap to clone; every clone remembers the same ones.
#[derive(Clone)]
pub struct Webhooks(Arc<Desk>);

struct Desk {
    hooks: Box<dyn Hooks>,
    metrics: Metrics,
    body_time: Duration,
    started: Instant,
    lately: Mutex<Lately>,
}

/// What came lately.
#[derive(Default)]
struct Lately {
    seen: Seen,
    /// Of repositories that took a delivery that was right.
    paces: BTreeMap<RepositoryName, Pace>,
    /// When a refusal was last told.
    told: Option<Instant>,
    /// Refusals since then.
    untold: u64,
}

/// Why a delivery got no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failed {
    /// Its headers or its signature are not right.
    Refused(Refusal),
    /// Its body is larger than any forge's.
    TooLarge,
    /// Its body did not come in time.
    Slow,
    /// Its body broke off, or is not as its headers say.
    Broken,
}

/// What a delivery is told that is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Taken {
    /// A look comes.
    Accepted,
    /// It came before: no look for this one.
    Seen,
    /// It is about something that moves no ref.
    Ignored,
    /// The repository is left alone.
    Suspended,
}

impl Webhooks {
    /// Counts into these metrics.
    pub fn new(hooks: impl Hooks, metrics: Metrics) -> Webhooks {
        Webhooks::within(hooks, metrics, BODY_TIME)
    }

    fn within(hooks: impl Hooks, metrics: Metrics, body_time: Duration) -> Webhooks {
        Webhooks(Arc::new(Desk {
            hooks: Box::new(hooks),
            metrics,
            body_time,
            started: Instant::now(),
            lately: Mutex::default(),
        }))
    }

    /// One delivery, from its head to its answer.
    async fn delivered(&self, name: Option<RepositoryName>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let (keys, heard) = self.hear(name.as_ref(), &parts.headers, body).await;
        let forge = keys.as_ref().map(Keys::forge);
        match (heard, name, forge) {
            (Ok(()), Some(name), Some(forge)) => self.take(&name, forge, &parts.headers),
            (heard, name, forge) => {
                let failed = heard.err().unwrap_or(Failed::Refused(Refusal::Wrong));
                self.0.metrics.webhook(forge, failed.result());
                self.tell(name.as_ref(), forge, failed);
                failed.into_response()
            }
        }
    }

    /// Hears it to its end, whoever's it is. The keys are those of the repository, where they were looked for.
    async fn hear(
        &self,
        name: Option<&RepositoryName>,
        headers: &HeaderMap,
        body: Body,
    ) -> (Option<Keys>, Result<(), Failed>) {
        if body.size_hint().lower() > PAYLOAD_BYTES {
            return (None, Err(Failed::TooLarge));
        }
        let claims = match Claims::read(|name| header_of(headers, name)) {
            Ok(claims) => claims,
            Err(refusal) => return (None, Err(Failed::Refused(refusal))),
        };
        let keys = self.keys(name).await;
        let mut verifier = Verifier::begin(keys.as_ref(), &claims, unix_seconds());
        let heard = timeout(self.0.body_time, stream(body, &mut verifier)).await;
        let heard = heard.unwrap_or(Err(Failed::Slow));
        let heard = heard.and_then(|()| verifier.finish().map_err(Failed::Refused));
        (keys, heard)
    }

    /// Reading secrets blocks; a name that is none costs the same way.
    async fn keys(&self, name: Option<&RepositoryName>) -> Option<Keys> {
        let (desk, name) = (self.0.clone(), name.cloned());
        let read = move || desk.hooks.keys(name.as_ref()?);
        // A panic in there is a fault of ours: nobody gets in by it.
        tokio::task::spawn_blocking(read).await.ok().flatten()
    }

    /// Takes a delivery that is right.
    fn take(&self, name: &RepositoryName, forge: Forge, headers: &HeaderMap) -> Response {
        let (result, answer) = match self.taken(name, forge, headers) {
            Ok(taken) => (taken.result(), taken.into_response()),
            Err(Stopped) => {
                let why = "the host is stopping; the next start looks at all repositories";
                let answer = refuse(StatusCode::SERVICE_UNAVAILABLE, why);
                (WebhookResult::Stopping, answer)
            }
        };
        self.0.metrics.webhook(Some(forge), result);
        answer
    }

    fn taken(
        &self,
        name: &RepositoryName,
        forge: Forge,
        headers: &HeaderMap,
    ) -> Result<Taken, Stopped> {
        let header = |name| header_of(headers, name);
        if Asks::of(forge, header) == Asks::Nothing {
            return Ok(Taken::Ignored);
        }
        let delivery = Delivery::of(forge, header);
        let now = self.0.now();
        let mut lately = self.0.lately.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(delivery) = &delivery
            && lately.seen.knows(now, name, delivery)
        {
            return Ok(Taken::Seen);
        }
        match lately.paces.entry(name.clone()).or_default().ask(now) {
            Go::Now => match self.0.hooks.look(name) {
                Looks::Asked => {}
                Looks::Suspended => return Ok(Taken::Suspended),
                Looks::Stopping => return Err(Stopped),
            },
            Go::In(millis) => self.look_in(name.clone(), Duration::from_millis(millis)),
            Go::WithThat => {}
        }
        if let Some(delivery) = &delivery {
            lately.seen.keep(now, name, delivery);
        }
        drop(lately);
        let id = delivery.map_or_else(|| "without an id".to_owned(), |d| d.to_string());
        tracing::info!(repository = %name, delivery = id, "a webhook of {forge} asks for a look");
        Ok(Taken::Accepted)
    }

    /// One of these for each repository at most: [`Pace`] puts off one look at a time.
    fn look_in(&self, name: RepositoryName, time: Duration) {
        let desk = self.0.clone();
        tokio::spawn(async move {
            sleep(time).await;
            desk.hooks.look(&name);
        });
    }

    /// Tells the operator what the sender is not told, at a rate that nobody else decides.
    fn tell(&self, name: Option<&RepositoryName>, forge: Option<Forge>, failed: Failed) {
        let mut lately = self.0.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately.untold += 1;
        if lately.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return;
        }
        lately.told = Some(Instant::now());
        let refused = std::mem::take(&mut lately.untold);
        drop(lately);
        let name = name.map_or("a name that is none", RepositoryName::as_str);
        let why = match (failed, forge) {
            (Failed::Refused(Refusal::Wrong), None) => {
                "no repository of this name has a webhook here".to_owned()
            }
            (Failed::Refused(Refusal::Wrong), Some(forge)) => {
                format!("none of the secrets that it has for {forge} fits")
            }
            (failed, _) => failed.text(),
        };
        tracing::warn!(
            repository = name,
            refused,
            "a delivery of a webhook is refused: {why}"
        );
    }
}

/// Nothing new is looked at.
struct Stopped;

impl Desk {
    /// Milliseconds of a clock that only goes forward.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// `POST /hooks/v1/REPOSITORY`.
pub(crate) async fn deliver(
    State(site): State<Site>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let Some(webhooks) = site.webhooks else {
        return closing(StatusCode::NOT_FOUND, NOT_HERE);
    };
    let name = name.ok().and_then(|Path(name)| name.parse().ok());
    webhooks.delivered(name, request).await
}

/// Hears a body, whose bytes are gone when they are hashed.
async fn stream(mut body: Body, verifier: &mut Verifier) -> Result<(), Failed> {
    let mut bytes = 0;
    loop {
        match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            None => return Ok(()),
            Some(Err(_)) => return Err(Failed::Broken),
            Some(Ok(frame)) => {
                let chunk = frame.data_ref().map_or(&[][..], |data| &data[..]);
                bytes += chunk.len() as u64;
                if bytes > PAYLOAD_BYTES {
                    return Err(Failed::TooLarge);
                }
                verifier.update(chunk);
            }
        }
    }
}

fn header_of<'a>(headers: &'a HeaderMap, name: &'static str) -> Header<'a> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Header::Absent,
        (Some(one), None) => Header::One(one.as_bytes()),
        (Some(_), Some(_)) => Header::Several,
    }
}

fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock of before 1970 has no time that a signature fits.
    since.map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

impl Failed {
    fn result(self) -> WebhookResult {
        match self {
            Failed::Refused(Refusal::Unsigned) => WebhookResult::Unsigned,
            Failed::Refused(Refusal::Malformed(_)) => WebhookResult::Malformed,
            Failed::Refused(Refusal::Wrong) => WebhookResult::Wrong,
            Failed::Refused(Refusal::Stale) => WebhookResult::Stale,
            Failed::TooLarge => WebhookResult::TooLarge,
            Failed::Slow => WebhookResult::Slow,
            Failed::Broken => WebhookResult::Broken,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Failed::Refused(_) => StatusCode::UNAUTHORIZED,
            Failed::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Failed::Slow => StatusCode::REQUEST_TIMEOUT,
            Failed::Broken => StatusCode::BAD_REQUEST,
        }
    }

    fn text(self) -> String {
        match self {
            Failed::Refused(refusal) => refusal.to_string(),
            Failed::TooLarge => {
                format!("the body of a delivery has {PAYLOAD_BYTES} bytes at most")
            }
            Failed::Slow => "the body of this delivery did not come in time".to_owned(),
            Failed::Broken => "the body of this delivery broke off".to_owned(),
        }
    }

    fn into_response(self) -> Response {
        closing(self.status(), self.text())
    }
}

/// Ends the connection: a next try costs another one, and what is left of a body is not read.
fn closing(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Response {
    let mut response = refuse(status, text);
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

impl Taken {
    fn result(self) -> WebhookResult {
        match self {
            Taken::Accepted => WebhookResult::Accepted,
            Taken::Seen => WebhookResult::Seen,
            Taken::Ignored => WebhookResult::Ignored,
            Taken::Suspended => WebhookResult::Suspended,
        }
    }

    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Answer {
            result: Taken,
        }
        let status = match self {
            Taken::Accepted => StatusCode::ACCEPTED,
            Taken::Seen | Taken::Ignored | Taken::Suspended => StatusCode::OK,
        };
        (status, Json(Answer { result: self })).into_response()
    }
}

#[cfg(test)]
#[path = "webhooks_tests.rs"]
mod tests;
