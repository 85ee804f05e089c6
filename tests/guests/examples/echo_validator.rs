//! Guest `echo-validator`: finds one informational thing for each object.

use weir_plugin::{Diagnostics, Finding, Level, Object, Params};

weir_plugin::validator!(validate);

/// Finds one informational thing for each object.
pub fn validate(objects: &[Object], _params: &Params) -> Result<Vec<Finding>, Diagnostics> {
    let seen =
        |(index, object): (usize, &Object)| Finding::about(index, Level::Info, "seen", object.id());
    Ok(objects.iter().enumerate().map(seen).collect())
}
