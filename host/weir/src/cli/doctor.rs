//! `weir doctor`: looks at everything that this host relies on, and says what to do about what is wrong.

use weir_ledger::{ChainReport, Ledger, LedgerLimits};

use super::output::{self, Format, table};
use super::{Done, engine};
use crate::config::{GlobalArgs, Places};
use crate::error::{Error, with_causes};
use crate::plugins::{Shelf, Store};

mod confinement;
mod recover;

/// What `weir doctor` takes.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// How to print
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
    #[command(flatten)]
    recover: recover::RecoverArgs,
}

/// One thing that was looked at.
struct Check {
    what: String,
    result: Result<String, String>,
}

/// Looks at everything, prints it all, fails if something is wrong; or recovers a ledger.
pub(super) async fn doctor(global: &GlobalArgs, args: &DoctorArgs) -> Result<Done, Error> {
    if args.recover.is_given() {
        return recover::recover(global, &args.recover, args.output).await;
    }
    let places = global.places()?;
    let mut checks = vec![
        writable("state", &places.state),
        writable("cache", &places.cache),
    ];
    ledger(&places, &mut checks).await;
    plugins(&places, &mut checks);
    checks.push(random(&places));
    let sandbox = engine::host(&places)
        .map(|_| "starts".to_owned())
        .map_err(|e| e.to_string());
    checks.push(Check {
        what: "sandbox".to_owned(),
        result: sandbox,
    });
    confinement::checks(&places, global.isolation, &mut checks);
    match args.output {
        Format::Text => output::print(&text(&checks))?,
        format => output::print_value(format, &checks.iter().map(value).collect::<Vec<_>>())?,
    };
    let wrong = checks.iter().filter(|c| c.result.is_err()).count();
    if wrong == 0 {
        Ok(Done::Well)
    } else {
        Err(Error::host(
            "doctor",
            format!("{wrong} of {} checks found something wrong", checks.len()),
        ))
    }
}

fn text(checks: &[Check]) -> String {
    let row = |c: &Check| match &c.result {
        Ok(text) => vec!["ok".to_owned(), c.what.clone(), text.clone()],
        Err(text) => vec!["WRONG".to_owned(), c.what.clone(), text.replace('\n', "; ")],
    };
    let rows: Vec<Vec<String>> = checks.iter().map(row).collect();
    table(&["", "WHAT", "FOUND"], &rows)
}

fn value(check: &Check) -> serde_json::Value {
    let (ok, found) = match &check.result {
        Ok(text) => (true, text),
        Err(text) => (false, text),
    };
    serde_json::json!({ "what": check.what, "ok": ok, "found": found })
}

fn writable(what: &str, dir: &std::path::Path) -> Check {
    let probe = dir.join(format!(".probe.{}", std::process::id()));
    let result = std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::write(&probe, b"weir"))
        .and_then(|()| std::fs::remove_file(&probe))
        .map(|()| dir.display().to_string())
        .map_err(|e| {
            format!(
                "{}: {e}: give --{what} DIR, a directory that this user can write to",
                dir.display()
            )
        });
    Check {
        what: what.to_owned(),
        result,
    }
}

async fn ledger(places: &Places, checks: &mut Vec<Check>) {
    let mut push = |what: String, result| checks.push(Check { what, result });
    let reader = match Ledger::find(&places.ledger, LedgerLimits::HOST).await {
        Ok(Some(reader)) => reader,
        Ok(None) => return push("ledger".to_owned(), Ok("none yet".to_owned())),
        Err(e) => return push("ledger".to_owned(), Err(with_causes(&e))),
    };
    push(
        "ledger".to_owned(),
        Ok(format!("{} at {}", reader.id().as_str(), places.ledger)),
    );
    let repositories = match reader.repositories().await {
        Ok(repositories) => repositories,
        Err(e) => return push("chains".to_owned(), Err(with_causes(&e))),
    };
    for repository in repositories {
        let result = match reader.verify(&repository).await {
            Ok(r) if r.bad_checkpoints.is_empty() => Ok(proved(&r)),
            Ok(r) => Err(format!(
                "checkpoints disagree with the records and may be removed: {}",
                r.bad_checkpoints.join(", ")
            )),
            Err(e) => Err(with_causes(&e)),
        };
        push(format!("chain {repository}"), result);
    }
}

/// A chain in which nothing is wrong.
fn proved(report: &ChainReport) -> String {
    let (records, batches) = (report.records, report.batches);
    let said = format!("{records} records in {batches} batches, every link proved");
    match report.removed {
        0 => said,
        removed => format!("{said}; {removed} older records were removed by retention"),
    }
}

/// The secret of stable random bytes. Looking makes none.
fn random(places: &Places) -> Check {
    let path = places.random.path();
    let result = match places.random.find() {
        Ok(Some(secret)) => Ok(format!("{} in {}", secret.id(), path.display())),
        Ok(None) => {
            Ok("none yet: the first render with `grants: { random: stable }` makes one".into())
        }
        Err(e) => Err(e.to_string()),
    };
    Check {
        what: "random secret".to_owned(),
        result,
    }
}

fn plugins(places: &Places, checks: &mut Vec<Check>) {
    let store = match Store::open(places) {
        Ok(store) => store,
        Err(e) => {
            return checks.push(Check {
                what: "plugins".to_owned(),
                result: Err(e.to_string()),
            });
        }
    };
    if store.bundled().is_empty() {
        let folders = places
            .plugins
            .iter()
            .map(|d| d.display().to_string())
            .collect::<Vec<_>>()
            .join(", ");
        let result = Err(format!(
            "no bundled plugin in {folders}: build them with `cargo xtask plugins`, or give --plugin-dir DIR"
        ));
        checks.push(Check {
            what: "plugins".to_owned(),
            result,
        });
    }
    for (name, digest) in store.bundled() {
        let result = match store.bytes(Shelf::Own, *digest) {
            Ok(Some(bytes)) => Ok(format!("{} bytes, {digest}", bytes.len())),
            Ok(None) => Err(format!(
                "{digest} is named but not there, or damaged: build the plugins anew"
            )),
            Err(e) => Err(e.to_string()),
        };
        checks.push(Check {
            what: format!("bundled:{name}"),
            result,
        });
    }
}
