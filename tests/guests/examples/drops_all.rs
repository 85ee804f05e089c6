//! Guest `drops-all`: returns no object at all.

use weir_plugin::{Diagnostics, Object, Params};

weir_plugin::transformer!(transform);

/// Returns no object at all.
pub fn transform(_objects: Vec<Object>, _params: &Params) -> Result<Vec<Object>, Diagnostics> {
    Ok(Vec::new())
}
