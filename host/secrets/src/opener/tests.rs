//! Objects opened with keys, and their sources compared.

use serde_json::json;
use weir_core::fault::{Fault, Retry};

use super::*;
use crate::form::sealed;
use crate::made_up::{LIMITS, block, keys, mac, object, token};

const RULE: &str = "\"encrypted_regex\": \"^(data|stringData)$\", ";

/// An encrypted manifest as its file has it, for key 1.
fn source() -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n    name: s\nstringData:\n    a: {}\n    b: {}\nsops: {}\n",
        token("stringData:a:", "str", "hunter2"),
        token("stringData:b:", "str", "second"),
        block(1, &mac(&["v1", "Secret", "s", "hunter2", "second"]), RULE)
    )
}

fn rendered(source: &str) -> Object {
    let read = weir_core::yaml::parse(source.as_bytes(), &weir_core::yaml::Budget::HOST).unwrap();
    object(read[0].to_json())
}

fn opener(all: &[u8]) -> Opener {
    Opener::new(keys(all), LIMITS)
}

fn check(source: &str, file: &str) -> Result<(), SealErrors> {
    let objects = [rendered(source)];
    let mut sources = Sources::new(LIMITS);
    sources.add(&"web/s.yaml".parse().unwrap(), file.as_bytes());
    opener(&[1]).check(&sealed(&objects, LIMITS)?, Some(&sources))
}

#[test]
fn a_manifest_is_opened_and_its_metadata_left_out() {
    let object = rendered(&source());
    let opener = opener(&[1]);
    let body = opener.reveal(&object).unwrap();
    assert_eq!(
        *body.expose(),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "hunter2", "b": "second"}})
    );
    assert!(!format!("{body:?} {opener:?}").contains("hunter2"));
    // What was rendered is as it was.
    assert!(object.text().contains("ENC[AES256_GCM,") && !object.text().contains("hunter2"));
}

#[test]
fn an_object_without_ciphertext_is_sent_as_it_is() {
    let object = object(
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "aGk="}}),
    );
    let opener = opener(&[]);
    assert!(matches!(opener.reveal(&object), Ok(Body::Rendered(_))));
}

#[test]
fn a_number_is_no_value_of_a_secret() {
    let block = block(1, &mac(&["5"]), RULE);
    let body = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "stringData": {"port": token("stringData:port:", "int", "5")},
        "sops": serde_json::from_str::<Value>(&block).unwrap(),
    });
    let error = opener(&[1]).reveal(&object(body)).unwrap_err();
    assert!(
        error
            .why
            .contains("`stringData.port` is no text once it is decrypted"),
        "{error}"
    );
}

#[test]
fn the_hosts_trouble_is_tried_again_and_the_repositorys_waits_for_a_change() {
    let whole = rendered(&source());
    let changed = rendered(&source().replacen(",data:", ",data:AAAA", 1));
    let host = (Fault::Host, Retry::Backoff);
    let repository = (Fault::Repository, Retry::OnChange);
    let why = NotRevealed {
        why: "the file is gone".to_owned(),
        fault: Fault::Host,
        retry: Retry::Backoff,
    };
    for (opener, object, expected) in [
        (opener(&[]), &whole, host),
        (opener(&[2]), &whole, host),
        (Opener::without(why, LIMITS), &whole, host),
        (opener(&[1]), &changed, repository),
    ] {
        let error = opener.reveal(object).unwrap_err();
        assert_eq!((error.fault, error.retry), expected, "{error}");
    }
}

#[test]
fn a_source_is_found_by_its_mac_and_compared() {
    let whole = source();
    check(&whole, &whole).unwrap();
    // What a transformer does to the rest of the object does not matter: the source is what was encrypted.
    check(&whole.replace("name: s", "name: other"), &whole).unwrap();
    let line = whole.lines().find(|l| l.starts_with("    b: ")).unwrap();
    let without = whole.replacen(&format!("{line}\n"), "", 1);
    let error = check(&without, &without).unwrap_err().to_string();
    assert!(
        error.contains("source file web/s.yaml: its MAC does not match"),
        "{error}"
    );
    let renamed = whole.replace("name: s", "name: other");
    let error = check(&renamed, &renamed).unwrap_err().to_string();
    assert!(
        error.contains("its MAC does not match: it is of other values"),
        "{error}"
    );
}

#[test]
fn an_object_whose_source_was_not_read_is_refused() {
    let other = source().replace(crate::made_up::TIME, "2027-01-02T03:04:05Z");
    let without_mac = other.replace(
        "\"mac\": \"ENC[AES256_GCM,data:",
        "\"mac\": \"ENC[AES256_GCM,data:AAAA",
    );
    for file in ["a: b\n", without_mac.as_str()] {
        let error = check(&source(), file).unwrap_err();
        assert!(
            error.to_string().contains("its MAC cannot be checked"),
            "{error}"
        );
    }
    // With no files at all, as after a rollback, each value's own tag says whether it was changed.
    let objects = [rendered(&source())];
    let sealed = sealed(&objects, LIMITS).unwrap();
    opener(&[1]).check(&sealed, None).unwrap();
}

#[test]
fn lines_of_a_dotenv_file_are_opened_as_its_decrypted_lines_are() {
    let sops: Value = serde_json::from_str(&block(1, &mac(&["a\nb"]), "")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().replace('\n', "\\n");
    let lines = [
        ("A", token("A:", "str", "a\nb")),
        ("sops_mac", text(&sops["mac"])),
        ("sops_lastmodified", text(&sops["lastmodified"])),
        (
            "sops_age__list_0__map_recipient",
            text(&sops["age"][0]["recipient"]),
        ),
        ("sops_age__list_0__map_enc", text(&sops["age"][0]["enc"])),
    ];
    let data: Map<String, Value> = lines
        .iter()
        .map(|(key, text)| ((*key).to_owned(), Value::from(encoded(text.as_bytes()))))
        .collect();
    let object = object(
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data}),
    );
    let opener = opener(&[1]);
    let body = opener.reveal(&object).unwrap();
    assert_eq!(body.expose()["data"], json!({"A": encoded(b"a\\nb")}));
    let file: Vec<String> = lines
        .iter()
        .map(|(key, text)| format!("{key}={}\n", text.replace('\n', "\\n")))
        .collect();
    let objects = [object];
    let sealed = sealed(&objects, LIMITS).unwrap();
    let mut sources = Sources::new(LIMITS);
    sources.add(&"made/a.env".parse().unwrap(), file.concat().as_bytes());
    opener.check(&sealed, Some(&sources)).unwrap();
}
