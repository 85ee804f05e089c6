//! Where a repository's age keys are, and the keys: read each time that they are needed, so that a rotation needs no
//! restart.

use std::path::PathBuf;
use std::str::FromStr;

use weir_cluster::kube::{KubeAccess, KubePlace, secret_data};
use weir_core::fault::{Blame as _, Fault, Retry};
use weir_secrets::{Keys, SecretLimits};

use crate::config::KubeHome;
use crate::error::Error;
use crate::open::blocking;

/// The stage in which what is encrypted is opened.
pub(crate) const STAGE: &str = "apply";

/// Where the keys of a repository are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Decrypt {
    /// Files as `age-keygen` writes them.
    pub(crate) files: Vec<PathBuf>,
    /// A Secret of the cluster that this host's kubeconfig, or its pod, is in.
    pub(crate) secret: Option<SecretName>,
}

/// A Secret by namespace and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretName {
    namespace: String,
    name: String,
}

impl FromStr for SecretName {
    type Err = String;

    fn from_str(text: &str) -> Result<SecretName, String> {
        let is_name = |part: &str| {
            let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
            (1..=253).contains(&part.len()) && part.bytes().all(legal)
        };
        match text.split_once('/') {
            Some((namespace, name)) if is_name(namespace) && is_name(name) => Ok(SecretName {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(format!(
                "{text:?}: expected NAMESPACE/NAME of a Secret, such as weir/age-keys"
            )),
        }
    }
}

/// Gets a repository's keys.
#[derive(Debug, Clone)]
pub(crate) struct Keyring {
    decrypt: Decrypt,
    home: KubeHome,
}

impl Keyring {
    /// Nothing is read yet.
    pub(crate) fn new(decrypt: Decrypt, home: KubeHome) -> Keyring {
        Keyring { decrypt, home }
    }

    /// All keys, as they are now. Without a place to look there are none.
    ///
    /// # Errors
    /// When one of the places cannot be read, or holds something else. It may get better by itself.
    pub(crate) async fn keys(&self) -> Result<Keys, Error> {
        let limits = SecretLimits::HOST;
        let files = self.decrypt.files.clone();
        let mut keys = blocking(STAGE, move || {
            let mut keys = Keys::none();
            for file in &files {
                let added = keys.add_file(file, limits);
                added.map_err(|e| Error::stage(STAGE, &e))?;
            }
            Ok(keys)
        })
        .await?;
        if let Some(SecretName { namespace, name }) = &self.decrypt.secret {
            let access = KubeAccess {
                place: KubePlace::Current,
                kubeconfig: self.home.files.clone(),
                in_cluster: self.home.in_cluster,
                account: None,
            };
            let data = secret_data(&access, self.home.limits, namespace, name).await;
            let data = data.map_err(|e| unread(&e))?;
            let added = keys.add_secret(&format!("{namespace}/{name}"), &data, limits);
            added.map_err(|e| Error::stage(STAGE, &e))?;
        }
        Ok(keys)
    }
}

/// The cluster did not give the keys: on this host, and worth another try.
fn unread(error: &weir_cluster::kube::KubeError) -> Error {
    let fault = match error.fault() {
        Fault::Repository => Fault::Host,
        other => other,
    };
    Error::Stage {
        stage: STAGE,
        fault,
        retry: Retry::Backoff,
        message: format!("the age keys of `decrypt` cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_by_its_namespace_and_name() {
        let name: SecretName = "weir/age-keys".parse().unwrap();
        assert_eq!(
            (name.namespace.as_str(), name.name.as_str()),
            ("weir", "age-keys")
        );
        for bad in ["", "weir", "weir/", "/keys", "a/b/c", "Weir/keys", "a b/c"] {
            assert!(bad.parse::<SecretName>().is_err(), "{bad}");
        }
    }
}
