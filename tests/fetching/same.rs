//! Over http: what comes of a fetch is the same in a process of its own, to the word.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use weir_core::external::{LockedExternal, Reference};
use weir_source::{
    Credentials, CredentialsFrom, ExternalLimits, ExternalPolicy, Externals, FetchProgress,
    Fetching, HttpOptions, RefChange, Secret, Source, SourceConfig, Watch,
};
use weir_tests::server::{Auth, Fault, Impostor};

use super::scene::{Scene, fetch, same_error, text, told, ways};

#[test]
fn a_clone_a_new_commit_a_rewrite_and_a_deleted_branch_are_the_same_in_both_ways() {
    for (way, fetching) in ways() {
        let mut scene = Scene::new();
        let first = scene.repo.head().unwrap().parse().unwrap();
        let source = scene.source(fetching.clone());
        let change = || fetch(&source).map(|f| (f.commit, f.change)).unwrap();
        assert_eq!(change(), (first, RefChange::First), "{way}");
        assert_eq!(text(&source), "1");
        assert_eq!(change(), (first, RefChange::Unchanged), "{way}");
        let second = scene.commit("2").parse().unwrap();
        let forward = RefChange::FastForward { from: first };
        assert_eq!(change(), (second, forward), "{way}");
        assert_eq!(text(&source), "2");
        scene.repo.reset("HEAD~1").unwrap();
        let third = scene.commit("3").parse().unwrap();
        let rewritten = RefChange::Rewritten { from: second };
        assert_eq!(change(), (third, rewritten), "{way}");
        assert_eq!(text(&source), "3");
        scene.repo.git(["checkout", "-q", "--detach"]).unwrap();
        scene.repo.delete_branch("main").unwrap();
        let gone = told(&fetch(&source).unwrap_err());
        assert!(
            gone.starts_with("ref-not-found Backoff Repository"),
            "{gone}"
        );
        assert!(gone.contains("it was deleted or renamed"), "{gone}");
        assert_eq!(text(&source), "3", "{way}: the last good state stays");
        // Another source of the same cache, as after a restart.
        let again = scene.source(fetching);
        assert_eq!(again.last_good(), Some(third), "{way}");
    }
}

/// What is wrong, how the server is set up, how the source is, and how the error begins.
struct Case {
    what: &'static str,
    set: Box<dyn Fn(&Scene)>,
    change: fn(&mut SourceConfig, &Path),
    begins: &'static str,
}

fn case(
    what: &'static str,
    set: impl Fn(&Scene) + 'static,
    change: fn(&mut SourceConfig, &Path),
    begins: &'static str,
) -> Case {
    let set = Box::new(set);
    Case {
        what,
        set,
        change,
        begins,
    }
}

fn token(text: &str) -> Option<CredentialsFrom> {
    let token = Credentials::Token(Secret::new(text));
    Some(CredentialsFrom::Given(token))
}

fn plain(_: &mut SourceConfig, _: &Path) {}

fn well(_: &Scene) {}

fn fault(fault: Fault) -> impl Fn(&Scene) {
    move |scene| scene.server.fault(fault.clone())
}

fn wants_token(scene: &Scene) {
    scene.server.require(Auth::Token("hunter2".to_owned()));
}

fn answers() -> Vec<Case> {
    const REFUSED: &str = "unauthorized Backoff Host";
    let status = |status| fault(Fault::Status(status));
    let elsewhere = Fault::Redirect("http://127.0.0.1:9".to_owned());
    let junk = Fault::Instead(Impostor {
        to: "command=fetch",
        body: Arc::new(b"zzzz".to_vec()),
        again: Arc::default(),
    });
    let in_a_file = |config: &mut SourceConfig, dir: &Path| {
        let file = dir.join("token");
        std::fs::write(&file, "hunter4").unwrap();
        config.credentials = Some(CredentialsFrom::TokenFile(file));
    };
    let nowhere = |config: &mut SourceConfig, dir: &Path| {
        let file = dir.join("nowhere");
        config.credentials = Some(CredentialsFrom::TokenFile(file));
    };
    let wrong = |config: &mut SourceConfig, _: &Path| config.credentials = token("hunter3");
    let no_ref = |config: &mut SourceConfig, _: &Path| config.reference = "nope".parse().unwrap();
    vec![
        case("no credentials", wants_token, plain, REFUSED),
        case("a wrong token", wants_token, wrong, REFUSED),
        case("one in a file", wants_token, in_a_file, REFUSED),
        case("no token file", well, nowhere, "host Backoff Host"),
        case("403", status(403), plain, REFUSED),
        case("404", status(404), plain, "not-found Backoff Host"),
        case("500", status(500), plain, "unreachable Backoff Host"),
        case(
            "no Git",
            fault(Fault::Garbage),
            plain,
            "not-found Backoff Host",
        ),
        case(
            "elsewhere",
            fault(elsewhere),
            plain,
            "bad-url OnChange Host",
        ),
        case(
            "cut refs",
            fault(Fault::Truncate(20)),
            plain,
            "unreachable Backoff Host",
        ),
        case("no pack", fault(junk), plain, "damaged Backoff Host"),
        case("no ref", well, no_ref, "ref-not-found Backoff Repository"),
    ]
}

fn limits() -> Vec<Case> {
    const LIMIT: &str = "limit OnChange Host";
    const SILENT: &str = "unreachable Backoff Host";
    let large = |scene: &Scene| scene.repo.write("large", vec![b'x'; 2 << 20]).unwrap();
    let bytes = |config: &mut SourceConfig, _: &Path| config.fetch_limits.response_bytes = 200;
    let talk = |config: &mut SourceConfig, _: &Path| config.fetch_limits.talk_bytes = 10;
    let object = |config: &mut SourceConfig, _: &Path| config.fetch_limits.object_bytes = 1 << 20;
    let deadline = |config: &mut SourceConfig, _: &Path| {
        config.fetch_limits.deadline = Duration::from_millis(300);
    };
    let silence = |config: &mut SourceConfig, _: &Path| {
        config.http.read_timeout = Duration::from_millis(300);
    };
    vec![
        case("too many bytes", well, bytes, LIMIT),
        case("too much talk", well, talk, LIMIT),
        case("a large object", large, object, LIMIT),
        case("a deadline", fault(Fault::Stall), deadline, SILENT),
        case("silence", fault(Fault::Stall), silence, SILENT),
    ]
}

#[test]
fn each_failure_over_http_has_the_same_words_in_both_ways() {
    for case in answers().into_iter().chain(limits()) {
        let what = case.what;
        let mut scene = Scene::new();
        (case.set)(&scene);
        scene.repo.commit("what the case has written").unwrap();
        let dir = scene.dir.path().to_owned();
        let said = same_error(what, &scene.cache(), |fetching| {
            let mut config = scene.config(fetching);
            (case.change)(&mut config, &dir);
            config
        });
        assert!(said.starts_with(case.begins), "{what}: {said}");
        assert!(!said.contains("hunter"), "{what}: {said}");
    }
}

#[test]
fn a_server_that_is_not_there_and_a_name_that_is_none_have_the_same_words() {
    let scene = Scene::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = format!("http://{}/x", free.local_addr().unwrap());
    drop(free);
    for url in [dead.as_str(), "http://nope.invalid/x"] {
        let said = same_error(url, &scene.cache(), |fetching| {
            super::scene::config(url, &scene.cache(), fetching)
        });
        assert!(said.starts_with("unreachable Backoff Host"), "{said}");
    }
}

#[test]
fn an_empty_repository_has_the_same_words_in_both_ways() {
    let scene = Scene::new();
    let bare = scene.repo.parent().join("empty");
    let path = bare.to_str().unwrap();
    scene
        .repo
        .git(["init", "-q", "-b", "main", "--bare", path])
        .unwrap();
    let url = scene.server.url("empty");
    let said = same_error("empty", &scene.cache(), |fetching| {
        super::scene::config(&url, &scene.cache(), fetching)
    });
    assert!(said.starts_with("empty Backoff Repository"), "{said}");
}

#[test]
fn how_far_it_is_comes_over() {
    let scene = Scene::new();
    let heard = Mutex::new(Vec::new());
    let progress = |how: FetchProgress| heard.lock().unwrap().push(how);
    scene.apart().fetch(&Arc::default(), &progress).unwrap();
    let heard = heard.into_inner().unwrap();
    assert_eq!(heard.first(), Some(&FetchProgress::Connecting), "{heard:?}");
    assert_eq!(heard.last(), Some(&FetchProgress::Checking), "{heard:?}");
    let has = |how: &FetchProgress| matches!(how, FetchProgress::Receiving { bytes } if *bytes > 0);
    assert!(heard.iter().any(has), "{heard:?}");
}

#[test]
fn a_clone_that_is_damaged_is_made_anew_in_both_ways() {
    let mut all = Vec::new();
    for (way, fetching) in ways() {
        let mut scene = Scene::new();
        let source = scene.source(fetching.clone());
        let from = fetch(&source).unwrap().commit;
        let first = scene.clone_dir();
        // As a reader marks it that found objects missing or wrong.
        std::fs::write(first.join("weir-damaged"), b"").unwrap();
        scene.commit("2");
        let fetched = fetch(&scene.source(fetching.clone())).unwrap();
        assert_eq!(fetched.change, RefChange::FastForward { from }, "{way}");
        let second = scene.clone_dir();
        assert_ne!(second, first, "{way}");
        // And without its packs it has no head.
        let packs = std::fs::read_dir(second.join("objects/pack")).unwrap();
        for pack in packs.flatten() {
            std::fs::remove_file(pack.path()).unwrap();
            std::fs::write(pack.path(), b"nothing").unwrap();
        }
        let source = scene.source(fetching);
        assert_eq!(source.last_good(), None, "{way}");
        let fetched = fetch(&source).unwrap();
        assert_eq!(text(&source), "2", "{way}");
        let name = scene.clone_dir().file_name().unwrap().to_owned();
        all.push((fetched.change, name));
    }
    assert_eq!(all[0], all[1]);
}

#[test]
fn a_base_of_another_repository_is_fetched_and_brought_in_both_ways() {
    for (way, fetching) in ways() {
        let mut scene = Scene::new();
        let first = scene.repo.head().unwrap();
        scene.commit("2");
        let externals = externals(&scene, fetching);
        let stop = Arc::default();
        let watch = Watch {
            since: std::time::Instant::now(),
            stop: &stop,
            progress: &|_| {},
        };
        let url = scene.server.url("work").replace("http://", "git+http://");
        let branch: Reference = format!("{url}?ref=main").parse().unwrap();
        let (locked, snapshot) = externals.resolve(&branch, watch).unwrap();
        let head = scene.repo.head().unwrap().parse().unwrap();
        assert_eq!(locked, LockedExternal::Commit(head), "{way}");
        let a = "a".parse().unwrap();
        assert!(snapshot.tree.get(&a).is_some(), "{way}");
        // One that the ref does not lead to any more, by its id alone.
        let pinned: Reference = format!("{url}?ref={first}").parse().unwrap();
        let commit = LockedExternal::Commit(first.parse().unwrap());
        externals.show(&pinned, &commit, watch).unwrap();
        let nowhere = LockedExternal::Commit("1".repeat(40).parse().unwrap());
        let other: Reference = format!("{url}?ref={}", "1".repeat(40)).parse().unwrap();
        let said = externals.show(&other, &nowhere, watch).err().unwrap();
        assert!(said.to_string().contains("1111111"), "{way}: {said}");
    }
}

fn externals(scene: &Scene, fetching: Fetching) -> Externals {
    Externals {
        limits: ExternalLimits::HOST,
        policy: ExternalPolicy::default(),
        http: HttpOptions {
            user_agent: "weir/test".to_owned(),
            ..HttpOptions::host()
        },
        cache_dir: scene.cache(),
        fetching,
    }
}

#[test]
fn a_commit_that_is_kept_wherever_the_ref_points_is_brought_by_a_process_too() {
    for (way, fetching) in ways() {
        let mut scene = Scene::new();
        let first = scene.repo.head().unwrap().parse().unwrap();
        let second = scene.commit("2").parse().unwrap();
        scene.repo.reset("HEAD~1").unwrap();
        scene.repo.branch("side").unwrap();
        let third = scene.commit("3").parse().unwrap();
        let source: Source = scene.source(fetching);
        assert_eq!(fetch(&source).unwrap().commit, third, "{way}");
        source.keep(first, &Arc::default()).unwrap();
        // No ref leads to this one any more.
        source.keep(second, &Arc::default()).unwrap();
        assert!(source.commit_info(second).is_ok(), "{way}");
        let none = "1".repeat(40).parse().unwrap();
        assert!(source.keep(none, &Arc::default()).is_err(), "{way}");
        assert_eq!(source.last_good(), Some(third), "{way}: the ref stays");
    }
}
