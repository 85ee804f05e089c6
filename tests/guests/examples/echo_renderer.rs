//! Guest `echo-renderer`: returns each file directly in the app's path as it is.

use weir_plugin::tree::{Kind, join};
use weir_plugin::{Diagnostics, Document, Params, Tree};

weir_plugin::renderer!(render);

/// Returns each file directly in the app's path as it is.
pub fn render(params: &Params, tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    let mut documents = Vec::new();
    for entry in tree
        .entries(&params.path)
        .map_err(|error| error.at(&params.path))?
    {
        let origin = join(&params.path, &entry.name);
        if entry.kind == Kind::File {
            let body = tree.read(&origin).map_err(|error| error.at(&origin))?;
            documents.push(Document { origin, body });
        }
    }
    Ok(documents)
}
