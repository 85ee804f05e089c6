//! Objects as they may be shown: a Secret's values are marks that say only whether two are equal.

use serde_json::Value;

use crate::object::Object;
use crate::yaml;

/// The fields of a Secret that hold its values.
const VALUES: [&str; 2] = ["data", "stringData"];
/// Holds a whole object as text, a Secret's values included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The canonical text of two states of one object, fit to be shown: where it is a Secret, a value that
/// differs shows as `(secret, before)` and `(secret, after)`, an equal one as `(secret)` on both sides.
pub fn shown(before: Option<&Object>, after: Option<&Object>) -> (String, String) {
    let text = |object: Option<&Object>, other: Option<&Object>, mark: &str| match object {
        None => String::new(),
        Some(object) if object.id().kind == "Secret" => yaml::emit(&masked(
            object.body(),
            other.map(Object::body).as_ref(),
            mark,
        )),
        Some(object) => object.text().to_owned(),
    };
    (
        text(before, after, "(secret, before)"),
        text(after, before, "(secret, after)"),
    )
}

fn masked(mut body: Value, other: Option<&Value>, mark: &str) -> Value {
    for field in VALUES {
        let other = other.and_then(|o| o.get(field));
        if let Some(values) = body.get_mut(field) {
            mask(values, other, mark);
        }
    }
    if let Some(annotation) = body
        .pointer_mut("/metadata/annotations")
        .and_then(|a| a.get_mut(LAST_APPLIED))
    {
        *annotation = Value::String("(secret)".to_owned());
    }
    body
}

fn mask(values: &mut Value, other: Option<&Value>, mark: &str) {
    match values {
        Value::Object(map) => {
            for (key, value) in map {
                let same = other.and_then(|o| o.get(key)) == Some(value);
                *value = Value::String(if same { "(secret)" } else { mark }.to_owned());
            }
        }
        // Not of a Secret's form: nothing of it is shown.
        other => *other = Value::String(mark.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Origin;
    use serde_json::json;

    fn secret(data: &Value) -> Object {
        let body = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "s", "annotations": {LAST_APPLIED: "hunter2"}},
            "data": data, "stringData": "hunter2",
        });
        Object::new(
            body,
            Origin {
                path: "a".into(),
                line: 0,
            },
        )
        .unwrap()
    }

    #[test]
    fn a_secret_shows_only_what_differs() {
        let (before, after) = (
            secret(&json!({"a": "hunter2", "b": "same"})),
            secret(&json!({"a": "hunter3", "b": "same"})),
        );
        let (a, b) = shown(Some(&before), Some(&after));
        for text in [&a, &b] {
            assert!(!text.contains("hunter") && !text.contains("same"), "{text}");
            assert!(text.contains("b: \"(secret)\"\n"), "{text}");
        }
        assert!(
            a.contains("(secret, before)") && b.contains("(secret, after)"),
            "{a}{b}"
        );
    }

    #[test]
    fn a_secret_that_comes_or_goes_shows_nothing_either() {
        let (_, text) = shown(None, Some(&secret(&json!({"a": "hunter2"}))));
        assert!(!text.contains("hunter"), "{text}");
    }
}
