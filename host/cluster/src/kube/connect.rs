//! How a cluster is reached: a kubeconfig and a context of it, the pod's own account, or a kubeconfig that
//! lies in a Secret.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::client::{ClientBuilder, DynBody};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config};
use tower::util::MapResponseLayer;
use weir_core::reveal::Hidden;

use super::KubeLimits;
use super::account::Account;
use super::error::KubeError;
use super::flight::Flight;

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
    /// The cluster's service account that objects are read and written as; `None` for the host's own.
    pub account: Option<Account>,
}

impl fmt::Display for KubePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KubePlace::Current => f.write_str("kube:"),
            KubePlace::Context(context) => write!(f, "kube:{context}"),
            KubePlace::Secret { namespace, name } => write!(f, "kube-secret:{namespace}/{name}"),
        }
    }
}

impl fmt::Display for KubeAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

/// The ways to one cluster.
pub(super) struct Clients {
    /// As the target's service account, where it names one.
    pub(super) acting: Client,
    /// As the host's own account.
    pub(super) own: Client,
}

/// Clients of the cluster. What its API server asks of either, `flight` hears.
pub(super) async fn clients(
    access: &KubeAccess,
    limits: KubeLimits,
    flight: &Arc<Flight>,
) -> Result<Clients, KubeError> {
    let mut config = config(access, limits).await?;
    let own = with_config(config.clone(), access, Some(flight))?;
    let acting = match &access.account {
        None => own.clone(),
        Some(account) => {
            account.impersonate(&mut config, &access.to_string())?;
            with_config(config, access, Some(flight))?
        }
    };
    Ok(Clients { acting, own })
}

/// A client that runs as the host's own account, and itself sends again what the API server has no room for.
pub(crate) async fn client(access: &KubeAccess, limits: KubeLimits) -> Result<Client, KubeError> {
    with_config(config(access, limits).await?, access, None)
}

async fn config(access: &KubeAccess, limits: KubeLimits) -> Result<Config, KubeError> {
    match &access.place {
        KubePlace::Current => local(access, None).await,
        KubePlace::Context(context) => local(access, Some(context)).await,
        KubePlace::Secret { namespace, name } => {
            let home = local(access, None).await?;
            let home = with_config(home, access, None)?;
            let text = from_secret(&home, access, limits, namespace, name).await?;
            let kubeconfig = in_secret(&text, access)?;
            of_kubeconfig(kubeconfig, None, &access.to_string()).await
        }
    }
}

/// Without a `flight`, the client itself sends again what the API server has no room for.
fn with_config(
    mut config: Config,
    access: &KubeAccess,
    flight: Option<&Arc<Flight>>,
) -> Result<Client, KubeError> {
    let agent = format!("weir/{}", env!("CARGO_PKG_VERSION"));
    let name = http::header::USER_AGENT;
    let value = agent
        .parse()
        .map_err(|_| KubeError::Config("the user agent is no header".to_owned()))?;
    config.headers.push((name, value));
    config.default_retry = flight.is_none();
    let made = match flight {
        None => Client::try_from(config),
        Some(flight) => ClientBuilder::try_from(config).map(|made| {
            let flight = flight.clone();
            let hear = MapResponseLayer::new(move |answer: http::Response<Box<DynBody>>| {
                flight.heard(answer.status(), answer.headers());
                answer
            });
            made.with_layer(&hear).build()
        }),
    };
    made.map_err(|e| {
        let why = match e {
            // They show the URL, which may hold a password.
            kube::Error::ProxyProtocolUnsupported { .. }
            | kube::Error::ProxyProtocolDisabled { .. } => {
                "its proxy is not spoken to by Weir: leave proxy-url out".to_owned()
            }
            e => e.to_string(),
        };
        KubeError::Config(format!("{access}: a client cannot be made: {why}"))
    })
}

/// From this host's kubeconfig, or the pod's own account.
async fn local(access: &KubeAccess, context: Option<&str>) -> Result<Config, KubeError> {
    // One that cannot be looked at is there: reading it says why.
    let there = |f: &&PathBuf| f.try_exists().unwrap_or(true);
    let files: Vec<&PathBuf> = access.kubeconfig.iter().filter(there).collect();
    let named = || {
        let names = access.kubeconfig.iter().map(|f| f.display().to_string());
        names.collect::<Vec<_>>().join(", ")
    };
    if files.is_empty() {
        if access.in_cluster && context.is_none() {
            return Config::incluster().map_err(|e| {
                KubeError::Config(format!(
                    "{access}: the pod's own account cannot be used: {e}"
                ))
            });
        }
        let at = match access.kubeconfig.is_empty() {
            true => String::new(),
            false => format!(" at {}", named()),
        };
        return Err(KubeError::Config(format!(
            "{access}: there is no kubeconfig{at}: give --kubeconfig FILE, or set KUBECONFIG"
        )));
    }
    let mut whole: Option<Kubeconfig> = None;
    for file in files {
        let said =
            |e: KubeconfigError| KubeError::Config(format!("{}: {}", file.display(), unread(&e)));
        let next = Kubeconfig::read_from(file).map_err(said)?;
        whole = Some(match whole {
            None => next,
            Some(whole) => whole.merge(next).map_err(said)?,
        });
    }
    of_kubeconfig(whole.unwrap_or_default(), context, &named()).await
}

/// A kubeconfig of a Secret. Whoever may write the Secret chooses the server: it must not choose which of
/// this host's files are shown to it.
fn in_secret(text: &str, access: &KubeAccess) -> Result<Kubeconfig, KubeError> {
    let refused = |why: &str| KubeError::Config(format!("{access}: the kubeconfig in it {why}"));
    let kubeconfig = Kubeconfig::from_yaml(text).map_err(|e| refused(&unread(&e)))?;
    let clusters = kubeconfig
        .clusters
        .iter()
        .filter_map(|c| c.cluster.as_ref());
    let users = kubeconfig
        .auth_infos
        .iter()
        .filter_map(|u| u.auth_info.as_ref());
    let of_clusters = clusters.map(|c| ("certificate-authority", &c.certificate_authority));
    let of_users = users.flat_map(|u| {
        [
            ("client-certificate", &u.client_certificate),
            ("client-key", &u.client_key),
            ("tokenFile", &u.token_file),
        ]
    });
    let named = of_clusters.chain(of_users).find(|(_, file)| file.is_some());
    match named.map(|(key, _)| key) {
        None => Ok(kubeconfig),
        Some(key) => Err(refused(&format!(
            "names a file of this host under {key:?}: put what it holds into the kubeconfig (kubectl config view --raw --flatten)"
        ))),
    }
}

/// Why a kubeconfig cannot be read. A parser quotes the text around a mistake, which may be a token.
fn unread(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(e) => match e.location() {
            Some(at) => format!(
                "is no kubeconfig: line {}, column {}",
                at.line(),
                at.column()
            ),
            None => "is no kubeconfig".to_owned(),
        },
        other => other.to_string(),
    }
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
        let known: Vec<&str> = kubeconfig
            .contexts
            .iter()
            .map(|c| c.name.as_str())
            .collect();
        let known = match known.is_empty() {
            true => "none".to_owned(),
            false => known.join(", "),
        };
        return Err(KubeError::Config(format!(
            "{from}: it has no context {chosen:?}; it has: {known}"
        )));
    };
    let user = named.context.as_ref().and_then(|c| c.user.as_deref());
    let auth = kubeconfig
        .auth_infos
        .iter()
        .find(|a| Some(a.name.as_str()) == user);
    if let (Some(user), None) = (user.filter(|u| !u.is_empty()), auth) {
        return Err(KubeError::Config(format!(
            "{from}: context {chosen:?} is for the user {user:?}, and it has no such user"
        )));
    }
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
    let config = config.map_err(|e| {
        KubeError::Config(format!("{from}: context {chosen:?} cannot be used: {e}"))
    })?;
    if config.root_cert.as_ref().is_some_and(Vec::is_empty) {
        return Err(KubeError::Config(format!(
            "{from}: context {chosen:?} cannot be used: no certificate (PEM) is in its certificate authority"
        )));
    }
    if config.accept_invalid_certs {
        tracing::warn!(context = %chosen, "the kubeconfig says not to check the API server's certificate: anybody on the way can read and change what is sent");
    }
    Ok(config)
}

/// What a Secret of a cluster holds, read with this host's own account.
///
/// # Errors
/// When the cluster cannot be asked, or has no such Secret. No text of a value is in the error.
pub async fn secret_data(
    access: &KubeAccess,
    limits: KubeLimits,
    namespace: &str,
    name: &str,
) -> Result<Vec<(String, Hidden)>, KubeError> {
    let home = client(access, limits).await?;
    let data = read_secret(&home, access, limits, namespace, name).await?;
    Ok(data
        .into_iter()
        .map(|(key, value)| (key, Hidden::new(value.0)))
        .collect())
}

/// What a Secret holds, read with this client.
pub(crate) async fn read_secret(
    home: &Client,
    access: &KubeAccess,
    limits: KubeLimits,
    namespace: &str,
    name: &str,
) -> Result<BTreeMap<String, ByteString>, KubeError> {
    let secrets: Api<Secret> = Api::namespaced(home.clone(), namespace);
    let place = access.to_string();
    let secret = match tokio::time::timeout(limits.request, secrets.get_opt(name)).await {
        Ok(Ok(Some(secret))) => secret,
        Ok(Ok(None)) => {
            return Err(KubeError::Config(format!(
                "{access}: there is no Secret {namespace}/{name}"
            )));
        }
        Ok(Err(e)) => return Err(KubeError::of(&place, &e, true)),
        Err(_) => {
            let message = format!("no answer within {} s", limits.request.as_secs());
            return Err(KubeError::Away { place, message });
        }
    };
    Ok(secret.data.unwrap_or_default())
}

async fn from_secret(
    home: &Client,
    access: &KubeAccess,
    limits: KubeLimits,
    namespace: &str,
    name: &str,
) -> Result<String, KubeError> {
    let data = read_secret(home, access, limits, namespace, name).await?;
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
