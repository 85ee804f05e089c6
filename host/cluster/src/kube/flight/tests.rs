//! The pace of requests by what an API server says, without one.

use super::*;

const LIMITS: KubeLimits = KubeLimits::HOST;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn told(flight: &Flight, status: StatusCode, wait: Option<&str>) {
    let mut headers = HeaderMap::new();
    if let Some(wait) = wait {
        headers.insert(header::RETRY_AFTER, wait.parse().unwrap());
    }
    flight.heard(status, &headers);
}

/// How many turns there are at once now.
async fn at_once(flight: &Flight) -> usize {
    let mut turns = Vec::new();
    while let Ok(turn) = tokio::time::timeout(Duration::from_millis(1), flight.turn()).await {
        turns.push(turn);
    }
    turns.len()
}

#[test]
fn each_burst_halves_the_pace_once_and_never_to_nothing() {
    let start = Instant::now();
    let mut pace = Pace::new(16, seconds(60));
    for (burst, left) in [8, 4, 2, 1, 1].into_iter().enumerate() {
        let now = start + seconds(10 * burst as u64);
        for late in 0..5 {
            pace.told(now + Duration::from_millis(late), Some(seconds(1)));
        }
        assert_eq!(pace.allowed, left);
    }
    assert_eq!(pace.owed, 15, "what is to go is what is no longer allowed");
}

#[test]
fn each_round_of_answers_adds_one_until_it_is_as_it_was() {
    let now = Instant::now();
    let mut pace = Pace::new(4, seconds(60));
    pace.told(now, None);
    pace.told(now + seconds(5), None);
    assert_eq!(pace.allowed, 1);
    pace.owed = 0;
    let made: Vec<bool> = (0..10).map(|_| pace.answered(now)).collect();
    let expected = [
        true, false, true, false, false, true, false, false, false, false,
    ];
    assert_eq!(made, expected);
    assert_eq!(pace.allowed, 4);
}

#[test]
fn a_wait_is_the_longest_that_was_asked_for_within_the_limit() {
    let now = Instant::now();
    let mut pace = Pace::new(4, seconds(60));
    pace.told(now, Some(seconds(7)));
    pace.told(now, Some(seconds(3)));
    assert_eq!(pace.quiet_until(now), Some(now + seconds(7)));
    assert_eq!(pace.quiet_until(now + seconds(7)), None);
    pace.told(now, Some(Duration::MAX));
    assert_eq!(pace.quiet_until(now), Some(now + seconds(60)));
    let mut pace = Pace::new(4, seconds(60));
    pace.told(now, Some(Duration::ZERO));
    assert_eq!(pace.quiet_until(now), Some(now + LEAST_WAIT));
}

#[tokio::test(start_paused = true)]
async fn turns_that_are_in_use_go_when_they_are_given_back() {
    let flight = Flight::new(LIMITS);
    let mut turns = Vec::new();
    for _ in 0..LIMITS.in_flight {
        turns.push(flight.turn().await);
    }
    told(&flight, StatusCode::TOO_MANY_REQUESTS, None);
    assert!(flight.is_quiet());
    tokio::time::sleep(seconds(1)).await;
    drop(turns);
    assert_eq!(at_once(&flight).await, LIMITS.in_flight / 2);
    for _ in 0..LIMITS.in_flight * LIMITS.in_flight {
        told(&flight, StatusCode::OK, None);
    }
    assert_eq!(at_once(&flight).await, LIMITS.in_flight);
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_before_the_wait_is_over() {
    let flight = Flight::new(LIMITS);
    let start = Instant::now();
    for (status, wait) in [
        (StatusCode::TOO_MANY_REQUESTS, Some("2")),
        (StatusCode::SERVICE_UNAVAILABLE, Some("3")),
        // Says nothing of the pace.
        (StatusCode::SERVICE_UNAVAILABLE, None),
        (
            StatusCode::TOO_MANY_REQUESTS,
            Some("Fri, 31 Dec 1999 23:59:59 GMT"),
        ),
    ] {
        told(&flight, status, wait);
    }
    let _turn = flight.turn().await;
    assert_eq!(start.elapsed().as_secs(), 3);
    assert!(!flight.is_quiet());
}

#[tokio::test(start_paused = true)]
async fn what_was_heard_is_known_by_its_time() {
    let flight = Flight::new(LIMITS);
    let before = Instant::now();
    assert!(!flight.heard_since(before));
    tokio::time::sleep(seconds(1)).await;
    told(&flight, StatusCode::NOT_FOUND, None);
    assert!(flight.heard_since(before));
    assert!(!flight.heard_since(Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_nothing_gets_one_request_at_a_time_until_it_does() {
    let flight = Flight::new(LIMITS);
    let begun = Instant::now();
    tokio::time::sleep(seconds(1)).await;
    told(&flight, StatusCode::OK, None);
    flight.gave_up(begun);
    assert!(
        matches!(flight.may_ask(), Ok(None)),
        "something was answered"
    );
    let begun = Instant::now();
    tokio::time::sleep(seconds(1)).await;
    flight.gave_up(begun + seconds(1));
    let probe = flight.may_ask().unwrap();
    assert!(probe.is_some());
    for _ in 0..3 {
        flight.may_ask().unwrap_err();
    }
    drop(probe);
    let probe = flight.may_ask().unwrap();
    assert!(probe.is_some(), "the next one asks");
    told(&flight, StatusCode::NOT_FOUND, None);
    assert!(matches!(flight.may_ask(), Ok(None)));
    drop(probe);
    assert!(matches!(flight.may_ask(), Ok(None)));
}

#[test]
fn a_wait_is_in_seconds_or_until_a_date_by_the_servers_own_clock() {
    let noon = "Sat, 28 Nov 2026 12:00:00 GMT";
    for (asked, date, expected) in [
        (Some("7"), None, Some(7)),
        (Some(" 7 "), Some(noon), Some(7)),
        (Some("Sat, 28 Nov 2026 12:00:30 GMT"), Some(noon), Some(30)),
        (Some("Sat, 28 Nov 2026 11:00:00 GMT"), Some(noon), Some(0)),
        (Some("Sat, 28 Nov 2026 12:00:30 GMT"), None, None),
        (Some("Sat, 28 Nov 2026 12:00:30 GMT"), Some("noon"), None),
        (Some("soon"), Some(noon), None),
        (Some("-1"), Some(noon), None),
        (None, Some(noon), None),
    ] {
        let mut headers = HeaderMap::new();
        for (name, value) in [(header::RETRY_AFTER, asked), (header::DATE, date)] {
            if let Some(value) = value {
                headers.insert(name, value.parse().unwrap());
            }
        }
        let wait = asked_wait(&headers);
        assert_eq!(
            wait,
            expected.map(Duration::from_secs),
            "{asked:?} {date:?}"
        );
    }
}
