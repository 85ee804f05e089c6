//! What a file says of itself, in both of its forms.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::made_up::{DATA_KEY, LIMITS, TIME, age_file, armored, block, identity, keys, mac};

fn read(value: &Value) -> Result<Metadata, String> {
    Metadata::read(value, LIMITS).map_err(|e| e.to_string())
}

fn whole() -> Value {
    serde_json::from_str(&block(1, &mac(&[]), "")).unwrap()
}

#[test]
fn a_data_key_is_got_with_the_key_that_it_is_for() {
    let metadata = read(&whole()).unwrap();
    assert!(metadata.data_key(&keys(&[2, 1])).is_ok());
    let wrong = metadata.data_key(&keys(&[2])).unwrap_err().to_string();
    let (own, other) = (identity(1).recipient(), identity(2).recipient());
    let said = format!("it is encrypted for {own}, and none of this host's keys fits ({other})");
    assert!(wrong.starts_with(&said), "{wrong}");
    let none = metadata.data_key(&keys(&[])).unwrap_err();
    assert!(none.is_the_hosts() && none.to_string().contains("--age-key-file"));
}

#[test]
fn a_broken_data_key_is_the_files_trouble_where_it_is_for_us() {
    let mut broken = whole();
    broken["age"][0]["enc"] = json!("-----BEGIN AGE");
    let error = read(&broken).unwrap().data_key(&keys(&[1])).unwrap_err();
    assert!(
        !error.is_the_hosts() && error.to_string().contains("cannot be read"),
        "{error}"
    );
    // Another recipient's is theirs.
    let error = read(&broken).unwrap().data_key(&keys(&[2])).unwrap_err();
    assert!(error.is_the_hosts(), "{error}");
    let mut short = whole();
    short["age"][0]["enc"] = json!(armored(&age_file(1, &DATA_KEY[1..], "")));
    let error = read(&short).unwrap().data_key(&keys(&[1])).unwrap_err();
    assert!(error.to_string().contains("32 bytes"), "{error}");
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let without = |key: &str| {
        let mut value = whole();
        value.as_object_mut().unwrap().remove(key);
        value
    };
    let with = |key: &str, given: Value| {
        let mut value = whole();
        value[key] = given;
        value
    };
    let many: Vec<Value> = (0..300)
        .map(|_| json!({"recipient": "a", "enc": "b"}))
        .collect();
    for (value, expected) in [
        (json!("text"), "is no map"),
        (json!(null), "is no map"),
        (without("mac"), "has no `mac`"),
        (without("lastmodified"), "has no `lastmodified`"),
        (without("age"), "names nobody"),
        (
            with("age", json!([{"recipient": "a"}])),
            "without `recipient` or `enc`",
        ),
        (with("age", json!(many)), "more than 256 keys"),
        (
            with("encrypted_regex", json!("(")),
            "cannot read as a regular expression",
        ),
        (
            with("encrypted_regex", json!("a".repeat(2000))),
            "cannot read as a regular expression",
        ),
        (
            json!({"age": whole()["age"], "mac": "x", "lastmodified": TIME, "encrypted_regex": "a", "encrypted_suffix": "b"}),
            "has both `encrypted_suffix` and `encrypted_regex`",
        ),
    ] {
        let error = read(&value).unwrap_err();
        assert!(
            error.starts_with("its `sops` block ") && error.contains(expected),
            "{error}"
        );
    }
}

#[test]
fn the_flat_form_says_the_same() {
    let whole = whole();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let flat = |entries: &[(&str, String)]| {
        let entries = entries
            .iter()
            .map(|(key, text)| ((*key).to_owned(), text.clone()));
        Metadata::read_flat(&entries.collect(), LIMITS).map_err(|e| e.to_string())
    };
    let entries = [
        (
            "age__list_0__map_recipient",
            text(&whole["age"][0]["recipient"]),
        ),
        ("age__list_0__map_enc", text(&whole["age"][0]["enc"])),
        ("lastmodified", TIME.to_owned()),
        ("mac", text(&whole["mac"])),
        ("mac_only_encrypted", "true".to_owned()),
        ("unencrypted_suffix", "_plain".to_owned()),
    ];
    let metadata = flat(&entries).unwrap();
    assert!(metadata.mac_only_encrypted && metadata.data_key(&keys(&[1])).is_ok());
    assert!(matches!(metadata.rule, Rule::PlainSuffix(suffix) if suffix == "_plain"));
    let grouped = entries
        .clone()
        .map(|(key, text)| match key.strip_prefix("age__list_0") {
            Some(rest) => (format!("key_groups__list_0__map_age__list_0{rest}"), text),
            None => (key.to_owned(), text),
        });
    let grouped: Vec<(&str, String)> = grouped
        .iter()
        .map(|(k, t)| (k.as_str(), t.clone()))
        .collect();
    assert!(flat(&grouped).unwrap().data_key(&keys(&[1])).is_ok());
    let deep = "a__map_".repeat(50_000);
    for key in [
        "age__list_x__map_enc",
        "age__list_99999999__map_enc",
        "mac__list_0",
        "mac__map_a",
        &deep,
    ] {
        let mut all = entries.to_vec();
        all.push((key, "x".to_owned()));
        assert!(flat(&all).is_err(), "{key}");
    }
}

#[test]
fn a_text_out_of_a_file_is_cut_and_has_no_control_characters() {
    let mut value = whole();
    value["age"][0]["recipient"] = json!(format!("age1\u{1b}[31m{}", "x".repeat(1000)));
    let shown = read(&value).unwrap().recipients();
    assert!(shown.len() <= SHOWN && !shown.contains('\u{1b}'), "{shown}");
}

proptest! {
    #[test]
    fn no_flat_keys_break_the_reader(entries in proptest::collection::btree_map("(age|pgp|mac|key_groups)?(__list_[0-9]{0,3}|__map_[a-z]{0,4}){0,6}", ".{0,10}", 0..8)) {
        let _ = Metadata::read_flat(&entries, LIMITS);
    }
}
