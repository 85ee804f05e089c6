//! Guest `not-an-object`: returns a document that is a list.

use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Returns a document that is a list.
pub fn render(_params: &Params, _tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    Ok(vec![weir_guests::document(b"[1, 2]")])
}
