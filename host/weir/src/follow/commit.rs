//! What the ledger keeps of a commit: that the ref came to it, whose it is, and why it could not be read.

use weir_core::commit_policy::Relation;
use weir_core::record::{CommitRecord, Event as Kept, Movement, Problem, Record};
use weir_source::{Fetched, RefChange};

use super::Loop;
use crate::commits::Judged;
use crate::error::Error;
use crate::journal::Journal;
use crate::open::Opened;

impl Loop<'_> {
    /// Keeps the commit in the ledger where the ref moved, as this host has seen it, or where it is accepted only now.
    pub(super) async fn moved(
        &mut self,
        opened: &Opened,
        fetched: &Fetched,
        judged: Option<&Judged>,
    ) -> Result<(), Error> {
        let journal = opened.syncer.journal();
        let (known, refused) = journal.status(|s| {
            let head = s.head.as_ref().map(|h| h.commit);
            (head, s.refused.as_ref().map(|r| r.commit))
        });
        let (relation, signer) = match judged {
            Some(Judged::Accepted(relation, signer)) => (Some(relation), signer.clone()),
            Some(Judged::Known) => {
                let signer = journal.status(|s| s.trusted.as_ref().and_then(|t| t.signer.clone()));
                (None, signer)
            }
            Some(Judged::Refused(..)) | None => (None, None),
        };
        let is_new = known != Some(fetched.commit) || refused.is_some() || relation.is_some();
        if !is_new {
            return Ok(());
        }
        let known_now = known == Some(fetched.commit);
        let movement = match (known, relation) {
            // It was refused what came after it, and the ref is back.
            (Some(_), _) if known_now => refused.map_or(Movement::First, Movement::Rewritten),
            (None, _) => Movement::First,
            (Some(from), Some(Relation::After(base))) if *base == from => Movement::Forward(from),
            (Some(from), Some(relation)) if relation.base() == Some(from) => {
                Movement::Rewritten(from)
            }
            (Some(from), _) => match fetched.change {
                RefChange::Rewritten { .. } => Movement::Rewritten(from),
                _ => Movement::Forward(from),
            },
        };
        let info = opened
            .source
            .commit_info(fetched.commit)
            .map_err(|e| Error::stage("fetch", &e))?;
        let record = CommitRecord {
            commit: fetched.commit,
            movement,
            author: person(&info.author),
            committer: person(&info.committer),
            merger: (info.parents.len() > 1).then(|| person(&info.committer)),
            committed: info.time,
            subject: info.subject,
            signer,
            accepted: judged.is_some(),
        };
        self.teller.moved(&record);
        journal
            .append(vec![Record {
                app: None,
                event: Kept::Commit(record),
            }])
            .await
    }
}

/// Keeps what a commit could not be read for, once.
pub(super) async fn keep_problem(journal: &Journal, problem: &Problem) {
    if journal.status(|s| s.problem.as_ref() == Some(problem)) {
        return;
    }
    let commit = journal.status(|s| s.head.as_ref().map(|h| h.commit));
    let event = Kept::Failed {
        commit,
        problem: problem.clone(),
    };
    if let Err(e) = journal.append(vec![Record { app: None, event }]).await {
        tracing::error!("{e}");
    }
}

/// `Name <address>`.
pub(super) fn person(person: &weir_source::Person) -> String {
    format!("{} <{}>", person.name, person.email)
}
