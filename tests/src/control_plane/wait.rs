//! Looking again and again until something holds, never longer than a deadline.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until there is a value.
///
/// # Errors
/// None came within `bound`, or a look failed.
pub fn until<T>(
    bound: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = look()? {
            return Ok(value);
        }
        if started.elapsed() > bound {
            bail!("not within {} s: {what}", bound.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
}
