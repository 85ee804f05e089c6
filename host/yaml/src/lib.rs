//! YAML as Kubernetes reads it (`sigs.k8s.io/yaml`), with budgets, places and a writer.
//!
//! The host reads all YAML with it, and so do the bundled plugins that read files of the tree: a patch file or a CRD
//! means the same to all.
//!
//! [`parse`] gives nodes that know their line and column; [`Node::to_json`] gives the JSON that the API
//! server would see; [`decode`] gives typed values with errors that name the place and the nearest key;
//! [`emit`] writes YAML that every reader understands alike.

mod characters;
mod decode;
mod emit;
mod mapping;
mod parse;
mod resolve;
mod strict;
mod tabs;
#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// How much one stream may hold. Required wherever YAML is read.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Bytes of the stream, and bytes of text that its aliases repeat.
    pub bytes: usize,
    /// Documents in the stream.
    pub documents: usize,
    /// Nodes, after aliases are expanded.
    pub nodes: usize,
    /// Lists and maps inside each other.
    pub depth: usize,
}

impl Budget {
    /// What a host allows for one stream.
    pub const HOST: Budget = Budget {
        bytes: 64 << 20,
        documents: 100_000,
        nodes: 5_000_000,
        depth: 200,
    };
    /// What a host allows for `weir.yaml` and `weir.lock`.
    pub const MANIFEST: Budget = Budget {
        bytes: 4 << 20,
        documents: 1,
        nodes: 500_000,
        depth: 100,
    };
}

/// A place in a stream, both from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mark {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// One node, resolved as Kubernetes resolves it: merges done, aliases expanded, keys as text.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it starts.
    pub mark: Mark,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    /// `null`, `~` or nothing.
    Null,
    /// A boolean, YAML 1.1 forms included.
    Bool(bool),
    /// A number that JSON can hold.
    Number(serde_json::Number),
    /// Text.
    String(String),
    /// A list.
    Sequence(Vec<Node>),
    /// A map in the order written, without duplicate keys: where the key stands, the key, its value.
    Mapping(Vec<(Mark, String, Node)>),
}

/// Why a stream cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {message}", mark.line, mark.column)]
pub struct YamlError {
    /// Where.
    pub mark: Mark,
    /// What was found and what was expected.
    pub message: String,
}

/// All documents of a stream. Empty documents are left out, as Kubernetes does.
///
/// # Errors
/// The first thing that Kubernetes would refuse, or a budget that was passed.
pub fn parse(text: &[u8], budget: &Budget) -> Result<Vec<Node>, YamlError> {
    parse::stream(text, budget)
}

/// A typed value from a node. Unknown keys, wrong types and refusals of `T` become errors that stand at
/// the key or value that they are about; an unknown key's error names the nearest known one.
///
/// # Errors
/// The first refusal.
pub fn decode<T: DeserializeOwned>(node: &Node) -> Result<T, YamlError> {
    decode::typed(node)
}

/// Writes one document, keys in the order given, strings quoted wherever any YAML reader could take them
/// for something else. Ends with a newline.
pub fn emit(value: &Value) -> String {
    emit::document(value)
}

impl Node {
    /// The JSON that `sigs.k8s.io/yaml` would give.
    pub fn to_json(&self) -> Value {
        match &self.kind {
            NodeKind::Null => Value::Null,
            NodeKind::Bool(value) => Value::Bool(*value),
            NodeKind::Number(number) => Value::Number(number.clone()),
            NodeKind::String(text) => Value::String(text.clone()),
            NodeKind::Sequence(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            NodeKind::Mapping(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(_, key, value)| (key.clone(), value.to_json()))
                    .collect(),
            ),
        }
    }
}
