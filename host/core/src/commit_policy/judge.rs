//! The verdict about a commit.

use std::collections::BTreeSet;

use crate::digest::{BlobId, CommitId};
use crate::name::RepoPath;

use super::{
    Begin, Brought, Check, CommitPolicy, Content, Facts, ListId, Refusal, Relation, Signer,
    SignersIn, Step, Unsigned, Verdict,
};

/// Whether a commit is followed, as the policy says over these facts.
pub fn judge(policy: &CommitPolicy, facts: &Facts) -> Verdict {
    match accepted(policy, facts) {
        Ok(signer) => Verdict::Accepted(signer),
        Err(refusal) => Verdict::Refused(refusal),
    }
}

fn accepted(policy: &CommitPolicy, facts: &Facts) -> Result<Option<Signer>, Refusal> {
    if policy.fast_forward_only {
        comes_after(&facts.relation)?;
    }
    if policy.signatures.is_none() && policy.protected.is_empty() {
        return Ok(None);
    }
    let unknown = |why: &String| Refusal::Unknown(why.clone());
    let steps = facts.steps.as_ref().map_err(unknown)?;
    let signer = match &policy.signatures {
        Some(signatures) => {
            let begin = facts.begin.as_ref().map_err(Clone::clone)?;
            let signers_in = signatures.signers_in.as_ref();
            Some(signed(signatures.check, signers_in, begin, facts, steps)?)
        }
        None => None,
    };
    for (place, entry) in policy.protected.iter().enumerate() {
        let list = ListId::Entry(place);
        let paths = steps.iter().flat_map(|step| step.changed.keys());
        let paths: BTreeSet<&RepoPath> = paths.filter(|path| entry.has(path)).collect();
        for path in paths {
            unchanged_by_others(path, &list, steps)?;
        }
    }
    Ok(signer)
}

fn comes_after(relation: &Relation) -> Result<(), Refusal> {
    match relation {
        Relation::First | Relation::After(_) => Ok(()),
        Relation::Before(from) => Err(Refusal::NotAfter {
            from: *from,
            older: true,
        }),
        Relation::Beside(from) => Err(Refusal::NotAfter {
            from: *from,
            older: false,
        }),
        Relation::Unknown(_, why) => Err(Refusal::Unknown(why.clone())),
    }
}

/// Who signed the last step, where all is signed that has to be: by the list that counted before it.
fn signed(
    check: Check,
    signers_in: Option<&SignersIn>,
    begin: &Begin,
    facts: &Facts,
    steps: &[Step],
) -> Result<Signer, Refusal> {
    let mut list = begin.list.clone();
    // What lies at the list's path, and what of it counts: the same, but where somebody changed it who may not.
    let (mut there, mut counts) = (begin.content, begin.content);
    let mut others: Vec<(CommitId, Unsigned)> = Vec::new();
    let mut unusable = None;
    let mut last = None;
    for step in steps {
        if check == Check::Every {
            for brought in step.all() {
                by(brought, &list)?;
            }
        }
        last = Some(by(&step.commit, &list));
        let changed = signers_in.and_then(|at| Some((at, step.changed.get(&at.path)?.to)));
        let Some((at, content)) = changed else {
            continue;
        };
        there = content;
        match changed_by(&at.path, content, &list, step) {
            // A list that cannot be used does not come into force: those before it can mend it.
            Ok(()) => match usable(at, content, facts) {
                Ok(blob) => {
                    (list, counts) = (ListId::File(blob), content);
                    others.clear();
                    unusable = None;
                }
                Err(why) => unusable = Some((content, why)),
            },
            Err(by) => others.extend(by),
        }
    }
    let signer = last.unwrap_or_else(|| Err(Refusal::Unknown("it was not looked at".into())))?;
    if let Some(at) = signers_in {
        if let Some((content, why)) = unusable
            && content == there
        {
            return Err(why);
        }
        if there != counts {
            return Err(Refusal::Protected {
                path: at.path.clone(),
                by: others,
            });
        }
        usable(at, counts, facts)?;
    }
    Ok(signer)
}

fn by(brought: &Brought, list: &ListId) -> Result<Signer, Refusal> {
    let signer = brought.by(list).cloned();
    signer.map_err(|why| Refusal::Unsigned {
        commit: brought.commit,
        why,
    })
}

/// The blob of a list of signers that can be used: after any other, nobody could ever sign a commit.
fn usable(at: &SignersIn, content: Content, facts: &Facts) -> Result<BlobId, Refusal> {
    let Some(blob) = content.file() else {
        let gone = content == Content::Absent;
        let why = if gone {
            "there is no such file"
        } else {
            "it is no regular file"
        };
        return Err(bad_list(at, why));
    };
    match facts.lists.get(&blob) {
        Some(Ok(())) => Ok(blob),
        Some(Err(why)) => Err(bad_list(at, why)),
        None => Err(bad_list(at, "it was not looked at")),
    }
}

fn bad_list(at: &SignersIn, why: &str) -> Refusal {
    Refusal::BadList {
        path: at.path.clone(),
        why: why.to_owned(),
    }
}

/// What lies at a protected path at the last step is what somebody who may change it made it, or what it was before.
fn unchanged_by_others(path: &RepoPath, list: &ListId, steps: &[Step]) -> Result<(), Refusal> {
    let changes = || {
        steps
            .iter()
            .filter_map(|step| Some((step, step.changed.get(path)?)))
    };
    let Some((_, first)) = changes().next() else {
        return Ok(());
    };
    let (mut there, mut counts) = (first.from, first.from);
    let mut others = Vec::new();
    for (step, change) in changes() {
        there = change.to;
        match changed_by(path, there, list, step) {
            Ok(()) => {
                counts = there;
                others.clear();
            }
            Err(by) => others.extend(by),
        }
    }
    if there == counts {
        return Ok(());
    }
    Err(Refusal::Protected {
        path: path.clone(),
        by: others,
    })
}

/// Whether somebody of the list made it what it is at this step; who did instead.
fn changed_by(
    path: &RepoPath,
    content: Content,
    list: &ListId,
    step: &Step,
) -> Result<(), Vec<(CommitId, Unsigned)>> {
    let mut others = Vec::new();
    for brought in step.all() {
        if brought.changes.get(path) != Some(&content) {
            continue;
        }
        match brought.by(list) {
            Ok(_) => return Ok(()),
            Err(why) => others.push((brought.commit, why)),
        }
    }
    Err(others)
}
