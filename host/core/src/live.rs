//! What a target says of an object: whether it is there, whose it is, and whether it is still as it was last
//! written. A directory and a cluster answer in the same words.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::name::AppName;
use crate::object::ResourceId;

/// The state that was seen: a change carries it as its precondition. A resource version in a cluster, a
/// content digest in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version(pub String);

/// Which of the objects that ever had this name: a `metadata.uid` in a cluster. A directory has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uid(pub Box<str>);

/// What the target said of an object when it was last written, or says now: equal marks mean that nobody
/// has touched what was written since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Which object of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Uid>,
    /// Its state: the content's digest in a directory; in a cluster the digest of our own entry in
    /// `metadata.managedFields`, which changes with the fields that are ours and with nothing else.
    pub state: Digest,
}

impl Mark {
    /// The mark of a target that shows an object's content.
    pub fn of_content(content: Digest) -> Mark {
        let state = content;
        Mark { uid: None, state }
    }
}

/// Whose an object is, by what is written on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// This target writes no owner on objects: the ledger alone knows.
    Unsaid,
    /// This app's.
    Us,
    /// Another app's of the same repository and ledger.
    App(AppName),
    /// Nobody's that Weir knows of.
    Nobody,
    /// Somebody else's: who, for a person.
    Foreign(String),
}

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The precondition for a change.
    pub version: Version,
    /// Compared with the mark of the last write.
    pub mark: Mark,
    /// Whose it is.
    pub owner: Owner,
    /// It is being deleted: what that waits for, for a person.
    pub leaving: Option<String>,
    /// It says that it must not be pruned.
    pub keep: bool,
}

/// What is at an object's place. Not knowing is not absence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Live {
    /// Nothing is there.
    Absent,
    /// Something is there.
    Present(Seen),
    /// It could not be read: why.
    Unknown(String),
    /// The target has no place for an object of this kind: why, and what to do.
    Unserved(String),
    /// It is the object that this other name stands for, too: a kind that lives in no namespace, with and without one.
    Same(ResourceId),
}

/// What a write left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The digest of the object as rendered.
    pub content: Digest,
    /// What the target says of it since.
    pub mark: Mark,
}

impl Written {
    /// What is there and ours, and of which nobody knows any more what was written: the next sync writes it anew.
    pub fn unread(mark: Mark) -> Written {
        let content = Digest::of(b"");
        Written { content, mark }
    }

    /// What was written to a target that shows an object's content.
    pub fn content(content: Digest) -> Written {
        let mark = Mark::of_content(content);
        Written { content, mark }
    }
}
