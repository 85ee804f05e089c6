//! Makes one ConfigMap of the files in the app's folder `files`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use weir_plugin::tree::{Kind, Tree, join};
use weir_plugin::{Diagnostic, Diagnostics, Document, Params};

/// What `config` may hold in weir.yaml. A key that is not here is an error that names it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The ConfigMap's name; left out: the app's.
    #[serde(default)]
    name: String,
}

fn render(params: &Params, tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    let config: Config = params.config()?;
    let name = match config.name.as_str() {
        "" => &params.app,
        name => name,
    };
    let dir = join(&params.path, "files");
    let entries = tree.entries(&dir).map_err(|_| {
        let message = "there is no such folder: put the files of the ConfigMap there";
        Diagnostic::error("no-files", message).at(&dir)
    })?;
    let mut data = BTreeMap::new();
    for entry in entries.into_iter().filter(|e| e.kind == Kind::File) {
        let path = join(&dir, &entry.name);
        let bytes = tree.read(&path).map_err(|e| e.at(&path))?;
        let text = String::from_utf8(bytes).map_err(|_| {
            Diagnostic::error("not-text", "the file is not UTF-8: leave it out").at(&path)
        })?;
        data.insert(entry.name, text);
    }
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data,
    });
    Ok(vec![Document {
        origin: dir,
        body: object.to_string().into_bytes(),
    }])
}

weir_plugin::renderer!(render);
