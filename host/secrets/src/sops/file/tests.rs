//! Whole files: opened, refused, and not SOPS' at all.

use proptest::prelude::*;

use super::*;
use crate::made_up::{DATA_KEY, LIMITS, block, mac, token};

fn key() -> DataKey {
    DataKey::new(&DATA_KEY).unwrap()
}

fn opened(text: &str) -> Result<String, String> {
    let file = File::read(text.as_bytes(), LIMITS).map_err(|e| e.to_string())?;
    let file = file.ok_or("no file of sops")?;
    let key = key();
    let opened = file.open(&key).map_err(|e| e.to_string())?;
    let bytes = opened.write().map_err(|e| e.to_string())?;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

fn yaml(body: &str, mac: &str, more: &str) -> String {
    format!("{body}sops: {}\n", block(1, mac, more))
}

#[test]
fn a_file_of_each_format_is_opened() {
    let of = |place: &str, text: &str| token(place, "str", text);
    let mac = mac(&["one", "two", "3"]);
    let body = format!(
        "# note\na: {}\nb:\n    - {}\n    - {}\n",
        of("a:", "one"),
        of("b:", "two"),
        token("b:", "int", "3")
    );
    assert_eq!(
        opened(&yaml(&body, &mac, "")).unwrap(),
        "# note\na: one\nb:\n    - two\n    - 3\n"
    );
    let json = format!(
        "{{\"a\": \"{}\", \"b\": [\"{}\", \"{}\"], \"sops\": {}}}",
        of("a:", "one"),
        of("b:", "two"),
        token("b:", "int", "3"),
        block(1, &mac, "")
    );
    assert_eq!(
        opened(&json).unwrap(),
        "{\n\t\"a\": \"one\",\n\t\"b\": [\n\t\t\"two\",\n\t\t3\n\t]\n}\n"
    );
    let binary = format!(
        "{{\"data\": \"{}\", \"sops\": {}}}",
        of("data:", "any\u{0}thing"),
        block(1, &crate::made_up::mac(&["any\u{0}thing"]), "")
    );
    assert_eq!(opened(&binary).unwrap(), "any\u{0}thing");
}

#[test]
fn a_mac_of_encrypted_values_only_leaves_the_plain_ones_out() {
    let only = "\"mac_only_encrypted\": true, \"encrypted_regex\": \"^a$\", ";
    let sealed = token("a:", "str", "one");
    let mut hash = Sha512::new();
    hash.update(ONLY_ENCRYPTED);
    hash.update("one");
    let hex: String = hash.finalize().iter().map(|b| format!("{b:02X}")).collect();
    let mac = token(crate::made_up::TIME, "str", &hex);
    let body = |plain: &str| format!("a: {sealed}\nb: {plain}\n");
    assert_eq!(
        opened(&yaml(&body("x"), &mac, only)).unwrap(),
        "a: one\nb: x\n"
    );
    assert_eq!(
        opened(&yaml(&body("y"), &mac, only)).unwrap(),
        "a: one\nb: y\n"
    );
    let all = crate::made_up::mac(&["one", "x"]);
    let rule = "\"encrypted_regex\": \"^a$\", ";
    assert_eq!(
        opened(&yaml(&body("x"), &all, rule)).unwrap(),
        "a: one\nb: x\n"
    );
    let error = opened(&yaml(&body("y"), &all, rule)).unwrap_err();
    assert!(error.contains("it is of other values"), "{error}");
}

#[test]
fn encrypted_comments_come_to_stand_where_sops_puts_them() {
    let note = |place: &str| token(place, "comment", " a note");
    let one = token("a:", "str", "one");
    let two = token("b:c:", "str", "two");
    let mac = mac(&["one", "two"]);
    let body = format!(
        "#{}\na: {one} #{}\nb:\n    #{}\n    c: {two}\n#{}\n",
        note(":"),
        note(":"),
        note("b:"),
        token("elsewhere:", "comment", "x")
    );
    let found = opened(&yaml(&body, &mac, "")).unwrap();
    let begins = "# a note\n# a note\na: one\nb:\n    # a note\n    c: two\n#ENC[";
    assert!(found.starts_with(begins), "{found}");
}

#[test]
fn what_does_not_open_says_where_and_shows_nothing() {
    let other = token("b:", "str", "hunter2");
    let own = token("a:", "str", "hunter2");
    let mac = mac(&["hunter2"]);
    let int = token("a:", "int", "hunter2");
    for (body, expected) in [
        (format!("a: {other}\n"), "the value of `a` was changed"),
        ("a: hunter2\n".to_owned(), "`a` is plain"),
        ("a: 1\n".to_owned(), "`a` is plain"),
        (
            format!("a: {own}\nb_unencrypted: {own}\n"),
            "`b_unencrypted` is encrypted",
        ),
        (
            format!("a: {own}\nb_unencrypted: 1\n"),
            "it is of other values",
        ),
        (format!("a: {int}\n"), "it is not what its type says"),
        ("a: ENC[AES256_GCM,x]\n".to_owned(), "is no encrypted value"),
    ] {
        let error = opened(&yaml(&body, &mac, "")).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn what_sops_has_nothing_to_do_with_is_no_file_of_its() {
    let sealed = token("a:", "str", "one");
    for text in [
        "",
        "a: b\n",
        "sops: a tool\n",
        &format!("a: {sealed}\n"),
        &format!("{{\"a\": \"{sealed}\"}}"),
        "about ENC[AES256_GCM,data:..]\nsops:\n",
    ] {
        assert!(
            File::read(text.as_bytes(), LIMITS).unwrap().is_none(),
            "{text}"
        );
    }
    assert!(File::read(&[0xff, 0xfe], LIMITS).unwrap().is_none());
}

#[test]
fn what_sops_had_to_do_with_and_cannot_be_read_is_an_error() {
    let sealed = token("a:", "str", "one");
    for (text, expected) in [
        (format!("a: {sealed}\nsops:\n"), "is no map"),
        (
            format!("a: {sealed}\nsops:\n  x: [\n"),
            "no file that sops wrote",
        ),
        (
            format!("{{\"a\": \"{sealed}\", \"sops\": {{}}"),
            "no file that sops wrote",
        ),
        (
            format!("{{\"a\": \"{sealed}\", \"sops\": {{}}, \"sops\": {{}}}}"),
            "the key `sops` twice",
        ),
        (format!("[a]\nb = {sealed}\n[sops]\n"), "INI"),
        (format!("a={sealed}\nsops_mac={sealed}\n"), "names nobody"),
    ] {
        let error = File::read(text.as_bytes(), LIMITS).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let large = yaml(&format!("# {}\n", "x".repeat(LIMITS.file)), &mac(&[]), "");
    let error = File::read(large.as_bytes(), LIMITS).unwrap_err();
    assert_eq!(error, ReadError::TooLarge(LIMITS.file));
}

proptest! {
    #[test]
    fn texts_go_through_yaml_and_json_unchanged(texts in proptest::collection::vec("[ -~\nü\t]{1,30}", 1..6)) {
        // SOPS writes what cannot be read again of a block that begins so.
        let texts: Vec<&String> = texts.iter().filter(|t| !t.starts_with([' ', '\n', '\t'])).collect();
        let values: Vec<&str> = texts.iter().map(|t| t.as_str()).collect();
        let mac = mac(&values);
        let sealed: Vec<String> = texts.iter().enumerate().map(|(n, t)| token(&format!("k{n}:"), "str", t)).collect();
        let lines: Vec<String> = sealed.iter().enumerate().map(|(n, t)| format!("k{n}: {t}\n")).collect();
        let file = opened(&yaml(&lines.concat(), &mac, "")).unwrap();
        if !texts.is_empty() {
            let read = weir_core::yaml::parse(file.as_bytes(), &weir_core::yaml::Budget::MANIFEST).unwrap();
            for (n, text) in texts.iter().enumerate() {
                let value = read[0].to_json();
                prop_assert_eq!(value[format!("k{n}")].as_str(), Some(text.as_str()), "{}", file);
            }
        }
        let entries: Vec<String> = sealed.iter().enumerate().map(|(n, t)| format!("\"k{n}\": \"{t}\", ")).collect();
        let json = format!("{{{}\"sops\": {}}}", entries.concat(), block(1, &mac, ""));
        let file: serde_json::Value = serde_json::from_str(&opened(&json).unwrap()).unwrap();
        for (n, text) in texts.iter().enumerate() {
            prop_assert_eq!(file[format!("k{n}")].as_str(), Some(text.as_str()));
        }
    }
}
