//! What no text may show: an object that the server quotes, and anything of a Secret's values.

use proptest::prelude::*;
use serde_json::json;

use super::super::*;
use super::{invalid, of, said};

/// What must never be shown.
const MARKER: &str = "hunter2";

#[test]
fn what_is_refused_of_a_secret_shows_its_fields_and_no_values() {
    for (status, expected) in [
        (
            invalid(
                "Secret",
                "type",
                "Invalid value: \"hunter2\": field is immutable",
            ),
            "Invalid at type (the server's words",
        ),
        (
            json!({"code": 500, "message": "failed to create typed patch object (/db; /v1, Kind=Secret): .stringData.p: expected string, got &{hunter2}"}),
            "an error (the server's words",
        ),
        (
            json!({"code": 500, "message": "failed to convert new object (/db; /v1, Kind=Secret) to proper version: error decoding from json: hunter2"}),
            "refuses it as invalid: an error (the",
        ),
        (
            json!({"code": 400, "reason": "BadRequest", "message": "admission webhook \"w\" denied the request: hunter2 is weak"}),
            "BadRequest (the server's words",
        ),
        (
            json!({"code": 403, "reason": "Forbidden", "message": "secrets \"db\" is forbidden: hunter2"}),
            "Forbidden (the server's words",
        ),
        (
            json!({"code": 403, "reason": "Forbidden", "message": "hunter2"}),
            "Forbidden (the server's words",
        ),
        (
            json!({"code": 418, "reason": "Teapot", "message": "hunter2"}),
            "418: Teapot (the server's words",
        ),
    ] {
        let text = of(true, status).to_string();
        assert!(!text.contains(MARKER), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn what_says_nothing_of_a_secrets_values_is_said_in_full() {
    for (code, message) in [
        (401, "Unauthorized"),
        (
            403,
            "secrets \"db\" is forbidden: User \"dev\" cannot patch resource \"secrets\" in API group \"\" in the namespace \"shop\"",
        ),
        (
            403,
            "secrets \"db\" is forbidden: exceeded quota: q, requested: count/secrets=1",
        ),
        (
            409,
            "Operation cannot be fulfilled on secrets \"db\": the object has been modified",
        ),
        (413, "Request entity too large: limit is 3145728"),
        (429, "Too many requests"),
    ] {
        let text = of(true, json!({"code": code, "message": message})).to_string();
        assert!(text.contains(message), "{text}");
    }
}

#[test]
fn an_answer_about_a_secret_that_cannot_be_read_is_not_quoted() {
    let wrong = || serde_json::from_value::<u32>(json!(MARKER)).unwrap_err();
    assert!(wrong().to_string().contains(MARKER));
    let text = KubeError::of("kube:", &kube::Error::SerdeError(wrong()), true).to_string();
    assert_eq!(
        text,
        "the API server of kube: does not answer: its answer cannot be read. Weir tries again"
    );
}

#[test]
fn a_long_text_is_cut_and_line_ends_and_control_signs_are_gone() {
    assert_eq!(shown("a\n\tb\u{1b}[31mc..."), "a  b [31mc");
    let long = shown(&"ä".repeat(SHOWN + 1));
    assert_eq!(long.chars().count(), SHOWN + 2);
    assert!(long.ends_with("ä …"), "{long}");
    assert_eq!(
        shown(&"ä\u{85}".repeat(SHOWN / 2)),
        "ä ".repeat(SHOWN / 2).trim_end()
    );
}

#[test]
fn braces_are_emptied_by_their_quotes_and_never_end_too_early() {
    for (text, expected) in [
        ("a: {\"x\":1}: b", "a: {…}: b"),
        ("a {x:{y}} b {z} c", "a {…} b {…} c"),
        ("a {\"}\\\"}\": \"}\"} b", "a {…} b"),
        ("a {no end \" } ", "a {…}"),
        ("a {no end", "a {…}"),
        ("expected map, got &{a}hunter2}", "expected map, got &{…}"),
        ("got &{a}hunter2} and &{b}, c", "got &{…}, c"),
        (
            "&value.valueUnstructured{Value:map[string]interface {}{\"x\":\"}hunter2\"}} b",
            "&value.valueUnstructured{…} b",
        ),
        ("} a", "} a"),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

proptest! {
    /// A quoted object is never shown, whatever its texts hold.
    #[test]
    fn no_answer_shows_a_quoted_object(
        key in any::<String>(), before in any::<String>(), after in any::<String>(),
        code in prop::sample::select(vec![400_u16, 403, 409, 422, 500, 504]),
        tail in prop::sample::select(vec!["field is immutable", "no", "denied the request", "exceeded quota"]),
    ) {
        let value = format!("{before}{MARKER}{after}");
        let object = json!({"spec": {"env": [{"name": value, key: value}]}});
        let message = format!("Job.batch \"web\" is invalid: spec.template: Invalid value: {object}: {tail}");
        let text = said(code, &message).to_string();
        prop_assert!(!text.contains(MARKER), "{text}");
        prop_assert!(text.contains("\"web\" is invalid: spec.template: Invalid value: {…}: "), "{text}");
        prop_assert!(text.contains(tail), "{text}");
        // Go's form without quotes ends nowhere for sure.
        let text = said(500, &format!("failed to create typed patch object (/web): .a: expected map, got &{{{value}}}")).to_string();
        prop_assert!(!text.contains(MARKER), "{text}");
    }

    /// Of what the server says to a Secret's content nothing is shown, in whatever form it quotes it.
    #[test]
    fn no_refusal_of_a_secret_shows_what_the_server_quotes(
        before in any::<String>(), after in any::<String>(),
        code in prop::sample::select(vec![400_u16, 402, 403, 406, 422, 500, 501, 502, 503, 504, 599]),
        form in prop::sample::select(vec!["", "admission webhook \"w\" denied the request: ", "failed calling webhook ", "Secret \"db\" is invalid: field is immutable "]),
    ) {
        let message = format!("{form}{before}{MARKER}{after}");
        let text = of(true, json!({
            "code": code, "reason": "Invalid", "message": message,
            "details": {"causes": [{"reason": "FieldValueInvalid", "message": message, "field": "data.password"}]},
        })).to_string();
        prop_assert!(!text.contains(MARKER), "{text}");
        prop_assert!(text.contains("data.password"), "{text}");
    }
}
