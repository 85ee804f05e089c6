//! Processes that are none of ours: what they say is refused, they are named, and the host goes on.

use std::path::Path;

use weir_core::fault::{Blame as _, Fault, Retry};
use weir_source::{FetchProcess, FetcherLimits, Fetching, ProcessEnd, SourceError};

use super::scene::{Scene, fetch, text};

/// A process that takes what it is told, and then does this.
fn liar(script: &str) -> Fetching {
    Fetching::Process(FetchProcess {
        program: "/bin/sh".into(),
        args: vec!["-c".to_owned(), format!("read -r line; {script}")],
        limits: FetcherLimits::HOST,
        is_required: false,
    })
}

/// What the source says, after which its last good state is there and an honest process fetches.
fn error(what: &str, script: &str) -> SourceError {
    let mut scene = Scene::new();
    let first = fetch(&scene.apart()).unwrap().commit;
    let source = scene.source(liar(script));
    let error = fetch(&source).unwrap_err();
    assert_eq!(source.last_good(), Some(first), "{what}");
    assert_eq!(text(&source), "1", "{what}");
    let second = scene.commit("2").parse().unwrap();
    let honest = scene.apart();
    assert_eq!(fetch(&honest).unwrap().commit, second, "{what}");
    assert_eq!(text(&honest), "2", "{what}");
    error
}

/// One line of the protocol.
fn says(line: &str) -> String {
    format!("printf '%s\\n' '{line}'")
}

fn done(result: &str) -> String {
    says(&format!(
        "{{\"Done\":{{\"result\":{result},\"doubts\":false}}}}"
    ))
}

fn fetched(commit: &str) -> String {
    done(&format!(
        "{{\"Ok\":{{\"Fetched\":{{\"commit\":\"{commit}\",\"change\":\"First\"}}}}}}"
    ))
}

#[test]
fn one_that_misbehaves_is_named_with_its_repository_and_the_host_goes_on() {
    let connecting = says("{\"Progress\":\"Connecting\"}");
    let cases = [
        ("no word", "echo hello".to_owned(), "not understood: hello"),
        (
            "half a word",
            "printf '{\"Done\":'".to_owned(),
            "did not say what came",
        ),
        ("an unknown word", says("{\"Apply\":1}"), "not understood"),
        ("bytes", "exec head -c 1000 /dev/urandom".to_owned(), ""),
        (
            "a line without end",
            "exec cat /dev/zero".to_owned(),
            "more than 65536 bytes at once",
        ),
        (
            "words without end",
            "exec yes '{\"Progress\":\"Waiting\"}'".to_owned(),
            "more than 4194304 bytes",
        ),
        (
            "fetches without end",
            format!("while :; do {connecting}; done"),
            "began more often",
        ),
        ("a crash", "kill -SEGV $$".to_owned(), "SIGSEGV"),
        (
            "a call that it must not make",
            "kill -SYS $$".to_owned(),
            "SIGSYS",
        ),
        ("giving up", "kill -ABRT $$".to_owned(), "SIGABRT"),
        (
            "ending without a word",
            "exit 0".to_owned(),
            "ended by itself",
        ),
        (
            "ending with words",
            "echo 'I had \u{1b}[31menough' >&2; exit 3".to_owned(),
            "enough",
        ),
        (
            "a commit that is not there",
            fetched(&"1".repeat(40)),
            "its clone has not",
        ),
        (
            "a commit that is none",
            fetched("../../etc"),
            "did not do what it was told",
        ),
        (
            "another answer",
            done("{\"Ok\":\"Brought\"}"),
            "did not do what it was told",
        ),
        (
            "an answer to nobody",
            says("{\"Tried\":[]}"),
            "nobody asked",
        ),
        (
            "an error of ssh",
            done("{\"Err\":\"Unlisted\"}"),
            "runs ssh",
        ),
        (
            "an unknown error",
            done("{\"Err\":\"Fine\"}"),
            "not understood",
        ),
        (
            "a refusal that there is not",
            done("{\"Err\":{\"Unauthorized\":{\"status\":200,\"hint\":0}}}"),
            "there is not",
        ),
        (
            "an old commit that is none",
            done("{\"Err\":{\"RefNotFound\":{\"had\":\"x\"}}}"),
            "no id",
        ),
    ];
    for (what, script, words) in cases {
        has_strayed(what, &error(what, &script), words);
    }
}

/// It is said so, of its repository, briefly, and it is not asked again before something changes.
fn has_strayed(what: &str, error: &SourceError, words: &str) {
    let strayed = matches!(
        error,
        SourceError::Process {
            end: ProcessEnd::Strayed(_),
            ..
        }
    );
    assert!(strayed, "{what}: {error:?}");
    let said = error.to_string();
    assert!(
        said.contains("http://127.0.0.1") && said.contains(words),
        "{what}: {said}"
    );
    assert!(
        said.contains("misbehaved") && said.len() < 5000,
        "{what}: {said}"
    );
    assert!(!said.contains(char::is_control), "{what}: {said:?}");
    assert_eq!(
        (error.retry(), error.fault()),
        (Retry::OnChange, Fault::Repository)
    );
}

#[test]
fn what_an_error_names_is_the_hosts_to_say_and_its_words_cannot_steer_a_terminal() {
    let error = error(
        "words",
        &done("{\"Err\":{\"Unreachable\":\"\\u001b[31mhttps://other.example\\n\"}}"),
    );
    let said = error.to_string();
    assert!(matches!(error, SourceError::Unreachable { .. }), "{said}");
    assert!(said.starts_with("repository http://127.0.0.1"), "{said}");
    assert!(!said.contains(char::is_control), "{said:?}");
}

#[test]
fn a_program_that_is_not_there_is_said_to_be_so() {
    let scene = Scene::new();
    let source = scene.source(Fetching::Process(FetchProcess {
        program: "/nowhere/weir".into(),
        args: Vec::new(),
        limits: FetcherLimits::HOST,
        is_required: true,
    }));
    let error = fetch(&source).unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        ("fetch-process", Retry::Backoff)
    );
    assert!(error.to_string().contains("did not start"), "{error}");
}

/// After a process has done this to its clone and says that it has fetched what is there.
fn tampered(what: &str, change: impl FnOnce(&Path) -> String) {
    let mut scene = Scene::new();
    let commit = fetch(&scene.apart()).unwrap().commit;
    let script = change(&scene.clone_dir());
    let source = scene.source(liar(&format!("{script}; {}", fetched(&commit.to_string()))));
    let error = fetch(&source).unwrap_err();
    assert!(
        matches!(error, SourceError::Damaged { .. }),
        "{what}: {error:?}"
    );
    // Nor is it read after a restart: it is made anew.
    let second = scene.commit("2").parse().unwrap();
    let honest = scene.apart();
    assert_eq!(honest.last_good(), None, "{what}");
    assert_eq!(fetch(&honest).unwrap().commit, second, "{what}");
    assert_eq!(text(&honest), "2", "{what}");
}

#[test]
fn a_clone_that_leads_elsewhere_is_not_read() {
    let other = Scene::new();
    fetch(&other.apart()).unwrap();
    let objects = other.clone_dir().join("objects");
    tampered("alternates", |clone| {
        let file = clone.join("objects/info/alternates");
        format!(
            "mkdir -p '{0}'; echo '{1}' > '{0}/alternates'",
            file.parent().unwrap().display(),
            objects.display()
        )
    });
    tampered("a link", |clone| {
        format!(
            "ln -s '{}' '{}/objects/elsewhere'",
            objects.display(),
            clone.display()
        )
    });
    tampered("a folder that is a link", |clone| {
        format!("ln -s / '{}/refs/elsewhere'", clone.display())
    });
    tampered("a configuration", |clone| {
        format!(
            "printf '[include]\\n\\tpath = /etc/hostname\\n' >> '{}/config'",
            clone.display()
        )
    });
    tampered("a pipe", |clone| {
        format!("mkfifo '{}/packed-refs'", clone.display())
    });
}
