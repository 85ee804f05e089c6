//! Secrets that the real `sops` encrypted, on a real API server: decrypted in it and nowhere else, or refused with a reason.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use weir_tests::control_plane::{ControlPlane, wait};
use weir_tests::scene::{SOON, Scene, map};
use weir_tests::sops::{Key, Sops};
use weir_tests::{Ran, Serving};

/// What nobody may see, in each value.
const MARKER: &str = "hunter2-sesame";
/// What is encrypted of a Secret manifest.
const VALUES: [&str; 2] = ["--encrypted-regex", "^(data|stringData)$"];

/// Two apps in one namespace, `web` of plain YAML and `made` of Kustomize, a key, and `sops`.
struct Rig {
    scene: Scene<'static>,
    sops: Sops,
    key: Key,
}

impl Rig {
    fn new(prefix: &str) -> Rig {
        let scene = Scene::new(ControlPlane::shared().unwrap(), prefix).unwrap();
        let sops = Sops::new().unwrap();
        let key = sops.key("own").unwrap();
        let mut rig = Rig { scene, sops, key };
        let namespace = &rig.scene.namespace;
        rig.scene
            .repo
            .write_text(&format!(
                "//- weir.yaml\n\
                 version: 1\n\
                 apps:\n\
                 - {{ name: web, path: web, target: {{ namespace: {namespace} }} }}\n\
                 - {{ name: made, path: made, target: {{ namespace: {namespace} }} }}\n\
                 //- made/kustomization.yaml\n\
                 generatorOptions: {{ disableNameSuffixHash: true }}\n\
                 configMapGenerator:\n\
                 - {{ name: beside, literals: [a=b] }}\n"
            ))
            .unwrap();
        rig.commit();
        rig
    }

    fn commit(&mut self) {
        self.scene.repo.commit("change").unwrap();
    }

    fn encrypted(&self, name: &str, plain: impl AsRef<[u8]>, flags: &[&str]) -> Vec<u8> {
        self.sops.encrypt(&[&self.key], name, plain, flags).unwrap()
    }

    /// A file of the repository, encrypted on its way; what it is.
    fn encrypt(&self, path: &str, plain: impl AsRef<[u8]>, flags: &[&str]) -> String {
        let name = path.rsplit('/').next().unwrap();
        let sealed = self.encrypted(name, plain, flags);
        self.scene.repo.write(path, &sealed).unwrap();
        String::from_utf8(sealed).unwrap()
    }

    /// A Secret manifest in app `web`, encrypted as the documentation says.
    fn encrypt_secret(&self, password: &str) -> String {
        self.encrypt("web/secret.yaml", secret(password), &VALUES)
    }

    fn sync(&self, key: &Key) -> Ran {
        let path = key.path.to_str().unwrap();
        self.scene.sync(&["--age-key-file", path]).unwrap()
    }

    fn synced(&self) -> String {
        self.sync(&self.key).code(0).unwrap().stderr
    }

    /// What a Secret's key holds in the cluster; nothing where there is none.
    fn value(&self, secret: &str, key: &str) -> Option<Vec<u8>> {
        let found = self.secret(secret)?;
        let value = found["data"].get(key)?.as_str()?;
        Some(STANDARD.decode(value).unwrap())
    }

    fn secret(&self, name: &str) -> Option<Value> {
        let namespace = &self.scene.namespace;
        let words = [
            "get",
            "secret",
            name,
            "--namespace",
            namespace,
            "--ignore-not-found",
            "-o",
            "json",
        ];
        let text = self.scene.kubectl.text(&words).unwrap();
        (!text.trim().is_empty()).then(|| serde_json::from_str(&text).unwrap())
    }

    #[track_caller]
    fn holds(&self, secret: &str, key: &str, expected: &str) {
        let found = self
            .value(secret, key)
            .map(|v| String::from_utf8(v).unwrap());
        assert_eq!(found.as_deref(), Some(expected), "{secret}.{key}");
    }

    /// `weir COMMAND` for the repository, with the key or without.
    fn diff(&self, key: Option<&Key>) -> Ran {
        let url = self.scene.server.url("work");
        let mut words = vec!["diff", "--live", "--repo", &url, "--target", "kube:"];
        if let Some(key) = key {
            words.extend(["--age-key-file", key.path.to_str().unwrap()]);
        }
        self.scene.weir.run(words).unwrap()
    }

    fn serve(&self, key: &Path) -> Serving {
        let url = self.scene.server.url("work");
        let words = [
            "serve",
            "--repo",
            &url,
            "--target",
            "kube:",
            "--interval",
            "200ms",
            "--listen",
            "127.0.0.1:0",
            "--age-key-file",
            key.to_str().unwrap(),
        ];
        self.scene.weir.start(words).unwrap()
    }

    fn until_holds(&self, secret: &str, key: &str, expected: &str) {
        let what = format!("{secret}.{key} is {expected}");
        wait::until(SOON, &what, || {
            let found = self.value(secret, key);
            Ok((found.as_deref() == Some(expected.as_bytes())).then_some(()))
        })
        .unwrap();
    }
}

fn secret(password: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ntype: Opaque\nstringData:\n  password: {password}\n  user: ada\ndata:\n  token: {}\n",
        STANDARD.encode(format!("token of {password}"))
    )
}

/// Files and lines of an app that Kustomize makes Secrets of.
fn generators(rig: &Rig) {
    rig.scene
        .repo
        .write_text(
            "//- made/kustomization.yaml\n\
             namePrefix: my-\n\
             generatorOptions: { disableNameSuffixHash: true }\n\
             resources: [secret.yaml]\n\
             secretGenerator:\n\
             - { name: files, files: [a.yaml, a.json, a.bin, renamed=a.env, plain.txt] }\n\
             - { name: lines, envs: [a.env] }\n\
             //- made/plain.txt\n\
             not a secret\n",
        )
        .unwrap();
    let long = format!("{MARKER} ").repeat(40);
    rig.encrypt("made/secret.yaml", secret(&format!("{MARKER}-2")), &VALUES);
    rig.encrypt(
        "made/a.yaml",
        format!("# of the database\ndb:\n  password: {MARKER}\n  port: 5432\n  long: {long}\n  key: |\n    one\n    two\n"),
        &[],
    );
    rig.encrypt(
        "made/a.json",
        format!(r#"{{"password": "{MARKER}", "n": [1, true]}}"#),
        &[],
    );
    rig.encrypt("made/a.bin", [b"\x00\xff", MARKER.as_bytes()].concat(), &[]);
    rig.encrypt(
        "made/a.env",
        format!("# lines\nPASSWORD={MARKER}\nTWO=a\\nb\nEQ=a=b\n"),
        &[],
    );
}

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
    let said = rig.synced();
    assert!(said.contains("nothing to change"), "{said}");
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
    let mut files = Vec::new();
    for dir in ["state", "cache", "home", "config", "tmp"] {
        read_all(&rig.scene.weir.path(dir), &mut files);
    }
    // Git's packs are compressed: what was pushed is looked for in what is kept of renders.
    let token = sealed
        .lines()
        .find_map(|l| l.trim().strip_prefix("password: "))
        .unwrap();
    let keeps = |needle: &str| files.iter().any(|f| contains(f, needle.as_bytes()));
    assert!(
        keeps(token),
        "the ciphertext is kept, so that the search finds what there is"
    );
    assert!(files.len() > 5);
    let key = rig.key.secret().unwrap();
    for bytes in said.iter().chain(&files) {
        for needle in [MARKER, &key].into_iter().flat_map(forms) {
            let at = bytes
                .windows(needle.len())
                .position(|w| w == needle.as_bytes());
            if let Some(at) = at {
                let around = &bytes[at.saturating_sub(200)..(at + 100).min(bytes.len())];
                panic!("{needle} is shown: {}", String::from_utf8_lossy(around));
            }
        }
    }
    rig.holds("db", "password", &format!("{MARKER}-next"));
}

/// A text as it may stand somewhere: as it is, in base64 at each of the three places in a group, in hex.
fn forms(text: &str) -> Vec<String> {
    let mut all = vec![text.to_owned(), hex::encode(text), hex::encode_upper(text)];
    for shift in 0..3 {
        let shifted = [&vec![0; shift][..], text.as_bytes()].concat();
        let encoded = STANDARD.encode(shifted);
        // Its first and its last characters depend on what is around.
        let whole = encoded.trim_end_matches('=');
        all.push(whole[(shift * 8).div_ceil(6)..whole.len() - 1].to_owned());
    }
    all
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|w| w == needle)
}

fn read_all(dir: &Path, out: &mut Vec<Vec<u8>>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            read_all(&entry.path(), out);
        } else if kind.is_file() {
            out.push(fs::read(entry.path()).unwrap());
        }
    }
}

#[test]
fn what_was_changed_is_refused_before_anything_is_staked_and_other_apps_go_on() {
    let mut rig = Rig::new("changed");
    let sealed = rig.encrypt_secret(MARKER);
    let line = |key: &str| {
        let line = sealed
            .lines()
            .find(|l| l.trim().starts_with(&format!("{key}: ENC")));
        line.unwrap().to_owned()
    };
    let token = |key: &str| line(key).trim().split_once(": ").unwrap().1.to_owned();
    let flip = |text: &str| {
        let (head, data) = text.split_once("data:").unwrap();
        let other = if data.starts_with('A') { "B" } else { "A" };
        format!("{head}data:{other}{}", &data[1..])
    };
    let source = "source file web/secret.yaml: ";
    for (from, to, expected) in [
        (
            token("mac"),
            flip(&token("mac")),
            format!("{source}its MAC does not match: it, or `lastmodified`"),
        ),
        (
            token("password"),
            flip(&token("password")),
            "the value of `stringData.password` was changed".to_owned(),
        ),
        (
            token("password"),
            token("user"),
            "the value of `stringData.password` was changed after it was encrypted, or comes from"
                .to_owned(),
        ),
        (
            token("password"),
            MARKER.to_owned(),
            "partly encrypted: `stringData.password` is plain".to_owned(),
        ),
        (
            format!("{}\n", line("user")),
            String::new(),
            format!("{source}its MAC does not match: it is of other values"),
        ),
        (
            "name: db".to_owned(),
            "name: db2".to_owned(),
            format!("{source}its MAC does not match: it is of other values"),
        ),
        (
            "stringData:".to_owned(),
            format!("stringData:\n    more: {MARKER}"),
            "partly encrypted: `stringData.more` is plain".to_owned(),
        ),
        (
            "    name: db".to_owned(),
            format!("    name: db\n    labels:\n        a: {}", token("user")),
            "`metadata.labels.a` is encrypted with SOPS".to_owned(),
        ),
        (
            "kind: Secret".to_owned(),
            "kind: ConfigMap".to_owned(),
            "it has a `sops` block, and Weir decrypts Secrets only".to_owned(),
        ),
    ] {
        assert!(sealed.contains(&from), "{from}");
        rig.scene
            .repo
            .write("web/secret.yaml", sealed.replacen(&from, &to, 1))
            .unwrap();
        let name = format!("round-{}", rig.scene.repo.head().unwrap());
        rig.scene
            .repo
            .write_text(&format!("//- made/kustomization.yaml\nconfigMapGenerator: [{{ name: {name}, literals: [a=b], options: {{ disableNameSuffixHash: true }} }}]\n"))
            .unwrap();
        rig.commit();
        let ran = rig.sync(&rig.key).code(1).unwrap();
        assert!(ran.stderr.contains(&expected), "{expected}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("Nothing of the app is applied"),
            "{}",
            ran.stderr
        );
        assert!(!ran.stderr.contains(MARKER), "{}", ran.stderr);
        assert!(rig.secret("db").is_none() && rig.scene.map("a").is_err());
        rig.scene.map(&name).unwrap();
    }
    // Put right, all of it lands.
    rig.encrypt_secret(MARKER);
    rig.commit();
    rig.synced();
    rig.holds("db", "password", MARKER);
    rig.scene.map("a").unwrap();
}

#[test]
fn ciphertext_that_nothing_decrypts_is_never_put_into_a_cluster() {
    let mut rig = Rig::new("bare");
    let sealed = rig.encrypted("a.yaml", format!("a: {MARKER}\n"), &[]);
    let text = String::from_utf8(sealed.clone()).unwrap();
    let token = text.lines().find_map(|l| l.strip_prefix("a: ")).unwrap();
    let of_secret = |field: &str, value: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: db }}\n{field}: {{ a: \"{value}\" }}\n"
        )
    };
    let maps = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: db }\n";
    for (object, expected) in [
        (
            format!("{maps}data: {{ a: \"{token}\" }}\n"),
            "`data.a` is encrypted with SOPS, and Weir decrypts only",
        ),
        (
            format!("{maps}data: {{ a: \"x {token} y\" }}\n"),
            "`data.a` is encrypted with SOPS",
        ),
        (
            format!("{maps}binaryData: {{ a: {} }}\n", STANDARD.encode(&sealed)),
            "`binaryData.a` is encrypted with SOPS",
        ),
        (
            of_secret("stringData", token),
            "`stringData.a` is encrypted with SOPS, and the `sops` block",
        ),
        (
            of_secret("data", &STANDARD.encode(token)),
            "`data.a` is encrypted with SOPS, and the `sops` block",
        ),
        (
            of_secret("data", &STANDARD.encode(format!("x={token}"))),
            "`data.a` is encrypted with SOPS, and the `sops` block",
        ),
        (
            format!(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: db }}\nspec: {{ selector: {{ matchLabels: {{ a: b }} }}, template: {{ metadata: {{ labels: {{ a: b }} }}, spec: {{ containers: [{{ name: a, image: b, env: [{{ name: A, value: \"{token}\" }}] }}] }} }} }}\n"
            ),
            "`spec.template.spec.containers.env.value` is encrypted with SOPS",
        ),
    ] {
        rig.scene.push("web/object.yaml", &object).unwrap();
        let ran = rig.sync(&rig.key).code(1).unwrap();
        assert!(ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
        assert!(rig.secret("db").is_none() && rig.scene.map("a").is_err());
        rig.scene.map("beside").unwrap();
        // Who only looks is told the same.
        let shown = rig.diff(Some(&rig.key)).code(0).unwrap().stdout;
        assert!(shown.contains(expected), "{shown}");
        assert!(
            shown.contains("created ConfigMap"),
            "the rest is shown: {shown}"
        );
    }
    // A sentence about it is none.
    let about = "values such as ENC[AES256_GCM,data:...,iv:...,tag:...,type:str] are decrypted";
    rig.scene
        .push("web/object.yaml", &map("db", &format!("\"{about}\"")))
        .unwrap();
    rig.scene.sync(&[]).unwrap().code(0).unwrap();
}

#[test]
fn half_plain_lines_and_files_of_two_minds_are_refused() {
    let mut rig = Rig::new("half");
    let env = rig.encrypt("made/a.env", format!("A={MARKER}\nB=2\n"), &[]);
    let made = "//- made/kustomization.yaml\nsecretGenerator:\n";
    let lines = format!("{made}- {{ name: lines, envs: [a.env], literals: [\"C=plain\"] }}\n");
    rig.scene.repo.write_text(&lines).unwrap();
    rig.commit();
    let refused = |rig: &Rig, expected: &str| {
        let ran = rig.sync(&rig.key).code(1).unwrap();
        assert!(ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
        assert!(!ran.stderr.contains(MARKER), "{}", ran.stderr);
    };
    refused(&rig, "partly encrypted: `data.C` is plain");
    // A line that went, and one that changed its name: only the source shows it.
    rig.scene
        .repo
        .write_text(&format!("{made}- {{ name: lines, envs: [a.env] }}\n"))
        .unwrap();
    let first = env.lines().next().unwrap();
    rig.scene
        .push("made/a.env", &env.replacen(&format!("{first}\n"), "", 1))
        .unwrap();
    refused(
        &rig,
        "source file made/a.env: its MAC does not match: it is of other values",
    );
    rig.scene
        .push("made/a.env", &env.replacen("A=", "D=", 1))
        .unwrap();
    refused(
        &rig,
        "the value of `data.D` was changed after it was encrypted",
    );
    // JSON by its name, and what sops makes of a binary file by its form.
    rig.scene
        .repo
        .write_text(&format!("{made}- {{ name: files, files: [a.json] }}\n"))
        .unwrap();
    rig.encrypt("made/a.json", format!(r#"{{"data": "{MARKER}"}}"#), &[]);
    rig.commit();
    refused(&rig, "the file made/a.json is JSON by its name");
    let ini = rig.encrypted("a.ini", format!("[a]\nb = {MARKER}\n"), &[]);
    rig.scene
        .push("made/a.json", &String::from_utf8(ini).unwrap())
        .unwrap();
    refused(&rig, "it is an INI file, which Weir does not decrypt");
    rig.encrypt(
        "made/a.json",
        format!(r#"{{"data": "{MARKER}", "more": 1}}"#),
        &[],
    );
    rig.commit();
    rig.synced();
}

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
    rig.until_holds("db", "password", MARKER);
    // A change by hand is undone, to the value and not to its ciphertext.
    let patch = r#"{"stringData":{"password":"by hand"}}"#;
    rig.scene
        .edit(&["patch", "secret", "db", "--patch", patch])
        .unwrap();
    rig.until_holds("db", "password", MARKER);
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
