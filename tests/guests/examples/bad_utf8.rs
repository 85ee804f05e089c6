//! Guest `bad-utf8`: returns a document that is not UTF-8.

use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Returns a document that is not UTF-8.
pub fn render(_params: &Params, _tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    Ok(vec![weir_guests::document(b"kind: \xff\xfe")])
}
