//! Values of Helm charts that SOPS encrypted: refused before Helm writes their ciphertext into an app's objects.

use weir_core::fault::{Fault, Retry};
use weir_core::manifest::{App, Manifest, PluginSource};
use weir_core::name::RepoPath;
use weir_core::tree::{Snapshot, View};
use weir_secrets::{File, SecretLimits};

use crate::error::Error;

/// The bundled plugin that reads values.
const HELM: &str = "helm";
/// A chart's own values.
const DEFAULTS: &str = "values.yaml";

/// Looks at the values files that an app's chart is rendered with.
///
/// # Errors
/// The first one that is encrypted. What cannot be read here, Helm says itself.
pub(super) fn are_plain(snapshot: &Snapshot, manifest: &Manifest, app: &App) -> Result<(), Error> {
    let spec = manifest.plugins.get(&app.render.plugin);
    let is_helm = spec.is_some_and(|spec| spec.source == PluginSource::Bundled(HELM.to_owned()));
    if !is_helm {
        return Ok(());
    }
    let mut view = View::new(snapshot.clone(), app.roots.clone());
    for file in files(app) {
        let Ok(bytes) = view.read(file.as_str()) else {
            continue;
        };
        // Whatever is wrong with it: SOPS had to do with it.
        if !matches!(File::read(&bytes, SecretLimits::HOST), Ok(None)) {
            return Err(encrypted(app, &file));
        }
    }
    Ok(())
}

/// The values files that the app names, and its chart's own.
fn files(app: &App) -> Vec<RepoPath> {
    let config = &app.render.config;
    let named = config.get("values").and_then(|values| values.as_array());
    let named = named.into_iter().flatten().filter_map(|name| name.as_str());
    let mut files: Vec<RepoPath> = named.filter_map(|name| located(app, name)).collect();
    if !config.contains_key("repository") {
        let chart = config.get("chart").and_then(|chart| chart.as_str());
        let defaults = format!("{}/{DEFAULTS}", chart.unwrap_or("."));
        files.extend(located(app, &defaults));
    }
    files
}

/// Where a path of the config leads, as the plugin has it: from the app's path, or with a `/` first from the root.
fn located(app: &App, name: &str) -> Option<RepoPath> {
    let from = match name.starts_with('/') {
        true => "",
        false => app.path.as_str(),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in from.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    parts.join("/").parse().ok()
}

fn encrypted(app: &App, file: &RepoPath) -> Error {
    Error::Stage {
        stage: "render",
        fault: Fault::Repository,
        retry: Retry::OnChange,
        message: format!(
            "app `{}`: {file} is encrypted with SOPS, and Helm would write its ciphertext into the objects: Weir decrypts after \
             rendering, at apply, and only what is a Secret. Keep these values in a Secret of their own (a Secret manifest that \
             SOPS encrypted, or a Kustomize secretGenerator) and have the chart use it by its name (most charts have a value such \
             as existingSecret), or have them brought by an operator such as External Secrets",
            app.name
        ),
    }
}
