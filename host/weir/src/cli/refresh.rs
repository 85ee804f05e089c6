//! `weir refresh`: has the host that runs on this state ask its repositories now, and waits for what comes of it.

use weir_api::{AllRefreshed, ControlError, MAX_NAMES, Refreshed, ask_refresh};
use weir_core::fault::{Fault, Retry};
use weir_core::name::RepositoryName;

use super::{Done, output};
use crate::config::GlobalArgs;
use crate::control::socket_path;
use crate::error::Error;

/// What `weir refresh` takes.
#[derive(Debug, clap::Args)]
pub(super) struct RefreshArgs {
    /// Only these repositories, as the host calls them; all of them without a name
    #[arg(value_name = "NAME")]
    repositories: Vec<RepositoryName>,
}

/// Asks, and prints the commit, or one line for each repository where there are several.
pub(super) async fn refresh(global: &GlobalArgs, args: &RefreshArgs) -> Result<Done, Error> {
    let state = global.places()?.state;
    let socket = socket_path(&state)?;
    if args.repositories.len() > MAX_NAMES {
        return Err(Error::Usage(format!(
            "{} names: expected at most {MAX_NAMES}, or none for all repositories",
            args.repositories.len()
        )));
    }
    let answer = ask_refresh(&socket, &args.repositories).await.map_err(|e| match e {
        ControlError::NoHost => Error::host(
            "refresh",
            format!(
                "no host runs on the state {}: `weir serve` starts one, `weir sync` syncs once without one; where a host runs on another state, give its --state",
                state.display()
            ),
        ),
        e => Error::host("refresh", format!("{}: {e}", socket.display())),
    })?;
    say(&answer)
}

/// What was found goes to stdout, what was not is the error.
fn say(answer: &AllRefreshed) -> Result<Done, Error> {
    let alone = answer.len() == 1;
    let (mut found, mut problems) = (String::new(), Vec::new());
    for (name, refreshed) in answer {
        let what = match refreshed {
            Refreshed {
                problem: Some(message),
                ..
            } => Err(message.as_str()),
            Refreshed {
                suspended: true, ..
            } => Ok("suspended".to_owned()),
            Refreshed {
                commit: Some(commit),
                ..
            } => Ok(commit.to_string()),
            Refreshed { .. } => Err(
                "the host answered with neither a commit nor a problem: it is of another version; start it again with this binary",
            ),
        };
        match what {
            Ok(commit) if alone => found = format!("{commit}\n"),
            Ok(commit) => found.push_str(&format!("{name} {commit}\n")),
            Err(message) if alone => problems.push(message.to_owned()),
            Err(message) => problems.push(format!("{name}: {message}")),
        }
    }
    let done = output::print(&found)?;
    if problems.is_empty() {
        return Ok(done);
    }
    Err(Error::Stage {
        stage: "fetch",
        fault: Fault::Host,
        retry: Retry::Backoff,
        message: problems.join("\n"),
    })
}
