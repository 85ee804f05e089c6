//! What the ledger keeps of a commit: that the ref came to it, whose it is, and why it could not be read.

use weir_core::record::{CommitRecord, Event as Kept, Movement, Problem, Record};
use weir_source::{Fetched, RefChange};

use super::Loop;
use crate::error::Error;
use crate::journal::Journal;
use crate::open::Opened;

impl Loop<'_> {
    /// Keeps the commit in the ledger where the ref moved, as this host has seen it.
    pub(super) async fn moved(&mut self, opened: &Opened, fetched: &Fetched) -> Result<(), Error> {
        let journal = opened.syncer.journal();
        let known = journal.status(|s| s.head.as_ref().map(|h| h.commit));
        if known == Some(fetched.commit) {
            return Ok(());
        }
        let movement = match (known, fetched.change) {
            (None, _) => Movement::First,
            (Some(from), RefChange::Rewritten { .. }) => Movement::Rewritten(from),
            (Some(from), _) => Movement::Forward(from),
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
fn person(person: &weir_source::Person) -> String {
    format!("{} <{}>", person.name, person.email)
}
