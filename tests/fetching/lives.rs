//! A process that fetches is killed, stopped, or outlived by what it was told.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use weir_core::fault::{Blame as _, Retry};
use weir_source::{
    CredentialsFrom, FetchProcess, Fetched, FetcherLimits, Fetching, ProcessEnd, RefChange, Source,
    SourceConfig, SourceError,
};
use weir_tests::server::{Auth, Fault};

use super::scene::{SOON, Scene, children, fetch, process, text};

/// A fetch under way, in a thread whose only child is its process.
struct Underway {
    thread: i32,
    fetching: JoinHandle<(Result<Fetched, SourceError>, Source)>,
}

impl Underway {
    fn begin(source: Source, stop: Arc<AtomicBool>) -> Underway {
        let (say, said) = mpsc::channel();
        let fetching = std::thread::spawn(move || {
            say.send(rustix::thread::gettid().as_raw_nonzero().get())
                .unwrap();
            let fetched = source.fetch(&stop, &|_| {});
            (fetched, source)
        });
        Underway {
            thread: said.recv().unwrap(),
            fetching,
        }
    }

    fn kill(&self) {
        let all = children(self.thread);
        assert_eq!(all.len(), 1, "{all:?}");
        kill_process(Pid::from_raw(all[0].0).unwrap(), Signal::KILL).unwrap();
    }

    fn end(self) -> (Result<Fetched, SourceError>, Source) {
        let ended = self.fetching.join().unwrap();
        assert!(children(self.thread).is_empty());
        ended
    }
}

#[test]
fn killed_in_the_middle_of_a_pack_it_begins_once_more_and_killed_again_the_last_good_state_stays() {
    let mut scene = Scene::new();
    let source = scene.apart();
    let first = fetch(&source).unwrap().commit;
    let second = scene.commit("2").parse().unwrap();
    scene.server.fault(Fault::Hold(40));
    let underway = Underway::begin(source, Arc::default());
    scene.server.wait_for_held(1, SOON).unwrap();
    underway.kill();
    scene.server.wait_for_held(2, SOON).unwrap();
    underway.kill();
    let (ended, source) = underway.end();
    let error = ended.unwrap_err();
    let killed = SourceError::kind(&error) == "fetch-process";
    assert!(killed && error.to_string().contains("SIGKILL"), "{error}");
    assert!(error.to_string().contains(source.url()), "{error}");
    assert_eq!(error.retry(), Retry::Backoff);
    assert_eq!(source.last_good(), Some(first));
    assert_eq!(text(&source), "1");
    scene.server.fault(Fault::None);
    let fetched = fetch(&source).unwrap();
    let forward = RefChange::FastForward { from: first };
    assert_eq!((fetched.commit, fetched.change), (second, forward));
    assert_eq!(text(&source), "2");
}

#[test]
fn killed_once_nothing_is_seen_of_it() {
    let scene = Scene::new();
    scene.server.fault(Fault::Stall);
    let underway = Underway::begin(scene.apart(), Arc::default());
    scene.server.wait_for_requests(1, SOON).unwrap();
    underway.kill();
    scene.server.wait_for_requests(2, SOON).unwrap();
    scene.server.fault(Fault::None);
    let (ended, source) = underway.end();
    assert_eq!(ended.unwrap().change, RefChange::First);
    assert_eq!(text(&source), "1");
}

#[test]
fn a_stop_ends_it_while_the_server_says_nothing() {
    let scene = Scene::new();
    scene.server.fault(Fault::Stall);
    let stop = Arc::new(AtomicBool::new(false));
    let underway = Underway::begin(scene.apart(), stop.clone());
    scene.server.wait_for_requests(1, SOON).unwrap();
    stop.store(true, Ordering::Relaxed);
    let (ended, source) = underway.end();
    assert!(
        matches!(ended, Err(SourceError::Stopped { .. })),
        "{ended:?}"
    );
    scene.server.fault(Fault::None);
    assert_eq!(fetch(&source).unwrap().change, RefChange::First);
}

#[test]
fn a_token_that_is_exchanged_while_the_server_thinks_is_read_anew() {
    let scene = Scene::new();
    let file = scene.file("token", "old");
    scene.server.require(Auth::Token("new".to_owned()));
    scene.server.fault(Fault::Stall);
    let source = Source::open(SourceConfig {
        credentials: Some(CredentialsFrom::TokenFile(file)),
        ..scene.config(Fetching::Process(process()))
    });
    let underway = Underway::begin(source.unwrap(), Arc::default());
    scene.server.wait_for_requests(1, SOON).unwrap();
    scene.file("token", "new");
    scene.server.fault(Fault::None);
    let (ended, _) = underway.end();
    assert_eq!(ended.unwrap().change, RefChange::First);
}

#[test]
fn one_that_says_nothing_any_more_is_ended_after_its_time() {
    let scene = Scene::new();
    let good = scene.apart();
    fetch(&good).unwrap();
    let limits = FetcherLimits {
        start: std::time::Duration::from_millis(100),
        ..FetcherLimits::HOST
    };
    let silent = Fetching::Process(FetchProcess {
        program: "/bin/sh".into(),
        args: vec!["-c".to_owned(), "read l; exec sleep 600".to_owned()],
        limits,
        is_required: false,
    });
    let mut config = scene.config(silent);
    config.fetch_limits.deadline = std::time::Duration::from_millis(100);
    let source = Source::open(config).unwrap();
    let underway = Underway::begin(source, Arc::default());
    let (ended, source) = underway.end();
    let error = ended.unwrap_err();
    let is_silent = matches!(
        &error,
        SourceError::Process {
            end: ProcessEnd::Silent(_),
            ..
        }
    );
    assert!(is_silent, "{error}");
    assert_eq!(error.retry(), Retry::Backoff);
    assert_eq!(text(&source), "1");
}

#[test]
fn one_without_memory_names_the_limit() {
    let scene = Scene::new();
    let noise: Vec<u8> = (0..32u32 << 18)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    scene.repo.write("large", &noise).unwrap();
    let mut scene = scene;
    scene.repo.commit("large").unwrap();
    let mut small = process();
    small.limits.data_bytes = 32 << 20;
    let source = scene.source(Fetching::Process(small));
    let error = fetch(&source).unwrap_err();
    let limit =
        matches!(&error, SourceError::Limit { which, .. } if which.contains("33554432 bytes"));
    assert!(limit, "{error:?}");
    assert_eq!(fetch(&scene.apart()).unwrap().change, RefChange::First);
    assert!(fs::read_dir(scene.cache()).unwrap().count() == 1);
}
