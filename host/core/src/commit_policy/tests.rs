//! Verdicts over facts that are made up: what is followed, what is refused, and that nothing unknown is ever followed.

mod lines;
mod lists;

use super::*;

fn id(n: u8) -> CommitId {
    CommitId::from_bytes([n; 20])
}

fn signer(name: &str) -> Signer {
    Signer {
        name: name.to_owned(),
        key: format!("SHA256:{name}"),
    }
}

fn there(n: u8) -> Content {
    Content::There {
        mode: 0o100_644,
        id: id(n),
    }
}

fn path(text: &str) -> RepoPath {
    text.parse().unwrap()
}

fn file(n: u8) -> ListId {
    ListId::File(id(n))
}

/// A commit that `by` signed, as these lists say.
fn commit(n: u8, by: &str, lists: &[ListId]) -> Brought {
    let signed = lists.iter().map(|list| (list.clone(), Ok(signer(by))));
    Brought {
        commit: id(n),
        signed: signed.collect(),
        changes: BTreeMap::new(),
    }
}

/// The same where the key is on none of these.
fn stranger(n: u8, lists: &[ListId]) -> Brought {
    let why = || Unsigned::UnknownKey("the SSH key SHA256:mallory".to_owned());
    let signed = lists.iter().map(|list| (list.clone(), Err(why())));
    Brought {
        commit: id(n),
        signed: signed.collect(),
        changes: BTreeMap::new(),
    }
}

impl Brought {
    fn changing(mut self, at: &str, to: Content) -> Brought {
        self.changes.insert(path(at), to);
        self
    }
}

fn step(commit: Brought, changed: &[(&str, Content, Content)]) -> Step {
    let changed = changed.iter().map(|(at, from, to)| {
        (
            path(at),
            Change {
                from: *from,
                to: *to,
            },
        )
    });
    Step {
        changed: changed.collect(),
        others: Vec::new(),
        commit,
    }
}

fn facts(steps: Vec<Step>) -> Facts {
    Facts {
        relation: Relation::After(id(0)),
        begin: Ok(Begin {
            list: ListId::Host,
            content: Content::Absent,
        }),
        steps: Ok(steps),
        lists: BTreeMap::new(),
    }
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

const AT: &str = ".weir/allowed-signers";

fn by_file() -> CommitPolicy {
    CommitPolicy {
        signatures: Some(Signatures {
            check: Check::Head,
            signers_in: Some(SignersIn {
                path: path(AT),
                first: None,
            }),
        }),
        ..CommitPolicy::default()
    }
}

/// Facts where the repository's list is blob 1, and 1 to 4 can be used.
fn facts_by_file(steps: Vec<Step>) -> Facts {
    let usable = (1..=4).map(|n| (id(n), Ok(())));
    Facts {
        begin: Ok(Begin {
            list: file(1),
            content: there(1),
        }),
        lists: usable.collect(),
        ..facts(steps)
    }
}

fn protected(paths: &[&str]) -> CommitPolicy {
    CommitPolicy {
        protected: vec![Protected {
            paths: paths.iter().map(|p| p.parse().unwrap()).collect(),
        }],
        ..CommitPolicy::default()
    }
}

fn refusal(policy: &CommitPolicy, facts: &Facts) -> Refusal {
    match judge(policy, facts) {
        Verdict::Refused(refusal) => refusal,
        Verdict::Accepted(signer) => panic!("accepted, signed by {signer:?}"),
    }
}

fn says(policy: &CommitPolicy, facts: &Facts, kind: &str, words: &str) {
    let refusal = refusal(policy, facts);
    assert_eq!(refusal.kind(), kind, "{refusal}");
    assert!(refusal.to_string().contains(words), "{refusal}");
}

#[test]
fn a_host_without_a_policy_follows_everything() {
    let mut facts = facts(vec![step(stranger(1, &[]), &[])]);
    facts.relation = Relation::Beside(id(9));
    facts.steps = Err("not looked at".to_owned());
    let verdict = judge(&CommitPolicy::default(), &facts);
    assert_eq!(verdict, Verdict::Accepted(None));
}

#[test]
fn the_head_has_to_be_signed_by_somebody_who_is_listed() {
    let policy = signed(Check::Head);
    let good = facts(vec![
        step(stranger(1, &[ListId::Host]), &[]),
        step(commit(2, "ann", &[ListId::Host]), &[]),
    ]);
    assert_eq!(
        judge(&policy, &good),
        Verdict::Accepted(Some(signer("ann")))
    );
    let bad = facts(vec![
        step(commit(1, "ann", &[ListId::Host]), &[]),
        step(stranger(2, &[ListId::Host]), &[]),
    ]);
    says(
        &policy,
        &bad,
        "unsigned",
        "commit 0202020202: it is signed by the SSH key SHA256:mallory",
    );
    // Where nobody looked, nobody signed.
    let unseen = facts(vec![step(stranger(1, &[]), &[])]);
    says(&policy, &unseen, "unsigned", "was not looked at");
    says(&policy, &facts(Vec::new()), "unknown", "not looked at");
}

#[test]
fn each_commit_has_to_be_signed_where_each_one_is_checked() {
    let policy = signed(Check::Every);
    let ann = |n| step(commit(n, "ann", &[ListId::Host]), &[]);
    let good = facts(vec![ann(1), ann(2)]);
    assert_eq!(
        judge(&policy, &good),
        Verdict::Accepted(Some(signer("ann")))
    );
    let between = facts(vec![step(stranger(1, &[ListId::Host]), &[]), ann(2)]);
    says(&policy, &between, "unsigned", "commit 0101010101");
    // One that a merge brought counts like the others.
    let mut merge = ann(3);
    merge.others.push(stranger(2, &[ListId::Host]));
    says(
        &policy,
        &facts(vec![ann(1), merge]),
        "unsigned",
        "commit 0202020202",
    );
}

#[test]
fn what_could_not_be_found_out_is_never_followed() {
    let why = || "its history is not whole here".to_owned();
    let ff = CommitPolicy {
        fast_forward_only: true,
        ..CommitPolicy::default()
    };
    let mut unknown = facts(vec![step(commit(1, "ann", &[ListId::Host]), &[])]);
    unknown.relation = Relation::Unknown(id(0), why());
    says(
        &ff,
        &unknown,
        "unknown",
        "it cannot be judged: its history is not whole here",
    );
    let mut unknown = facts(Vec::new());
    unknown.steps = Err(why());
    for policy in [
        signed(Check::Head),
        signed(Check::Every),
        by_file(),
        protected(&["a"]),
    ] {
        says(&policy, &unknown, "unknown", "not whole here");
    }
    let mut unknown = facts(vec![step(commit(1, "ann", &[ListId::Host]), &[])]);
    unknown.begin = Err(Refusal::Unknown("no list".to_owned()));
    says(&signed(Check::Head), &unknown, "unknown", "no list");
}

#[test]
fn only_what_comes_after_the_last_accepted_commit_is_followed_where_nothing_else_may() {
    let policy = CommitPolicy {
        fast_forward_only: true,
        ..CommitPolicy::default()
    };
    let mut facts = facts(vec![step(stranger(1, &[]), &[])]);
    for relation in [Relation::First, Relation::After(id(0))] {
        facts.relation = relation;
        assert_eq!(judge(&policy, &facts), Verdict::Accepted(None));
    }
    facts.relation = Relation::Before(id(7));
    says(&policy, &facts, "older", "an older commit than 0707070707");
    facts.relation = Relation::Beside(id(7));
    says(
        &policy,
        &facts,
        "rewritten",
        "does not come after 0707070707",
    );
}

#[test]
fn a_protected_path_is_changed_by_those_who_may_and_nobody_else() {
    let policy = protected(&["policy", "weir.yaml"]);
    let entry = [ListId::Entry(0)];
    let change = [("policy/a", there(1), there(2))];
    let good = commit(1, "ann", &entry).changing("policy/a", there(2));
    assert_eq!(
        judge(&policy, &facts(vec![step(good, &change)])),
        Verdict::Accepted(None)
    );
    let bad = stranger(1, &entry).changing("policy/a", there(2));
    says(
        &policy,
        &facts(vec![step(bad, &change)]),
        "protected",
        "policy/a is protected, and was changed by commit 0101010101 (it is signed by the SSH key SHA256:mallory",
    );
    // Elsewhere all may.
    let other = stranger(1, &entry).changing("app/a", there(2));
    let change = [("app/a", there(1), there(2))];
    assert_eq!(
        judge(&policy, &facts(vec![step(other, &change)])),
        Verdict::Accepted(None)
    );
}

#[test]
fn a_protected_file_that_is_made_removed_or_replaced_by_a_link_is_a_change() {
    let policy = protected(&["policy"]);
    let link = Content::There {
        mode: 0o120_000,
        id: id(1),
    };
    for (from, to) in [
        (Content::Absent, there(1)),
        (there(1), Content::Absent),
        (there(1), link),
    ] {
        let bad = stranger(1, &[ListId::Entry(0)]).changing("policy/a", to);
        let facts = facts(vec![step(bad, &[("policy/a", from, to)])]);
        assert_eq!(refusal(&policy, &facts).kind(), "protected", "{to:?}");
    }
}

#[test]
fn a_wrong_change_of_a_protected_path_is_mended_by_undoing_it_or_by_those_who_may() {
    let policy = protected(&["p"]);
    let entry = [ListId::Entry(0)];
    let wrong = || {
        step(
            stranger(1, &entry).changing("p", there(2)),
            &[("p", there(1), there(2))],
        )
    };
    let undone = stranger(2, &entry).changing("p", there(1));
    let undone = step(undone, &[("p", there(2), there(1))]);
    assert_eq!(
        judge(&policy, &facts(vec![wrong(), undone])),
        Verdict::Accepted(None)
    );
    let owned = commit(2, "ann", &entry).changing("p", there(3));
    let owned = step(owned, &[("p", there(2), there(3))]);
    assert_eq!(
        judge(&policy, &facts(vec![wrong(), owned])),
        Verdict::Accepted(None)
    );
    // A commit of somebody who may, and who changes something else, approves nothing.
    let beside = step(commit(2, "ann", &entry), &[]);
    says(
        &policy,
        &facts(vec![wrong(), beside]),
        "protected",
        "commit 0101010101",
    );
}

#[test]
fn a_change_of_those_who_may_is_not_undone_by_others_before_anybody_looked() {
    let policy = protected(&["p"]);
    let entry = [ListId::Entry(0)];
    let right = commit(1, "ann", &entry).changing("p", there(2));
    let right = step(right, &[("p", there(1), there(2))]);
    let undone = stranger(2, &entry).changing("p", there(1));
    let undone = step(undone, &[("p", there(2), there(1))]);
    says(
        &policy,
        &facts(vec![right, undone]),
        "protected",
        "commit 0202020202",
    );
}

#[test]
fn a_merge_brings_a_protected_change_that_was_signed_and_makes_none_of_its_own() {
    let policy = protected(&["p"]);
    let entry = [ListId::Entry(0)];
    let change = [("p", there(1), there(2))];
    let mut merge = step(stranger(3, &entry).changing("p", there(2)), &change);
    merge
        .others
        .push(commit(2, "ann", &entry).changing("p", there(2)));
    assert_eq!(judge(&policy, &facts(vec![merge])), Verdict::Accepted(None));
    // What the branch made of it is not what the merge says.
    let mut evil = step(stranger(3, &entry).changing("p", there(2)), &change);
    evil.others
        .push(commit(2, "ann", &entry).changing("p", there(9)));
    says(
        &policy,
        &facts(vec![evil]),
        "protected",
        "commit 0303030303",
    );
}

#[test]
fn the_list_in_the_repository_is_changed_by_those_that_it_listed_before() {
    let policy = by_file();
    let change = [(AT, there(1), there(2))];
    // Ann is on list 1, Bob on list 2 only.
    let ann = commit(1, "ann", &[file(1)]).changing(AT, there(2));
    let good = facts_by_file(vec![step(ann, &change)]);
    assert_eq!(
        judge(&policy, &good),
        Verdict::Accepted(Some(signer("ann")))
    );
    let bob = commit(1, "bob", &[file(2)]).changing(AT, there(2));
    let bad = facts_by_file(vec![step(bob, &change)]);
    assert_eq!(refusal(&policy, &bad).kind(), "unsigned");
    // Somebody who is listed signs a commit after it: that does not make the list right.
    let after = step(commit(2, "ann", &[file(1), file(2)]), &[]);
    let bob = step(stranger(1, &[file(1)]).changing(AT, there(2)), &change);
    says(
        &policy,
        &facts_by_file(vec![bob, after]),
        "protected",
        ".weir/allowed-signers is protected",
    );
}

#[test]
fn all_that_lies_at_a_protected_path_of_the_first_commit_was_changed_by_it() {
    let policy = protected(&["p"]);
    let change = [("p", Content::Absent, there(1))];
    let first = |by: Brought| Facts {
        relation: Relation::First,
        ..facts(vec![step(by.changing("p", there(1)), &change)])
    };
    let good = first(commit(1, "ann", &[ListId::Entry(0)]));
    assert_eq!(judge(&policy, &good), Verdict::Accepted(None));
    let bad = first(stranger(1, &[ListId::Entry(0)]));
    assert_eq!(refusal(&policy, &bad).kind(), "protected");
}

#[test]
fn another_policy_goes_on_from_a_commit_only_where_it_would_have_been_enough() {
    let unsigned = Trusted {
        commit: id(1),
        signer: None,
    };
    let by_ann = Trusted {
        commit: id(1),
        signer: Some(signer("ann")),
    };
    assert!(CommitPolicy::default().stands_on(&unsigned));
    assert!(!signed(Check::Head).stands_on(&unsigned));
    assert!(signed(Check::Head).stands_on(&by_ann));
}
