//! What answers over the network: the API, and webhooks beside it or on a port of their own.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use weir_api::{Metrics, ReadModel, Webhooks};

use crate::control::Refreshers;
use crate::error::Error;
use crate::hosting::Served;
use crate::repository::RepositorySettings;
use crate::webhooks::RepositoryHooks;

/// Ports that are taken, on which nobody answers yet.
pub(crate) struct Ports {
    api: (TcpListener, SocketAddr),
    webhooks: Option<(TcpListener, SocketAddr)>,
}

impl Ports {
    /// Takes them.
    pub(crate) async fn open(
        api: SocketAddr,
        webhooks: Option<SocketAddr>,
    ) -> Result<Ports, Error> {
        Ok(Ports {
            api: listen("--listen", api).await?,
            webhooks: match webhooks {
                Some(on) => Some(listen("--webhook-listen", on).await?),
                None => None,
            },
        })
    }

    /// Where the API answers.
    pub(crate) fn api(&self) -> SocketAddr {
        self.api.1
    }

    /// Answers on all of them.
    pub(crate) fn serve(
        self,
        model: ReadModel,
        metrics: &Metrics,
        repositories: &[RepositorySettings],
        refreshers: Arc<Refreshers>,
    ) -> Vec<Served> {
        let hooks = RepositoryHooks::of(repositories, refreshers).map(|hooks| {
            hooks.look_at_secrets();
            Webhooks::new(hooks, metrics.clone())
        });
        let (api, address) = self.api;
        let mut served = Vec::new();
        let (beside, address) = match (hooks, self.webhooks) {
            (Some(hooks), Some((own, address))) => {
                let router = weir_api::webhook_router(model.clone(), hooks);
                served.push(Served::start("port for webhooks", own, router));
                (None, Some(address))
            }
            (Some(hooks), None) => (Some(hooks), Some(address)),
            (None, Some(_)) => {
                tracing::warn!(
                    "no repository has a webhook: nobody answers on the port for webhooks"
                );
                (None, None)
            }
            (None, None) => (None, None),
        };
        if let Some(address) = address {
            tracing::info!("http://{address}/hooks/v1/REPOSITORY takes webhooks");
        }
        let router = weir_api::router(model, beside);
        served.push(Served::start("API", api, router));
        served
    }
}

async fn listen(flag: &str, on: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let listener = TcpListener::bind(on).await;
    let listener = listener.map_err(|e| Error::host("start", format!("{flag} {on}: {e}")))?;
    let address = listener
        .local_addr()
        .map_err(|e| Error::host("start", e.to_string()))?;
    Ok((listener, address))
}
