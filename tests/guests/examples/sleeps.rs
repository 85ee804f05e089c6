//! Guest `sleeps`: sleeps for an hour.

use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Sleeps for an hour.
pub fn render(_params: &Params, _tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    std::thread::sleep(std::time::Duration::from_secs(3600));
    Ok(vec![weir_guests::document(b"awake: true")])
}
