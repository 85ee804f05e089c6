//! The waits that chance has a part in: so that many do not come back at once.

use super::{Schedule, Settings};

impl Schedule {
    /// Exponential with full jitter, never under the first wait, never over the ceiling.
    pub(super) fn backoff(&mut self, failures: u32) -> u64 {
        let Settings {
            backoff,
            backoff_ceiling,
            ..
        } = self.settings;
        let doubled = backoff
            .saturating_mul(1 << failures.saturating_sub(1).min(30))
            .min(backoff_ceiling);
        backoff.min(backoff_ceiling) + self.random(doubled.saturating_sub(backoff) + 1)
    }

    pub(super) fn jittered(&mut self, interval: u64) -> u64 {
        interval + self.random(interval / 10 + 1)
    }

    /// A number below `n`, by splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
    fn random(&mut self, n: u64) -> u64 {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n.max(1)
    }
}
