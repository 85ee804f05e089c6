//! What went wrong between this host and the store, sorted by what a person does about it.

use std::error::Error as StdError;
use std::time::Duration;

/// The most of a store's own words that is kept, in characters.
const MAX_WORDS: usize = 300;

/// Why a request has no good answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// No connection was made.
    #[error("no connection to {origin}: {why}")]
    Unreachable { origin: String, why: String },
    /// There was no whole answer in time.
    #[error("{origin} did not answer within {} s", after.as_secs())]
    Silent { origin: String, after: Duration },
    /// The connection ended before the answer did.
    #[error("the connection to {origin} broke: {why}")]
    Broken { origin: String, why: String },
    /// The store said no.
    #[error(
        "{origin} answered {status}{}{code}{}{message}",
        gap(code, " "),
        gap(message, ": ")
    )]
    Refused {
        origin: String,
        status: u16,
        /// The store's own word for it, such as `NoSuchBucket`; may be empty.
        code: String,
        /// The store's own words; may be empty.
        message: String,
    },
    /// The credentials could not be read.
    #[error("{0}")]
    Credentials(String),
}

fn gap(text: &str, gap: &'static str) -> &'static str {
    if text.is_empty() { "" } else { gap }
}

impl Trouble {
    /// The first one in an error's causes.
    pub(crate) fn of<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Trouble> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(trouble) = error.downcast_ref::<Trouble>() {
                return Some(trouble);
            }
            next = error.source();
        }
        None
    }

    /// An answer that is no success, from its body: S3's XML, or anything at all.
    pub(crate) fn refused(origin: String, status: u16, body: &str) -> Trouble {
        Trouble::Refused {
            origin,
            status,
            code: words(element(body, "Code")),
            message: words(element(body, "Message")),
        }
    }

    /// The store's own word for why it said no.
    pub(crate) fn code(&self) -> &str {
        match self {
            Trouble::Refused { code, .. } => code,
            _ => "",
        }
    }

    /// Whether the store says that it does not do such a thing at all.
    pub(crate) fn is_not_done(&self) -> bool {
        matches!(self, Trouble::Refused { status, code, .. } if *status == 501 || code == "NotImplemented")
    }

    /// What to do about it: a part of a sentence that begins with a colon.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Trouble::Unreachable { .. } => {
                ": the store cannot be reached; is its endpoint right (--s3-endpoint, AWS_ENDPOINT_URL), and is it up?"
            }
            Trouble::Silent { .. } => {
                ": the store is too slow, or something on the way drops what is sent; it is tried again"
            }
            Trouble::Broken { .. } => ": the store went away; it is tried again",
            Trouble::Credentials(_) => ": there are no usable credentials for the store",
            Trouble::Refused { status, code, .. } => match (status, code.as_str()) {
                (_, "NoSuchBucket") => {
                    ": there is no such bucket; make it, or name another one with --ledger"
                }
                (_, "RequestTimeTooSkewed") => {
                    ": this machine's clock and the store's differ; set it right"
                }
                (
                    _,
                    "InvalidAccessKeyId"
                    | "SignatureDoesNotMatch"
                    | "InvalidToken"
                    | "ExpiredToken"
                    | "InvalidSecurity"
                    | "TokenRefreshRequired"
                    // versitygw does not know the key.
                    | "XAdminUserNotFound",
                )
                | (401, _) => {
                    ": the store does not accept the credentials; are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the credentials file, right?"
                }
                (403, _) => {
                    ": the credentials are known and may not do that; a ledger has to read, list, write and delete below its prefix"
                }
                (301 | 307, _)
                | (_, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
                    ": the bucket is in another region; name it with --s3-region (AWS_REGION)"
                }
                (404, _) => {
                    ": what answers there is no S3 store; is its endpoint right (--s3-endpoint, AWS_ENDPOINT_URL)?"
                }
                _ => "",
            },
        }
    }
}

/// The text of the first such element. Enough for S3's errors, which are flat.
fn element<'b>(body: &'b str, name: &str) -> &'b str {
    let inner = || {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0)
    };
    inner().unwrap_or_default()
}

/// A store's words as they may be printed.
fn words(text: &str) -> String {
    let fine = |c: char| if c.is_control() { ' ' } else { c };
    let shown: String = text.chars().map(fine).take(MAX_WORDS).collect();
    shown.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_credentials_no_bucket_and_no_connection_are_three_different_messages() {
        let body =
            |code: &str| format!("<Error><Code>{code}</Code><Message>why\u{7}</Message></Error>");
        let of = |status, code: &str| Trouble::refused("http://s3".into(), status, &body(code));
        let unreachable = Trouble::Unreachable {
            origin: "http://s3".into(),
            why: "refused".into(),
        };
        let all = [
            (
                of(403, "SignatureDoesNotMatch"),
                "does not accept the credentials",
            ),
            (of(403, "AccessDenied"), "may not do that"),
            (of(404, "NoSuchBucket"), "no such bucket"),
            (of(400, "AuthorizationHeaderMalformed"), "another region"),
            (of(404, ""), "no S3 store"),
            (unreachable, "cannot be reached"),
        ];
        for (trouble, expected) in all {
            assert!(trouble.advice().contains(expected), "{trouble:?}");
        }
        assert_eq!(
            of(403, "AccessDenied").to_string(),
            "http://s3 answered 403 AccessDenied: why"
        );
        assert_eq!(
            Trouble::refused("http://s3".into(), 502, "<html>").to_string(),
            "http://s3 answered 502"
        );
    }
}
