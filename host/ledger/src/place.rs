//! Where a ledger lies: a directory of this machine, or a bucket of an S3-compatible store; and what opens the latter.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The longest prefix in a bucket, in bytes: keys have at most 1024.
const MAX_PREFIX: usize = 512;

/// Where a ledger lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A directory. Its lock lies in it.
    Dir(PathBuf),
    /// A bucket.
    S3(Box<S3Place>),
}

/// A ledger in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Place {
    /// Which bucket, and where in it.
    pub url: S3Url,
    /// How the store is reached.
    pub options: S3Options,
    /// A directory of this machine for the lock that keeps a second process from the same state. Between
    /// machines nothing is locked: a second writer is found out by the chain itself.
    pub lock: PathBuf,
}

/// `s3://BUCKET/PREFIX`; the prefix may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Url {
    bucket: String,
    prefix: String,
}

/// How an S3-compatible store is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Options {
    /// The store's URL, such as `https://minio.example:9000`; `None` for Amazon's of the region.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket is a part of the host's name, and not of the path.
    pub virtual_host: bool,
    /// Whether the endpoint may be http.
    pub allow_http: bool,
    /// Certificates (PEM) to trust besides the public ones.
    pub ca_file: Option<PathBuf>,
    /// What proves who asks.
    pub credentials: S3Credentials,
}

/// What proves to the store who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum S3Credentials {
    /// These.
    Keys(S3Keys),
    /// A profile of a credentials file, which is read again now and then: it may be rotated.
    File {
        /// The file, in the form of `~/.aws/credentials`.
        path: PathBuf,
        /// The profile.
        profile: String,
    },
}

/// An access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Keys {
    /// Its id, which is no secret.
    pub id: String,
    /// The secret.
    pub secret: S3Secret,
    /// A session's token, where the key is of a session.
    pub token: Option<S3Secret>,
}

/// A text that cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Secret(String);

impl S3Secret {
    /// Keeps the text.
    pub fn new(text: impl Into<String>) -> S3Secret {
        S3Secret(text.into())
    }

    /// The text. For signing only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for S3Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl S3Url {
    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Where in it; empty for all of it.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl FromStr for S3Url {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{s:?}: {why}: expected s3://BUCKET or s3://BUCKET/PREFIX");
        let rest = s.strip_prefix("s3://").ok_or_else(|| wrong("no s3 URL"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(plain) {
            return Err(wrong(
                "a bucket's name has 3 to 63 lower-case letters, digits, dots and dashes",
            ));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let part = |p: &str| {
            let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'=');
            !p.is_empty() && p != "." && p != ".." && p.bytes().all(fine)
        };
        if prefix.len() > MAX_PREFIX || !(prefix.is_empty() || prefix.split('/').all(part)) {
            return Err(wrong(
                "a prefix has letters, digits, `-`, `_`, `.` and `=` between single slashes",
            ));
        }
        Ok(S3Url {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

impl fmt::Display for S3Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        match self.prefix.is_empty() {
            true => Ok(()),
            false => write!(f, "/{}", self.prefix),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Dir(dir) => dir.display().fmt(f),
            Place::S3(at) => at.url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_and_a_prefix_are_read_and_written_back() {
        for (text, bucket, prefix) in [
            ("s3://weir-ledger", "weir-ledger", ""),
            ("s3://weir-ledger/", "weir-ledger", ""),
            ("s3://b.3/prod/eu=1/", "b.3", "prod/eu=1"),
        ] {
            let url: S3Url = text.parse().unwrap();
            assert_eq!((url.bucket(), url.prefix()), (bucket, prefix));
            assert_eq!(url.to_string().parse::<S3Url>().unwrap(), url);
        }
    }

    #[test]
    fn what_is_no_bucket_is_refused_with_what_was_expected() {
        for bad in [
            "weir",
            "s3:/weir",
            "s3://",
            "s3://ab",
            "s3://Weir",
            "s3://weir//x",
            "s3://weir/..",
            "s3://weir/a/./b",
            "s3://weir/a b",
            "s3://weir/a%2f",
            "s3://user:pass@weir/x",
            "http://weir/x",
        ] {
            let error = bad.parse::<S3Url>().unwrap_err();
            assert!(error.contains("s3://BUCKET/PREFIX"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_secret_key_is_never_printed() {
        let keys = S3Keys {
            id: "AKIA".into(),
            secret: S3Secret::new("hunter2"),
            token: Some(S3Secret::new("hunter3")),
        };
        let shown = format!("{keys:?} {keys:#?}");
        assert!(
            shown.contains("AKIA") && !shown.contains("hunter"),
            "{shown}"
        );
    }
}
