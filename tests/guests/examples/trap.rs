//! Guest `trap`: panics, which is a trap.

use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

#[expect(clippy::panic, reason = "the trap is what this guest is for")]
/// Panics, which is a trap.
pub fn render(_params: &Params, _tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    panic!("this guest always panics");
}
