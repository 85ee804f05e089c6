//! What a running host tells of its apps, in its log.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::Serving;

/// A text as it stands within a line of JSON.
#[must_use]
pub fn in_json(text: &str) -> String {
    Value::from(text).to_string().trim_matches('"').to_owned()
}

/// Waits for the next line about an app that has this text in it.
///
/// # Errors
/// None comes in time.
pub fn wait_app(host: &mut Serving, app: &str, text: &str, deadline: Duration) -> Result<String> {
    let (app, text) = (format!("\"app\":\"{app}\""), in_json(text));
    let both = |line: &str| line.contains(&app) && line.contains(&text);
    host.wait_for(&format!("{app}: {text}"), deadline, both)
}

/// Stops a host, which must end well.
///
/// # Errors
/// It does not end, or not with 0.
pub fn stop(mut host: Serving, deadline: Duration) -> Result<()> {
    let code = host.terminate(deadline)?;
    ensure!(code == Some(0), "weir serve ended with {code:?}");
    Ok(())
}
