//! `weir refresh`: has the host that runs on this state ask its repository now, and waits for what comes of it.

use weir_api::{ControlError, Refreshed, ask_refresh};
use weir_core::fault::{Fault, Retry};

use super::{Done, output};
use crate::config::GlobalArgs;
use crate::control::socket_path;
use crate::error::Error;

/// Asks, and prints the commit.
pub(super) async fn refresh(global: &GlobalArgs) -> Result<Done, Error> {
    let state = global.places()?.state;
    let socket = socket_path(&state)?;
    let answer = ask_refresh(&socket).await.map_err(|e| match e {
        ControlError::NoHost => Error::host(
            "refresh",
            format!(
                "no host runs on the state {}: `weir serve` starts one, `weir sync` syncs once without one; where a host runs on another state, give its --state",
                state.display()
            ),
        ),
        e => Error::host("refresh", format!("{}: {e}", socket.display())),
    })?;
    match answer {
        Refreshed {
            problem: Some(message),
            ..
        } => Err(Error::Stage {
            stage: "fetch",
            fault: Fault::Host,
            retry: Retry::Backoff,
            message,
        }),
        Refreshed {
            commit: Some(commit),
            ..
        } => output::print(&format!("{commit}\n")),
        Refreshed { .. } => Err(Error::host(
            "refresh",
            "the host answered with neither a commit nor a problem: it is of another version; start it again with this binary",
        )),
    }
}
