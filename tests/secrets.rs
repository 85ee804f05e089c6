//! Files of the real `sops`, opened as Weir opens them: the same bytes as `sops --decrypt`, and an error for each that was
//! changed; and what of encrypted files needs no cluster.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

#[path = "secrets/offline.rs"]
mod offline;
#[path = "secrets/refused.rs"]
mod refused;
#[path = "secrets/rig.rs"]
mod rig;

use rig::Rig;
use serde_json::{Value, json};

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
        if text.contains('\u{2028}') {
            // sops writes it as another text for those who read YAML 1.2.
            let sealed = rig.encrypt(&format!("odd{n}.yaml"), maps.to_string(), &[]);
            let why = rig.weir(&sealed).unwrap_err();
            assert!(why.contains("line separator"), "{why}");
            continue;
        }
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
