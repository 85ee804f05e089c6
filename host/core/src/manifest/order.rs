//! `after:` from names to apps, and apps in the order that follows.

use std::collections::{BTreeMap, BTreeSet};

use super::App;
use super::place::{Errors, nearest, quote};
use crate::yaml::Mark;

/// How many times all apps together may wait for another.
const MAX_WAITS: usize = 500_000;
/// How many names of a cycle are shown.
const MAX_SHOWN: usize = 10;

/// An app whose `after` is still as typed.
pub(super) struct Waiting {
    pub(super) app: App,
    /// Its name without the target.
    pub(super) base: String,
    /// Whether its entry lands in several targets.
    pub(super) several: bool,
    /// The names that it is after, and where they stand.
    pub(super) after: Vec<(String, Mark)>,
}

/// The apps with `after` resolved: each one behind those that it is after, otherwise by name. Names are
/// unique when this is called; what is wrong otherwise goes to `errors`.
pub(super) fn order(mut waiting: Vec<Waiting>, errors: &mut Errors<'_>) -> Vec<App> {
    waiting.sort_by(|a, b| a.app.name.cmp(&b.app.name));
    let waits = resolve(&waiting, errors);
    let order = sort(&waiting, &waits);
    if order.len() < waiting.len() && errors.is_empty() {
        let (mark, message) = cycle(&waiting, &waits, &order);
        errors.push(mark, message);
    }
    for (n, after) in waits.iter().enumerate() {
        let names: BTreeSet<_> = after.keys().map(|m| waiting[*m].app.name.clone()).collect();
        waiting[n].app.after = names.into_iter().collect();
    }
    let mut apps: Vec<Option<App>> = waiting.into_iter().map(|w| Some(w.app)).collect();
    order.into_iter().filter_map(|n| apps[n].take()).collect()
}

/// For each app the apps that it waits for, with where it says so.
type Waits = Vec<BTreeMap<usize, Mark>>;

fn resolve(waiting: &[Waiting], errors: &mut Errors<'_>) -> Waits {
    let mut by_base: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (n, w) in waiting.iter().enumerate() {
        by_base.entry(&w.base).or_default().push(n);
    }
    let mut waits = vec![BTreeMap::new(); waiting.len()];
    let mut left = MAX_WAITS;
    for (n, w) in waiting.iter().enumerate() {
        for (name, mark) in &w.after {
            if errors.full() {
                return waits;
            }
            let base = name.split_once('.').map_or(name.as_str(), |(base, _)| base);
            let all = by_base.get(base).map_or(&[][..], Vec::as_slice);
            if all.len() > left {
                errors.push(*mark, format!("the apps wait more than {MAX_WAITS} times for another, which is the most for one manifest"));
                return waits;
            }
            left -= all.len();
            let mut meant: Vec<usize> = all.to_vec();
            if base.len() < name.len() {
                meant.retain(|m| waiting[*m].app.name.as_str() == name);
            }
            if meant.is_empty() {
                errors.push(*mark, unknown(name, waiting, &by_base));
                continue;
            }
            if meant.contains(&n) {
                errors.push(
                    *mark,
                    format!("app {} waits for itself", quote(w.app.name.as_str())),
                );
                continue;
            }
            if base.len() == name.len() && w.several && waiting[meant[0]].several {
                // Where the other does not land in this target, there is nothing to wait for.
                meant.retain(|m| waiting[*m].app.target == w.app.target);
            }
            waits[n].extend(meant.into_iter().map(|m| (m, *mark)));
        }
    }
    waits
}

fn unknown(name: &str, waiting: &[Waiting], by_base: &BTreeMap<&str, Vec<usize>>) -> String {
    let names = waiting
        .iter()
        .map(|w| w.app.name.as_str())
        .chain(by_base.keys().copied());
    format!(
        "unknown app {}: expected the name of an app of this manifest{}",
        quote(name),
        nearest(name, names)
    )
}

/// The apps that can be put in order, in it.
fn sort(waiting: &[Waiting], waits: &Waits) -> Vec<usize> {
    let mut open: Vec<usize> = waits.iter().map(BTreeMap::len).collect();
    let mut behind: Vec<Vec<usize>> = vec![Vec::new(); waiting.len()];
    for (n, after) in waits.iter().enumerate() {
        for m in after.keys() {
            behind[*m].push(n);
        }
    }
    let mut ready: BTreeSet<usize> = (0..waiting.len()).filter(|n| open[*n] == 0).collect();
    let mut order = Vec::with_capacity(waiting.len());
    while let Some(n) = ready.pop_first() {
        order.push(n);
        for m in &behind[n] {
            open[*m] -= 1;
            if open[*m] == 0 {
                ready.insert(*m);
            }
        }
    }
    order
}

/// One cycle among the apps that are not in order, told from its first place.
fn cycle(waiting: &[Waiting], waits: &Waits, order: &[usize]) -> (Mark, String) {
    let done: BTreeSet<usize> = order.iter().copied().collect();
    let mut path: Vec<(usize, Mark)> = Vec::new();
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    let mut at = (0..waiting.len()).find(|n| !done.contains(n));
    // Each app that is left waits for another that is left: going on ends in a cycle.
    while let Some(n) = at {
        if let Some(start) = seen.insert(n, path.len()) {
            path.drain(..start);
            break;
        }
        let next = waits[n].iter().find(|(m, _)| !done.contains(*m));
        path.push((n, next.map_or(waiting[n].app.mark, |(_, mark)| *mark)));
        at = next.map(|(m, _)| *m);
    }
    let first = path
        .iter()
        .enumerate()
        .min_by_key(|(_, (_, mark))| *mark)
        .map_or(0, |(i, _)| i);
    path.rotate_left(first);
    let mark = path.first().map_or_else(Mark::default, |(_, mark)| *mark);
    let mut names: Vec<&str> = path
        .iter()
        .map(|(n, _)| waiting[*n].app.name.as_str())
        .collect();
    let back = names.first().copied();
    if names.len() > MAX_SHOWN {
        names.truncate(MAX_SHOWN);
        names.push("...");
    }
    names.extend(back);
    (
        mark,
        format!(
            "apps wait for each other: {}; take one `after` away",
            names.join(" -> ")
        ),
    )
}
