//! Guest `two-of-one-name`: returns two objects of one kind and name.

use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Returns two objects of one kind and name.
pub fn render(_params: &Params, _tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    Ok(vec![
        weir_guests::config_map("same", "1"),
        weir_guests::config_map("same", "2"),
    ])
}
