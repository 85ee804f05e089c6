//! YAML files of the tree, read as the host reads manifests: what a config names beside objects.

use serde_json::Value;
use weir_yaml::Budget;

use crate::{Diagnostic, Tree};

/// A file that a config names is written by a person: more than this is something else.
const BUDGET: Budget = Budget {
    bytes: 16 << 20,
    documents: 10_000,
    nodes: 1_000_000,
    depth: 200,
};

/// One document of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The line that it begins at, from 1.
    pub line: u32,
    /// The JSON that Kubernetes would see.
    pub value: Value,
}

/// The documents of a YAML or JSON file; empty ones are left out.
///
/// # Errors
/// `no-such-path` where nothing is there, and `bad-yaml` with the line where it cannot be read.
pub fn read(tree: &dyn Tree, path: &str) -> Result<Vec<Part>, Diagnostic> {
    let bytes = tree.read(path).map_err(|error| error.at(path))?;
    parse(path, &bytes)
}

/// The same of a file that is read already.
///
/// # Errors
/// `bad-yaml`, as [`read`].
pub fn parse(path: &str, bytes: &[u8]) -> Result<Vec<Part>, Diagnostic> {
    let nodes = weir_yaml::parse(bytes, &BUDGET).map_err(|error| {
        Diagnostic::error("bad-yaml", error.message)
            .at(path)
            .line(error.mark.line)
    })?;
    Ok(nodes
        .iter()
        .map(|node| Part {
            line: node.mark.line,
            value: node.to_json(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryTree;

    #[test]
    fn documents_come_with_their_lines_and_as_kubernetes_reads_them() {
        let tree = MemoryTree::new([("a.yaml", "a: 0644\n---\n---\n- on\n")]);
        let parts = read(&tree, "a.yaml").unwrap();
        let seen: Vec<_> = parts
            .iter()
            .map(|p| (p.line, p.value.to_string()))
            .collect();
        assert_eq!(seen, [(1, r#"{"a":420}"#.into()), (4, "[true]".into())]);
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_place() {
        let tree = MemoryTree::new([("a.yaml", "a: 1\na: 2\n"), ("b.yaml", "a:\n\t- x")]);
        for (path, code, line) in [
            ("a.yaml", "bad-yaml", Some(2)),
            ("b.yaml", "bad-yaml", Some(2)),
            ("c.yaml", "no-such-path", None),
        ] {
            let error = read(&tree, path).unwrap_err();
            let said = (error.path.as_deref(), error.code.as_str(), error.line);
            assert_eq!(said, (Some(path), code, line), "{error}");
        }
    }
}
