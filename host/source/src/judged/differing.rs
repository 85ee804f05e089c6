//! What differs between two trees, as far as it is watched.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::commit_policy::{Change, Content};
use weir_core::digest::ObjectId;
use weir_core::name::RepoPath;

use super::{Job, TREE, Why};

/// A walk through two trees at once. What has the same id is not looked into.
pub(super) struct Differing<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) found: BTreeMap<RepoPath, Change>,
}

impl Differing<'_> {
    pub(super) fn trees(
        &mut self,
        dir: &RepoPath,
        from: Option<ObjectId>,
        to: Option<ObjectId>,
        depth: usize,
    ) -> Result<(), Why> {
        if from == to {
            return Ok(());
        }
        if depth > self.job.tree_limits.depth {
            return Err(format!(
                "{dir}: more folders inside each other than Weir takes in"
            ));
        }
        let read = |tree: Option<ObjectId>| match tree {
            Some(tree) => self.job.entries(tree),
            None => Ok(BTreeMap::new()),
        };
        let (before, now) = (read(from)?, read(to)?);
        let names: BTreeSet<&Vec<u8>> = before.keys().chain(now.keys()).collect();
        for name in names {
            let (was, is) = (before.get(name), now.get(name));
            if was == is {
                continue;
            }
            self.job
                .budget
                .take(&self.job.budget.entries, 1, "changed files")?;
            let text = std::str::from_utf8(name).ok();
            let path = text.and_then(|name| dir.join(name).ok()).ok_or_else(|| {
                let name = crate::error::printable(&String::from_utf8_lossy(name));
                format!("{dir}: {name:?} is a name that Weir does not take in")
            })?;
            let tree = |it: Option<&(u32, ObjectId)>| it.filter(|it| it.0 == TREE).map(|it| it.1);
            self.trees(&path, tree(was), tree(is), depth + 1)?;
            let leaf = |it: Option<&(u32, ObjectId)>| match it.filter(|it| it.0 != TREE) {
                Some((mode, id)) => Content::There {
                    mode: *mode,
                    id: *id,
                },
                None => Content::Absent,
            };
            let change = Change {
                from: leaf(was),
                to: leaf(is),
            };
            if change.from != change.to && self.job.policy.watches(&path) {
                self.found.insert(path, change);
            }
        }
        Ok(())
    }
}
