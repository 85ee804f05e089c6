//! `weir approve`: lets deletes happen that the guard holds, after showing which.

use weir_core::decision::{self, Ask};
use weir_core::guard::{Cause, Hold, is_precious};
use weir_core::name::{AppName, RepositoryName};

use super::decide::{self, Confirm, DecideArgs};
use super::{Done, output};
use crate::config::GlobalArgs;
use crate::error::Error;

/// What `weir approve` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ApproveArgs {
    /// The app that is held
    app: AppName,
    /// The hold that is meant, as its message names it: another one by then is not approved
    #[arg(long, value_name = "ID")]
    hold: Option<String>,
    /// The app's repository, as this host calls it; needed where several have an app of that name
    #[arg(long)]
    repository: Option<RepositoryName>,
    #[command(flatten)]
    decide: DecideArgs,
}

/// Shows what would go, asks, and has it kept.
pub(super) async fn approve(global: &GlobalArgs, args: &ApproveArgs) -> Result<Done, Error> {
    let places = global.places()?;
    let (repository, status) = decide::find(&places, args.repository.as_ref(), &args.app).await?;
    let hold = decision::held(&status, &args.app).map_err(|e| Error::stage("approve", &e))?;
    output::print(&shown(&repository, &args.app, hold))?;
    let id = hold.id();
    let confirm = match &args.hold {
        // Fewer digits could be guessed, or be those of another hold.
        Some(given) if given.len() >= 8 && id.hex().starts_with(given.as_str()) => Confirm::Given,
        Some(given) => {
            let message = format!(
                "--hold {given}: app {} is held as {}: look at what it would delete now, above",
                args.app,
                id.short()
            );
            return Err(Error::Usage(message));
        }
        None => Confirm::Ask {
            question: match hold.cause {
                Cause::Remade { .. } | Cause::OtherSecret { .. } => "Let it be changed?",
                _ => "Let them go?",
            },
            flag: format!("--hold {}, or --yes for whatever it is by then", id.short()),
        },
    };
    let asked = Ask::Approve { hold: id };
    decide::decide(&places, &args.decide, repository, &args.app, asked, confirm).await
}

fn shown(repository: &RepositoryName, app: &AppName, hold: &Hold) -> String {
    let why = match &hold.cause {
        Cause::Share { of } => format!("deletes {} of its {of} objects", hold.deletes.len()),
        Cause::Precious => "deletes what takes more with it than itself".to_owned(),
        Cause::Left => format!(
            "left the manifest and still has {} objects",
            hold.deletes.len()
        ),
        Cause::Remade { was } => {
            return format!(
                "app {app} of repository {repository} has output {} and would get {}, though nothing that it is made of changed: \
                 this version of Weir makes other bytes of it. `weir diff --live` shows what that changes\nhold {}\n",
                was.short(),
                hold.output.short(),
                hold.id().short()
            );
        }
        Cause::OtherSecret { .. } => {
            return format!(
                "app {app} of repository {repository}: {hold}. `weir diff --live` shows what that changes\nhold {}\n",
                hold.id().short()
            );
        }
    };
    let mut text = format!("app {app} of repository {repository} {why}. These would go:\n");
    for id in &hold.deletes {
        let mark = if is_precious(id) { "!" } else { "-" };
        text.push_str(&format!("  {mark} {id}\n"));
    }
    text.push_str(&format!(
        "output {}, hold {}\n",
        hold.output.short(),
        hold.id().short()
    ));
    text
}
