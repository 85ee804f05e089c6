//! How many requests are under way at once: fewer when the API server asks for it, one more after a while of
//! answers. What decides is pure.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::KubeLimits;

/// The shortest wait after the server asked for fewer requests.
const LEAST_WAIT: Duration = Duration::from_millis(250);

/// The requests to one cluster that are under way.
#[derive(Debug)]
pub(super) struct Flight {
    turns: Semaphore,
    pace: Mutex<Pace>,
    longest: Duration,
}

/// The right to have one request under way.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    flight: &'a Flight,
    permit: Option<SemaphorePermit<'a>>,
}

/// The one request that an API server gets which has answered nothing for a whole deadline.
#[derive(Debug)]
pub(super) struct Probe<'a>(&'a Flight);

/// Nothing was answered for a whole deadline, and somebody is asking already whether that goes on.
#[derive(Debug)]
pub(super) struct Silent;

impl Flight {
    /// As many at once as the limits say, until the server says otherwise.
    pub(super) fn new(limits: KubeLimits) -> Flight {
        let most = limits.in_flight.max(1);
        Flight {
            turns: Semaphore::new(most),
            pace: Mutex::new(Pace::new(most, limits.longest_wait)),
            longest: limits.throttled,
        }
    }

    /// A turn. While the server has asked for quiet there is none, within a bound.
    pub(super) async fn turn(&self) -> Turn<'_> {
        // Never closed, so there always is a permit to come.
        let permit = self.turns.acquire().await.ok();
        let turn = Turn {
            flight: self,
            permit,
        };
        let give_up = Instant::now() + self.longest;
        // Others may hear of a longer wait meanwhile.
        while let Some(until) = self.quiet_until() {
            tokio::time::sleep_until(until.min(give_up)).await;
            if Instant::now() >= give_up {
                break;
            }
        }
        turn
    }

    /// What an answer says of the pace.
    pub(super) fn heard(&self, status: StatusCode, headers: &HeaderMap) {
        let wait = asked_wait(headers);
        let now = Instant::now();
        let mut pace = self.pace();
        match (status, wait) {
            (StatusCode::TOO_MANY_REQUESTS, wait) => pace.told(now, wait),
            (StatusCode::SERVICE_UNAVAILABLE, wait @ Some(_)) => pace.told(now, wait),
            _ => {
                if pace.answered(now) {
                    self.turns.add_permits(1);
                }
            }
        }
        // What is in use now goes when it is given back.
        pace.owed -= self.turns.forget_permits(pace.owed);
    }

    /// Whether the server has asked for quiet, and that is not over.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet_until().is_some()
    }

    /// Until when it has asked for that.
    pub(super) fn quiet_until(&self) -> Option<Instant> {
        self.pace().quiet_until(Instant::now())
    }

    /// Whether anything at all was answered since then.
    pub(super) fn heard_since(&self, then: Instant) -> bool {
        self.pace().heard.is_some_and(|heard| heard > then)
    }

    /// A request that began then was given up. Where nothing at all was answered meanwhile, the server gets one
    /// request at a time from now on: whoever else asks hears so at once, and holds nobody up.
    pub(super) fn gave_up(&self, begun: Instant) {
        let mut pace = self.pace();
        if pace.heard.is_none_or(|heard| heard <= begun) {
            pace.silent = true;
        }
    }

    /// Whether a request may be sent; the probe, where it is one.
    pub(super) fn may_ask(&self) -> Result<Option<Probe<'_>>, Silent> {
        let mut pace = self.pace();
        match (pace.silent, pace.probed) {
            (false, _) => Ok(None),
            (true, true) => Err(Silent),
            (true, false) => {
                pace.probed = true;
                Ok(Some(Probe(self)))
            }
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the server asks to be left alone: `Retry-After` (RFC 9110, section 10.2.3) in seconds, or as a date, which is
/// compared with the server's own `Date`: this machine's clock may be another one.
fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text| httpdate::parse_http_date(text).ok();
    let (until, now) = (date(asked)?, date(text(header::DATE)?)?);
    Some(until.duration_since(now).unwrap_or_default())
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut pace = self.flight.pace();
        if pace.owed > 0
            && let Some(permit) = self.permit.take()
        {
            pace.owed -= 1;
            permit.forget();
        }
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.0.pace().probed = false;
    }
}

/// What decides: half as many when the server says that it is too much, one more for each round of answers.
#[derive(Debug)]
struct Pace {
    most: usize,
    allowed: usize,
    /// Permits that are to go and are in use.
    owed: usize,
    /// Answers since the last change.
    answers: usize,
    quiet_until: Option<Instant>,
    longest_wait: Duration,
    heard: Option<Instant>,
    /// Nothing was answered for a whole deadline.
    silent: bool,
    /// Somebody is asking whether that goes on.
    probed: bool,
}

impl Pace {
    fn new(most: usize, longest_wait: Duration) -> Pace {
        Pace {
            most,
            allowed: most,
            owed: 0,
            answers: 0,
            quiet_until: None,
            longest_wait,
            heard: None,
            silent: false,
            probed: false,
        }
    }

    /// The server has no room. What it says while it is quiet is of the same burst, which counts once.
    fn told(&mut self, now: Instant, wait: Option<Duration>) {
        let wait = wait.unwrap_or(LEAST_WAIT).min(self.longest_wait);
        let until = now + wait.max(LEAST_WAIT);
        let quiet = self.quiet_until(now);
        self.heard = Some(now);
        self.silent = false;
        self.quiet_until = Some(quiet.map_or(until, |quiet| quiet.max(until)));
        self.answers = 0;
        if quiet.is_none() {
            let fewer = (self.allowed / 2).max(1);
            self.owed += self.allowed - fewer;
            self.allowed = fewer;
        }
    }

    /// An answer came: whether one permit is made for it.
    fn answered(&mut self, now: Instant) -> bool {
        self.heard = Some(now);
        self.silent = false;
        if self.allowed >= self.most {
            return false;
        }
        self.answers += 1;
        if self.answers < self.allowed {
            return false;
        }
        self.answers = 0;
        self.allowed += 1;
        if self.owed > 0 {
            self.owed -= 1;
            return false;
        }
        true
    }

    fn quiet_until(&self, now: Instant) -> Option<Instant> {
        self.quiet_until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests;
