//! What Git wants in a directory, beside the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::objects::{self, FILES, POOL};
use super::random::Random;
use crate::invariants::cluster::{Rule, Violation};

/// How many objects Git wants there.
const WANTED: usize = 10;

/// The objects, by number, with their values.
#[derive(Default)]
pub(super) struct Files {
    wanted: BTreeMap<usize, u64>,
    /// Those that were there while they were wanted without a break.
    seen: BTreeSet<usize>,
}

impl Files {
    /// The next commit: some change, some go, others come.
    pub(super) fn change(&mut self, random: &mut Random) {
        let all: Vec<usize> = self.wanted.keys().copied().collect();
        for n in all {
            if random.percent(30) {
                self.wanted.insert(n, random.next());
            } else if random.percent(15) && self.wanted.len() > 2 {
                self.wanted.remove(&n);
                self.seen.remove(&n);
            }
        }
        while self.wanted.len() < WANTED {
            let n = POOL + usize::try_from(random.below(FILES as u64)).unwrap_or_default();
            self.wanted.entry(n).or_insert_with(|| random.next());
        }
    }

    /// All of it, as the repository has it.
    pub(super) fn text(&self, namespaces: &[String; 2]) -> String {
        let all = self.wanted.iter();
        all.map(|(n, value)| format!("---\n{}\n", objects::object(*n, &namespaces[n % 2], *value)))
            .collect()
    }

    /// Files that went while they were wanted.
    pub(super) fn always(&mut self, folder: &Path, namespaces: &[String; 2]) -> Vec<Violation> {
        let mut broken = Vec::new();
        for n in self.wanted.keys() {
            let path = file(folder, &namespaces[n % 2], *n);
            if path.is_file() {
                self.seen.insert(*n);
            } else if self.seen.contains(n) {
                let detail = "the file was there and is gone".to_owned();
                broken.push(violation(Rule::Kept, &path, detail));
            }
        }
        broken
    }

    /// Files that are not as Git says after a whole run.
    pub(super) fn settled(&self, folder: &Path, namespaces: &[String; 2]) -> Vec<Violation> {
        let mut broken = Vec::new();
        for n in POOL..POOL + FILES {
            let path = file(folder, &namespaces[n % 2], n);
            let text = std::fs::read_to_string(&path).ok();
            let wanted = self.wanted.get(&n);
            let right = match (wanted, &text) {
                (Some(value), Some(text)) => text.contains(&value.to_string()),
                (None, None) => true,
                _ => false,
            };
            if !right {
                let detail = format!("Git says {wanted:?}, there is {text:?}");
                broken.push(violation(Rule::There, &path, detail));
            }
        }
        broken
    }
}

fn file(folder: &Path, namespace: &str, n: usize) -> PathBuf {
    let file = format!("{}.yaml", objects::name(n));
    folder.join(namespace).join("configmap").join(file)
}

fn violation(rule: Rule, path: &Path, detail: String) -> Violation {
    Violation {
        rule,
        place: path.display().to_string(),
        detail,
    }
}
