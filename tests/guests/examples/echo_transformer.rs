//! Guest `echo-transformer`: returns the objects as they are.

use weir_plugin::{Diagnostics, Object, Params};

weir_plugin::transformer!(transform);

/// Returns the objects as they are.
pub fn transform(objects: Vec<Object>, _params: &Params) -> Result<Vec<Object>, Diagnostics> {
    Ok(objects)
}
