//! `weir apps`: the apps that this host's ledger knows, and how each one stands.

use std::collections::BTreeMap;

use weir_core::digest::Digest;
use weir_core::name::RepositoryName;
use weir_ledger::{Ledger, LedgerLimits, Reader};

use super::Done;
use super::output::{self, Format, table};
use crate::config::{GlobalArgs, Places};
use crate::error::Error;
use crate::read_model::{self, refusal};

/// What `weir apps` takes.
#[derive(Debug, clap::Args)]
pub(super) struct AppsArgs {
    /// Only this repository, as this host calls it
    #[arg(long)]
    repository: Option<RepositoryName>,
    /// How to print
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

/// The ledger, to look at: also beside a running `weir serve`.
pub(super) async fn reader(places: &Places) -> Result<Reader, Error> {
    find(places).await?.ok_or_else(|| {
        Error::Usage(format!(
            "{}: no ledger is there yet: `weir sync` or `weir serve` makes one, or give --state DIR or --ledger URL",
            places.ledger
        ))
    })
}

/// The same, or `None` where there is none yet.
pub(super) async fn find(places: &Places) -> Result<Option<Reader>, Error> {
    Ledger::find(&places.ledger, LedgerLimits::HOST)
        .await
        .map_err(|e| Error::stage("record", &e))
}

/// The repositories that are asked for.
pub(super) async fn repositories(
    reader: &Reader,
    only: Option<&RepositoryName>,
) -> Result<Vec<RepositoryName>, Error> {
    let all = reader
        .repositories()
        .await
        .map_err(|e| Error::stage("record", &e))?;
    match only {
        None => Ok(all),
        Some(name) if all.contains(name) => Ok(vec![name.clone()]),
        Some(name) => {
            let known = all
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ");
            Err(Error::Usage(format!(
                "repository {name} is not in the ledger; it has: {known}"
            )))
        }
    }
}

/// Lists.
pub(super) async fn apps(global: &GlobalArgs, args: &AppsArgs) -> Result<Done, Error> {
    let reader = reader(&global.places()?).await?;
    let mut rows = Vec::new();
    let mut values = Vec::new();
    let mut held = String::new();
    for repository in repositories(&reader, args.repository.as_ref()).await? {
        let status = reader
            .load(&repository)
            .await
            .map_err(|e| Error::stage("record", &e))?;
        let apps = read_model::apps(&status, &BTreeMap::new());
        for app in &apps {
            rows.push(vec![
                repository.to_string(),
                app.name.to_string(),
                app.target
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                app.state.as_str().to_owned(),
                app.health
                    .as_ref()
                    .map(|health| health.state.to_owned())
                    .unwrap_or_default(),
                app.commit
                    .as_ref()
                    .map(weir_core::digest::ObjectId::short)
                    .unwrap_or_default(),
                app.objects.to_string(),
                app.output.as_ref().map(Digest::short).unwrap_or_default(),
                app.message
                    .as_deref()
                    .and_then(|m| m.lines().next())
                    .unwrap_or_default()
                    .to_owned(),
            ]);
        }
        values.push(serde_json::json!({
            "repository": repository, "commit": status.head.as_ref().map(|h| h.commit),
            "trusted": status.trusted, "refused": status.refused, "problem": status.problem, "apps": apps,
        }));
        if let Some(refused) = &status.refused {
            held.push_str(&format!("\n{repository}: {}\n", refusal(refused)));
        }
    }
    match args.output {
        Format::Text if rows.is_empty() => output::print(&format!("no app was synced yet\n{held}")),
        Format::Text => {
            let heading = [
                "REPOSITORY",
                "APP",
                "TARGET",
                "STATE",
                "HEALTH",
                "COMMIT",
                "OBJECTS",
                "OUTPUT",
                "MESSAGE",
            ];
            output::print(&format!("{}{held}", table(&heading, &rows)))
        }
        format => output::print_value(format, &values),
    }
}
