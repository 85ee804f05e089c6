//! Guest `reads-forever`: lists the root without end: a flood of host calls.

use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Lists the root without end: a flood of host calls.
pub fn render(_params: &Params, tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    loop {
        let _ = std::hint::black_box(tree.entries(""));
    }
}
