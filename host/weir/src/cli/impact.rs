//! `weir impact`: what a commit, a lock, a chart or a plugin changes, app by app, before it is merged.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use weir_core::guard::GuardLimits;
use weir_core::impact::{AppSide, Impact, Render, Side, impact as compare};
use weir_core::name::AppName;

use super::histories::{Histories, RefArgs};
use super::output::{self, Format};
use super::{Done, engine};
use crate::config::{GlobalArgs, RepoArgs};
use crate::error::Error;
use crate::plugins::Store;
use crate::prepare::{Host, ManifestFrom, Prepared, prepare};

mod given;
mod lines;
mod markdown;
mod text;

use given::{At, PluginGiven};

/// What `weir impact` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ImpactArgs {
    /// The apps [default: all]
    apps: Vec<AppName>,
    #[command(flatten)]
    repo: RepoArgs,
    #[command(flatten)]
    reference: RefArgs,
    /// The revision before: a branch, a tag, HEAD or a commit id, and after it ~N or ^N [default with --worktree: HEAD;
    /// with a lock or a plugin: the revision after]
    #[arg(
        long,
        value_name = "REV",
        required_unless_present_any = ["worktree", "lock", "lock_from", "plugins"]
    )]
    from: Option<String>,
    /// The revision after
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    to: String,
    /// The work tree as it lies on disk is the side after
    #[arg(long, conflicts_with_all = ["to", "reference"])]
    worktree: bool,
    /// A file in place of weir.lock on the side after
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// A file in place of weir.lock on the side before
    #[arg(long, value_name = "FILE")]
    lock_from: Option<PathBuf>,
    /// Another build of a plugin on the side after: a component's file, or the digest of one that this host has; may be
    /// given again
    #[arg(long = "plugin", value_name = "NAME=FILE|DIGEST")]
    plugins: Vec<PluginGiven>,
    /// Exit with 3 where something changes
    #[arg(long)]
    exit_code: bool,
    /// How to print; `markdown` is for a comment on a pull request, and fits into one
    #[arg(short, long, value_enum, default_value = "text")]
    output: Shape,
}

/// How an impact is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
    /// For a comment on a pull request.
    Markdown,
}

/// An impact, and between what.
#[derive(Serialize)]
struct Report {
    /// The side before, in words.
    from: String,
    /// The side after.
    to: String,
    #[serde(flatten)]
    impact: Impact,
}

/// Compares and prints.
pub(super) async fn impact(global: &GlobalArgs, args: &ImpactArgs) -> Result<Done, Error> {
    let places = global.places()?;
    let manifest = args.repo.manifest().read()?;
    let mut histories = Histories::new(&args.repo, &args.reference, &places)?;
    let (mut before, mut after) = sides(args, &mut histories).await?;
    let mut store = Store::open(&places)?;
    if let Some(file) = &args.lock_from {
        before.lock("lock-from", file)?;
    }
    if let Some(file) = &args.lock {
        after.lock("lock", file)?;
    }
    for plugin in &args.plugins {
        after.plugin(plugin, &manifest, &mut store)?;
    }
    known(&args.apps, &manifest, [&before, &after])?;
    let host = engine::host_with(&places, store, engine::canary(&places, 0, None))?;
    // One after the other, each over all cores: what is the same on both sides is rendered once.
    let a = prepared(&host, &before, &manifest, args).await?;
    let b = prepared(&host, &after, &manifest, args).await?;
    for warning in b.iter().flat_map(|b| &b.warnings) {
        tracing::warn!("{warning}");
    }
    let report = Report {
        from: before.words,
        to: after.words,
        impact: compare(
            &side(a.as_ref()),
            &side(b.as_ref()),
            GuardLimits::HOST,
            &crate::mask::key()?,
        ),
    };
    match args.output {
        Shape::Text => output::print(&text::text(&report, output::has_colour()))?,
        Shape::Markdown => output::print(&markdown::markdown(&report, markdown::COMMENT))?,
        Shape::Json => output::print_value(Format::Json, &report)?,
        Shape::Yaml => output::print_value(Format::Yaml, &report)?,
    };
    Ok(if args.exit_code && report.impact.changed > 0 {
        Done::Different
    } else {
        Done::Well
    })
}

/// The files of both sides, as they are in the repository.
async fn sides(args: &ImpactArgs, histories: &mut Histories<'_>) -> Result<(At, At), Error> {
    let from = match (&args.from, args.worktree) {
        (Some(from), _) => from.as_str(),
        (None, true) => "HEAD",
        (None, false) => args.to.as_str(),
    };
    // First: a commit id is looked up in all that is there.
    histories.fetch("from", from).await?;
    let after = if args.worktree {
        At::new(
            "the work tree",
            engine::worktree(&histories.followed().await?).await?,
        )
    } else {
        At::new(&args.to, histories.snapshot("to", &args.to).await?)
    };
    let before = At::new(from, histories.snapshot("from", from).await?);
    Ok((before, after))
}

/// Refuses an app that neither side has.
fn known(apps: &[AppName], from: &ManifestFrom, sides: [&At; 2]) -> Result<(), Error> {
    if apps.is_empty() {
        return Ok(());
    }
    let mut all: Vec<AppName> = Vec::new();
    for side in sides {
        let described = side.described(from)?;
        all.extend(described.manifest.apps.iter().map(|a| a.name.clone()));
    }
    all.sort();
    all.dedup();
    let Some(unknown) = apps.iter().find(|app| !all.contains(app)) else {
        return Ok(());
    };
    let all: Vec<&str> = all.iter().map(AppName::as_str).collect();
    Err(Error::Usage(format!(
        "app {unknown} is on neither side; there are: {}",
        all.join(", ")
    )))
}

/// One side, rendered; nothing where none of the apps that are asked for is there.
async fn prepared(
    host: &Arc<Host>,
    at: &At,
    from: &ManifestFrom,
    args: &ImpactArgs,
) -> Result<Option<Prepared>, Error> {
    let apps = &args.apps;
    let mut only = Vec::new();
    if !apps.is_empty() {
        let manifest = at.described(from)?.manifest;
        let here = apps
            .iter()
            .filter(|app| manifest.app(app.as_str()).is_some());
        only.extend(here.cloned());
        if only.is_empty() {
            return Ok(None);
        }
    }
    let prepared = prepare(host, &at.snapshot, from, &args.repo.whose()?, &only).await;
    prepared.map(Some).map_err(|e| at.on_this_side(e))
}

fn side(prepared: Option<&Prepared>) -> Side<'_> {
    let apps = prepared.into_iter().flat_map(|p| p.apps.values());
    apps.map(|app| {
        let render = app.rendered.as_ref().map(|r| Render {
            validated: &r.validated,
            plugins: &r.plugins,
        });
        let side = AppSide {
            app: &app.app,
            render: render.map_err(ToString::to_string),
        };
        (&app.app.name, side)
    })
    .collect()
}
