//! What a plugin returns: documents, objects as JSON, and the gate.

use serde_json::Value;
use weir_core::redact;
use weir_core::render::{self, Document};
use weir_core::validate::{OutputLimits, Validated, admit};

use crate::files::BUDGET;

const LIMITS: OutputLimits = OutputLimits {
    objects: 1_000,
    object_bytes: 100_000,
};

/// Documents of a renderer, and a transformer's objects: what passes the gate has one form, whose bytes read as the same.
pub(crate) fn guest_results(data: &[u8]) {
    let document = Document {
        origin: "a.yaml".to_owned(),
        body: data.to_vec(),
    };
    let parsed = render::parse(&[document], &BUDGET);
    if let Ok(objects) = &parsed
        && let Ok(validated) = admit(objects.clone(), Vec::new(), LIMITS)
    {
        reads_back(&validated);
    }
    // A transformer returns JSON, one value for each object.
    if let Ok(values) = serde_json::from_slice::<Vec<Value>>(data) {
        let before = parsed.unwrap_or_default();
        if let Ok(objects) = render::transformed(&before, values, "t")
            && let Ok(validated) = admit(objects, Vec::new(), LIMITS)
        {
            reads_back(&validated);
        }
    }
}

fn reads_back(validated: &Validated) {
    let stream = Document {
        origin: "again".to_owned(),
        body: validated.stream().into_bytes(),
    };
    // The canonical form may be larger than what was read: indents.
    let budget = weir_core::yaml::Budget {
        bytes: 64 << 20,
        nodes: BUDGET.nodes * 4,
        depth: BUDGET.depth + 8,
        ..BUDGET
    };
    let objects = match render::parse(std::slice::from_ref(&stream), &budget) {
        Ok(objects) => objects,
        Err(error) => unreachable!("{error}: {}", String::from_utf8_lossy(&stream.body)),
    };
    match admit(objects, Vec::new(), LIMITS) {
        Ok(again) => assert_eq!(again.output(), validated.output()),
        Err(error) => unreachable!("what has passed does not pass again: {error}"),
    }
    for object in validated.objects() {
        let (before, after) = redact::shown(None, Some(object));
        assert!(before.is_empty() && !after.is_empty());
    }
}
