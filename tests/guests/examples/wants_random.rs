//! Guest `wants-random`: returns real random bytes, or why there are none.

use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Returns real random bytes, or why there are none.
pub fn render(_params: &Params, _tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    let saw = weir_guests::random();
    Ok(vec![weir_guests::config_map("saw", &saw)])
}
