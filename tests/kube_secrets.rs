//! Secrets that the real `sops` encrypted, on a real API server: decrypted in it and nowhere else, or refused with a reason.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

#[path = "kube_secrets/keys.rs"]
mod keys;
#[path = "kube_secrets/refused.rs"]
mod refused;
#[path = "kube_secrets/rig.rs"]
mod rig;

use std::fs;

use rig::{MARKER, Rig, VALUES, generators, secret};
use weir_tests::Ran;
use weir_tests::sweep::Sweep;

#[test]
fn each_form_lands_decrypted_and_a_second_sync_writes_nothing() {
    let mut rig = Rig::new("sops");
    generators(&rig);
    rig.encrypt_secret(MARKER);
    rig.commit();
    rig.synced();
    rig.holds("db", "password", MARKER);
    rig.holds("db", "user", "ada");
    rig.holds("db", "token", &format!("token of {MARKER}"));
    assert!(rig.secret("db").unwrap().get("sops").is_none());
    rig.holds("my-db", "password", &format!("{MARKER}-2"));
    for (key, file) in [
        ("a.yaml", "a.yaml"),
        ("a.json", "a.json"),
        ("a.bin", "a.bin"),
        ("renamed", "a.env"),
    ] {
        let sealed = fs::read(rig.scene.repo.path().join("made").join(file)).unwrap();
        let plain = rig.sops.decrypt(&rig.key, file, &sealed, &[]).unwrap();
        assert_eq!(rig.value("my-files", key), Some(plain), "{key}");
    }
    rig.holds("my-files", "plain.txt", "not a secret\n");
    // As Kustomize has the lines of the decrypted file.
    rig.holds("my-lines", "PASSWORD", MARKER);
    rig.holds("my-lines", "TWO", "a\\nb");
    rig.holds("my-lines", "EQ", "a=b");
    let lines = rig.secret("my-lines").unwrap();
    assert_eq!(lines["data"].as_object().unwrap().len(), 3, "{lines}");

    let mark = rig.scene.plane.audit().mark().unwrap();
    rig.synced();
    // A commit that changes nothing of them, too, and no key is asked for where nothing is written.
    rig.scene.push("readme.md", "more").unwrap();
    rig.scene.sync(&[]).unwrap().code(0).unwrap();
    let asked = rig.scene.plane.audit().since(mark).unwrap();
    let wrote = asked.iter().filter(|e| {
        e.namespace == rig.scene.namespace && !matches!(e.verb.as_str(), "get" | "list" | "watch")
    });
    assert_eq!(wrote.count(), 0, "{asked:?}");
}

#[test]
fn what_is_decrypted_is_in_no_file_and_no_output() {
    let mut rig = Rig::new("hidden");
    generators(&rig);
    let sealed = rig.encrypt_secret(MARKER);
    rig.commit();
    rig.scene
        .weir
        .variable("WEIR_LOG", "trace,kube_client=trace,hyper=trace");
    let mut said = Vec::new();
    let mut heard = |ran: Ran| said.extend([ran.stdout.into_bytes(), ran.stderr.into_bytes()]);
    heard(rig.diff(Some(&rig.key)).code(0).unwrap());
    heard(rig.sync(&rig.key).code(0).unwrap());
    // What the API server does not take is not shown by its answer either.
    let wrong = secret(MARKER).replace("token: ", "token: \"!!\" # ");
    let wrong = wrong.replace("type: Opaque", "type: kubernetes.io/tls");
    rig.encrypt("web/secret.yaml", wrong, &VALUES);
    rig.commit();
    heard(rig.sync(&rig.key).code(1).unwrap());
    heard(rig.diff(Some(&rig.key)).code(0).unwrap());
    rig.encrypt_secret(&format!("{MARKER}-next"));
    rig.commit();
    heard(rig.diff(Some(&rig.key)).code(0).unwrap());
    heard(rig.sync(&rig.key).code(0).unwrap());
    let url = rig.scene.server.url("work");
    let receipt = rig.scene.weir.path("receipt");
    let receipt = receipt.to_str().unwrap();
    for words in [
        &["render", "--repo", &url][..],
        &["diff", "--repo", &url, "--from", "HEAD~2", "--to", "HEAD"],
        &["history", "web", "-o", "json"],
        &["apps", "-o", "json"],
        &["trace", "secret/db", "--namespace", &rig.scene.namespace],
        &[
            "receipts", "export", "--repo", &url, "--app", "web", "--output", receipt,
        ],
    ] {
        heard(rig.scene.weir.run(words).unwrap());
    }
    let secrets = [
        ("a value", MARKER.to_owned()),
        ("the key", rig.key.secret().unwrap()),
    ];
    let secrets = Sweep::of(secrets).unwrap();
    for bytes in &said {
        let found = secrets.find(bytes);
        assert!(
            found.is_empty(),
            "{found:?}: {}",
            String::from_utf8_lossy(bytes)
        );
    }
    // The ciphertext is kept, so that the search finds what there is.
    let token = sealed
        .lines()
        .find_map(|l| l.trim().strip_prefix("password: "))
        .unwrap();
    let ciphertext = Sweep::of([("ciphertext", token)]).unwrap();
    let mut keeps = 0;
    for dir in ["state", "cache", "home", "config", "tmp"] {
        let dir = rig.scene.weir.path(dir);
        let found = secrets.find_below(&dir).unwrap();
        assert!(found.is_empty(), "{found:?}");
        keeps += ciphertext.find_below(&dir).unwrap().len();
    }
    assert!(keeps > 0);
    rig.holds("db", "password", &format!("{MARKER}-next"));
}
