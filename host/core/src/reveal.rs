//! Encrypted objects at the one moment in which they stand in the clear: when the body of a request is made of one.
//!
//! Everything else (renders, digests, receipts, the ledger, a `dir:` target, diffs) has the ciphertext as Git has it.
//! How it is opened is the host's to know: a target is handed a [`Reveal`], asks it when it builds a body, and drops
//! what it got when the request is sent.

use std::fmt;

use serde_json::Value;
use zeroize::Zeroize as _;

use crate::fault::{Blame, Fault, Retry};
use crate::object::Object;

/// Bytes that are never shown, and wiped when they are dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(Vec<u8>);

impl Hidden {
    /// Hides these bytes.
    pub fn new(bytes: Vec<u8>) -> Hidden {
        Hidden(bytes)
    }

    /// The bytes, for whoever reads a key from them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

/// An object's fields with what was encrypted in the clear. It has no text form of its own, and is wiped when it is
/// dropped.
pub struct Revealed(Value);

impl Revealed {
    /// These fields hold what may not be shown.
    pub fn new(fields: Value) -> Revealed {
        Revealed(fields)
    }

    /// The fields, for the body of a request.
    pub fn expose(&self) -> &Value {
        &self.0
    }

    /// The same, to be changed.
    pub fn expose_mut(&mut self) -> &mut Value {
        &mut self.0
    }
}

impl Drop for Revealed {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl fmt::Debug for Revealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revealed")
    }
}

/// Overwrites all text in a value. A value's depth is bounded by whoever read it.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What is sent of an object.
#[derive(Debug)]
pub enum Body {
    /// Just what was rendered.
    Rendered(Value),
    /// What was rendered, opened.
    Revealed(Revealed),
}

impl Body {
    /// The fields, for the body of a request.
    pub fn expose(&self) -> &Value {
        match self {
            Body::Rendered(fields) => fields,
            Body::Revealed(revealed) => revealed.expose(),
        }
    }

    /// A copy that can be changed and is wiped when it is dropped.
    pub fn into_revealed(self) -> Revealed {
        match self {
            Body::Rendered(fields) => Revealed::new(fields),
            Body::Revealed(revealed) => revealed,
        }
    }
}

/// Why an object cannot be opened. The text names it and holds no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotRevealed {
    /// For a person.
    pub why: String,
    /// Who has to act.
    pub fault: Fault,
    /// When to try again.
    pub retry: Retry,
}

impl Blame for NotRevealed {
    fn fault(&self) -> Fault {
        self.fault
    }
    fn retry(&self) -> Retry {
        self.retry
    }
}

/// Opens objects for requests.
pub trait Reveal: Send + Sync {
    /// What is sent of an object.
    ///
    /// # Errors
    /// When it is encrypted and cannot be opened. Then nothing of it may be sent.
    fn reveal(&self, object: &Object) -> Result<Body, NotRevealed>;
}

/// For objects of which it is known that nothing in them is encrypted: each is sent as it was rendered.
#[derive(Debug, Clone, Copy)]
pub struct AsRendered;

impl Reveal for AsRendered {
    fn reveal(&self, object: &Object) -> Result<Body, NotRevealed> {
        Ok(Body::Rendered(object.body()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_revealed_has_no_text_of_its_own() {
        let revealed = Revealed::new(json!({"data": {"password": "hunter2"}}));
        let body = Body::Revealed(Revealed::new(json!({"data": {"password": "hunter2"}})));
        let hidden = Hidden::new(b"hunter2".to_vec());
        let shown = format!("{revealed:?} {revealed:#?} {body:?} {body:#?} {hidden:?} {hidden:#?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn what_is_wiped_holds_no_text_any_more() {
        let mut value = json!({"a": ["hunter2", {"b": "hunter2"}], "c": 1});
        wipe(&mut value);
        assert_eq!(value, json!({"a": ["", {"b": ""}], "c": 1}));
    }
}
