//! A file's values in its own order, which its MAC is made in.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::number;

/// A value of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// A value that is no list and no map, as the file has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// A date, as SOPS writes it.
    Time(String),
}

/// The keys that lead to a value. Items of a list are at their list's place.
pub(super) type Path = Vec<Arc<str>>;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    pub(super) path: Path,
    pub(super) scalar: Scalar,
}

impl Scalar {
    /// The text, where it is text: only that can be encrypted.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Scalar::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What a file's MAC is made of for it.
    pub(super) fn mac_bytes(&self) -> Zeroizing<Vec<u8>> {
        let text = match self {
            Scalar::Text(text) | Scalar::Time(text) => text.clone(),
            Scalar::Int(value) => value.to_string(),
            Scalar::Float(value) => number::plain(*value),
            Scalar::Bool(value) => number::title(*value).to_owned(),
        };
        Zeroizing::new(text.into_bytes())
    }
}

/// What a value is authenticated with: its keys, each followed by a colon.
pub(super) fn place<S: AsRef<str>>(path: &[S]) -> String {
    if path.is_empty() {
        return ":".to_owned();
    }
    path.iter()
        .map(|key| format!("{}:", key.as_ref()))
        .collect()
}

/// The same for a person.
pub(super) fn shown<S: AsRef<str>>(path: &[S]) -> String {
    let keys: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
    let keys = keys.join(".");
    keys.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// The values below a map, in order, with their places. `left` is how many keys all places may have.
pub(super) fn leaves(
    map: &[(String, Node)],
    path: &mut Path,
    left: &mut usize,
    out: &mut Vec<Leaf>,
) -> Result<(), String> {
    for (key, node) in map {
        path.push(key.as_str().into());
        leaves_of(node, path, left, out)?;
        path.pop();
    }
    Ok(())
}

fn leaves_of(
    node: &Node,
    path: &mut Path,
    left: &mut usize,
    out: &mut Vec<Leaf>,
) -> Result<(), String> {
    match node {
        Node::Null => Ok(()),
        Node::Scalar(scalar) => {
            goes_so_far(path, left)?;
            out.push(Leaf {
                path: path.clone(),
                scalar: scalar.clone(),
            });
            Ok(())
        }
        Node::List(items) => items
            .iter()
            .try_for_each(|item| leaves_of(item, path, left, out)),
        Node::Map(map) => leaves(map, path, left, out),
    }
}

/// Takes the keys of one place from what all may have.
pub(super) fn goes_so_far(path: &Path, left: &mut usize) -> Result<(), String> {
    *left = left
        .checked_sub(path.len())
        .ok_or("its values lie deeper in it than Weir reads of so many")?;
    Ok(())
}
