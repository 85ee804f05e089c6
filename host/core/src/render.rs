//! From documents to objects: the host's one YAML parser, lists taken apart, origins kept.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::fault::{Blame, Fault, Retry};
use crate::object::{Object, ObjectError, Origin, ResourceId};
use crate::yaml::{self, Budget, Node, NodeKind};

/// A stream of YAML or JSON documents and the file it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The path in the tree, as the renderer tells it.
    pub origin: String,
    /// The bytes.
    pub body: Vec<u8>,
}

/// How many lists may lie inside each other.
const MAX_LISTS: usize = 4;

/// Why documents are not objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not YAML as Kubernetes reads it.
    #[error("{path}:{error}")]
    Yaml {
        /// The file.
        path: String,
        /// Where in it, and what.
        error: yaml::YamlError,
    },
    /// Not a Kubernetes object.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

impl Blame for ParseError {
    fn fault(&self) -> Fault {
        Fault::Repository
    }
    fn retry(&self) -> Retry {
        Retry::OnChange
    }
}

/// All objects of some documents, in order, the items of `List` kinds one by one.
///
/// # Errors
/// The first document that is not YAML, or not an object.
pub fn parse(documents: &[Document], budget: &Budget) -> Result<Vec<Object>, ParseError> {
    let mut objects = Vec::new();
    for document in documents {
        let yaml = |error| ParseError::Yaml {
            path: document.origin.clone(),
            error,
        };
        for node in yaml::parse(&document.body, budget).map_err(yaml)? {
            collect(&document.origin, &node, 0, &mut objects)?;
        }
    }
    Ok(objects)
}

fn collect(
    path: &str,
    node: &Node,
    lists: usize,
    out: &mut Vec<Object>,
) -> Result<(), ObjectError> {
    let origin = Origin {
        path: path.to_owned(),
        line: node.mark.line,
    };
    match items(node) {
        Some(_) if lists == MAX_LISTS => Err(ObjectError {
            origin,
            message: format!("more than {MAX_LISTS} lists inside each other"),
        }),
        Some(items) => items
            .iter()
            .try_for_each(|item| collect(path, item, lists + 1, out)),
        None => {
            out.push(Object::new(node.to_json(), origin)?);
            Ok(())
        }
    }
}

/// The items of a `List`, or of a typed list such as `ConfigMapList`: a kind that ends in `List` with
/// `items`, and no name of its own.
fn items(node: &Node) -> Option<&[Node]> {
    let field = |name: &str| {
        let NodeKind::Mapping(fields) = &node.kind else {
            return None;
        };
        fields
            .iter()
            .find(|(_, key, _)| key == name)
            .map(|(_, _, value)| &value.kind)
    };
    let (Some(NodeKind::String(kind)), Some(NodeKind::Sequence(items))) =
        (field("kind"), field("items"))
    else {
        return None;
    };
    let named = matches!(field("metadata"), Some(NodeKind::Mapping(m)) if m.iter().any(|(_, key, _)| key == "name"));
    (kind.ends_with("List") && !named).then_some(items)
}

/// Objects as they came back from a transformer, with the origins they had before: found by identity, else
/// by place in the list where its length did not change, else the transformer's own name.
///
/// # Errors
/// The first value that is not an object, which is the transformer's fault.
pub fn transformed(
    before: &[Object],
    after: Vec<Value>,
    transformer: &str,
) -> Result<Vec<Object>, ObjectError> {
    let by_id: BTreeMap<&ResourceId, &Object> = before.iter().map(|o| (o.id(), o)).collect();
    let same_length = before.len() == after.len();
    let own = Origin {
        path: format!("plugin {transformer}"),
        line: 0,
    };
    let mut out = Vec::with_capacity(after.len());
    for (n, value) in after.into_iter().enumerate() {
        let object = Object::new(value, own.clone())?;
        let origin = match by_id.get(object.id()) {
            Some(known) => known.origin().clone(),
            None if same_length => before[n].origin().clone(),
            None => own.clone(),
        };
        out.push(object.with_origin(origin));
    }
    Ok(out)
}
