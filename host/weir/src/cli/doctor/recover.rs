//! `weir doctor --recover`: takes into this host's ledger what carries a lost ledger's name in the clusters.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use weir_core::name::{RepositoryName, TargetName};
use weir_core::status::Status;
use weir_ledger::{LedgerId, Reader};

use crate::cli::output::{self, Format, table};
use crate::cli::{Done, apps, decide};
use crate::config::{Bound, GlobalArgs, Places, TargetBinding, TargetPlace, bindings, file};
use crate::error::Error;
use crate::journal::open_ledger_as;
use crate::recover::{self, Estates, Found, Owning};

/// What `weir doctor --recover` takes.
#[derive(Debug, clap::Args)]
pub(super) struct RecoverArgs {
    /// The ledger was lost: find what carries its name in the clusters, and take that into a ledger of the same id, after
    /// showing it. Every kind is listed in all namespaces, as this host's own account
    #[arg(long)]
    recover: bool,
    /// The cluster to look at, as for `weir sync`; after NAME= for a target of the manifest; may be given again
    #[arg(long = "target", value_name = "[NAME=]PLACE", requires = "recover")]
    targets: Vec<TargetBinding>,
    /// Look at the clusters of this file of `weir serve --config` instead
    #[arg(
        long,
        value_name = "FILE",
        requires = "recover",
        conflicts_with = "targets"
    )]
    config: Option<PathBuf>,
    /// Only what is this repository's, as the host called it
    #[arg(long, value_name = "NAME", requires = "recover")]
    repository: Option<RepositoryName>,
    /// The lost ledger's id; needed where objects carry several
    #[arg(long, value_name = "ID", requires = "recover")]
    ledger_id: Option<LedgerId>,
    /// A kind that no app has objects of, and that is not looked at: GROUP/KIND, or GROUP/* for a group; the group without a
    /// name is called core; may be given again
    #[arg(long, value_name = "GROUP/KIND", requires = "recover")]
    without: Vec<String>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", requires = "recover")]
    why: Option<String>,
    /// Do not ask
    #[arg(short, long, requires = "recover")]
    yes: bool,
}

impl RecoverArgs {
    /// Whether it is asked for.
    pub(super) fn is_given(&self) -> bool {
        self.recover
    }
}

/// Looks, shows, asks, keeps.
pub(super) async fn recover(
    global: &GlobalArgs,
    args: &RecoverArgs,
    format: Format,
) -> Result<Done, Error> {
    let mut places = global.places()?;
    if let Some(path) = &args.config
        && let Some(ledger) = file::read(path)?.ledger
    {
        places.ledger = global.ledger.with(ledger, &places.state)?;
    }
    let found = look(args, &places).await?;
    let here = here(&places).await?;
    let id = here.as_ref().map(Reader::id);
    let ledger = recover::which(&found, id, args.ledger_id.as_ref()).map_err(Error::Usage)?;
    let all = ledger.as_ref().and_then(|id| found.ledgers.get(id));
    let (Some(ledger), Some(all)) = (&ledger, all) else {
        return match format {
            Format::Text => output::print(&nothing(&found, ledger.as_ref(), args)),
            format => {
                output::print_value(format, &serde_json::json!({ "ledger": ledger, "apps": [] }))
            }
        };
    };
    found.clear(ledger).map_err(Error::Usage)?;
    let lost = missing(here.as_ref(), all).await?;
    match format {
        Format::Text => output::print(&text(ledger, &found, all, &lost))?,
        format => output::print_value(format, &value(ledger, all, &lost))?,
    };
    let count: usize = lost.values().map(Vec::len).sum();
    if count == 0 {
        output::complain("nothing to recover: this host's ledger holds all that carries its name");
        return Ok(Done::Well);
    }
    let question = "Take them into a ledger of this id? Only where the lost one is gone and no other host runs on it: both would write. A hook whose object is gone runs again";
    if !args.yes && !decide::confirmed(question, "--yes")? {
        output::complain("nothing was changed");
        return Ok(Done::Held);
    }
    drop(here);
    let open = open_ledger_as(&places, ledger).await?;
    let kept = recover::keep(&open, &lost, &decide::who(), args.why.as_deref()).await?;
    output::complain(&format!(
        "{kept} objects recovered. The next sync writes each of them anew, and deletes what left Git; it asks first where that is much (weir approve)"
    ));
    Ok(Done::Well)
}

async fn look(args: &RecoverArgs, places: &Places) -> Result<Found, Error> {
    let targets = targets(args)?;
    let searches = recover::clusters(targets.iter().map(|(by, name, b)| (by.as_ref(), name, b)));
    let without: BTreeSet<String> = args.without.iter().cloned().collect();
    if let Some(bad) = without.iter().find(|kind| !kind.contains('/')) {
        return Err(Error::Usage(format!(
            "--without {bad}: expected GROUP/KIND or GROUP/*, such as core/Event"
        )));
    }
    let mut found = recover::look(&searches, &without, places).await?;
    if !found.unread.is_empty() {
        let (kinds, why): (Vec<&str>, Vec<&str>) = found
            .unread
            .iter()
            .map(|(kind, why)| (kind.as_str(), why.as_str()))
            .unzip();
        return Err(Error::host(
            "recover",
            format!(
                "{} could not be looked at, and what apps have there is not known: {}. Run this with an account that may list all kinds (--kubeconfig), or leave out with --without GROUP/KIND what no app has",
                kinds.join(", "),
                why.first().copied().unwrap_or_default()
            ),
        ));
    }
    if let Some(only) = &args.repository {
        found.only(only);
    }
    Ok(found)
}

/// The targets that flags or the file name, by whom.
fn targets(args: &RecoverArgs) -> Result<Vec<(Option<RepositoryName>, TargetName, Bound)>, Error> {
    let no_cluster = "--recover needs a cluster to look at: give --target kube:, or --config FILE with one. A directory does not say whose its files are: what is in it is written anew into an empty one";
    let mut out = Vec::new();
    match &args.config {
        None => {
            for (name, bound) in bindings(&args.targets, &[])? {
                out.push((None, name, bound));
            }
        }
        Some(path) => {
            for repository in file::read(path)?.repositories {
                for (name, bound) in repository.targets {
                    out.push((Some(repository.reach.name.clone()), name, bound));
                }
            }
        }
    }
    let is_cluster = |bound: &Bound| matches!(bound.place, TargetPlace::Kube(_));
    match out.iter().any(|(_, _, bound)| is_cluster(bound)) {
        true => Ok(out),
        false => Err(Error::Usage(no_cluster.to_owned())),
    }
}

/// This host's ledger, where it has one.
async fn here(places: &Places) -> Result<Option<Reader>, Error> {
    apps::find(places).await
}

/// What the ledger does not hold, for each app that it lacks something of.
async fn missing(here: Option<&Reader>, all: &Estates) -> Result<Estates, Error> {
    let mut known: BTreeMap<&RepositoryName, Status> = BTreeMap::new();
    let mut out = Estates::new();
    for (owning, objects) in all {
        let name = &owning.repository;
        if !known.contains_key(name) {
            let status = match here {
                None => Status::default(),
                Some(reader) => {
                    let status = reader.load(name).await;
                    status.map_err(|e| Error::stage("record", &e))?
                }
            };
            known.insert(name, status);
        }
        let lost = known
            .get(name)
            .map_or_else(Vec::new, |status| recover::lost(status, owning, objects));
        if !lost.is_empty() {
            out.insert(owning.clone(), lost);
        }
    }
    Ok(out)
}

fn nothing(found: &Found, ledger: Option<&LedgerId>, args: &RecoverArgs) -> String {
    let whose = ledger.map_or_else(|| "a ledger".to_owned(), |id| format!("ledger {id}"));
    let only = args.repository.as_ref();
    let only = only.map_or_else(String::new, |name| format!(" and of repository {name}"));
    format!(
        "none of the {} objects that were looked at carries the name of {whose}{only}{}\n",
        found.looked,
        unbound(found, ledger)
    )
}

/// What is left alone, of this ledger or of whichever.
fn unbound(found: &Found, ledger: Option<&LedgerId>) -> String {
    let each = found.unbound.iter();
    let each = each.filter(|((of, _), _)| ledger.is_none_or(|ledger| of == ledger));
    let each: Vec<String> = each
        .map(|((_, name), count)| format!("{name} ({count})"))
        .collect();
    if each.is_empty() {
        return String::new();
    }
    format!(
        "; of repositories that the file does not bind there: {}",
        each.join(", ")
    )
}

fn text(ledger: &LedgerId, found: &Found, all: &Estates, lost: &Estates) -> String {
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|(owning, objects)| {
            let Owning {
                repository,
                app,
                target,
            } = owning;
            vec![
                repository.to_string(),
                app.to_string(),
                target.to_string(),
                objects.len().to_string(),
                lost.get(owning).map_or(0, Vec::len).to_string(),
            ]
        })
        .collect();
    let heading = ["REPOSITORY", "APP", "TARGET", "OBJECTS", "LOST"];
    format!(
        "ledger {ledger}: {} of the {} objects that were looked at carry its name{}\n{}",
        all.values().map(Vec::len).sum::<usize>(),
        found.looked,
        unbound(found, Some(ledger)),
        table(&heading, &rows)
    )
}

fn value(ledger: &LedgerId, all: &Estates, lost: &Estates) -> serde_json::Value {
    let app = |(owning, objects): (&Owning, &Vec<_>)| {
        let ids = lost.get(owning).into_iter().flatten();
        let ids: Vec<String> = ids.map(|(id, _)| id.to_string()).collect();
        serde_json::json!({
            "repository": owning.repository, "app": owning.app, "target": owning.target,
            "objects": objects.len(), "lost": ids,
        })
    };
    serde_json::json!({ "ledger": ledger, "apps": all.iter().map(app).collect::<Vec<_>>() })
}
