//! `weir plugin`: what authors of plugins do. Each command is a file of its own.

use clap::{Args, Subcommand, ValueEnum};
use serde::Deserialize;
use weir_core::fault::{Fault, Retry};
use weir_sandbox::Role;

use super::{Done, engine, output};
use crate::config::GlobalArgs;
use crate::error::Error;

mod about;
mod bench;
mod build;
mod call;
mod case;
mod inspect;
mod limits;
mod new;
mod outcome;
mod pull;
mod push;
mod registry;
mod run;
mod sign;
mod templates;
mod test;

#[derive(Debug, Args)]
pub(super) struct PluginArgs {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Make a project: a plugin that builds, with a test and a README
    New(new::NewArgs),
    /// Make a component of the plugin in a folder, and print its role, size and digest
    Build(build::BuildArgs),
    /// Show what a component is, needs and says of itself, without running it
    Inspect(inspect::InspectArgs),
    /// Call a plugin once, and show what comes out and what it cost
    Run(Box<run::RunArgs>),
    /// Run the cases in a plugin's testdata/ as a host would, and compare
    Test(test::TestArgs),
    /// Measure a case: compiling, loading, the first call and those after it
    Bench(bench::BenchArgs),
    /// Put a plugin into an OCI registry, and print its digest there
    Push(push::PushArgs),
    /// Get a plugin from an OCI registry into a file
    Pull(pull::PullArgs),
    /// Sign a plugin in a registry with a key, as cosign does
    Sign(sign::SignArgs),
    /// Say which of some keys signed a plugin in a registry
    Verify(sign::VerifyArgs),
}

/// Runs one of the commands.
pub(super) async fn plugin(global: &GlobalArgs, args: &PluginArgs) -> Result<Done, Error> {
    match &args.command {
        PluginCommand::New(args) => new::new(args),
        PluginCommand::Build(args) => build::build(args),
        PluginCommand::Inspect(args) => inspect::inspect(global, args).await,
        PluginCommand::Run(args) => run::run(global, args).await,
        PluginCommand::Test(args) => test::test(global, args).await,
        PluginCommand::Bench(args) => bench::bench(global, args).await,
        PluginCommand::Push(args) => push::push(global, args).await,
        PluginCommand::Pull(args) => pull::pull(global, args).await,
        PluginCommand::Sign(args) => sign::sign(global, args).await,
        PluginCommand::Verify(args) => sign::verify(global, args).await,
    }
}

/// A role as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RoleName {
    /// Turns files into documents
    Renderer,
    /// Turns objects into objects
    Transformer,
    /// Looks at objects and says what it found
    Validator,
}

impl RoleName {
    fn role(self) -> Role {
        match self {
            RoleName::Renderer => Role::Renderer,
            RoleName::Transformer => Role::Transformer,
            RoleName::Validator => Role::Validator,
        }
    }
}

/// A file that says one thing has more than one document.
fn one_document(second: weir_core::yaml::Mark) -> weir_core::yaml::YamlError {
    weir_core::yaml::YamlError {
        mark: second,
        message: "a second document begins here; this file has one: take the `---` out".to_owned(),
    }
}

/// The author's to mend.
fn failed(message: impl Into<String>) -> Error {
    Error::Stage {
        stage: "plugin",
        fault: Fault::Plugin,
        retry: Retry::OnChange,
        message: message.into(),
    }
}

/// Bytes as people read them.
fn bytes(n: u64) -> String {
    match n {
        n if n >= 10 << 20 => format!("{} MiB", n.div_ceil(1 << 20)),
        n => format!("{} KiB", n.div_ceil(1 << 10)),
    }
}
