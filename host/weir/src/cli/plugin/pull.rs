//! `weir plugin pull`: a component out of a registry into a file, held against its digests.

use std::path::PathBuf;

use weir_core::plugin::PluginReference;

use super::registry::{asking, fetched, pinned, plugin};
use super::{Done, build, bytes, output};
use crate::config::GlobalArgs;
use crate::error::Error;
use crate::plugins::write_atomic;

/// What `weir plugin pull` takes.
#[derive(Debug, clap::Args)]
pub(super) struct PullArgs {
    /// Which: oci://HOST/PATH:TAG, or with @sha256: and a digest at its end
    #[arg(value_name = "REFERENCE")]
    from: PluginReference,
    /// Where the component goes; left out: NAME.wasm in this folder, by the last part of PATH
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Pulls and says what came.
pub(super) async fn pull(global: &GlobalArgs, args: &PullArgs) -> Result<Done, Error> {
    let from = args.from.clone();
    let (got, component) = asking(global, move |externals, stop| {
        fetched(externals, &from, stop)
    })
    .await?;
    let inspected = plugin(&args.from.to_string(), &component)?;
    let file = match &args.output {
        Some(file) => file.clone(),
        None => {
            let name = args.from.path().rsplit('/').next().unwrap_or_default();
            PathBuf::from(format!("{name}.wasm"))
        }
    };
    write_atomic(&file, &component)
        .map_err(|e| Error::host("plugin", format!("{}: {e}", file.display())))?;
    output::print(&format!(
        "{}: {} of {}, {}\nfrom {}\n",
        file.display(),
        build::roles(&inspected.roles),
        bytes(component.len() as u64),
        inspected.digest,
        pinned(&args.from, got.pin.manifest),
    ))
}
