//! Guest `reads-outside`: returns what it saw of the paths in its config, one a line.

use weir_plugin::{Diagnostics, Document, Params, Tree};

/// What to look at.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    paths: Vec<String>,
}

weir_plugin::renderer!(render);

/// Returns what it saw of the paths in its config, one a line.
pub fn render(params: &Params, tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    let Config { paths } = params.config()?;
    Ok(vec![weir_guests::config_map(
        "saw",
        &weir_guests::paths(tree, &paths),
    )])
}
