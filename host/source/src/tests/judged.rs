//! Facts of real repositories, judged: lines and merges, pushes with force, shallow clones, lists that change hands.

use weir_core::commit_policy::{
    Check, CommitPolicy, Protected, Refusal, Relation, Signatures, SignersIn, Verdict, judge,
};
use weir_core::digest::{CommitId, Digest};

use super::git::{self, Repo};
use super::signing::Home;
use crate::{Compared, HistoryLimits, HostKeys, Keys, Source};

const LIST: &str = ".weir/signers";

/// Ann and Bob have keys; Ann may sign, and nobody else.
mod merges;

struct Scene {
    home: Home,
    repo: Repo,
    ann: String,
    bob: String,
}

impl Scene {
    fn new() -> Scene {
        let home = Home::new();
        let line = |name: &str| format!("{name}@e {}", home.ssh_key(name, &["ed25519"]));
        let (ann, bob) = (line("ann"), line("bob"));
        Scene {
            repo: Repo::with(&[("a", "1"), ("policy/p", "1")]),
            home,
            ann,
            bob,
        }
    }

    fn by(&self, who: &str, files: &[(&str, &str)]) -> CommitId {
        self.home.commit_ssh(&self.repo, who, files)
    }

    fn anns(&self) -> HostKeys {
        HostKeys {
            main: keys(&self.ann),
            entries: vec![keys(&self.ann)],
        }
    }

    fn judged(
        &self,
        policy: &CommitPolicy,
        trusted: Option<CommitId>,
        head: CommitId,
    ) -> Result<String, Refusal> {
        judged(&self.repo.source(), policy, &self.anns(), trusted, head)
    }
}

fn keys(lines: &str) -> Keys {
    Keys::default()
        .with_allowed_signers("f", lines.as_bytes())
        .unwrap()
}

fn limited(
    source: &Source,
    policy: &CommitPolicy,
    keys: &HostKeys,
    (trusted, head): (Option<CommitId>, CommitId),
    limits: HistoryLimits,
) -> (Relation, Result<String, Refusal>) {
    let compared = Compared {
        trusted,
        followed: None,
        head,
    };
    let facts = source.facts(policy, keys, compared, limits).unwrap();
    let verdict = match judge(policy, &facts) {
        Verdict::Accepted(signer) => Ok(signer.map(|s| s.name).unwrap_or_default()),
        Verdict::Refused(refusal) => Err(refusal),
    };
    (facts.relation, verdict)
}

fn judged(
    source: &Source,
    policy: &CommitPolicy,
    keys: &HostKeys,
    trusted: Option<CommitId>,
    head: CommitId,
) -> Result<String, Refusal> {
    limited(source, policy, keys, (trusted, head), HistoryLimits::HOST).1
}

fn signed(check: Check) -> CommitPolicy {
    CommitPolicy {
        signatures: Some(Signatures {
            check,
            signers_in: None,
        }),
        ..CommitPolicy::default()
    }
}

fn by_list(first: Option<Digest>) -> CommitPolicy {
    CommitPolicy {
        signatures: Some(Signatures {
            check: Check::Head,
            signers_in: Some(SignersIn {
                path: LIST.parse().unwrap(),
                first,
            }),
        }),
        ..CommitPolicy::default()
    }
}

fn forward() -> CommitPolicy {
    CommitPolicy {
        fast_forward_only: true,
        ..CommitPolicy::default()
    }
}

fn protected() -> CommitPolicy {
    CommitPolicy {
        protected: vec![Protected {
            paths: vec!["policy".parse().unwrap()],
        }],
        ..CommitPolicy::default()
    }
}

fn says(result: Result<String, Refusal>, kind: &str, words: &str) {
    let refusal = result.unwrap_err();
    assert_eq!(refusal.kind(), kind, "{refusal}");
    assert!(refusal.to_string().contains(words), "{refusal}");
}

#[test]
fn the_head_alone_or_each_commit_is_asked_for_its_signature() {
    let scene = Scene::new();
    let first = scene.by("ann", &[]);
    let unsigned = scene.repo.commit(&[("a", "2")]);
    let head = scene.by("ann", &[("a", "3")]);
    assert_eq!(
        scene.judged(&signed(Check::Head), Some(first), head),
        Ok("ann@e".to_owned())
    );
    let every = scene.judged(&signed(Check::Every), Some(first), head);
    says(
        every,
        "unsigned",
        &format!("commit {}: it is not signed", unsigned.short()),
    );
    // What came before the last accepted commit is not asked again.
    assert!(
        scene
            .judged(&signed(Check::Every), Some(unsigned), head)
            .is_ok()
    );
    // At the first start the head is all that can be asked.
    assert!(scene.judged(&signed(Check::Every), None, head).is_ok());
}

#[test]
fn a_commit_that_a_merge_brought_is_one_of_each() {
    let scene = Scene::new();
    let first = scene.by("ann", &[]);
    scene.repo.git(&["checkout", "-q", "-b", "side"]);
    let aside = scene.by("bob", &[("b", "1")]);
    scene.repo.git(&["checkout", "-q", "main"]);
    scene.by("ann", &[("a", "2")]);
    let merge = ["merge", "-q", "--no-ff", "-S", "-m", "m", "side"];
    let merge = scene.home.signed(&scene.repo, "ann", &merge);
    assert!(
        scene
            .judged(&signed(Check::Head), Some(first), merge)
            .is_ok()
    );
    let every = scene.judged(&signed(Check::Every), Some(first), merge);
    says(
        every,
        "unsigned",
        &format!("commit {}: it is signed by the SSH key", aside.short()),
    );
}

#[test]
fn a_push_with_force_is_told_from_an_older_commit_and_from_a_later_one() {
    let scene = Scene::new();
    let first = scene.by("ann", &[]);
    let second = scene.by("ann", &[("a", "2")]);
    scene.repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let other = scene.by("ann", &[("a", "3")]);
    assert!(scene.judged(&forward(), Some(first), second).is_ok());
    says(
        scene.judged(&forward(), Some(second), first),
        "older",
        &second.short(),
    );
    says(
        scene.judged(&forward(), Some(second), other),
        "rewritten",
        "does not come after",
    );
    // Where that is allowed a signature is still asked for.
    for head in [first, other] {
        assert!(
            scene
                .judged(&signed(Check::Every), Some(second), head)
                .is_ok()
        );
    }
    let unsigned = scene.repo.commit(&[("a", "4")]);
    says(
        scene.judged(&signed(Check::Every), Some(second), unsigned),
        "unsigned",
        "not signed",
    );
}

#[test]
fn a_history_that_is_not_whole_or_too_long_holds() {
    let scene = Scene::new();
    let first = scene.by("ann", &[]);
    for n in ["2", "3", "4"] {
        scene.by("ann", &[("a", n)]);
    }
    let head = scene.repo.head();
    let short = |walked, since| HistoryLimits { walked, since };
    for (limits, words) in [
        (short(3, 100), "more than 3 commits would have to be read"),
        (short(100, 2), "3 commits came since"),
    ] {
        let policy = signed(Check::Every);
        let (_, verdict) = limited(
            &scene.repo.source(),
            &policy,
            &scene.anns(),
            (Some(first), head),
            limits,
        );
        says(verdict, "unknown", words);
    }
    // A clone that has the last commit only.
    let clone = tempfile::tempdir().unwrap();
    let from = format!("file://{}", scene.repo.path().display());
    let args = ["clone", "-q", "--bare", "--depth", "1", &from, "."];
    let out = git::command(clone.path()).args(args).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let source = git::open(git::config(
        clone.path().to_str().unwrap(),
        "main",
        clone.path(),
    ))
    .unwrap();
    for policy in [forward(), signed(Check::Every), protected()] {
        let verdict = judged(&source, &policy, &scene.anns(), Some(first), head);
        says(
            verdict,
            "unknown",
            "its history is not whole here, as in a shallow clone",
        );
    }
    // The head's own signature needs no history.
    assert!(
        judged(
            &source,
            &signed(Check::Head),
            &scene.anns(),
            Some(first),
            head
        )
        .is_ok()
    );
}

#[test]
fn a_protected_path_is_held_against_who_changed_it() {
    let scene = Scene::new();
    let policy = protected();
    let first = scene.repo.head();
    let head = scene.repo.commit(&[("a", "2")]);
    assert!(scene.judged(&policy, Some(first), head).is_ok());
    let wrong = scene.by("bob", &[("policy/p", "2")]);
    let said = format!(
        "policy/p is protected, and was changed by commit {}",
        wrong.short()
    );
    says(
        scene.judged(&policy, Some(first), wrong),
        "protected",
        &said,
    );
    let after = scene.by("ann", &[("a", "3")]);
    says(
        scene.judged(&policy, Some(first), after),
        "protected",
        &said,
    );
    let undone = scene.repo.commit(&[("policy/p", "1")]);
    assert!(scene.judged(&policy, Some(first), undone).is_ok());
    let right = scene.by("ann", &[("policy/p", "3"), ("policy/new/q", "1")]);
    assert!(scene.judged(&policy, Some(first), right).is_ok());
    // Removed, replaced by a link, made executable.
    for change in [
        &["rm", "-q", "policy/p"][..],
        &["update-index", "--chmod=+x", "policy/p"],
        &["mv", "policy", "elsewhere"],
    ] {
        scene
            .repo
            .git(&["reset", "-q", "--hard", &right.to_string()]);
        scene.repo.git(change);
        scene.repo.git(&["commit", "-q", "-m", "x"]);
        says(
            scene.judged(&policy, Some(right), scene.repo.head()),
            "protected",
            "policy/",
        );
    }
}

#[test]
fn the_list_in_the_repository_changes_hands_by_those_that_it_listed() {
    let scene = Scene::new();
    let policy = by_list(None);
    let trusted = scene.by("ann", &[(LIST, &scene.ann)]);
    // The host's first list has Ann, who signs the first commit.
    assert!(scene.judged(&policy, None, trusted).is_ok());
    let both = format!("{}\n{}\n", scene.ann, scene.bob);
    let taken = scene.by("bob", &[(LIST, &scene.bob)]);
    says(
        scene.judged(&policy, Some(trusted), taken),
        "unsigned",
        "not among the keys",
    );
    scene.repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let added = scene.by("ann", &[(LIST, &both)]);
    let removed = scene.by("bob", &[(LIST, &scene.bob)]);
    let head = scene.by("bob", &[("a", "2")]);
    // All at once, and one after the other.
    for (from, to) in [
        (trusted, head),
        (trusted, added),
        (added, removed),
        (removed, head),
    ] {
        assert!(scene.judged(&policy, Some(from), to).is_ok(), "{from} {to}");
    }
    // Ann is not listed any more.
    let late = scene.by("ann", &[("a", "3")]);
    for from in [trusted, head] {
        says(
            scene.judged(&policy, Some(from), late),
            "unsigned",
            "not among the keys",
        );
    }
}

#[test]
fn a_list_that_is_gone_or_empty_or_a_link_is_refused_before_nobody_can_sign() {
    let scene = Scene::new();
    let policy = by_list(None);
    let trusted = scene.by("ann", &[(LIST, &scene.ann)]);
    let empty = scene.by("ann", &[(LIST, "# nobody\n")]);
    says(
        scene.judged(&policy, Some(trusted), empty),
        "signers",
        "it lists no key",
    );
    scene
        .repo
        .git(&["reset", "-q", "--hard", &trusted.to_string()]);
    std::fs::remove_file(scene.repo.path().join(LIST)).unwrap();
    let gone = scene.by("ann", &[]);
    says(
        scene.judged(&policy, Some(trusted), gone),
        "signers",
        "there is no such file",
    );
    std::os::unix::fs::symlink("../a", scene.repo.path().join(LIST)).unwrap();
    let link = scene.by("ann", &[]);
    says(
        scene.judged(&policy, Some(trusted), link),
        "signers",
        "it is no regular file",
    );
    // A commit that was accepted without the list is nothing to go on from.
    says(
        scene.judged(&policy, Some(gone), link),
        "unknown",
        "has no file .weir/signers",
    );
    // And one without it is no first one either.
    says(scene.judged(&policy, None, gone), "signers", "no such file");
}

#[test]
fn the_first_list_may_be_named_by_its_digest() {
    let scene = Scene::new();
    let policy = by_list(Some(Digest::of(scene.ann.as_bytes())));
    // The host itself lists nobody.
    let keys = HostKeys::default();
    let verdict = |trusted, head| judged(&scene.repo.source(), &policy, &keys, trusted, head);
    let good = scene.by("ann", &[(LIST, &scene.ann)]);
    assert_eq!(verdict(None, good), Ok("ann@e".to_owned()));
    let by_bob = scene.by("bob", &[]);
    says(verdict(None, by_bob), "unsigned", "not among the keys");
    let other = scene.by("bob", &[(LIST, &scene.bob)]);
    says(
        verdict(None, other),
        "signers",
        "is not the first one that this host was told",
    );
    // From then on the digest says nothing.
    scene
        .repo
        .git(&["reset", "-q", "--hard", &good.to_string()]);
    let next = scene.by("ann", &[(LIST, &scene.bob)]);
    assert!(verdict(Some(good), next).is_ok());
}
