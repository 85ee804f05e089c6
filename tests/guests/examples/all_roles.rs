//! Guest `all-roles`: each role in one component; each says what is in the file that its config names.

use weir_plugin::{Diagnostics, Document, Finding, Level, Object, Params, Tree};

weir_plugin::renderer!(render);
weir_plugin::transformer!(transform, tree);
weir_plugin::validator!(validate, tree);

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    file: String,
}

/// The file's content in one line.
fn said(params: &Params, tree: &dyn Tree) -> Result<String, Diagnostics> {
    let config: Config = params.config()?;
    let bytes = tree
        .read(&config.file)
        .map_err(|error| error.at(&config.file))?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// A ConfigMap that has it.
pub fn render(params: &Params, tree: &dyn Tree) -> Result<Vec<Document>, Diagnostics> {
    let text = said(params, tree)?;
    let body = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\ndata:\n  said: '{text}'\n",
        params.app
    );
    let origin = params.path.clone();
    let body = body.into_bytes();
    Ok(vec![Document { origin, body }])
}

/// An annotation that has it.
pub fn transform(
    mut objects: Vec<Object>,
    params: &Params,
    tree: &dyn Tree,
) -> Result<Vec<Object>, Diagnostics> {
    let text = said(params, tree)?;
    for object in &mut objects {
        object.set_annotation("said", &text)?;
    }
    Ok(objects)
}

/// A finding that has it.
pub fn validate(
    _objects: &[Object],
    params: &Params,
    tree: &dyn Tree,
) -> Result<Vec<Finding>, Diagnostics> {
    let text = said(params, tree)?;
    let level = match text.starts_with("bad") {
        true => Level::Error,
        false => Level::Info,
    };
    Ok(vec![Finding {
        level,
        code: "said".to_owned(),
        message: text,
        object: None,
        path: None,
        line: None,
    }])
}
