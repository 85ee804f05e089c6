//! What has to be known of a commit before it is judged: how it stands to the last accepted one, who signed which of the
//! commits since, and who changed what lies at watched paths. `weir_core::commit_policy` decides.

use std::collections::BTreeMap;

use gix::objs::Kind;
use weir_core::commit_policy::{
    Begin, Brought, Change, Check, CommitPolicy, Content, Facts, ListId, Refusal, Relation,
    SignersIn, Step, Unsigned,
};
use weir_core::digest::{BlobId, CommitId, Digest, ObjectId};
use weir_core::name::RepoPath;
use weir_core::tree::TreeLimits;

use crate::history::{self, Commits as _, HistoryLimits, Stands};
use crate::object;
use crate::signature::Keys;
use crate::snapshot;

mod budget;
mod differing;
pub(crate) use budget::Budget;
use differing::Differing;

/// The most lists of signers that commits may have brought since the last accepted one.
const MAX_LISTS: usize = 100;

/// Keys that the host lists itself.
#[derive(Debug, Clone, Default)]
pub struct HostKeys {
    /// Those that may sign: where the repository lists the SSH keys, the first ones.
    pub main: Keys,
    /// Those that may change each entry of the protected paths, in order.
    pub entries: Vec<Keys>,
}

/// Which commits are compared.
#[derive(Debug, Clone, Copy)]
pub struct Compared {
    /// The last accepted one, from which trust comes.
    pub trusted: Option<CommitId>,
    /// The one that is followed, where none was accepted yet.
    pub followed: Option<CommitId>,
    /// The one that is judged.
    pub head: CommitId,
}

/// All that one judgement works with.
pub(crate) struct Job<'a> {
    pub(crate) repo: &'a gix::Repository,
    pub(crate) policy: &'a CommitPolicy,
    pub(crate) keys: &'a HostKeys,
    pub(crate) limits: HistoryLimits,
    pub(crate) tree_limits: TreeLimits,
    /// What is left for all of it.
    pub(crate) budget: Budget,
}

/// Why a fact is not known.
type Why = String;

impl Job<'_> {
    pub(crate) fn facts(&self, compared: Compared) -> Facts {
        let between = compared.trusted.or(compared.followed).map(|base| {
            let between = history::between(self.repo, base, compared.head, self.limits);
            if between.has_hole {
                self.budget.has_hole.set(true);
            }
            (base, between)
        });
        let relation = match &between {
            None => Relation::First,
            Some((base, between)) => match &between.stands {
                Stands::After => Relation::After(*base),
                Stands::Before => Relation::Before(*base),
                Stands::Beside => Relation::Beside(*base),
                Stands::Unknown(why) => Relation::Unknown(*base, why.clone()),
            },
        };
        let begin = self.begin(compared);
        let mut lists = Lists::default();
        let begin = begin.and_then(|begin| {
            let added = lists.add(self, begin.list.clone());
            added.map(|()| begin).map_err(Refusal::Unknown)
        });
        let since = between.filter(|_| compared.trusted.is_some());
        let steps = match since {
            Some((base, between)) if self.policy.looks_between() => between
                .since
                .and_then(|since| self.steps(base, compared.head, &since, &mut lists)),
            _ => self.alone(compared, &mut lists).map(|step| vec![step]),
        };
        Facts {
            relation,
            begin,
            steps,
            lists: lists.usable(),
        }
    }

    /// Whose signatures count at the last accepted commit.
    fn begin(&self, compared: Compared) -> Result<Begin, Refusal> {
        let host = Begin {
            list: ListId::Host,
            content: Content::Absent,
        };
        let Some(SignersIn { path, first }) = self.policy.signers_in() else {
            return Ok(host);
        };
        if let Some(trusted) = compared.trusted {
            let content = self.at(trusted, path).map_err(Refusal::Unknown)?;
            let list = content.file().map(ListId::File);
            return list.map(|list| Begin { list, content }).ok_or_else(|| {
                Refusal::Unknown(format!(
                    "the last accepted commit {} has no file {path} that says who may sign: name one that it has, or list the signers on this host (signers-file)",
                    trusted.short()
                ))
            });
        }
        let Some(wanted) = first else {
            return Ok(host);
        };
        let other = || Refusal::OtherFirst {
            path: path.clone(),
            wanted: *wanted,
        };
        let content = self.at(compared.head, path).map_err(Refusal::Unknown)?;
        let blob = content.file().ok_or_else(other)?;
        let bytes = self.blob(blob).map_err(Refusal::Unknown)?;
        if bytes.is_none_or(|bytes| Digest::of(&bytes) != *wanted) {
            return Err(other());
        }
        Ok(Begin {
            list: ListId::File(blob),
            content: Content::Absent,
        })
    }

    /// The commit with nothing before it that counts: all that it has at watched paths is new.
    fn alone(&self, compared: Compared, lists: &mut Lists) -> Result<Step, Why> {
        let head = self.ancestry(compared.head)?;
        let changed = match compared.trusted {
            // Nothing is watched: otherwise what came between is looked at.
            Some(_) => BTreeMap::new(),
            None => self.changes(None, Some(head.tree))?,
        };
        let changes = changed
            .iter()
            .map(|(path, change)| (path.clone(), change.to));
        let changes: BTreeMap<RepoPath, Content> = changes.collect();
        lists.add_brought(self, &changes)?;
        Ok(Step {
            changed,
            others: Vec::new(),
            commit: self.brought(compared.head, changes, true, lists)?,
        })
    }

    fn steps(
        &self,
        base: CommitId,
        head: CommitId,
        since: &BTreeMap<CommitId, history::Ancestry>,
        lists: &mut Lists,
    ) -> Result<Vec<Step>, Why> {
        let stages = match since.contains_key(&head) {
            true => history::line(base, head, since),
            // An older commit: nothing came with it.
            false => vec![history::Stage {
                commit: head,
                before: base,
                others: Vec::new(),
            }],
        };
        // All lists first: a commit may be asked about one that comes after it.
        let mut watched = Vec::new();
        for stage in &stages {
            let mut others = Vec::new();
            for id in &stage.others {
                others.push((*id, self.changes_of(*id)?));
            }
            let mut own = self.changes_of(stage.commit)?;
            let changed = self.step(stage.before, stage.commit)?;
            // Who makes a step answers for all that it changes, also where a merge takes one side's or an older version.
            own.extend(
                changed
                    .iter()
                    .map(|(path, change)| (path.clone(), change.to)),
            );
            for changes in others.iter().map(|(_, changes)| changes).chain([&own]) {
                lists.add_brought(self, changes)?;
            }
            watched.push((changed, others, own));
        }
        let mut steps = Vec::new();
        for (stage, (changed, others, own)) in stages.into_iter().zip(watched) {
            let brought = |(id, changes)| self.brought(id, changes, id == head, lists);
            steps.push(Step {
                changed,
                others: others.into_iter().map(brought).collect::<Result<_, _>>()?,
                commit: brought((stage.commit, own))?,
            });
        }
        Ok(steps)
    }

    /// Watched paths that one commit of the followed line changes after the one before it.
    fn step(&self, before: CommitId, commit: CommitId) -> Result<BTreeMap<RepoPath, Change>, Why> {
        if !self.watches() {
            return Ok(BTreeMap::new());
        }
        let (before, commit) = (self.ancestry(before)?, self.ancestry(commit)?);
        self.changes(Some(before.tree), Some(commit.tree))
    }

    fn ancestry(&self, id: CommitId) -> Result<history::Ancestry, Why> {
        self.unless_hole(self.repo.ancestry(id))
    }

    /// Remembers that something could not be read: then it is worth a look at the clone's files.
    fn unless_hole<T>(&self, read: Result<T, Why>) -> Result<T, Why> {
        if read.is_err() {
            self.budget.has_hole.set(true);
        }
        read
    }

    fn watches(&self) -> bool {
        self.policy.signers_in().is_some() || !self.policy.protected.is_empty()
    }

    /// One commit, with what its signature is worth by each list that may be asked about it.
    fn brought(
        &self,
        commit: CommitId,
        changes: BTreeMap<RepoPath, Content>,
        is_head: bool,
        lists: &Lists,
    ) -> Result<Brought, Why> {
        let signatures = self.policy.signatures.as_ref();
        let every = signatures.is_some_and(|s| s.check == Check::Every);
        let signers = self.policy.signers_in();
        let of_list = signers.is_some_and(|at| changes.contains_key(&at.path));
        let mut asked: BTreeMap<ListId, Result<&Keys, &String>> = BTreeMap::new();
        if signatures.is_some() && (every || is_head || of_list) {
            asked.extend(lists.0.iter().map(|(id, keys)| (id.clone(), keys.as_ref())));
        }
        for (place, entry) in self.policy.protected.iter().enumerate() {
            if let Some(keys) = self.keys.entries.get(place)
                && changes.keys().any(|path| entry.has(path))
            {
                asked.insert(ListId::Entry(place), Ok(keys));
            }
        }
        let bytes = match asked.is_empty() {
            true => Vec::new(),
            false => self.unless_hole(
                object::read(self.repo, commit, Kind::Commit).map_err(|e| e.text(commit)),
            )?,
        };
        let mut signed = BTreeMap::new();
        for (id, keys) in asked {
            let is_signed = match keys {
                Err(why) => Err(Unsigned::NoList(why.clone())),
                Ok(keys) => {
                    self.budget.signature(bytes.len())?;
                    keys.signer(&bytes)
                }
            };
            signed.insert(id, is_signed);
        }
        Ok(Brought {
            commit,
            signed,
            changes,
        })
    }

    /// What lies at watched paths of a commit where it is as in none of its parents: what a merge took from one side was
    /// made by that side's commits.
    fn changes_of(&self, id: CommitId) -> Result<BTreeMap<RepoPath, Content>, Why> {
        if !self.watches() {
            return Ok(BTreeMap::new());
        }
        let commit = self.ancestry(id)?;
        let mut before = Vec::new();
        for parent in &commit.parents {
            before.push(Some(self.ancestry(*parent)?.tree));
        }
        let (first, more) = before.split_first().unwrap_or((&None, &[]));
        let mut own = self.changes(*first, Some(commit.tree))?;
        for before in more {
            let changes = self.changes(*before, Some(commit.tree))?;
            own.retain(|path, _| changes.contains_key(path));
        }
        let own = own.into_iter();
        Ok(own.map(|(path, change)| (path, change.to)).collect())
    }

    /// Watched paths that differ between two trees.
    fn changes(
        &self,
        from: Option<ObjectId>,
        to: Option<ObjectId>,
    ) -> Result<BTreeMap<RepoPath, Change>, Why> {
        let mut walk = Differing {
            job: self,
            found: BTreeMap::new(),
        };
        if self.watches() {
            walk.trees(&RepoPath::root(), from, to, 0)?;
        }
        Ok(walk.found)
    }

    /// What lies at a path of a commit.
    fn at(&self, commit: CommitId, path: &RepoPath) -> Result<Content, Why> {
        let mut tree = self.ancestry(commit)?.tree;
        let mut parts = path.parts().peekable();
        while let Some(part) = parts.next() {
            let entries = self.entries(tree)?;
            match entries.get(part.as_bytes()) {
                Some((mode, id)) if parts.peek().is_none() => {
                    return Ok(match *mode {
                        TREE => Content::Absent,
                        mode => Content::There { mode, id: *id },
                    });
                }
                Some((TREE, id)) => tree = *id,
                _ => return Ok(Content::Absent),
            }
        }
        Ok(Content::Absent)
    }

    fn entries(&self, tree: ObjectId) -> Result<BTreeMap<Vec<u8>, (u32, ObjectId)>, Why> {
        let data = object::read(self.repo, tree, Kind::Tree).map_err(|e| e.text(tree));
        let data = self.unless_hole(data)?;
        snapshot::entries(&data, self.tree_limits.files).ok_or_else(|| {
            format!("tree {tree} cannot be read, or has more entries than Weir takes in")
        })
    }

    /// A file's bytes; none where it has more than one file may.
    fn blob(&self, id: BlobId) -> Result<Option<Vec<u8>>, Why> {
        let size = object::blob_size(self.repo, id).map_err(|e| e.text(id));
        if self.unless_hole(size)? > self.tree_limits.file_bytes {
            return Ok(None);
        }
        let bytes = object::read(self.repo, id, Kind::Blob).map_err(|e| e.text(id));
        self.unless_hole(bytes).map(Some)
    }
}

/// The mode of a folder.
const TREE: u32 = 0o40_000;

/// The lists of signers that commits may be asked about, beside those of protected paths.
#[derive(Default)]
struct Lists(BTreeMap<ListId, Result<Keys, String>>);

impl Lists {
    fn add(&mut self, job: &Job<'_>, id: ListId) -> Result<(), Why> {
        let keys = match &id {
            ListId::Host => Ok(job.keys.main.clone()),
            ListId::File(blob) if !self.0.contains_key(&id) => {
                let path = job.policy.signers_in().map(|at| at.path.to_string());
                let path = path.unwrap_or_default();
                let main = &job.keys.main;
                match job.blob(*blob)? {
                    Some(bytes) => main
                        .with_allowed_signers(&path, &bytes)
                        .map_err(|e| e.to_string()),
                    None => Err("it has more bytes than one file may".to_owned()),
                }
            }
            ListId::File(_) | ListId::Entry(_) => return Ok(()),
        };
        self.0.entry(id).or_insert(keys);
        Ok(())
    }

    fn add_content(&mut self, job: &Job<'_>, content: Option<Content>) -> Result<(), Why> {
        if let Some(blob) = content.and_then(|content| content.file()) {
            self.add(job, ListId::File(blob))?;
        }
        match self.0.len() {
            0..=MAX_LISTS => Ok(()),
            n => Err(format!(
                "{n} lists of signers since the last accepted commit; at most {MAX_LISTS} are looked at"
            )),
        }
    }

    fn add_brought(
        &mut self,
        job: &Job<'_>,
        changes: &BTreeMap<RepoPath, Content>,
    ) -> Result<(), Why> {
        let path = job.policy.signers_in().map(|at| &at.path);
        self.add_content(job, path.and_then(|path| changes.get(path)).copied())
    }

    /// Which of the repository's own can be used.
    fn usable(self) -> BTreeMap<BlobId, Result<(), String>> {
        let all = self.0.into_iter();
        all.filter_map(|(id, keys)| match id {
            ListId::File(blob) => Some((blob, keys.map(drop))),
            ListId::Host | ListId::Entry(_) => None,
        })
        .collect()
    }
}
