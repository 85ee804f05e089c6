//! The table of faults in the docs: every test that it names is there, and what it says of clocks holds for the sources.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use weir_tests::places::root;

/// Every Rust source below a folder of the workspace, with its path.
fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(dir: &Path, out: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root()).unwrap();
                out.push((path.to_str().unwrap().to_owned(), text));
            }
        }
    }
    let mut out = Vec::new();
    walk(&root().join(folder), &mut out);
    out
}

/// Whether a test has this name: a function, or a trial of a suite that lists its own.
fn is_there(sources: &[String], name: &str) -> bool {
    let forms = [format!("fn {name}("), format!("\"{name}\",")];
    sources
        .iter()
        .any(|text| forms.iter().any(|form| text.contains(form)))
}

#[test]
fn every_class_of_the_threats_names_tests_that_are_there() {
    let text = fs::read_to_string(root().join("docs/threats.md")).unwrap();
    let handled = text.split("\n## Not handled").next().unwrap();
    let all: Vec<String> = ["tests", "host"]
        .into_iter()
        .flat_map(sources)
        .map(|(_, text)| text)
        .collect();
    let rows = handled
        .lines()
        .filter(|l| l.starts_with("| ") && !l.starts_with("| class |") && !l.starts_with("| ---"));
    let mut count = 0;
    for line in rows {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [_, _, does, tests] = cells[..] else {
            panic!("four cells were expected: {line}");
        };
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!does.is_empty() && !names.is_empty(), "no test: {line}");
        for name in names {
            assert!(
                is_there(&all, name),
                "docs/threats.md names the test `{name}`, which is not there"
            );
        }
        count += 1;
    }
    assert!(count >= 30, "only {count} classes");
}

#[test]
fn every_line_of_the_fault_table_names_tests_that_are_there() {
    let text = fs::read_to_string(root().join("docs/faults.md")).unwrap();
    let all: Vec<String> = ["tests", "host"]
        .into_iter()
        .flat_map(sources)
        .map(|(_, text)| text)
        .collect();
    let mut numbers = BTreeSet::new();
    for line in text.lines().filter(|l| l.starts_with("| ")).skip(2) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [number, _, _, tests] = cells[..] else {
            panic!("four cells were expected: {line}");
        };
        numbers.insert(number.parse::<u32>().unwrap());
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {line}");
        for name in names {
            assert!(
                is_there(&all, name),
                "docs/faults.md names the test `{name}`, which is not there"
            );
        }
    }
    assert!(numbers.len() >= 24, "only {numbers:?}");
    // And the other way round: what is named after a number stands there.
    for source in &all {
        for rest in source.split("\nfn fault_").skip(1) {
            let name = rest.split('(').next().unwrap();
            let named = text.contains(&format!("`fault_{name}`"));
            assert!(named, "docs/faults.md does not name fault_{name}");
        }
    }
}

/// Where wall time is read, and what for.
const WALL_TIME: [&str; 6] = [
    // When a record was written: for people, and for which heals are of the last ten minutes.
    "host/weir/src/journal.rs",
    // When a lock was made, for people.
    "host/weir/src/cli/lock.rs",
    // When a compiled plugin was last used, for the order in which they go.
    "host/cache/src/lib.rs",
    // When an archive was last used, for the order in which they go.
    "host/source/src/external/store.rs",
    // Which folders of canaries that are gone are old enough to be swept.
    "host/weir/src/prepare/canary.rs",
    // Whether a signed delivery of a webhook is of now: it asks for a look, and a poll comes anyway.
    "host/api/src/webhooks.rs",
];

#[test]
fn fault_33_wall_time_is_written_down_and_decides_nothing() {
    let reads = ["SystemTime::now(", "Timestamp::now(", "Zoned::now("];
    let mut read_in = BTreeSet::new();
    for (path, text) in sources("host") {
        // The developer's tasks are no part of the host.
        if path.contains("/tests") || path.contains("_tests.rs") || path.starts_with("host/xtask") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap();
        if reads.iter().any(|read| code.contains(read)) {
            read_in.insert(path);
        }
    }
    let expected: BTreeSet<String> = WALL_TIME.map(str::to_owned).into();
    assert_eq!(read_in, expected);
    // A schedule gets its time handed in, as milliseconds since the start.
    let (_, schedule) = sources("host/core/src")
        .into_iter()
        .find(|(path, _)| path.ends_with("core/src/schedule.rs"))
        .unwrap();
    assert!(!schedule.contains("std::time"));
}
