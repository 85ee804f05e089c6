//! The command line: what each command takes, and the one place where results become exit codes.
//!
//! 0 done, 1 failed, 2 wrong usage or bad manifest, 3 there are differences (with `--exit-code` of
//! `diff` and `impact`, `lock --check`, or `verify`), 4 held, waiting for a person.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::GlobalArgs;
use crate::error::Error;
use crate::logs;

mod adopt;
mod approve;
mod apps;
mod audit;
mod crds;
mod decide;
mod diff;
mod doctor;
pub(crate) mod engine;
mod histories;
mod history;
mod impact;
mod keys;
mod lock;
pub(crate) mod output;
mod plugin;
mod receipts;
mod refresh;
mod render;
mod rollback;
mod serve;
mod trace;
mod verify;

/// Weir keeps targets equal to Git: each app is rendered by sandboxed Wasm plugins that its repository chooses.
#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or bad manifest, 3 there are differences (diff and impact --exit-code, lock --check, verify), 4 held, waiting for a person."
)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Follow a repository, or those of a file (--config), and keep their targets equal to them, until stopped
    Serve(serve::ServeArgs),
    /// Have the host that runs on this state fetch now; prints the commit that it found
    Refresh(refresh::RefreshArgs),
    /// Sync once, then exit
    Sync(serve::SyncArgs),
    /// Write weir.lock: the digest of every plugin, chart and base, and what renders may know of each target
    Lock(lock::LockArgs),
    /// Print what apps render to, as one YAML stream
    Render(render::RenderArgs),
    /// Show what differs between two revisions, or between a revision and a target
    Diff(diff::DiffArgs),
    /// Say what a commit, a lock or a plugin changes before it is merged: which apps, objects and fields
    Impact(Box<impact::ImpactArgs>),
    /// List the apps that this host knows, and how each one stands
    Apps(apps::AppsArgs),
    /// Take over objects that somebody else made, after showing what that changes
    Adopt(Box<adopt::AdoptArgs>),
    /// Let deletes happen that the guard holds, after showing which
    Approve(approve::ApproveArgs),
    /// Apply again, at once, what a record of an app says, and stay there; needs no Git, registry or plugin
    Rollback(rollback::RollbackArgs),
    /// Have an app that was rolled back follow Git again
    Resume(rollback::ResumeArgs),
    /// Show what happened, newest first
    History(history::HistoryArgs),
    /// Say why an object is as it is: the record that wrote it, the commit and its author, the file, the plugins
    Trace(trace::TraceArgs),
    /// Prove the log and what it names, or print it as JSON lines
    Audit(audit::AuditArgs),
    /// List, show and export the signed receipts of what was synced
    Receipts(receipts::ReceiptsArgs),
    /// Prove a receipt: check its signature, render its app again, and compare
    Verify(Box<verify::VerifyArgs>),
    /// The keys that receipts are signed and checked with: list, rotate, export, import
    Keys(keys::KeysArgs),
    /// Check this host: state, ledger, plugins, sandbox; or recover a lost ledger from the clusters
    Doctor(doctor::DoctorArgs),
    /// For authors of plugins: new, build, inspect, run, test, bench
    Plugin(plugin::PluginArgs),
    /// Print the definitions of the custom resources that `weir serve --cluster` follows, for `kubectl apply -f -`
    Crds(crds::CrdsArgs),
    /// Print the JSON Schema of weir.yaml, weir.lock or a host's files, for editors
    Schema {
        /// Which file
        #[arg(value_enum, default_value = "manifest")]
        file: SchemaOf,
    },
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the steps at which a test may kill the process
    #[cfg(feature = "crash-points")]
    #[command(hide = true)]
    CrashPoints,
}

/// A file that has a schema.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum SchemaOf {
    /// weir.yaml
    Manifest,
    /// weir.lock
    Lock,
    /// The file of `weir serve --config`
    Host,
    /// The file of `--externals`
    Externals,
}

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    /// As asked.
    Well,
    /// There are differences, and the caller wants to know by exit code.
    Different,
    /// Something waits for a person.
    Held,
}

/// Parses, runs, and says how it ended.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(message) = logs::start(cli.global.log_format, &cli.global.log) {
        return fail(&Error::Usage(message));
    }
    match run(cli) {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::Different) => ExitCode::from(3),
        Ok(Done::Held) => ExitCode::from(4),
        Err(e) => fail(&e),
    }
}

fn fail(error: &Error) -> ExitCode {
    output::complain(&error.to_string());
    error.exit_code()
}

fn run(cli: Cli) -> Result<Done, Error> {
    let global = cli.global;
    match cli.command {
        Command::Schema { file } => output::schema(file),
        Command::Crds(args) => crds::crds(&args),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "weir", &mut text);
            output::print_bytes(&text)
        }
        #[cfg(feature = "crash-points")]
        Command::CrashPoints => output::print(&format!("{}\n", crate::crash::STEPS.join("\n"))),
        Command::Plugin(args) => on_runtime(plugin::plugin(&global, &args)),
        Command::Serve(args) => on_runtime(serve::serve(&global, &args)),
        Command::Refresh(args) => on_runtime(refresh::refresh(&global, &args)),
        Command::Sync(args) => on_runtime(serve::sync(&global, &args)),
        Command::Lock(args) => on_runtime(lock::lock(&global, &args)),
        Command::Render(args) => on_runtime(render::render(&global, &args)),
        Command::Diff(args) => on_runtime(diff::diff(&global, &args)),
        Command::Impact(args) => on_runtime(impact::impact(&global, &args)),
        Command::Apps(args) => on_runtime(apps::apps(&global, &args)),
        Command::Adopt(args) => on_runtime(adopt::adopt(&global, &args)),
        Command::Approve(args) => on_runtime(approve::approve(&global, &args)),
        Command::Rollback(args) => on_runtime(rollback::rollback(&global, &args)),
        Command::Resume(args) => on_runtime(rollback::resume(&global, &args)),
        Command::History(args) => on_runtime(history::history(&global, &args)),
        Command::Trace(args) => on_runtime(trace::trace(&global, &args)),
        Command::Audit(args) => on_runtime(audit::audit(&global, &args)),
        Command::Receipts(args) => on_runtime(receipts::receipts(&global, &args)),
        Command::Verify(args) => on_runtime(verify::verify(&global, &args)),
        Command::Keys(args) => keys::keys(&global, &args),
        Command::Doctor(args) => on_runtime(doctor::doctor(&global, &args)),
    }
}

fn on_runtime(command: impl Future<Output = Result<Done, Error>>) -> Result<Done, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|e| Error::host("start", e.to_string()))?;
    let ended = runtime.block_on(command);
    // The command has waited for what it began as long as it meant to: a read that hangs holds nothing up.
    runtime.shutdown_background();
    ended
}
