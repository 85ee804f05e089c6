//! Which failed requests are sent again, how often and how soon.

use super::*;

const LIMITS: KubeLimits = KubeLimits::HOST;

fn away() -> KubeError {
    KubeError::Away {
        place: "kube:".to_owned(),
        message: "connection reset".to_owned(),
    }
}

fn message(text: &str) -> String {
    text.to_owned()
}

/// The pauses of one request that fails with this each time.
fn pauses(error: &KubeError, quiet: bool) -> Vec<Duration> {
    let mut tries = Tries::new(LIMITS);
    let now = tries.begun;
    std::iter::from_fn(|| tries.next(error, quiet, now))
        .take(1_000)
        .collect()
}

#[test]
fn what_is_unclear_is_tried_a_few_times_with_growing_pauses() {
    let expected = [100, 200].map(Duration::from_millis);
    let other = KubeError::Other {
        code: 500,
        message: message("etcdserver: leader changed"),
    };
    let race = KubeError::Changed {
        message: message("Operation cannot be fulfilled on x \"y\": the object has been modified"),
    };
    for error in [away(), other, race] {
        assert_eq!(pauses(&error, false), expected, "{error}");
    }
}

#[test]
fn what_is_clear_is_not_tried_again() {
    for error in [
        KubeError::Invalid {
            message: message("no"),
        },
        KubeError::Changed {
            message: message("Precondition failed: UID in precondition: a, UID in object meta: b"),
        },
        KubeError::Webhook {
            message: message("failed calling webhook"),
        },
        KubeError::Other {
            code: 405,
            message: message("no"),
        },
    ] {
        for quiet in [false, true] {
            assert!(pauses(&error, quiet).is_empty(), "{error}");
        }
    }
}

#[test]
fn want_of_room_is_no_failed_attempt_and_ends_too() {
    let throttled = KubeError::Throttled {
        message: message("too many"),
    };
    for (error, quiet) in [(throttled, false), (away(), true)] {
        let pauses = pauses(&error, quiet);
        assert_eq!(pauses.len(), LIMITS.throttles - 1, "{error}");
        assert!(pauses.iter().all(Duration::is_zero));
    }
}

#[test]
fn after_a_time_nothing_is_tried_again() {
    for (error, time) in [
        (away(), LIMITS.patience),
        (
            KubeError::Throttled {
                message: message("too many"),
            },
            LIMITS.throttled,
        ),
    ] {
        let mut tries = Tries::new(LIMITS);
        let late = tries.begun + time;
        assert_eq!(tries.next(&error, false, late), None, "{error}");
    }
}

#[test]
fn the_pause_is_between_half_and_all_of_it() {
    for _ in 0..100 {
        let pause = jittered(FIRST_PAUSE);
        assert!(
            (FIRST_PAUSE / 2..=FIRST_PAUSE).contains(&pause),
            "{pause:?}"
        );
    }
    assert_eq!(jittered(Duration::ZERO), Duration::ZERO);
}
