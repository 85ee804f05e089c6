//! How YAML is read, refused, decoded and written.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Budget, Node, decode, emit, parse};

mod typed;

fn read(text: &str) -> Vec<Value> {
    let nodes =
        parse(text.as_bytes(), &Budget::HOST).unwrap_or_else(|error| panic!("{error} in {text:?}"));
    nodes.iter().map(Node::to_json).collect()
}

fn refusal(text: impl AsRef<[u8]>) -> String {
    match parse(text.as_ref(), &Budget::HOST) {
        Ok(nodes) => panic!("read as {nodes:?}"),
        Err(error) => error.to_string(),
    }
}

fn one(text: &str) -> Node {
    parse(text.as_bytes(), &Budget::HOST)
        .expect("the text is YAML")
        .remove(0)
}

fn within(budget: Budget, text: &str) -> String {
    parse(text.as_bytes(), &budget)
        .expect_err("the budget is too small")
        .to_string()
}

#[test]
fn scalars_resolve_as_yaml_1_1() {
    let text = "{a: on, b: 0644, c: 1_000, d: ~, e: 2001-01-01, f: 1e3, g: 1:20, h: 0o17}";
    let expected = json!({"a": true, "b": 420, "c": 1000, "d": null, "e": "2001-01-01", "f": 1000, "g": "1:20", "h": 15});
    assert_eq!(read(text), [expected]);
}

#[test]
fn empty_documents_are_left_out() {
    assert_eq!(
        read("---\n---\na: 1\n---\n# x\n---\n~\n---\nb: 2\n"),
        [json!({"a": 1}), json!({"b": 2})]
    );
}

#[test]
fn marks_count_lines_and_columns_from_one() {
    let node = one("\u{feff}é: 1\nb:\n  - ä: x\n");
    let super::NodeKind::Mapping(entries) = &node.kind else {
        panic!("{node:?}")
    };
    assert_eq!((entries[0].2.mark.line, entries[0].2.mark.column), (1, 4));
    assert_eq!((entries[1].0.line, entries[1].0.column), (2, 1));
    assert_eq!((entries[1].2.mark.line, entries[1].2.mark.column), (3, 3));
}

#[test]
fn a_duplicate_key_names_both_places() {
    assert_eq!(
        refusal("a: 1\nb: 2\na: 3\n"),
        "3:1: the key \"a\" is there twice: first at 1:1, again here"
    );
}

#[test]
fn a_duplicate_among_many_keys_is_found() {
    let many: String = (0..100).map(|n| format!("k{n}: 1\n")).collect();
    assert!(
        refusal(format!("{many}k50: 2\n"))
            .starts_with("101:1: the key \"k50\" is there twice: first at 51:1")
    );
}

#[test]
fn an_override_of_a_merge_wins_only_below_it() {
    assert_eq!(read("<<: {a: 1, b: 1}\na: 2\n"), [json!({"a": 2, "b": 1})]);
    assert!(refusal("a: 2\n<<: {a: 1}\n").starts_with("2:1: the merge `<<` brings the key \"a\""));
}

#[test]
fn an_alias_bomb_stops_at_the_node_budget() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..30 {
        let previous = format!("*a{}", n - 1);
        text.push_str(&format!(
            "a{n}: &a{n} [{}]\n",
            vec![previous; 10].join(", ")
        ));
    }
    assert!(refusal(&text).contains("more than 5000000 nodes with its aliases expanded"));
}

#[test]
fn repeated_text_stops_at_the_byte_budget() {
    let budget = Budget {
        bytes: 2000,
        ..Budget::HOST
    };
    let text = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(500),
        vec!["*a"; 20].join(", ")
    );
    assert_eq!(
        within(budget, &text),
        "2:21: aliases repeat more than 2000 bytes of text, which is the limit"
    );
}

#[test]
fn a_long_chain_of_aliases_counts_its_depth() {
    let budget = Budget {
        depth: 5,
        ..Budget::HOST
    };
    let text = "a: &a [1]\nb: &b [*a]\nc: &c [*b]\nd: &d [*c]\ne: &e [*d]\n";
    assert!(within(budget, text).starts_with("5:8: lists and maps lie more than 5 deep"));
}

#[test]
fn a_million_brackets_stop_at_the_depth_budget() {
    assert!(refusal("[".repeat(1_000_000)).contains("more than 200 deep"));
    assert!(refusal("- ".repeat(1_000_000)).contains("more than 200 deep"));
    assert!(refusal("{a: ".repeat(1_000_000)).contains("more than 200 deep"));
    assert!(
        parse("[".repeat(200).as_bytes(), &Budget::HOST)
            .is_err_and(|error| !error.message.contains("deep"))
    );
}

#[test]
fn the_deepest_allowed_nesting_is_read_and_written() {
    let text = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let value = read(&text).remove(0);
    assert_eq!(read(&emit(&value)), [value]);
}

#[test]
fn a_hundred_thousand_anchors_are_read() {
    let text: String = (0..100_000).map(|n| format!("- &a{n} x\n")).collect();
    assert_eq!(read(&text)[0].as_array().map(Vec::len), Some(100_000));
}

#[test]
fn anchors_around_each_other_stop_at_the_node_budget() {
    let anchors: String = (0..150).map(|n| format!("&a{n} [")).collect();
    let text = format!("{anchors}{}{}", "x,".repeat(40_000), "]".repeat(150));
    assert!(refusal(&text).contains("stand for more than 5000000 nodes"));
    let text = format!("{anchors}{}{}", "x".repeat(1 << 20), "]".repeat(150));
    assert!(refusal(&text).contains("bytes of text, which is the limit"));
}

#[test]
fn an_alias_inside_its_own_node_is_refused() {
    assert_eq!(
        refusal("a: &x [1, *x]\n"),
        "1:11: the alias stands inside the node that it repeats"
    );
    assert_eq!(
        refusal("a: *x\n"),
        "1:4: the alias names an anchor that is not there"
    );
}

#[test]
fn budgets_of_bytes_and_documents_hold() {
    let budget = Budget {
        bytes: 10,
        documents: 2,
        ..Budget::HOST
    };
    assert_eq!(
        within(budget, "a: 12345678"),
        "1:1: the stream has 11 bytes, but at most 10 are allowed"
    );
    assert!(within(budget, "--- 1\n--- 2\n--- 3").contains("bytes"));
    let budget = Budget {
        bytes: 100,
        ..budget
    };
    assert_eq!(
        within(budget, "a\n---\nb\n---\nc\n"),
        "4:1: the stream has more than 2 documents, which is the limit"
    );
}

#[test]
fn bytes_that_are_not_text_are_refused_where_they_stand() {
    assert_eq!(
        refusal(b"a: 1\nb: \xc3(\n"),
        "2:4: the byte 0xc3 is not UTF-8: save the file as UTF-8"
    );
    let expected =
        "2:4: the character U+0000 cannot stand in YAML: write it as an escape in double quotes";
    assert_eq!(refusal("a: 1\nb: \0\n"), expected);
}

#[test]
fn broken_text_is_refused_with_its_line() {
    for (text, line) in [
        ("a: \"b\nc: d\n", "1:"),
        ("a:\n\tb: 1\n", "2:"),
        ("a: 'b", "1:"),
        ("a: b: c\n", "1:"),
        ("a: [1\n", ""),
    ] {
        let message = refusal(text);
        assert!(message.starts_with(line), "{text:?}: {message}");
    }
}

#[test]
fn what_only_yaml_1_2_reads_is_refused_where_it_stands() {
    for (text, place, says) in [
        ("a: &x.y 1\n", "1:4", "the name of an anchor"),
        ("[!!str]\n", "1:7", "a tag needs a blank"),
        ("{a\nb: c}\n", "1:2", "a key has to stand on one line"),
        ("%YAML 1.2\n---\na: 1\n", "1:1", "%YAML"),
        ("-\ta\n", "1:2", "a tab"),
        ("a: 1\n\t\nb: 2\n", "2:1", "a tab"),
        ("a: |\n  \tx\n", "2:3", "a tab"),
        ("a: \"\\/\"\n", "1:4", "the escape \\/"),
        ("[?a]\n", "1:2", "in brackets"),
        ("[a:]\n", "1:2", "the : needs a blank"),
        ("a: 1\n--- b\n", "2:1", "passes over"),
    ] {
        let refusal = refusal(text);
        assert!(
            refusal.starts_with(&format!("{place}: ")) && refusal.contains(says),
            "{text:?}: {refusal}"
        );
    }
    assert_eq!(
        read("{\"a\": \"\\/\\ud83d\\ude00\"}"),
        [json!({"a": "/\u{1f600}"})]
    );
    assert_eq!(read("a:\tb\t# c\n"), [json!({"a": "b"})]);
    assert_eq!(read("a: |\n  x\n  \ty\n"), [json!({"a": "x\n\ty\n"})]);
}

#[test]
fn many_tabs_are_looked_at_once() {
    let start = std::time::Instant::now();
    let many = 100_000;
    for text in [
        format!("a: |\n  x\n{}", "  \ty\n".repeat(many)),
        format!("a: \"{}\"\n", "\t".repeat(many)),
        format!("a: 'x\n{}'\n", " -\t\n".repeat(many)),
        format!("a # {}\n", "-\t".repeat(many)),
        format!("a{}\n", "\n\t".repeat(many)),
        format!("[{}]\n", "a,\n\t".repeat(many)),
        "- [\ta]\n".repeat(many),
        format!("'x\n{}{}'\n", " ".repeat(many), ":\t".repeat(many)),
    ] {
        read(&text);
    }
    let took = start.elapsed().as_secs();
    assert!(took < 60, "reading eight streams of tabs took {took} s");
}

#[test]
fn many_odd_breaks_and_many_texts_are_looked_at_once() {
    let start = std::time::Instant::now();
    let breaks = "\u{2028}".repeat(300_000);
    let texts = "\"\",".repeat(100_000);
    let refusal = refusal(format!("# {breaks}\n[{texts}]\n"));
    assert!(refusal.contains("U+2028"), "{refusal}");
    read(&format!("[{texts} \"{breaks}\"]\n"));
    let took = start.elapsed().as_secs();
    assert!(took < 60, "reading two streams took {took} s");
}

#[test]
fn documents_that_are_no_maps_are_read() {
    assert_eq!(
        read("12\n---\n[a]\n--- # text\ntext\n"),
        [json!(12), json!(["a"]), json!("text")]
    );
}

#[test]
fn lists_in_maps_are_written_as_go_writes_them() {
    let value =
        json!({"a": [{"b": 1, "c": ["x"]}, []], "d": {"e": {}}, "f": "on", "g": "one\ntwo\n"});
    let expected = "a:\n- b: 1\n  c:\n  - x\n- []\nd:\n  e: {}\nf: \"on\"\ng: |\n  one\n  two\n";
    assert_eq!(emit(&value), expected);
}

#[test]
fn a_key_longer_than_readers_take_is_written_with_a_question_mark() {
    let value = json!({"x".repeat(2000): {"a": [1]}, "y": 1});
    assert!(emit(&value).starts_with("? xxx"));
    assert_eq!(read(&emit(&value)), [value]);
}

/// Texts that some reader takes for something else.
const NASTY: &[&str] = &[
    "on",
    "y",
    "No",
    "0644",
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
    "a\n\n",
    "a\n b",
    " a\nb",
    "a\n \n",
    "a\n\tb",
    "---",
    "a\n---\nb",
    "\0",
    "\u{7f}",
    "\u{fffe}",
    ".inf",
    "1:20",
    "!x",
    "&x",
    "*x",
    "%x",
    "@x",
    "'",
    "\"",
    "\\",
    "[a]",
    "{a: b}",
    "?",
    "? a",
    ":",
    "a:",
    "# x",
    "|",
    ">",
];

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        "[ -~\\t\\r\\n]{0,20}",
        "[-0-9a-fxo_.:+eE ]{1,10}",
        "([a-z]{0,5}[ \\t]{0,2}\\n{1,2}){1,4}[a-z]{0,3}",
        proptest::sample::select(NASTY).prop_map(str::to_owned),
    ]
    .boxed();
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("a whole float is an integer in JSON", |f| f.fract() != 0.0)
            .prop_map(Value::from),
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

proptest! {
    #[test]
    fn what_is_written_reads_the_same(value in value()) {
        let text = emit(&value);
        prop_assert!(text.ends_with('\n'));
        let expected: Vec<Value> = if value.is_null() { Vec::new() } else { vec![value] };
        let read: Vec<Value> = parse(text.as_bytes(), &Budget::HOST)
            .map_err(|error| TestCaseError::fail(format!("{error} in {text:?}")))?
            .iter().map(Node::to_json).collect();
        prop_assert_eq!(read, expected, "{}", text);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        // Either answer is fine; only a crash is not.
        let _answer = parse(&bytes, &Budget::MANIFEST);
    }
}
