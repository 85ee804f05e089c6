//! Guest `reads-environment`: returns the environment, arguments and files that it saw.

use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Returns the environment, arguments and files that it saw.
pub fn render(_params: &Params, _tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    let saw = weir_guests::environment();
    Ok(vec![weir_guests::config_map("saw", &saw)])
}
