//! One repository as this host is to follow it: what both the flags and the host's file become.

use std::collections::BTreeMap;
use std::path::PathBuf;

use weir_core::allow::Allow;
use weir_core::grant::Millis;
use weir_core::guard::GuardLimits;
use weir_core::name::{RepoPath, RepositoryName, TargetName};
use weir_core::policy::Heal;
use weir_core::tree::TreeLimits;
use weir_source::{
    Credentials, CredentialsFrom, FetchLimits, HttpOptions, RefName, RepoUrl, Secret, Source,
    SourceConfig, SshOptions,
};

use crate::commits::Commits;
use crate::config::{Bound, Places};
use crate::error::Error;
use crate::keyring::Decrypt;
use crate::plugins::rules::Rules;
use crate::prepare::ManifestFrom;
use crate::random::Whose;
use crate::sync::SyncLimits;
use crate::workers;

/// Which repository, how it is reached, and what is done with it.
#[derive(Debug, Clone)]
pub(crate) struct RepositorySettings {
    /// Where it is and how it is talked to.
    pub(crate) reach: Reach,
    /// The branch or tag that is followed.
    pub(crate) reference: RefName,
    /// Where its manifest lies.
    pub(crate) manifest: ManifestAt,
    /// How often it is asked.
    pub(crate) interval: Millis,
    /// What the host does by itself.
    pub(crate) policy: Policy,
    /// Where its apps land, by the manifest's names.
    pub(crate) targets: BTreeMap<TargetName, Bound>,
    /// What any repository of its kind may have; `None` for all.
    pub(crate) bound: Option<Allow>,
    /// What it may have at its targets; `None` for all.
    pub(crate) allow: Option<Allow>,
    /// Which of its commits are followed; `None` for all.
    pub(crate) commits: Option<Commits>,
    /// Where the keys are that its Secrets are opened with.
    pub(crate) decrypt: Decrypt,
    /// Which plugins are taken for it.
    pub(crate) plugins: Rules,
}

/// What Repositories of the cluster may have at most, as the host's operator says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bounds {
    /// Namespaces and kinds; `None` for all.
    pub(crate) allow: Option<Allow>,
    /// Which plugins are taken.
    pub(crate) plugins: Rules,
}

/// What the host does by itself with a repository and its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Nothing is fetched, rendered or written; what is there stays.
    pub(crate) suspend: bool,
    /// What happens to changes that someone else made at the target, where the app does not report them itself.
    pub(crate) heal: Heal,
    /// What may be deleted without a person.
    pub(crate) guard: GuardLimits,
    /// Whether its plugins may be given stable random bytes where its manifest grants them.
    pub(crate) may_random: bool,
}

impl Policy {
    /// What it allows every app.
    pub(crate) fn limits(&self) -> SyncLimits {
        SyncLimits {
            guard: self.guard,
            heal: self.heal,
        }
    }
}

impl Default for Policy {
    /// What a host does that was told nothing else.
    fn default() -> Policy {
        Policy {
            suspend: false,
            heal: Heal::default(),
            guard: GuardLimits::HOST,
            may_random: true,
        }
    }
}

/// Where a repository's manifest lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ManifestAt {
    /// In its tree.
    Tree,
    /// On this host.
    File(PathBuf),
    /// What this place says, which is a name for people.
    Text(String, String),
    /// There is none: one app from this directory.
    Path(RepoPath),
}

/// Where a repository is and how it is talked to.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    /// What this host calls it.
    pub(crate) name: RepositoryName,
    /// Where it is.
    pub(crate) url: RepoUrl,
    /// What is shown to its server.
    pub(crate) auth: Auth,
    /// Certificates (PEM) to trust instead of the public ones.
    pub(crate) ca_file: Option<PathBuf>,
    /// A client certificate and its key (PEM).
    pub(crate) client_cert: Option<(PathBuf, PathBuf)>,
    /// A proxy for http and https.
    pub(crate) proxy: Option<Secret>,
}

/// What is shown to a Git server. Files are read at each fetch, so that they may change while a host runs.
#[derive(Debug, Clone)]
pub(crate) enum Auth {
    /// Nothing.
    None,
    /// A token that is known already.
    Token(Secret),
    /// A token from a file.
    TokenFile(PathBuf),
    /// A user with a password from a file.
    Password {
        /// The user.
        user: String,
        /// The file.
        file: PathBuf,
    },
    /// A key, to a server that is known by its own.
    Ssh {
        /// The private key.
        key: PathBuf,
        /// The servers' keys.
        known_hosts: PathBuf,
    },
}

impl Reach {
    /// The source, opened. Nothing is asked over the network.
    pub(crate) fn open(&self, places: &Places, reference: &RefName) -> Result<Source, Error> {
        let http = HttpOptions {
            ca_file: self.ca_file.clone(),
            client_cert: self.client_cert.clone(),
            proxy: self.proxy.clone(),
            ..HttpOptions::host()
        };
        let config = SourceConfig {
            name: self.name.clone(),
            url: self.url.clone(),
            reference: reference.clone(),
            cache_dir: places.cache.join("git"),
            credentials: self.auth.credentials(),
            http,
            ssh: self.auth.ssh(),
            fetch_limits: FetchLimits::HOST,
            tree_limits: TreeLimits::HOST,
            fetching: workers::fetching(places.isolation)?,
        };
        Source::open(config).map_err(|e| Error::stage("fetch", &e))
    }
}

impl Auth {
    /// What is shown over http and https.
    pub(crate) fn credentials(&self) -> Option<CredentialsFrom> {
        match self {
            Auth::None | Auth::Ssh { .. } => None,
            Auth::Token(token) => Some(CredentialsFrom::Given(Credentials::Token(token.clone()))),
            Auth::TokenFile(file) => Some(CredentialsFrom::TokenFile(file.clone())),
            Auth::Password { user, file } => Some(CredentialsFrom::PasswordFile {
                user: user.clone(),
                file: file.clone(),
            }),
        }
    }

    /// How ssh is spoken.
    fn ssh(&self) -> SshOptions {
        match self {
            Auth::Ssh { key, known_hosts } => SshOptions {
                key_file: Some(key.clone()),
                known_hosts_file: Some(known_hosts.clone()),
                ..SshOptions::host()
            },
            _ => SshOptions::host(),
        }
    }
}

impl RepositorySettings {
    /// Whose renders are made of it.
    pub(crate) fn whose(&self) -> Whose {
        Whose {
            repository: self.reach.name.clone(),
            may: self.policy.may_random,
            rules: self.plugins.clone(),
        }
    }
}

impl ManifestAt {
    /// The manifest's place with its text, where that lies on this host.
    pub(crate) fn read(&self) -> Result<ManifestFrom, Error> {
        match self {
            ManifestAt::Tree => Ok(ManifestFrom::Tree),
            ManifestAt::Path(path) => Ok(ManifestFrom::Path(path.clone())),
            ManifestAt::Text(place, text) => {
                Ok(ManifestFrom::Host(place.clone(), text.clone().into_bytes()))
            }
            ManifestAt::File(file) => {
                let text = std::fs::read(file)
                    .map_err(|e| Error::Usage(format!("manifest {}: {e}", file.display())))?;
                Ok(ManifestFrom::Host(file.display().to_string(), text))
            }
        }
    }
}
