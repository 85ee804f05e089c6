//! Guest `wants-clock`: returns what the clocks said.

use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Returns what the clocks said.
pub fn render(_params: &Params, _tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    let saw = weir_guests::clocks();
    Ok(vec![weir_guests::config_map("saw", &saw)])
}
