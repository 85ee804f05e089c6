//! What every command that decides something has in common: find the app, ask the person, bring it to the host.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use weir_api::{Asked, ControlError, ask_decide};
use weir_core::decision::Ask;
use weir_core::name::{AppName, RepositoryName};
use weir_core::status::Status;

use super::{Done, apps, output};
use crate::config::Places;
use crate::control::socket_path;
use crate::error::Error;
use crate::journal::{self, Journal, open_ledger};

/// What they take.
#[derive(Debug, clap::Args)]
pub(super) struct DecideArgs {
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// How sure it is that the person has seen what is decided.
pub(super) enum Confirm {
    /// They named it.
    Given,
    /// They are asked.
    Ask {
        /// What they are asked.
        question: &'static str,
        /// The flag that names it, for those who cannot be asked.
        flag: String,
    },
}

/// The repository that has the app, and where it stands.
pub(super) async fn find(
    places: &Places,
    only: Option<&RepositoryName>,
    app: &AppName,
) -> Result<(RepositoryName, Status), Error> {
    let reader = apps::reader(places).await?;
    let mut found: Vec<(RepositoryName, Status)> = Vec::new();
    let mut known: Vec<String> = Vec::new();
    for repository in apps::repositories(&reader, only).await? {
        let status = reader
            .load(&repository)
            .await
            .map_err(|e| Error::stage("record", &e))?;
        if status.apps.contains_key(app) {
            found.push((repository, status));
        } else {
            known.extend(status.apps.keys().map(ToString::to_string));
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some((last, _)), false) => {
            let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
            Err(Error::Usage(format!(
                "repositories {} and {last} have an app {app}: say which with --repository",
                names.join(", ")
            )))
        }
        (None, _) => Err(Error::Usage(format!(
            "the ledger knows no app {app}; it has: {}",
            known.join(", ")
        ))),
    }
}

/// Asks the person where that is needed, and has the decision kept: by the host that runs on this state, or here
/// where none does.
pub(super) async fn decide(
    places: &Places,
    args: &DecideArgs,
    repository: RepositoryName,
    app: &AppName,
    ask: Ask,
    confirm: Confirm,
) -> Result<Done, Error> {
    if let (Confirm::Ask { question, flag }, false) = (confirm, args.yes)
        && !confirmed(question, &flag)?
    {
        output::complain("nothing was changed");
        return Ok(Done::Held);
    }
    let asked = Asked {
        repository,
        app: app.clone(),
        ask,
        by: who(),
        why: args.why.clone(),
    };
    match ask_decide(&socket_path(&places.state)?, &asked).await {
        Ok(()) => output::print(&format!("{}; the host does it now\n", asked.ask)),
        Err(ControlError::NoHost) => {
            let journal =
                Journal::open(open_ledger(places).await?, asked.repository.clone()).await?;
            let kept = journal::decide(&journal, &asked, None).await?;
            kept.map_err(|e| Error::stage("record", &e))?;
            output::print(&format!("{}; the next sync does it\n", asked.ask))
        }
        Err(e) => Err(Error::host("record", e.to_string())),
    }
}

/// Asks on the terminal.
pub(super) fn confirmed(question: &str, flag: &str) -> Result<bool, Error> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Error::Usage(format!(
            "nobody can be asked here, since stdin is no terminal: give {flag}"
        )));
    }
    let wrong = |e: std::io::Error| Error::host("approve", format!("terminal: {e}"));
    let mut out = std::io::stderr().lock();
    write!(out, "{question} [y/N] ")
        .and_then(|()| out.flush())
        .map_err(wrong)?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(wrong)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Who runs this, as the system knows them.
pub(super) fn who() -> String {
    let uid = rustix::process::getuid().as_raw();
    match std::env::var("USER") {
        Ok(name) if !name.is_empty() => {
            let name: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
            format!("{name} (uid {uid})")
        }
        _ => format!("uid {uid}"),
    }
}
