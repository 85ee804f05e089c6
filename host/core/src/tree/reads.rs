//! What a plugin read: each question that it asked of the tree, with what it was told. A render in which nothing else
//! changed would be told, and give, the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ReadError, View};
use crate::digest::{BlobId, Digest};
use crate::name::RepoPath;

/// What is asked about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// The file's bytes.
    Read,
    /// The directory's entries.
    List,
}

/// What a question was answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The file with these bytes.
    File(BlobId),
    /// A list of entries: its digest.
    Listing(Digest),
    /// Nothing is there.
    Absent,
    /// A directory is there, and a file was asked for.
    IsADirectory,
    /// A file is there, and a directory was asked for.
    NotADirectory,
}

impl Answer {
    /// An error that a plugin is told, and that depends on the tree; `None` for what ends the call.
    pub(super) fn refused(error: &ReadError) -> Option<Answer> {
        match error {
            ReadError::NotFound(_) => Some(Answer::Absent),
            ReadError::IsADirectory(_) => Some(Answer::IsADirectory),
            ReadError::NotADirectory(_) => Some(Answer::NotADirectory),
            _ => None,
        }
    }
}

/// All questions of one call with their answers: the inputs that its output depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    from = "Vec<(Question, RepoPath, Answer)>",
    into = "Vec<(Question, RepoPath, Answer)>"
)]
pub struct ReadSet(BTreeMap<(Question, RepoPath), Answer>);

impl From<Vec<(Question, RepoPath, Answer)>> for ReadSet {
    fn from(list: Vec<(Question, RepoPath, Answer)>) -> ReadSet {
        let all = list.into_iter();
        ReadSet(all.map(|(q, path, answer)| ((q, path), answer)).collect())
    }
}

impl From<ReadSet> for Vec<(Question, RepoPath, Answer)> {
    fn from(set: ReadSet) -> Self {
        let all = set.0.into_iter();
        all.map(|((q, path), answer)| (q, path, answer)).collect()
    }
}

impl ReadSet {
    pub(super) fn keep(&mut self, question: Question, path: RepoPath, answer: Answer) {
        self.0.insert((question, path), answer);
    }

    /// All that these two asked of one tree.
    #[must_use]
    pub fn and(mut self, other: ReadSet) -> ReadSet {
        self.0.extend(other.0);
        self
    }

    /// Each question with its answer, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Question, &RepoPath, Answer)> {
        self.0.iter().map(|((q, path), answer)| (*q, path, *answer))
    }

    /// How many questions.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a file of this path was read.
    pub fn has_read(&self, path: &RepoPath) -> bool {
        let key = (Question::Read, path.clone());
        matches!(self.0.get(&key), Some(Answer::File(_)))
    }

    /// Whether each question would be answered with the same here. What would end a call is another answer.
    pub fn holds(&self, view: &View) -> bool {
        self.iter().all(|(question, path, answer)| {
            view.answer(question, path).is_ok_and(|now| now == answer)
        })
    }

    /// The digest of all questions and answers.
    pub fn digest(&self) -> Digest {
        let mut digest = Digest::builder();
        for (question, path, answer) in self.iter() {
            digest.part(match question {
                Question::Read => b"read",
                Question::List => b"list",
            });
            digest.part(path.as_str().as_bytes());
            match answer {
                Answer::File(id) => digest.part(b"file").part(id.as_bytes()),
                Answer::Listing(list) => digest.part(b"listing").part(list.as_bytes()),
                Answer::Absent => digest.part(b"absent"),
                Answer::IsADirectory => digest.part(b"is a directory"),
                Answer::NotADirectory => digest.part(b"not a directory"),
            };
        }
        digest.finish()
    }
}

#[cfg(test)]
mod tests;
