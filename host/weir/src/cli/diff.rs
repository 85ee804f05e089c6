//! `weir diff`: what differs between two revisions, or between a revision and what a target holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use similar::{ChangeTag, TextDiff};
use weir_cluster::dir::{DirLimits, DirTarget};
use weir_core::name::AppName;
use weir_core::object::{Object, Origin, ResourceId};
use weir_core::redact;
use weir_core::render::{Document, parse};
use weir_core::tree::Snapshot;
use weir_core::yaml::Budget;

use super::histories::{Histories, RefArgs};
use super::output::{self, Format};
use super::{Done, engine, render};
use crate::config::{GlobalArgs, RepoArgs, TargetBinding, bindings};
use crate::error::Error;
use crate::prepare::{Prepared, prepare};

/// What `weir diff` takes.
#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// The apps [default: all]
    apps: Vec<AppName>,
    #[command(flatten)]
    repo: RepoArgs,
    #[command(flatten)]
    reference: RefArgs,
    /// The revision before: a branch, a tag, HEAD or a commit id, and after it ~N or ^N
    #[arg(long, value_name = "REV", required_unless_present = "live")]
    from: Option<String>,
    /// The revision after
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    to: String,
    /// Compare what the target holds now with the revision after
    #[arg(long, conflicts_with = "from", requires = "targets")]
    live: bool,
    /// The target: dir:PATH, or NAME=dir:PATH
    #[arg(long = "target", value_name = "[NAME=]dir:PATH")]
    targets: Vec<TargetBinding>,
    /// Exit with 3 where there are differences
    #[arg(long)]
    exit_code: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

/// One object that differs. Its texts are already fit to be shown.
#[derive(Debug, Serialize)]
struct Difference {
    app: AppName,
    object: ResourceId,
    change: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    before: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    after: String,
}

/// Objects by app and identity.
type Side = BTreeMap<(AppName, ResourceId), Object>;

/// Compares and prints.
pub(super) async fn diff(global: &GlobalArgs, args: &DiffArgs) -> Result<Done, Error> {
    let places = global.places()?;
    let host = engine::host(&places)?;
    let from = args.repo.manifest().read()?;
    let mut histories = Histories::new(&args.repo, &args.reference, &places)?;
    // Both first: a commit id is looked up in all that is there.
    if let Some(rev) = &args.from {
        histories.fetch("from", rev).await?;
    }
    let after = histories.snapshot("to", &args.to).await?;
    let before = match &args.from {
        Some(rev) => Some(histories.snapshot("from", rev).await?),
        None => None,
    };
    let prepared = async |snapshot: &Snapshot| {
        let prepared = prepare(&host, snapshot, &from, &args.apps).await?;
        render::failures(&prepared)?;
        Ok::<_, Error>(prepared)
    };
    let after = prepared(&after).await?;
    let before = match &before {
        Some(snapshot) => side(&prepared(snapshot).await?),
        None => live(&after, &args.targets).await?,
    };
    let differences = compare(&before, &side(&after));
    match args.output {
        Format::Text => output::print(&text(&differences, output::has_colour()))?,
        format => output::print_value(format, &differences)?,
    };
    Ok(if args.exit_code && !differences.is_empty() {
        Done::Different
    } else {
        Done::Well
    })
}

fn side(prepared: &Prepared) -> Side {
    let apps = prepared
        .apps
        .values()
        .filter_map(|a| a.rendered.as_ref().ok().map(|r| (&a.app.name, r)));
    apps.flat_map(|(app, r)| {
        r.validated
            .objects()
            .iter()
            .map(move |o| ((app.clone(), o.id().clone()), o.clone()))
    })
    .collect()
}

/// What the targets hold now in the places of the wanted objects.
async fn live(wanted: &Prepared, targets: &[TargetBinding]) -> Result<Side, Error> {
    let mut open: BTreeMap<_, Arc<DirTarget>> = BTreeMap::new();
    for (name, dir) in bindings(targets)? {
        let target =
            DirTarget::open(&dir, DirLimits::HOST).map_err(|e| Error::stage("observe", &e))?;
        open.insert(name, Arc::new(target));
    }
    let mut out = Side::new();
    for app in wanted.apps.values() {
        let (Some(target), Ok(rendered)) = (open.get(&app.app.target), &app.rendered) else {
            continue;
        };
        for object in rendered.validated.objects() {
            let text = target
                .text(object.id())
                .map_err(|e| Error::stage("observe", &e))?;
            let Some(body) = text else { continue };
            let origin = target.path(object.id()).display().to_string();
            let live = parse(
                &[Document {
                    origin: origin.clone(),
                    body,
                }],
                &Budget::HOST,
            );
            let live = live
                .map_err(|e| Error::stage("observe", &e))?
                .into_iter()
                .next();
            let live = live.map(|o| {
                o.with_origin(Origin {
                    path: origin,
                    line: 1,
                })
            });
            out.extend(live.map(|o| ((app.app.name.clone(), object.id().clone()), o)));
        }
    }
    Ok(out)
}

fn compare(before: &Side, after: &Side) -> Vec<Difference> {
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut out = Vec::new();
    for key in keys {
        let (a, b) = (before.get(key), after.get(key));
        let change = match (a, b) {
            (None, _) => "created",
            (_, None) => "pruned",
            (Some(a), Some(b)) if a.digest() == b.digest() => continue,
            _ => "updated",
        };
        let (before, after) = redact::shown(a, b);
        out.push(Difference {
            app: key.0.clone(),
            object: key.1.clone(),
            change,
            before,
            after,
        });
    }
    out
}

fn text(differences: &[Difference], colour: bool) -> String {
    let mut out = String::new();
    for d in differences {
        out.push_str(&format!("{} {} (app {})\n", d.change, d.object, d.app));
        let diff = TextDiff::from_lines(&d.before, &d.after);
        for group in diff.grouped_ops(3) {
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                let (sign, paint) = match change.tag() {
                    ChangeTag::Delete => ('-', "\x1b[31m"),
                    ChangeTag::Insert => ('+', "\x1b[32m"),
                    ChangeTag::Equal => (' ', ""),
                };
                let line = change.value().trim_end_matches('\n');
                if colour && !paint.is_empty() {
                    out.push_str(&format!("  {paint}{sign}{line}\x1b[0m\n"));
                } else {
                    out.push_str(&format!("  {sign}{line}\n"));
                }
            }
        }
    }
    let count = |change: &str| differences.iter().filter(|d| d.change == change).count();
    let (created, updated, pruned) = (count("created"), count("updated"), count("pruned"));
    out.push_str(&format!(
        "{created} created, {updated} updated, {pruned} pruned\n"
    ));
    out
}
