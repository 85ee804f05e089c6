//! Charts: which archive a reference means, in a registry or in a chart repository, and its bytes.

use serde::{Deserialize, Serialize};
use weir_core::digest::Digest;
use weir_core::external::{HostPort, WebUrl};
use weir_core::manifest::Place;
use weir_core::yaml::{self, Budget, decode};

use super::error::ExternalError;
use super::oci::{Manifest, Registry};
use super::policy::Origin;
use super::version::Wanted;
use super::web::{Ask, Show, Web};
use crate::error::printable;
use crate::process::external::Elsewhere;

/// What says that a manifest is a Helm chart's.
const HELM_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
/// The layer with the archive; the second is what Helm wrote before it had the first.
const HELM_LAYERS: [&str; 2] = [
    "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
    "application/tar+gzip",
];
/// Versions that an error text names.
const NAMED: usize = 5;

/// An archive that is known by what it must be, before it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meant {
    pub(crate) version: String,
    /// What the server says that its digest is. A chart repository need not say it.
    pub(crate) digest: Option<Digest>,
    /// What the lock says, where it is of one.
    pub(crate) pinned: Option<Digest>,
    pub(crate) at: At,
}

/// Where an archive is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) enum At {
    /// A layer of this size.
    Layer(u64),
    /// A file.
    Url(String),
}

/// Where charts lie.
pub(crate) enum Shelf<'w, 'a> {
    Registry(Registry<'w, 'a>),
    Repository {
        web: &'w Web<'a>,
        url: &'w WebUrl,
        chart: &'w str,
    },
    /// Either of these, asked by processes of their own.
    Elsewhere(Box<Elsewhere<'w>>),
}

/// One version of a chart in an index, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Listed {
    version: String,
    #[serde(default)]
    urls: Vec<String>,
    digest: Option<String>,
}

impl Meant {
    /// A layer of a registry that a lock pins.
    pub(crate) fn layer(version: String, digest: Digest, size: u64) -> Meant {
        Meant {
            version,
            digest: Some(digest),
            pinned: Some(digest),
            at: At::Layer(size),
        }
    }
}

impl<'w, 'a> Shelf<'w, 'a> {
    pub(crate) fn registry(web: &'w Web<'a>, host: &HostPort, name: &'w str) -> Self {
        Shelf::Registry(Registry::new(web, host, name))
    }

    /// The archive that a version or a constraint means now.
    pub(crate) fn meant(&self, version: &str) -> Result<Meant, ExternalError> {
        match self {
            Shelf::Elsewhere(elsewhere) => elsewhere.meant(version),
            Shelf::Registry(registry) => {
                let about = registry.web().about;
                let wanted = Wanted::parse(version).map_err(|why| about.refused(why))?;
                in_registry(registry, &wanted, version)
            }
            Shelf::Repository { web, url, chart } => {
                let wanted = Wanted::parse(version).map_err(|why| web.about.refused(why))?;
                let listed = index(web, url, chart)?;
                let versions = || listed.iter().map(|l| l.version.as_str());
                let chosen = wanted.choose(versions());
                let chosen = chosen.ok_or_else(|| {
                    let there = named(versions().map(str::to_owned).collect());
                    web.about.not_found(format!(
                        "{url} has no version of {chart} that is {}; it has {there}",
                        asked(version)
                    ))
                })?;
                file(web, url, &listed, chosen)
            }
        }
    }

    /// The archive that a lock pins.
    pub(crate) fn locked(
        &self,
        version: &str,
        digest: Digest,
        size: u64,
    ) -> Result<Meant, ExternalError> {
        let version = version.to_owned();
        match self {
            Shelf::Elsewhere(elsewhere) => elsewhere.locked(&version, digest, size),
            Shelf::Registry(_) => Ok(Meant::layer(version, digest, size)),
            Shelf::Repository { web, url, chart } => {
                let listed = index(web, url, chart)?;
                let meant = file(web, url, &listed, &version)?;
                // What it says of itself is not asked: the bytes are held against the lock.
                Ok(Meant {
                    digest: None,
                    pinned: Some(digest),
                    ..meant
                })
            }
        }
    }

    /// An archive's bytes. They are what the server said that they are.
    pub(crate) fn bytes(&self, meant: &Meant) -> Result<Vec<u8>, ExternalError> {
        match (self, &meant.at, meant.digest) {
            (Shelf::Elsewhere(elsewhere), ..) => elsewhere.archive(meant),
            (Shelf::Registry(registry), At::Layer(size), Some(digest)) => {
                let most = registry.web().limits.archive_bytes;
                registry.blob(digest, *size, "archive_bytes", most)
            }
            (Shelf::Repository { web, .. }, At::Url(url), said) => {
                let answer = web.get(&Ask {
                    url,
                    accept: "application/gzip, application/octet-stream, */*",
                    show: Show::Own,
                    most: web.limits.archive_bytes,
                    limit: "archive_bytes",
                })?;
                let found = Digest::of(&answer.body);
                match said {
                    Some(said) if said != found => Err(web.about.changed(format!(
                        "{} has digest {found}, but its index.yaml says {said}: the chart repository has to be mended",
                        answer.url
                    ))),
                    _ => Ok(answer.body),
                }
            }
            (Shelf::Registry(registry), ..) => Err(registry
                .web()
                .about
                .refused("a registry has layers with digests only")),
            (Shelf::Repository { web, .. }, ..) => {
                Err(web.about.refused("a chart repository has files only"))
            }
        }
    }
}

fn in_registry(
    registry: &Registry<'_, '_>,
    wanted: &Wanted,
    version: &str,
) -> Result<Meant, ExternalError> {
    let about = registry.web().about;
    let missing = |tags: Vec<String>| {
        about.not_found(format!(
            "{} has no version that is {}; it has {}",
            registry.shown(),
            asked(version),
            named(tags)
        ))
    };
    let tags = || registry.tags();
    // A tag cannot hold a plus: Helm writes an underscore in its place.
    let (tag, manifest) = match wanted.exact() {
        Some(exact) => {
            let tag = exact.replace('+', "_");
            let manifest = registry.manifest(&tag)?;
            (tag, manifest)
        }
        None => {
            let versions: Vec<String> = tags()?.iter().map(|t| t.replace('_', "+")).collect();
            let chosen = wanted.choose(versions.iter().map(String::as_str));
            let Some(chosen) = chosen else {
                return Err(missing(versions));
            };
            let tag = chosen.replace('+', "_");
            let manifest = registry.manifest(&tag)?;
            (tag, manifest)
        }
    };
    let Some(manifest) = manifest else {
        return Err(missing(tags()?));
    };
    let layer = chart_layer(registry, &tag, &manifest)?;
    Ok(Meant {
        version: tag.replace('_', "+"),
        digest: Some(layer.0),
        pinned: None,
        at: At::Layer(layer.1),
    })
}

fn chart_layer(
    registry: &Registry<'_, '_>,
    tag: &str,
    manifest: &Manifest,
) -> Result<(Digest, u64), ExternalError> {
    let refused = |why: String| {
        let shown = registry.shown();
        registry
            .web()
            .about
            .refused(format!("{shown}:{tag} is no Helm chart: {why}"))
    };
    let config = manifest
        .config
        .as_ref()
        .map_or("", |c| c.media_type.as_str());
    if config != HELM_CONFIG {
        return Err(refused(format!(
            "its config is {:?}, expected {HELM_CONFIG:?}",
            printable(config)
        )));
    }
    let layers = manifest.layers.iter();
    let layers: Vec<_> = layers
        .filter(|l| HELM_LAYERS.contains(&l.media_type.as_str()))
        .collect();
    match layers.as_slice() {
        [layer] => Ok((layer.digest, layer.size)),
        [] => Err(refused("it has no layer with a chart's archive".to_owned())),
        _ => Err(refused(
            "it has more than one layer with a chart's archive".to_owned(),
        )),
    }
}

/// All versions of a chart in the index of its repository. What is not understood of one hides no other.
fn index(web: &Web<'_>, url: &WebUrl, chart: &str) -> Result<Vec<Listed>, ExternalError> {
    let at = format!("{url}/index.yaml");
    let answer = web.get(&Ask {
        url: &at,
        accept: "application/yaml, text/yaml, */*",
        show: Show::Own,
        most: web.limits.index_bytes,
        limit: "index_bytes",
    })?;
    let budget = Budget {
        bytes: usize::try_from(web.limits.index_bytes).unwrap_or(usize::MAX),
        documents: 1,
        nodes: web.limits.index_nodes,
        depth: 100,
    };
    let nodes = yaml::parse(&answer.body, &budget).map_err(|e| {
        let (line, why) = (e.mark.line, printable(&e.message));
        web.about.refused(format!(
            "{at} is no chart repository's index: line {line}: {why}"
        ))
    })?;
    let entries = nodes.first().map(|node| Place::root(node).key("entries"));
    let entries = entries.filter(|e| e.node().is_some()).ok_or_else(|| {
        web.about.refused(format!(
            "{at} is no chart repository's index: it has no `entries`"
        ))
    })?;
    let Some(node) = entries.key(chart).node() else {
        let known = entries.entries().iter().map(|(_, name, _)| name.clone());
        return Err(web.about.not_found(format!(
            "{url} has no chart {chart:?}; it has {}",
            named(known.collect())
        )));
    };
    let versions = Place::root(node).items().iter();
    Ok(versions.filter_map(|node| decode(node).ok()).collect())
}

fn file(
    web: &Web<'_>,
    url: &WebUrl,
    listed: &[Listed],
    version: &str,
) -> Result<Meant, ExternalError> {
    let found = listed.iter().find(|l| l.version == version);
    let found = found.ok_or_else(|| {
        web.about.not_found(format!(
            "{url} has no version {version} any more: publish it again, or run `weir lock --update`"
        ))
    })?;
    let given = found.urls.first().ok_or_else(|| {
        web.about
            .refused(format!("{url} has no URL for version {version}"))
    })?;
    let at = if given.contains("://") {
        given.clone()
    } else if given.starts_with('/') {
        format!("{}{given}", Origin::of(url))
    } else {
        format!("{url}/{given}")
    };
    let digest = found.digest.as_deref().filter(|d| !d.is_empty());
    let digest = digest
        .map(|hex| {
            let hex = hex.strip_prefix("sha256:").unwrap_or(hex);
            format!("sha256:{}", hex.to_ascii_lowercase()).parse()
        })
        .transpose();
    let digest = digest.map_err(|_| {
        web.about.refused(format!(
            "{url}: the digest of version {version} is no SHA-256"
        ))
    })?;
    Ok(Meant {
        version: version.to_owned(),
        digest,
        pinned: None,
        at: At::Url(at),
    })
}

/// What is asked for, in words.
fn asked(version: &str) -> String {
    if version.is_empty() {
        "stable (pre-releases are taken only where the version names one)".to_owned()
    } else {
        format!("{version:?}")
    }
}

/// A few of what is there.
fn named(mut there: Vec<String>) -> String {
    there.sort();
    let all = there.len();
    if all == 0 {
        return "none".to_owned();
    }
    let last: Vec<String> = there
        .into_iter()
        .rev()
        .take(NAMED)
        .map(|name| printable(&name))
        .collect();
    let rest = all - last.len();
    let rest = if rest > 0 {
        format!(" and {rest} more")
    } else {
        String::new()
    };
    format!("{}{rest}", last.join(", "))
}
