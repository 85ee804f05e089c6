//! Weir reads YAML as `sigs.k8s.io/yaml` does: a corpus of tricky streams goes through both.
//!
//! The Go side is `tests/yaml-differential`; `WEIR_YAML_ORACLE` names its built binary, otherwise it is
//! built into the cache. Streams lie in `corpus/*.yaml`, each after a line `=== its name`. A name that
//! says "(escaped)" has `\t`, `\r`, `\n` and `\uXXXX` replaced first; "(no final newline)" loses its last
//! newline. `corpus/exceptions.txt` names where Weir differs on purpose, how and why.
#![expect(clippy::panic, reason = "a test says what is wrong by failing")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use weir_core::yaml::{self, Budget};

#[path = "yaml-differential/combined.rs"]
mod combined;

#[test]
fn weir_reads_every_stream_of_the_corpus_as_kubernetes_does() {
    let streams = corpus();
    assert!(
        streams.len() >= 120,
        "the corpus has only {} streams",
        streams.len()
    );
    let mut exceptions = exceptions();
    let answers = ask_oracle(streams.values().map(Vec::as_slice));
    let mut differences = Vec::new();
    for ((name, stream), answer) in streams.iter().zip(&answers) {
        let found = compare(stream, answer);
        let excepted = exceptions.remove(name.as_str());
        if found.as_ref().map(|(kind, _)| *kind) == excepted.as_deref() {
            continue;
        }
        differences.push(match (found, excepted) {
            (Some((kind, text)), None) => format!("{name}: {kind}: {text}"),
            (Some((kind, text)), Some(listed)) => {
                format!("{name}: listed as {listed}, but {kind}: {text}")
            }
            (None, _) => format!("{name}: listed as an exception, but Weir and Go agree"),
        });
    }
    differences.extend(
        exceptions
            .keys()
            .map(|name| format!("{name}: an exception for a stream that is not there")),
    );
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

/// `combined.txt` lists, as `kind: stream` with the stream as Rust writes it, where the two differ.
#[test]
fn weir_and_kubernetes_agree_on_tricky_scalars_at_every_place() {
    let streams = combined::streams();
    let answers = ask_oracle(streams.iter().map(String::as_bytes));
    let mut seen = BTreeMap::new();
    for (stream, answer) in streams.iter().zip(&answers) {
        if let Some((kind, text)) = compare(stream.as_bytes(), answer) {
            seen.insert(format!("{kind}: {stream:?}"), text);
        }
    }
    let file = oracle_source().join("combined.txt");
    let text = std::fs::read_to_string(&file).expect("combined.txt can be read");
    let mut listed: Vec<&str> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let mut wrong: Vec<String> = listed
        .iter()
        .filter(|line| line.starts_with("different"))
        .map(|line| format!("{line}: a difference in values cannot be listed"))
        .collect();
    for (line, text) in &seen {
        match listed.iter().position(|known| known == line) {
            Some(at) => drop(listed.swap_remove(at)),
            None => wrong.push(format!("{line}: {text}")),
        }
    }
    wrong.extend(
        listed
            .iter()
            .map(|line| format!("{line}: listed, but both agree")),
    );
    assert!(
        wrong.is_empty(),
        "{} of {} streams:\n{}",
        wrong.len(),
        streams.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_stream_named_as_refused_is_refused_by_both_or_is_a_listed_exception() {
    let exceptions = exceptions();
    let mut wrong = Vec::new();
    for (name, stream) in corpus() {
        let refused = yaml::parse(&stream, &Budget::HOST).is_err();
        if name.contains("refused") && !refused && !exceptions.contains_key(&name) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "read, but named as refused: {wrong:?}");
}

#[test]
fn kubernetes_reads_back_what_weir_writes() {
    let mut runner = TestRunner::deterministic();
    let values: Vec<Value> = (0..3000)
        .map(|_| {
            arbitrary_value()
                .new_tree(&mut runner)
                .expect("a value can be generated")
                .current()
        })
        .filter(|value| !value.is_null())
        .collect();
    let written: Vec<String> = values.iter().map(yaml::emit).collect();
    let answers = ask_oracle(written.iter().map(String::as_bytes));
    for ((value, text), answer) in values.iter().zip(&written).zip(&answers) {
        assert_eq!(
            answer["strict"]["error"], "",
            "for {value}, written as:\n{text}"
        );
        assert_eq!(
            answer["strict"]["documents"],
            json!([marked(value)]),
            "written as:\n{text}"
        );
    }
}

/// The kind of difference and a text about it; `None` if both read the same.
fn compare(stream: &[u8], answer: &Value) -> Option<(&'static str, String)> {
    let strict_error = answer["strict"]["error"].as_str().unwrap_or_default();
    let lenient_error = answer["lenient"]["error"].as_str().unwrap_or_default();
    let weir = match yaml::parse(stream, &Budget::HOST) {
        Ok(documents) => Value::Array(
            documents
                .iter()
                .map(|node| marked(&node.to_json()))
                .collect(),
        ),
        Err(error) if strict_error.is_empty() => {
            return Some((
                "stricter",
                format!("{error}; Go reads {}", answer["strict"]["documents"]),
            ));
        }
        Err(_) => return None,
    };
    if weir == answer["lenient"]["documents"] && lenient_error.is_empty() {
        // Go's strict reader also refuses a key that overrides a merged one, which everyone writes.
        let merge = stream.windows(2).any(|pair| pair == b"<<");
        if strict_error.is_empty() || (merge && strict_error.contains("already set in map")) {
            return None;
        }
    }
    if lenient_error.is_empty() {
        return Some((
            "different",
            format!(
                "Weir reads {weir}, Go {} {strict_error}",
                answer["lenient"]["documents"]
            ),
        ));
    }
    Some((
        "laxer",
        format!("Weir reads {weir}, Go says {lenient_error}"),
    ))
}

/// Numbers as "n" and their JSON, texts with an "s" before them, as the oracle writes them.
fn marked(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::String(format!("n{}", go_number(number))),
        Value::String(text) => Value::String(format!("s{text}")),
        Value::Array(items) => items.iter().map(marked).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), marked(value)))
            .collect(),
        other => other.clone(),
    }
}

/// A number as Go's `encoding/json` writes it.
fn go_number(number: &serde_json::Number) -> String {
    if number.is_i64() || number.is_u64() {
        return number.to_string();
    }
    // The shortest digits are the same in both; only their layout differs.
    let text = number.to_string();
    let (sign, text) = text
        .strip_prefix('-')
        .map_or(("", &*text), |text| ("-", text));
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0').trim_end_matches('0');
    if digits.is_empty() {
        return format!("{sign}0");
    }
    let leading =
        i32::try_from(all.len() - all.trim_start_matches('0').len()).expect("a short text");
    let point = i32::try_from(whole.len()).expect("a short text") - leading + exponent;
    if !(-5..=21).contains(&point) {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        return format!("{sign}{first}{dot}{rest}e{:+}", point - 1);
    }
    let at = usize::try_from(point).unwrap_or(0);
    if point <= 0 {
        let zeros = "0".repeat(usize::try_from(-point).expect("not negative"));
        format!("{sign}0.{zeros}{digits}")
    } else if at >= digits.len() {
        format!("{sign}{digits}{}", "0".repeat(at - digits.len()))
    } else {
        format!("{sign}{}.{}", &digits[..at], &digits[at..])
    }
}

/// Values with nasty texts and keys.
fn arbitrary_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "\\PC{0,12}",
        "[ -~\\t\\n]{0,20}",
        "[-0-9a-fxo_.:+eE ]{1,10}",
        "[a-z]{1,4}[:#,\\[\\]{} -]{0,3}[a-z]{0,3}",
        "(-|#|&|\\*|!|\\||>|'|\"|%|@|`|\\?|:|,|\\[|\\{|~|<<|=|---|\\.\\.\\.)[ a]{0,2}",
        "([a-z]{0,5}[ \\t]{0,2}\\n{1,2}){1,4}[a-z]{0,3}",
        proptest::sample::select(NASTY).prop_map(str::to_owned),
    ]
    .boxed();
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("a whole float is an integer in JSON", fractional),
        text.clone().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(text.clone(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn fractional(value: f64) -> Option<Value> {
    (value.is_finite() && value.fract() != 0.0).then(|| Value::from(value))
}

const NASTY: &[&str] = &[
    "on",
    "y",
    "No",
    "0644",
    "0o17",
    "0x1f",
    "0b1",
    "1e3",
    "1_000",
    "~",
    "null",
    "- a",
    "a: b",
    " #x",
    "a #b",
    "\t",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "\u{a0}",
    "🚀",
    "=",
    "<<",
    "2001-01-01",
    "a ",
    " a",
    "\r",
    "a\rb",
    "\r\n",
    "",
    "\n",
    "\n\n",
    "a\n",
    "a\n\n",
    "\na",
    "a\n b",
    " a\nb",
    "a\n \n",
    "a\n\tb",
    "---",
    "--- a",
    "...",
    "a\n---\nb",
    "\0",
    "\u{7f}",
    "\u{1b}[0m",
    "\u{fffe}",
    "\u{ffff}",
    "\u{10ffff}",
    ".inf",
    "-.INF",
    ".nan",
    "1:20",
    "1.5",
    ".5",
    "+1",
    "-1",
    "!x",
    "&x",
    "*x",
    "%x",
    "@x",
    "`x",
    "'",
    "\"",
    "\\",
    "{{ .Values.x }}",
    "[a]",
    "{a: b}",
    "a,b",
    "?",
    "? a",
    ":",
    "a:",
    "::",
    "# x",
    "|",
    ">",
    "nil",
    "NaN",
    "infinity",
    "12e03",
    "1234567",
    "0e1",
];

fn corpus() -> BTreeMap<String, Vec<u8>> {
    let mut streams = BTreeMap::new();
    let folder = std::fs::read_dir(corpus_folder()).expect("the corpus is there");
    for entry in folder {
        let path = entry.expect("the corpus can be listed").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a corpus file can be read");
        for part in text
            .split_inclusive('\n')
            .collect::<Vec<_>>()
            .chunk_by(|_, next| !next.starts_with("=== "))
        {
            let name = part[0]
                .trim_end()
                .strip_prefix("=== ")
                .expect("a stream has a name");
            let known = streams.insert(name.to_owned(), stream(name, &part[1..].concat()));
            assert!(known.is_none(), "two streams are named {name:?}");
        }
    }
    streams
}

fn stream(name: &str, text: &str) -> Vec<u8> {
    let text = if name.contains("(no final newline)") {
        text.trim_end_matches('\n')
    } else {
        text
    };
    if !name.contains("(escaped)") {
        return text.as_bytes().to_vec();
    }
    let mut pieces = text.split('\\');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (escaped, rest) = match piece.as_bytes()[0] {
            b't' => ('\t', &piece[1..]),
            b'r' => ('\r', &piece[1..]),
            b'n' => ('\n', &piece[1..]),
            b'u' => {
                let code = u32::from_str_radix(&piece[1..5], 16).expect("four hexadecimal digits");
                (char::from_u32(code).expect("a character"), &piece[5..])
            }
            other => panic!("{name}: the escape \\{} is unknown", char::from(other)),
        };
        out.push(escaped);
        out.push_str(rest);
    }
    out.into_bytes()
}

/// Lines of `kind: name: reason`, where kind is stricter, laxer or different.
fn exceptions() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(corpus_folder().join("exceptions.txt"))
        .expect("exceptions.txt can be read");
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut parts = line.splitn(3, ": ");
            let (Some(kind), Some(name), Some(_reason)) =
                (parts.next(), parts.next(), parts.next())
            else {
                panic!("exceptions.txt: `kind: name: reason` expected, found {line:?}");
            };
            (name.to_owned(), kind.to_owned())
        })
        .collect()
}

fn corpus_folder() -> PathBuf {
    oracle_source().join("corpus")
}

fn oracle_source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml-differential")
}

fn ask_oracle<'a>(streams: impl Iterator<Item = &'a [u8]>) -> Vec<Value> {
    let request = Value::Array(
        streams
            .map(|stream| Value::String(STANDARD.encode(stream)))
            .collect(),
    );
    #[expect(
        clippy::disallowed_methods,
        reason = "the Go library can only be asked in a process of its own"
    )]
    let mut oracle = Command::new(oracle())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the oracle can be started");
    let mut input = oracle.stdin.take().expect("the oracle has an input");
    input
        .write_all(request.to_string().as_bytes())
        .expect("the oracle reads its input");
    drop(input);
    let output = oracle.wait_with_output().expect("the oracle ends");
    assert!(
        output.status.success(),
        "the oracle ended with {}",
        output.status
    );
    serde_json::from_slice(&output.stdout).expect("the oracle answers in JSON")
}

fn oracle() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    BUILT
        .get_or_init(|| {
            std::env::var_os("WEIR_YAML_ORACLE").map_or_else(build_oracle, PathBuf::from)
        })
        .clone()
}

fn build_oracle() -> PathBuf {
    let home = std::env::home_dir().expect("there is a home directory");
    let binary = home.join(".cache/weir-dev/bin/yaml-oracle");
    #[expect(clippy::disallowed_methods, reason = "only Go builds Go")]
    let built = Command::new("go")
        .args(["build", "-trimpath", "-o"])
        .arg(&binary)
        .arg(".")
        .current_dir(oracle_source())
        .status()
        .expect("go is installed");
    assert!(
        built.success(),
        "`go build` in {} ended with {built}",
        oracle_source().display()
    );
    binary
}
