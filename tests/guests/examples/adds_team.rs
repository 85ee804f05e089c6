//! Guest `adds-team`: gives each object the label that its config names; the README shows it.

use weir_plugin::{Diagnostics, Object, Params};

weir_plugin::transformer!(add_team);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    team: String,
}

/// Gives each object the label.
pub fn add_team(mut objects: Vec<Object>, params: &Params) -> Result<Vec<Object>, Diagnostics> {
    let config: Config = params.config()?;
    for object in &mut objects {
        object.set_label("team", &config.team)?;
    }
    Ok(objects)
}
