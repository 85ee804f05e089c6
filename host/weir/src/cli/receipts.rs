//! `weir receipts`: the signed receipts that the ledger keeps beside each output, listed, shown and exported.

use weir_core::digest::Digest;
use weir_core::kept::KeptOutput;
use weir_core::name::{AppName, RepositoryName};
use weir_core::receipt::{Envelope, Receipt};
use weir_core::record::Event;
use weir_ledger::Reader;
use weir_receipt::{CheckError, Keys, Trusted};

use super::output::{self, Format, table};
use super::{Done, apps, decide};
use crate::config::{GlobalArgs, Places};
use crate::error::Error;

mod export;

/// How many records are looked through for the one that is meant.
const LOOKED_THROUGH: usize = 100_000;

/// What `weir receipts` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ReceiptsArgs {
    #[command(subcommand)]
    command: ReceiptsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ReceiptsCommand {
    /// List the receipts of what was synced, newest first
    List(ListArgs),
    /// Show what one receipt says
    Show(ShowArgs),
    /// Write one receipt to a file, or a bundle with all that it takes to prove it
    Export(Box<export::ExportArgs>),
}

/// What `weir receipts list` takes.
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only this app
    #[arg(long)]
    app: Option<AppName>,
    /// Only this repository, as this host calls it
    #[arg(long)]
    repository: Option<RepositoryName>,
    /// How many of each repository
    #[arg(short = 'n', long, default_value_t = 20)]
    limit: usize,
    /// How to print
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

/// Which receipt of an app is meant.
#[derive(Debug, Clone, clap::Args)]
struct Which {
    /// The app
    #[arg(long)]
    app: AppName,
    /// The app's repository, as this host calls it; needed where several have an app of that name
    #[arg(long)]
    repository: Option<RepositoryName>,
    /// The number of a record, as `weir receipts list` prints it [default: the newest that has a receipt]
    #[arg(long, value_name = "N")]
    record: Option<u64>,
}

/// What `weir receipts show` takes.
#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    which: Which,
    /// How to print
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

/// A receipt with where it is kept.
struct Found {
    seq: u64,
    at: i64,
    repository: RepositoryName,
    app: AppName,
    blob: Digest,
    envelope: Envelope,
    receipt: Receipt,
}

/// Lists, shows or exports.
pub(super) async fn receipts(global: &GlobalArgs, args: &ReceiptsArgs) -> Result<Done, Error> {
    let places = global.places()?;
    match &args.command {
        ReceiptsCommand::List(args) => list(&places, args).await,
        ReceiptsCommand::Show(args) => show(&places, args).await,
        ReceiptsCommand::Export(args) => export::export(&places, args).await,
    }
}

async fn list(places: &Places, args: &ListArgs) -> Result<Done, Error> {
    let reader = apps::reader(places).await?;
    let trusted = trusted(places)?;
    let mut found = Vec::new();
    for repository in apps::repositories(&reader, args.repository.as_ref()).await? {
        let app = args.app.as_ref();
        found.extend(all(&reader, &repository, app, None, args.limit).await?);
    }
    let heading = [
        "RECORD",
        "TIME",
        "REPOSITORY",
        "APP",
        "COMMIT",
        "OUTPUT",
        "KEY",
        "SIGNATURE",
    ];
    let row = |f: &Found| {
        vec![
            f.seq.to_string(),
            output::time(f.at),
            f.repository.to_string(),
            f.app.to_string(),
            f.receipt.inputs.commit.short(),
            f.receipt.output.short(),
            f.envelope.key().short(),
            signature(&trusted, &f.envelope).to_owned(),
        ]
    };
    match args.output {
        Format::Text if found.is_empty() => output::print("there are no receipts yet\n"),
        Format::Text => {
            let rows: Vec<Vec<String>> = found.iter().map(row).collect();
            output::print(&table(&heading, &rows))
        }
        format => {
            let values: Vec<_> = found.iter().map(|f| value(&trusted, f)).collect();
            output::print_value(format, &values)
        }
    }
}

async fn show(places: &Places, args: &ShowArgs) -> Result<Done, Error> {
    let found = one(places, &args.which).await?;
    let value = value(&trusted(places)?, &found);
    match args.output {
        Format::Text => output::print_value(Format::Yaml, &value),
        format => output::print_value(format, &value),
    }
}

fn value(trusted: &Trusted, found: &Found) -> serde_json::Value {
    serde_json::json!({
        "record": found.seq, "at": output::time(found.at), "blob": found.blob,
        "key": found.envelope.key(), "signature": signature(trusted, &found.envelope),
        "subject": found.receipt.subject(), "receipt": found.receipt,
    })
}

fn trusted(places: &Places) -> Result<Trusted, Error> {
    let keys = Keys::below(&places.state).trusted();
    keys.map_err(|e| Error::stage("keys", &e))
}

fn signature(trusted: &Trusted, envelope: &Envelope) -> &'static str {
    match trusted.check(envelope) {
        Ok(_) => "good",
        Err(CheckError::UnknownKey { .. }) => "unknown key",
        Err(_) => "BAD",
    }
}

/// The receipt that is meant.
async fn one(places: &Places, which: &Which) -> Result<Found, Error> {
    let only = which.repository.as_ref();
    let (repository, _) = decide::find(places, only, &which.app).await?;
    let reader = apps::reader(places).await?;
    let app = Some(&which.app);
    let found = all(&reader, &repository, app, which.record, 1).await?;
    found.into_iter().next().ok_or_else(|| {
        let app = &which.app;
        Error::Usage(match which.record {
            Some(seq) => format!("record {seq} is no sync of app {app} with a receipt: `weir receipts list --app {app}` shows those that are"),
            None => format!("no sync of app {app} has a receipt"),
        })
    })
}

/// The newest receipts of a repository, at most `limit`: of one app or all, of one record or all.
async fn all(
    reader: &Reader,
    repository: &RepositoryName,
    app: Option<&AppName>,
    record: Option<u64>,
    limit: usize,
) -> Result<Vec<Found>, Error> {
    let entries = reader.history(repository, app, LOOKED_THROUGH).await;
    let entries = entries.map_err(|e| Error::stage("record", &e))?;
    let mut found = Vec::new();
    for entry in entries {
        if found.len() >= limit {
            break;
        }
        if record.is_some_and(|seq| seq != entry.seq.0) {
            continue;
        }
        let (Event::Synced(sync), Some(app)) = (&entry.record.event, &entry.record.app) else {
            continue;
        };
        let Some(blob) = sync.bytes else {
            continue;
        };
        let Some((envelope, receipt)) = kept(reader, blob).await? else {
            continue;
        };
        found.push(Found {
            seq: entry.seq.0,
            at: entry.at,
            repository: repository.clone(),
            app: app.clone(),
            blob,
            envelope,
            receipt,
        });
    }
    Ok(found)
}

/// The receipt beside an output that the ledger keeps; `None` where the output has none.
async fn kept(reader: &Reader, blob: Digest) -> Result<Option<(Envelope, Receipt)>, Error> {
    let bytes = bytes(reader, blob).await?;
    let wrong = |why: String| Error::host("record", format!("blob {blob}: {why}"));
    let kept = KeptOutput::read(&bytes).map_err(|e| wrong(e.to_string()))?;
    let Some(envelope) = kept.beside.receipt else {
        return Ok(None);
    };
    let receipt = envelope.unchecked().map_err(|e| wrong(e.to_string()))?;
    Ok(Some((envelope, receipt)))
}

async fn bytes(reader: &Reader, blob: Digest) -> Result<bytes::Bytes, Error> {
    let bytes = reader.get_blob(blob).await;
    let bytes = bytes.map_err(|e| Error::stage("record", &e))?;
    bytes.ok_or_else(|| {
        Error::host(
            "record",
            format!("the ledger has no blob {blob}: it was removed"),
        )
    })
}
