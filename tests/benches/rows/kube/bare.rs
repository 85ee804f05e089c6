//! The other side: the plainest program on the client that Weir uses, with as many requests under way at once.

use std::path::Path;

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, Config};
use tokio::runtime::Runtime;
use weir_core::object::Object;

use super::own::IN_FLIGHT;

/// Objects that one request deletes.
const DELETED_AT_ONCE: usize = 1_000;

/// A client and what drives it.
pub(super) struct Bare {
    runtime: Runtime,
    client: Client,
}

/// As the host's own.
///
/// # Errors
/// No room.
pub(super) fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}

/// A client of the kubeconfig's current context.
///
/// # Errors
/// The kubeconfig cannot be used.
pub(super) async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// The kind.
pub(super) fn map() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap"))
}

/// The ConfigMaps of a namespace.
pub(super) fn maps(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &map())
}

impl Bare {
    pub(super) fn open(runtime: Runtime, kubeconfig: &Path) -> Result<Bare> {
        let client = runtime.block_on(client(kubeconfig))?;
        Ok(Bare { runtime, client })
    }

    /// Does something on this side's runtime, which is the other's too.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Applies each object.
    pub(super) fn apply_each(&self, namespace: &str, objects: &[Object]) -> Result<()> {
        let (api, params) = (
            maps(&self.client, namespace),
            PatchParams::apply("bare-loop"),
        );
        let apply = async |object: &Object| -> Result<()> {
            let patch = Patch::Apply(object.json());
            api.patch(&object.id().name, &params, &patch).await?;
            Ok(())
        };
        self.each(objects, apply)
    }

    /// Gets each object.
    pub(super) fn get_each(&self, namespace: &str, objects: &[Object]) -> Result<()> {
        let api = maps(&self.client, namespace);
        self.each(objects, async |object: &Object| {
            api.get(&object.id().name).await?;
            Ok(())
        })
    }

    fn each(&self, objects: &[Object], work: impl AsyncFn(&Object) -> Result<()>) -> Result<()> {
        let (all, work) = (stream::iter(objects), &work);
        let done = all.map(|object| work(object)).buffer_unordered(IN_FLIGHT);
        self.runtime.block_on(done.try_collect())
    }

    /// Deletes all ConfigMaps of a namespace; how many there were.
    pub(super) fn delete_all(&self, namespace: &str) -> Result<usize> {
        let api = maps(&self.client, namespace);
        self.runtime.block_on(async {
            let there = api.list_metadata(&ListParams::default()).await?.items.len();
            // In parts: a server gives itself a minute for each.
            for _ in 0..there.div_ceil(DELETED_AT_ONCE) {
                let part = ListParams::default().limit(DELETED_AT_ONCE as u32);
                api.delete_collection(&DeleteParams::default(), &part)
                    .await
                    .with_context(|| format!("emptying {namespace}"))?;
            }
            Ok(there)
        })
    }
}
