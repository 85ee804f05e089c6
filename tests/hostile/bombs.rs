//! Files that mean harm: YAML and JSON that unfold to more than they are, lie deep in each other, or are just large.

use super::{MANIFEST, map};

/// A file that means harm, and what is said of it.
pub(crate) struct Bomb {
    pub(crate) what: &'static str,
    pub(crate) path: &'static str,
    pub(crate) content: String,
    pub(crate) said: &'static str,
}

fn bomb(what: &'static str, path: &'static str, content: String, said: &'static str) -> Bomb {
    Bomb {
        what,
        path,
        content,
        said,
    }
}

/// Ten nodes that are each ten of the one before them, and so on.
fn laughs() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let all = vec![format!("*a{}", n - 1); 10].join(", ");
        text.push_str(&format!("a{n}: &a{n} [{all}]\n"));
    }
    text
}

/// Each map has all of the one before it and one key more.
fn merges(count: usize) -> String {
    let mut text = "m0: &m0 { k0: v }\n".to_owned();
    for n in 1..count {
        text.push_str(&format!("m{n}: &m{n}\n  <<: *m{}\n  k{n}: v\n", n - 1));
    }
    text
}

fn in_a_map(data: &str) -> String {
    let indented = data.replace('\n', "\n  ");
    let own = map("x").replace("name: map", "name: bomb");
    format!("{own}more:\n  {indented}\n")
}

pub(crate) fn all() -> Vec<Bomb> {
    let deep = 1_000_000;
    let at = "app/bomb.yaml";
    let json = "app/bomb.json";
    let anchors: String = (0..100_000)
        .map(|n| format!("k{n}: &a{n} twenty-bytes-of-text\n"))
        .collect();
    let keys: String = (0..300_000).map(|n| format!("\"k{n}\":1,")).collect();
    let documents = "---\na: b\n".repeat(1_000_000);
    let scalar = "x".repeat(50 << 20);
    let filler = "# nothing but a comment, again and again and again\n".repeat(2_000_000);
    vec![
        bomb(
            "a billion laughs",
            at,
            in_a_map(&laughs()),
            "nodes with its aliases expanded",
        ),
        bomb(
            "an alias in itself",
            at,
            in_a_map("a: &a [*a]"),
            "inside the node that it repeats",
        ),
        bomb("100,000 anchors", at, in_a_map(&anchors), "bomb.yaml"),
        bomb(
            "a chain of merges",
            at,
            in_a_map(&merges(100_000)),
            "deep in each other",
        ),
        bomb(
            "lists a million deep",
            at,
            "[".repeat(deep),
            "deep in each other",
        ),
        bomb(
            "maps a million deep",
            at,
            "{a: ".repeat(deep),
            "deep in each other",
        ),
        bomb(
            "blocks a million deep",
            at,
            "- ".repeat(deep),
            "deep in each other",
        ),
        bomb("a file of 100 MB", at, filler, "at most"),
        bomb("a million documents", at, documents, "documents"),
        bomb("a scalar of 50 MB", at, map(&scalar), "bomb.yaml"),
        // Not beside another one of the same words: an app that fails as before says so once.
        bomb(
            "300,000 keys",
            json,
            format!("{{{keys}\"end\":1}}"),
            "bomb.json",
        ),
        bomb(
            "JSON a million deep",
            json,
            "[".repeat(deep),
            "deep in each other",
        ),
        bomb(
            "JSON maps a million deep",
            json,
            "{\"a\":".repeat(deep),
            "deep in each other",
        ),
        bomb(
            "a JSON text of 50 MB",
            json,
            format!("{{\"a\":\"{scalar}\"}}"),
            "bomb.json",
        ),
        bomb(
            "a manifest of laughs",
            "weir.yaml",
            format!("{MANIFEST}x:\n  {}", laughs().replace('\n', "\n  ")),
            "weir.yaml",
        ),
        bomb(
            "a manifest a million deep",
            "weir.yaml",
            "[".repeat(deep),
            "weir.yaml",
        ),
        bomb(
            "a manifest of 50 MB",
            "weir.yaml",
            format!("version: \"{scalar}\""),
            "weir.yaml",
        ),
        bomb("a lock of laughs", "weir.lock", laughs(), "weir.lock"),
    ]
}
