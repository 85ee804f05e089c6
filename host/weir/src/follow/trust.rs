//! What a fetch found, judged by the host's policy for commits: followed, or held at the last accepted one.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use weir_api::Refreshed;
use weir_core::commit_policy::{Refusal, Refused};
use weir_core::digest::CommitId;
use weir_core::fault::{Blame as _, Retry};
use weir_core::record::{Event as Kept, Record};
use weir_source::Fetched;

use super::commit::person;
use super::{Follow, Loop};
use crate::commits::{Before, Judged, judged};
use crate::error::Error;
use crate::open::Opened;
use crate::read_model::refusal;

/// A commit that was fetched, and what the policy says of it, where there is one.
#[derive(Debug)]
pub(super) struct Looked {
    fetched: Fetched,
    judged: Option<Judged>,
}

impl Follow {
    /// What judges a commit that was fetched. It blocks.
    pub(super) fn judge(
        &self,
        opened: &Opened,
    ) -> impl FnOnce(Fetched, &Arc<AtomicBool>) -> Result<Looked, Error> + Send + use<> {
        let commits = self.opening.settings().commits.clone();
        let before = opened.syncer.journal().status(Before::of);
        let (source, last) = (opened.source.clone(), opened.refusal.clone());
        move |fetched, stop| {
            let judge = |commits| judged(commits, &source, &before, &last, fetched.commit, stop);
            let judged = commits.as_ref().map(judge).transpose()?;
            Ok(Looked { fetched, judged })
        }
    }
}

impl Loop<'_> {
    /// The end of a fetch: which commit is to be followed, or when to try again.
    pub(super) async fn fetched(
        &mut self,
        result: Result<Looked, Error>,
    ) -> Result<CommitId, Retry> {
        let mut held = None;
        let result = match (result, self.opened.clone()) {
            (Ok(looked), Some(opened)) => match &looked.judged {
                Some(Judged::Refused(why, stays)) => {
                    let kept = self.refuse(&opened, looked.fetched.commit, why, *stays);
                    kept.await.map(|text| {
                        held = Some(text);
                        *stays
                    })
                }
                judged => {
                    let moved = self.moved(&opened, &looked.fetched, judged.as_ref());
                    moved.await.map(|()| Some(looked.fetched.commit))
                }
            },
            (Ok(_), None) => Err(Error::host("fetch", "nothing is open")),
            (Err(e), _) => Err(e),
        };
        self.teller.fetched(
            result.as_ref().err(),
            held.is_some(),
            self.follow.opening.known(),
        );
        let problem = result.as_ref().err().map(ToString::to_string);
        self.follow.fetches.ended(Refreshed {
            commit: result.as_ref().ok().copied().flatten(),
            problem: problem.or_else(|| held.clone()),
            suspended: false,
        });
        self.ended.refused = held;
        match result {
            // Without one that was accepted nothing is done before the ref moves.
            Ok(commit) => commit.ok_or(Retry::OnChange),
            Err(e) => {
                let retry = e.retry();
                self.ended.problem = Some(e);
                Err(retry)
            }
        }
    }

    /// Keeps that a commit is not followed, once; what people hear of it.
    async fn refuse(
        &mut self,
        opened: &Opened,
        commit: CommitId,
        why: &Refusal,
        stays: Option<CommitId>,
    ) -> Result<String, Error> {
        let info = opened.source.commit_info(commit);
        let info = info.map_err(|e| Error::stage("fetch", &e))?;
        let refused = Refused {
            commit,
            author: person(&info.author),
            committer: person(&info.committer),
            subject: info.subject,
            kind: why.kind().to_owned(),
            why: why.to_string(),
            stays,
        };
        let text = refusal(&refused);
        self.teller.refused(&refused);
        let journal = opened.syncer.journal();
        if journal.status(|s| s.refused.as_ref() != Some(&refused)) {
            let event = Kept::Refused(refused);
            journal.append(vec![Record { app: None, event }]).await?;
        }
        Ok(text)
    }
}
