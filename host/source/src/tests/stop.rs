//! A stop ends a fetch at once, whatever the server does, with and without TLS.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::git::{Repo, fetch};
use super::remote::Rig;
use super::server::{Reply, Request, Server, backend};
use super::tls;
use crate::{FetchProgress, Source, SourceError};

/// Far below the read time-out, far above what a stop takes on a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// A server that from now on does not answer.
fn silent(_: &Request) -> Reply {
    Reply {
        silent: true,
        ..Reply::default()
    }
}

/// The start of an endless list of refs: a line of 65,516 bytes that come slowly.
fn trickled_refs(_: &Request) -> Reply {
    let reply = Reply {
        body: b"fff0".to_vec(),
        trickle: true,
        ..Reply::status(200)
    };
    reply.with(
        "Content-Type",
        "application/x-git-upload-pack-advertisement",
    )
}

/// The real answers up to the pack, which is announced and then says for long how far it is (side band 2).
fn trickled_pack(root: &Path, request: &Request) -> Reply {
    if !String::from_utf8_lossy(&request.body).contains("command=fetch") {
        return backend(root, request);
    }
    let reply = Reply {
        body: b"000dpackfile\nfff0\x02".to_vec(),
        trickle: true,
        ..Reply::status(200)
    };
    reply.with("Content-Type", "application/x-git-upload-pack-result")
}

/// Makes the server misbehave, tells the fetch to stop in the middle of it, and sees that nothing is lost by that.
fn stopped(
    source: &Source,
    server: &Server,
    repo: &Repo,
    misbehave: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) {
    let first = fetch(source).unwrap().commit;
    let second = repo.commit(&[("a", "2")]);
    let reached = Arc::new(AtomicBool::new(false));
    server.answer({
        let reached = reached.clone();
        move |request| {
            let reply = misbehave(request);
            reached.fetch_or(reply.silent || reply.trickle, Ordering::SeqCst);
            reply
        }
    });
    let stop = Arc::new(AtomicBool::new(false));
    let start = Instant::now();
    let error = std::thread::scope(|scope| {
        let fetching = scope.spawn(|| source.fetch(&stop, &|_: FetchProgress| {}));
        while !reached.load(Ordering::SeqCst) && !fetching.is_finished() {
            std::thread::yield_now();
        }
        assert!(!fetching.is_finished(), "{:?}", fetching.join());
        stop.store(true, Ordering::Relaxed);
        fetching.join().unwrap().unwrap_err()
    });
    assert!(matches!(error, SourceError::Stopped { .. }), "{error}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert_eq!(source.last_good(), Some(first));
    let root = repo.path().to_owned();
    server.answer(move |request| backend(&root, request));
    assert_eq!(fetch(source).unwrap().commit, second, "the next one works");
}

/// A stop that comes when bytes of the slow answer have been read already.
fn stopped_while_receiving(source: &Source, server: &Server, root: &Path) {
    let first = source.last_good();
    let reached = Arc::new(AtomicBool::new(false));
    server.answer({
        let (root, reached) = (root.to_owned(), reached.clone());
        move |request| {
            let reply = trickled_pack(&root, request);
            reached.fetch_or(reply.trickle, Ordering::SeqCst);
            reply
        }
    });
    let stop = Arc::new(AtomicBool::new(false));
    let start = Instant::now();
    let error = source
        .fetch(&stop, &|p| {
            if reached.load(Ordering::SeqCst) && matches!(p, FetchProgress::Receiving { .. }) {
                stop.store(true, Ordering::Relaxed);
            }
        })
        .unwrap_err();
    assert!(matches!(error, SourceError::Stopped { .. }), "{error}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert_eq!(source.last_good(), first);
}

#[test]
fn a_stop_ends_a_fetch_from_a_silent_server_and_the_last_good_commit_stays() {
    let rig = Rig::with(&[("a", "1")]);
    stopped(&rig.source(), &rig.server, &rig.repo, silent);
}

#[test]
fn a_stop_ends_a_fetch_from_a_server_that_trickles_its_refs_or_its_pack() {
    let rig = Rig::with(&[("a", "1")]);
    stopped(&rig.source(), &rig.server, &rig.repo, trickled_refs);
    let root = rig.root();
    let pack = move |request: &Request| trickled_pack(&root, request);
    let source = rig.source();
    stopped(&source, &rig.server, &rig.repo, pack);
    rig.repo.commit(&[("a", "3")]);
    stopped_while_receiving(&source, &rig.server, &rig.root());
}

#[test]
fn a_stop_ends_a_fetch_over_https_from_a_server_that_is_silent_or_trickles() {
    let rig = tls::rig(false);
    let source = rig.trusting();
    stopped(&source, &rig.server, &rig.repo, silent);
    stopped(&source, &rig.server, &rig.repo, trickled_refs);
    let root = rig.repo.path().to_owned();
    let pack = move |request: &Request| trickled_pack(&root, request);
    stopped(&source, &rig.server, &rig.repo, pack);
    rig.repo.commit(&[("a", "4")]);
    stopped_while_receiving(&source, &rig.server, rig.repo.path());
}

#[test]
fn a_stop_ends_the_wait_for_a_clone_that_another_process_works_in() {
    let rig = Rig::with(&[("a", "1")]);
    let source = rig.source();
    let first = fetch(&source).unwrap().commit;
    let folder = std::fs::read_dir(rig.cache.path()).unwrap().next();
    let other = std::fs::File::open(folder.unwrap().unwrap().path().join("lock")).unwrap();
    other.lock().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let waits = std::thread::scope(|scope| {
        let waits = scope.spawn(|| source.fetch(&stop, &|_| {}));
        stop.store(true, Ordering::Relaxed);
        waits.join().unwrap()
    });
    assert!(
        matches!(waits, Err(SourceError::Stopped { .. })),
        "{waits:?}"
    );
    assert!(begun.elapsed() < SOON);
    drop(other);
    assert_eq!(fetch(&source).unwrap().commit, first);
}
