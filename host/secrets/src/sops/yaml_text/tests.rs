//! What plain words are, and how texts are written.

use proptest::prelude::*;
use weir_core::yaml::{Budget, parse};

use super::*;

#[test]
fn plain_words_are_what_go_takes_them_for() {
    use Scalar::{Bool, Float, Int, Text, Time};
    let text = |t: &str| Some(Text(t.to_owned()));
    for (word, expected) in [
        ("", None),
        ("~", None),
        ("Null", None),
        ("true", Some(Bool(true))),
        ("FALSE", Some(Bool(false))),
        ("yes", text("yes")),
        ("on", text("on")),
        ("12", Some(Int(12))),
        ("+12", Some(Int(12))),
        ("-1_000", Some(Int(-1000))),
        ("0644", Some(Int(420))),
        ("0o17", Some(Int(15))),
        ("-0x1F", Some(Int(-31))),
        ("0b11", Some(Int(3))),
        ("0x", text("0x")),
        ("--1", text("--1")),
        ("089", Some(Float(89.0))),
        ("1.5", Some(Float(1.5))),
        (".5", Some(Float(0.5))),
        ("5.", Some(Float(5.0))),
        ("1e3", Some(Float(1000.0))),
        ("1e", text("1e")),
        (".", text(".")),
        ("1.2.3", text("1.2.3")),
        ("-.inf", Some(Float(f64::NEG_INFINITY))),
        ("2024-01-02", Some(Time("2024-01-02".to_owned()))),
        (
            "2024-01-02T03:04:05Z",
            Some(Time("2024-01-02T03:04:05Z".to_owned())),
        ),
        ("2024-1", text("2024-1")),
        ("12:30", text("12:30")),
        ("a", text("a")),
    ] {
        assert_eq!(resolved(word), expected, "{word}");
    }
}

#[test]
fn texts_are_written_as_go_writes_them() {
    for (text, expected) in [
        ("plain text", "plain text"),
        ("", "\"\""),
        ("12", "\"12\""),
        ("no", "\"no\""),
        ("12:30", "\"12:30\""),
        ("- a", "'- a'"),
        ("a: b", "'a: b'"),
        ("it's: x", "'it''s: x'"),
        (" a", "' a'"),
        ("a\tb", "\"a\\tb\""),
        ("a\u{7}", "\"a\\a\""),
        ("\u{1f600}", "\"\\U0001F600\""),
        ("a\nb", "|-\n    a\n    b"),
        ("a\nb\n", "|\n    a\n    b"),
        ("a\n\n", "|+\n    a\n"),
        (" a\nb", "|4-\n     a\n    b"),
        ("a \nb", "\"a \\nb\""),
    ] {
        assert_eq!(&*of_text(text, 4).unwrap(), expected, "{text:?}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(text in any_text()) {
        let Ok(written) = of_text(&text, 4) else {
            prop_assert!(text.contains(BREAKS), "{:?}", text);
            return Ok(());
        };
        let document = format!("key: {}\nnext: x\n", &*written);
        let read = parse(document.as_bytes(), &Budget::MANIFEST).unwrap();
        let value = read[0].to_json();
        prop_assert_eq!(value["key"].as_str(), Some(text.as_str()), "{}", document);
        prop_assert_eq!(value["next"].as_str(), Some("x"));
    }
}

/// Texts of the characters that matter, without the few of which a block begins with a break or a blank.
fn any_text() -> impl Strategy<Value = String> {
    let odd = "[a-c0-9 :#'\"\\\\\\-?&*!|>%@`{}\\[\\],.~=\n\tü日]{0,12}";
    prop_oneof![odd, "[ -~]{0,20}", "[0-9xobe_.:+-]{1,8}"].prop_filter(
        "a block that begins so has a hint of its own, which is tried elsewhere",
        |text| !(text.contains('\n') && text.starts_with([' ', '\n', '\t'])),
    )
}
