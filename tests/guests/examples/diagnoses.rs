//! Guest `diagnoses`: returns two diagnostics.

use weir_plugin::{Diagnostic, Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Returns two diagnostics.
pub fn render(_params: &Params, _tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    let first = Diagnostic::error("guest-says-no", "this guest always says no")
        .at("a.yaml")
        .line(3);
    Diagnostics::or(
        vec![first, Diagnostic::warning("guest-warns", "and it warns")],
        Vec::new(),
    )
}
