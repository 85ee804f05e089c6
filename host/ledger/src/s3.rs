//! An S3-compatible store: from a place to `object_store`, with deadlines, bounded retries and no second TLS stack.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use crate::error::LedgerError;
use crate::place::S3Place;

mod http;
mod keys;
mod trouble;

pub(crate) use trouble::Trouble;

/// How often one request is sent again that the store had no room for, or that could not be sent.
const RETRIES: usize = 4;
/// After so long no request is sent again.
const RETRY_WITHIN: Duration = Duration::from_secs(20);
/// The wait before the first retry; each one after doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait before a retry.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The store in a bucket. Nothing is asked yet.
///
/// # Errors
/// When a file that it needs cannot be read, or the endpoint is none.
pub(crate) fn open(place: &S3Place) -> Result<Arc<dyn ObjectStore>, LedgerError> {
    let options = &place.options;
    let refused = |why: String| LedgerError::Refused {
        dir: shown(place),
        why,
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(place.url.bucket())
        .with_region(&options.region)
        .with_virtual_hosted_style_request(options.virtual_host)
        .with_allow_http(options.allow_http)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_credentials(keys::provider(&options.credentials).map_err(refused)?)
        .with_http_connector(http::Connector::new(options.ca_file.as_deref()).map_err(refused)?)
        .with_retry(RetryConfig {
            backoff: BackoffConfig {
                init_backoff: FIRST_WAIT,
                max_backoff: LONGEST_WAIT,
                base: 2.0,
            },
            max_retries: RETRIES,
            retry_timeout: RETRY_WITHIN,
        });
    if let Some(endpoint) = &options.endpoint {
        let plain = checked(endpoint, options.allow_http).map_err(refused)?;
        builder = builder.with_endpoint(plain);
    }
    let store = builder.build().map_err(|e| refused(e.to_string()))?;
    Ok(match place.url.prefix() {
        "" => Arc::new(store),
        prefix => Arc::new(PrefixStore::new(store, prefix)),
    })
}

/// What stands for the place in messages.
pub(crate) fn shown(place: &S3Place) -> PathBuf {
    Path::new(&place.url.to_string()).to_owned()
}

/// An endpoint, without a slash at its end.
fn checked(endpoint: &str, allow_http: bool) -> Result<&str, String> {
    // It is not shown: what stands before an @ is a password.
    let wrong = |why: &str| Err(format!("its endpoint {why}"));
    let plain = endpoint.trim_end_matches('/');
    let Ok(uri) = plain.parse::<::http::Uri>() else {
        return wrong("is no URL: expected one such as https://s3.example");
    };
    match (uri.scheme_str(), uri.authority()) {
        (_, Some(authority)) if authority.as_str().contains('@') => {
            wrong("holds a user: give credentials as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        }
        (Some("https"), Some(_)) => Ok(plain),
        (Some("http"), Some(_)) if allow_http => Ok(plain),
        (Some("http"), Some(_)) => wrong(
            "is http, which anybody on the way can read: use https, or allow it with --s3-allow-http (AWS_ALLOW_HTTP=true)",
        ),
        _ => wrong("is no http or https URL: expected one such as https://s3.example"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_https_unless_http_is_allowed_and_never_has_a_password() {
        assert_eq!(
            checked("https://s3.example/", false),
            Ok("https://s3.example")
        );
        assert_eq!(checked("http://s3.example", true), Ok("http://s3.example"));
        for (bad, allow, expected) in [
            ("http://s3.example", false, "--s3-allow-http"),
            ("ftp://s3.example", true, "no http or https URL"),
            ("s3.example", true, "no http or https URL"),
            ("", true, "no URL"),
            ("https://me:hunter2@s3.example", true, "holds a user"),
        ] {
            let error = checked(bad, allow).unwrap_err();
            assert!(
                error.contains(expected) && !error.contains("hunter2"),
                "{bad}: {error}"
            );
        }
    }
}
