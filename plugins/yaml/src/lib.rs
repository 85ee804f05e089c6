//! The bundled `yaml` renderer: chooses plain YAML and JSON files and hands
//! their bytes on. The host parses them, as Kubernetes does.

use serde::Deserialize;
use weir_plugin::tree::{Entry, Kind, TreeError, WalkLimits, walk};
use weir_plugin::{Diagnostic, Diagnostics, Document, Params, Tree, log};

/// What an app may say about its files.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Whether to look into directories below the app's path.
    recurse: bool,
    /// Globs of the files to take, relative to the app's path; empty takes all.
    include: Vec<String>,
    /// Globs of files and directories to leave out.
    exclude: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            recurse: true,
            include: Vec::new(),
            exclude: Vec::new(),
        }
    }
}

/// A repository with more than this below one app is not a set of manifests.
const LIMITS: WalkLimits = WalkLimits {
    entries: 100_000,
    depth: 64,
};

const EXTENSIONS: [&str; 3] = [".yaml", ".yml", ".json"];

/// Weir's own files, which lie in the same repository.
const OWN: [&str; 2] = ["weir.yaml", "weir.lock"];

weir_plugin::renderer!(render);

/// Chooses the files below the app's path.
///
/// # Errors
/// `bad-config`; `no-such-path`; `no-manifests` where no file is left, since an
/// empty or vanished path must never read as "delete everything";
/// `not-plain-yaml` for a chart or a kustomization.
pub fn render(params: &Params, tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    let config: Config = params.config()?;
    check_globs(&config)?;
    if let Some(document) = single_file(params, tree)? {
        return Ok(vec![document]);
    }
    let files = choose(params, &config, tree)?;
    refuse_other_tools(&files)?;
    if files.is_empty() {
        return Err(nothing_found(params, &config).into());
    }
    warn_of_idle_globs(params, &config, &files);
    files.into_iter().map(|path| read(tree, path)).collect()
}

/// The app's path, where it is one file. Named outright it needs no extension.
fn single_file(params: &Params, tree: &dyn Tree) -> Result<Option<Document>, Diagnostics> {
    match tree.entries(&params.path) {
        Err(TreeError::NotADirectory) => {}
        Ok(_) => return Ok(None),
        Err(error) => return Err(error.at(&params.path).into()),
    }
    refuse_other_tools(std::slice::from_ref(&params.path))?;
    read(tree, params.path.clone()).map(Some)
}

fn choose(params: &Params, config: &Config, tree: &dyn Tree) -> Result<Vec<String>, Diagnostic> {
    walk(tree, &params.path, LIMITS, &mut |path, entry| {
        wanted(config, relative(params, path), entry)
    })
}

fn wanted(config: &Config, path: &str, entry: &Entry) -> bool {
    let matches = |glob: &String| fast_glob::glob_match(glob, path);
    if entry.name.starts_with('.') || config.exclude.iter().any(matches) {
        return false;
    }
    match entry.kind {
        Kind::Directory => config.recurse,
        Kind::File => {
            let extension = EXTENSIONS
                .iter()
                .any(|extension| entry.name.ends_with(extension));
            let included = config.include.is_empty() || config.include.iter().any(matches);
            extension && included && !OWN.contains(&entry.name.as_str())
        }
    }
}

/// The path as the app's globs see it.
fn relative<'p>(params: &Params, path: &'p str) -> &'p str {
    if params.path.is_empty() {
        path
    } else {
        path.strip_prefix(&params.path)
            .map_or(path, |rest| rest.trim_start_matches('/'))
    }
}

/// Another tool's directory, taken as plain files, would give half of what its
/// author meant.
fn refuse_other_tools(files: &[String]) -> Result<(), Diagnostics> {
    let mut found = Vec::new();
    for path in files {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (what, plugin) = match name {
            "Chart.yaml" => ("a Helm chart", "helm"),
            "kustomization.yaml" | "kustomization.yml" => ("a kustomization", "kustomize"),
            _ => continue,
        };
        let message = format!(
            "this directory is {what}, not plain YAML: make it an app with `render: {{ plugin: {plugin} }}` \
             or leave it out with `exclude`"
        );
        let dir = if dir.is_empty() { name } else { dir };
        found.push(Diagnostic::error("not-plain-yaml", message).at(dir));
    }
    Diagnostics::or(found, ())
}

fn nothing_found(params: &Params, config: &Config) -> Diagnostic {
    let place = if params.path.is_empty() {
        "the repository's root"
    } else {
        &params.path
    };
    let below = if config.recurse {
        "in or below"
    } else {
        "directly in"
    };
    let chosen = if config.include.is_empty() && config.exclude.is_empty() {
        String::new()
    } else {
        format!(
            " after include {:?} and exclude {:?}",
            config.include, config.exclude
        )
    };
    let message = format!(
        "no .yaml, .yml or .json file {below} {place}{chosen}: correct the app's path or config, \
         or take the app out of weir.yaml to remove what it owns"
    );
    Diagnostic::error("no-manifests", message).at(&params.path)
}

/// A glob that cannot match anything is a typing error, not a choice.
fn check_globs(config: &Config) -> Result<(), Diagnostics> {
    let mut found = Vec::new();
    for (key, globs) in [("include", &config.include), ("exclude", &config.exclude)] {
        for (index, glob) in globs.iter().enumerate() {
            let Some(why) = unusable(glob) else { continue };
            let message = format!("config.{key}[{index}]: {glob:?} {why}");
            found.push(Diagnostic::error("bad-config", message));
        }
    }
    Diagnostics::or(found, ())
}

fn unusable(glob: &str) -> Option<&'static str> {
    if glob.is_empty() {
        Some("is empty; a glob is relative to the app's path, such as \"prod/**/*.yaml\"")
    } else if glob.starts_with('/') || glob.split('/').any(|part| part == "." || part == "..") {
        Some("must be relative to the app's path, without `.` or `..`")
    } else if glob.starts_with('!') {
        Some("starts with `!`; use `exclude` for what to leave out")
    } else {
        let count = |c: char| glob.matches(c).count();
        let unclosed = count('[') != count(']') || count('{') != count('}');
        (unclosed && !glob.contains('\\')).then_some("has a bracket without its partner")
    }
}

fn warn_of_idle_globs(params: &Params, config: &Config, files: &[String]) {
    for glob in &config.include {
        if !files
            .iter()
            .any(|path| fast_glob::glob_match(glob, relative(params, path)))
        {
            log::warn(format!("config.include: {glob:?} matches no file"));
        }
    }
}

fn read(tree: &dyn Tree, path: String) -> Result<Document, Diagnostics> {
    let body = tree.read(&path).map_err(|error| error.at(&path))?;
    Ok(Document { origin: path, body })
}

#[cfg(test)]
mod tests;
