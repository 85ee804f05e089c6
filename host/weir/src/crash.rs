//! Named steps at which a test kills the process as `kill -9` would, and inputs that it spoils. Empty unless built
//! with `crash-points`.

/// Every step, in the order in which a sync passes them. The crash loop hits each of this list, and fails where it cannot.
#[cfg_attr(
    not(feature = "crash-points"),
    expect(dead_code, reason = "read by `weir crash-points` in test builds")
)]
pub(crate) const STEPS: &[&str] = &[
    "fetched",
    "prepared",
    "output-kept",
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

/// What a test has be otherwise in a render, as if it leaked from the host. Nothing in a plain build.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spoiled {
    /// Seconds by which its clock is off.
    pub(crate) late: u64,
    /// The fuel of each call.
    pub(crate) fuel: Option<u64>,
}

impl Spoiled {
    /// By the fail point of every first run: as another build of Weir that makes other bytes.
    pub(crate) fn first() -> Spoiled {
        Spoiled {
            late: render_clock(),
            fuel: None,
        }
    }

    /// By the fail points of the canary's second run.
    pub(crate) fn armed() -> Spoiled {
        let (late, fuel) = (canary_clock(), canary_fuel());
        Spoiled { late, fuel }
    }
}

fn canary_fuel() -> Option<u64> {
    fail::fail_point!("canary-fuel", |fuel| fuel
        .and_then(|fuel| fuel.parse().ok()));
    None
}

fn render_clock() -> u64 {
    fail::fail_point!("render-clock", seconds);
    0
}

/// The number that a fail point is armed with.
#[cfg_attr(
    not(feature = "crash-points"),
    expect(dead_code, reason = "fail points call it in test builds")
)]
fn seconds(text: Option<String>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn canary_clock() -> u64 {
    fail::fail_point!("canary-clock", seconds);
    0
}
