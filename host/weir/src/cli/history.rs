//! `weir history`: what happened, newest first, as the audit log has it.

use weir_core::decision::{Choice, Decision};
use weir_core::digest::Digest;
use weir_core::health::Health;
use weir_core::hook::{HookRecord, Progress};
use weir_core::name::{AppName, RepositoryName};
use weir_core::record::{Event, Movement};
use weir_ledger::Entry;

use super::output::{self, Format, table};
use super::{Done, apps};
use crate::config::GlobalArgs;
use crate::error::Error;

/// What `weir history` takes.
#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    /// Only this app
    app: Option<AppName>,
    /// Only this repository, as this host calls it
    #[arg(long)]
    repository: Option<RepositoryName>,
    /// How many records of each repository
    #[arg(short = 'n', long, default_value_t = 20)]
    limit: usize,
    /// How to print
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

/// Shows.
pub(super) async fn history(global: &GlobalArgs, args: &HistoryArgs) -> Result<Done, Error> {
    let reader = apps::reader(&global.places()?).await?;
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for repository in apps::repositories(&reader, args.repository.as_ref()).await? {
        let entries = reader
            .history(&repository, args.app.as_ref(), args.limit)
            .await;
        let entries = entries.map_err(|e| Error::stage("record", &e))?;
        rows.extend(entries.iter().map(row));
        values.push(serde_json::json!({ "repository": repository, "records": entries }));
    }
    match args.output {
        Format::Text if rows.is_empty() => output::print("nothing happened yet\n"),
        Format::Text => output::print(&table(
            &["SEQ", "TIME", "APP", "EVENT", "COMMIT", "WHAT"],
            &rows,
        )),
        format => output::print_value(format, &values),
    }
}

fn row(entry: &Entry) -> Vec<String> {
    let app = entry
        .record
        .app
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let (event, commit, what) = match &entry.record.event {
        Event::Commit(c) => {
            let how = match c.movement {
                Movement::First => String::new(),
                Movement::Forward(from) => format!("after {}: ", from.short()),
                Movement::Rewritten(from) => format!("history rewritten, was {}: ", from.short()),
            };
            let signed = c.signer.as_ref();
            let signed = signed.map_or_else(String::new, |s| format!(", signed by {s}"));
            (
                "commit",
                Some(c.commit),
                format!("{how}{} ({}{signed})", c.subject, c.author),
            )
        }
        Event::Refused(r) => ("refused", Some(r.commit), first_line(&r.why).to_owned()),
        Event::Staked(s) => (
            "staked",
            s.commit,
            format!("{} to write, {} to prune", s.writes.len(), s.prunes.len()),
        ),
        Event::Synced(s) => match &s.problem {
            Some(p) => (
                "synced",
                s.commit,
                format!("{}; failed: {}", s.counts, first_line(&p.message)),
            ),
            None => ("synced", s.commit, s.counts.to_string()),
        },
        Event::Hook(h) => ("hook", None, hook(h)),
        Event::Settled(s) => match (&s.problem, s.health.health()) {
            (Some(p), _) => ("unsettled", s.commit, first_line(&p.message).to_owned()),
            (None, Health::Healthy) => (
                "settled",
                s.commit,
                format!("healthy: all {} objects", s.health.total()),
            ),
            (None, health) if health.is_ready() => ("settled", s.commit, health.to_string()),
            (None, health) => ("unsettled", s.commit, health.to_string()),
        },
        Event::Failed { commit, problem } => {
            ("failed", *commit, first_line(&problem.message).to_owned())
        }
        Event::Held { why, .. } => ("held", None, first_line(why).to_owned()),
        Event::Decided(decision) => ("decided", None, decided(decision)),
        Event::Trimmed(trim) => (
            "trimmed",
            None,
            format!(
                "{} records up to {} were removed: {}",
                trim.records, trim.through, trim.rule
            ),
        ),
        Event::Removed => ("removed", None, String::new()),
        Event::Carried(c) => (
            "carried",
            Some(c.to),
            format!("{} apps unchanged since {}", c.count, c.from.short()),
        ),
    };
    let commit = commit.map(|c| c.short()).unwrap_or_default();
    vec![
        entry.seq.0.to_string(),
        output::time(entry.at),
        app,
        event.to_owned(),
        commit,
        what,
    ]
}

fn decided(decision: &Decision) -> String {
    let what = match &decision.choice {
        Choice::Approved(approval) => format!("{} deletes may happen", approval.deletes.len()),
        Choice::Adopted(adoption) => format!("{} objects are taken over", adoption.objects.len()),
        Choice::Recovered(recovery) => format!(
            "{} objects in {} are the app's, as is written on them",
            recovery.objects.len(),
            recovery.target
        ),
        Choice::RolledBack(pin) => format!(
            "goes back to record {} (output {}); refused until it renders to something else: {}",
            pin.to.seq,
            pin.to.output.short(),
            pin.refused
                .iter()
                .map(Digest::short)
                .collect::<Vec<_>>()
                .join(", ")
        ),
        Choice::Resumed => "follows Git again".to_owned(),
    };
    let why = decision.why.as_deref().map(first_line);
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    format!("{what} (by {}){why}", decision.by)
}

/// A hook and how far it is.
fn hook(record: &HookRecord) -> String {
    let (id, phase) = (&record.id, record.phase.as_str());
    match &record.progress {
        Progress::Staked(_) => format!("{id} ({phase}): is about to start"),
        Progress::Started(_) => format!("{id} ({phase}): started"),
        Progress::Succeeded => format!("{id} ({phase}): succeeded"),
        Progress::Failed(why) => format!("{id} ({phase}): failed: {}", first_line(why)),
        Progress::Gone => format!("{id} ({phase}): its object is gone"),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
