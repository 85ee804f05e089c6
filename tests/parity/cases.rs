//! The cases of the parity suite: trees on disk, what to build in them with which config, and which are known to differ.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value, json};
use weir_tests::places;

/// Whose format a tree has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Helm,
    Kustomize,
}

impl Tool {
    /// As the plugin, the folders and the native program call it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Tool::Helm => "helm",
            Tool::Kustomize => "kustomize",
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One tree and what to build in it.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) tool: Tool,
    /// The folder's name.
    pub(crate) id: String,
    /// Where the tree lies.
    pub(crate) tree: PathBuf,
    /// The app's path in the tree; empty is the tree itself.
    pub(crate) dir: String,
    /// The plugin's config.
    pub(crate) config: Map<String, Value>,
    pub(crate) kubernetes: String,
    pub(crate) apis: Vec<String>,
    /// Ours must render; those of the tools' own tests may fail on both sides.
    pub(crate) is_ours: bool,
}

impl Case {
    /// As the trial and the list of differences call it.
    pub(crate) fn name(&self) -> String {
        let of = if self.is_ours { "own-" } else { "" };
        format!("{}/{of}{}", self.tool, self.id)
    }

    /// The directory to build, on disk.
    pub(crate) fn place(&self) -> PathBuf {
        if self.dir.is_empty() {
            self.tree.clone()
        } else {
            self.tree.join(&self.dir)
        }
    }
}

/// All cases, what was left out, and the known differences by the cases' names.
#[derive(Debug, Default)]
pub(crate) struct Cases {
    pub(crate) all: Vec<Case>,
    pub(crate) skipped: BTreeMap<String, String>,
    pub(crate) differences: BTreeMap<String, String>,
}

/// Reads everything.
///
/// # Errors
/// The natives are not built, or a list is malformed.
pub(crate) fn read() -> Result<Cases> {
    let mut cases = Cases::default();
    for tool in [Tool::Helm, Tool::Kustomize] {
        theirs(tool, &mut cases)?;
        ours(tool, &mut cases)?;
    }
    cases.differences = differences()?;
    Ok(cases)
}

/// The trees of the tools' own tests.
fn theirs(tool: Tool, cases: &mut Cases) -> Result<()> {
    let folder = places::native()?.join("cases").join(tool.as_str());
    let list = json_of(&folder.join("cases.json"))?;
    for one in list.as_array().context("cases.json holds a list")? {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let id = text("name");
        ensure!(!id.is_empty(), "{}: a case has no name", folder.display());
        if one["skip"].is_string() {
            cases.skipped.insert(format!("{tool}/{id}"), text("skip"));
            continue;
        }
        cases.all.push(Case {
            tool,
            tree: folder.join(&id),
            dir: text("dir"),
            config: config_of(tool, Map::new()),
            kubernetes: KUBERNETES.to_owned(),
            apis: Vec::new(),
            is_ours: false,
            id,
        });
    }
    Ok(())
}

/// Our own: a folder for each with a `case.json`.
fn ours(tool: Tool, cases: &mut Cases) -> Result<()> {
    let folder = source().join(tool.as_str());
    let mut trees = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))? {
        trees.push(entry?.path());
    }
    trees.sort();
    for tree in trees {
        let about = json_of(&tree.join("case.json"))?;
        let Value::Object(mut about) = about else {
            bail!("{}: case.json holds an object", tree.display());
        };
        let mut take = |key: &str| about.remove(key);
        let said = take("about").is_some_and(|text| text.as_str().is_some_and(|t| !t.is_empty()));
        ensure!(
            said,
            "{}: case.json says nothing in `about`",
            tree.display()
        );
        let config = match take("config") {
            Some(Value::Object(config)) => config,
            _ => Map::new(),
        };
        let dir = take("dir").unwrap_or_default();
        let kubernetes = take("kubernetes").unwrap_or_default();
        let apis = take("apis").unwrap_or_default();
        ensure!(
            about.is_empty(),
            "{}: case.json has unknown keys: {about:?}",
            tree.display()
        );
        let id = tree
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        cases.all.push(Case {
            tool,
            dir: dir.as_str().unwrap_or_default().to_owned(),
            config: config_of(tool, config),
            kubernetes: kubernetes.as_str().unwrap_or(KUBERNETES).to_owned(),
            apis: apis
                .as_array()
                .map(|list| {
                    list.iter()
                        .filter_map(|api| api.as_str().map(str::to_owned))
                        .collect()
                })
                .unwrap_or_default(),
            is_ours: true,
            id,
            tree,
        });
    }
    Ok(())
}

/// The version that both sides are told where a case says nothing.
const KUBERNETES: &str = "1.37.0";

/// What a chart is released as where a case says nothing, so that no side's own default matters.
fn config_of(tool: Tool, mut config: Map<String, Value>) -> Map<String, Value> {
    if tool == Tool::Helm {
        for (key, value) in [("release", "parity"), ("namespace", "there")] {
            config.entry(key).or_insert_with(|| json!(value));
        }
    }
    config
}

/// Lines of `tool/name: reason`.
fn differences() -> Result<BTreeMap<String, String>> {
    let file = source().join("differences.txt");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut known = BTreeMap::new();
    for line in lines {
        let (name, reason) = line.split_once(": ").with_context(|| {
            format!("differences.txt: `tool/name: reason` expected, found {line:?}")
        })?;
        let twice = known.insert(name.to_owned(), reason.to_owned());
        ensure!(twice.is_none(), "differences.txt names {name} twice");
    }
    Ok(known)
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("parity")
}

fn json_of(file: &Path) -> Result<Value> {
    let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("reading {}", file.display()))
}
