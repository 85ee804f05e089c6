//! Guest `no-kind`: returns an object without a kind.

use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Returns an object without a kind.
pub fn render(_params: &Params, _tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    Ok(vec![weir_guests::document(
        br#"{"apiVersion":"v1","metadata":{"name":"x"}}"#,
    )])
}
