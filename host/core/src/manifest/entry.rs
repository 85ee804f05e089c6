//! One entry under `apps:` to the apps that it gives: one for each directory and target.

use serde_json::{Map, Value};

use super::each::{Glob, Match, expand};
use super::order::Waiting;
use super::place::{Place, nearest, quote};
use super::policy::policy;
use super::raw::RawApp;
use super::resolve::{Resolver, Step, found, renderer_of};
use super::{App, MAX_APPS, PluginCall, SETTLE_WITHIN, Settle};
use crate::name::{AppName, Namespace, PluginName, RepoPath, TargetName};
use crate::policy::Policy;
use crate::yaml::Mark;

/// How many roots, and how many names in `after`, one entry may have.
const MAX_LIST: usize = 100;

/// What all apps of one entry share.
struct Entry<'a> {
    raw: &'a RawApp,
    place: Place<'a>,
    /// `None` where the files tell.
    render: Option<Step<'a>>,
    transform: Vec<Step<'a>>,
    validate: Vec<Step<'a>>,
    targets: Vec<TargetName>,
    policy: Policy,
}

/// What all targets of one directory share.
struct Directory {
    path: RepoPath,
    base: String,
    roots: Vec<RepoPath>,
    namespace: Option<Namespace>,
    after: Vec<(String, Mark)>,
    render: PluginName,
}

impl<'a> Resolver<'a> {
    /// Adds the apps of one entry.
    pub(super) fn entry(&mut self, raw: &'a RawApp, place: Place<'a>) {
        let before = self.errors.count();
        for (key, len) in [
            ("roots", raw.roots.as_ref().map_or(0, Vec::len)),
            ("after", raw.after.len()),
        ] {
            if len > MAX_LIST {
                self.errors.push(
                    place.key(key).mark(),
                    format!("{len} items are more than {MAX_LIST}, which is the most here"),
                );
            }
        }
        let render = raw
            .render
            .as_ref()
            .and_then(|call| self.step(call, place.key("render")));
        let transform = self.steps(&raw.transform, place.key("transform"));
        let validate = self.steps(&raw.validate, place.key("validate"));
        let with = |defaults: &[Step<'a>], own: Vec<Step<'a>>| {
            let inherited = if raw.inherit { defaults } else { &[] };
            inherited.iter().cloned().chain(own).collect()
        };
        let targets = self.landings(raw, place);
        let policy = policy(raw, place, &mut self.errors);
        let entry = Entry {
            raw,
            place,
            render: render.or_else(|| self.defaults.render.clone().filter(|_| raw.inherit)),
            transform: with(&self.defaults.transform, transform),
            validate: with(&self.defaults.validate, validate),
            targets,
            policy,
        };
        let directories = self.directories(raw, place);
        // What is wrong with the entry itself is said once, not for each directory.
        if self.errors.count() > before {
            return;
        }
        for (directory, from_glob) in directories {
            if self.errors.full() || self.full {
                return;
            }
            if let Some(directory) = self.directory(&entry, &directory, from_glob) {
                self.apps_of(&entry, directory);
            }
        }
    }

    /// The paths that an entry is about, and whether they come from a glob.
    fn directories(&mut self, raw: &RawApp, place: Place<'_>) -> Vec<(Match, bool)> {
        match (&raw.path, &raw.each) {
            (Some(text), None) => {
                let mark = place.key("path").mark();
                let Some(path) = self.errors.take(mark, text.parse::<RepoPath>()) else {
                    return Vec::new();
                };
                match found(self.tree, &path) {
                    Ok(_) => vec![(
                        Match {
                            path,
                            captures: Vec::new(),
                        },
                        false,
                    )],
                    Err(why) => {
                        self.errors
                            .push(mark, format!("path {}: {why}", quote(text)));
                        Vec::new()
                    }
                }
            }
            (None, Some(text)) => {
                let mark = place.key("each").mark();
                let Some(glob) = self.errors.take(mark, Glob::parse(text)) else {
                    return Vec::new();
                };
                self.check_templates(raw, place, glob.captures());
                if !self.may_search(mark) {
                    return Vec::new();
                }
                let matches = self
                    .errors
                    .take(mark, glob.matches(self.tree))
                    .unwrap_or_default();
                if matches.is_empty() && !self.errors.full() {
                    let why = found(self.tree, &glob.start())
                        .err()
                        .map_or_else(String::new, |why| format!(": {why}"));
                    self.warn(
                        mark,
                        format!(
                            "glob {} matches no directory, so this entry gives no apps{why}",
                            quote(text)
                        ),
                    );
                }
                matches.into_iter().map(|m| (m, true)).collect()
            }
            (both, _) => {
                let which = if both.is_some() {
                    "both are given"
                } else {
                    "neither is given"
                };
                self.errors.push(
                    place.mark(),
                    format!("app {}: expected either path (one app) or each (one for each directory that matches); {which}", quote(&raw.name)),
                );
                Vec::new()
            }
        }
    }

    /// Reports a `{3}` without a third star once, at its place.
    fn check_templates(&mut self, raw: &RawApp, place: Place<'_>, stars: usize) {
        let captures = vec!["x".to_owned(); stars];
        self.errors
            .take(place.key("name").mark(), expand(&raw.name, &captures));
        for (n, root) in raw.roots.iter().flatten().enumerate() {
            self.errors
                .take(place.key("roots").index(n).mark(), expand(root, &captures));
        }
        for (n, after) in raw.after.iter().enumerate() {
            self.errors
                .take(place.key("after").index(n).mark(), expand(after, &captures));
        }
        if let Some(namespace) = &raw.target.namespace {
            self.errors.take(
                place.key("target").key("namespace").mark(),
                expand(namespace, &captures),
            );
        }
    }

    /// The targets that an entry lands in.
    fn landings(&mut self, raw: &RawApp, place: Place<'_>) -> Vec<TargetName> {
        let mark = place.key("targets").mark();
        let Some(several) = &raw.targets else {
            let one = raw
                .target
                .name
                .as_deref()
                .map(|name| (name, place.key("target").key("name").mark()));
            return match one {
                None => vec![TargetName::default_target()],
                Some((name, mark)) => self.target(name, mark).into_iter().collect(),
            };
        };
        if raw.target.name.is_some() {
            self.errors.push(
                mark,
                "target.name and targets are both given; expected one of them",
            );
        }
        if several.is_empty() {
            self.errors.push(
                mark,
                "targets is empty; expected at least one target, or no such key",
            );
        }
        let mut targets = Vec::new();
        for (n, name) in several.iter().enumerate().take(MAX_APPS) {
            let mark = place.key("targets").index(n).mark();
            let Some(target) = self.target(name, mark) else {
                continue;
            };
            if targets.contains(&target) {
                self.errors
                    .push(mark, format!("target {} is given twice", quote(name)));
            }
            targets.push(target);
        }
        targets
    }

    fn target(&mut self, text: &str, mark: Mark) -> Option<TargetName> {
        let name: TargetName = self.errors.take(mark, text.parse())?;
        if self.targets.contains_key(&name) || name == TargetName::default_target() {
            return Some(name);
        }
        let known = self
            .targets
            .keys()
            .map(TargetName::as_str)
            .chain(["default"]);
        let near = nearest(text, known);
        self.errors.push(
            mark,
            format!(
                "unknown target {}: expected one under `targets:`, or default{near}",
                quote(text)
            ),
        );
        None
    }

    /// Fills in what depends on the directory.
    fn directory(
        &mut self,
        entry: &Entry<'_>,
        matched: &Match,
        from_glob: bool,
    ) -> Option<Directory> {
        let Entry { raw, place, .. } = entry;
        let fill = |text: &str| {
            if from_glob {
                expand(text, &matched.captures)
            } else {
                Ok(text.to_owned())
            }
        };
        let of = if from_glob {
            format!(" (for {})", matched.path)
        } else {
            String::new()
        };
        let mark = place.key("name").mark();
        let base = self.errors.take(mark, fill(&raw.name))?;
        if base.contains('.') {
            self.errors.push(
                mark,
                format!(
                    "app name {}{of}: expected no dot, since what is behind a dot is a target",
                    quote(&base)
                ),
            );
            return None;
        }
        self.errors.take(
            mark,
            base.parse::<AppName>().map_err(|e| format!("{e}{of}")),
        )?;
        if let Some((other, path)) = self.names.get(&base) {
            let at = if *other == place.mark() {
                String::new()
            } else {
                format!(" at {}:{}", other.line, other.column)
            };
            self.errors.push(
                mark,
                format!("app name {}{of} is taken by the app of {path}{at}; expected a name of its own for each app", quote(&base)),
            );
            return None;
        }
        self.names
            .insert(base.clone(), (place.mark(), matched.path.clone()));
        let roots = self.roots(entry, matched, &of, &fill)?;
        let namespace = match &raw.target.namespace {
            None => None,
            Some(text) => {
                let mark = place.key("target").key("namespace").mark();
                let text = self.errors.take(mark, fill(text))?;
                Some(self.errors.take(
                    mark,
                    text.parse::<Namespace>().map_err(|e| format!("{e}{of}")),
                )?)
            }
        };
        let mut after = Vec::new();
        for (n, text) in raw.after.iter().enumerate() {
            let mark = place.key("after").index(n).mark();
            after.push((self.errors.take(mark, fill(text))?, mark));
        }
        let render = match &entry.render {
            Some(step) => step.plugin.clone(),
            None => renderer_of(self.tree, &matched.path),
        };
        Some(Directory {
            path: matched.path.clone(),
            base,
            roots,
            namespace,
            after,
            render,
        })
    }

    fn roots(
        &mut self,
        entry: &Entry<'_>,
        matched: &Match,
        of: &str,
        fill: &dyn Fn(&str) -> Result<String, String>,
    ) -> Option<Vec<RepoPath>> {
        let Some(given) = &entry.raw.roots else {
            return Some(vec![RepoPath::root()]);
        };
        let place = entry.place.key("roots");
        let mut roots = Vec::new();
        for (n, text) in given.iter().enumerate() {
            let mark = place.index(n).mark();
            let text = self.errors.take(mark, fill(text))?;
            let root: RepoPath = self.errors.take(mark, text.parse())?;
            self.errors.take(
                mark,
                found(self.tree, &root).map_err(|why| format!("root {}{of}: {why}", quote(&text))),
            )?;
            roots.push(root);
        }
        if !roots.iter().any(|root| matched.path.is_within(root)) {
            self.errors.push(
                place.mark(),
                format!("the path {} lies in none of these roots, so nothing could read it; expected it among them", matched.path),
            );
            return None;
        }
        Some(roots)
    }

    /// One app for each target.
    fn apps_of(&mut self, entry: &Entry<'_>, directory: Directory) {
        let several = entry.raw.targets.is_some();
        for target in &entry.targets {
            if self.apps.len() == MAX_APPS {
                self.full = true;
                self.errors.push(
                    entry.place.mark(),
                    format!(
                        "the manifest gives more than {MAX_APPS} apps, which is the most for one"
                    ),
                );
                return;
            }
            let name = if several {
                format!("{}.{target}", directory.base)
            } else {
                directory.base.clone()
            };
            let Some(name) = self
                .errors
                .take(entry.place.key("name").mark(), name.parse::<AppName>())
            else {
                return;
            };
            let mark = entry.place.mark();
            let Some(calls) = self.calls(entry, target, &directory.render) else {
                self.full = true;
                return;
            };
            let (render, transform, validate) = calls;
            for call in [&render].into_iter().chain(&transform).chain(&validate) {
                self.imply(&call.plugin, mark);
            }
            let inherited = if entry.raw.inherit {
                self.defaults.namespace.clone()
            } else {
                None
            };
            let of_target = self.targets.get(target).and_then(|t| t.namespace.clone());
            let app = App {
                name,
                path: directory.path.clone(),
                roots: directory.roots.clone(),
                render,
                transform,
                validate,
                target: target.clone(),
                namespace: directory.namespace.clone().or(of_target).or(inherited),
                after: Vec::new(),
                settle: entry.raw.settle.as_ref().map(|settle| Settle {
                    within: settle.within.unwrap_or(SETTLE_WITHIN),
                    on_failure: settle.on_failure,
                }),
                remove: entry.raw.remove,
                policy: entry.policy.clone(),
                mark,
            };
            let base = directory.base.clone();
            self.apps.push(Waiting {
                app,
                base,
                several,
                after: directory.after.clone(),
            });
        }
    }

    /// The pipeline with the target's configuration merged in; `None` when all configuration is too much.
    fn calls(
        &mut self,
        entry: &Entry<'_>,
        target: &TargetName,
        render: &PluginName,
    ) -> Option<(PluginCall, Vec<PluginCall>, Vec<PluginCall>)> {
        let nothing = Map::new();
        let config = entry.render.as_ref().map_or(&nothing, |step| step.config);
        let render = Step {
            plugin: render.clone(),
            config,
        };
        let mark = entry.place.mark();
        let rendered = self.call(&render, target, mark)?;
        let transform = entry
            .transform
            .iter()
            .map(|step| self.call(step, target, mark))
            .collect::<Option<_>>()?;
        let validate = entry
            .validate
            .iter()
            .map(|step| self.call(step, target, mark))
            .collect::<Option<_>>()?;
        Some((rendered, transform, validate))
    }

    fn call(&mut self, step: &Step<'_>, target: &TargetName, mark: Mark) -> Option<PluginCall> {
        let over = self
            .targets
            .get(target)
            .and_then(|t| t.config.get(step.plugin.as_str()).copied());
        self.charge(step.config, mark)?;
        let mut config = step.config.clone();
        if let Some(over) = over {
            self.charge(over, mark)?;
            merge(&mut config, over);
        }
        Some(PluginCall {
            plugin: step.plugin.clone(),
            config,
        })
    }
}

/// Maps key by key, all other values replace.
fn merge(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => merge(base, over),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}
