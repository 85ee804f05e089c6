//! How often webhooks have a repository looked at: pure, so that no push is lost and no storm gets through, in every order.

/// The looks that may come at once after a quiet time.
const BURST: u64 = 5;
/// Between two looks where more than that are asked for, in milliseconds.
const EVERY_MILLIS: u64 = 1_000;

/// The looks that webhooks asked for at one repository.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// When all looks so far are paid for, at one every so often.
    paid: u64,
    /// The look that is put off until then, if there is one.
    put_off: Option<u64>,
}

/// What to do with a request for a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    /// Look.
    Now,
    /// Look in so many milliseconds, once for all that ask until then.
    In(u64),
    /// A look that is put off answers this one, too.
    WithThat,
}

impl Pace {
    /// Somebody asks at this time, in milliseconds of a clock that only goes forward.
    pub fn ask(&mut self, now: u64) -> Go {
        if self.put_off.is_some_and(|at| now < at) {
            return Go::WithThat;
        }
        let free = self.paid.saturating_sub((BURST - 1) * EVERY_MILLIS);
        self.paid = self.paid.max(now) + EVERY_MILLIS;
        if free <= now {
            self.put_off = None;
            return Go::Now;
        }
        self.put_off = Some(free);
        Go::In(free - now)
    }
}
