//! Named steps at which a test kills the process as `kill -9` would. Empty unless built with `crash-points`.

/// Every step, in the order in which a sync passes them. The crash loop hits each of this list, and fails where it cannot.
#[cfg_attr(
    not(feature = "crash-points"),
    expect(dead_code, reason = "read by `weir crash-points` in test builds")
)]
pub(crate) const STEPS: &[&str] = &[
    "fetched",
    "prepared",
    "before-stake",
    "after-stake",
    "wave-written",
    "before-write",
    "after-write",
    "before-prune",
    "after-prune",
    "applied",
    "after-record",
];

/// What a sync with hooks passes, too: the suite of hooks is killed at each.
#[expect(dead_code, reason = "a list for people and for the tidy test")]
const HOOK_STEPS: &[&str] = &["hook-staked", "hook-made", "hook-started", "hook-ended"];

/// What a commit passes that leaves apps as they are: the suite of routing is killed at each.
#[expect(dead_code, reason = "a list for people and for the tidy test")]
const CARRY_STEPS: &[&str] = &["before-carry", "after-carry"];

/// Reads which steps are armed from the environment variable FAILPOINTS, such as `after-stake=return`.
pub(crate) fn arm() {
    #[cfg(feature = "crash-points")]
    std::mem::forget(fail::FailScenario::setup());
}

/// Dies here, if armed.
pub(crate) fn crash_point(step: &'static str) {
    // A plain build has no steps to die at.
    #[cfg(not(feature = "crash-points"))]
    let _ = step;
    fail::fail_point!(step, |_| {
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        loop {
            std::thread::park();
        }
    });
}
