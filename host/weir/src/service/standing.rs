//! From what is known of a repository to what its resources say: pure, so that the same view always gives the same text.

use weir_api::{AppView, RepositoryView};
use weir_cluster::service::{
    AppStatus, Condition, Course, Note, READY, RepositoryStatus, Standing,
};
use weir_core::fault::Fault;
use weir_core::status::State;

/// What is wrong with a Repository before any of it can be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// One word.
    pub(super) reason: &'static str,
    /// What, and what to do.
    pub(super) message: String,
    /// Whether it is tried again by itself.
    pub(super) is_tried_again: bool,
}

/// What a status is about: the resource as it is now, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) generation: Option<i64>,
    pub(super) now: &'a str,
}

/// How many apps stand in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    apps: i64,
    ready: i64,
    failed: i64,
    held: i64,
}

/// How a Repository stands.
pub(super) fn of_repository(view: Option<&RepositoryView>, trouble: Option<&Trouble>) -> Standing {
    if let Some(trouble) = trouble {
        return Standing {
            ready: Some(false),
            reason: trouble.reason,
            message: trouble.message.clone(),
            course: course(!trouble.is_tried_again),
        };
    }
    let Some(view) = view.filter(|view| view.is_known || view.message.is_some() || view.suspended)
    else {
        return going(None, "Starting", "nothing is known of it yet");
    };
    if view.suspended {
        return Standing {
            ready: None,
            reason: "Suspended",
            message: "nothing is fetched or written; what is there stays".to_owned(),
            course: Course::Settled,
        };
    }
    if let Some(refused) = &view.refused {
        return stuck("CommitRefused", &refused.message);
    }
    if let Some(message) = &view.message {
        return match view.fault {
            Some(Fault::Repository | Fault::Plugin) => stuck("RepositoryFault", message),
            Some(Fault::Target) => going(Some(false), "TargetFault", message),
            Some(Fault::Host) => going(Some(false), "HostFault", message),
            None => going(Some(false), "FetchFailed", message),
        };
    }
    let Some(commit) = view.commit else {
        return going(None, "Fetching", "it was not fetched yet");
    };
    let counts = count(view);
    let Counts {
        apps,
        ready,
        failed,
        held,
    } = counts;
    let at = commit.short();
    if failed > 0 {
        let message = format!("at commit {at}: {}", summary(counts));
        return going(Some(false), "AppsFailed", &message);
    }
    if held > 0 {
        return stuck("AppsHeld", &format!("at commit {at}: {}", summary(counts)));
    }
    if ready < apps || view.waiting != Some(0) {
        let message = format!("at commit {at}: {}", summary(counts));
        return going(None, "Progressing", &message);
    }
    settled("Synced", format!("at commit {at}: {}", summary(counts)))
}

/// How an app stands.
pub(super) fn of_app(app: &AppView) -> Standing {
    let said = |otherwise: &str| app.message.clone().unwrap_or_else(|| otherwise.to_owned());
    match app.state {
        State::Failed => going(Some(false), "Failed", &said("it failed")),
        State::Held => stuck("Held", &said("it waits for a person")),
        State::Pending => going(None, "Pending", &said("it is worked on")),
        State::Synced | State::Drifted | State::Pinned => {
            if let Some(health) = &app.health {
                let message = health
                    .message
                    .as_deref()
                    .unwrap_or("its objects are not healthy");
                match health.state {
                    "failed" => return going(Some(false), "Unhealthy", message),
                    "progressing" | "terminating" => {
                        return going(Some(false), "Progressing", message);
                    }
                    _ => {}
                }
            }
            let objects = app.objects;
            match app.state {
                State::Drifted => settled(
                    "Drifted",
                    format!(
                        "synced; others changed {} of its {objects} objects, and that stays",
                        app.drifted.len()
                    ),
                ),
                State::Pinned => settled(
                    "Pinned",
                    "it was rolled back and stays there; weir resume follows Git again".to_owned(),
                ),
                _ => settled("Synced", format!("{objects} objects are as Git has them")),
            }
        }
    }
}

/// The status of a Repository. What only says when is as it was `before`, unless all else is news.
pub(super) fn repository_status(
    view: Option<&RepositoryView>,
    trouble: Option<&Trouble>,
    handled_sync: Option<String>,
    before: &RepositoryStatus,
    about: About<'_>,
) -> RepositoryStatus {
    // Before the ledger was asked, what was said last is better than nothing.
    let known = view.filter(|view| view.is_known);
    let counts = known.map(count);
    let mut status = RepositoryStatus {
        observed_generation: about.generation,
        conditions: of_repository(view, trouble).conditions(
            &before.conditions,
            about.generation,
            about.now,
        ),
        last_handled_sync: handled_sync,
        ..before.clone()
    };
    if let (Some(view), Some(counts)) = (known, counts) {
        status.commit = view.commit.map(|commit| commit.to_string());
        status.short = view.commit.map(|commit| commit.short());
        status.summary = Some(summary(counts));
        status.apps = counts.apps;
        status.ready = counts.ready;
        status.failed = counts.failed;
        status.held = counts.held;
    }
    if status != *before
        && let Some(fetched) = view.and_then(|view| view.fetched)
    {
        status.last_fetch_time = Some(time(fetched));
    }
    status
}

/// The status of an App.
pub(super) fn app_status(
    app: &AppView,
    handled_approval: Option<String>,
    before: &AppStatus,
    about: About<'_>,
) -> AppStatus {
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    AppStatus {
        observed_generation: about.generation,
        conditions: of_app(app).conditions(&before.conditions, about.generation, about.now),
        state: Some(app.state.as_str().to_owned()),
        commit: app.commit.map(|commit| commit.to_string()),
        short: app.commit.map(|commit| commit.short()),
        target: app.target.as_ref().map(ToString::to_string),
        health: app.health.as_ref().map(|health| health.state.to_owned()),
        objects: count(app.objects),
        healthy: app
            .health
            .as_ref()
            .and_then(|health| i64::try_from(health.healthy).ok()),
        drifted: Some(count(app.drifted.len())).filter(|n| *n > 0),
        hold: app.hold.map(|hold| hold.hex()),
        record: app.record.and_then(|record| i64::try_from(record).ok()),
        last_handled_approval: handled_approval,
    }
}

/// What is worth an event where one status follows another: another word for how it stands, another commit, another hold.
pub(super) fn app_note(before: &AppStatus, now: &AppStatus) -> Option<Note> {
    let ready = ready(&now.conditions)?;
    let is_quiet = ["Pending", "Progressing"].contains(&ready.reason.as_str());
    let is_news = reason(&before.conditions) != Some(&ready.reason)
        || before.commit != now.commit
        || before.hold != now.hold;
    (is_news && !is_quiet).then(|| note(ready, now.short.as_deref()))
}

/// The same of a Repository.
pub(super) fn repository_note(before: &RepositoryStatus, now: &RepositoryStatus) -> Option<Note> {
    let ready = ready(&now.conditions)?;
    let is_quiet = ["Starting", "Fetching", "Progressing"].contains(&ready.reason.as_str());
    let is_news = reason(&before.conditions) != Some(&ready.reason) || before.commit != now.commit;
    (is_news && !is_quiet).then(|| note(ready, None))
}

/// Seconds since 1970 as the API server writes times.
pub(super) fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.to_string())
}

fn note(ready: &Condition, commit: Option<&str>) -> Note {
    let at = commit
        .map(|commit| format!("at commit {commit}: "))
        .unwrap_or_default();
    Note {
        is_warning: ready.status == "False",
        reason: word(&ready.reason),
        text: format!("{at}{}", ready.message),
    }
}

/// The reasons that events have: those of conditions.
const REASONS: &[&str] = &[
    "AppsFailed",
    "AppsHeld",
    "CommitRefused",
    "Drifted",
    "Failed",
    "FetchFailed",
    "Held",
    "HostFault",
    "InvalidSpec",
    "Pinned",
    "RepositoryFault",
    "SecretUnusable",
    "Suspended",
    "Synced",
    "TargetFault",
    "Unhealthy",
    "Waiting",
];

fn word(reason: &str) -> &'static str {
    REASONS
        .iter()
        .find(|known| **known == reason)
        .copied()
        .unwrap_or("Changed")
}

fn ready(conditions: &[Condition]) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.kind == READY)
}

fn reason(conditions: &[Condition]) -> Option<&String> {
    ready(conditions).map(|condition| &condition.reason)
}

fn count(view: &RepositoryView) -> Counts {
    let mut counts = Counts::default();
    for app in &view.apps {
        counts.apps += 1;
        let standing = of_app(app);
        // One that was synced before and is to be looked at again is not there yet.
        let is_there = app.commit == view.commit || app.state == State::Pinned;
        match (standing.ready, standing.reason) {
            (Some(true), _) if is_there => counts.ready += 1,
            (_, "Held") => counts.held += 1,
            (_, "Failed" | "Unhealthy") => counts.failed += 1,
            _ => {}
        }
    }
    counts
}

fn summary(counts: Counts) -> String {
    let Counts {
        apps,
        ready,
        failed,
        held,
    } = counts;
    let mut text = format!("{ready} of {apps} ready");
    for (count, word) in [(failed, "failed"), (held, "held")] {
        if count > 0 {
            text.push_str(&format!(", {count} {word}"));
        }
    }
    text
}

fn settled(reason: &'static str, message: String) -> Standing {
    Standing {
        ready: Some(true),
        reason,
        message,
        course: Course::Settled,
    }
}

fn going(ready: Option<bool>, reason: &'static str, message: &str) -> Standing {
    Standing {
        ready,
        reason,
        message: message.to_owned(),
        course: Course::Going,
    }
}

fn stuck(reason: &'static str, message: &str) -> Standing {
    Standing {
        ready: Some(false),
        reason,
        message: message.to_owned(),
        course: Course::Stuck,
    }
}

fn course(is_stuck: bool) -> Course {
    match is_stuck {
        true => Course::Stuck,
        false => Course::Going,
    }
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
