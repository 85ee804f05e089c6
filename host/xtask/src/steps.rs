//! Steps of a long task: one line when each begins and ends, the first failure stops, a table of times at the end.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// The steps done so far and how long each took.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration)>,
}

impl Steps {
    /// Does one step. `remedy` says what to do when it fails.
    pub(crate) fn step<T>(
        &mut self,
        name: &str,
        remedy: &str,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        println!("==> {name}");
        let started = Instant::now();
        let value = work().with_context(|| format!("step `{name}` failed; {remedy}"))?;
        let took = started.elapsed();
        println!("    {name}: done in {}", seconds(took));
        self.done.push((name.to_owned(), took));
        Ok(value)
    }

    /// Prints every step's time and the sum.
    pub(crate) fn table(&self) {
        println!();
        for (name, took) in &self.done {
            println!("{:>9}  {name}", seconds(*took));
        }
        println!(
            "{:>9}  in all",
            seconds(self.done.iter().map(|(_, took)| *took).sum())
        );
    }
}

/// A time for people.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
