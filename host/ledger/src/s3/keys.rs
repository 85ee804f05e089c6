//! What requests are signed with: given keys, or those of a file that may be rotated while a host runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use object_store::aws::{AwsCredential, AwsCredentialProvider};
use object_store::client::CredentialProvider;

use super::Trouble;
use crate::place::{S3Credentials, S3Keys, S3Secret};

/// How long keys of a file are used until it is read again.
const FRESH: Duration = Duration::from_secs(30);
/// The largest credentials file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Who gives `object_store` its keys.
///
/// # Errors
/// When a file has none.
pub(super) fn provider(credentials: &S3Credentials) -> Result<AwsCredentialProvider, String> {
    match credentials {
        S3Credentials::Keys(keys) => Ok(Arc::new(Given(Arc::new(credential(keys))))),
        S3Credentials::File { path, profile } => {
            let first = Arc::new(credential(&read(path, profile)?));
            Ok(Arc::new(InFile {
                path: path.clone(),
                profile: profile.clone(),
                last: Mutex::new((Instant::now(), first)),
            }))
        }
    }
}

#[derive(Debug)]
struct Given(Arc<AwsCredential>);

#[async_trait]
impl CredentialProvider for Given {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        Ok(self.0.clone())
    }
}

#[derive(Debug)]
struct InFile {
    path: PathBuf,
    profile: String,
    last: Mutex<(Instant, Arc<AwsCredential>)>,
}

#[async_trait]
impl CredentialProvider for InFile {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0.elapsed() > FRESH {
            let keys =
                read(&self.path, &self.profile).map_err(|why| object_store::Error::Generic {
                    store: "S3",
                    source: Box::new(Trouble::Credentials(why)),
                })?;
            *last = (Instant::now(), Arc::new(credential(&keys)));
        }
        Ok(last.1.clone())
    }
}

fn credential(keys: &S3Keys) -> AwsCredential {
    AwsCredential {
        key_id: keys.id.clone(),
        secret_key: keys.secret.expose().to_owned(),
        token: keys.token.as_ref().map(|token| token.expose().to_owned()),
    }
}

/// The keys of a profile. No error shows what the file holds.
fn read(path: &Path, profile: &str) -> Result<S3Keys, String> {
    let shown = path.display();
    let failed = |e: std::io::Error| format!("the credentials file {shown} cannot be read: {e}");
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE {
        return Err(format!(
            "the credentials file {shown} has {size} bytes: expected at most {MAX_FILE}"
        ));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    parse(&text, profile).map_err(|why| format!("the credentials file {shown} {why}"))
}

fn parse(text: &str, profile: &str) -> Result<S3Keys, String> {
    let (mut id, mut secret, mut token) = (None, None, None);
    let (mut inside, mut found) = (false, false);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            inside = name.trim() == profile;
            found |= inside;
            continue;
        }
        if !inside || line.starts_with(['#', ';']) {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let value = value.trim().to_owned();
        match key.trim() {
            "aws_access_key_id" => id = Some(value),
            "aws_secret_access_key" => secret = Some(S3Secret::new(value)),
            "aws_session_token" => token = Some(S3Secret::new(value)),
            _ => {}
        }
    }
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(S3Keys { id, secret, token }),
        _ if !found => Err(format!(
            "has no profile [{profile}]: name another with AWS_PROFILE"
        )),
        _ => Err(format!(
            "lacks aws_access_key_id or aws_secret_access_key in its profile [{profile}]"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[default]\naws_access_key_id = AKIA1\naws_secret_access_key=hunter2\n# x\n\n[ prod ]\naws_access_key_id=AKIA2\naws_secret_access_key=a=b\naws_session_token=t\n[half]\naws_secret_access_key=hunter3\n";

    #[test]
    fn the_keys_of_a_profile_are_read() {
        let keys = parse(TEXT, "default").unwrap();
        assert_eq!(
            (keys.id.as_str(), keys.secret.expose(), keys.token),
            ("AKIA1", "hunter2", None)
        );
        let keys = parse(TEXT, "prod").unwrap();
        assert_eq!((keys.id.as_str(), keys.secret.expose()), ("AKIA2", "a=b"));
        assert_eq!(keys.token.unwrap().expose(), "t");
    }

    #[test]
    fn a_profile_that_lacks_something_is_named_and_nothing_of_the_file_is_shown() {
        for (profile, expected) in [
            ("other", "no profile [other]"),
            ("half", "aws_access_key_id"),
        ] {
            let error = parse(TEXT, profile).unwrap_err();
            assert!(
                error.contains(expected) && !error.contains("hunter"),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn keys_of_a_file_that_is_gone_are_used_while_they_are_fresh_and_then_it_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        std::fs::write(&path, TEXT).unwrap();
        let first = Arc::new(credential(&read(&path, "default").unwrap()));
        let old = Instant::now().checked_sub(FRESH * 2).unwrap();
        let provider = InFile {
            path: path.clone(),
            profile: "default".into(),
            last: Mutex::new((Instant::now(), first.clone())),
        };
        std::fs::write(&path, TEXT.replace("AKIA1", "AKIA9")).unwrap();
        assert_eq!(provider.get_credential().await.unwrap().key_id, "AKIA1");
        *provider.last.lock().unwrap() = (old, first.clone());
        assert_eq!(
            provider.get_credential().await.unwrap().key_id,
            "AKIA9",
            "it was rotated"
        );
        std::fs::remove_file(&path).unwrap();
        *provider.last.lock().unwrap() = (old, first);
        let error = provider.get_credential().await.unwrap_err();
        let trouble = Trouble::of(&error).unwrap();
        assert!(trouble.to_string().contains("cannot be read"), "{trouble}");
    }
}
