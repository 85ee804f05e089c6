//! What has to be fetched before a revision can be looked up: a remote repository is fetched by ref, a revision may be anything.

use crate::error::{SourceError, printable};
use crate::url::RefName;

/// What a revision starts from (gitrevisions(7)): the part before the first of `~`, `^`, `@` and `:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevisionStart {
    /// `HEAD`, or nothing before the operator: the followed ref.
    Head,
    /// 4 to 40 hex digits. It says nothing of the ref that it is in; a short one may also be a ref's name.
    Id(String),
    /// A branch, a tag or a full ref name.
    Ref(RefName),
}

impl RevisionStart {
    /// What `rev` starts from.
    ///
    /// # Errors
    /// `BadUrl` where that is neither an id nor a ref's name.
    pub fn of(rev: &str) -> Result<RevisionStart, SourceError> {
        let start = rev.split(['~', '^', '@', ':']).next().unwrap_or_default();
        if start == "HEAD" || (start.is_empty() && !rev.is_empty()) {
            return Ok(RevisionStart::Head);
        }
        if (4..=40).contains(&start.len()) && start.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(RevisionStart::Id(start.to_owned()));
        }
        match start.parse() {
            Ok(name) => Ok(RevisionStart::Ref(name)),
            Err(_) => Err(SourceError::BadUrl {
                url: format!("revision {:?}", printable(rev)),
                why: "expected a branch, a tag, HEAD or a commit id, and after it ~N or ^N if any"
                    .into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_starts_from_head_an_id_or_a_ref() {
        let of = |rev: &str| RevisionStart::of(rev).unwrap();
        for head in ["HEAD", "HEAD~1", "HEAD^{tree}", "@", "@~2", "@^", ":/fix"] {
            assert_eq!(of(head), RevisionStart::Head, "{head}");
        }
        let id = "0123456789abcdef0123456789ABCDEF01234567";
        for (rev, start) in [(id, id), ("beef~2", "beef"), ("20240101^{}", "20240101")] {
            assert_eq!(of(rev), RevisionStart::Id(start.to_owned()), "{rev}");
        }
        for (rev, name) in [
            ("main", "main"),
            ("main~2", "main"),
            ("v1.0^{commit}", "v1.0"),
            ("refs/tags/v1~1", "refs/tags/v1"),
            ("HEADS", "HEADS"),
            ("abc", "abc"),
            ("beef-2", "beef-2"),
            ("feature/x@{1}", "feature/x"),
        ] {
            assert_eq!(of(rev), RevisionStart::Ref(name.parse().unwrap()), "{rev}");
        }
    }

    #[test]
    fn what_no_revision_starts_with_is_refused_by_its_own_name() {
        for bad in [
            "",
            "a..b",
            "main..dev",
            "-x",
            "--all~1",
            "a b",
            "a\0",
            "x.lock",
            "/a~1",
        ] {
            let error = RevisionStart::of(bad).unwrap_err().to_string();
            assert!(
                error.contains("revision \"")
                    && error.contains("expected a branch, a tag, HEAD or a commit id"),
                "{bad:?}: {error}"
            );
        }
    }
}
