//! Apps that were rolled back: in what a commit came to, each is exchanged for the output that its ledger keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_core::decision::{Choice, Decision};
use weir_core::digest::Digest;
use weir_core::kept::KeptOutput;
use weir_core::name::AppName;
use weir_core::pin::{Deployed, Meaning, Pin};
use weir_core::record::{Event, Record};
use weir_core::tree::ReadSet;
use weir_core::validate::OutputLimits;

use crate::error::Error;
use crate::journal::Journal;
use crate::open::blocking;
use crate::prepare::{Prepared, PreparedApp, Rendered, RolledBack};

/// Whose decision it is that a pin ends by itself.
const WEIR: &str = "weir";

/// A commit with each app that was rolled back at what it was rolled back to. A pin that ends here is recorded first.
pub(crate) async fn pinned(
    journal: &Journal,
    prepared: Arc<Prepared>,
    limits: OutputLimits,
) -> Result<Arc<Prepared>, Error> {
    let pins = all(journal);
    let before = prepared.apps.values().filter(|app| app.pinned.is_some());
    let names = before.map(|app| &app.app.name).chain(pins.keys());
    let names: BTreeSet<&AppName> = names.collect();
    if names.is_empty() {
        return Ok(prepared);
    }
    let mut out = Prepared::clone(&prepared);
    let mut ended = Vec::new();
    for name in names {
        let Some(app) = prepared.apps.get(name).map(commits) else {
            ended.push(end(name, "it left the manifest"));
            continue;
        };
        let Some(pin) = pins.get(name) else {
            out.set(app);
            continue;
        };
        match pin.meaning(output(&app)) {
            Meaning::Stays => out.set(exchanged(journal, name, &pin.to, Some(app), limits).await?),
            Meaning::Same => {
                ended.push(end(name, "Git has again what it was rolled back to"));
                out.set(app);
            }
            Meaning::Other => {
                ended.push(end(
                    name,
                    "it renders to something else than what was refused",
                ));
                out.set(app);
            }
        }
    }
    for record in &ended {
        if let Some(app) = &record.app {
            tracing::info!(%app, "the rollback ends: it follows Git again");
        }
    }
    if !ended.is_empty() {
        journal.append(ended).await?;
    }
    Ok(Arc::new(out))
}

/// What is known of one app without any commit: what it was rolled back to; of each other one, that it may want anything.
/// `None` where it is not pinned.
pub(crate) async fn alone(
    journal: &Journal,
    app: &AppName,
    limits: OutputLimits,
) -> Result<Option<Prepared>, Error> {
    let Some(pin) = all(journal).remove(app) else {
        return Ok(None);
    };
    let exchanged = exchanged(journal, app, &pin.to, None, limits).await?;
    let mut prepared = Prepared::of(pin.to.commit, vec![], [exchanged]);
    let others: Vec<AppName> = journal.status(|s| s.apps.keys().cloned().collect());
    for other in others.into_iter().filter(|other| other != app) {
        prepared.desired.insert_mut(other.clone(), None);
        prepared.unrendered.insert(other);
    }
    Ok(Some(prepared))
}

/// The apps that were rolled back and are not there yet.
pub(crate) fn under_way(journal: &Journal) -> Vec<AppName> {
    journal.status(|s| {
        let apps = s.apps.iter();
        let due = apps.filter(|(_, app)| {
            let pin = app.pin.as_ref();
            pin.is_some_and(|pin| app.output != Some(pin.to.output) || !app.state.is_done())
        });
        due.map(|(name, _)| name.clone()).collect()
    })
}

/// The digest of what an app renders to.
pub(crate) fn output(app: &PreparedApp) -> Option<Digest> {
    let rendered = app.rendered.as_ref().ok();
    rendered.map(|r| r.validated.output())
}

/// The app as its commit has it.
pub(crate) fn commits(app: &PreparedApp) -> PreparedApp {
    let from = app
        .pinned
        .as_ref()
        .and_then(|pinned| pinned.commits.as_ref());
    from.map_or_else(|| app.clone(), |from| PreparedApp::clone(from))
}

fn all(journal: &Journal) -> BTreeMap<AppName, Pin> {
    journal.status(|s| {
        let pinned = s.apps.iter();
        let pinned = pinned.filter_map(|(name, app)| Some((name.clone(), app.pin.clone()?)));
        pinned.collect()
    })
}

/// The app at what it was rolled back to. What cannot be had of that is the app's error: nothing else is applied for it.
async fn exchanged(
    journal: &Journal,
    app: &AppName,
    to: &Deployed,
    commits: Option<PreparedApp>,
    limits: OutputLimits,
) -> Result<PreparedApp, Error> {
    let bytes = journal.bytes(to.bytes).await;
    let (name, wanted) = (app.clone(), to.output);
    let read = blocking("record", move || {
        Ok(bytes.and_then(|b| read(&b, &name, wanted, limits)))
    })
    .await?;
    let commits = commits.map(Arc::new);
    let pinned = Some(RolledBack {
        to: to.clone(),
        commits: commits.clone(),
    });
    match (read, commits) {
        (Ok((mut app, rendered)), commits) => {
            // Its order among the others is this commit's.
            app.after = commits.map_or_else(Vec::new, |c| c.app.after.clone());
            let rendered = Ok(Arc::new(rendered));
            Ok(PreparedApp {
                app,
                rendered,
                pinned,
            })
        }
        (Err(e), Some(commits)) => Ok(PreparedApp {
            app: commits.app.clone(),
            rendered: Err(e),
            pinned,
        }),
        (Err(e), None) => Err(e),
    }
}

fn read(
    bytes: &[u8],
    app: &AppName,
    wanted: Digest,
    limits: OutputLimits,
) -> Result<(weir_core::manifest::App, Rendered), Error> {
    let wrong = |why: String| {
        Error::host(
            "record",
            format!(
                "what the app was rolled back to cannot be used: {why}. Roll back to another record, or `weir resume`"
            ),
        )
    };
    let kept = KeptOutput::read(bytes).map_err(|e| wrong(e.to_string()))?;
    if kept.beside.app.name != *app {
        let whose = &kept.beside.app.name;
        return Err(wrong(format!("it is app {whose}'s")));
    }
    let validated = kept.admit(limits).map_err(|e| wrong(e.to_string()))?;
    if validated.output() != wanted {
        let found = validated.output();
        return Err(wrong(format!(
            "it is output {found}, and {wanted} is meant"
        )));
    }
    let rendered = Rendered {
        validated,
        plugins: kept.beside.plugins,
        reads: Arc::new(ReadSet::default()),
        placed: None,
        made: None,
        random: None,
        reused: true,
        micros: BTreeMap::new(),
    };
    Ok((kept.beside.app, rendered))
}

/// Whether a rollback to this could be done: its bytes are there and whole. They are kept anew, so that a removal of old
/// records that is under way leaves them.
///
/// # Errors
/// Why not.
pub(crate) async fn check(
    journal: &Journal,
    app: &AppName,
    to: &Deployed,
    limits: OutputLimits,
) -> Result<(), Error> {
    let (bytes, wanted) = (journal.bytes(to.bytes).await?, to.output);
    let (app, again) = (app.clone(), bytes.clone());
    let look = move || read(&bytes, &app, wanted, limits).map(drop);
    blocking("record", look).await?;
    journal.keep_bytes(again).await.map(drop)
}

fn end(app: &AppName, why: &str) -> Record {
    Record {
        app: Some(app.clone()),
        event: Event::Decided(Decision {
            choice: Choice::Resumed,
            by: WEIR.to_owned(),
            why: Some(why.to_owned()),
        }),
    }
}
