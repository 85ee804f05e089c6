//! What people read of a refusal: the commit or path, what was expected, and what to do.

use std::fmt;

use super::{Refusal, Unsigned};

/// How many commits one refusal names.
const NAMED: usize = 3;

impl fmt::Display for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsigned::Nothing => f.write_str("it is not signed"),
            Unsigned::Several => f.write_str(
                "it has more than one signature, of which only one could count: sign it once",
            ),
            Unsigned::Format(what) => write!(
                f,
                "its signature is {what}; expected an SSH signature (gpg.format=ssh) or an OpenPGP one"
            ),
            Unsigned::Malformed(why) => write!(f, "its signature cannot be read: {why}"),
            Unsigned::Namespace(found) => write!(
                f,
                "its signature was made for {found:?} and not for \"git\", as git commit -S makes it"
            ),
            Unsigned::OtherBytes => f.write_str(
                "its signature is not one of this commit: the commit was changed after it was signed, or the signature was taken from another one",
            ),
            Unsigned::UnknownKey(key) => write!(
                f,
                "it is signed by {key}, which is not among the keys that may sign"
            ),
            Unsigned::NotFor(why) => write!(f, "its key may not sign commits: {why}"),
            Unsigned::OutOfTime(why) => write!(f, "its key did not count at that time: {why}"),
            Unsigned::Revoked(key) => write!(f, "its key {key} was revoked"),
            Unsigned::Weak(what) => write!(f, "its signature proves nothing: {what}"),
            Unsigned::NoList(why) => f.write_str(why),
            Unsigned::NotLookedAt => f.write_str("its signature was not looked at"),
        }
    }
}

impl Refusal {
    /// One word for logs, metrics and the ledger.
    pub fn kind(&self) -> &'static str {
        match self {
            Refusal::NotAfter { older: true, .. } => "older",
            Refusal::NotAfter { older: false, .. } => "rewritten",
            Refusal::Unknown(_) => "unknown",
            Refusal::Unsigned { .. } => "unsigned",
            Refusal::Protected { .. } => "protected",
            Refusal::BadList { .. } | Refusal::OtherFirst { .. } => "signers",
        }
    }

    /// What to do about it.
    fn help(&self) -> &'static str {
        match self {
            Refusal::NotAfter { .. } => {
                "push a commit that comes after it, such as a revert; or take fast-forward-only off for this once"
            }
            Refusal::Unknown(_) => "nothing is followed that could not be judged",
            Refusal::Unsigned { .. } => {
                "push a commit that one of those who may signed (git commit -S); where each commit is checked, without the one above"
            }
            Refusal::Protected { .. } => {
                "undo the change, or have one of those who may make it and sign it"
            }
            Refusal::BadList { .. } => "mend the list in a signed commit",
            Refusal::OtherFirst { .. } => {
                "compare the file with what you meant, and give its digest to this host"
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotAfter { from, older: true } => write!(
                f,
                "it is an older commit than {}, and fast-forward-only follows nothing but what comes after that",
                from.short()
            )?,
            Refusal::NotAfter { from, older: false } => write!(
                f,
                "history was rewritten: it does not come after {}, and fast-forward-only follows nothing else",
                from.short()
            )?,
            Refusal::Unknown(why) => write!(f, "it cannot be judged: {why}")?,
            Refusal::Unsigned { commit, why } => write!(f, "commit {}: {why}", commit.short())?,
            Refusal::Protected { path, by } => {
                write!(f, "{path} is protected, and was changed by ")?;
                if by.is_empty() {
                    f.write_str("no commit that can be named")?;
                }
                for (n, (commit, why)) in by.iter().take(NAMED).enumerate() {
                    let and = if n == 0 { "" } else { ", " };
                    write!(f, "{and}commit {} ({why})", commit.short())?;
                }
                if by.len() > NAMED {
                    write!(f, " and {} more", by.len() - NAMED)?;
                }
            }
            Refusal::BadList { path, why } => write!(
                f,
                "{path}, which says who may sign, could not be used from then on: {why}"
            )?,
            Refusal::OtherFirst { path, wanted } => write!(
                f,
                "{path}, which says who may sign, is not the first one that this host was told: expected {wanted}"
            )?,
        }
        write!(f, "; {}", self.help())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{CommitId, Digest};

    #[test]
    fn each_refusal_says_what_to_do() {
        let all = [
            Refusal::NotAfter {
                from: CommitId::from_bytes([1; 20]),
                older: true,
            },
            Refusal::NotAfter {
                from: CommitId::from_bytes([1; 20]),
                older: false,
            },
            Refusal::Unknown("x".to_owned()),
            Refusal::Unsigned {
                commit: CommitId::from_bytes([1; 20]),
                why: Unsigned::Nothing,
            },
            Refusal::Protected {
                path: "p".parse().unwrap(),
                by: Vec::new(),
            },
            Refusal::Protected {
                path: "p".parse().unwrap(),
                by: vec![(CommitId::from_bytes([1; 20]), Unsigned::Nothing); 9],
            },
            Refusal::BadList {
                path: "p".parse().unwrap(),
                why: "x".to_owned(),
            },
            Refusal::OtherFirst {
                path: "p".parse().unwrap(),
                wanted: Digest::of(b""),
            },
        ];
        for refusal in all {
            let text = refusal.to_string();
            assert!(text.contains("; ") && text.len() < 600, "{text}");
        }
    }
}
