//! Guest `huge-output`: returns one document of 512 MiB.

use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Returns one document of 512 MiB.
pub fn render(_params: &Params, _tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    Ok(vec![weir_guests::document(&vec![b' '; 512 << 20])])
}
