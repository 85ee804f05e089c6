//! `weir rollback` and `weir resume`: an app goes back to what a record says and stays there, until it follows Git again.

use std::collections::BTreeSet;
use std::str::FromStr;

use weir_core::decision::Ask;
use weir_core::digest::Digest;
use weir_core::name::{AppName, RepositoryName};
use weir_core::pin::Deployed;
use weir_core::record::Event;
use weir_core::status::AppStatus;
use weir_ledger::Reader;

use super::decide::{self, Confirm, DecideArgs};
use super::{Done, apps, output};
use crate::config::GlobalArgs;
use crate::error::Error;

/// How many records are looked through for the one that is meant.
const LOOKED_THROUGH: usize = 100_000;
/// How many records are named to whoever named none that can be used.
const SHOWN: usize = 10;

/// What `weir rollback` takes.
#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    /// The app
    app: AppName,
    /// What it goes back to: the number of a record in `weir history APP`, `previous` for what was synced before, or
    /// `last-healthy`
    #[arg(long, value_name = "N|previous|last-healthy")]
    to: To,
    /// The app's repository, as this host calls it; needed where several have an app of that name
    #[arg(long)]
    repository: Option<RepositoryName>,
    #[command(flatten)]
    decide: DecideArgs,
}

/// What `weir resume` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    /// The app
    app: AppName,
    /// The app's repository, as this host calls it; needed where several have an app of that name
    #[arg(long)]
    repository: Option<RepositoryName>,
    #[command(flatten)]
    decide: DecideArgs,
}

/// Which record is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Seq(u64),
    Previous,
    LastHealthy,
}

impl FromStr for To {
    type Err = String;
    fn from_str(text: &str) -> Result<To, String> {
        match text {
            "previous" => Ok(To::Previous),
            "last-healthy" => Ok(To::LastHealthy),
            number => number.parse().map(To::Seq).map_err(|_| {
                "expected the number of a record, such as 12, or previous, or last-healthy"
                    .to_owned()
            }),
        }
    }
}

/// Finds what is meant, asks, and has it kept: the host applies it at once.
pub(super) async fn rollback(global: &GlobalArgs, args: &RollbackArgs) -> Result<Done, Error> {
    let places = global.places()?;
    let (repository, status) = decide::find(&places, args.repository.as_ref(), &args.app).await?;
    let Some(known) = status.apps.get(&args.app) else {
        return Err(Error::Usage(format!("app {}: it is gone", args.app)));
    };
    let reader = apps::reader(&places).await?;
    let to = match args.to {
        To::LastHealthy => known.healthy.clone().ok_or_else(|| {
            Error::Usage(format!(
                "app {}: nothing that the ledger keeps of it was ever known to be healthy: name a record with --to N, or --to previous",
                args.app
            ))
        })?,
        To::Seq(_) | To::Previous => found(&reader, &repository, args, known).await?,
    };
    let commit = to.commit.map_or("a work tree".to_owned(), |c| c.short());
    output::print(&format!(
        "app {} of repository {repository} goes back to record {}: output {}, made from {commit}. What it was to be is refused until it renders to something else\n",
        args.app,
        to.seq,
        to.output.short(),
    ))?;
    let confirm = Confirm::Ask {
        question: "Go back?",
        flag: "--yes".to_owned(),
    };
    let ask = Ask::RollBack(to);
    decide::decide(&places, &args.decide, repository, &args.app, ask, confirm).await
}

/// Has an app follow Git again.
pub(super) async fn resume(global: &GlobalArgs, args: &ResumeArgs) -> Result<Done, Error> {
    let places = global.places()?;
    let (repository, status) = decide::find(&places, args.repository.as_ref(), &args.app).await?;
    let pin = status.apps.get(&args.app).and_then(|app| app.pin.as_ref());
    if let Some(pin) = pin {
        let refused: Vec<String> = pin.refused.iter().map(Digest::short).collect();
        output::print(&format!(
            "app {} of repository {repository} stays at record {} (output {}); what Git has may be what was refused: {}\n",
            args.app,
            pin.to.seq,
            pin.to.output.short(),
            refused.join(", ")
        ))?;
    }
    let confirm = Confirm::Ask {
        question: "Follow Git again?",
        flag: "--yes".to_owned(),
    };
    decide::decide(
        &places,
        &args.decide,
        repository,
        &args.app,
        Ask::Resume,
        confirm,
    )
    .await
}

/// What the app is, or was to be: the output that a hold waits with; of a pinned app what is there and what was refused;
/// otherwise what was tried last.
fn newest(known: &AppStatus) -> BTreeSet<Digest> {
    match (&known.hold, &known.pin) {
        (Some(hold), _) => BTreeSet::from([hold.output]),
        (None, Some(pin)) => pin.refused.iter().copied().chain(known.output).collect(),
        (None, None) => known.tried.or(known.output).into_iter().collect(),
    }
}

/// The record that is meant, among those of the app that were wholly synced and whose bytes are kept.
async fn found(
    reader: &Reader,
    repository: &RepositoryName,
    args: &RollbackArgs,
    known: &AppStatus,
) -> Result<Deployed, Error> {
    let entries = reader
        .history(repository, Some(&args.app), LOOKED_THROUGH)
        .await;
    let entries = entries.map_err(|e| Error::stage("record", &e))?;
    let usable = entries
        .iter()
        .filter_map(|entry| match &entry.record.event {
            Event::Synced(sync) if sync.problem.is_none() => Some(Deployed {
                seq: entry.seq.0,
                commit: sync.commit,
                output: sync.output,
                bytes: sync.bytes?,
            }),
            _ => None,
        });
    let usable: Vec<Deployed> = usable.collect();
    let now = newest(known);
    let mut all = usable.iter();
    let one = match args.to {
        To::Seq(seq) => all.find(|d| d.seq == seq),
        To::Previous | To::LastHealthy => all.find(|d| !now.contains(&d.output)),
    };
    one.cloned().ok_or_else(|| {
        let names: Vec<String> = usable
            .iter()
            .take(SHOWN)
            .map(|d| format!("{} (output {})", d.seq, d.output.short()))
            .collect();
        let what = match args.to {
            To::Seq(seq) => format!("record {seq} is no whole sync of app {}", args.app),
            To::Previous | To::LastHealthy => {
                format!("nothing else of app {} was wholly synced before", args.app)
            }
        };
        Error::Usage(format!(
            "{what}. It can go back to: {}",
            if names.is_empty() {
                "nothing".to_owned()
            } else {
                names.join(", ")
            }
        ))
    })
}
