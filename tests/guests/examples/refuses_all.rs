//! Guest `refuses-all`: finds an error in each object.

use weir_plugin::{Diagnostics, Finding, Level, Object, Params};

weir_plugin::validator!(validate);

/// Finds an error in each object.
pub fn validate(objects: &[Object], _params: &Params) -> Result<Vec<Finding>, Diagnostics> {
    let seen = |(index, object): (usize, &Object)| {
        Finding::about(index, Level::Error, "refused", object.id())
    };
    Ok(objects.iter().enumerate().map(seen).collect())
}
