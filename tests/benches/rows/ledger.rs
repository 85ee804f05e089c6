//! Records a second that the ledger makes durable, on disk and in a bucket, against one file and one fsync for each.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use weir_core::fault::Fault;
use weir_core::name::RepositoryName;
use weir_core::record::{Event, Problem, Record};
use weir_ledger::{
    Clock, Ledger, LedgerLimits, Place, S3Credentials, S3Keys, S3Options, S3Place, S3Secret,
};
use weir_tests::s3::{BUCKET, KEY, S3, SECRET};

use super::Size;
use super::measure::Pairs;
use super::table::{Row, Unit};

/// How many append at once, and how many records each of them keeps one after the other.
const APPENDERS: [(usize, usize); 3] = [(1, 200), (16, 50), (256, 4)];

/// All rows of this group.
///
/// # Errors
/// The S3 server is not built, or a write fails.
pub(crate) fn rows(size: Size) -> Result<Vec<Row>> {
    let bench = Bench::new()?;
    let mut rows = Vec::new();
    for is_s3 in [false, true] {
        for (appenders, each) in APPENDERS {
            rows.push(bench.row(is_s3, appenders, each.min(size.objects), size.processes)?);
        }
    }
    Ok(rows)
}

struct Bench {
    runtime: Runtime,
    dir: TempDir,
    s3: S3,
    runs: std::cell::Cell<usize>,
}

impl Bench {
    fn new() -> Result<Bench> {
        // Not on a temporary file system in memory, where an fsync costs nothing.
        let target = weir_tests::places::root().join("target");
        Ok(Bench {
            runtime: Builder::new_multi_thread().enable_all().build()?,
            dir: tempfile::Builder::new()
                .prefix("bench-ledger-")
                .tempdir_in(target)?,
            s3: S3::start()?,
            runs: std::cell::Cell::new(0),
        })
    }

    fn row(&self, is_s3: bool, appenders: usize, each: usize, rounds: usize) -> Result<Row> {
        let pairs = Pairs::take(
            rounds,
            || self.runtime.block_on(self.grouped(is_s3, appenders, each)),
            || self.plainly(appenders * each),
        )?;
        let place = match is_s3 {
            true => "in a bucket (versitygw on this machine)",
            false => "on disk",
        };
        Ok(Row {
            what: format!("ledger {place}: {appenders} at once, each {each} records"),
            against: "one file and an fsync for each record, on disk".to_owned(),
            unit: Unit::PerSecond,
            pairs,
            notes: match is_s3 {
                true => {
                    vec!["whether the server syncs its disk is the server's own matter".to_owned()]
                }
                false => Vec::new(),
            },
        })
    }

    fn fresh(&self) -> usize {
        self.runs.set(self.runs.get() + 1);
        self.runs.get()
    }

    fn place(&self, is_s3: bool) -> Result<Place> {
        let run = self.fresh();
        let dir = self.dir.path().join(format!("ledger-{run}"));
        if !is_s3 {
            return Ok(Place::Dir(dir));
        }
        let url = format!("s3://{BUCKET}/bench-{run}");
        Ok(Place::S3(Box::new(S3Place {
            url: url.parse().map_err(anyhow::Error::msg)?,
            options: S3Options {
                endpoint: Some(self.s3.origin()),
                region: "us-east-1".into(),
                virtual_host: false,
                allow_http: true,
                ca_file: None,
                credentials: S3Credentials::Keys(S3Keys {
                    id: KEY.into(),
                    secret: S3Secret::new(SECRET),
                    token: None,
                }),
            },
            lock: dir,
        })))
    }

    /// Records a second of a new ledger, from its first record on.
    async fn grouped(&self, is_s3: bool, appenders: usize, each: usize) -> Result<f64> {
        let clock: Clock = Arc::new(now);
        let ledger = Ledger::open(&self.place(is_s3)?, LedgerLimits::HOST, clock).await?;
        let ledger = Arc::new(ledger);
        let shop: RepositoryName = "shop".parse()?;
        ledger.load(&shop).await?;
        let begun = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for appender in 0..appenders {
            let (ledger, shop) = (ledger.clone(), shop.clone());
            tasks.spawn(async move {
                for n in 0..each {
                    ledger.append(&shop, vec![record(appender, n)?]).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        let spent = begun.elapsed().as_secs_f64();
        let report = ledger.reader().verify(&shop).await?;
        ensure!(
            report.records == (appenders * each) as u64,
            "{} records",
            report.records
        );
        Ok((appenders * each) as f64 / spent)
    }

    /// The same records as files of their own, one after the other.
    fn plainly(&self, records: usize) -> Result<f64> {
        let dir = self.dir.path().join(format!("plain-{}", self.fresh()));
        std::fs::create_dir(&dir)?;
        let begun = Instant::now();
        for n in 0..records {
            write(&dir, n)?;
        }
        Ok(records as f64 / begun.elapsed().as_secs_f64())
    }
}

fn write(dir: &Path, n: usize) -> Result<()> {
    let path = dir.join(format!("{n:012}.json"));
    let mut file = File::create_new(&path).with_context(|| format!("making {}", path.display()))?;
    file.write_all(&serde_json::to_vec(&record(0, n)?)?)?;
    file.sync_all()?;
    // The name is durable with the directory.
    File::open(dir)?.sync_all()?;
    Ok(())
}

fn record(appender: usize, n: usize) -> Result<Record> {
    Ok(Record {
        app: Some(format!("app-{appender}").parse()?),
        event: Event::Failed {
            commit: None,
            problem: Problem {
                stage: "render".to_owned(),
                fault: Fault::Plugin,
                message: format!("record {n}: the quick brown fox jumps over the lazy dog"),
            },
        },
    })
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}
