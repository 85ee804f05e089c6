//! Guest `huge-output`: returns one document of 128 MiB.

use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Returns one document of 128 MiB.
pub fn render(_params: &Params, _tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    Ok(vec![weir_guests::document(&vec![b' '; 128 << 20])])
}
