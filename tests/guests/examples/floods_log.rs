//! Guest `floods-log`: writes a million messages to the log, then returns well.

use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Writes a million messages to the log, then returns well.
pub fn render(_params: &Params, _tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    let message = "x".repeat(10_000);
    for _ in 0..1_000_000 {
        weir_plugin::log::info(&message);
    }
    Ok(vec![weir_guests::document(b"a: 1")])
}
