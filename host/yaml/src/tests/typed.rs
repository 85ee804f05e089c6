//! From nodes to typed values, and what is said of what does not fit.

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct App {
    name: Short,
    #[serde(default)]
    render: Option<Kind>,
    #[serde(default)]
    replicas: u8,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Helm,
    Plain,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(try_from = "String")]
struct Short(String);

impl TryFrom<String> for Short {
    type Error = String;

    fn try_from(text: String) -> Result<Short, String> {
        if text.len() < 6 {
            Ok(Short(text))
        } else {
            Err(format!("the name {text:?} is longer than 5"))
        }
    }
}

fn app_refusal(text: &str) -> String {
    decode::<App>(&one(text))
        .expect_err("it is no app")
        .to_string()
}

#[test]
fn a_typed_value_is_decoded() {
    let expected = App {
        name: Short("shop".to_owned()),
        render: Some(Kind::Helm),
        replicas: 3,
    };
    assert_eq!(
        decode::<App>(&one("name: shop\nrender: helm\nreplicas: 3\n")),
        Ok(expected)
    );
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    assert_eq!(
        app_refusal("name: shop\nrendr: helm\n"),
        "2:1: unknown key \"rendr\": expected one of name, render, replicas; did you mean \"render\"?"
    );
    assert!(!app_refusal("name: shop\nzzz: helm\n").contains("did you mean"));
}

#[test]
fn wrong_types_say_what_was_expected_and_found() {
    assert_eq!(
        app_refusal("name: 12\n"),
        "1:7: expected text, found the number 12; put it in quotes"
    );
    assert_eq!(
        app_refusal("name: on\n"),
        "1:7: expected text, found true; put it in quotes (YAML reads y, yes, on, n, no and off without quotes as true or false)"
    );
    assert_eq!(
        app_refusal("name: a\nreplicas: x\n"),
        "2:11: expected a whole number, found the text \"x\""
    );
    assert_eq!(
        app_refusal("name: a\nreplicas: 300\n"),
        "2:11: expected a whole number, found the number 300"
    );
    assert_eq!(
        app_refusal("name: a\nrender: [x]\n"),
        "2:9: expected one of helm, plain, found a list"
    );
    for list in ["- a\n- b\n- c\n- d\n", "- a\n"] {
        assert_eq!(app_refusal(list), "1:1: expected a map, found a list");
    }
}

#[test]
fn a_refusal_of_a_newtype_stands_at_its_value() {
    assert_eq!(
        app_refusal("replicas: 1\nname: too-long\n"),
        "2:7: the name \"too-long\" is longer than 5"
    );
}

#[test]
fn an_unknown_value_and_a_missing_key_are_named() {
    assert_eq!(
        app_refusal("name: a\nrender: hlm\n"),
        "2:9: unknown value \"hlm\": expected one of helm, plain; did you mean \"helm\"?"
    );
    assert_eq!(
        app_refusal("render: helm\n"),
        "1:1: the key \"name\" is missing"
    );
}
