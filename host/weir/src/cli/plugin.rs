//! `weir plugin`: what authors of plugins do.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use weir_core::fault::{Fault, Retry};
use weir_sandbox::{BuildLimits, build_component};

use super::{Done, output};
use crate::error::Error;
use crate::plugins::write_atomic;
use crate::progress::Line;
use crate::toolchain;

#[derive(Debug, Args)]
pub(super) struct PluginArgs {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Make a component of the plugin in a folder, and print its digest
    Build(BuildArgs),
}

#[derive(Debug, Args)]
struct BuildArgs {
    /// The plugin's folder: a Go main package that imports weir.dev/plugin/renderer, transformer or validator
    dir: PathBuf,
    /// Where the component goes; left out: DIR/NAME.wasm, where NAME is the folder's
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs one of the commands.
pub(super) fn plugin(args: &PluginArgs) -> Result<Done, Error> {
    match &args.command {
        PluginCommand::Build(args) => build(args),
    }
}

fn build(args: &BuildArgs) -> Result<Done, Error> {
    let name = name_of(&args.dir)?;
    let line = Line::begin(format!("compiling {name}"));
    let module = toolchain::compile(&args.dir)?;
    drop(line);
    let line = Line::begin(format!("making a component of {name}"));
    let built = build_component(&module, &BuildLimits::AUTHOR);
    drop(line);
    let built = built.map_err(|e| failed(format!("{}: {e}", args.dir.display())))?;
    let file = match &args.output {
        Some(file) => file.clone(),
        None => args.dir.join(format!("{name}.wasm")),
    };
    write_atomic(&file, &built.bytes)
        .map_err(|e| Error::host("plugin", format!("{}: {e}", file.display())))?;
    let roles: Vec<&str> = built.roles.iter().map(|role| role.as_str()).collect();
    output::print(&format!(
        "{}: {} of {} KiB, {}\n",
        file.display(),
        roles.join(" and "),
        built.bytes.len().div_ceil(1024),
        built.digest
    ))
}

/// The folder's own name, however it was given.
fn name_of(dir: &Path) -> Result<String, Error> {
    let whole = dir
        .canonicalize()
        .map_err(|e| Error::Usage(format!("{}: {e}: give a plugin's folder", dir.display())))?;
    let name = whole.file_name().unwrap_or(whole.as_os_str());
    Ok(name.to_string_lossy().into_owned())
}

/// The author's to mend.
fn failed(message: String) -> Error {
    Error::Stage {
        stage: "plugin",
        fault: Fault::Plugin,
        retry: Retry::OnChange,
        message,
    }
}
