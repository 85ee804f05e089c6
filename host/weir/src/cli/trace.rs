//! `weir trace KIND/NAME`: why an object is as it is: which record wrote it, from which commit, whose, which file and plugins.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Serialize;
use weir_core::decision::{Choice, Decision};
use weir_core::digest::{CommitId, Digest};
use weir_core::kept::KeptOutput;
use weir_core::name::{AppName, PluginName, RepositoryName};
use weir_core::object::ResourceId;
use weir_core::record::{CommitRecord, Event, SyncRecord};
use weir_core::stake::{Ended, Outcome};
use weir_core::status::Status;
use weir_ledger::{Entry, Reader};

use super::output::{self, Format};
use super::{Done, apps};
use crate::config::GlobalArgs;
use crate::error::Error;

/// How many records are looked through.
const LOOKED_THROUGH: usize = 1_000_000;
/// How many names are shown to whoever named none that there is.
const SHOWN: usize = 10;

/// What `weir trace` takes.
#[derive(Debug, clap::Args)]
pub(super) struct TraceArgs {
    /// The object, such as deployment/web or certificate.cert-manager.io/web
    #[arg(value_name = "KIND[.GROUP]/NAME")]
    object: Wanted,
    /// Its namespace [default: any]
    #[arg(short, long)]
    namespace: Option<String>,
    /// Only this repository, as this host calls it
    #[arg(long)]
    repository: Option<RepositoryName>,
    /// How to print
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

/// A kind, with its group where that is said, and a name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    kind: String,
    group: Option<String>,
    name: String,
}

impl FromStr for Wanted {
    type Err = String;
    fn from_str(text: &str) -> Result<Wanted, String> {
        let expected = || "expected KIND/NAME, such as deployment/web".to_owned();
        let (kind, name) = text.split_once('/').ok_or_else(expected)?;
        let (kind, group) = match kind.split_once('.') {
            Some((kind, group)) => (kind, Some(group.to_ascii_lowercase())),
            None => (kind, None),
        };
        if kind.is_empty() || name.is_empty() || name.contains('/') {
            return Err(expected());
        }
        Ok(Wanted {
            kind: kind.to_ascii_lowercase(),
            group,
            name: name.to_owned(),
        })
    }
}

impl Wanted {
    fn is(&self, id: &ResourceId, namespace: Option<&str>) -> bool {
        let there = id.namespace.as_ref().map(|n| n.as_str());
        id.name == self.name
            && id.kind.to_ascii_lowercase() == self.kind
            && self.group.as_ref().is_none_or(|group| *group == id.group)
            && namespace.is_none_or(|wanted| there == Some(wanted))
    }
}

/// Why one object is as it is.
#[derive(Debug, Serialize)]
struct Trace {
    repository: RepositoryName,
    app: AppName,
    object: ResourceId,
    /// How the app stands.
    state: &'static str,
    /// What the app's state is that the object was seen in last, without being written.
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmed_at: Option<CommitId>,
    /// The record that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<Written>,
}

/// A record, and all that it says of one object.
#[derive(Debug, Serialize)]
struct Written {
    record: u64,
    time: String,
    /// `created`, `updated`, `healed`, `confirmed` or `pruned`.
    how: &'static str,
    /// The fields that it changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<String>,
    output: Digest,
    plugins: BTreeMap<PluginName, Digest>,
    /// The file that it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// Why no file is named, where the kept bytes cannot say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<CommitRecord>,
    /// The decision because of which it was written, such as a rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Decision>,
}

/// Looks through the ledger and prints.
pub(super) async fn trace(global: &GlobalArgs, args: &TraceArgs) -> Result<Done, Error> {
    let reader = apps::reader(&global.places()?).await?;
    let mut found = Vec::new();
    let mut near = Vec::new();
    for repository in apps::repositories(&reader, args.repository.as_ref()).await? {
        let status = reader.load(&repository).await;
        let status = status.map_err(|e| Error::stage("record", &e))?;
        let held = held(&status, args, &mut near);
        if held.is_empty() {
            continue;
        }
        let entries = reader.history(&repository, None, LOOKED_THROUGH).await;
        let entries = entries.map_err(|e| Error::stage("record", &e))?;
        for (app, id) in held {
            found.push(one(&reader, &repository, &status, &entries, (app, id)).await);
        }
    }
    if found.is_empty() {
        return gone(&reader, args, &near).await;
    }
    match args.output {
        Format::Text => output::print(&found.iter().map(text).collect::<Vec<_>>().join("\n")),
        format => output::print_value(format, &found),
    }
}

/// The objects that are meant, with their apps. Those of the same kind or name go to `near`.
fn held<'s>(
    status: &'s Status,
    args: &TraceArgs,
    near: &mut Vec<String>,
) -> Vec<(&'s AppName, &'s ResourceId)> {
    let namespace = args.namespace.as_deref();
    let mut found = Vec::new();
    for (app, known) in &status.apps {
        for (id, _) in known.inventory.iter() {
            if args.object.is(id, namespace) {
                found.push((app, id));
            } else if near.len() < SHOWN && id.name == args.object.name {
                near.push(id.to_string());
            }
        }
    }
    found
}

/// An object that no app holds: who deleted it, where the ledger knows that.
async fn gone(reader: &Reader, args: &TraceArgs, near: &[String]) -> Result<Done, Error> {
    let namespace = args.namespace.as_deref();
    for repository in apps::repositories(reader, args.repository.as_ref()).await? {
        let entries = reader.history(&repository, None, LOOKED_THROUGH).await;
        let entries = entries.map_err(|e| Error::stage("record", &e))?;
        for entry in &entries {
            let (Event::Synced(sync), Some(app)) = (&entry.record.event, &entry.record.app) else {
                continue;
            };
            let pruned =
                |o: &&Outcome| args.object.is(&o.id, namespace) && matches!(o.ended, Ended::Pruned);
            let Some(outcome) = sync.outcomes.iter().find(pruned) else {
                continue;
            };
            let trace = Trace {
                repository: repository.clone(),
                app: app.clone(),
                object: outcome.id.clone(),
                state: "gone",
                confirmed_at: None,
                written: Some(written(reader, &entries, entry, sync, &outcome.id).await),
            };
            return match args.output {
                Format::Text => output::print(&text(&trace)),
                format => output::print_value(format, &[trace]),
            };
        }
    }
    let Wanted { kind, name, .. } = &args.object;
    let place = namespace.map_or_else(String::new, |n| format!(" in namespace {n}"));
    let also = match near {
        [] => String::new(),
        near => format!(" Of that name there are: {}", near.join(", ")),
    };
    Err(Error::Usage(format!(
        "no app holds {kind}/{name}{place}, and no record deleted it: it is not Weir's, or another ledger's.{also}"
    )))
}

async fn one(
    reader: &Reader,
    repository: &RepositoryName,
    status: &Status,
    entries: &[Entry],
    (app, id): (&AppName, &ResourceId),
) -> Trace {
    let known = status.apps.get(app);
    // One identity in two targets is two objects.
    let there = known.and_then(|known| known.target.as_ref());
    let wrote = entries.iter().find_map(|entry| match &entry.record.event {
        Event::Synced(sync) if Some(&sync.target) == there && how(sync, id).is_some() => {
            Some((entry, sync))
        }
        _ => None,
    });
    Trace {
        repository: repository.clone(),
        app: app.clone(),
        object: id.clone(),
        state: known.map_or("gone", |known| known.standing().0.as_str()),
        confirmed_at: known.and_then(|known| known.commit),
        written: match wrote {
            Some((entry, sync)) => Some(written(reader, entries, entry, sync, id).await),
            None => None,
        },
    }
}

/// What a sync did to an object, where it did something.
fn how(sync: &SyncRecord, id: &ResourceId) -> Option<&'static str> {
    let outcome = sync.outcomes.iter().find(|o| o.id == *id)?;
    match outcome.ended {
        Ended::Created(_) => Some("created"),
        Ended::Updated(_) => Some("updated"),
        Ended::Healed(..) => Some("healed"),
        Ended::Confirmed(_) => Some("confirmed"),
        Ended::Pruned => Some("pruned"),
        Ended::Forgotten | Ended::Failed(_) | Ended::Skipped => None,
    }
}

/// What a record says of one object, with the commit and the decision that it came from. `entries` are the newest first.
async fn written(
    reader: &Reader,
    entries: &[Entry],
    entry: &Entry,
    sync: &SyncRecord,
    id: &ResourceId,
) -> Written {
    let commit = entries.iter().find_map(|e| match &e.record.event {
        Event::Commit(commit) if Some(commit.commit) == sync.commit => Some(commit.clone()),
        _ => None,
    });
    // The last decision about the app before it, where that one is why this output was applied.
    let before = entries.iter().skip_while(|e| e.seq >= entry.seq);
    let mut before = before.filter(|e| e.record.app == entry.record.app);
    let decision = before.find_map(|e| match &e.record.event {
        Event::Decided(decision) => Some(decision.clone()),
        _ => None,
    });
    let decision = decision.filter(|decision| match &decision.choice {
        Choice::RolledBack(pin) => pin.to.output == sync.output,
        Choice::Approved(approval) => approval.output == sync.output,
        Choice::Adopted(adoption) => adoption.output == sync.output,
        Choice::Recovered(_) | Choice::Resumed => false,
    });
    let origin = origin(reader, sync, id).await;
    let changed = sync.changed.iter().find(|changed| changed.id == *id);
    let fields = changed.map_or_else(Vec::new, |changed| changed.fields.clone());
    let outcome = sync.outcomes.iter().find(|o| o.id == *id);
    let healed = match outcome.map(|o| &o.ended) {
        Some(Ended::Healed(_, healed)) => healed.iter().map(ToString::to_string).collect(),
        _ => fields,
    };
    Written {
        record: entry.seq.0,
        time: output::time(entry.at),
        how: how(sync, id).unwrap_or("written"),
        fields: healed,
        output: sync.output,
        plugins: sync.plugins.clone(),
        no_file: origin.as_ref().err().cloned(),
        file: origin.ok(),
        commit,
        decision,
    }
}

/// The file that an object came from, as the kept output has it, or why that is not known.
async fn origin(reader: &Reader, sync: &SyncRecord, id: &ResourceId) -> Result<String, String> {
    let digest = sync.bytes.ok_or("the record keeps no output")?;
    let bytes = reader.get_blob(digest).await.map_err(|e| e.to_string())?;
    let bytes = bytes.ok_or("its output is not kept any more")?;
    let kept = KeptOutput::read(&bytes).map_err(|e| e.to_string())?;
    let origin = kept
        .origin(id)
        .ok_or("it is not in the output: it was pruned")?;
    Ok(origin.to_string())
}

fn text(trace: &Trace) -> String {
    let mut lines = vec![trace.object.to_string()];
    let mut line = |name: &str, text: String| lines.push(format!("  {name:<11} {text}"));
    line(
        "app",
        format!(
            "{} of repository {}, which is {}",
            trace.app, trace.repository, trace.state
        ),
    );
    let Some(written) = &trace.written else {
        line(
            "written by",
            "no record that is kept: it was recovered, or its record is older than what is kept"
                .to_owned(),
        );
        return lines.join("\n") + "\n";
    };
    let fields = match &written.fields[..] {
        [] => String::new(),
        fields => format!(": {}", fields.join(", ")),
    };
    let (how, record, time) = (written.how, written.record, &written.time);
    line(
        "written by",
        format!("record {record} of {time}, {how}{fields}"),
    );
    match &written.commit {
        Some(c) => {
            line("commit", format!("{} {}", c.commit, c.subject));
            line("author", c.author.clone());
            line("committer", c.committer.clone());
            if let Some(merger) = &c.merger {
                line("merged by", merger.clone());
            }
            if let Some(signer) = &c.signer {
                line("signed by", signer.to_string());
            }
        }
        None => line(
            "commit",
            "none that the ledger has: a work tree, or older than what is kept".to_owned(),
        ),
    }
    match (&written.file, &written.no_file) {
        (Some(file), _) => line("file", file.clone()),
        (None, Some(why)) => line("file", format!("not known: {why}")),
        (None, None) => {}
    }
    let plugins = written.plugins.iter();
    let plugins: Vec<String> = plugins
        .map(|(name, digest)| format!("{name} {digest}"))
        .collect();
    line("plugins", plugins.join(", "));
    line("output", written.output.to_string());
    if let Some(decision) = &written.decision {
        let why = decision.why.as_deref().unwrap_or("no reason given");
        let what = match &decision.choice {
            Choice::RolledBack(pin) => format!("rolled back to record {}", pin.to.seq),
            Choice::Adopted(_) => "adopted".to_owned(),
            _ => "approved".to_owned(),
        };
        line("decision", format!("{what} by {}: {why}", decision.by));
    }
    let same = written.commit.as_ref().map(|c| c.commit);
    if let Some(commit) = trace.confirmed_at.filter(|c| Some(*c) != same) {
        line("still so at", commit.to_string());
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_meant_by_kind_name_and_what_else_is_said() {
        let id = ResourceId {
            group: "apps".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: Some("shop".parse().unwrap()),
            name: "web".to_owned(),
        };
        for (text, namespace, is) in [
            ("deployment/web", None, true),
            ("Deployment/web", Some("shop"), true),
            ("deployment.apps/web", Some("shop"), true),
            ("deployment.extensions/web", None, false),
            ("deployment/web", Some("till"), false),
            ("deployment/we", None, false),
            ("pod/web", None, false),
        ] {
            let wanted: Wanted = text.parse().unwrap();
            assert_eq!(wanted.is(&id, namespace), is, "{text} {namespace:?}");
        }
        for bad in ["web", "/web", "deployment/", "a/b/c"] {
            assert!(bad.parse::<Wanted>().is_err(), "{bad}");
        }
    }
}
