//! Keys that are missing, wrong, rotated, or those of another time.

use std::fs;
use std::path::Path;

use weir_tests::scene::{SOON, map};
use weir_tests::sops::Key;

use super::rig::{MARKER, Rig};

#[test]
fn without_its_key_an_app_fails_with_what_is_missing_and_diff_shows_the_rest() {
    let mut rig = Rig::new("keyless");
    rig.encrypt_secret(MARKER);
    rig.commit();
    let own = &rig.key.recipient;
    let other = rig.sops.key("other").unwrap();
    let object = format!(
        "Secret {}/db (web/secret.yaml:1): it is encrypted for {own}",
        rig.scene.namespace
    );
    let nothing_is_there = || {
        assert!(rig.secret("db").is_none() && rig.scene.map("a").is_err());
        rig.scene.map("beside").unwrap();
    };
    let ran = rig.scene.sync(&[]).unwrap().code(1).unwrap();
    let said = format!("{object}, and this host has no age key: give one with --age-key-file");
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    nothing_is_there();
    let ran = rig.sync(&other).code(1).unwrap();
    let said = format!(
        "{object}, and none of this host's keys fits ({})",
        other.recipient
    );
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    nothing_is_there();
    let missing = Key {
        path: "/nowhere/keys.agekey".into(),
        recipient: String::new(),
    };
    let ran = rig.sync(&missing).code(1).unwrap();
    assert!(
        ran.stderr
            .contains("age key file /nowhere/keys.agekey: is not there"),
        "{}",
        ran.stderr
    );
    nothing_is_there();

    rig.synced();
    rig.encrypt_secret(&format!("{MARKER}-2"));
    rig.scene.push("web/a.yaml", &map("a", "two")).unwrap();
    for key in [None, Some(&missing), Some(&other)] {
        let shown = rig.diff(key).code(0).unwrap().stdout;
        assert!(shown.contains("data.value: \"one\" -> \"two\""), "{shown}");
        assert!(shown.contains("it is encrypted"), "{shown}");
        assert!(!shown.contains("data.password"), "{shown}");
    }
    let shown = rig.diff(Some(&rig.key)).code(0).unwrap().stdout;
    let masked = "~ data.password: (secret, before) -> (secret, after)\n";
    assert!(
        shown.contains(masked) && !shown.contains("data.user"),
        "{shown}"
    );
    assert!(
        !shown.contains(MARKER) && !shown.contains("sops"),
        "{shown}"
    );
}

#[test]
fn a_key_is_rotated_while_a_host_runs_and_a_hand_edit_is_healed() {
    let mut rig = Rig::new("rotate");
    rig.encrypt_secret(MARKER);
    rig.commit();
    let file = rig.scene.weir.path("keys.agekey");
    let mut serving = rig.serve(&file);
    // Not there yet: said, and looked for again.
    serving
        .wait_for_text("keys.agekey: is not there", SOON)
        .unwrap();
    put(&rig.key.path, &file);
    serving
        .wait_for("the app lands", SOON, |line| {
            line.contains("synced to") && line.contains("\"app\":\"web\"")
        })
        .unwrap();
    rig.holds("db", "password", MARKER);
    // A change by hand is undone, to the value and not to its ciphertext.
    let patch = r#"{"data":{"token":"YnkgaGFuZA=="}}"#;
    rig.scene
        .edit(&["patch", "secret", "db", "--patch", patch])
        .unwrap();
    serving.wait_for_text("synced to", SOON).unwrap();
    rig.holds("db", "token", &format!("token of {MARKER}"));
    // The new key, then a commit that is encrypted for it alone.
    let next = rig.sops.key("next").unwrap();
    put(&next.path, &file);
    let old = std::mem::replace(&mut rig.key, next);
    rig.encrypt_secret(&format!("{MARKER}-2"));
    rig.commit();
    rig.until_holds("db", "password", &format!("{MARKER}-2"));
    // One that is encrypted for the old key fails, and says for which; the next good one lands.
    let current = std::mem::replace(&mut rig.key, old);
    rig.encrypt_secret(&format!("{MARKER}-3"));
    rig.commit();
    let said = format!("none of this host's keys fits ({})", current.recipient);
    serving.wait_for_text(&said, SOON).unwrap();
    rig.key = current;
    rig.encrypt_secret(&format!("{MARKER}-4"));
    rig.commit();
    rig.until_holds("db", "password", &format!("{MARKER}-4"));
    serving.terminate(SOON).unwrap();
    assert!(!serving.transcript().contains(MARKER));
}

/// A file that is exchanged at once, for this user alone.
fn put(from: &Path, to: &Path) {
    let new = to.with_extension("new");
    fs::copy(from, &new).unwrap();
    fs::rename(&new, to).unwrap();
}

#[test]
fn keys_come_from_a_secret_of_the_hosts_own_cluster_and_rotate_with_it() {
    let mut rig = Rig::new("keyring");
    rig.encrypt_secret(MARKER);
    rig.commit();
    let namespace = rig.scene.namespace.clone();
    let config = rig.scene.weir.path("host.yaml");
    let url = rig.scene.server.url("work");
    fs::write(
        &config,
        format!(
            "version: 1\nlisten: 127.0.0.1:0\nrepositories:\n- url: {url}\n  interval: 200ms\n  targets: {{ default: 'kube:' }}\n  decrypt: {{ age-key-secret: {namespace}/age-keys }}\n"
        ),
    )
    .unwrap();
    let words = ["serve", "--config", config.to_str().unwrap()];
    let mut serving = rig.scene.weir.start(words).unwrap();
    let missing = format!("there is no Secret {namespace}/age-keys");
    serving.wait_for_text(&missing, SOON).unwrap();
    let make = |name: &str, key: &Key| {
        let from = format!("--from-file={name}={}", key.path.display());
        rig.scene
            .edit(&["create", "secret", "generic", "age-keys", &from])
            .unwrap();
    };
    make("identity", &rig.key);
    serving
        .wait_for_text("whose name ends with .agekey", SOON)
        .unwrap();
    rig.scene.edit(&["delete", "secret", "age-keys"]).unwrap();
    make("a.agekey", &rig.key);
    rig.until_holds("db", "password", MARKER);
    let next = rig.sops.key("next").unwrap();
    rig.scene.edit(&["delete", "secret", "age-keys"]).unwrap();
    make("b.agekey", &next);
    rig.key = next;
    rig.encrypt_secret(&format!("{MARKER}-2"));
    rig.commit();
    rig.until_holds("db", "password", &format!("{MARKER}-2"));
    serving.terminate(SOON).unwrap();
    assert!(!serving.transcript().contains(MARKER));
}

#[test]
fn a_rollback_opens_what_was_encrypted_then() {
    let mut rig = Rig::new("back");
    rig.encrypt_secret(MARKER);
    rig.commit();
    rig.synced();
    let first = rig.key.clone();
    rig.key = rig.sops.key("next").unwrap();
    rig.encrypt_secret(&format!("{MARKER}-2"));
    rig.commit();
    rig.synced();
    rig.holds("db", "password", &format!("{MARKER}-2"));
    let words = [
        "rollback",
        "web",
        "--to",
        "previous",
        "--yes",
        "--why",
        "the second is bad",
    ];
    rig.scene.weir.run(words).unwrap().success().unwrap();
    // For its key, which this host has no more.
    let ran = rig.sync(&rig.key).code(1).unwrap();
    let said = format!(
        "encrypted for {}, and none of this host's keys fits",
        first.recipient
    );
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    rig.sync(&first).code(4).unwrap();
    rig.holds("db", "password", MARKER);
}
