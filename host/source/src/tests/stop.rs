//! A stop ends a fetch at once, whatever the server does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::git::fetch;
use super::remote::Rig;
use super::server::Reply;
use crate::{FetchProgress, SourceError};

/// Far below the read time-out, far above what a stop takes on a busy machine.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_stop_ends_a_fetch_from_a_silent_server_and_the_last_good_commit_stays() {
    let rig = Rig::with(&[("a", "1")]);
    let source = rig.source();
    let first = fetch(&source).unwrap().commit;
    let root = rig.root();
    rig.server.answer(|_| Reply {
        silent: true,
        ..Reply::default()
    });
    let stop = Arc::new(AtomicBool::new(false));
    let start = Instant::now();
    let error = std::thread::scope(|scope| {
        let fetching = scope.spawn(|| source.fetch(&stop, &|_: FetchProgress| {}));
        while rig
            .server
            .seen
            .lock()
            .unwrap()
            .last()
            .is_none_or(|r| r.method != "GET")
        {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        fetching.join().unwrap().unwrap_err()
    });
    assert!(matches!(error, SourceError::Stopped { .. }), "{error}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert_eq!(source.last_good(), Some(first));
    rig.server
        .answer(move |request| super::server::backend(&root, request));
    assert_eq!(fetch(&source).unwrap().commit, first, "the next one works");
}
