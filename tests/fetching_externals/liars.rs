//! Processes that are none of ours, and ours that are killed: each an error that names the external, after which nothing is kept.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use weir_core::external::{LockedExternal, Reference};
use weir_core::fault::{Blame as _, Fault, Retry};
use weir_source::{ExternalError, Externals, FetchProcess, FetcherLimits, Fetching, Watch};
use weir_tests::charts::sha256;

use crate::rig::{Rig, chart, chart_of, got, incoming, kept, manifest, signed, told, watched};
use crate::scene::{children, process};

/// A process that takes what it is told, and then does this. `$f` is the file that it is to fill.
pub(crate) fn liar(rig: &Rig, script: &str) -> Fetching {
    let place = rig.cache().join("incoming");
    let script = format!("read -r line; f=$(echo '{}'/*); {script}", place.display());
    Fetching::Process(FetchProcess {
        program: "/bin/sh".into(),
        args: vec!["-c".to_owned(), script],
        limits: FetcherLimits::HOST,
        is_required: false,
    })
}

/// One line of the protocol.
pub(crate) fn says(result: &str) -> String {
    format!("printf '%s\\n' '{{\"Got\":{result}}}'")
}

fn parts(lens: &[usize]) -> String {
    says(&format!("{{\"Ok\":{{\"Parts\":{lens:?}}}}}"))
}

pub(crate) fn meant(version: &str, at: &str) -> String {
    says(&format!(
        "{{\"Ok\":{{\"Meant\":{{\"version\":\"{version}\",\"digest\":null,\"pinned\":null,\"at\":{at}}}}}}}"
    ))
}

fn lacks(what: &str) -> String {
    says(&format!("{{\"Err\":{{\"Lack\":{what}}}}}"))
}

/// It is said so, of its external, briefly; nothing is kept; and an honest process gets what there is.
fn has_strayed(rig: &Rig, what: &str, said: &str, words: &str) {
    assert!(
        said.starts_with("fetch-process OnChange Repository"),
        "{what}: {said}"
    );
    assert!(
        said.contains(words) && said.contains("misbehaved"),
        "{what}: {said}"
    );
    assert!(said.contains(&rig.server.host()), "{what}: {said}");
    assert!(
        said.len() < 5000 && !said.contains(char::is_control),
        "{what}: {said:?}"
    );
    assert_eq!(
        (kept(&rig.cache()), incoming(&rig.cache())),
        (0, Some(0)),
        "{what}"
    );
}

/// A chart in a registry that a lock pins.
fn pinned(rig: &Rig) -> (Reference, LockedExternal) {
    let archive = chart("good");
    let locked = LockedExternal::Chart {
        version: "1.0.0".to_owned(),
        digest: format!("sha256:{}", sha256(&archive)).parse().unwrap(),
        size: archive.len() as u64,
    };
    let reference = format!("oci://{}/web?version=1.0.0", rig.server.host());
    (reference.parse().unwrap(), locked)
}

#[test]
fn an_archive_that_a_process_lies_about_is_not_kept() {
    let rig = Rig::new();
    let (reference, locked) = pinned(&rig);
    let fills = |bytes: &str, lens: &[usize]| format!("printf {bytes} > \"$f\"; {}", parts(lens));
    let failed = |failure: &str| says(&format!("{{\"Err\":{{\"Failed\":{failure}}}}}"));
    for (what, script, words) in [
        (
            "other bytes",
            fills("evil", &[4]),
            "other bytes than it was asked for",
        ),
        (
            "fewer than it says",
            fills("evil", &[5]),
            "did not hand over",
        ),
        (
            "more than it says",
            fills("evil", &[3]),
            "did not hand over",
        ),
        ("two parts", fills("evil", &[2, 2]), "more or less"),
        ("no part", parts(&[]), "more or less"),
        (
            "more than may be",
            parts(&[usize::MAX >> 1]),
            "more or less",
        ),
        (
            "a link in its place",
            format!("ln -sf /etc/passwd \"$f\"; {}", parts(&[4])),
            "did not hand over",
        ),
        (
            "another file in its place",
            format!("rm \"$f\"; printf evil > \"$f\"; {}", parts(&[4])),
            "did not hand over",
        ),
        (
            "another answer",
            meant("1.0.0", "{\"Layer\":1}"),
            "did not do what it was told",
        ),
        (
            "half a word",
            "printf '{\"Got\":'".to_owned(),
            "did not say what came",
        ),
        (
            "a word of another job",
            "echo '{\"Done\":{\"result\":{\"Ok\":\"Brought\"},\"doubts\":false}}'".to_owned(),
            "nobody asked",
        ),
        ("a crash", "kill -SEGV $$".to_owned(), "SIGSEGV"),
        (
            "words without end",
            "exec yes '{\"Progress\":\"Waiting\"}'".to_owned(),
            "more than",
        ),
        ("an unknown error", failed("\"Fine\""), "not understood"),
        (
            "an error of a plugin",
            failed("{\"Redirected\":{\"to\":\"x\",\"why\":\"which wants credentials\"}}"),
            "of a chart",
        ),
        (
            "a limit that there is not",
            failed("{\"Limit\":{\"limit\":\"x\",\"why\":\"x\"}}"),
            "there is not",
        ),
        (
            "a refusal that there is not",
            failed("{\"Unauthorized\":{\"url\":\"x\",\"status\":200,\"hint\":\"x\"}}"),
            "there is not",
        ),
    ] {
        let externals = rig.externals(liar(&rig, &script));
        let error = watched(|watch| externals.show(&reference, &locked, watch))
            .err()
            .unwrap();
        has_strayed(&rig, what, &told(error.kind(), &error), words);
    }
}

#[test]
fn an_archive_that_is_not_what_a_lock_pins_is_not_kept_whoever_says_what_of_it() {
    let rig = Rig::new();
    let reference: Reference = rig.has_chart().parse().unwrap();
    let (_, locked) = pinned(&rig);
    let url = format!("{{\"Url\":\"http://{}/x\"}}", rig.server.host());
    let LockedExternal::Chart { digest, .. } = &locked else {
        panic!("{locked:?}");
    };
    let there =
        meant("1.0.0", &url).replace("\"pinned\":null", &format!("\"pinned\":\"{digest}\""));
    let script = format!(
        "case \"$line\" in *Archive*) printf evil > \"$f\"; {};; *) {there};; esac",
        parts(&[4])
    );
    let externals = rig.externals(liar(&rig, &script));
    let error = watched(|watch| externals.show(&reference, &locked, watch))
        .err()
        .unwrap();
    assert!(matches!(error, ExternalError::Changed { .. }), "{error}");
    assert_eq!(kept(&rig.cache()), 0);
    let long = format!("{{\"Url\":\"http://x/{}\"}}", "x".repeat(9000));
    for (what, script, words) in [
        (
            "another version",
            there.replace("1.0.0", "1.0.1"),
            "than the lock's",
        ),
        (
            "a layer",
            meant("1.0.0", "{\"Layer\":1}"),
            "cannot be there",
        ),
        ("a long URL", meant("1.0.0", &long), "cannot be there"),
        (
            "nothing of the lock",
            meant("1.0.0", &url),
            "than the lock's",
        ),
    ] {
        let externals = rig.externals(liar(&rig, &script));
        let error = watched(|watch| externals.show(&reference, &locked, watch))
            .err()
            .unwrap();
        has_strayed(&rig, what, &told(error.kind(), &error), words);
    }
    for (what, script, words) in [
        (
            "a version that nobody wants",
            meant("2.0.0", &url),
            "was not asked for",
        ),
        ("no version", meant("../../etc", &url), "was not asked for"),
        ("one that is pinned", there, "was not asked for"),
    ] {
        let reference = rig.server.reference("web", "%5E1");
        let externals = rig.externals(liar(&rig, &script));
        has_strayed(&rig, what, &chart_of(&externals, &reference), words);
    }
}

#[test]
fn what_a_process_says_that_it_lacks_is_given_within_the_rules_or_not_at_all() {
    let mut rig = Rig::new();
    let (reference, locked) = pinned(&rig);
    let shown = |rig: &Rig, script: &str| {
        let externals = rig.externals(liar(rig, script));
        let error = watched(|watch| externals.show(&reference, &locked, watch))
            .err()
            .unwrap();
        told(error.kind(), &error)
    };
    let said = shown(&rig, &lacks("{\"Port\":22}"));
    has_strayed(&rig, "a port twice", &said, "what it has");
    // Another one each time.
    let said = shown(&rig, &lacks("{\"Port\":'\"$(($$ % 60000 + 1))\"'}"));
    has_strayed(&rig, "ports without end", &said, "lacked more");
    let realm = |url: &str| {
        lacks(&format!(
            "{{\"Token\":{{\"url\":\"{url}\",\"service\":null}}}}"
        ))
    };
    let said = shown(&rig, &realm("http://a.example/"));
    assert!(said.starts_with("not-allowed"), "{said}");
    let said = shown(&rig, &realm("file:///etc/passwd"));
    assert!(said.starts_with("refused"), "{said}");
    let own = rig.server.host();
    let said = shown(&rig, &realm(&format!("http://{own}/")));
    has_strayed(&rig, "a token for a token", &said, "may not have");
    rig.policy.hosts = Some(vec![own.parse().unwrap()]);
    let said = shown(&rig, &lacks("{\"Port\":22}"));
    has_strayed(&rig, "a port that is not named", &said, "may not have");
    assert!(rig.server.requests().is_empty());
}

#[test]
fn a_plugin_or_a_signature_that_a_process_lies_about_is_an_error_of_that_plugin() {
    let rig = Rig::new();
    let component = vec![1; 10];
    let (reference, pin) = rig.has_plugin(&component);
    let good = manifest(&component).to_string();
    let other = manifest(&[2; 10]).to_string();
    let (all, len) = (
        |text: &str| format!("printf '%s' '{text}' > \"$f\""),
        good.len(),
    );
    let strayed = |what: &str, said: String, words: &str| has_strayed(&rig, what, &said, words);
    let junk = format!("{}; {}", all("junk"), parts(&[4]));
    let e = rig.externals(liar(&rig, &junk));
    let said = got(watched(|watch| e.plugin_named(&reference, watch)));
    strayed("no manifest", said, "something else");
    let said = signed(watched(|watch| {
        e.signatures(&reference, pin.manifest, watch)
    }));
    strayed("no signatures", said, "that are none");
    let many = vec!["{\"form\":\"simple\",\"payload\":\"\",\"signature\":\"\"}"; 51].join(",");
    let many = format!("[{many}]");
    let e = rig.externals(liar(
        &rig,
        &format!("{}; {}", all(&many), parts(&[many.len()])),
    ));
    let said = signed(watched(|watch| {
        e.signatures(&reference, pin.manifest, watch)
    }));
    strayed("too many", said, "that are none");
    let e = rig.externals(liar(
        &rig,
        &format!("{}; {}", all(&other), parts(&[other.len()])),
    ));
    let said = got(watched(|watch| e.plugin_manifest(&reference, pin, watch)));
    strayed("another manifest", said, "something else");
    let named = format!("{}@{}", reference, pin.manifest).parse().unwrap();
    let said = got(watched(|watch| e.plugin_named(&named, watch)));
    strayed("another than the named one", said, "something else");
    let evil = format!("{good}evil");
    let script = format!("{}; {}", all(&evil), parts(&[len, 4]));
    let e = rig.externals(liar(&rig, &script));
    let said = got(watched(|watch| e.plugin(&reference, pin, watch)));
    strayed("another component", said, "something else");
    assert!(rig.server.requests().is_empty());
}

/// Gets a chart whose archive's server does this to the process that asks for it.
fn interrupted(
    rig: &Rig,
    stop: &Arc<AtomicBool>,
    meanwhile: impl Fn(i32) + Send + Sync + 'static,
) -> (Externals, String) {
    let reference: Reference = rig.has_chart().parse().unwrap();
    let externals = rig.externals(Fetching::Process(process()));
    let thread = rustix::thread::gettid().as_raw_nonzero().get();
    let file = "/stable/files/web-1.0.0.tgz";
    rig.server.before(file, move || meanwhile(thread));
    let watch = Watch {
        since: Instant::now(),
        stop,
        progress: &|_| {},
    };
    let error = externals.resolve(&reference, watch).err().unwrap();
    assert!(children(thread).is_empty());
    assert_eq!((kept(&rig.cache()), incoming(&rig.cache())), (0, Some(0)));
    (externals, told(error.kind(), &error))
}

#[test]
fn killed_twice_it_is_the_hosts_to_say_and_nothing_is_kept() {
    let rig = Rig::new();
    let (externals, said) = interrupted(&rig, &Arc::default(), |thread| {
        let all = children(thread);
        kill_process(Pid::from_raw(all[0].0).unwrap(), Signal::KILL).unwrap();
    });
    let start = format!("fetch-process {:?} {:?}", Retry::Backoff, Fault::Host);
    assert!(
        said.starts_with(&start) && said.contains("SIGKILL"),
        "{said}"
    );
    let file = "/stable/files/web-1.0.0.tgz";
    let asked = rig
        .server
        .requests()
        .iter()
        .filter(|r| r.path == file)
        .count();
    assert_eq!(asked, 2, "{said}");
    // Nobody kills the next one.
    rig.server.before(file, || {});
    let reference = rig.server.reference("web", "");
    assert!(chart_of(&externals, &reference).contains("good"));
}

#[test]
fn a_stop_ends_it() {
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    let (_, said) = interrupted(&Rig::new(), &stop, move |thread| {
        told.store(true, Ordering::Relaxed);
        while !children(thread).is_empty() {
            std::thread::yield_now();
        }
    });
    assert!(said.starts_with("stopped"), "{said}");
}

#[test]
fn one_without_memory_names_the_limit_and_one_that_is_not_there_says_so() {
    let rig = Rig::new();
    let (reference, pin) = rig.has_plugin(&vec![1; 64 << 20]);
    let mut small = process();
    small.limits.data_bytes = 32 << 20;
    let externals = rig.externals(Fetching::Process(small));
    let error = watched(|watch| externals.plugin(&reference, pin, watch)).unwrap_err();
    let said = told(error.kind(), &error);
    assert!(said.starts_with("limit OnChange Repository"), "{said}");
    assert!(
        said.contains("limit process") && said.contains("33554432 bytes"),
        "{said}"
    );
    assert_eq!(incoming(&rig.cache()), Some(0));
    let mut gone = process();
    gone.program = "/nowhere/weir".into();
    let externals = rig.externals(Fetching::Process(gone));
    let error = watched(|watch| externals.plugin(&reference, pin, watch)).unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        ("fetch-process", Retry::Backoff)
    );
    assert!(error.to_string().contains("did not start"), "{error}");
    assert_eq!(fs::read_dir(rig.cache()).unwrap().count(), 1);
}
