//! `weir diff`: what differs between two revisions, or between a revision and what a target holds.

use std::collections::BTreeMap;

use serde::Serialize;
use similar::{ChangeTag, TextDiff};
use weir_cluster::kube::Compare;
use weir_core::impact::differing;
use weir_core::name::AppName;
use weir_core::object::{Object, ResourceId};
use weir_core::redact;
use weir_core::tree::Snapshot;

use super::histories::{Histories, RefArgs};
use super::output::{self, Format};
use super::{Done, engine, render};
use crate::config::{AccountBinding, DecryptArgs, GlobalArgs, RepoArgs, TargetBinding, bindings};
use crate::error::Error;
use crate::keyring::Keyring;
use crate::prepare::{Prepared, prepare};

pub(super) mod live;

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
    /// Compare what the targets hold now with the revision after; a cluster is asked what an apply would do, and
    /// changes nothing
    #[arg(long, conflicts_with = "from", requires = "targets")]
    live: bool,
    /// The target: dir:PATH, kube:, kube:CONTEXT or kube-secret:NAMESPACE/NAME; after NAME= for a target of the
    /// manifest; may be given again
    #[arg(long = "target", value_name = "[NAME=]PLACE")]
    targets: Vec<TargetBinding>,
    /// The cluster's service account that objects are read and written as [default: this host's own account]; after
    /// NAME= for a target of the manifest; may be given again
    #[arg(
        long = "as",
        value_name = "[NAME=]NAMESPACE/ACCOUNT",
        requires = "live"
    )]
    accounts: Vec<AccountBinding>,
    #[command(flatten)]
    decrypt: DecryptArgs,
    /// Exit with 3 where there are differences
    #[arg(long)]
    exit_code: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

/// What differs. As JSON one list.
pub(super) struct Report {
    /// Objects compared as texts: of two revisions, or with a directory.
    texts: Vec<Difference>,
    /// Objects of a cluster, compared field by field.
    pub(super) fields: Vec<live::Difference>,
}

impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Either<'a> {
            Text(&'a Difference),
            Fields(&'a live::Difference),
        }
        let texts = self.texts.iter().map(Either::Text);
        serializer.collect_seq(texts.chain(self.fields.iter().map(Either::Fields)))
    }
}

impl Report {
    fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.fields.is_empty()
    }

    fn text(&self, colour: bool) -> String {
        let mut out = text(&self.texts, colour);
        out.extend(self.fields.iter().map(|d| d.text(colour)));
        let all = self.texts.iter().map(|d| d.change);
        let all: Vec<&str> = all
            .chain(self.fields.iter().map(live::Difference::word))
            .collect();
        let count = |change: &str| all.iter().filter(|c| **c == change).count();
        let (created, updated, pruned) = (count("created"), count("updated"), count("pruned"));
        out.push_str(&format!(
            "{created} created, {updated} updated, {pruned} pruned\n"
        ));
        out
    }
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
    let whose = args.repo.whose()?;
    let prepared = async |snapshot: &Snapshot| {
        let prepared = prepare(&host, snapshot, &from, &whose, &args.apps).await?;
        render::failures(&prepared)?;
        Ok::<_, Error>(prepared)
    };
    let after = prepared(&after).await?;
    let report = match &before {
        Some(snapshot) => Report {
            texts: compare(&side(&prepared(snapshot).await?), &side(&after)),
            fields: Vec::new(),
        },
        None => {
            let name = args.repo.reach()?.name;
            let targets = bindings(&args.targets, &args.accounts)?;
            let keyring = Keyring::new(args.decrypt.decrypt(), places.kube.clone());
            let with = (Compare::Sync, &keyring);
            live::look(&after, &name, &targets, &places, with).await?
        }
    };
    match args.output {
        Format::Text => output::print(&report.text(output::has_colour()))?,
        format => output::print_value(format, &report)?,
    };
    Ok(if args.exit_code && !report.is_empty() {
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

fn compare(before: &Side, after: &Side) -> Vec<Difference> {
    let differing = differing(before, after).into_iter();
    differing
        .map(|(key, a, b)| {
            let change = match (a, b) {
                (None, _) => "created",
                (_, None) => "pruned",
                _ => "updated",
            };
            let (before, after) = redact::shown(a, b);
            Difference {
                app: key.0.clone(),
                object: key.1.clone(),
                change,
                before,
                after,
            }
        })
        .collect()
}

fn text(differences: &[Difference], colour: bool) -> String {
    let mut out = String::new();
    for d in differences {
        out.push_str(&format!("{} {} (app {})\n", d.change, d.object, d.app));
        let diff = TextDiff::from_lines(&d.before, &d.after);
        for group in diff.grouped_ops(3) {
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                let sign = match change.tag() {
                    ChangeTag::Delete => '-',
                    ChangeTag::Insert => '+',
                    ChangeTag::Equal => ' ',
                };
                out.push_str(&line(sign, change.value().trim_end_matches('\n'), colour));
            }
        }
    }
    out
}

/// A line that begins with what it means, in its colour: red goes, green comes, blue changes.
pub(super) fn line(sign: char, line: &str, colour: bool) -> String {
    let paint = match sign {
        '-' => "\x1b[31m",
        '+' => "\x1b[32m",
        '~' => "\x1b[34m",
        _ => "",
    };
    if colour && !paint.is_empty() {
        format!("  {paint}{sign}{line}\x1b[0m\n")
    } else {
        format!("  {sign}{line}\n")
    }
}
