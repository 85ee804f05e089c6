//! What only one of the two refuses, with the reason.

use std::collections::BTreeMap;

/// A reason, and the changes that it is behind: `KIND WAY PLACE`.
pub(crate) const LISTED: &[(&str, &[&str])] = &[];

/// That what was found is what is listed.
pub(crate) fn check(found: &BTreeMap<String, String>) {
    let listed: Vec<&str> = LISTED
        .iter()
        .flat_map(|(_, lines)| lines.iter().copied())
        .collect();
    let new: Vec<String> = found
        .iter()
        .filter(|(line, _)| !listed.contains(&line.as_str()))
        .map(|(line, why)| format!("{line}: {why}"))
        .collect();
    let gone: Vec<&&str> = listed
        .iter()
        .filter(|line| !found.contains_key(**line))
        .collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "not listed: {new:#?}\nlisted, and no difference: {gone:#?}"
    );
}
