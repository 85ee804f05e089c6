//! Lists of signers that lie in the repository.

use super::*;

fn link(n: u8) -> Content {
    Content::There {
        mode: 0o120_000,
        id: id(n),
    }
}

#[test]
fn a_list_counts_from_the_commit_on_that_changed_it_rightly_and_the_old_one_no_more() {
    let policy = by_file();
    let handover = || {
        let ann = commit(1, "ann", &[file(1)]).changing(AT, there(2));
        step(ann, &[(AT, there(1), there(2))])
    };
    let bob = step(commit(2, "bob", &[file(2)]), &[]);
    let good = facts_by_file(vec![handover(), bob]);
    assert_eq!(
        judge(&policy, &good),
        Verdict::Accepted(Some(signer("bob")))
    );
    let ann = step(commit(2, "ann", &[file(1)]), &[]);
    says(
        &policy,
        &facts_by_file(vec![handover(), ann]),
        "unsigned",
        "commit 0202020202",
    );
    // Twice in one fetch.
    let bob = commit(2, "bob", &[file(2)]).changing(AT, there(3));
    let bob = step(bob, &[(AT, there(2), there(3))]);
    let cid = step(commit(3, "cid", &[file(3)]), &[]);
    let good = facts_by_file(vec![handover(), bob, cid]);
    assert_eq!(
        judge(&policy, &good),
        Verdict::Accepted(Some(signer("cid")))
    );
}

#[test]
fn a_list_that_could_never_be_used_is_refused_whoever_signed_it() {
    let policy = by_file();
    for (to, words) in [
        (there(9), "it lists no key"),
        (there(8), "was not looked at"),
        (Content::Absent, "there is no such file"),
        (link(5), "it is no regular file"),
    ] {
        let ann = commit(1, "ann", &[file(1)]).changing(AT, to);
        let mut facts = facts_by_file(vec![step(ann, &[(AT, there(1), to)])]);
        facts.lists.insert(id(9), Err("it lists no key".to_owned()));
        says(&policy, &facts, "signers", words);
    }
}

#[test]
fn a_list_that_cannot_be_used_is_mended_by_those_who_were_listed_before_it() {
    let policy = by_file();
    let empties = || {
        let ann = commit(1, "ann", &[file(1), file(9)]).changing(AT, there(9));
        step(ann, &[(AT, there(1), there(9))])
    };
    let mends = |who: Brought, to: Content| step(who.changing(AT, to), &[(AT, there(9), to)]);
    let judged = |steps: Vec<Step>| {
        let mut facts = facts_by_file(steps);
        facts.lists.insert(id(9), Err("it lists no key".to_owned()));
        judge(&policy, &facts)
    };
    let ann = || commit(2, "ann", &[file(1)]);
    for to in [there(1), there(2)] {
        assert_eq!(
            judged(vec![empties(), mends(ann(), to)]),
            Verdict::Accepted(Some(signer("ann")))
        );
    }
    // Somebody else may put back what counted, and nothing else; and signs nothing by it.
    let stranger = || stranger(2, &[file(1)]);
    let back = step(commit(3, "ann", &[file(1)]), &[]);
    assert_eq!(
        judged(vec![empties(), mends(stranger(), there(1)), back.clone()]),
        Verdict::Accepted(Some(signer("ann")))
    );
    let Verdict::Refused(taken) = judged(vec![empties(), mends(stranger(), there(2)), back]) else {
        panic!("a stranger's list came into force");
    };
    assert_eq!(taken.kind(), "protected");
}
