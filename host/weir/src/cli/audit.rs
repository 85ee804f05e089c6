//! `weir audit`: proves the log and what it names, and hands it out, one line of JSON for each record.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use serde::Serialize;
use weir_core::digest::CommitId;
use weir_core::grant::Millis;
use weir_core::kept::KeptOutput;
use weir_core::name::{AppName, RepositoryName};
use weir_core::record::{CommitRecord, Event, Record, SyncRecord};
use weir_ledger::{ChainReport, Entry, LedgerError, Reader};
use weir_receipt::{Keys, Trusted};

use super::output::{self, Format};
use super::{Done, apps};
use crate::config::GlobalArgs;
use crate::error::Error;
use crate::journal::now;

/// How many things that are wrong are shown; all are counted.
const SHOWN: usize = 20;

/// What `weir audit` takes.
#[derive(Debug, clap::Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, clap::Subcommand)]
enum AuditCommand {
    /// Prove the whole chain of each repository, and that what each record names is kept and is what it was
    Verify(VerifyArgs),
    /// Print the records, oldest first, as JSON lines
    Export(ExportArgs),
}

/// What `weir audit verify` takes.
#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// Only this repository, as this host calls it
    #[arg(long)]
    repository: Option<RepositoryName>,
    /// How to print
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

/// What `weir audit export` takes.
#[derive(Debug, clap::Args)]
struct ExportArgs {
    /// Only records from then on: a time ago, such as 90m or 24h or 30d, or an instant, such as 2026-11-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only this app
    #[arg(long)]
    app: Option<AppName>,
    /// Only this repository, as this host calls it
    #[arg(long)]
    repository: Option<RepositoryName>,
}

/// Runs what is asked for.
pub(super) async fn audit(global: &GlobalArgs, args: &AuditArgs) -> Result<Done, Error> {
    let places = global.places()?;
    let reader = apps::reader(&places).await?;
    match &args.command {
        AuditCommand::Verify(args) => {
            let keys = Keys::below(&places.state).trusted();
            let keys = keys.map_err(|e| Error::host("audit", e.to_string()))?;
            verify(&reader, args, &keys).await
        }
        AuditCommand::Export(args) => export(&reader, args).await,
    }
}

/// What a check of one repository found.
#[derive(Debug, Serialize)]
struct Checked {
    repository: RepositoryName,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<ChainReport>,
    /// Outputs that records name and that are kept, each as it was.
    outputs: u64,
    /// Receipts of theirs, each signed with a key that is known here.
    receipts: u64,
    /// Everything that is wrong.
    wrong: Vec<String>,
}

async fn verify(reader: &Reader, args: &VerifyArgs, keys: &Trusted) -> Result<Done, Error> {
    let mut all = Vec::new();
    for repository in apps::repositories(reader, args.repository.as_ref()).await? {
        all.push(check(reader, repository, keys).await?);
    }
    let blobs = reader.verify_blobs().await;
    let blobs = blobs.map_err(|e| Error::stage("record", &e))?;
    let value = serde_json::json!({ "repositories": all, "blobs": blobs });
    match args.output {
        Format::Text => output::print(&all.iter().map(text).collect::<String>())?,
        format => output::print_value(format, &value)?,
    };
    if args.output == Format::Text {
        let (good, bad) = (blobs.good, blobs.damaged.len());
        output::print(&format!("blobs: {good} are what was kept, {bad} are not\n"))?;
        for file in blobs.damaged.iter().take(SHOWN) {
            output::print(&format!("  WRONG {file}\n"))?;
        }
    }
    let wrong = all.iter().map(|c| c.wrong.len()).sum::<usize>() + blobs.damaged.len();
    match wrong {
        0 => Ok(Done::Well),
        n => Err(Error::host(
            "audit",
            format!("{n} things are not what was written: the ledger was damaged or tampered with"),
        )),
    }
}

fn text(checked: &Checked) -> String {
    let mut text = format!("repository {}: ", checked.repository);
    if let Some(chain) = &checked.chain {
        let head = chain
            .head
            .map_or_else(|| "none".to_owned(), |d| d.to_string());
        text.push_str(&format!(
            "{} records in {} batches, every link proved, head {head}; {} outputs are kept as they were, {} of them with a receipt\n",
            chain.records, chain.batches, checked.outputs, checked.receipts
        ));
        for file in &chain.strangers {
            text.push_str(&format!("  {file} is no file of the ledger's\n"));
        }
    } else {
        text.push_str("its chain is broken\n");
    }
    for wrong in checked.wrong.iter().take(SHOWN) {
        text.push_str(&format!("  WRONG {wrong}\n"));
    }
    if checked.wrong.len() > SHOWN {
        let more = checked.wrong.len() - SHOWN;
        text.push_str(&format!("  ... and {more} more\n"));
    }
    text
}

/// Proves one chain, and each output that it names.
async fn check(
    reader: &Reader,
    repository: RepositoryName,
    keys: &Trusted,
) -> Result<Checked, Error> {
    let mut checked = Checked {
        repository,
        chain: None,
        outputs: 0,
        receipts: 0,
        wrong: Vec::new(),
    };
    let chain = match reader.verify(&checked.repository).await {
        Ok(chain) => chain,
        Err(e) => return broken(checked, &e),
    };
    for bad in &chain.bad_checkpoints {
        checked.wrong.push(format!("checkpoint {bad}"));
    }
    checked.chain = Some(chain);
    let records = match reader.records(&checked.repository).await {
        Ok(records) => records,
        Err(e) => return broken(checked, &e),
    };
    let mut records = std::pin::pin!(records);
    let mut gone: Vec<(u64, String)> = Vec::new();
    loop {
        let entry = match records.try_next().await {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(e) => return broken(checked, &e),
        };
        let Event::Synced(sync) = &entry.record.event else {
            continue;
        };
        let app = entry.record.app.as_ref().map(ToString::to_string);
        let app = app.unwrap_or_default();
        let said = |why: String| format!("record {} of app {app}: {why}", entry.seq);
        match kept(reader, sync, keys).await {
            Ok(found) => {
                checked.outputs += found.output;
                checked.receipts += found.receipt;
            }
            Err(Wrong::Gone(why)) => gone.push((entry.seq.0, said(why))),
            Err(Wrong::Other(why)) => checked.wrong.push(said(why)),
        }
    }
    if gone.is_empty() {
        return Ok(checked);
    }
    // Bytes go before their record does, in a removal that was cut short, or that began since the first look.
    let chain = match reader.verify(&checked.repository).await {
        Ok(chain) => chain,
        Err(e) => return broken(checked, &e),
    };
    let removed = chain.trim.map_or(0, |trim| trim.through);
    let missing = gone.into_iter().filter(|(seq, _)| *seq > removed);
    checked.wrong.extend(missing.map(|(_, said)| said));
    Ok(checked)
}

/// A chain that is damaged is what was found; a store that cannot be read is an error.
fn broken(mut checked: Checked, error: &LedgerError) -> Result<Checked, Error> {
    match error {
        LedgerError::Damaged { .. } => {
            checked.wrong.push(error.to_string());
            Ok(checked)
        }
        other => Err(Error::stage("record", other)),
    }
}

/// What is wrong with what a record names.
enum Wrong {
    /// It is not there.
    Gone(String),
    /// It is not what it was.
    Other(String),
}

impl From<String> for Wrong {
    fn from(why: String) -> Wrong {
        Wrong::Other(why)
    }
}

/// What a record names: how many of each.
#[derive(Default)]
struct Found {
    output: u64,
    receipt: u64,
}

/// What a record names, each just as the record says, or what is wrong.
async fn kept(reader: &Reader, sync: &SyncRecord, keys: &Trusted) -> Result<Found, Wrong> {
    let Some(digest) = sync.bytes else {
        return Ok(Found::default());
    };
    let bytes = reader.get_blob(digest).await.map_err(|e| e.to_string())?;
    let gone = || Wrong::Gone(format!("its output, blob {digest}, is not there"));
    let bytes = bytes.ok_or_else(gone)?;
    let kept = KeptOutput::read(&bytes).map_err(|e| format!("blob {digest}: {e}"))?;
    if kept.beside.output != sync.output {
        let (is, said) = (kept.beside.output, sync.output);
        let why = format!("blob {digest} is output {is}, and the record says {said}");
        return Err(why.into());
    }
    let mut found = Found {
        output: 1,
        receipt: 0,
    };
    if let Some(envelope) = &kept.beside.receipt {
        let receipt = keys.check(envelope);
        let receipt = receipt.map_err(|e| format!("the receipt in blob {digest}: {e}"))?;
        let said = (receipt.output, Some(receipt.inputs.commit));
        if said != (kept.beside.output, kept.beside.commit) {
            let why = format!("the receipt in blob {digest} is that of another output");
            return Err(why.into());
        }
        found.receipt = 1;
    }
    Ok(found)
}

/// One record as it is handed out.
#[derive(Debug, Serialize)]
struct Line<'e> {
    repository: &'e RepositoryName,
    seq: u64,
    time: String,
    #[serde(flatten)]
    record: &'e Record,
    /// Who is behind a sync: its commit as the log has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<&'e CommitRecord>,
}

async fn export(reader: &Reader, args: &ExportArgs) -> Result<Done, Error> {
    let since = args.since.as_deref().map(since).transpose()?;
    for repository in apps::repositories(reader, args.repository.as_ref()).await? {
        let records = reader.records(&repository).await;
        let records = records.map_err(|e| Error::stage("record", &e))?;
        let mut records = std::pin::pin!(records);
        // Commits are few, and each is told once.
        let mut commits: BTreeMap<CommitId, CommitRecord> = BTreeMap::new();
        loop {
            let entry = records.try_next().await;
            let Some(entry) = entry.map_err(|e| Error::stage("record", &e))? else {
                break;
            };
            if let Event::Commit(commit) = &entry.record.event {
                commits.insert(commit.commit, commit.clone());
            }
            let wanted = since.is_none_or(|since| entry.at >= since)
                && (args.app.is_none() || entry.record.app == args.app);
            if wanted && !print(&repository, &entry, &commits)? {
                return Ok(Done::Well);
            }
        }
    }
    Ok(Done::Well)
}

/// Prints one record; false when nobody reads any more.
fn print(
    repository: &RepositoryName,
    entry: &Entry,
    commits: &BTreeMap<CommitId, CommitRecord>,
) -> Result<bool, Error> {
    let of = match &entry.record.event {
        Event::Synced(sync) => sync.commit.and_then(|commit| commits.get(&commit)),
        _ => None,
    };
    let line = Line {
        repository,
        seq: entry.seq.0,
        time: output::time(entry.at),
        record: &entry.record,
        of,
    };
    let line = serde_json::to_string(&line).map_err(|e| Error::host("output", e.to_string()))?;
    output::print_line(&line)
}

/// An instant in seconds since 1970: a time ago, or itself.
fn since(text: &str) -> Result<i64, Error> {
    let day: i64 = 86_400;
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<i64>().ok());
    if let Some(days) = days.filter(|days| (0..=1_000_000).contains(days)) {
        return Ok(now() - days * day);
    }
    if let Ok(Millis(ago)) = text.parse::<Millis>() {
        return Ok(now() - i64::try_from(ago / 1_000).unwrap_or(i64::MAX));
    }
    let instant: Result<jiff::Timestamp, _> = text.parse();
    instant.map(jiff::Timestamp::as_second).map_err(|_| {
        Error::Usage(format!(
            "--since {text:?}: expected a time ago, such as 90m, 24h or 30d, or an instant, such as 2026-11-01T00:00:00Z"
        ))
    })
}
