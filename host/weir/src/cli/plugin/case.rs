//! What a plugin is called with: from a folder of `testdata/`, or from flags.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use weir_core::grant::Limits;
use weir_core::grant::LimitsPatch;
use weir_core::lock;
use weir_core::name::{AppName, Namespace, RepoPath, TargetName};
use weir_core::object::Object;
use weir_core::render::{self, Document};
use weir_core::tree::{MemoryBlobs, Snapshot, Tree, TreeLimits};
use weir_core::yaml::{self, Budget};
use weir_sandbox::{Params, Role, TargetFacts};
use weir_source::folder_snapshot;

use super::limits::narrowed;
use super::{failed, one_document};
use crate::error::Error;
use crate::plugins::read_capped;

/// The file that says what a case is about.
pub(super) const CASE: &str = "case.yaml";
/// The objects that a transformer or validator is given.
pub(super) const OBJECTS: &str = "objects.yaml";
/// The files that a plugin may read.
pub(super) const TREE: &str = "tree";
/// The largest case.yaml, in bytes.
const MAX_CASE: u64 = 1 << 20;
/// The largest file of objects, in bytes: what a stream may hold.
const MAX_OBJECTS: u64 = 64 << 20;

/// All that a call is told and given.
pub(super) struct Given {
    pub(super) app: AppName,
    pub(super) params: Params,
    /// The wall clock that the plugin sees, in Unix seconds.
    pub(super) instant: u64,
    pub(super) limits: Limits,
    pub(super) files: Snapshot,
    pub(super) objects: Vec<Object>,
}

/// What a call is told, as it is typed: `case.yaml`, or flags.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Told {
    /// The app's name; left out: `app`.
    pub(super) app: Option<AppName>,
    /// The app's path in the tree; left out: the root.
    #[serde(default)]
    pub(super) path: RepoPath,
    /// The namespace of objects that name none.
    pub(super) namespace: Option<Namespace>,
    /// What the plugin may know of the target.
    #[serde(default)]
    pub(super) target: Target,
    /// Where the wall clock stands.
    pub(super) instant: Option<Timestamp>,
    /// The plugin's config.
    #[serde(default)]
    pub(super) config: Map<String, Value>,
    /// What the call may spend: a host's limits, narrowed.
    #[serde(default)]
    pub(super) limits: LimitsPatch,
}

/// What a plugin may know of a target. What is left out is as without a weir.lock.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Target {
    name: Option<TargetName>,
    kubernetes: Option<String>,
    #[serde(default)]
    apis: Vec<String>,
}

impl Told {
    /// The call that is meant, with these files and objects.
    pub(super) fn given(self, files: Snapshot, objects: Vec<Object>) -> Result<Given, Error> {
        let target = self.target.name.unwrap_or_else(TargetName::default_target);
        let facts = lock::facts_for(None, &target).map_err(|e| Error::stage("plugin", &e))?;
        let instant = self.instant.unwrap_or(facts.instant);
        let app = match self.app {
            Some(app) => app,
            None => "app"
                .parse()
                .map_err(|e: weir_core::name::NameError| Error::host("plugin", e.to_string()))?,
        };
        Ok(Given {
            params: Params {
                app: app.to_string(),
                path: self.path.as_str().to_owned(),
                namespace: self.namespace.map(String::from),
                target: TargetFacts {
                    name: target.to_string(),
                    kubernetes: self.target.kubernetes.unwrap_or(facts.kubernetes),
                    apis: self.target.apis,
                },
                config: Value::Object(self.config).to_string().into_bytes(),
            },
            app,
            instant: u64::try_from(instant.as_second()).unwrap_or(0),
            limits: narrowed(&self.limits)?,
            files,
            objects,
        })
    }
}

/// What a folder of `testdata/` gives to a plugin of a role.
///
/// # Errors
/// It is no case: the error says which file, and what it lacks.
pub(super) fn read(dir: &Path, role: Role) -> Result<Given, Error> {
    let path = dir.join(CASE);
    let text = read_capped(&path, MAX_CASE)?.ok_or_else(|| {
        Error::Usage(format!(
            "{}: there is no {CASE}, which says what the case is about (app, path, config): an empty one will do",
            dir.display()
        ))
    })?;
    let told = told(&path, &text)?;
    let tree = dir.join(TREE);
    let files = match tree.is_dir() {
        true => folder(&tree)?,
        false if role == Role::Renderer => {
            return Err(Error::Usage(format!(
                "{}: there is no folder {TREE}, which holds the files that a renderer reads",
                dir.display()
            )));
        }
        false => no_files()?,
    };
    let objects = match role {
        Role::Renderer => Vec::new(),
        Role::Transformer | Role::Validator => objects(&dir.join(OBJECTS))?,
    };
    let given = told.given(files, objects);
    given.map_err(|e| Error::Usage(format!("{}: {e}", path.display())))
}

/// What a case.yaml says. An empty one says nothing.
fn told(path: &Path, text: &[u8]) -> Result<Told, Error> {
    let nodes = yaml::parse(text, &Budget::MANIFEST);
    let told = nodes.and_then(|nodes| match nodes.as_slice() {
        [] => Ok(Told::default()),
        [node] => yaml::decode::<Told>(node),
        [_, second, ..] => Err(one_document(second.mark)),
    });
    told.map_err(|e| Error::Usage(format!("{}:{e}", path.display())))
}

/// The objects in a file, as the host reads them.
pub(super) fn objects(path: &Path) -> Result<Vec<Object>, Error> {
    let body = read_capped(path, MAX_OBJECTS)?.ok_or_else(|| {
        Error::Usage(format!(
            "{}: there is no such file; a transformer or validator is given the objects in it",
            path.display()
        ))
    })?;
    let document = Document {
        origin: path.display().to_string(),
        body,
    };
    render::parse(&[document], &Budget::HOST).map_err(|e| Error::Usage(e.to_string()))
}

/// The files of a folder.
pub(super) fn folder(dir: &Path) -> Result<Snapshot, Error> {
    folder_snapshot(dir, TreeLimits::HOST).map_err(|e| Error::stage("snapshot", &e))
}

/// A tree in which nothing is.
pub(super) fn no_files() -> Result<Snapshot, Error> {
    let tree = Tree::new(None, Default::default());
    let tree = tree.map_err(|path| Error::host("plugin", format!("an empty tree with {path}")))?;
    Ok(Snapshot {
        tree: tree.into(),
        blobs: std::sync::Arc::new(MemoryBlobs::default()),
        limits: TreeLimits::HOST,
        externals: Default::default(),
    })
}

/// The most cases of one plugin.
const MAX_CASES: usize = 10_000;

/// The cases of a plugin, in order of name.
///
/// # Errors
/// There are none; the error says how to make one.
pub(super) fn all(plugin: &Path) -> Result<Vec<PathBuf>, Error> {
    let testdata = plugin.join("testdata");
    let none = || {
        Error::Usage(format!(
            "{}: there are no cases: make a folder in it, such as testdata/good, with a {CASE}, and with {OBJECTS} or the folder {TREE}; then run `weir plugin test --update` and look at what it writes",
            testdata.display()
        ))
    };
    let entries = match std::fs::read_dir(&testdata) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(none()),
        Err(e) => return Err(failed(format!("{}: {e}", testdata.display()))),
    };
    let mut cases = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(|e| failed(format!("{}: {e}", testdata.display())))?
            .path();
        if path.is_dir() {
            cases.push(path);
        }
        if cases.len() > MAX_CASES {
            return Err(failed(format!(
                "{}: more than {MAX_CASES} cases",
                testdata.display()
            )));
        }
    }
    cases.sort();
    if cases.is_empty() {
        Err(none())
    } else {
        Ok(cases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        told(Path::new("case.yaml"), text.as_bytes())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_is_left_out_is_as_a_host_has_it_without_a_lock() {
        let told = told(Path::new("case.yaml"), b"# nothing\n").unwrap();
        let given = told.given(no_files().unwrap(), Vec::new()).unwrap();
        let facts = lock::facts_for(None, &TargetName::default_target()).unwrap();
        assert_eq!(given.limits, Limits::HOST);
        assert_eq!(given.params.app, "app");
        assert_eq!(given.params.config, b"{}");
        assert_eq!(given.params.target.name, "default");
        assert_eq!(given.params.target.kubernetes, facts.kubernetes);
        assert_eq!(given.instant, facts.instant.as_second().unsigned_abs());
    }

    #[test]
    fn what_is_said_arrives() {
        let text = "app: shop\npath: apps/shop\nnamespace: red\ntarget: { name: eu, kubernetes: 1.36.0, apis: [a/v1] }\n\
                    instant: 2026-03-04T05:06:07Z\nconfig: { team: a }\nlimits: { fuel: 1M }\n";
        let told = told(Path::new("case.yaml"), text.as_bytes()).unwrap();
        let given = told.given(no_files().unwrap(), Vec::new()).unwrap();
        let expected = Params {
            app: "shop".into(),
            path: "apps/shop".into(),
            namespace: Some("red".into()),
            target: TargetFacts {
                name: "eu".into(),
                kubernetes: "1.36.0".into(),
                apis: vec!["a/v1".into()],
            },
            config: br#"{"team":"a"}"#.to_vec(),
        };
        assert_eq!(given.params, expected);
        assert_eq!(given.limits.fuel.0, 1_000_000);
        assert_eq!(given.instant, 1_772_600_767);
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        assert!(complaint("app: shop\nconfg: {}\n").contains("case.yaml:2:1"));
        assert!(complaint("app: Shop\n").contains("app name"));
        assert!(complaint("path: ../up\n").contains("case.yaml:1:7"));
        assert!(complaint("limits: { fuel: much }\n").contains("fuel above zero"));
        assert!(complaint("config: [a]\n").contains("case.yaml:1:9"));
        assert!(complaint("app: [\n").contains("case.yaml:"));
    }
}
