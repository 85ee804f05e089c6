//! When a request that failed is sent again: a bounded number of times, within a bounded time.

use std::time::Duration;

use tokio::time::Instant;

use super::KubeLimits;
use super::error::KubeError;

/// The pause before the second try; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The tries of one request.
#[derive(Debug)]
pub(super) struct Tries {
    limits: KubeLimits,
    begun: Instant,
    unclear: usize,
    throttled: usize,
}

impl Tries {
    /// None yet, from now on.
    pub(super) fn new(limits: KubeLimits) -> Tries {
        Tries {
            limits,
            begun: Instant::now(),
            unclear: 0,
            throttled: 0,
        }
    }

    /// Whether it is sent once more after this error, and waits a little where it is. `quiet` says that the server
    /// has asked for fewer requests: what fails then does so for want of room.
    pub(super) async fn again(&mut self, error: &KubeError, quiet: bool) -> bool {
        let Some(pause) = self.next(error, quiet, Instant::now()) else {
            return false;
        };
        tracing::debug!("a request to the cluster is sent again: {error}");
        tokio::time::sleep(jittered(pause)).await;
        true
    }

    fn next(&mut self, error: &KubeError, quiet: bool, now: Instant) -> Option<Duration> {
        let since = now.saturating_duration_since(self.begun);
        let no_room = matches!(error, KubeError::Throttled { .. });
        if no_room || (quiet && error.is_unclear()) {
            self.throttled += 1;
            let more = self.throttled < self.limits.throttles && since < self.limits.throttled;
            // Its next turn comes when the wait that the server asked for is over.
            return more.then_some(Duration::ZERO);
        }
        if !error.is_unclear() && !error.is_lost_race() {
            return None;
        }
        self.unclear += 1;
        let more = self.unclear < self.limits.attempts && since < self.limits.patience;
        let doubled = u32::try_from(self.unclear - 1).unwrap_or(u32::MAX).min(8);
        more.then(|| FIRST_PAUSE * 2_u32.pow(doubled))
    }
}

/// Between half of it and all of it, so that many do not come back at once.
pub(super) fn jittered(pause: Duration) -> Duration {
    let mut random = [0];
    // Without random bytes they all come back at once, which is no harm.
    let _ = getrandom::fill(&mut random);
    pause / 2 + pause * u32::from(random[0]) / 512
}

#[cfg(test)]
mod tests;
