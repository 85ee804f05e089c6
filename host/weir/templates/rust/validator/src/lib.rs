//! Finds fault with every container image that is not pinned by a digest.

use serde::Deserialize;
use weir_plugin::{Diagnostics, Finding, Level, Object, Params};

/// What `config` may hold in weir.yaml. A key that is not here is an error that names it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Images that begin with one of these need no digest.
    #[serde(default)]
    allow: Vec<String>,
}

/// Where a kind keeps its pod.
const PODS: [&str; 3] = [
    "/spec",
    "/spec/template/spec",
    "/spec/jobTemplate/spec/template/spec",
];

fn validate(objects: &[Object], params: &Params) -> Result<Vec<Finding>, Diagnostics> {
    let config: Config = params.config()?;
    let mut findings = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        for list in PODS
            .iter()
            .flat_map(|pod| [format!("{pod}/initContainers"), format!("{pod}/containers")])
        {
            let containers = object.pointer(&list).and_then(|list| list.as_array());
            for (n, container) in containers.into_iter().flatten().enumerate() {
                let image = container["image"].as_str().unwrap_or_default();
                let allowed = config.allow.iter().any(|prefix| image.starts_with(prefix));
                if !allowed && !image.contains("@sha256:") {
                    let message =
                        format!("the image \"{image}\" has no digest: pin it as NAME@sha256:...");
                    let finding = Finding::about(index, Level::Error, "image-not-pinned", message);
                    findings.push(finding.at(format!("{list}/{n}/image")));
                }
            }
        }
    }
    Ok(findings)
}

weir_plugin::validator!(validate);
