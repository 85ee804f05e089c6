//! `weir plugin push`: a component into a registry, as the CNCF's Wasm artifact. The same component has the same digest each time.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;
use weir_core::digest::Digest;
use weir_core::plugin::PluginReference;
use weir_sandbox::{Claim, Inspected};
use weir_source::{PluginToPush, PushedPlugin};

use super::registry::{asking, pinned, plugin, unanswered, watched};
use super::{Done, build, bytes, output};
use crate::cli::output::Format;
use crate::config::GlobalArgs;
use crate::error::Error;

/// What every component says that it was made at: a time of its own would be another digest each time.
const CREATED: &str = "1970-01-01T00:00:00Z";
/// The interface that components are linked to, as the artifact's form names it.
const OS: &str = "wasip2";

/// What `weir plugin push` takes.
#[derive(Debug, clap::Args)]
#[command(allow_missing_positional = true)]
pub(super) struct PushArgs {
    /// A component, or the folder of a plugin, which is built first
    #[arg(default_value = ".")]
    plugin: PathBuf,
    /// Where it goes: oci://HOST/PATH:TAG
    #[arg(value_name = "REFERENCE")]
    to: PluginReference,
    /// Move a tag that names something else
    #[arg(long)]
    force: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

/// Pushes and says what it is called now.
pub(super) async fn push(global: &GlobalArgs, args: &PushArgs) -> Result<Done, Error> {
    let (component, _) = build::component(&args.plugin)?;
    let inspected = plugin(&args.plugin.display().to_string(), &component)?;
    let (to, force) = (args.to.clone(), args.force);
    let config = config(&inspected);
    let annotations = annotations(&inspected);
    let pushed = asking(global, move |externals, stop| {
        let plugin = PluginToPush {
            component: &component,
            config: config.as_bytes(),
            annotations,
            force,
        };
        let text = to.to_string();
        let pushed = watched(&text, stop, |w| externals.push_plugin(&to, &plugin, w));
        pushed.map_err(|e| unanswered(&e))
    })
    .await?;
    shown(args, &inspected, pushed)
}

fn shown(args: &PushArgs, inspected: &Inspected, pushed: PushedPlugin) -> Result<Done, Error> {
    let reference = pinned(&args.to, pushed.manifest);
    let was = if pushed.was_there {
        "was there already"
    } else {
        "pushed"
    };
    match args.output {
        Format::Text => output::print(&format!(
            "{reference}: {} of {}, {was}\n",
            build::roles(&inspected.roles),
            bytes(inspected.size as u64),
        )),
        format => output::print_value(
            format,
            &json!({
                "reference": reference,
                "manifest": pushed.manifest,
                "component": inspected.digest,
                "size": inspected.size,
                "wasThere": pushed.was_there,
            }),
        ),
    }
}

/// What the manifest says of the component, from what that says of itself.
fn annotations(inspected: &Inspected) -> BTreeMap<String, String> {
    let metadata = &inspected.metadata;
    let claims: [(&str, &Claim); 5] = [
        ("title", &metadata.name),
        ("description", &metadata.description),
        ("version", &metadata.version),
        ("licenses", &metadata.license),
        ("source", &metadata.source),
    ];
    let said = claims.into_iter().filter_map(|(key, claim)| {
        let text = claim.text().filter(|text| !text.is_empty())?;
        Some((format!("org.opencontainers.image.{key}"), text.to_owned()))
    });
    said.collect()
}

/// The artifact's config (CNCF, "Wasm OCI Artifact layout"), which other tools ask for.
fn config(inspected: &Inspected) -> String {
    let digest: Digest = inspected.digest;
    let imports: Vec<&str> = inspected.imports.iter().map(|i| i.name.as_str()).collect();
    json!({
        "created": CREATED,
        "architecture": "wasm",
        "os": OS,
        "layerDigests": [digest],
        "component": { "exports": inspected.exports, "imports": imports },
    })
    .to_string()
}
