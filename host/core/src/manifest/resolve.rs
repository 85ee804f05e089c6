//! From a manifest as typed to a manifest as meant: names looked up, paths found, defaults and targets merged in.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::order::{Waiting, order};
use super::place::{Errors, Place, nearest, quote};
use super::raw::{RawCall, RawManifest};
use super::{App, Manifest, ManifestErrors, PluginSource, PluginSpec, Resolved, Warning};
use crate::external::{MAX_EXTERNALS, Reference};
use crate::grant::{Grants, LimitsPatch};
use crate::name::{Namespace, PluginName, RepoPath, TargetName};
use crate::tree::{Change, Entry, There, Tree};
use crate::yaml::{Mark, Node};

/// The renderers that need no declaration, each bundled under its own name.
const IMPLIED: [&str; 3] = ["helm", "kustomize", "yaml"];
/// The file that makes a directory a Helm chart.
const CHART: &str = "Chart.yaml";
/// The files that make one a Kustomization.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// How many globs one manifest may have: each one walks the tree.
const MAX_GLOBS: usize = 200;
/// How many calls one list may have.
const MAX_STEPS: usize = 100;
/// How much configuration all apps together may hold after defaults and targets are merged in, in bytes as
/// [`weight`] counts them: a few kilobytes of defaults times thousands of apps.
const MAX_CONFIG: usize = 64 << 20;

/// What is known so far.
pub(super) struct Resolver<'a> {
    pub(super) tree: &'a Tree,
    pub(super) errors: Errors<'a>,
    pub(super) targets: BTreeMap<TargetName, Target<'a>>,
    pub(super) defaults: Defaults<'a>,
    /// The apps' names without targets: where the entry is and which path it is about.
    pub(super) names: BTreeMap<String, (Mark, RepoPath)>,
    pub(super) apps: Vec<Waiting>,
    /// A limit on all apps together was passed, and said.
    pub(super) full: bool,
    file: &'a str,
    warnings: Vec<Warning>,
    plugins: BTreeMap<PluginName, PluginSpec>,
    externals: BTreeSet<Reference>,
    globs: usize,
    config: usize,
}

/// What is different in one target.
pub(super) struct Target<'a> {
    pub(super) config: BTreeMap<&'a str, &'a Map<String, Value>>,
    pub(super) namespace: Option<Namespace>,
}

/// What apps take that do not say otherwise.
#[derive(Default)]
pub(super) struct Defaults<'a> {
    pub(super) render: Option<Step<'a>>,
    pub(super) transform: Vec<Step<'a>>,
    pub(super) validate: Vec<Step<'a>>,
    pub(super) namespace: Option<Namespace>,
    limits: LimitsPatch,
}

/// One call of a plugin that exists.
#[derive(Clone)]
pub(super) struct Step<'a> {
    pub(super) plugin: PluginName,
    pub(super) config: &'a Map<String, Value>,
}

/// The manifest as meant, or all that is wrong with it.
pub(super) fn resolve(
    raw: &RawManifest,
    node: &Node,
    file: &str,
    tree: &Tree,
) -> Result<Resolved, ManifestErrors> {
    let root = Place::root(node);
    let mut resolver = Resolver {
        tree,
        errors: Errors::new(file),
        targets: BTreeMap::new(),
        defaults: Defaults {
            limits: raw.defaults.limits,
            ..Defaults::default()
        },
        names: BTreeMap::new(),
        apps: Vec::new(),
        full: false,
        file,
        warnings: Vec::new(),
        plugins: BTreeMap::new(),
        externals: BTreeSet::new(),
        globs: 0,
        config: 0,
    };
    resolver.plugins(raw, root.key("plugins"));
    resolver.targets(raw, root.key("targets"));
    resolver.defaults(raw, root.key("defaults"));
    resolver.externals(raw, root.key("externals"));
    if raw.apps.is_empty() {
        resolver.warn(
            root.key("apps").mark(),
            "there are no apps, so nothing is synced".to_owned(),
        );
    }
    for (n, app) in raw.apps.iter().enumerate() {
        if resolver.errors.full() || resolver.full {
            break;
        }
        resolver.entry(app, root.key("apps").index(n));
    }
    resolver.finish()
}

/// Whether a change may make another thing of a manifest that is the same text: it asks for directories, for the files
/// that say what renders an app, and for what it names.
pub fn may_differ(manifest: &Manifest, change: &Change) -> bool {
    let there = (change.before, change.after);
    if there == (There::File, There::File) {
        return false;
    }
    let plain = |there| matches!(there, There::Nothing | There::File);
    let name = change.path.name().unwrap_or_default();
    let tells = name == CHART || KUSTOMIZATIONS.contains(&name);
    let by_plugin =
        |source: &PluginSource| matches!(source, PluginSource::File(path) if *path == change.path);
    let named = || {
        let plugins = manifest
            .plugins
            .values()
            .any(|spec| by_plugin(&spec.source));
        let is_named = |app: &App| app.path == change.path || app.roots.contains(&change.path);
        plugins || manifest.apps.iter().any(is_named)
    };
    !plain(there.0) || !plain(there.1) || tells || named()
}

/// What renders a path when no one says it.
pub(super) fn renderer_of(tree: &Tree, path: &RepoPath) -> PluginName {
    let has = |name: &str| path.join(name).is_ok_and(|file| tree.get(&file).is_some());
    let name = if has(CHART) {
        "helm"
    } else if KUSTOMIZATIONS.into_iter().any(has) {
        "kustomize"
    } else {
        "yaml"
    };
    name.parse()
        .expect("the bundled renderers have legal names")
}

/// The plugin that an app's files imply.
pub(super) fn implied_spec(plugin: &PluginName, limits: LimitsPatch, mark: Mark) -> PluginSpec {
    PluginSpec {
        source: PluginSource::Bundled(plugin.to_string()),
        limits,
        grants: Grants::default(),
        implied: true,
        mark,
    }
}

/// Whether a path is a file (and not a directory) of the tree.
///
/// # Errors
/// What is there instead, and the nearest path that exists.
pub(super) fn found(tree: &Tree, path: &RepoPath) -> Result<bool, String> {
    let mut at = RepoPath::root();
    for part in path.parts() {
        let Ok(next) = at.join(part) else { break };
        match tree.get(&next) {
            Some(Entry::Symlink { target, .. }) => {
                return Err(format!(
                    "{next} is a symbolic link to {}; expected the path that it leads to",
                    quote(target)
                ));
            }
            Some(Entry::Submodule { .. }) => {
                return Err(format!(
                    "{next} is a submodule, which Weir does not follow; expected files of this repository"
                ));
            }
            Some(Entry::File { .. }) if next == *path => return Ok(true),
            Some(Entry::File { .. }) => {
                return Err(format!("{next} is a file; expected a directory"));
            }
            None if tree.is_dir(&next) => at = next,
            None => return Err(missing(tree, &at, part)),
        }
    }
    Ok(false)
}

fn missing(tree: &Tree, dir: &RepoPath, part: &str) -> String {
    let mut names: Vec<&str> = tree
        .below(dir)
        .filter_map(|(path, _)| path.below(dir)?.split('/').next())
        .collect();
    names.dedup();
    let near = nearest(part, names);
    let place = if dir.is_root() {
        "the repository".to_owned()
    } else {
        dir.to_string()
    };
    format!(
        "there is no {} in {place}; expected a path of this commit{near}",
        quote(part)
    )
}

impl<'a> Resolver<'a> {
    pub(super) fn warn(&mut self, mark: Mark, message: String) {
        self.warnings.push(Warning {
            file: self.file.to_owned(),
            mark,
            message,
        });
    }

    /// Counts a glob, and says when they are too many.
    pub(super) fn may_search(&mut self, mark: Mark) -> bool {
        self.globs += 1;
        if self.globs > MAX_GLOBS {
            self.full = true;
            self.errors.push(
                mark,
                format!("the manifest has more than {MAX_GLOBS} globs, which is the most for one"),
            );
        }
        !self.full
    }

    /// Counts configuration before it is copied, and says when it is too much.
    pub(super) fn charge(&mut self, config: &Map<String, Value>, mark: Mark) -> Option<()> {
        self.config += config
            .iter()
            .map(|(key, value)| key.len() + weight(value))
            .sum::<usize>();
        if self.config > MAX_CONFIG {
            let most = MAX_CONFIG >> 20;
            self.errors.push(mark, format!("the configuration of all apps together, with defaults and targets, is more than {most}Mi"));
            return None;
        }
        Some(())
    }

    /// A call of a plugin that exists; an undeclared bundled renderer does.
    pub(super) fn step(&mut self, call: &'a RawCall, place: Place<'_>) -> Option<Step<'a>> {
        let mark = place.key("plugin").mark();
        let plugin = self.known(&call.plugin, mark)?;
        Some(Step {
            plugin,
            config: &call.config,
        })
    }

    fn known(&mut self, text: &str, mark: Mark) -> Option<PluginName> {
        let name: PluginName = self.errors.take(mark, text.parse())?;
        if self.plugins.contains_key(&name) || IMPLIED.contains(&text) {
            return Some(name);
        }
        let near = nearest(
            text,
            self.plugins.keys().map(PluginName::as_str).chain(IMPLIED),
        );
        self.errors.push(mark, format!("unknown plugin {}: expected one under `plugins:`, or helm, kustomize or yaml{near}", quote(text)));
        None
    }

    /// Declares a plugin that an app uses and no one declared.
    pub(super) fn imply(&mut self, plugin: &PluginName, mark: Mark) {
        if !self.plugins.contains_key(plugin) {
            self.plugins.insert(
                plugin.clone(),
                implied_spec(plugin, self.defaults.limits, mark),
            );
        }
    }

    fn plugins(&mut self, raw: &RawManifest, place: Place<'_>) {
        for (text, plugin) in &raw.plugins {
            if self.errors.full() {
                return;
            }
            let mark = place.name(text);
            let name = self.errors.take(mark, text.parse::<PluginName>());
            let at = place.key(text).key("source").mark();
            let source = self.errors.take(at, plugin.source.parse::<PluginSource>());
            if let Some(PluginSource::File(path)) = &source {
                match found(self.tree, path) {
                    Ok(true) => {}
                    Ok(false) => self.errors.push(at, format!("plugin source file:{path}: this is a directory; expected a component's file")),
                    Err(why) => self.errors.push(at, format!("plugin source file:{path}: {why}")),
                }
            }
            // A plugin whose source is wrong is still known: its calls are not wrong, too.
            if let Some(name) = name {
                let limits = or(plugin.limits, raw.defaults.limits);
                let source = source.unwrap_or_else(|| PluginSource::Bundled(name.to_string()));
                self.plugins.insert(
                    name,
                    PluginSpec {
                        source,
                        limits,
                        grants: plugin.grants,
                        implied: false,
                        mark,
                    },
                );
            }
        }
    }

    fn targets(&mut self, raw: &'a RawManifest, place: Place<'_>) {
        for (text, target) in &raw.targets {
            if self.errors.full() {
                return;
            }
            let at = place.key(text);
            let mut config = BTreeMap::new();
            for (plugin, value) in &target.config {
                if self.known(plugin, at.key("config").name(plugin)).is_some() {
                    config.insert(plugin.as_str(), value);
                }
            }
            let namespace = self.namespace(target.namespace.as_deref(), at.key("namespace"));
            if let Some(name) = self.errors.take(place.name(text), text.parse()) {
                self.targets.insert(name, Target { config, namespace });
            }
        }
    }

    fn defaults(&mut self, raw: &'a RawManifest, place: Place<'_>) {
        let defaults = &raw.defaults;
        self.defaults.render = defaults
            .render
            .as_ref()
            .and_then(|call| self.step(call, place.key("render")));
        self.defaults.transform = self.steps(&defaults.transform, place.key("transform"));
        self.defaults.validate = self.steps(&defaults.validate, place.key("validate"));
        self.defaults.namespace =
            self.namespace(defaults.namespace.as_deref(), place.key("namespace"));
    }

    /// The calls of a list that exist.
    pub(super) fn steps(&mut self, calls: &'a [RawCall], place: Place<'_>) -> Vec<Step<'a>> {
        if calls.len() > MAX_STEPS {
            self.errors.push(
                place.mark(),
                format!(
                    "{} steps are more than {MAX_STEPS}, which is the most for one list",
                    calls.len()
                ),
            );
            return Vec::new();
        }
        calls
            .iter()
            .enumerate()
            .filter_map(|(n, call)| self.step(call, place.index(n)))
            .collect()
    }

    fn namespace(&mut self, text: Option<&str>, place: Place<'_>) -> Option<Namespace> {
        text.and_then(|text| self.errors.take(place.mark(), text.parse()))
    }

    fn externals(&mut self, raw: &RawManifest, place: Place<'_>) {
        if raw.externals.len() > MAX_EXTERNALS {
            let message = format!(
                "{} externals: expected at most {MAX_EXTERNALS}",
                raw.externals.len()
            );
            self.errors.push(place.mark(), message);
            return;
        }
        for (n, text) in raw.externals.iter().enumerate() {
            let mark = place.index(n).mark();
            let Some(reference) = self.errors.take(mark, text.parse::<Reference>()) else {
                continue;
            };
            if !self.externals.insert(reference) {
                self.errors
                    .push(mark, format!("external {}: it is there twice", quote(text)));
            }
        }
    }

    fn finish(mut self) -> Result<Resolved, ManifestErrors> {
        // Where entries are missing for other reasons, `after` would find false errors.
        let apps = if self.errors.is_empty() {
            order(self.apps, &mut self.errors)
        } else {
            Vec::new()
        };
        if !self.errors.is_empty() {
            return Err(self.errors.into_errors());
        }
        let mut targets: BTreeSet<_> = self.targets.into_keys().collect();
        targets.extend(apps.iter().map(|app| app.target.clone()));
        self.warnings.sort_by_key(|warning| warning.mark);
        Ok(Resolved {
            manifest: Manifest {
                plugins: self.plugins,
                apps,
                targets,
                externals: self.externals,
            },
            warnings: self.warnings,
        })
    }
}

/// What a value takes when it is copied, in bytes, roughly.
fn weight(value: &Value) -> usize {
    const NODE: usize = 48;
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| key.len() + weight(value))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// The first patch, and the second where it says nothing.
fn or(patch: LimitsPatch, other: LimitsPatch) -> LimitsPatch {
    LimitsPatch {
        fuel: patch.fuel.or(other.fuel),
        memory: patch.memory.or(other.memory),
        output: patch.output.or(other.output),
        time: patch.time.or(other.time),
        host_calls: patch.host_calls.or(other.host_calls),
    }
}
