//! Guest `many-documents`: returns a million documents.

use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Returns a million documents.
pub fn render(_params: &Params, _tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    let document = weir_guests::document(b"a: 1");
    Ok(vec![document; 1_000_000])
}
