//! One connection to an API server that stays open: for whoever asks so often that a `kubectl` each time takes longer than the answers.

use std::path::Path;

use anyhow::{Context as _, Result};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, ValidationDirective};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::discovery::{Discovery, verbs};
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

/// Who changes things by hand, in managed fields.
const BY_HAND: &str = "by-hand";

/// A client of one API server. Every answer is waited for.
pub struct Connection {
    runtime: Runtime,
    client: Client,
}

impl Connection {
    /// As the user of a kubeconfig's current context. Nothing is asked yet.
    ///
    /// # Errors
    /// The kubeconfig cannot be used.
    pub fn open(kubeconfig: &Path) -> Result<Connection> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
            let options = KubeConfigOptions::default();
            let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
            anyhow::Ok(Client::try_from(config)?)
        });
        let client = client.with_context(|| format!("using {}", kubeconfig.display()))?;
        Ok(Connection { runtime, client })
    }

    /// Every kind that can be listed.
    ///
    /// # Errors
    /// The API server does not answer.
    pub fn kinds(&self) -> Result<Vec<ApiResource>> {
        let found = self
            .runtime
            .block_on(Discovery::new(self.client.clone()).run())?;
        let groups = found.groups();
        let all = groups.flat_map(kube::discovery::ApiGroup::recommended_resources);
        let listed = all.filter(|(_, can)| can.supports_operation(verbs::LIST));
        Ok(listed.map(|(kind, _)| kind).collect())
    }

    /// All objects of these kinds in all namespaces, each with its `apiVersion` and `kind`.
    ///
    /// # Errors
    /// The API server does not answer, or has none of these kinds.
    pub fn list(&self, kinds: &[ApiResource]) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        for kind in kinds {
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), kind);
            let list = self
                .runtime
                .block_on(api.list(&ListParams::default()))
                .with_context(|| format!("listing {}", kind.plural))?;
            for item in list.items {
                let mut object = serde_json::to_value(item)?;
                object["apiVersion"] = json!(kind.api_version);
                object["kind"] = json!(kind.kind);
                all.push(object);
            }
        }
        Ok(all)
    }

    /// A merge patch by hand; whether the object was there.
    ///
    /// # Errors
    /// The API server refuses it.
    pub fn edit(
        &self,
        kind: &ApiResource,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<bool> {
        let params = PatchParams {
            field_manager: Some(BY_HAND.to_owned()),
            ..PatchParams::default()
        };
        let api = self.api(kind, namespace);
        let patch = Patch::Merge(patch);
        let answer = api.patch(name, &params, &patch);
        there(self.runtime.block_on(answer).map(drop))
            .with_context(|| format!("editing {namespace}/{name}"))
    }

    /// Deletes by hand; whether the object was there.
    ///
    /// # Errors
    /// The API server refuses it.
    pub fn delete(&self, kind: &ApiResource, namespace: &str, name: &str) -> Result<bool> {
        let api = self.api(kind, namespace);
        let params = DeleteParams::default();
        let answer = api.delete(name, &params);
        there(self.runtime.block_on(answer).map(drop))
            .with_context(|| format!("deleting {namespace}/{name}"))
    }

    /// Whether the API server would take an object by server-side apply with strict field validation, and why not. Nothing
    /// is changed.
    ///
    /// # Errors
    /// The API server does not answer.
    pub fn would_take(
        &self,
        object: &Value,
        namespace: Option<&str>,
    ) -> Result<std::result::Result<(), String>> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let version = text("/apiVersion").context("an object without a version")?;
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        let kind = kind(
            group,
            version,
            text("/kind").context("an object without a kind")?,
        );
        let api = match namespace {
            Some(namespace) => self.api(&kind, namespace),
            None => Api::all_with(self.client.clone(), &kind),
        };
        let params = PatchParams {
            dry_run: true,
            field_manager: Some("would-take".to_owned()),
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::default()
        };
        let name = text("/metadata/name").context("an object without a name")?;
        let patch = Patch::Apply(object);
        let answer: kube::Result<Value> = self.runtime.block_on(async {
            let request = kube::core::Request::new(api.resource_url());
            let request = request
                .patch(name, &params, &patch)
                .map_err(kube::Error::BuildRequest)?;
            self.client.request(request).await
        });
        match answer {
            Ok(_) => Ok(Ok(())),
            Err(kube::Error::Api(status)) => Ok(Err(status.message.clone())),
            Err(error) => Err(error).context("asking the API server"),
        }
    }

    fn api(&self, kind: &ApiResource, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, kind)
    }
}

/// A kind by its group, version and name.
#[must_use]
pub fn kind(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

fn there(answer: kube::Result<()>) -> Result<bool> {
    match answer {
        Ok(()) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error.into()),
    }
}
