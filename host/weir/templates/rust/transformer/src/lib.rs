//! Gives every object a label that says which team it belongs to.

use serde::Deserialize;
use weir_plugin::{Diagnostic, Diagnostics, Object, Params};

/// What `config` may hold in weir.yaml. A key that is not here is an error that names it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The label's value.
    #[serde(default)]
    team: String,
}

fn transform(mut objects: Vec<Object>, params: &Params) -> Result<Vec<Object>, Diagnostics> {
    let config: Config = params.config()?;
    if config.team.is_empty() {
        let message = "config.team is missing: say which team the app belongs to";
        return Err(Diagnostic::error("bad-config", message).into());
    }
    for object in &mut objects {
        object.set_label("team", &config.team)?;
    }
    weir_plugin::log::info(format!("{} objects of team {}", objects.len(), config.team));
    Ok(objects)
}

weir_plugin::transformer!(transform);
