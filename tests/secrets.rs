//! Files of the real `sops`, opened as Weir opens them: the same bytes as `sops --decrypt`, and an error for each that was
//! changed; and what of encrypted files needs no cluster.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weir_core::object::{Object, Origin};
use weir_core::reveal::Reveal as _;
use weir_secrets::{Keys, Opener, SecretLimits};
use weir_tests::sops::{Key, Sops};
use weir_tests::{Listing, Repo, Weir};

const LIMITS: SecretLimits = SecretLimits::HOST;

/// What nobody may see.
const MARKER: &str = "hunter2-sesame";

/// Texts that writers of YAML and JSON stumble over.
const ODD: &[&str] = &[
    "plain",
    "two words",
    "true",
    "No",
    "on",
    "null",
    "~",
    "0644",
    "0o17",
    "0x1F",
    "1_000",
    "12:30:45",
    "1e3",
    "-1.5",
    ".inf",
    ".5",
    "2024-01-02",
    "2024-01-02T03:04:05Z",
    "18446744073709551615",
    "<<",
    "=",
    "-",
    "- a",
    "-a",
    "?",
    "? a",
    ":",
    "a: b",
    "a:b",
    "a #b",
    "a#b",
    "#a",
    "&a",
    "*a",
    "!a",
    "|",
    ">",
    "'",
    "''",
    "\"",
    "a'b",
    "a\"b",
    "%a",
    "@a",
    "`a",
    "{a}",
    "[a]",
    ",a",
    "a,b",
    "---",
    "--- a",
    "...",
    " leading",
    "trailing ",
    "tab\tinside",
    "back\\slash",
    "a\\nb",
    "line\nbreak",
    "line\nbreak\n",
    "two\n\nbreaks\n\n",
    "\nleading break",
    "  indented\n  block",
    "trailing space \nbreak",
    "ends in space ",
    "carriage\r\nreturn",
    "bell\u{7}",
    "nul\u{0}",
    "nbsp\u{a0}",
    "next\u{85}line",
    "line\u{2028}sep",
    "ümläut",
    "日本語",
    "emoji \u{1f600}",
    "<b>&amp;</b>",
    "\u{feff}bom inside",
    "a\u{200b}b",
    "ENC[no]",
    "=====",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----\n",
];

struct Rig {
    sops: Sops,
    key: Key,
}

impl Rig {
    fn new() -> Rig {
        let sops = Sops::new().unwrap();
        let key = sops.key("own").unwrap();
        Rig { sops, key }
    }

    fn encrypt(&self, name: &str, plain: impl AsRef<[u8]>, flags: &[&str]) -> Vec<u8> {
        self.sops.encrypt(&[&self.key], name, plain, flags).unwrap()
    }

    fn opener(&self) -> Opener {
        opener(&[&self.key])
    }

    /// What Weir makes of a file that a Secret holds.
    fn weir(&self, sealed: &[u8]) -> Result<Vec<u8>, String> {
        open(&self.opener(), sealed)
    }

    /// A file is opened as `sops` opens it; the bytes.
    #[track_caller]
    fn same(&self, name: &str, plain: impl AsRef<[u8]>, flags: &[&str]) -> Vec<u8> {
        let sealed = self.encrypt(name, plain, flags);
        let sops = self.sops.decrypt(&self.key, name, &sealed, &[]).unwrap();
        let weir = self
            .weir(&sealed)
            .unwrap_or_else(|e| panic!("{name}: {e}\n{}", String::from_utf8_lossy(&sealed)));
        assert!(
            weir == sops,
            "{name} {flags:?}: sops has\n{}\nWeir has\n{}\nof\n{}",
            String::from_utf8_lossy(&sops),
            String::from_utf8_lossy(&weir),
            String::from_utf8_lossy(&sealed)
        );
        sops
    }

    /// Why Weir does not open a file that somebody changed.
    #[track_caller]
    fn refused(&self, name: &str, sealed: &[u8], from: &str, to: &str) -> String {
        let text = String::from_utf8(sealed.to_vec()).unwrap();
        assert!(text.contains(from), "{from} is not in\n{text}");
        let changed = text.replacen(from, to, 1);
        let by_sops = self.sops.decrypt(&self.key, name, changed.as_bytes(), &[]);
        assert!(by_sops.is_err(), "sops opens it\n{changed}");
        self.weir(changed.as_bytes()).unwrap_err()
    }
}

fn opener(keys: &[&Key]) -> Opener {
    let mut all = Keys::none();
    for key in keys {
        all.add_file(&key.path, LIMITS).unwrap();
    }
    Opener::new(all, LIMITS)
}

fn secret(data: Value) -> Object {
    let body =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data});
    object(body)
}

fn object(body: Value) -> Object {
    let origin = Origin {
        path: "a.yaml".into(),
        line: 1,
    };
    Object::new(body, origin).unwrap()
}

fn open(opener: &Opener, sealed: &[u8]) -> Result<Vec<u8>, String> {
    let object = secret(json!({"file": STANDARD.encode(sealed)}));
    let body = opener.reveal(&object).map_err(|e| e.to_string())?;
    let file = body.expose()["data"]["file"].as_str().unwrap();
    Ok(STANDARD.decode(file).unwrap())
}

#[test]
fn files_of_each_format_come_to_the_bytes_of_sops_decrypt() {
    let rig = Rig::new();
    for (name, plain) in [
        ("a.yaml", "password: hunter2\n".to_owned()),
        ("nested.yaml", "db:\n  user: ada\n  ports: [1, 2]\n  hosts:\n  - name: a\n    weight: 1.5\n  - name: b\n    on: true\nempty: \"\"\nnothing: null\nlist: []\nmap: {}\n".to_owned()),
        ("documents.yaml", "a: 1\n---\nb: two\nc:\n- d\n---\ne: false\n".to_owned()),
        ("quoted.yaml", "a: \"1\"\nb: 'x'\nc: |\n  block\n  of text\nd: >\n  folded\n  text\n".to_owned()),
        ("anchors.yaml", "base: &base\n  a: one\n  b: two\nother:\n  <<: *base\n  c: three\nalias: *base\n".to_owned()),
        ("numbers.yaml", "a: 0644\nb: 1e9\nc: 0x1F\nd: -0.25\ne: 9007199254740993\nf: 2024-01-02\ng: 1234567.5\n".to_owned()),
        ("list.yaml", "- a".replace("- a", "top:\n- - a\n  - b\n- - c\n")),
        ("a.json", r#"{"password": "hunter2", "n": 1, "f": 1.50, "big": 9007199254740993, "b": true, "nil": null, "l": [1, "x", {"y": "<&>"}], "e": "", "o": {}}"#.to_owned()),
        ("a.env", "# a note\nUSER=ada\n\nPASSWORD=hunter2\nMULTI=a\\nb\nEQ=a=b=c\nEMPTY=\nQUOTED=\"x y\"\nSPACE= x \n".to_owned()),
        ("a.bin", "any\u{0}thing\n".to_owned()),
        ("a.txt", String::new()),
        ("tls.key", ODD.last().unwrap().to_string()),
    ] {
        rig.same(name, plain, &[]);
    }
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(rig.same("bytes.bin", &bytes, &[]), bytes);
}

#[test]
fn every_odd_text_comes_to_the_bytes_of_sops_decrypt() {
    let rig = Rig::new();
    let map: serde_json::Map<String, Value> = ODD
        .iter()
        .enumerate()
        .map(|(n, text)| (format!("k{n}"), json!(text)))
        .collect();
    // JSON is YAML, and sops reads it so by the file's name.
    let nested = json!({ "top": map, "deep": { "er": map } });
    rig.same("odd.json", nested.to_string(), &[]);
    for (n, text) in ODD.iter().enumerate() {
        // sops itself writes what cannot be read again of these.
        let leading = text.starts_with([' ', '\n']) && text.contains('\n');
        let maps = json!({ "a": { "b": text, "c": 1 }, "d": text });
        rig.same(&format!("odd{n}.yaml"), maps.to_string(), &[]);
        if !leading {
            let lists = json!({ "a": [text, { "b": text, "c": [text] }], "z": "end" });
            rig.same(&format!("list{n}.yaml"), lists.to_string(), &[]);
        }
    }
}

#[test]
fn comments_stay_and_are_decrypted_as_sops_does() {
    let rig = Rig::new();
    for (n, text) in [
        "# about a\na: 1\n# about b\nb:\n  # within b\n  c: x\n  # behind c\nd: y\n",
        "a: 1 # beside a\nb: 2\n",
        "a: x\nb: 2 # beside b\nc: 3\n",
        "a: x\nlist:\n- one # beside one\n# above two\n- two\n# behind two\n",
        "a:\n  b: x # beside the only one\nc: 1\n",
    ]
    .iter()
    .enumerate()
    {
        rig.same(&format!("comments{n}.yaml"), text, &[]);
    }
}

#[test]
fn each_rule_of_a_file_is_kept() {
    let rig = Rig::new();
    let yaml = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  n: 1\n  t: 2024-01-02\n  f: 1e3\ndata:\n  user_plain: ada\n  password: hunter2\n  x_unencrypted: y\nuser1: z\n";
    for flags in [
        &[][..],
        &["--encrypted-regex", "^(data|stringData)$"],
        &["--unencrypted-regex", "^(metadata|user\\d)$"],
        &["--encrypted-suffix", "password"],
        &["--unencrypted-suffix", "_plain"],
        &["--encrypted-regex", "^data$", "--mac-only-encrypted"],
        &["--mac-only-encrypted"],
    ] {
        rig.same("rule.yaml", yaml, flags);
    }
    let commented = "# keep\na: 1\n# sops:enc\nb: two\nc: three\n";
    rig.same(
        "c.yaml",
        commented,
        &["--encrypted-comment-regex", "sops:enc"],
    );
    rig.same(
        "c.yaml",
        commented,
        &["--unencrypted-comment-regex", "keep"],
    );
}

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
        std::fs::set_permissions(&rig.key.path, std::fs::Permissions::from_mode(mode)).unwrap()
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
    let typo = format!("{}Q", &secret[..secret.len() - 1]);
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

/// A repository with an encrypted Secret, lines and files of a generator, and a machine without any key.
fn repository(rig: &Rig) -> Repo {
    let regex = ["--encrypted-regex", "^(data|stringData)$"];
    let manifest = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  password: {MARKER}\n"
    );
    let mut repo = Repo::empty().unwrap();
    repo.write_text(
        "//- weir.yaml\n\
         version: 1\n\
         apps:\n\
         - { name: web, path: web, target: { namespace: shop } }\n\
         - { name: made, path: made, target: { namespace: shop } }\n\
         //- made/kustomization.yaml\n\
         secretGenerator:\n\
         - { name: files, files: [a.yaml] }\n\
         - { name: lines, envs: [a.env] }\n",
    )
    .unwrap();
    repo.write(
        "web/secret.yaml",
        rig.encrypt("secret.yaml", manifest, &regex),
    )
    .unwrap();
    repo.write(
        "made/a.yaml",
        rig.encrypt("a.yaml", format!("a: {MARKER}\n"), &[]),
    )
    .unwrap();
    repo.write(
        "made/a.env",
        rig.encrypt("a.env", format!("A={MARKER}\n"), &[]),
    )
    .unwrap();
    repo.commit("first").unwrap();
    repo
}

#[test]
fn a_render_and_a_directory_have_the_ciphertext_and_need_no_key() {
    let rig = Rig::new();
    let repo = repository(&rig);
    let weir = Weir::new().unwrap();
    let path = repo.path();
    let path = path.to_str().unwrap();
    let rendered = weir
        .run(["render", "--repo", path])
        .unwrap()
        .success()
        .unwrap();
    assert!(
        rendered.contains("password: ENC[AES256_GCM,data:"),
        "{rendered}"
    );
    let target = format!("dir:{}", weir.path("live").display());
    let sync = ["sync", "--repo", path, "--target", &target];
    weir.run(sync).unwrap().code(0).unwrap();
    let mut held = String::new();
    for file in Listing::read(&weir.path("live")).unwrap().paths() {
        held.push_str(&std::fs::read_to_string(weir.path("live").join(file)).unwrap());
    }
    assert!(held.contains("password: ENC[AES256_GCM,data:"), "{held}");
    assert!(
        held.contains("sops_mac: ") && !held.contains(MARKER),
        "{held}"
    );
    // With a key it is no other.
    let key = rig.key.path.to_str().unwrap();
    let again = weir
        .run(sync.iter().chain(&["--age-key-file", key]))
        .unwrap();
    assert!(again.code(0).unwrap().stderr.contains("nothing to change"));
}

#[test]
fn encrypted_values_of_a_chart_are_refused_with_the_way_out() {
    let rig = Rig::new();
    let weir = Weir::new().unwrap();
    let sealed = rig.encrypt("values.yaml", format!("password: {MARKER}\n"), &[]);
    for (values, file) in [
        (
            "render: { plugin: helm, config: { values: [secret.yaml] } },",
            "chart/secret.yaml",
        ),
        (
            "render: { plugin: helm, config: { values: [/shared/../secret.yaml] } },",
            "secret.yaml",
        ),
        ("", "chart/values.yaml"),
    ] {
        let mut repo = Repo::empty().unwrap();
        repo.write_text(&format!(
            "//- weir.yaml\n\
             version: 1\n\
             apps: [{{ name: chart, path: chart, {values} target: {{ namespace: shop }} }}]\n\
             //- chart/Chart.yaml\n\
             {{ apiVersion: v2, name: chart, version: 1.0.0 }}\n\
             //- chart/templates/a.yaml\n\
             apiVersion: v1\n\
             kind: Secret\n\
             metadata: {{ name: a }}\n\
             stringData: {{ password: {{{{ .Values.password | quote }}}} }}\n"
        ))
        .unwrap();
        repo.write(file, &sealed).unwrap();
        repo.commit("first").unwrap();
        let path = repo.path();
        let ran = weir
            .run(["render", "--repo", path.to_str().unwrap()])
            .unwrap()
            .code(1)
            .unwrap();
        let said = format!("app `chart`: {file} is encrypted with SOPS");
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
        assert!(ran.stderr.contains("existingSecret"), "{}", ran.stderr);
    }
}

#[test]
fn an_object_that_is_encrypted_as_a_whole_is_told_how_to_encrypt() {
    let rig = Rig::new();
    let weir = Weir::new().unwrap();
    let mut repo = Repo::empty().unwrap();
    repo.write_text("//- weir.yaml\nversion: 1\napps: [{ name: web, path: web, target: { namespace: shop } }]\n")
        .unwrap();
    let manifest = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  a: b\n";
    repo.write("web/secret.yaml", rig.encrypt("s.yaml", manifest, &[]))
        .unwrap();
    repo.commit("first").unwrap();
    let path = repo.path();
    let ran = weir
        .run(["render", "--repo", path.to_str().unwrap()])
        .unwrap()
        .code(1)
        .unwrap();
    let said = "web/secret.yaml:1: `apiVersion` is encrypted with SOPS";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("--encrypted-regex '^(data|stringData)$'"),
        "{}",
        ran.stderr
    );
}
