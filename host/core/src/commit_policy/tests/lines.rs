//! Lines of commits by chance: what looking twice, asking for more and a plain definition come to.

use proptest::prelude::*;

use super::*;

/// A line of commits: who signed each (0: nobody), and what each makes of the list (0: nothing) and of a protected path.
fn line() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    proptest::collection::vec((0..4u8, 0..4u8, 0..3u8), 1..7)
}

/// List n names person n, and list 3 persons 1 and 2. Person 1 may change the protected path.
fn is_on(list: u8, person: u8) -> bool {
    list == person && person > 0 || (list == 3 && (person == 1 || person == 2))
}

/// Facts of a part of a line, after what came before it.
fn of_line(line: &[(u8, u8, u8)], (mut list, mut at): (u8, u8), counts: u8) -> (Facts, (u8, u8)) {
    let mut steps = Vec::new();
    for (n, (by, new_list, new_at)) in line.iter().enumerate() {
        let mut brought = Brought {
            commit: id(100 + u8::try_from(n).unwrap()),
            signed: (1..=3)
                .map(|l| {
                    (
                        file(l),
                        if is_on(l, *by) {
                            Ok(signer("x"))
                        } else {
                            Err(Unsigned::Nothing)
                        },
                    )
                })
                .collect(),
            changes: BTreeMap::new(),
        };
        let entry = if *by == 1 {
            Ok(signer("x"))
        } else {
            Err(Unsigned::Nothing)
        };
        brought.signed.insert(ListId::Entry(0), entry);
        let mut changed = Vec::new();
        if *new_list > 0 && *new_list != list {
            changed.push((AT, there(list), there(*new_list)));
            brought = brought.changing(AT, there(*new_list));
            list = *new_list;
        }
        if *new_at > 0 && *new_at != at {
            changed.push(("p", there(at), there(*new_at)));
            brought = brought.changing("p", there(*new_at));
            at = *new_at;
        }
        steps.push(step(brought, &changed));
    }
    let mut facts = facts_by_file(steps);
    facts.begin = Ok(Begin {
        list: file(counts),
        content: there(counts),
    });
    (facts, (list, at))
}

fn strict(check: Check) -> CommitPolicy {
    CommitPolicy {
        signatures: Some(Signatures {
            check,
            signers_in: Some(SignersIn {
                path: path(AT),
                first: None,
            }),
        }),
        fast_forward_only: true,
        protected: protected(&["p"]).protected,
    }
}

proptest! {
    /// However often the host looked on the way, the end is the same where each look accepted what it saw.
    #[test]
    fn looking_twice_comes_to_what_looking_once_does(line in line(), at in 0..6usize, every: bool) {
        let policy = strict(if every { Check::Every } else { Check::Head });
        let at = at.min(line.len());
        let (first, second) = line.split_at(at);
        let (whole, _) = of_line(&line, (1, 1), 1);
        let is = |facts: &Facts| matches!(judge(&policy, facts), Verdict::Accepted(_));
        if first.is_empty() || second.is_empty() {
            return Ok(());
        }
        let (begin, middle) = of_line(first, (1, 1), 1);
        if is(&begin) {
            let (rest, _) = of_line(second, middle, middle.0);
            prop_assert_eq!(is(&rest), is(&whole));
        }
    }

    /// Whoever asks for more never follows what was refused before.
    #[test]
    fn asking_for_more_never_makes_a_commit_right(line in line()) {
        let (facts, _) = of_line(&line, (1, 1), 1);
        let is = |policy: &CommitPolicy| matches!(judge(policy, &facts), Verdict::Accepted(_));
        let (head, every) = (strict(Check::Head), strict(Check::Every));
        let looser = CommitPolicy { protected: Vec::new(), ..head.clone() };
        prop_assert!(!is(&every) || is(&head));
        prop_assert!(!is(&head) || is(&looser));
    }

    /// A head that nobody signed who is listed is refused, whatever else is true.
    #[test]
    fn a_head_that_nobody_listed_signed_is_never_followed(line in line(), every: bool) {
        let (mut facts, _) = of_line(&line, (1, 1), 1);
        for signed in facts.steps.as_mut().unwrap().last_mut().unwrap().commit.signed.values_mut() {
            *signed = Err(Unsigned::OtherBytes);
        }
        let policy = strict(if every { Check::Every } else { Check::Head });
        prop_assert!(matches!(judge(&policy, &facts), Verdict::Refused(_)));
    }

    /// What is followed has the list and the protected path as somebody made them who may, or as they were.
    #[test]
    fn what_is_followed_was_changed_by_those_who_may(line in line()) {
        let (facts, (list, at)) = of_line(&line, (1, 1), 1);
        if !matches!(judge(&strict(Check::Head), &facts), Verdict::Accepted(_)) {
            return Ok(());
        }
        // The plain definition: one commit after the other, each change taken where its signer may make it.
        let (mut right_list, mut right_at) = (1, 1);
        let (mut was_list, mut was_at) = (1, 1);
        for (by, new_list, new_at) in &line {
            let allowed = is_on(right_list, *by);
            if *new_list > 0 && *new_list != was_list {
                was_list = *new_list;
                if allowed { right_list = was_list; }
            }
            if *new_at > 0 && *new_at != was_at {
                was_at = *new_at;
                if *by == 1 { right_at = was_at; }
            }
        }
        prop_assert_eq!((list, at), (right_list, right_at));
    }
}
