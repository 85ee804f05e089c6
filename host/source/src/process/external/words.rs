//! What is said to a process that gets a chart or a plugin, and what it says. Nothing of the latter is believed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_core::digest::Digest;
use weir_core::external::{HostPort, Reference, ReferenceKind};
use weir_core::plugin::{PluginReference, RegistryPin};

use super::super::words::{Http, Shown};
use super::failure::Failure;
use crate::external::{
    AccessHost, ExternalAccess, ExternalLimits, ExternalPolicy, Lack, Meant, Origin, Realm,
};
use crate::secret::{Credentials, CredentialsFrom};

/// What something is got of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Of {
    /// A chart.
    External(Reference),
    /// A plugin in a registry.
    Plugin(PluginReference),
}

/// What is got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::process) enum Get {
    /// Which archive a chart's version means now.
    Meant,
    /// Where a chart repository has the version of a lock.
    Locked {
        version: String,
        digest: Digest,
        size: u64,
    },
    /// A chart's archive.
    Archive(Meant),
    /// The manifest that a plugin's reference names now.
    Named,
    /// A plugin's manifest that is pinned.
    Manifest(Pin),
    /// The same, and the component.
    Plugin(Pin),
    /// The signatures of a plugin's manifest.
    Signatures(Digest),
    /// A token for the registry.
    Token(Realm),
    /// Nothing: it tries what must not be possible.
    Try(Vec<OsString>),
}

/// A [`RegistryPin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::process) struct Pin {
    manifest: Digest,
    component: Digest,
    pub(super) size: u64,
}

/// All that a process is told. It may hold a secret, so it has no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::process) struct Told {
    pub(super) get: Get,
    pub(super) of: Of,
    pub(super) limits: ExternalLimits,
    pub(super) http: Http,
    pub(super) rules: Rules,
    /// The ports that it may connect to.
    pub(super) ports: Vec<u16>,
    /// The header that the registry is shown.
    pub(super) token: Option<String>,
    /// What of its time is over.
    pub(super) spent: Duration,
    /// The file that it fills.
    pub(super) output: OsString,
}

/// An [`ExternalPolicy`], with the credentials for one origin.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    hosts: Option<Vec<String>>,
    shared: bool,
    access: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    host: String,
    given: Option<Shown>,
    /// There are credentials, which it is not given.
    is_anothers: bool,
    unreadable: Option<String>,
    ca_file: Option<OsString>,
}

/// What a process has got.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::process) enum Got {
    /// Which archive it is.
    Meant(Meant),
    /// What lies in the file: parts of these lengths.
    Parts(Vec<u64>),
}

/// Why a process has got nothing.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::process) enum Short {
    /// It lacks something that its host may give to the next one.
    Lack(Lack),
    /// It cannot be got.
    Failed(Failure),
}

impl Of {
    /// The reference as it is written.
    pub(in crate::process) fn text(&self) -> String {
        match self {
            Of::External(reference) => reference.as_str().to_owned(),
            Of::Plugin(reference) => reference.to_string(),
        }
    }

    /// Where it is asked for first.
    pub(super) fn origin(&self) -> Origin {
        match self {
            Of::Plugin(reference) => Origin::of_registry(reference.host()),
            Of::External(reference) => match reference.kind() {
                ReferenceKind::Oci { host, .. } => Origin::of_registry(host),
                ReferenceKind::Chart { url, .. } | ReferenceKind::Git { url, .. } => {
                    Origin::of(url)
                }
            },
        }
    }

    /// The registry, and the name of the repository there.
    pub(super) fn registry(&self) -> Option<(&HostPort, &str)> {
        match self {
            Of::Plugin(reference) => Some((reference.host(), reference.path())),
            Of::External(reference) => match reference.kind() {
                ReferenceKind::Oci { host, path, .. } => Some((host, path)),
                ReferenceKind::Chart { .. } | ReferenceKind::Git { .. } => None,
            },
        }
    }
}

impl Pin {
    pub(super) fn of(pin: RegistryPin) -> Pin {
        Pin {
            manifest: pin.manifest,
            component: pin.component,
            size: pin.size,
        }
    }

    pub(super) fn meant(self) -> RegistryPin {
        RegistryPin {
            manifest: self.manifest,
            component: self.component,
            size: self.size,
        }
    }
}

impl Rules {
    /// What a process is told that asks this origin: of all hosts how they are trusted, of this one what is shown to it.
    pub(super) fn narrowed(policy: &ExternalPolicy, origin: &Origin) -> Rules {
        let own = AccessHost::of(origin);
        let entry = |(host, access): (&AccessHost, &ExternalAccess)| {
            let credentials = access.credentials.clone().map(CredentialsFrom::Given);
            let has_any = credentials.is_some() || access.unreadable.is_some();
            Entry {
                host: host.to_string(),
                given: credentials.filter(|_| *host == own).as_ref().map(Shown::of),
                is_anothers: has_any && *host != own,
                unreadable: access.unreadable.clone(),
                ca_file: access.ca_file.as_deref().map(os),
            }
        };
        let hosts = policy.hosts.as_ref();
        Rules {
            hosts: hosts.map(|hosts| hosts.iter().map(ToString::to_string).collect()),
            shared: policy.shared,
            access: policy.access.iter().map(entry).collect(),
        }
    }

    /// As the process has them, and the hosts that its own has more for.
    pub(super) fn policy(self) -> Result<(ExternalPolicy, Vec<AccessHost>), String> {
        let hosts = self.hosts.map(|hosts| {
            let parsed = hosts.iter().map(|host| host.parse());
            parsed.collect::<Result<Vec<_>, String>>()
        });
        let mut policy = ExternalPolicy {
            hosts: hosts.transpose()?,
            shared: self.shared,
            ..ExternalPolicy::default()
        };
        let mut others = Vec::new();
        for entry in self.access {
            let host: AccessHost = entry.host.parse()?;
            if entry.is_anothers {
                others.push(host.clone());
            }
            let access = ExternalAccess {
                credentials: entry.given.and_then(given),
                unreadable: entry.unreadable,
                ca_file: entry.ca_file.map(PathBuf::from),
            };
            policy.access.insert(host, access);
        }
        Ok((policy, others))
    }
}

/// Credentials themselves: a host reads their files.
fn given(shown: Shown) -> Option<Credentials> {
    match shown.from() {
        CredentialsFrom::Given(credentials) => Some(credentials),
        CredentialsFrom::TokenFile(_) | CredentialsFrom::PasswordFile { .. } => None,
    }
}

pub(super) fn os(path: &Path) -> OsString {
    path.as_os_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn a_process_is_told_all_rules_and_the_credentials_of_one_origin() {
        let token = |text: &str| ExternalAccess {
            credentials: Some(Credentials::Token(Secret::new(text))),
            unreadable: None,
            ca_file: Some("/ca.pem".into()),
        };
        let hosts = ["a.example", "*.b.example:8443", "http://127.0.0.1:5000"];
        let mut policy = ExternalPolicy {
            hosts: Some(hosts.iter().map(|host| host.parse().unwrap()).collect()),
            shared: true,
            ..ExternalPolicy::default()
        };
        for (host, text) in [("a.example", "hunter2"), ("x.b.example:8443", "hunter3")] {
            policy.access.insert(host.parse().unwrap(), token(text));
        }
        let reference: Reference = "oci://a.example/web".parse().unwrap();
        let origin = Of::External(reference).origin();
        let told = serde_json::to_string(&Rules::narrowed(&policy, &origin)).unwrap();
        assert!(
            told.contains("hunter2") && !told.contains("hunter3"),
            "{told}"
        );
        let rules: Rules = serde_json::from_str(&told).unwrap();
        let (narrow, others) = rules.policy().unwrap();
        assert_eq!((&narrow.hosts, narrow.shared), (&policy.hosts, true));
        let other: AccessHost = "x.b.example:8443".parse().unwrap();
        assert_eq!(others, [other]);
        let kept = |host: &str| narrow.access[&host.parse::<AccessHost>().unwrap()].clone();
        assert_eq!(kept("a.example").credentials, token("hunter2").credentials);
        assert_eq!(kept("x.b.example:8443").credentials, None);
        assert_eq!(kept("x.b.example:8443").ca_file, token("").ca_file);
    }
}
