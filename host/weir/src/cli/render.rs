//! `weir render`: what apps render to, as one YAML stream.

use weir_core::name::AppName;

use super::histories::{Histories, RefArgs};
use super::output::{self, Format};
use super::{Done, engine};
use crate::config::{CanaryArgs, GlobalArgs, RepoArgs};
use crate::error::Error;
use crate::plugins::Store;
use crate::prepare::{Prepared, prepare};

/// What `weir render` takes.
#[derive(Debug, clap::Args)]
pub(super) struct RenderArgs {
    /// The apps [default: all]
    apps: Vec<AppName>,
    #[command(flatten)]
    repo: RepoArgs,
    #[command(flatten)]
    reference: RefArgs,
    /// The revision: a branch, a tag, HEAD or a commit id, and after it ~N or ^N
    #[arg(long, default_value = "HEAD")]
    rev: String,
    /// Render the work tree as it lies on disk, not a commit
    #[arg(long, conflicts_with_all = ["rev", "reference"])]
    worktree: bool,
    #[command(flatten)]
    canary: CanaryArgs,
    /// How to print: a YAML stream, or JSON with digests
    #[arg(short, long, value_enum, default_value = "yaml")]
    output: Format,
}

/// Renders and prints.
pub(super) async fn render(global: &GlobalArgs, args: &RenderArgs) -> Result<Done, Error> {
    let places = global.places()?;
    let mut histories = Histories::new(&args.repo, &args.reference, &places)?;
    let snapshot = if args.worktree {
        engine::worktree(&histories.followed().await?).await?
    } else {
        histories.snapshot("rev", &args.rev).await?
    };
    let from = args.repo.manifest().read()?;
    let canary = engine::canary(&places, args.canary.canary.unwrap_or(0), None);
    let host = engine::host_with(&places, Store::open(&places)?, canary)?;
    let prepared = prepare(&host, &snapshot, &from, &args.repo.whose()?, &args.apps).await?;
    for warning in &prepared.warnings {
        tracing::warn!("{warning}");
    }
    notes(&prepared);
    failures(&prepared)?;
    match args.output {
        Format::Json => output::print_value(Format::Json, &as_json(&prepared)),
        Format::Text | Format::Yaml => output::print(&stream(&prepared)),
    }
}

/// Every app's objects, apps in order of name.
fn stream(prepared: &Prepared) -> String {
    let rendered = prepared
        .apps
        .values()
        .filter_map(|a| a.rendered.as_ref().ok());
    rendered.map(|r| r.validated.stream()).collect()
}

fn as_json(prepared: &Prepared) -> serde_json::Value {
    let apps = prepared.apps.values().filter_map(|a| {
        let r = a.rendered.as_ref().ok()?;
        let objects: Vec<_> = r.validated.objects().iter().map(|o| o.body()).collect();
        Some(serde_json::json!({
            "app": a.app.name, "output": r.validated.output(), "plugins": r.plugins, "objects": objects,
        }))
    });
    serde_json::json!({ "commit": prepared.commit, "apps": apps.collect::<Vec<_>>() })
}

fn notes(prepared: &Prepared) {
    for app in prepared.apps.values() {
        for note in app.rendered.iter().flat_map(|r| r.validated.notes()) {
            tracing::warn!(app = %app.app.name, "{note}");
        }
    }
}

/// All apps that could not be rendered, as one error: the exit code of the first, the words of all.
pub(super) fn failures(prepared: &Prepared) -> Result<(), Error> {
    let failed: Vec<&Error> = prepared
        .apps
        .values()
        .filter_map(|a| a.rendered.as_ref().err())
        .collect();
    let Some(first) = failed.first() else {
        return Ok(());
    };
    let message = failed
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n");
    Err(match first {
        Error::Usage(_) => Error::Usage(message),
        Error::Stage {
            stage,
            fault,
            retry,
            ..
        } => Error::Stage {
            stage,
            fault: *fault,
            retry: *retry,
            message,
        },
    })
}
