//! Guest `wants-network`: returns what came of opening a connection.

use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Returns what came of opening a connection.
pub fn render(_params: &Params, _tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    let saw = weir_guests::network();
    Ok(vec![weir_guests::config_map("saw", &saw)])
}
