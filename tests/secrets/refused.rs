//! What does not open: changed files, wrong keys, key files that are none.

use serde_json::{Value, json};
use weir_secrets::Keys;

use super::rig::{LIMITS, MARKER, Rig, open, opener};

#[test]
fn what_was_changed_after_it_was_encrypted_is_refused_as_sops_refuses_it() {
    let rig = Rig::new();
    let yaml = rig.encrypt(
        "s.yaml",
        format!("plain:\n  name: s\nsecret:\n  a: {MARKER}\n  b: second\n"),
        &["--encrypted-regex", "^secret$"],
    );
    let text = String::from_utf8(yaml.clone()).unwrap();
    let token = |key: &str| {
        let line = text
            .lines()
            .find(|l| l.trim().starts_with(&format!("{key}: ENC")));
        line.unwrap().trim().split_once(": ").unwrap().1.to_owned()
    };
    let (a, b, mac) = (token("a"), token("b"), token("mac"));
    let said = |from: &str, to: &str| rig.refused("s.yaml", &yaml, from, to);
    let changed = |token: &str| {
        let (head, data) = token.split_once("data:").unwrap();
        let flip = if data.starts_with('A') { "B" } else { "A" };
        format!("{head}data:{flip}{}", &data[1..])
    };
    for (from, to, expected) in [
        (
            a.clone(),
            changed(&a),
            "the value of `secret.a` was changed after it was encrypted",
        ),
        // A value of another place, of the same file.
        (
            a.clone(),
            b.clone(),
            "the value of `secret.a` was changed after it was encrypted, or comes from another place",
        ),
        (
            a.clone(),
            MARKER.to_owned(),
            "it is partly encrypted: `secret.a` is plain",
        ),
        (
            a.clone(),
            "5".to_owned(),
            "it is partly encrypted: `secret.a` is plain",
        ),
        (
            format!("    b: {b}\n"),
            String::new(),
            "its MAC does not match: it is of other values",
        ),
        (
            "name: s".to_owned(),
            "name: t".to_owned(),
            "its MAC does not match: it is of other values",
        ),
        (
            "name: s".to_owned(),
            "name: s\n    more: x".to_owned(),
            "its MAC does not match",
        ),
        (
            mac.clone(),
            changed(&mac),
            "its MAC does not match: it, or `lastmodified`, was changed",
        ),
        (
            mac,
            b,
            "its MAC does not match: it, or `lastmodified`, was changed",
        ),
        (
            "lastmodified: \"2".to_owned(),
            "lastmodified: \"3".to_owned(),
            "its MAC does not match",
        ),
        (
            a,
            "ENC[AES256_GCM,data:x]".to_owned(),
            "is no encrypted value",
        ),
    ] {
        let why = said(&from, &to);
        assert!(why.contains(expected), "{expected}: {why}");
        assert!(why.starts_with("Secret s (a.yaml:1), data.file: "), "{why}");
        assert!(!why.contains(MARKER), "{why}");
    }
    // Each format has a MAC.
    let env = rig.encrypt("a.env", "A=1\nB=2\n", &[]);
    let line = String::from_utf8(env.clone()).unwrap();
    let line = line.lines().next().unwrap();
    let why = rig.refused("a.env", &env, &format!("{line}\n"), "");
    assert!(why.contains("its MAC does not match"), "{why}");
    let json = rig.encrypt(
        "a.json",
        r#"{"a": "x", "n": 1}"#,
        &["--encrypted-regex", "^a$"],
    );
    let why = rig.refused("a.json", &json, "\"n\": 1", "\"n\": 2");
    assert!(why.contains("its MAC does not match"), "{why}");
}

#[test]
fn an_encrypted_value_where_the_rule_says_plain_is_refused() {
    let rig = Rig::new();
    let flags = ["--encrypted-regex", "^secret$"];
    let sealed = rig.encrypt("s.yaml", "plain: x\nsecret: y\n", &flags);
    let text = String::from_utf8(sealed).unwrap();
    let token = text
        .lines()
        .find_map(|l| l.strip_prefix("secret: "))
        .unwrap();
    let changed = text.replacen("plain: x", &format!("plain: {token}"), 1);
    let why = rig.weir(changed.as_bytes()).unwrap_err();
    assert!(
        why.contains("partly encrypted: `plain` is encrypted"),
        "{why}"
    );
}

#[test]
fn without_the_right_key_it_is_said_whom_the_file_is_for_and_what_the_host_has() {
    let rig = Rig::new();
    let other = rig.sops.key("other").unwrap();
    let sealed = rig.encrypt("a.yaml", "a: 1\n", &[]);
    let why = open(&opener(&[]), &sealed).unwrap_err();
    assert!(
        why.contains("this host has no age key: give one with --age-key-file"),
        "{why}"
    );
    assert!(why.contains(&rig.key.recipient), "{why}");
    let why = open(&opener(&[&other]), &sealed).unwrap_err();
    let named = format!(
        "for {}, and none of this host's keys fits ({})",
        rig.key.recipient, other.recipient
    );
    assert!(why.contains(&named), "{why}");
    assert!(!why.contains(&other.secret().unwrap()), "{why}");
    // One of several is enough, on either side.
    let both = rig
        .sops
        .encrypt(&[&rig.key, &other], "a.yaml", "a: 1\n", &[])
        .unwrap();
    for keys in [&[&rig.key][..], &[&other], &[&other, &rig.key]] {
        assert_eq!(open(&opener(keys), &both).unwrap(), b"a: 1\n");
    }
    assert_eq!(
        open(&opener(&[&other, &rig.key]), &sealed).unwrap(),
        b"a: 1\n"
    );
}

#[test]
fn other_kinds_of_keys_beside_an_age_key_are_no_trouble_and_alone_they_are_named() {
    let rig = Rig::new();
    let sealed = rig.encrypt("a.json", r#"{"a": "x"}"#, &[]);
    let mut file: Value = serde_json::from_slice(&sealed).unwrap();
    let time = "2026-01-02T03:04:05Z";
    file["sops"]["pgp"] =
        json!([{"created_at": time, "enc": "x", "fp": "85D77543B3D624B63CEA9E6DBC17301B491B3F21"}]);
    file["sops"]["kms"] =
        json!([{"arn": "arn:aws:kms:eu-1:1:key/a", "created_at": time, "enc": "x"}]);
    file["sops"]["hc_vault"] = json!([{"vault_address": "https://vault.example", "engine_path": "t", "key_name": "k", "created_at": time, "enc": "x"}]);
    let beside = file.to_string();
    assert_eq!(
        rig.weir(beside.as_bytes()).unwrap(),
        b"{\n\t\"a\": \"x\"\n}\n"
    );
    file["sops"].as_object_mut().unwrap().remove("age");
    let why = rig.weir(file.to_string().as_bytes()).unwrap_err();
    for name in [
        "PGP 85D77543B3D6",
        "AWS KMS arn:aws",
        "Vault https://vault.example t k",
        "age keys only",
    ] {
        assert!(why.contains(name), "{name}: {why}");
    }
    // A key that is split over groups.
    let group = json!({"age": [{"recipient": rig.key.recipient, "enc": "x"}]});
    file["sops"] = json!({"mac": file["sops"]["mac"], "lastmodified": time, "shamir_threshold": 2, "key_groups": [group, group]});
    let why = rig.weir(file.to_string().as_bytes()).unwrap_err();
    assert!(why.contains("several key groups"), "{why}");
}

#[test]
fn a_key_file_is_as_age_keygen_wrote_it_and_nobody_elses_to_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let rig = Rig::new();
    let add = |path: &std::path::Path| {
        let mut keys = Keys::none();
        keys.add_file(path, LIMITS)
            .map(|()| keys.recipients())
            .map_err(|e| e.to_string())
    };
    let found = add(&rig.key.path).unwrap();
    assert_eq!(found[0].to_string(), rig.key.recipient);
    let mode = |mode| {
        std::fs::set_permissions(&rig.key.path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (bits, good) in [
        (0o400, true),
        (0o440, true),
        (0o644, false),
        (0o604, false),
        (0o620, false),
        (0o602, false),
    ] {
        mode(bits);
        match (add(&rig.key.path), good) {
            (Ok(_), true) => {}
            (Err(why), false) => assert!(why.contains("chmod 600"), "{why}"),
            (found, _) => panic!("{bits:o}: {found:?}"),
        }
    }
    mode(0o600);
    let secret = rig.key.secret().unwrap();
    let (start, last) = secret.split_at(secret.len() - 1);
    let typo = format!("{start}{}", if last == "Q" { "P" } else { "Q" });
    for (text, expected) in [
        (String::new(), "holds no key"),
        ("# nothing\n".to_owned(), "holds no key"),
        (format!("# a\n{typo}\n"), "line 2 expected AGE-SECRET-KEY-1"),
        (
            rig.key.recipient.clone(),
            "line 1 expected AGE-SECRET-KEY-1",
        ),
        ("AGE-SECRET-KEY-PQ-1XYZ\n".to_owned(), "post-quantum"),
        ("AGE-PLUGIN-X-1Q\n".to_owned(), "plugin"),
        ("x".repeat(70_000), "larger than"),
        (format!("{secret}\n").repeat(700), ""),
    ] {
        std::fs::write(&rig.key.path, &text).unwrap();
        let found = add(&rig.key.path);
        match expected {
            "" => assert_eq!(found.unwrap().len(), 1),
            _ => {
                let why = found.unwrap_err();
                assert!(why.contains(expected), "{expected}: {why}");
                assert!(!why.contains(&secret) && !why.contains(&typo), "{why}");
            }
        }
    }
    let missing = add(std::path::Path::new("/nowhere/keys.txt")).unwrap_err();
    assert!(
        missing.contains("/nowhere/keys.txt: is not there"),
        "{missing}"
    );
    let folder = add(rig.key.path.parent().unwrap()).unwrap_err();
    assert!(folder.contains("is no file"), "{folder}");
}
