//! `weir.yaml` exactly as it is typed; its JSON Schema comes from these types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::policy::RawIgnore;
use super::{OnFailure, Removal};
use crate::grant::{Grants, LimitsPatch, Millis};
use crate::policy::{Conflicts, Heal};

/// The plugins manifest of a repository that Weir follows: its plugins, its targets and its apps.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "weir.yaml")]
pub(super) struct RawManifest {
    /// The version of this file's format: 1.
    #[expect(
        dead_code,
        reason = "reading it is the check; there is only one version"
    )]
    pub(super) version: Version,
    /// The plugins by the names that apps call them. `yaml`, `helm` and `kustomize` need not be declared.
    #[serde(default)]
    pub(super) plugins: BTreeMap<String, RawPlugin>,
    /// What every app gets that does not say `inherit: false`.
    #[serde(default)]
    pub(super) defaults: RawDefaults,
    /// The targets by name. What a name stands for (a cluster, a directory) is the host's to say.
    #[serde(default)]
    pub(super) targets: BTreeMap<String, RawTarget>,
    /// Charts and other repositories that `weir lock` pins although it cannot find them by rendering, such as
    /// `oci://HOST/PATH?version=V`. Those that a render asks for need not stand here.
    #[serde(default)]
    pub(super) externals: Vec<String>,
    /// The apps.
    #[serde(default)]
    pub(super) apps: Vec<RawApp>,
}

/// The version of a file's format. There is one so far; as a number, `1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Version;

/// A plugin: a Wasm component.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawPlugin {
    /// Where it comes from: `bundled:NAME` (it comes with Weir), `file:PATH` (a component in this
    /// repository) or `oci://HOST/PATH:TAG` (one in a
    /// registry; `@sha256:` and the digest of its manifest may stand at the end).
    #[schemars(regex(pattern = "^(bundled:|file:|oci://)."))]
    pub(super) source: String,
    /// What it may spend for each call. This can only narrow what the host allows.
    #[serde(default)]
    pub(super) limits: LimitsPatch,
    /// What it is given besides the app's files. Left out: nothing. A host may refuse it.
    #[serde(default)]
    pub(super) grants: Grants,
}

/// What every app gets that does not say `inherit: false`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawDefaults {
    /// What renders an app that does not say it. Left out: `helm` where there is a `Chart.yaml`,
    /// `kustomize` where there is a `kustomization.yaml`, otherwise `yaml`.
    pub(super) render: Option<RawCall>,
    /// What changes the objects of every app, before the app's own transformers.
    #[serde(default)]
    pub(super) transform: Vec<RawCall>,
    /// What checks the objects of every app, before the app's own validators.
    #[serde(default)]
    pub(super) validate: Vec<RawCall>,
    /// The namespace of objects that name none, where neither the app nor its target says it.
    pub(super) namespace: Option<String>,
    /// What each plugin may spend for each call where it does not say it itself.
    #[serde(default)]
    pub(super) limits: LimitsPatch,
}

/// What is different in one target.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawTarget {
    /// Configuration by plugin, merged over that of each app that lands here: maps key by key, all
    /// other values replace.
    #[serde(default)]
    pub(super) config: BTreeMap<String, Map<String, Value>>,
    /// The namespace of objects that name none, where the app does not say it.
    pub(super) namespace: Option<String>,
}

/// An app, or with `each` one app for each directory that matches.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["path"] }, { "required": ["each"] }]))]
pub(super) struct RawApp {
    /// The name: a DNS label. With `each`, `{1}` stands for what the first `*` matched, and so on.
    pub(super) name: String,
    /// The file or directory that is rendered.
    pub(super) path: Option<String>,
    /// A glob of directories, such as `teams/*/apps/*`: one app for each that matches. `*` stands for
    /// any text inside one part of the path that does not start with a dot.
    pub(super) each: Option<String>,
    /// What the app's plugins may read: files and directories, the path among them. Left out: the whole
    /// tree. With `each`, `{1}` works here too.
    pub(super) roots: Option<Vec<String>>,
    /// Whether the app takes the `defaults`. True when left out.
    #[serde(default = "yes")]
    pub(super) inherit: bool,
    /// What renders the path. Left out: the defaults' renderer, or what the files tell.
    pub(super) render: Option<RawCall>,
    /// What changes the objects, after the defaults' transformers.
    #[serde(default)]
    pub(super) transform: Vec<RawCall>,
    /// What checks the objects, after the defaults' validators.
    #[serde(default)]
    pub(super) validate: Vec<RawCall>,
    /// Where the app lands.
    #[serde(default)]
    pub(super) target: RawLanding,
    /// Several targets: one app for each, named `NAME.TARGET`.
    pub(super) targets: Option<Vec<String>>,
    /// The apps that have to be healthy before this one. A name without a target means all of them; the
    /// one in the same target where both land in several.
    #[serde(default)]
    pub(super) after: Vec<String>,
    /// How the app is waited for once it is synced. Where others come after it, it is waited for without this, too.
    pub(super) settle: Option<RawSettle>,
    /// What happens to its objects when the app leaves the manifest: `hold` until a person approves, or
    /// `prune`.
    #[serde(default)]
    pub(super) remove: Removal,
    /// What happens to changes that someone else makes at the target: `enforce` undoes them, `report` says them and
    /// lets them stay. Where the host says `report`, it is that.
    #[serde(default)]
    pub(super) heal: Heal,
    /// What happens where another manager has a field that Git sets otherwise: `refuse` names both, `force` takes it.
    #[serde(default)]
    pub(super) conflicts: Conflicts,
    /// Fields that others may set.
    #[serde(default)]
    pub(super) ignore: Vec<RawIgnore>,
}

/// How an app is waited for once it is synced.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawSettle {
    /// How long it may take to become healthy, such as `90s`; then it counts as failed until it is. Left out: `10m`.
    #[schemars(with = "Option<String>")]
    pub(super) within: Option<Millis>,
    /// What happens when it takes longer: `stay` says so and leaves it, `rollback` applies the last output that was healthy
    /// again and stays there until the app renders to something else.
    #[serde(default, rename = "on-failure")]
    pub(super) on_failure: OnFailure,
}

/// Where an app lands.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawLanding {
    /// A target's name. Left out: `default`.
    pub(super) name: Option<String>,
    /// The namespace of objects that name none. With `each`, `{1}` works here too.
    pub(super) namespace: Option<String>,
}

/// One step of a pipeline.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawCall {
    /// The plugin's name, as under `plugins`.
    pub(super) plugin: String,
    /// What it is told; which keys there are, the plugin says.
    #[serde(default)]
    pub(super) config: Map<String, Value>,
}

/// The JSON Schema of `weir.yaml`, for editors.
pub fn schema() -> Value {
    schema_of::<RawManifest>()
}

/// The JSON Schema of a type, in the draft that editors understand best.
pub fn schema_of<T: JsonSchema>() -> Value {
    SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

fn yes() -> bool {
    true
}

impl TryFrom<u64> for Version {
    type Error = String;
    fn try_from(n: u64) -> Result<Self, String> {
        if n == 1 {
            Ok(Version)
        } else {
            Err(format!(
                "version {n}: expected 1, the only one that this Weir reads"
            ))
        }
    }
}

impl From<Version> for u64 {
    fn from(_: Version) -> u64 {
        1
    }
}

impl JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Version".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "const": 1 })
    }
}
