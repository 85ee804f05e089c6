//! The sum of the test runners' own summary lines.

use std::fmt;

use anyhow::{Context as _, Result};

/// How many tests ran, over all suites.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    suites: u64,
}

impl Tally {
    /// Adds a line if it is a suite's summary: `test result: ok. 3 passed; 0 failed; ...`.
    ///
    /// # Errors
    /// It begins like one and cannot be read: a sum that misses a suite would be a lie.
    pub(crate) fn see(&mut self, line: &str) -> Result<()> {
        let Some(summary) = line.trim_start().strip_prefix("test result: ") else {
            return Ok(());
        };
        let count = |what: &str| -> Result<u64> {
            let part = summary
                .split([';', '.'])
                .map(str::trim)
                .find_map(|part| part.strip_suffix(what));
            part.and_then(|number| number.trim().parse().ok())
                .with_context(|| format!("`{line}` does not say how many{what}"))
        };
        self.passed += count(" passed")?;
        self.failed += count(" failed")?;
        self.ignored += count(" ignored")?;
        self.suites += 1;
        Ok(())
    }

    /// Whether something was run and nothing failed or was left out.
    pub(crate) fn is_good(&self) -> bool {
        self.passed > 0 && self.failed == 0 && self.ignored == 0
    }

    /// One line with what the summary leaves out.
    pub(crate) fn details(&self) -> String {
        format!("{} suites, {} tests ignored", self.suites, self.ignored)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    fn tally(output: &str) -> Tally {
        let mut tally = Tally::default();
        for line in output.lines() {
            tally.see(line).unwrap();
        }
        tally
    }

    #[test]
    fn suites_are_summed() {
        let sum = tally(
            "running 3 tests\n\
             test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             noise\n\
             test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 1.25s\n",
        );
        assert_eq!(sum.to_string(), "13 passed, 2 failed");
        assert!(!sum.is_good());
    }

    #[test]
    fn a_run_without_tests_is_not_good() {
        assert!(!tally("error: could not compile\n").is_good());
    }

    #[test]
    fn an_ignored_test_is_not_good() {
        assert!(
            !tally("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out")
                .is_good()
        );
    }

    #[test]
    fn a_summary_that_cannot_be_read_is_an_error() {
        assert!(
            Tally::default()
                .see("test result: ok. some passed; 0 failed; 0 ignored")
                .is_err()
        );
    }
}
