//! Where the ledger lies: flags and the environment as the AWS tools name it, `ledger` and `retention` of the host's file.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use weir_core::manifest::{Errors, Place as At};
use weir_core::retention::Retention;
use weir_ledger::{Place, S3Credentials, S3Keys, S3Options, S3Place, S3Secret, S3Url};

use super::parsed::Parsed;
use crate::error::Error;

/// The region that requests are signed for, where nothing says it.
const REGION: &str = "us-east-1";
/// The profile of a credentials file, where nothing says it.
const PROFILE: &str = "default";

/// Flags that every command takes about the ledger.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LedgerArgs {
    /// Where the ledger lies: s3://BUCKET/PREFIX, with credentials as the AWS tools take them [default: the folder ledger below --state]
    #[arg(long, global = true, env = "WEIR_LEDGER", value_name = "URL")]
    ledger: Option<S3Url>,
    /// The S3-compatible store's URL [default: Amazon's]
    #[arg(
        long,
        global = true,
        env = "AWS_ENDPOINT_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    s3_endpoint: Option<String>,
    /// The bucket's region [default: us-east-1]
    #[arg(long, global = true, env = "AWS_REGION", value_name = "NAME")]
    s3_region: Option<String>,
    /// The bucket is a part of the host's name, and not of the path
    #[arg(long, global = true)]
    s3_virtual_host: bool,
    /// The store may be reached by plain http
    #[arg(
        long,
        global = true,
        env = "AWS_ALLOW_HTTP",
        value_parser = clap::builder::FalseyValueParser::new()
    )]
    s3_allow_http: bool,
    /// Certificates (PEM) to trust for the store, besides the public ones
    #[arg(long, global = true, env = "AWS_CA_BUNDLE", value_name = "FILE")]
    s3_ca_file: Option<PathBuf>,
    /// A file with the store's credentials, as in ~/.aws/credentials; the environment's AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY come first
    #[arg(
        long,
        global = true,
        env = "AWS_SHARED_CREDENTIALS_FILE",
        value_name = "FILE"
    )]
    s3_credentials_file: Option<PathBuf>,
    /// The profile of that file [default: default]
    #[arg(long, global = true, env = "AWS_PROFILE", value_name = "NAME")]
    s3_profile: Option<String>,
}

/// A ledger in a bucket of an S3-compatible store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawLedger {
    /// Which bucket, and where in it: `s3://BUCKET/PREFIX`.
    #[schemars(with = "String")]
    place: Parsed<S3Url>,
    /// The store's URL. Left out: `AWS_ENDPOINT_URL`, or else Amazon's.
    endpoint: Option<String>,
    /// The bucket's region. Left out: `AWS_REGION`, or else `us-east-1`.
    region: Option<String>,
    /// The bucket is a part of the host's name, and not of the path.
    #[serde(default)]
    virtual_host: bool,
    /// The store may be reached by plain http.
    #[serde(default)]
    allow_http: bool,
    /// Certificates (PEM) to trust for the store, besides the public ones.
    ca_file: Option<PathBuf>,
    /// A file with credentials, as in `~/.aws/credentials`. Left out: those of the environment.
    credentials_file: Option<PathBuf>,
    /// The profile of that file. Left out: `default`.
    profile: Option<String>,
}

/// How long records are kept. Left out: for ever.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawRetention {
    /// Records that are older than so many days go.
    days: Option<u32>,
    /// Only so many of the newest records of each repository stay.
    records: Option<u64>,
}

/// A ledger as the host's file says it: what it leaves out is the flags' and the environment's.
#[derive(Debug)]
pub(crate) struct LedgerConfig {
    args: LedgerArgs,
}

impl RawLedger {
    /// As meant. Paths are relative to the file.
    pub(super) fn meant(self, base: &Path) -> LedgerConfig {
        let based = |file: Option<PathBuf>| file.map(|file| base.join(file));
        LedgerConfig {
            args: LedgerArgs {
                ledger: Some(self.place.0),
                s3_endpoint: self.endpoint,
                s3_region: self.region,
                s3_virtual_host: self.virtual_host,
                s3_allow_http: self.allow_http,
                s3_ca_file: based(self.ca_file),
                s3_credentials_file: based(self.credentials_file),
                s3_profile: self.profile,
            },
        }
    }
}

impl RawRetention {
    /// As meant; what is wrong with it goes to the errors.
    pub(super) fn meant(self, place: At<'_>, errors: &mut Errors<'_>) -> Retention {
        let expected = "expected a number from 1 up; leave it out to keep all";
        if self.days == Some(0) {
            errors.push(place.key("days").mark(), expected);
        }
        if self.records == Some(0) {
            errors.push(place.key("records").mark(), expected);
        }
        Retention {
            days: self.days.and_then(NonZeroU32::new),
            records: self.records.and_then(NonZeroU64::new),
        }
    }
}

impl LedgerArgs {
    /// Where the ledger lies.
    pub(super) fn place(&self, state: &Path) -> Result<Place, Error> {
        let Some(url) = &self.ledger else {
            return Ok(Place::Dir(state.join("ledger")));
        };
        let options = S3Options {
            endpoint: self.s3_endpoint.clone().filter(|url| !url.is_empty()),
            region: self.s3_region.clone().unwrap_or_else(|| REGION.to_owned()),
            virtual_host: self.s3_virtual_host,
            allow_http: self.s3_allow_http,
            ca_file: self.s3_ca_file.clone(),
            credentials: self.credentials()?,
        };
        Ok(Place::S3(Box::new(S3Place {
            url: url.clone(),
            options,
            lock: state.join("ledger-lock"),
        })))
    }

    /// The place of the host's file, where these flags and the environment say nothing else.
    ///
    /// # Errors
    /// When a flag names another ledger.
    pub(crate) fn with(&self, file: LedgerConfig, state: &Path) -> Result<Place, Error> {
        let file = file.args;
        if let Some(url) = &self.ledger {
            return Err(Error::Usage(format!(
                "--ledger {url} (WEIR_LEDGER): the file of --config says it already, under `ledger`: leave one of them out"
            )));
        }
        let merged = LedgerArgs {
            ledger: file.ledger,
            s3_endpoint: file.s3_endpoint.or_else(|| self.s3_endpoint.clone()),
            s3_region: file.s3_region.or_else(|| self.s3_region.clone()),
            s3_virtual_host: file.s3_virtual_host || self.s3_virtual_host,
            s3_allow_http: file.s3_allow_http || self.s3_allow_http,
            s3_ca_file: file.s3_ca_file.or_else(|| self.s3_ca_file.clone()),
            s3_credentials_file: file
                .s3_credentials_file
                .or_else(|| self.s3_credentials_file.clone()),
            s3_profile: file.s3_profile.or_else(|| self.s3_profile.clone()),
        };
        merged.place(state)
    }

    /// The environment's keys, or a profile of a file.
    fn credentials(&self) -> Result<S3Credentials, Error> {
        let given = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let secret = |name: &str| given(name).map(S3Secret::new);
        let keys = (given("AWS_ACCESS_KEY_ID"), secret("AWS_SECRET_ACCESS_KEY"));
        let path = match (keys, &self.s3_credentials_file) {
            ((Some(id), Some(secret_key)), _) => {
                return Ok(S3Credentials::Keys(S3Keys {
                    id,
                    secret: secret_key,
                    token: secret("AWS_SESSION_TOKEN"),
                }));
            }
            ((None, None), Some(file)) => file.clone(),
            ((None, None), None) => {
                let home = std::env::var_os("HOME").map(PathBuf::from);
                let file = home.map(|home| home.join(".aws/credentials"));
                file.filter(|file| file.exists()).ok_or_else(|| {
                    Error::Usage(
                        "--ledger: nothing says what opens the store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give --s3-credentials-file FILE"
                            .to_owned(),
                    )
                })?
            }
            _ => {
                return Err(Error::Usage(
                    "--ledger: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together: one of them is not set"
                        .to_owned(),
                ));
            }
        };
        let profile = self.s3_profile.clone();
        Ok(S3Credentials::File {
            path,
            profile: profile.unwrap_or_else(|| PROFILE.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::parse;
    use super::*;

    fn read(more: &str) -> Result<super::super::file::HostFile, String> {
        let text = format!(
            "version: 1\nrepositories: [{{ url: https://h/x, targets: {{ default: dir:x }} }}]\n{more}"
        );
        parse(text.as_bytes(), "host.yaml", Path::new("/etc/weir")).map_err(|e| e.to_string())
    }

    #[test]
    fn a_bucket_of_the_hosts_file_has_its_paths_beside_the_file() {
        let more = "ledger: { place: 's3://b-1/x', endpoint: 'https://s3', region: eu, virtual-host: true, ca-file: ca.pem, credentials-file: /k, profile: p }";
        let args = read(more).unwrap().ledger.unwrap().args;
        let Place::S3(at) = args.place(Path::new("/state")).unwrap() else {
            panic!("no bucket")
        };
        assert_eq!((at.url.bucket(), at.url.prefix()), ("b-1", "x"));
        assert_eq!(at.lock, Path::new("/state/ledger-lock"));
        let expected = S3Options {
            endpoint: Some("https://s3".into()),
            region: "eu".into(),
            virtual_host: true,
            allow_http: false,
            ca_file: Some("/etc/weir/ca.pem".into()),
            credentials: S3Credentials::File {
                path: "/k".into(),
                profile: "p".into(),
            },
        };
        assert_eq!(at.options, expected);
    }

    #[test]
    fn a_rule_of_the_hosts_file_removes_old_records_and_none_removes_nothing() {
        assert_eq!(read("").unwrap().retention, None);
        let rule = read("retention: { days: 9, records: 5 }")
            .unwrap()
            .retention;
        let expected = Retention {
            days: NonZeroU32::new(9),
            records: NonZeroU64::new(5),
        };
        assert_eq!(rule, Some(expected));
    }

    #[test]
    fn what_is_no_bucket_or_no_rule_is_refused_at_its_place() {
        for (more, expected) in [
            (
                "retention: { days: 0 }",
                "host.yaml:3:20: expected a number from 1 up",
            ),
            (
                "retention: { records: 0 }",
                "host.yaml:3:23: expected a number from 1 up",
            ),
            ("retention: { weeks: 1 }", "host.yaml:3:14: "),
            ("ledger: { place: /var/ledger }", "host.yaml:3:18: "),
            ("ledger: { endpoint: 'https://s3' }", "host.yaml:3:9: "),
        ] {
            let error = read(more).unwrap_err();
            assert!(error.starts_with(expected), "{more}: {error}");
        }
    }
}
