//! Text to nodes to the raw types, with all structural errors of a manifest at once.

use serde::de::DeserializeOwned;

use super::place::{Errors, Place};
use super::raw::{RawApp, RawDefaults, RawManifest, RawPlugin, RawTarget, Version};
use super::{ManifestError, ManifestErrors};
use crate::yaml::{Budget, Mark, Node, NodeKind, decode, parse};

const TOP: Mark = Mark { line: 1, column: 1 };

/// The one document of `weir.yaml`, `weir.lock` or a host's file, its version checked.
///
/// # Errors
/// When it is no YAML that Kubernetes would read, is empty, or has a later version.
pub fn document(text: &[u8], file: &str) -> Result<Node, ManifestErrors> {
    let error = |mark, message: String| {
        ManifestErrors::from(ManifestError {
            file: file.to_owned(),
            mark,
            message,
        })
    };
    let nodes = parse(text, &Budget::MANIFEST).map_err(|e| error(e.mark, e.message))?;
    let Some(node) = nodes.into_iter().next() else {
        return Err(error(
            TOP,
            "the file is empty; expected `version: 1` and more".to_owned(),
        ));
    };
    // A later version may have keys that this Weir does not know: say that first, and only that.
    let version = Place::root(&node).key("version");
    if let Some(Node {
        kind: NodeKind::Number(_),
        ..
    }) = version.node()
        && let Err(e) = version.node().map_or(Ok(Version), decode)
    {
        return Err(error(e.mark, e.message));
    }
    Ok(node)
}

/// The manifest as typed. One wrong key does not hide another one in another entry.
pub(super) fn manifest(node: &Node, file: &str) -> Result<RawManifest, ManifestErrors> {
    let mut errors = Errors::new(file);
    match decode(node) {
        Ok(raw) => return Ok(raw),
        Err(e) => errors.push(e.mark, e.message),
    }
    let root = Place::root(node);
    for (_, _, plugin) in root.key("plugins").entries() {
        check::<RawPlugin>(plugin, &mut errors);
    }
    if let Some(defaults) = root.key("defaults").node() {
        check::<RawDefaults>(defaults, &mut errors);
    }
    for (_, _, target) in root.key("targets").entries() {
        check::<RawTarget>(target, &mut errors);
    }
    for app in root.key("apps").items() {
        check::<RawApp>(app, &mut errors);
    }
    Err(errors.into_errors())
}

fn check<T: DeserializeOwned>(node: &Node, errors: &mut Errors<'_>) {
    if !errors.full()
        && let Err(e) = decode::<T>(node)
    {
        errors.push_once(e.mark, e.message);
    }
}
