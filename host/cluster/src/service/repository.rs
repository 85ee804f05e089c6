//! The custom resource `Repository`: a Git repository that the service follows, as its team writes it down.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::condition::Condition;

/// Which repository is followed, how it is reached, and what is done with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "Repository",
    plural = "repositories",
    shortname = "wr",
    category = "weir",
    namespaced,
    status = "RepositoryStatus",
    doc = "A Git repository that Weir follows: what it renders to is kept in this cluster as a service account of this namespace.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Apps", type_ = "string", json_path = ".status.summary"),
    printcolumn(name = "Commit", type_ = "string", json_path = ".status.short"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url", priority = 1),
    printcolumn(name = "Ref", type_ = "string", json_path = ".spec.ref", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!(has(self.path) && has(self.manifest))",
        "message": "give either path or manifest: a path means that there is no manifest"
    },
    {
        "rule": "!self.url.matches('^(ssh://|[^/:@]+@[^/:]+:)') || has(self.secretRef)",
        "message": "a repository over ssh needs secretRef: a Secret with identity and known_hosts"
    }
]))]
pub struct RepositorySpec {
    /// Where it is: `https://HOST/PATH`, `http://HOST/PATH`, `ssh://USER@HOST/PATH` or `USER@HOST:PATH`, without credentials.
    #[schemars(
        length(min = 1, max = 2048),
        regex(pattern = r"^(https?://|ssh://|[^/:@]+@[^/:]+:)")
    )]
    pub url: String,
    /// The branch or tag that is followed.
    #[serde(rename = "ref", default = "main")]
    #[schemars(length(min = 1, max = 255))]
    pub reference: String,
    /// How often it is asked, 1s to 24h, such as `15s`; up to a tenth is added by chance.
    #[serde(default = "often")]
    #[schemars(
        length(max = 16),
        regex(pattern = r"^[0-9]+(ms|s|m|h)$"),
        extend("x-kubernetes-validations" = [{
            "rule": "duration(self) >= duration('1s') && duration(self) <= duration('24h')",
            "message": "expected a time from 1s to 24h"
        }])
    )]
    pub interval: String,
    /// Follow a repository without weir.yaml: one app, named as this resource, from this directory; objects that name no
    /// namespace land in this one.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String", length(max = 4096))]
    pub path: Option<String>,
    /// The text of a weir.yaml, instead of the repository's own.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String", length(min = 1, max = 262144))]
    pub manifest: Option<String>,
    /// The Secret of this namespace with what is shown to the Git server: `token`; `username` and `password`; for ssh
    /// `identity` and `known_hosts`; for https also `ca.crt`, and `tls.crt` with `tls.key`.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "SecretRef")]
    pub secret_ref: Option<SecretRef>,
    /// The service account of this namespace that objects are read and written as.
    #[serde(default = "default_account")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account: String,
    /// Where its apps land, by the manifest's names. All of them are this cluster.
    #[serde(default = "one_target")]
    #[schemars(
        length(min = 1, max = 100),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub targets: Vec<TargetSpec>,
    /// What the service does by itself.
    #[serde(default)]
    pub policy: PolicySpec,
    /// What it may have. Left out: all that the service account may, and the service's operator allows.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "AllowSpec")]
    pub allow: Option<AllowSpec>,
}

/// A Secret of the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A target of the manifest: this cluster, as a service account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetSpec {
    /// The manifest's name for it.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// The service account of this namespace that is used there. Left out: the repository's own.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String", length(min = 1, max = 253))]
    pub service_account: Option<String>,
    /// What may land there, in addition to what `allow` of the repository says: both have to allow an object.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "AllowSpec")]
    pub allow: Option<AllowSpec>,
}

/// What the service does by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicySpec {
    /// Fetch and write nothing; what is there stays.
    #[serde(default)]
    pub suspend: bool,
    /// What happens to changes that someone else made: `enforce` undoes them, `report` says them.
    #[serde(default)]
    pub heal: HealSpec,
    /// How much of an app may be deleted without a person: a delete of more than both waits for an approval.
    #[serde(default)]
    pub guard: GuardSpec,
    /// What happens to its apps' objects when this resource is deleted: `orphan` leaves them, `prune` deletes them.
    #[serde(default)]
    pub on_delete: OnDelete,
}

/// What happens to changes that someone else made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealSpec {
    /// They are undone.
    #[default]
    Enforce,
    /// They are said, and stay.
    Report,
}

/// How much of an app may be deleted without a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuardSpec {
    /// So many percent of what the app owns.
    #[serde(default = "percent")]
    #[schemars(range(min = 0, max = 100))]
    pub percent: i32,
    /// So many objects.
    #[serde(default = "objects")]
    #[schemars(range(min = 0))]
    pub objects: i32,
}

/// What happens to the objects of a repository that is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnDelete {
    /// They stay.
    #[default]
    Orphan,
    /// They go.
    Prune,
}

/// What a repository may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowSpec {
    /// Namespaces by name, or with a `*` at the end all that begin so. Left out: all.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Vec<String>", length(max = 1000))]
    pub namespaces: Option<Vec<String>>,
    /// Kinds of objects in a namespace: `GROUP/KIND` (such as `core/ConfigMap`), `GROUP/*` or `*`. Left out: all.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Vec<String>", length(max = 1000))]
    pub kinds: Option<Vec<String>>,
    /// Kinds of objects in no namespace, in the same form: `[]` for none, `['*']` for all.
    #[schemars(length(max = 1000))]
    pub cluster_kinds: Vec<String>,
}

/// How the repository stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryStatus {
    /// The generation of the resource that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`; `Reconciling` and `Stalled` where they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The commit that is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The first digits of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<String>,
    /// Its apps in one line, such as `3 of 4 ready, 1 held`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// How many apps it has.
    #[serde(default)]
    pub apps: i64,
    /// How many of them are ready.
    #[serde(default)]
    pub ready: i64,
    /// How many failed.
    #[serde(default)]
    pub failed: i64,
    /// How many wait for a person.
    #[serde(default)]
    pub held: i64,
    /// When the server had been asked last, as this status was written: it is not written anew for each fetch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fetch_time: Option<String>,
    /// The value of the annotation `weir.dev/sync` that was acted on last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_sync: Option<String>,
}

impl Default for GuardSpec {
    fn default() -> GuardSpec {
        GuardSpec {
            percent: percent(),
            objects: objects(),
        }
    }
}

/// What is given, which is no null: a value that went missing never means the default.
fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

fn main() -> String {
    "main".to_owned()
}

fn often() -> String {
    "1m".to_owned()
}

fn default_account() -> String {
    "default".to_owned()
}

fn one_target() -> Vec<TargetSpec> {
    vec![TargetSpec {
        name: "default".to_owned(),
        service_account: None,
        allow: None,
    }]
}

fn percent() -> i32 {
    30
}

fn objects() -> i32 {
    10
}
