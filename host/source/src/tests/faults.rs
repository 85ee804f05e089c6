//! Every fault of a repository that was followed well before: its own words, and the last good commit stays readable.

use std::collections::BTreeMap;

use weir_core::fault::{Blame as _, Fault, Retry};
use weir_core::name::RepoPath;
use weir_core::tree::{ReadError, View};

use super::git::{Repo, config, fetch, open, text};
use super::remote::Rig;
use super::server::{Reply, Server, backend};
use crate::{CredentialsFrom, RefChange, RepoUrl, Source, SourceConfig, SourceError};

/// A pointer as Git LFS writes it.
const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
    oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

/// A repository that was fetched once; what is fetched next fails, and leaves what was there.
struct Followed {
    rig: Rig,
    source: Source,
}

fn followed(credentials: Option<CredentialsFrom>) -> Followed {
    let rig = Rig::with(&[("a", "1")]);
    let source = open(SourceConfig {
        credentials,
        ..rig.config()
    })
    .unwrap();
    fetch(&source).unwrap();
    Followed { rig, source }
}

impl Followed {
    /// The error of the next fetch, with its text. The state before it is whole, now and after a restart.
    fn error(&self) -> SourceError {
        let good = self.source.last_good().unwrap();
        let error = fetch(&self.source).unwrap_err();
        for source in [&self.source, &self.rig.source()] {
            assert_eq!(source.last_good(), Some(good), "{error}");
            assert_eq!(text(source, good, "a"), "1", "{error}");
        }
        error
    }

    /// Once the server is well again, a fetch is.
    fn recovers(&self) {
        let root = self.rig.root();
        self.rig
            .server
            .answer(move |request| backend(&root, request));
        let commit = self.rig.repo.commit(&[("a", "2")]);
        assert_eq!(fetch(&self.source).unwrap().commit, commit);
        assert_eq!(text(&self.source, commit, "a"), "2");
    }

    fn answers(&self, reply: impl Fn() -> Reply + Send + Sync + 'static) {
        self.rig.server.answer(move |_| reply());
    }
}

fn token() -> Option<CredentialsFrom> {
    super::refusals::token("hunter2")
}

/// Faults of the server by name: the error, and words that its text must have.
fn faults_of_the_server() -> BTreeMap<&'static str, (SourceError, Vec<String>)> {
    let mut out = BTreeMap::new();
    for (name, credentials, status, said) in [
        ("401", None, 401, "refused access (401): give credentials"),
        ("403", None, 403, "refused access (403): give credentials"),
        (
            "401 to a token",
            token(),
            401,
            "(401): the credentials are wrong, expired or revoked",
        ),
        (
            "403 to a token",
            token(),
            403,
            "(403): the server does not let these credentials read",
        ),
        ("404", None, 404, "does not exist: the server answered 404"),
        (
            "500",
            None,
            500,
            "cannot be reached: the server answered 500",
        ),
    ] {
        let it = followed(credentials);
        it.answers(move || Reply::status(status));
        out.insert(name, (it.error(), vec![said.to_owned()]));
        it.recovers();
    }
    let it = followed(None);
    let other = Server::new(|_| Reply::status(404));
    let elsewhere = other.url("/x/info/refs?service=git-upload-pack");
    it.answers(move || Reply::status(301).with("Location", &elsewhere));
    let said = vec![
        format!("redirects to {}", other.url("/x")),
        "write that URL instead".to_owned(),
    ];
    out.insert("redirect", (it.error(), said));
    assert!(
        other.take_seen().is_empty(),
        "the other host was never asked"
    );
    it.recovers();

    let it = followed(None);
    it.answers(|| Reply {
        body: b"<html>".to_vec(),
        ..Reply::status(200)
    });
    out.insert(
        "no Git",
        (it.error(), vec!["not as a Git server".to_owned()]),
    );
    it.recovers();

    let mut it = followed(None);
    // Another server takes its place in the rig; the one that was followed is closed.
    drop(std::mem::replace(&mut it.rig.server, other));
    let error = fetch(&it.source).unwrap_err();
    let good = it.source.last_good().unwrap();
    assert_eq!(text(&it.source, good, "a"), "1", "{error}");
    let said = "cannot be reached: no connection to its host and port";
    out.insert("dead server", (error, vec![said.to_owned()]));
    out
}

/// Faults of what is in the repository.
fn faults_of_refs() -> BTreeMap<&'static str, (SourceError, Vec<String>)> {
    let mut out = BTreeMap::new();
    let it = followed(None);
    it.rig.repo.git(&["checkout", "-q", "--detach"]);
    it.rig.repo.git(&["branch", "-q", "-D", "main"]);
    let last = it.rig.repo.head().short();
    let said =
        format!("has no main any more: it was deleted or renamed (it last pointed at {last})");
    out.insert("deleted branch", (it.error(), vec![said]));
    it.rig.repo.git(&["checkout", "-q", "-b", "main"]);
    it.recovers();

    let rig = Rig::with(&[("a", "1")]);
    let error = |url: &str, reference: &str| {
        fetch(&open(config(url, reference, rig.cache.path())).unwrap()).unwrap_err()
    };
    let said = "has no nope: check the spelling, or push it first".to_owned();
    out.insert(
        "no such ref",
        (error(&rig.server.url("/.git"), "nope"), vec![said]),
    );
    let empty = Repo::new();
    let root = empty.path().to_owned();
    let server = Server::new(move |request| backend(&root, request));
    let said = "is empty: it has neither main nor a commit on its default branch".to_owned();
    out.insert("empty", (error(&server.url("/.git"), "main"), vec![said]));
    let url = "git://example.com/x".parse::<RepoUrl>().unwrap_err();
    let said = "git:// is not supported; expected https://HOST/PATH".to_owned();
    out.insert("wrong URL", (url, vec![said]));
    out
}

#[test]
fn every_fault_has_words_of_its_own_and_the_last_good_state_stays() {
    let mut faults = faults_of_the_server();
    faults.append(&mut faults_of_refs());
    assert_eq!(faults.len(), 13, "{:?}", faults.keys());
    let mut texts = BTreeMap::new();
    for (name, (error, said)) in faults {
        let text = error.to_string();
        assert!(
            text.starts_with("repository ") && said.iter().all(|s| text.contains(s)),
            "{name}: {said:?} was expected in: {text}"
        );
        assert!(!text.contains("hunter2"), "{name}: {text}");
        // What another server, port or commit would change is no difference of words.
        let words: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
        let code: String = said.concat().chars().filter(char::is_ascii_digit).collect();
        let same = texts.insert((words, code), name);
        assert_eq!(same, None, "{name} says the same: {text}");
        let by_url = matches!(error, SourceError::BadUrl { .. });
        let retry = if by_url {
            Retry::OnChange
        } else {
            Retry::Backoff
        };
        assert_eq!(error.retry(), retry, "{name}");
        let by_ref = matches!(
            error,
            SourceError::RefNotFound { .. } | SourceError::Empty { .. }
        );
        let fault = if by_ref {
            Fault::Repository
        } else {
            Fault::Host
        };
        assert_eq!(error.fault(), fault, "{name}");
    }
}

#[test]
fn a_push_with_force_is_an_event_and_what_it_took_away_stays_readable() {
    let it = followed(None);
    let first = it.source.last_good().unwrap();
    it.rig.repo.git(&["checkout", "-q", "--orphan", "new"]);
    let other = it.rig.repo.commit(&[("a", "other")]);
    it.rig.repo.git(&["branch", "-q", "-M", "new", "main"]);
    let fetched = fetch(&it.source).unwrap();
    assert_eq!(
        (fetched.commit, fetched.change),
        (other, RefChange::Rewritten { from: first })
    );
    assert_eq!(text(&it.source, other, "a"), "other");
    assert_eq!(text(&it.source, first, "a"), "1");
}

#[test]
fn a_pointer_and_a_submodule_are_fetched_and_refused_where_they_are_read() {
    let it = followed(None);
    let good = it.source.last_good().unwrap();
    it.rig
        .repo
        .write(&[("app/big.bin", POINTER), ("app/a", "1")]);
    it.rig.repo.git(&["add", "-A"]);
    let sub = format!("160000,{good},app/sub");
    it.rig
        .repo
        .git(&["update-index", "--add", "--cacheinfo", &sub]);
    it.rig
        .repo
        .git(&["commit", "-q", "-m", "A pointer and a submodule"]);
    let commit = fetch(&it.source).unwrap().commit;
    assert_eq!(commit, it.rig.repo.head());
    let mut view = View::new(it.source.snapshot(commit).unwrap(), vec![RepoPath::root()]);
    let pointer = view.read("app/big.bin").unwrap_err();
    assert!(matches!(pointer, ReadError::LfsPointer(_)), "{pointer}");
    assert!(
        pointer
            .to_string()
            .starts_with("app/big.bin: is a Git LFS pointer"),
        "{pointer}"
    );
    for error in [
        view.read("app/sub").unwrap_err(),
        view.read("app/sub/x").unwrap_err(),
        view.entries("app").unwrap_err(),
    ] {
        assert!(matches!(error, ReadError::Submodule(_)), "{error}");
        assert!(
            error.to_string().starts_with("app/sub: is a submodule"),
            "{error}"
        );
    }
    assert_eq!(
        &*view.read("app/a").unwrap(),
        b"1",
        "its neighbours are read"
    );
    assert_eq!(
        text(&it.source, good, "a"),
        "1",
        "the commit before it stays readable"
    );
}
