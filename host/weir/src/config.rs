//! From flags as typed to settings as meant: where state and caches lie, which repository, which targets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_cluster::kube::KubeLimits;
use weir_core::digest::Digest;
use weir_core::grant::Millis;
use weir_core::name::{RepoPath, RepositoryName};
use weir_receipt::SecretAt;
use weir_source::{RefName, RepoUrl, Secret, Source};

use crate::error::Error;
use crate::externals::ExternalsConfig;
use crate::plugins::rules::Rules;
use crate::random::Whose;
use crate::repository::{Auth, ManifestAt, Reach};

mod auth;
mod commits;
mod decrypt;
mod externals;
pub(crate) mod file;
mod guard;
mod isolation;
mod ledger;
mod parsed;
mod place;
mod plugins;
mod random;
mod tenancy;

pub(crate) use commits::CommitArgs;
pub(crate) use decrypt::DecryptArgs;
pub(crate) use externals::schema as externals_schema;
pub(crate) use isolation::Isolation;
pub(crate) use place::{AccountBinding, Bound, TargetBinding, TargetPlace, bindings};
pub(crate) use random::RandomArgs;
pub(crate) use tenancy::check_patterns;

/// Flags that every command takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct GlobalArgs {
    /// Where the ledger and other state lie [default: $XDG_STATE_HOME/weir]
    #[arg(long, global = true, env = "WEIR_STATE", value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) ledger: ledger::LedgerArgs,
    #[command(flatten)]
    pub(crate) random: RandomArgs,
    /// Where caches lie; safe to delete [default: $XDG_CACHE_HOME/weir]
    #[arg(long, global = true, env = "WEIR_CACHE", value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Where bundled plugins lie [default: the folder `plugins` beside the binary]
    #[arg(long, global = true, env = "WEIR_PLUGIN_DIR", value_name = "DIR")]
    plugin_dir: Option<PathBuf>,
    /// The kubeconfig of kube: targets [default: the files of $KUBECONFIG, or ~/.kube/config; in a pod, its own account]
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// How long one request to a cluster may take until it is given up, 1s to 10m [default: 36s]
    #[arg(
        long,
        global = true,
        env = "WEIR_REQUEST_TIMEOUT",
        value_name = "TIME",
        value_parser = request_timeout
    )]
    request_timeout: Option<Duration>,
    /// Which hosts charts and bases may come from, and what is shown to them [default: all of https, http on this machine]
    #[arg(long, global = true, env = "WEIR_EXTERNALS", value_name = "FILE")]
    externals: Option<PathBuf>,
    /// Where plugins run and repositories are fetched [default: serve: processes, where the system has them; all else: in-process]
    #[arg(
        long,
        global = true,
        value_enum,
        env = "WEIR_ISOLATION",
        value_name = "HOW"
    )]
    pub(crate) isolation: Option<Isolation>,
    /// What is logged to stderr: a level, or directives such as info,weir_source=debug
    #[arg(
        long,
        global = true,
        env = "WEIR_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub(crate) log: String,
    /// How logs are written
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub(crate) log_format: crate::logs::LogFormat,
}

/// Where this host keeps things.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// Every component that a live lock names, the control socket, and the ledger where it lies nowhere else.
    pub(crate) state: PathBuf,
    /// Where the ledger lies.
    pub(crate) ledger: weir_ledger::Place,
    /// What can be made again: Git objects, compiled plugins.
    pub(crate) cache: PathBuf,
    /// Where bundled components are looked for, in order.
    pub(crate) plugins: Vec<PathBuf>,
    /// Where kubeconfigs are looked for.
    pub(crate) kube: KubeHome,
    /// Where the secret of stable random bytes is.
    pub(crate) random: SecretAt,
    /// Where externals may come from.
    pub(crate) externals: ExternalsConfig,
    /// Where plugins run and repositories are fetched.
    pub(crate) isolation: Isolation,
}

/// What this host knows of clusters.
#[derive(Debug, Clone)]
pub(crate) struct KubeHome {
    /// The kubeconfig's files, merged in order as kubectl does; the ones that do not exist are passed over.
    pub(crate) files: Vec<PathBuf>,
    /// Whether the pod's own account is used where there is no kubeconfig.
    pub(crate) in_cluster: bool,
    /// How much is asked of one, and how long it is waited for.
    pub(crate) limits: KubeLimits,
}

impl KubeHome {
    /// From the flags and the environment.
    fn of(flag: Option<&PathBuf>, request: Option<Duration>) -> KubeHome {
        let limits = KubeLimits {
            request: request.unwrap_or(KubeLimits::HOST.request),
            ..KubeLimits::HOST
        };
        let variable = std::env::var_os("KUBECONFIG").filter(|v| !v.is_empty());
        let (files, said) = match (flag, variable) {
            (Some(file), _) => (vec![file.clone()], true),
            (None, Some(list)) => (std::env::split_paths(&list).collect(), true),
            (None, None) => {
                let home = std::env::var_os("HOME").map(PathBuf::from);
                let file = home.map(|h| h.join(".kube/config"));
                (file.into_iter().collect(), false)
            }
        };
        let pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some_and(|v| !v.is_empty());
        KubeHome {
            files,
            // A file that was named is meant: without it, another cluster is no answer.
            in_cluster: pod && !said,
            limits,
        }
    }
}

/// A time that one request to a cluster may take.
fn request_timeout(text: &str) -> Result<Duration, String> {
    let Millis(time) = text.parse::<Millis>().map_err(|e| e.to_string())?;
    match time {
        1_000..=600_000 => Ok(Duration::from_millis(time)),
        _ => Err("expected a time from 1s to 10m".to_owned()),
    }
}

impl GlobalArgs {
    /// Where things lie, from flags and the environment.
    pub(crate) fn places(&self) -> Result<Places, Error> {
        let base = |given: &Option<PathBuf>, variable: &str, home: &str, flag: &str| {
            if let Some(dir) = given {
                return Ok(dir.clone());
            }
            let absolute = |name: &str| {
                std::env::var_os(name)
                    .map(PathBuf::from)
                    .filter(|p| p.is_absolute())
            };
            absolute(variable)
                .or_else(|| absolute("HOME").map(|h| h.join(home)))
                .map(|dir| dir.join("weir"))
                .ok_or_else(|| Error::Usage(format!("neither --{flag}, ${variable} nor $HOME says where to keep it: give --{flag} DIR")))
        };
        let state = base(&self.state, "XDG_STATE_HOME", ".local/state", "state")?;
        let cache = base(&self.cache, "XDG_CACHE_HOME", ".cache", "cache")?;
        let mut plugins = Vec::new();
        match &self.plugin_dir {
            Some(dir) => plugins.push(dir.clone()),
            None => plugins.extend(beside_binary()),
        }
        plugins.push(cache.join("plugins"));
        plugins.push(state.join("plugins"));
        Ok(Places {
            ledger: self.ledger.place(&state)?,
            random: self.random.at(None, &state),
            state,
            cache,
            plugins,
            kube: KubeHome::of(self.kubeconfig.as_ref(), self.request_timeout),
            externals: match &self.externals {
                Some(path) => externals::read(path)?,
                None => ExternalsConfig::default(),
            },
            isolation: self.isolation.unwrap_or(Isolation::COMMAND),
        })
    }

    /// The flag for externals, where it is given.
    pub(crate) fn externals(&self) -> Option<&Path> {
        self.externals.as_deref()
    }
}

/// `plugins` beside the binary, and in a Cargo target folder beside the profile's.
fn beside_binary() -> Vec<PathBuf> {
    let Ok(exe) = std::env::current_exe() else {
        return Vec::new();
    };
    let dirs = exe.ancestors().skip(1).take(2);
    dirs.map(|dir| dir.join("plugins"))
        .filter(|dir| dir.is_dir())
        .collect()
}

/// Which renders run twice.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct CanaryArgs {
    /// Run so many percent of all renders a second time, on another engine with code compiled anew, and fail the app
    /// where the two differ [default: 0]
    #[arg(
        long,
        env = "WEIR_CANARY",
        value_name = "PERCENT",
        value_parser = clap::value_parser!(u8).range(0..=100)
    )]
    pub(crate) canary: Option<u8>,
}

/// Which repository, and how to reach it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RepoArgs {
    /// The repository: a path, an http or https URL, ssh://USER@HOST/PATH or USER@HOST:PATH
    #[arg(long, default_value = ".", value_name = "PATH|URL")]
    pub(crate) repo: String,
    /// What this host calls the repository [default: from the URL]
    #[arg(long, value_name = "NAME")]
    name: Option<RepositoryName>,
    /// Follow a repository without weir.yaml: one app from this directory
    #[arg(long, value_name = "DIR", conflicts_with = "manifest")]
    pub(crate) path: Option<RepoPath>,
    /// Use this manifest of the host's instead of the repository's weir.yaml
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// A file that holds a token for the Git host
    #[arg(long, value_name = "FILE", conflicts_with_all = ["username", "password_file"])]
    token_file: Option<PathBuf>,
    /// The user for the Git host
    #[arg(long, requires = "password_file")]
    username: Option<String>,
    /// A file that holds the user's password
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// The private key for ssh, without a passphrase; no agent and no other key is asked
    #[arg(
        long,
        value_name = "FILE",
        requires = "known_hosts_file",
        conflicts_with_all = ["token_file", "username", "password_file"]
    )]
    ssh_key_file: Option<PathBuf>,
    /// The keys that servers are known by over ssh, in the format of known_hosts; no other file is read
    #[arg(long, value_name = "FILE", requires = "ssh_key_file")]
    known_hosts_file: Option<PathBuf>,
    /// Certificates (PEM) to trust for https, besides the public ones
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// A client certificate (PEM) for https
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// The client certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// A proxy for http and https, such as http://proxy:3128
    #[arg(long, value_name = "URL", value_parser = secret)]
    proxy: Option<Secret>,
}

impl RepoArgs {
    /// The source, opened.
    pub(crate) fn open(&self, places: &Places, reference: &str) -> Result<Source, Error> {
        let reach = self.reach()?;
        reach.open(places, &ref_name(reference)?)
    }

    /// The repository and how it is reached, as meant.
    pub(crate) fn reach(&self) -> Result<Reach, Error> {
        let url = self.url()?;
        Ok(Reach {
            name: self.repository(&url)?,
            auth: self.auth(&url),
            url,
            ca_file: self.ca_file.clone(),
            client_cert: self.client_cert.clone().zip(self.client_key.clone()),
            proxy: self.proxy.clone(),
        })
    }

    /// Whose renders a command makes: those of the repository as this host calls it.
    pub(crate) fn whose(&self) -> Result<Whose, Error> {
        Ok(Whose {
            repository: self.repository(&self.url()?)?,
            may: true,
            rules: Rules::default(),
        })
    }

    /// Where the manifest lies, as the flags say.
    pub(crate) fn manifest(&self) -> ManifestAt {
        match (&self.path, &self.manifest) {
            (Some(path), _) => ManifestAt::Path(path.clone()),
            (None, Some(file)) => ManifestAt::File(file.clone()),
            (None, None) => ManifestAt::Tree,
        }
    }

    /// The URL as meant.
    pub(crate) fn url(&self) -> Result<RepoUrl, Error> {
        self.repo
            .parse()
            .map_err(|e| Error::Usage(format!("--repo: {e}")))
    }

    /// What this host calls the repository: its last part, made a name, and a few digits of the whole URL.
    fn repository(&self, url: &RepoUrl) -> Result<RepositoryName, Error> {
        match &self.name {
            Some(name) => Ok(name.clone()),
            None => {
                default_name(&url.to_string()).map_err(|e| Error::Usage(format!("--name: {e}")))
            }
        }
    }

    fn auth(&self, url: &RepoUrl) -> Auth {
        if let (Some(key), Some(known_hosts)) = (&self.ssh_key_file, &self.known_hosts_file) {
            let (key, known_hosts) = (key.clone(), known_hosts.clone());
            return Auth::Ssh { key, known_hosts };
        }
        if let Some(file) = &self.token_file {
            return Auth::TokenFile(file.clone());
        }
        if let (Some(user), Some(file)) = (&self.username, &self.password_file) {
            let (user, file) = (user.clone(), file.clone());
            return Auth::Password { user, file };
        }
        // Meant for whichever repository wants a token: to ssh it says nothing.
        let token = std::env::var("WEIR_GIT_TOKEN")
            .ok()
            .filter(|t| !t.is_empty() && matches!(url, RepoUrl::Http(_)));
        token.map_or(Auth::None, |t| Auth::Token(Secret::new(t)))
    }
}

fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    text.parse()
}

/// A ref as a flag gave it.
pub(crate) fn ref_name(text: &str) -> Result<RefName, Error> {
    text.parse()
        .map_err(|e| Error::Usage(format!("--ref: {e}")))
}

/// What a repository is called that was given no name: its last part, and a few digits of the whole URL.
pub(crate) fn default_name(identity: &str) -> Result<RepositoryName, weir_core::name::NameError> {
    let last = identity
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default();
    let mut name: String = last
        .trim_end_matches(".git")
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(40)
        .collect();
    name = name.trim_matches('-').to_owned();
    if name.is_empty() {
        name.push_str("repository");
    }
    format!("{name}-{}", &Digest::of(identity.as_bytes()).hex()[..8]).parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_named_after_its_url() {
        let name = default_name("https://git.example/team/Shop_Apps.git").unwrap();
        assert!(name.as_str().starts_with("shop-apps-"), "{name}");
        assert_ne!(
            name,
            default_name("https://git.example/other/Shop_Apps.git").unwrap()
        );
        assert!(
            default_name("///")
                .unwrap()
                .as_str()
                .starts_with("repository-")
        );
    }
}
