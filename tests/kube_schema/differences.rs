//! What only one of the two refuses, with the reason: `differences.txt`.

use std::collections::{BTreeMap, BTreeSet};

const LISTED: &str = include_str!("differences.txt");

/// Changes that were found, each with who refuses it and why, against those that are listed.
pub(crate) fn check(found: &BTreeMap<String, String>) {
    let (_, lists) = LISTED.split_once("\n\n# ").unwrap();
    let mut listed = BTreeSet::new();
    for list in lists.split("\n\n# ") {
        let (reason, lines) = list.split_once('\n').unwrap();
        assert!(reason.ends_with('.') && !lines.is_empty(), "{reason}");
        listed.extend(lines.lines().map(str::to_owned));
    }
    let new: Vec<String> = found
        .iter()
        .filter(|(line, _)| !listed.contains(*line))
        .map(|(line, why)| format!("{line}: {why}"))
        .collect();
    let gone: Vec<&String> = listed
        .iter()
        .filter(|line| !found.contains_key(*line))
        .collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "not listed: {new:#?}\nlisted, and no difference: {gone:#?}"
    );
    // What is not even decoded would be a mistake of the plugin, whatever a list says.
    for (line, why) in found {
        assert!(
            why.starts_with("only the server refuses: ") && why.contains(" is invalid: "),
            "{line}: {why}"
        );
    }
}
