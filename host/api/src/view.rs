//! What the API may show: a value of its own, so that nothing internal slips out.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;
use weir_core::digest::{CommitId, Digest};
use weir_core::fault::Fault;
use weir_core::health::Summary;
use weir_core::name::{AppName, RepositoryName, TargetName};
use weir_core::object::ResourceId;
use weir_core::status::State;

use crate::metrics::Metrics;

/// Where everything stands, as one value.
#[derive(Debug, Clone)]
pub struct View {
    /// Whether the host does its work, or why not. A repository that fails does not make the host unready.
    pub ready: Result<(), String>,
    /// The repositories, in the order in which they are shown.
    pub repositories: Vec<Arc<RepositoryView>>,
}

/// Where one repository stands.
#[derive(Debug, Clone, Serialize)]
pub struct RepositoryView {
    /// Its name on this host.
    pub name: RepositoryName,
    /// Where it comes from.
    pub url: PublicUrl,
    /// The ref that is followed.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Whether the host is told to leave it alone.
    #[serde(skip_serializing_if = "is_false")]
    pub suspended: bool,
    /// The last commit that was followed.
    pub commit: Option<CommitId>,
    /// The commit that the ref points at, where the host's policy does not follow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedView>,
    /// Who has to act, when the repository as a whole is stuck.
    pub fault: Option<Fault>,
    /// What it is stuck on.
    pub message: Option<String>,
    /// Its apps, by name.
    pub apps: Vec<AppView>,
    /// Whether the ledger was asked: before that, an app that is not here may be there.
    #[serde(skip)]
    pub is_known: bool,
    /// How many apps of the commit the ledger knows nothing of yet; nothing where the commit was not read.
    #[serde(skip)]
    pub waiting: Option<usize>,
    /// When its server was asked last, in seconds since 1970.
    #[serde(skip)]
    pub fetched: Option<i64>,
}

/// A commit that is not followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedView {
    /// Which.
    pub commit: CommitId,
    /// One word for why.
    pub kind: String,
    /// Why, and what to do.
    pub message: String,
}

/// Where one app stands.
#[derive(Debug, Clone, Serialize)]
pub struct AppView {
    /// Its name.
    pub name: AppName,
    /// Where it lands.
    pub target: Option<TargetName>,
    /// How it stands.
    pub state: State,
    /// The last commit that was synced wholly.
    pub commit: Option<CommitId>,
    /// How many objects it owns.
    pub objects: usize,
    /// How many of them nobody wants any more: they say that they must not be pruned.
    #[serde(skip_serializing_if = "is_zero")]
    pub kept: usize,
    /// The digest of what was synced.
    pub output: Option<Digest>,
    /// What others changed, and is left so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drifted: Vec<ResourceId>,
    /// What stands in the way.
    pub message: Option<String>,
    /// How healthy what it owns is, where its target watches that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthView>,
    /// Since when it stands so, in seconds since 1970.
    pub since: i64,
    /// What it waits for a person with: what an approval names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Digest>,
    /// The record of its last sync, where its bytes are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
}

/// How healthy an app's objects are, taken together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthView {
    /// The word: that of the worst object.
    pub state: &'static str,
    /// How many objects are healthy.
    pub healthy: u64,
    /// Of how many.
    pub objects: u64,
    /// The worst object, and what it misses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl HealthView {
    /// As it is shown.
    pub fn of(summary: &Summary) -> HealthView {
        let health = summary.health();
        HealthView {
            state: health.as_str(),
            healthy: summary.healthy,
            objects: summary.total(),
            message: health.text().map(str::to_owned),
        }
    }
}

/// A repository's address without anything that could be a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// Takes user, password, query and fragment out of an address; paths and `git@host:path` stay.
    pub fn of(url: &str) -> PublicUrl {
        let Some((scheme, rest)) = url.split_once("://") else {
            return PublicUrl(url.to_owned());
        };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let port = host.rsplit_once(':').map(|(_, port)| port);
        // A password with a slash in it looks like a host with an odd port and an `@` in the path.
        let odd =
            port.is_some_and(|p| !p.bytes().all(|b| b.is_ascii_digit())) && !host.ends_with(']');
        if odd || path.contains('@') || url.split(['?', '#']).skip(1).any(|part| part.contains('@'))
        {
            return PublicUrl(format!("{scheme}://(hidden)"));
        }
        PublicUrl(format!("{scheme}://{host}{path}"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// What the routes read from. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ReadModel {
    view: watch::Receiver<Arc<View>>,
    metrics: Metrics,
}

impl ReadModel {
    /// Reads the latest view that was sent, and these metrics.
    pub fn new(view: watch::Receiver<Arc<View>>, metrics: Metrics) -> ReadModel {
        ReadModel { view, metrics }
    }

    /// The latest view.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.borrow())
    }

    /// The metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_what_people_need_to_know_it_by() {
        for url in [
            "https://git.example/shop.git",
            "https://git.example:8443/a/b",
            "git@git.example:a/b",
            "/srv/repo",
            "https://[::1]:80/a",
            "https://[::1]/a",
        ] {
            assert_eq!(PublicUrl::of(url).as_str(), url);
        }
    }

    #[test]
    fn an_address_loses_every_credential() {
        for url in [
            "https://user:s3cret@git.example/shop.git",
            "https://s3cret@git.example/shop.git",
            "https://user:s3cret@evil@git.example/shop.git",
            "https://git.example/shop.git?token=s3cret",
            "https://git.example/shop.git#s3cret",
            "https://user:pa/s3cret@git.example/shop.git",
            "https://user:pa?s3cret@git.example/shop.git",
            "https://s3cret/x@git.example/shop.git",
            "https://user:s3cret#x@git.example/shop.git",
            "ssh://git:s3cret@git.example/shop.git",
            "https://user:s3cret\\@git.example/shop.git",
        ] {
            let shown = PublicUrl::of(url);
            assert!(
                !shown.as_str().contains("s3cret"),
                "{url} is shown as {shown}"
            );
            assert!(!format!("{shown:?}").contains("s3cret"));
        }
    }
}
