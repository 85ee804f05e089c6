//! Guest `wants-seed`: returns a number from the seed of std's hash maps.

use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Returns a number from the seed of std's hash maps.
pub fn render(_params: &Params, _tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    let saw = weir_guests::seed();
    Ok(vec![weir_guests::config_map("saw", &saw)])
}
