//! Stable random bytes for renders: which plugins of a repository are given some, and what they are made from.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_core::fault::{Fault, Retry};
use weir_core::grant::RandomGrant;
use weir_core::manifest::{App, Manifest, PluginCall};
use weir_core::name::{AppName, PluginName, RepositoryName};
use weir_core::random::{SecretId, Seed};
use weir_receipt::{RandomSecret, SecretAt};

use crate::error::Error;
use crate::open::blocking;
use crate::plugins::rules::Rules;

/// Whose renders are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whose {
    /// The repository, as the ledger and receipts of this host call it.
    pub(crate) repository: RepositoryName,
    /// Whether the host lets its plugins have what the manifest grants.
    pub(crate) may: bool,
    /// Which plugins the host takes for it.
    pub(crate) rules: Rules,
}

/// Where the secret of renders comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretFrom {
    /// This host's own, made where it is needed and may be made.
    Host(SecretAt),
    /// The one of this id, which has to be there: what a receipt names is made again.
    Just(SecretAt, SecretId),
    /// One that nobody has: a receipt says that no plugin took any of its bytes.
    Nobodys,
}

/// What the plugins of one commit are given.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    repository: RepositoryName,
    /// Nothing where no plugin is given any.
    secret: Option<Result<Arc<RandomSecret>, Error>>,
}

impl Random {
    /// For the plugins of a manifest that some app calls. The secret is read anew for each commit.
    pub(crate) async fn of(
        from: &SecretFrom,
        whose: &Whose,
        manifest: &Manifest,
        called: &BTreeSet<PluginName>,
    ) -> Random {
        let is_granted = |name: &PluginName| grant(manifest, name).is_some();
        let secret = match called.iter().find(|name| is_granted(name)) {
            None => None,
            Some(plugin) if !whose.may => Some(Err(refused(&whose.repository, plugin))),
            Some(_) => {
                let from = from.clone();
                let read = blocking("render", move || from.read().map(Arc::new));
                Some(read.await)
            }
        };
        Random {
            repository: whose.repository.clone(),
            secret,
        }
    }

    /// Which secret is there for them, where some plugin is given bytes of it.
    pub(crate) fn id(&self) -> Option<SecretId> {
        let secret = self.secret.as_ref()?.as_ref().ok()?;
        Some(secret.id())
    }

    /// What the random bytes of a call are made from; `None` where the manifest gives its plugin none.
    ///
    /// # Errors
    /// It is given some, and there are none.
    pub(crate) fn seed(
        &self,
        manifest: &Manifest,
        app: &App,
        call: &PluginCall,
    ) -> Result<Option<Seed>, Error> {
        let (Some(RandomGrant::Stable), Some(secret)) =
            (grant(manifest, &call.plugin), &self.secret)
        else {
            return Ok(None);
        };
        let secret = secret.as_ref();
        let secret = secret.map_err(|e| for_app(e.clone(), &app.name, &call.plugin))?;
        let whose = weir_core::random::Whose {
            repository: &self.repository,
            app: &app.name,
            plugin: &call.plugin,
        };
        let seed = secret.seed(&whose);
        seed.map(Some).map_err(|e| Error::host("render", e))
    }
}

impl SecretFrom {
    fn read(&self) -> Result<RandomSecret, Error> {
        let failed = |e| Error::stage("render", &e);
        match self {
            SecretFrom::Host(at) => at.need().map_err(failed),
            SecretFrom::Nobodys => RandomSecret::generate().map_err(|e| Error::host("render", e)),
            SecretFrom::Just(at, id) => {
                let found = at.find().map_err(failed)?;
                let found = found.filter(|secret| secret.id() == *id);
                found.ok_or_else(|| {
                    Error::host(
                        "render",
                        format!("the secret {id} of random bytes is not here"),
                    )
                })
            }
        }
    }
}

/// What the manifest gives a plugin.
fn grant(manifest: &Manifest, plugin: &PluginName) -> Option<RandomGrant> {
    manifest.plugins.get(plugin)?.grants.random
}

fn refused(repository: &RepositoryName, plugin: &PluginName) -> Error {
    Error::Stage {
        stage: "render",
        fault: Fault::Repository,
        retry: Retry::OnChange,
        message: format!(
            "the manifest gives it `random: stable`, and this host lets no plugin of repository {repository} have random bytes (`grants` in the host's file): take the grant from plugin {plugin}, and set what its charts make up instead"
        ),
    }
}

fn for_app(error: Error, app: &AppName, plugin: &PluginName) -> Error {
    match error {
        Error::Usage(message) => Error::Usage(message),
        Error::Stage {
            stage,
            fault,
            retry,
            message,
        } => Error::Stage {
            stage,
            fault,
            retry,
            message: format!("app `{app}`: plugin `{plugin}`: {message}"),
        },
    }
}
