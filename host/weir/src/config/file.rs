//! The host's file: several repositories for one process, read as strictly as a manifest.
//!
//! Keys are the words of the flags. Every refusal stands at its line and column; as many as can be found are
//! reported at once. docs/host-config.md says what each key means.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use weir_core::grant::Millis;
use weir_core::manifest::{Errors, ManifestErrors, Place, Version, document, schema_of};
use weir_core::name::{RepoPath, RepositoryName, TargetName};
use weir_core::policy::Heal;
use weir_core::retention::Retention;
use weir_core::yaml::{Mark, Node, decode};
use weir_source::{RefName, RepoUrl, Secret};

use super::auth::{RawAuth, auth};
use super::commits::RawCommits;
use super::decrypt::RawDecrypt;
use super::default_name;
use super::externals::{self, RawExternals};
use super::guard::{RawGuard, guard};
use super::isolation::Isolation;
use super::ledger::{LedgerConfig, RawLedger, RawRetention};
use super::parsed::Parsed;
use super::plugins::RawPlugins;
use super::random::RawGrants;
use super::tenancy::{RawAllow, RawCluster, RawTarget, given};
use crate::error::Error;
use crate::externals::ExternalsConfig;
use crate::plugins::rules::Rules;
use crate::repository::{Bounds, ManifestAt, Policy, Reach, RepositorySettings};

/// The most repositories of one host.
const MAX_REPOSITORIES: usize = 1_000;
/// The most targets of one repository.
const MAX_TARGETS: usize = 100;
/// The most apps that may sync at once.
const MAX_PARALLEL: usize = 256;
/// The largest file, in bytes. The reader's own limit is the same.
const MAX_BYTES: u64 = 4 << 20;
/// Apps that sync at once over all repositories, where the file does not say it.
pub(crate) const PARALLEL: usize = 8;
/// How often a repository is asked, where nothing says it.
pub(crate) const INTERVAL: Millis = Millis(15_000);
/// The shortest time between two polls.
const LEAST_INTERVAL: Millis = Millis(100);
/// The longest.
const MOST_INTERVAL: Millis = Millis(24 * 3_600_000);

/// What a host is told by its file.
#[derive(Debug)]
pub(crate) struct HostFile {
    /// Where the API answers, where the file says it.
    pub(crate) listen: Option<SocketAddr>,
    /// Apps that sync at once over all repositories.
    pub(crate) parallel: usize,
    /// Each with a name of its own; at least one, or there are bounds.
    pub(crate) repositories: Vec<RepositorySettings>,
    /// What Repository resources may have at most, where they are followed.
    pub(crate) bounds: Option<Bounds>,
    /// Where externals may come from, where the file says it.
    pub(crate) externals: Option<ExternalsConfig>,
    /// So many percent of all renders run twice.
    pub(crate) canary: u8,
    /// Where plugins run and repositories are fetched, where the file says it.
    pub(crate) isolation: Option<Isolation>,
    /// Where the ledger lies, where the file says it.
    pub(crate) ledger: Option<LedgerConfig>,
    /// How long records are kept, where the file says it.
    pub(crate) retention: Option<Retention>,
    /// The secret of stable random bytes, where the file says it.
    pub(crate) random_secret: Option<PathBuf>,
}

impl HostFile {
    /// What a file would say that has these repositories and nothing else.
    pub(crate) fn alone(repositories: Vec<RepositorySettings>) -> HostFile {
        HostFile {
            listen: None,
            parallel: PARALLEL,
            repositories,
            bounds: None,
            externals: None,
            isolation: None,
            canary: 0,
            ledger: None,
            retention: None,
            random_secret: None,
        }
    }
}

/// The repositories that one `weir serve --config FILE` follows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "weir serve --config")]
struct RawHost {
    /// The version of this file's format: 1.
    #[expect(
        dead_code,
        reason = "reading it is the check; there is only one version"
    )]
    version: Version,
    /// Where the API answers, such as `127.0.0.1:7117`. The flag `--listen` wins.
    #[schemars(with = "Option<String>")]
    listen: Option<Parsed<Listen>>,
    /// How many apps sync at once over all repositories. Left out: 8.
    parallel: Option<usize>,
    /// The repositories.
    #[serde(default)]
    repositories: Vec<RawRepository>,
    /// Follow the Repository resources of the cluster that the kubeconfig, or the pod, is in, too. Left out: the flag
    /// `--cluster`.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "RawCluster")]
    cluster: Option<RawCluster>,
    /// Where the repositories' charts and bases may come from. Left out: https at public addresses.
    externals: Option<RawExternals>,
    /// Which plugins are taken for all repositories. Left out: all that `externals` lets this host reach.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "RawPlugins")]
    plugins: Option<RawPlugins>,
    /// So many percent of all renders run twice, and have to come to the same. Left out: 0. The flag `--canary` wins.
    canary: Option<usize>,
    /// Where plugins run and remote repositories are fetched: `processes` without rights, as far as the kernel can take them away; `confined`, where it has to
    /// take all of them away; or `in-process`. Left out: `processes`. The flag `--isolation` wins.
    isolation: Option<Isolation>,
    /// A ledger in a bucket. Left out: the flag `--ledger`, or else the folder `ledger` below `--state`.
    ledger: Option<RawLedger>,
    /// How long records are kept. Left out: the flags `--retention-days` and `--retention-records`, or else for ever.
    retention: Option<RawRetention>,
    /// The file with the secret that stable random bytes are made from. Left out: the flag `--random-secret`, or else one below `--state`.
    random_secret: Option<PathBuf>,
}

/// One repository.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawRepository {
    /// What this host calls it. Left out: made from the URL.
    #[schemars(with = "Option<String>")]
    name: Option<RepositoryName>,
    /// Where it is: an http or https URL without credentials, `ssh://USER@HOST/PATH`, `USER@HOST:PATH`, or a path.
    #[schemars(with = "String")]
    url: Parsed<RepoUrl>,
    /// The branch or tag that is followed. Left out: `main`.
    #[serde(rename = "ref")]
    #[schemars(with = "Option<String>")]
    reference: Option<Parsed<RefName>>,
    /// Follow a repository without weir.yaml: one app from this directory of it.
    #[schemars(with = "Option<String>")]
    path: Option<RepoPath>,
    /// A manifest on this host instead of the repository's weir.yaml.
    manifest: Option<PathBuf>,
    /// How often it is asked, such as `15s` (which it is when left out); up to a tenth is added by chance.
    #[schemars(with = "Option<String>")]
    interval: Option<Millis>,
    /// Fetch and write nothing; what is there stays.
    #[serde(default)]
    suspend: bool,
    /// What happens to changes that someone else made at the target: `enforce` undoes them, `report` says them.
    #[serde(default)]
    heal: Heal,
    /// How much of an app may be deleted without `weir approve`.
    guard: Option<RawGuard>,
    /// Where its apps land, by the manifest's names: `default: dir:PATH`, `kube:CONTEXT`, or a map with `place`, the
    /// service account `as` which it is used, and what is allowed there.
    #[schemars(with = "BTreeMap<String, RawTarget>")]
    targets: BTreeMap<TargetName, RawTarget>,
    /// What it may have at its targets. Left out: all.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "RawAllow")]
    allow: Option<RawAllow>,
    /// Which commits are followed. Left out: all.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "RawCommits")]
    commits: Option<RawCommits>,
    /// Which plugins are taken for it, of those that the host takes. Left out: all of them.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "RawPlugins")]
    plugins: Option<RawPlugins>,
    /// What its plugins may be given where its manifest grants it. Left out: all that can be granted.
    #[serde(default)]
    grants: RawGrants,
    /// Where the keys are that its encrypted Secrets are opened with. Left out: there are none.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "RawDecrypt")]
    decrypt: Option<RawDecrypt>,
    /// What is shown to the Git host.
    #[serde(default)]
    auth: Option<RawAuth>,
    /// How https is spoken.
    #[serde(default)]
    tls: RawTls,
    /// A proxy for http and https, such as `http://proxy:3128`.
    #[schemars(with = "Option<String>")]
    proxy: Option<Parsed<Secret>>,
}

/// How https is spoken.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawTls {
    /// Certificates (PEM) to trust besides the public ones.
    ca_file: Option<PathBuf>,
    /// A client certificate (PEM).
    client_cert: Option<PathBuf>,
    /// The client certificate's key (PEM).
    client_key: Option<PathBuf>,
}

/// An address to listen on.
#[derive(Debug, Clone, Copy)]
struct Listen(SocketAddr);

impl FromStr for Listen {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let address = s.parse().map(Listen);
        address.map_err(|_| format!("{s:?}: expected IP:PORT, such as 127.0.0.1:7117"))
    }
}

/// The JSON Schema of the host's file, for editors.
pub(crate) fn schema() -> Value {
    schema_of::<RawHost>()
}

/// Reads the host's file. Paths in it are relative to it.
pub(crate) fn read(path: &Path) -> Result<HostFile, Error> {
    let (text, file, base) = open("config", path)?;
    parse(&text, &file, &base).map_err(|e| Error::Usage(e.to_string()))
}

/// The text of a file that a flag names, what errors call it, and where its relative paths begin.
pub(super) fn open(flag: &str, path: &Path) -> Result<(Vec<u8>, String, PathBuf), Error> {
    let file = path.display().to_string();
    let wrong = |e: &dyn Display| Error::Usage(format!("--{flag} {file}: {e}"));
    let size = std::fs::metadata(path).map_err(|e| wrong(&e))?.len();
    if size > MAX_BYTES {
        return Err(wrong(&format_args!(
            "{size} bytes: expected at most {MAX_BYTES}"
        )));
    }
    let text = std::fs::read(path).map_err(|e| wrong(&e))?;
    let base = std::path::absolute(path).map_err(|e| wrong(&e))?;
    let base = base.parent().unwrap_or(Path::new("/")).to_path_buf();
    Ok((text, file, base))
}

pub(super) fn parse(text: &[u8], file: &str, base: &Path) -> Result<HostFile, ManifestErrors> {
    let node = document(text, file)?;
    let raw = typed(&node, file)?;
    let mut errors = Errors::new(file);
    let root = Place::root(&node);
    let parallel = raw.parallel.unwrap_or(PARALLEL);
    if !(1..=MAX_PARALLEL).contains(&parallel) {
        let message = format!("expected a number from 1 to {MAX_PARALLEL}");
        errors.push(root.key("parallel").mark(), message);
    }
    let canary = raw.canary.map_or(Ok(0), u8::try_from);
    let canary = canary.ok().filter(|percent| *percent <= 100);
    if canary.is_none() {
        let message = "expected a number of percent from 0 to 100";
        errors.push(root.key("canary").mark(), message);
    }
    let rules = raw.plugins.map(|raw| {
        raw.meant(
            "`plugins` of this host".to_owned(),
            root.key("plugins"),
            base,
            &mut errors,
        )
    });
    let places = root.key("repositories");
    let given = raw.repositories.len();
    if given == 0 && raw.cluster.is_none() {
        errors.push(places.mark(), "expected at least one repository");
    }
    if given > MAX_REPOSITORIES {
        let message = format!("{given} repositories: expected at most {MAX_REPOSITORIES}");
        errors.push(places.mark(), message);
        return Err(errors.into_errors());
    }
    let mut repositories: Vec<RepositorySettings> = Vec::new();
    let mut names: BTreeMap<RepositoryName, Mark> = BTreeMap::new();
    for (n, raw) in raw.repositories.into_iter().enumerate() {
        let place = places.index(n);
        let Some(mut settings) = repository(raw, place, base, &mut errors) else {
            continue;
        };
        settings.plugins = settings.plugins.under(rules.as_ref());
        let name = &settings.reach.name;
        if let Some(first) = names.get(name) {
            let message = format!(
                "a repository {name} is there already, at line {}: give each a name of its own",
                first.line
            );
            errors.push(place.key("name").mark(), message);
        } else {
            names.insert(name.clone(), place.mark());
        }
        if name.as_str().contains('.') {
            let message =
                "a name with a dot is that of a Repository of the cluster: give it one without";
            errors.push(place.key("name").mark(), message);
        }
        repositories.push(settings);
    }
    let externals = raw
        .externals
        .map(|raw| externals::meant(raw, root.key("externals"), base, &mut errors));
    let bounds = raw.cluster.map(|raw| Bounds {
        allow: raw.meant(root.key("cluster"), &mut errors),
        plugins: Rules::default().under(rules.as_ref()),
    });
    let retention = raw
        .retention
        .map(|raw| raw.meant(root.key("retention"), &mut errors));
    if !errors.is_empty() {
        return Err(errors.into_errors());
    }
    Ok(HostFile {
        listen: raw.listen.map(|l| l.0.0),
        parallel,
        repositories,
        bounds,
        externals,
        canary: canary.unwrap_or(0),
        isolation: raw.isolation,
        ledger: raw.ledger.map(|raw| raw.meant(base)),
        retention,
        random_secret: raw.random_secret.map(|file| base.join(file)),
    })
}

/// The file as typed. One wrong key does not hide another one in another repository.
fn typed(node: &Node, file: &str) -> Result<RawHost, ManifestErrors> {
    let mut errors = Errors::new(file);
    match decode(node) {
        Ok(raw) => return Ok(raw),
        Err(e) => errors.push(e.mark, e.message),
    }
    for repository in Place::root(node).key("repositories").items() {
        if let (false, Err(e)) = (errors.full(), decode::<RawRepository>(repository)) {
            errors.push_once(e.mark, e.message);
        }
    }
    if let (false, Some(node)) = (errors.full(), Place::root(node).key("externals").node())
        && let Err(e) = decode::<RawExternals>(node)
    {
        errors.push_once(e.mark, e.message);
    }
    if let (false, Some(node)) = (errors.full(), Place::root(node).key("plugins").node())
        && let Err(e) = decode::<RawPlugins>(node)
    {
        errors.push_once(e.mark, e.message);
    }
    Err(errors.into_errors())
}

/// One repository as meant; what is wrong with it goes to the errors.
fn repository(
    raw: RawRepository,
    place: Place<'_>,
    base: &Path,
    errors: &mut Errors<'_>,
) -> Option<RepositorySettings> {
    let before = errors.count();
    let interval = raw.interval.unwrap_or(INTERVAL);
    if let Err(message) = check_interval(interval) {
        errors.push(place.key("interval").mark(), message);
    }
    let guard = guard(raw.guard, place.key("guard"), errors);
    let manifest = match (raw.path, raw.manifest) {
        (Some(_), Some(_)) => {
            let message = "give either path or manifest: a path means that there is no manifest";
            errors.push(place.name("manifest"), message);
            ManifestAt::Tree
        }
        (Some(path), None) => ManifestAt::Path(path),
        (None, Some(file)) => ManifestAt::File(base.join(file)),
        (None, None) => ManifestAt::Tree,
    };
    if raw.targets.is_empty() || raw.targets.len() > MAX_TARGETS {
        let message = format!("expected 1 to {MAX_TARGETS} targets, such as default: 'kube:'");
        errors.push(place.key("targets").mark(), message);
    }
    let url = match raw.url.0 {
        RepoUrl::Local(path) => RepoUrl::Local(base.join(path)),
        url @ (RepoUrl::Http(_) | RepoUrl::Ssh(_)) => url,
    };
    let name = match raw.name {
        Some(name) => Some(name),
        None => errors.take(place.key("url").mark(), default_name(&url.to_string())),
    };
    let auth = auth(raw.auth, place.key("auth").mark(), base, errors);
    let client_cert = match (raw.tls.client_cert, raw.tls.client_key) {
        (Some(cert), Some(key)) => Some((base.join(cert), base.join(key))),
        (None, None) => None,
        _ => {
            let message = "client-cert and client-key go together: give both";
            errors.push(place.key("tls").mark(), message);
            None
        }
    };
    // A default that cannot be a ref would be found by every test.
    let reference = raw.reference.map_or_else(|| "main".parse(), |r| Ok(r.0));
    let reference = errors.take(place.key("ref").mark(), reference)?;
    let reach = Reach {
        name: name?,
        url,
        auth,
        ca_file: raw.tls.ca_file.map(|f| base.join(f)),
        client_cert,
        proxy: raw.proxy.map(|proxy| proxy.0),
    };
    let name = &reach.name;
    let said_by = format!("`allow` of repository {name}");
    let allow = raw
        .allow
        .map(|allow| allow.meant(said_by, place.key("allow"), errors));
    let commits = raw
        .commits
        .map(|commits| commits.meant(place.key("commits"), base, errors));
    let decrypt = raw
        .decrypt
        .map(|decrypt| decrypt.meant(place.key("decrypt"), base, errors));
    let said_by = format!("`plugins` of repository {name}");
    let plugins = raw
        .plugins
        .map(|raw| raw.meant(said_by, place.key("plugins"), base, errors));
    let at = place.key("targets");
    let targets = raw.targets.into_iter();
    let targets = targets
        .map(|(target, raw)| {
            let bound = raw.meant(&target, name, at.key(target.as_str()), base, errors);
            (target, bound)
        })
        .collect();
    let settings = RepositorySettings {
        reach,
        reference,
        manifest,
        interval,
        policy: Policy {
            suspend: raw.suspend,
            heal: raw.heal,
            guard,
            may_random: raw.grants.may_random(),
        },
        targets,
        bound: None,
        allow,
        commits,
        decrypt: decrypt.unwrap_or_default(),
        plugins: Rules::all(plugins),
    };
    (errors.count() == before).then_some(settings)
}

/// Whether a repository may be asked so often.
pub(crate) fn check_interval(interval: Millis) -> Result<(), String> {
    match (LEAST_INTERVAL..=MOST_INTERVAL).contains(&interval) {
        true => Ok(()),
        false => Err(format!(
            "expected a time from {LEAST_INTERVAL} to {MOST_INTERVAL}"
        )),
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
