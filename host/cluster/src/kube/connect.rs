//! How a cluster is reached: a kubeconfig and a context of it, the pod's own account, or a kubeconfig that
//! lies in a Secret.

use std::fmt;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Secret;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use super::KubeLimits;
use super::error::KubeError;

/// The keys under which a kubeconfig is looked for in a Secret, in this order.
const SECRET_KEYS: [&str; 2] = ["value", "kubeconfig"];

/// Which cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KubePlace {
    /// The kubeconfig's current context; in a pod without a kubeconfig, the cluster that it runs in.
    Current,
    /// A context of the kubeconfig.
    Context(String),
    /// The cluster of a kubeconfig that lies in a Secret of the current cluster.
    Secret {
        /// The Secret's namespace.
        namespace: String,
        /// The Secret's name.
        name: String,
    },
}

/// Which cluster, and where kubeconfigs are on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeAccess {
    /// Which cluster.
    pub place: KubePlace,
    /// The kubeconfig's files: the first one that has something wins. None that exists means that there is
    /// no kubeconfig.
    pub kubeconfig: Vec<PathBuf>,
    /// Whether this process runs in a pod that has an account in the cluster.
    pub in_cluster: bool,
}

impl fmt::Display for KubeAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            KubePlace::Current => f.write_str("kube:"),
            KubePlace::Context(context) => write!(f, "kube:{context}"),
            KubePlace::Secret { namespace, name } => write!(f, "kube-secret:{namespace}/{name}"),
        }
    }
}

/// A client of the cluster.
pub(super) async fn client(access: &KubeAccess, limits: KubeLimits) -> Result<Client, KubeError> {
    let config = match &access.place {
        KubePlace::Current => local(access, None).await?,
        KubePlace::Context(context) => local(access, Some(context)).await?,
        KubePlace::Secret { namespace, name } => {
            let home = local(access, None).await?;
            let home = with_config(home)?;
            let text = from_secret(&home, access, limits, namespace, name).await?;
            let said = |e: &dyn fmt::Display| {
                KubeError::Config(format!("{access}: the kubeconfig in it: {e}"))
            };
            let kubeconfig = Kubeconfig::from_yaml(&text).map_err(|e| said(&e))?;
            of_kubeconfig(kubeconfig, None, &access.to_string()).await?
        }
    };
    with_config(config)
}

fn with_config(mut config: Config) -> Result<Client, KubeError> {
    let agent = format!("weir/{}", env!("CARGO_PKG_VERSION"));
    let name = http::header::USER_AGENT;
    let value = agent.parse().map_err(|_| KubeError::Config("the user agent is no header".to_owned()))?;
    config.headers.push((name, value));
    Client::try_from(config).map_err(|e| KubeError::Config(format!("a client cannot be made: {e}")))
}

/// From this host's kubeconfig, or the pod's own account.
async fn local(access: &KubeAccess, context: Option<&str>) -> Result<Config, KubeError> {
    let files: Vec<&PathBuf> = access.kubeconfig.iter().filter(|f| f.exists()).collect();
    let named = || {
        let names = access.kubeconfig.iter().map(|f| f.display().to_string());
        names.collect::<Vec<_>>().join(", ")
    };
    if files.is_empty() {
        if access.in_cluster && context.is_none() {
            return Config::incluster().map_err(|e| {
                KubeError::Config(format!("{access}: the pod's own account cannot be used: {e}"))
            });
        }
        return Err(KubeError::Config(format!(
            "{access}: there is no kubeconfig at {}: give --kubeconfig FILE, or set KUBECONFIG",
            named()
        )));
    }
    let mut whole: Option<Kubeconfig> = None;
    for file in files {
        let said = |e: &dyn fmt::Display| KubeError::Config(format!("{}: {e}", file.display()));
        let next = Kubeconfig::read_from(file).map_err(|e| said(&e))?;
        whole = Some(match whole {
            None => next,
            Some(whole) => whole.merge(next).map_err(|e| said(&e))?,
        });
    }
    of_kubeconfig(whole.unwrap_or_default(), context, &named()).await
}

async fn of_kubeconfig(
    kubeconfig: Kubeconfig,
    context: Option<&str>,
    from: &str,
) -> Result<Config, KubeError> {
    let chosen = context.or(kubeconfig.current_context.as_deref());
    let Some(chosen) = chosen.filter(|c| !c.is_empty()) else {
        return Err(KubeError::Config(format!(
            "{from}: it has no current context: name one, as in kube:CONTEXT"
        )));
    };
    let named = kubeconfig.contexts.iter().find(|c| c.name == chosen);
    let Some(named) = named else {
        let known: Vec<&str> = kubeconfig.contexts.iter().map(|c| c.name.as_str()).collect();
        return Err(KubeError::Config(format!(
            "{from}: it has no context {chosen:?}; it has: {}",
            known.join(", ")
        )));
    };
    let user = named.context.as_ref().and_then(|c| c.user.as_deref());
    let auth = kubeconfig.auth_infos.iter().find(|a| Some(a.name.as_str()) == user);
    let auth = auth.and_then(|a| a.auth_info.as_ref());
    if auth.is_some_and(|a| a.exec.is_some() || a.auth_provider.is_some()) {
        return Err(KubeError::Config(format!(
            "{from}: user {:?} of context {chosen:?} gets its credentials from another program, and Weir starts none: \
             use a token or a client certificate, such as a service account's (kubectl create token), or run Weir in the cluster",
            user.unwrap_or_default()
        )));
    }
    let options = KubeConfigOptions {
        context: Some(chosen.to_owned()),
        ..KubeConfigOptions::default()
    };
    let chosen = chosen.to_owned();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let config = config
        .map_err(|e| KubeError::Config(format!("{from}: context {chosen:?} cannot be used: {e}")))?;
    if config.accept_invalid_certs {
        tracing::warn!(context = %chosen, "the kubeconfig says not to check the API server's certificate: anybody on the way can read and change what is sent");
    }
    Ok(config)
}

async fn from_secret(
    home: &Client,
    access: &KubeAccess,
    limits: KubeLimits,
    namespace: &str,
    name: &str,
) -> Result<String, KubeError> {
    let secrets: Api<Secret> = Api::namespaced(home.clone(), namespace);
    let place = access.to_string();
    let secret = match tokio::time::timeout(limits.request, secrets.get_opt(name)).await {
        Ok(Ok(Some(secret))) => secret,
        Ok(Ok(None)) => {
            return Err(KubeError::Config(format!("{access}: there is no such Secret")));
        }
        Ok(Err(e)) => return Err(KubeError::of(&place, &e, true)),
        Err(_) => {
            let message = format!("no answer within {} s", limits.request.as_secs());
            return Err(KubeError::Away { place, message });
        }
    };
    let data = secret.data.unwrap_or_default();
    let bytes = SECRET_KEYS.iter().find_map(|key| data.get(*key));
    let text = bytes.and_then(|b| String::from_utf8(b.0.clone()).ok());
    text.ok_or_else(|| {
        KubeError::Config(format!(
            "{access}: expected a kubeconfig under the key {:?} or {:?}",
            SECRET_KEYS[0], SECRET_KEYS[1]
        ))
    })
}

#[cfg(test)]
mod tests;
