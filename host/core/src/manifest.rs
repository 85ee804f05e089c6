//! `weir.yaml`: which apps a repository has, what each one is made with, and where it lands.
//!
//! ```text
//! text ─yaml::parse→ Node ─yaml::decode→ Raw (as typed) ─resolve, with the Tree→ Manifest (as meant)
//! ```
//!
//! Every error stands at its line and column, says what was expected and names the nearest thing that
//! exists. As many errors as can be found are reported at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::external::Reference;
use crate::fault::{Blame, Fault, Retry};
use crate::grant::{Grants, LimitsPatch, Millis};
use crate::name::{AppName, Namespace, PluginName, RepoPath, TargetName};
use crate::plugin::PluginReference;
use crate::policy::Policy;
use crate::tree::Tree;
use crate::yaml::Mark;

mod each;
mod entry;
mod order;
mod place;
mod policy;
mod raw;
mod read;
mod resolve;
pub use resolve::may_differ;
#[cfg(test)]
mod tests;

pub use place::{Errors, Place};
pub use raw::schema as manifest_schema;
pub use raw::{Version, schema_of};
pub use read::document;

/// The manifest's file, at the repository's root.
pub const MANIFEST_FILE: &str = "weir.yaml";

/// How many apps one manifest may give, after globs and targets are multiplied out.
pub const MAX_APPS: usize = 10_000;
/// How many errors are reported at once.
pub const MAX_ERRORS: usize = 20;
/// How long an app may take to become healthy where it does not say it.
pub const SETTLE_WITHIN: Millis = Millis(600_000);

/// What a repository asks for, resolved against its tree.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The declared plugins, and the implied ones that an app uses.
    pub plugins: BTreeMap<PluginName, PluginSpec>,
    /// The apps: each one behind those that it is `after`, otherwise by name.
    pub apps: Vec<App>,
    /// The targets that are declared or that an app lands in. Only the host says what they are.
    pub targets: BTreeSet<TargetName>,
    /// Externals that are locked whether or not a render asks for them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub externals: BTreeSet<Reference>,
}

/// A plugin as the repository chooses it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginSpec {
    /// Where it comes from.
    pub source: PluginSource,
    /// How far the repository narrows what the host allows.
    pub limits: LimitsPatch,
    /// What it is given besides the app's files.
    #[serde(skip_serializing_if = "Grants::is_none")]
    pub grants: Grants,
    /// Whether no one declared it: an app was recognised as a Helm chart, a Kustomization or plain YAML.
    pub implied: bool,
    /// Where it is declared; where the app is that implies it, otherwise.
    #[serde(serialize_with = "mark_as_text")]
    pub mark: Mark,
}

/// Where a plugin comes from. As text `bundled:yaml`, `file:policy/check.wasm`, `oci://registry.example/name:tag`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PluginSource {
    /// It comes with Weir, under this name.
    Bundled(String),
    /// A component in the repository itself.
    File(RepoPath),
    /// A component in a registry.
    Oci(PluginReference),
}

/// The unit of sync: a path in the tree, a pipeline, a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct App {
    /// Its name, with the target behind a dot where its entry lands in several.
    pub name: AppName,
    /// The file or directory that is rendered.
    pub path: RepoPath,
    /// What its plugins may read: these files and directories and what is below. Never empty.
    pub roots: Vec<RepoPath>,
    /// What makes documents of the path.
    pub render: PluginCall,
    /// What changes the objects, in order: the defaults', then the app's own.
    pub transform: Vec<PluginCall>,
    /// What checks the objects, in order: the defaults', then the app's own.
    pub validate: Vec<PluginCall>,
    /// Where it lands.
    pub target: TargetName,
    /// The namespace of objects that name none.
    pub namespace: Option<Namespace>,
    /// The apps that have to be healthy before this one, by name.
    pub after: Vec<AppName>,
    /// How long it may take to become healthy, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<Settle>,
    /// What happens to its objects when it leaves the manifest.
    pub remove: Removal,
    /// How its objects are kept where others change them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub policy: Policy,
    /// Where its entry stands in the manifest.
    #[serde(serialize_with = "mark_as_text", skip_deserializing)]
    pub mark: Mark,
}

/// One step of a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginCall {
    /// Which plugin.
    pub plugin: PluginName,
    /// What it is told: the manifest's configuration with the target's merged over it.
    pub config: Map<String, Value>,
}

/// How an app that was synced is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settle {
    /// How long it may take to become healthy.
    pub within: Millis,
    /// What happens when it takes longer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_failure: OnFailure,
}

/// What happens to an app that is synced and does not become healthy in its time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// It is said, and the app stays as it is.
    #[default]
    Stay,
    /// The last output that was healthy is applied again, and the app stays there until it renders to something else.
    Rollback,
}

/// What happens to an app's objects when it leaves the manifest.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Removal {
    /// They stay until a person approves.
    #[default]
    Hold,
    /// They are pruned.
    Prune,
}

/// A manifest, and what its author should hear though it is well-formed.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The manifest.
    pub manifest: Manifest,
    /// In order of place.
    pub warnings: Vec<Warning>,
}

/// Something that is probably not meant, such as a glob that matches nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The manifest's file.
    pub file: String,
    /// Where in it.
    pub mark: Mark,
    /// What was found and what it means.
    pub message: String,
}

/// Something wrong with a manifest or a lock, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ManifestError {
    /// The file.
    pub file: String,
    /// Where in it; line 0 where it is about the file as a whole.
    pub mark: Mark,
    /// What was found, what was expected, what is nearest to it.
    pub message: String,
}

/// All that is wrong with a file, in order of place: at least one and at most [`MAX_ERRORS`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ManifestErrors(pub Vec<ManifestError>);

impl Manifest {
    /// Reads a manifest: `weir.yaml` of a tree, or a text that the host carries for it under another name.
    ///
    /// # Errors
    /// Everything wrong that can be found at once.
    pub fn parse(text: &[u8], file: &str, tree: &Tree) -> Result<Resolved, ManifestErrors> {
        let node = read::document(text, file)?;
        let raw = read::manifest(&node, file)?;
        resolve::resolve(&raw, &node, file, tree)
    }

    /// The manifest of a repository that has none: one app, made with what its files tell, in the default
    /// target.
    ///
    /// # Errors
    /// When the path is not in the tree.
    pub fn implied(tree: &Tree, path: RepoPath, name: AppName) -> Result<Manifest, ManifestErrors> {
        let mark = Mark::default();
        if let Err(message) = resolve::found(tree, &path) {
            return Err(ManifestError {
                file: path.to_string(),
                mark,
                message,
            }
            .into());
        }
        let plugin = resolve::renderer_of(tree, &path);
        let spec = resolve::implied_spec(&plugin, LimitsPatch::default(), mark);
        let target = TargetName::default_target();
        let app = App {
            name,
            path,
            roots: vec![RepoPath::root()],
            render: PluginCall {
                plugin: plugin.clone(),
                config: Map::new(),
            },
            transform: Vec::new(),
            validate: Vec::new(),
            target: target.clone(),
            namespace: None,
            after: Vec::new(),
            settle: None,
            remove: Removal::Hold,
            policy: Policy::default(),
            mark,
        };
        Ok(Manifest {
            plugins: [(plugin, spec)].into(),
            apps: vec![app],
            targets: [target].into(),
            externals: BTreeSet::new(),
        })
    }

    /// The app of this name.
    pub fn app(&self, name: &str) -> Option<&App> {
        self.apps.iter().find(|app| app.name.as_str() == name)
    }
}

impl PluginSource {
    /// What may follow `source:`, for error texts.
    pub const EXPECTED: &str =
        "bundled:NAME, file:PATH (a component in this repository) or oci://HOST/PATH:TAG";
}

impl FromStr for PluginSource {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "plugin source {:?}: {why}",
                s.chars().take(200).collect::<String>()
            )
        };
        if let Some(name) = s.strip_prefix("bundled:") {
            let name: PluginName = name
                .parse()
                .map_err(|e: crate::name::NameError| wrong(e.why))?;
            Ok(PluginSource::Bundled(name.into()))
        } else if let Some(path) = s.strip_prefix("file:") {
            let path: RepoPath = path
                .parse()
                .map_err(|e: crate::name::NameError| wrong(e.why))?;
            if path.is_root() {
                Err(wrong("expected the path of a file"))
            } else {
                Ok(PluginSource::File(path))
            }
        } else if s.starts_with("oci://") {
            let reference: Result<PluginReference, _> = s.parse();
            reference
                .map(PluginSource::Oci)
                .map_err(|e| format!("plugin source {e}"))
        } else {
            Err(wrong(&format!("expected {}", PluginSource::EXPECTED)))
        }
    }
}

impl TryFrom<String> for PluginSource {
    type Error = String;
    fn try_from(s: String) -> Result<Self, String> {
        s.parse()
    }
}

impl From<PluginSource> for String {
    fn from(source: PluginSource) -> String {
        source.to_string()
    }
}

impl fmt::Display for PluginSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PluginSource::Bundled(name) => write!(f, "bundled:{name}"),
            PluginSource::File(path) => write!(f, "file:{}", path.as_str()),
            PluginSource::Oci(reference) => reference.fmt(f),
        }
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, &self.file, self.mark, &self.message)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, &self.file, self.mark, &self.message)
    }
}

impl fmt::Display for ManifestErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        if self.0.len() >= MAX_ERRORS {
            write!(f, "\nonly the first {MAX_ERRORS} errors are shown")?;
        }
        Ok(())
    }
}

impl Blame for ManifestErrors {
    fn fault(&self) -> Fault {
        Fault::Repository
    }
    fn retry(&self) -> Retry {
        Retry::OnChange
    }
}

impl From<ManifestError> for ManifestErrors {
    fn from(error: ManifestError) -> Self {
        ManifestErrors(vec![error])
    }
}

fn show(f: &mut fmt::Formatter<'_>, file: &str, mark: Mark, message: &str) -> fmt::Result {
    if mark.line == 0 {
        write!(f, "{file}: {message}")
    } else {
        write!(f, "{file}:{}:{}: {message}", mark.line, mark.column)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn mark_as_text<S: Serializer>(mark: &Mark, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}:{}", mark.line, mark.column))
}
