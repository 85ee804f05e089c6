//! How a commit stands to an earlier one, and which commits came between: a walk that never guesses.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use gix::objs::Kind;
use weir_core::digest::{CommitId, ObjectId};

use crate::object;

/// How far back is looked.
#[derive(Debug, Clone, Copy)]
pub struct HistoryLimits {
    /// Commits that are read at most to learn how two of them stand to each other.
    pub walked: usize,
    /// Commits at most that may have come since the last accepted one.
    pub since: usize,
}

impl HistoryLimits {
    /// What a host allows that was told nothing else.
    pub const HOST: HistoryLimits = HistoryLimits {
        walked: 400_000,
        since: 20_000,
    };
}

/// Of a commit: what a walk needs.
#[derive(Debug, Clone)]
pub(crate) struct Ancestry {
    pub(crate) parents: Vec<CommitId>,
    pub(crate) tree: ObjectId,
    time: i64,
}

/// Where commits are read from.
pub(crate) trait Commits {
    /// One of them; why it cannot be read.
    fn ancestry(&self, id: CommitId) -> Result<Ancestry, String>;
}

impl Commits for gix::Repository {
    fn ancestry(&self, id: CommitId) -> Result<Ancestry, String> {
        let data = object::read(self, id, Kind::Commit).map_err(|e| e.text(id))?;
        let wrong = |why: String| format!("commit {id}: {why}");
        let commit = gix::objs::CommitRef::from_bytes(&data, gix::hash::Kind::Sha1);
        let commit = commit.map_err(|e| wrong(object::causes(&e)))?;
        let tree = object::from_gix(&commit.tree());
        let parents = commit.parents().map(|p| object::from_gix(&p));
        let parents: Option<Vec<CommitId>> = parents.collect();
        let (Some(tree), Some(parents)) = (tree, parents) else {
            return Err(wrong("an id in it is of no kind that is known".to_owned()));
        };
        Ok(Ancestry {
            parents,
            tree,
            // It says only where to look first.
            time: commit.committer().as_ref().map_or(0, |c| c.seconds()),
        })
    }
}

/// How two commits stand to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stands {
    /// The later one comes after the earlier one.
    After,
    /// It came before it.
    Before,
    /// Neither.
    Beside,
    /// Not known: why.
    Unknown(String),
}

/// What a walk found.
#[derive(Debug)]
pub(crate) struct Between {
    pub(crate) stands: Stands,
    /// All commits that the later one has and the earlier one has not; why they are not known.
    pub(crate) since: Result<BTreeMap<CommitId, Ancestry>, String>,
    /// Whether something that was asked for cannot be read.
    pub(crate) has_hole: bool,
}

const HEAD: u8 = 1;
const BASE: u8 = 2;
/// How many commits are read after the last one that could matter by their times, before it is looked whether one more can
/// matter at all: times may be wrong, by chance or on purpose.
const SLOP: u32 = 5;

#[derive(Default)]
struct Seen {
    /// From which of the two it can be reached.
    from: u8,
    queued: bool,
    /// `None` where it cannot be read.
    known: Option<Ancestry>,
}

/// Walks from both, the newest first, until all that only the later one has is known. Where times say that this is so, it is
/// proved before it is believed: what comes after the earlier one was not before it. Whatever is not proved so is looked for
/// in all that the earlier one has.
pub(crate) fn between(
    commits: &dyn Commits,
    base: CommitId,
    head: CommitId,
    limits: HistoryLimits,
) -> Between {
    let mut walk = Walk {
        commits,
        seen: BTreeMap::new(),
        queue: BinaryHeap::new(),
        open: 0,
        missing: None,
    };
    walk.reach(head, HEAD);
    walk.reach(base, BASE);
    let (mut slop, mut oldest) = (0, i64::MAX);
    while let Some((time, id)) = walk.queue.pop() {
        if walk.open == 0 && time < oldest {
            slop += 1;
            // Once: what is not proved by then is not proved by more of the earlier one's commits.
            if slop == SLOP + 1 && walk.is_settled(base) {
                break;
            }
        }
        if walk.seen.len() > limits.walked {
            let why = format!(
                "more than {} commits would have to be read to compare it with {}",
                limits.walked,
                base.short()
            );
            return Between {
                stands: Stands::Unknown(why.clone()),
                since: Err(why),
                has_hole: walk.missing.is_some(),
            };
        }
        let Some(from) = walk.take(id) else { continue };
        if from == HEAD {
            oldest = oldest.min(time);
        }
        let parents = walk.seen.get(&id).and_then(|seen| seen.known.as_ref());
        for parent in parents
            .map(|known| known.parents.clone())
            .unwrap_or_default()
        {
            walk.reach(parent, from);
        }
    }
    walk.found(base, head, limits)
}

struct Walk<'a> {
    commits: &'a dyn Commits,
    seen: BTreeMap<CommitId, Seen>,
    queue: BinaryHeap<(i64, CommitId)>,
    /// How many in the queue only the later one is known to have.
    open: usize,
    missing: Option<String>,
}

impl Walk<'_> {
    /// A commit can be reached from one more of the two.
    fn reach(&mut self, id: CommitId, from: u8) {
        let is_new = !self.seen.contains_key(&id);
        let seen = self.seen.entry(id).or_default();
        if is_new {
            match self.commits.ancestry(id) {
                Ok(known) => seen.known = Some(known),
                Err(why) => self.missing = Some(why),
            }
        }
        let before = seen.from;
        seen.from |= from;
        if seen.from == before {
            return;
        }
        if seen.queued && before == HEAD {
            self.open -= 1;
        }
        let Some(known) = &seen.known else { return };
        if !seen.queued {
            seen.queued = true;
            self.queue.push((known.time, id));
        }
        if seen.from == HEAD {
            self.open += 1;
        }
    }

    fn take(&mut self, id: CommitId) -> Option<u8> {
        let seen = self.seen.get_mut(&id)?;
        seen.queued = false;
        if seen.from == HEAD {
            self.open -= 1;
        }
        Some(seen.from)
    }

    /// Whether each commit that only the later one is known to have comes after the earlier one: then it is none of that
    /// one's own, whatever was not read yet.
    fn is_settled(&self, base: CommitId) -> bool {
        let mut children: BTreeMap<CommitId, Vec<CommitId>> = BTreeMap::new();
        let mut count = 0;
        for (id, seen) in self.seen.iter().filter(|(_, seen)| seen.from == HEAD) {
            count += 1;
            for parent in seen.known.iter().flat_map(|known| &known.parents) {
                children.entry(*parent).or_default().push(*id);
            }
        }
        let (mut after, mut open) = (BTreeSet::new(), vec![base]);
        while let Some(id) = open.pop() {
            for child in children.get(&id).into_iter().flatten() {
                if after.insert(*child) {
                    open.push(*child);
                }
            }
        }
        after.len() == count
    }

    fn found(self, base: CommitId, head: CommitId, limits: HistoryLimits) -> Between {
        let from = |walk: &Walk<'_>, id| walk.seen.get(&id).map_or(0, |seen| seen.from);
        let has_hole = |walk: &Walk<'_>, of: u8| {
            let mut all = walk.seen.values();
            all.any(|seen| seen.known.is_none() && seen.from & of != 0)
        };
        let why = self.missing.clone().unwrap_or_default();
        let why = format!("its history is not whole here, as in a shallow clone: {why}");
        let hole = {
            let mut all = self.seen.values();
            all.any(|seen| seen.known.is_none() && seen.from == HEAD)
        };
        let base_hole = has_hole(&self, BASE);
        let missing = self.missing.is_some();
        // What the earlier one has may lie behind what cannot be read.
        let in_doubt = hole || base_hole && !self.is_settled(base);
        let stands = if from(&self, base) & HEAD != 0 {
            Stands::After
        } else if hole {
            Stands::Unknown(why.clone())
        } else if from(&self, head) & BASE != 0 {
            Stands::Before
        } else if base_hole && self.seen.get(&base).is_some_and(|s| s.known.is_some()) {
            Stands::Unknown(why.clone())
        } else {
            Stands::Beside
        };
        let since = if in_doubt {
            Err(why)
        } else {
            let all = self.seen.into_iter();
            let only = all.filter(|(_, seen)| seen.from == HEAD);
            let since: BTreeMap<CommitId, Ancestry> = only
                .filter_map(|(id, seen)| Some((id, seen.known?)))
                .collect();
            match since.len() {
                n if n > limits.since => Err(format!(
                    "{n} commits came since {}; at most {} are looked at",
                    base.short(),
                    limits.since
                )),
                _ => Ok(since),
            }
        };
        Between {
            stands,
            since,
            has_hole: missing,
        }
    }
}

/// One step of the followed line: a commit, the one before it, and those that came with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stage {
    pub(crate) commit: CommitId,
    pub(crate) before: CommitId,
    pub(crate) others: Vec<CommitId>,
}

/// The line from the earlier commit to the later one, by first parents, the oldest step first: one single step where the
/// line does not lead from the one to the other.
pub(crate) fn line(
    base: CommitId,
    head: CommitId,
    since: &BTreeMap<CommitId, Ancestry>,
) -> Vec<Stage> {
    let first = |id: &CommitId| {
        since
            .get(id)
            .and_then(|known| known.parents.first().copied())
    };
    let mut steps = vec![head];
    let mut at = first(&head);
    while let Some(id) = at.filter(|id| since.contains_key(id)) {
        steps.push(id);
        at = first(&id);
    }
    if at != Some(base) {
        steps.truncate(1);
    }
    let mut left: BTreeSet<CommitId> = since.keys().copied().collect();
    let mut before = base;
    let mut line = Vec::new();
    for commit in steps.into_iter().rev() {
        left.remove(&commit);
        let mut others = Vec::new();
        let mut open = since.get(&commit).map(|known| known.parents.clone());
        while let Some(id) = open.as_mut().and_then(Vec::pop) {
            if left.remove(&id) {
                others.push(id);
                let parents = since.get(&id).map(|known| known.parents.iter().copied());
                open.get_or_insert_default()
                    .extend(parents.into_iter().flatten());
            }
        }
        line.push(Stage {
            commit,
            before,
            others,
        });
        before = commit;
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Commit n has id n, these parents and this time. What is not in it is missing.
    #[derive(Debug, Clone, Default)]
    struct Graph(BTreeMap<u8, (Vec<u8>, i64)>);

    fn id(n: u8) -> CommitId {
        CommitId::from_bytes([n; 20])
    }

    impl Commits for Graph {
        fn ancestry(&self, commit: CommitId) -> Result<Ancestry, String> {
            let n = commit.as_bytes()[0];
            let (parents, time) = self.0.get(&n).ok_or(format!("{n} is missing"))?;
            Ok(Ancestry {
                parents: parents.iter().map(|n| id(*n)).collect(),
                tree: id(0),
                time: *time,
            })
        }
    }

    impl Graph {
        /// All that can be reached, by the plain definition; `None` where something is missing.
        fn reached(&self, from: u8) -> Option<BTreeSet<CommitId>> {
            let (mut all, mut open) = (BTreeSet::new(), vec![from]);
            while let Some(n) = open.pop() {
                if all.insert(id(n)) {
                    open.extend(&self.0.get(&n)?.0);
                }
            }
            Some(all)
        }
    }

    /// Graphs of up to 24 commits whose parents come before them, with clocks that may be wrong by more than all of them.
    fn graph() -> impl Strategy<Value = Graph> {
        let skew = prop_oneof![-5..5i64, -100..100i64];
        let commit = (proptest::collection::vec(any::<u8>(), 0..3), skew);
        proptest::collection::vec(commit, 1..24).prop_map(|commits| {
            let mut graph = Graph::default();
            for (n, (parents, skew)) in commits.into_iter().enumerate() {
                let n = u8::try_from(n).unwrap();
                let parents = parents.iter().filter(|_| n > 0).map(|p| p % n.max(1));
                let time = i64::from(n) * 2 + skew;
                graph.0.insert(n, (parents.collect(), time));
            }
            graph
        })
    }

    const LIMITS: HistoryLimits = HistoryLimits {
        walked: 100,
        since: 100,
    };

    proptest! {
        #[test]
        fn a_walk_comes_to_what_the_plain_definition_says(graph in graph(), base: u8, head: u8) {
            let count = u8::try_from(graph.0.len()).unwrap();
            let (base, head) = (base % count, head % count);
            let (of_base, of_head) = (graph.reached(base).unwrap(), graph.reached(head).unwrap());
            let between = between(&graph, id(base), id(head), LIMITS);
            if of_head.contains(&id(base)) {
                prop_assert_eq!(&between.stands, &Stands::After);
            } else {
                prop_assert!(matches!(between.stands, Stands::Before | Stands::Beside));
            }
            let since: BTreeSet<CommitId> = between.since.unwrap().into_keys().collect();
            let expected: BTreeSet<CommitId> = of_head.difference(&of_base).copied().collect();
            prop_assert_eq!(since, expected);
        }

        /// Whatever is missing, nothing is said that a whole history would not say.
        #[test]
        fn a_hole_is_never_taken_for_an_end(graph in graph(), base: u8, head: u8, hole: u8) {
            let count = u8::try_from(graph.0.len()).unwrap();
            let (base, head, hole) = (base % count, head % count, hole % count);
            let of_base = graph.reached(base).unwrap();
            let of_head = graph.reached(head).unwrap();
            let mut holed = graph;
            holed.0.remove(&hole);
            let between = between(&holed, id(base), id(head), LIMITS);
            if between.stands == Stands::After {
                prop_assert!(of_head.contains(&id(base)));
            }
            if of_head.contains(&id(base)) {
                prop_assert!(matches!(between.stands, Stands::After | Stands::Unknown(_)));
            }
            if let Ok(since) = between.since {
                let mut expected: BTreeSet<CommitId> = of_head.difference(&of_base).copied().collect();
                expected.remove(&self::id(hole));
                prop_assert_eq!(since.into_keys().collect::<BTreeSet<_>>(), expected);
            }
        }

        #[test]
        fn each_commit_since_is_in_one_step_and_each_step_follows_the_one_before(
            graph in graph(), base: u8, head: u8,
        ) {
            let count = u8::try_from(graph.0.len()).unwrap();
            let (base, head) = (id(base % count), id(head % count));
            let since = between(&graph, base, head, LIMITS).since.unwrap();
            if !since.contains_key(&head) {
                return Ok(());
            }
            let line = line(base, head, &since);
            let mut all: Vec<CommitId> = Vec::new();
            let mut before = base;
            for step in &line {
                prop_assert_eq!(step.before, before);
                all.extend(&step.others);
                all.push(step.commit);
                before = step.commit;
            }
            prop_assert_eq!(before, head);
            let once: BTreeSet<CommitId> = all.iter().copied().collect();
            prop_assert_eq!(once.len(), all.len());
            prop_assert!(since.keys().all(|id| once.contains(id)));
        }
    }

    /// 0 and 1 are the past of 9, over 2 to 8, which all say that they are of long ago. 10 merges 1 again.
    #[test]
    fn clocks_that_lie_for_long_make_nothing_of_the_past_new() {
        let mut graph = Graph::default();
        for n in 0..10u8 {
            let time = if (2..9).contains(&n) {
                0
            } else {
                100 + i64::from(n)
            };
            graph
                .0
                .insert(n, (n.checked_sub(1).into_iter().collect(), time));
        }
        graph.0.insert(10, (vec![9, 1], 200));
        let found = between(&graph, id(9), id(10), LIMITS);
        assert_eq!(found.stands, Stands::After);
        assert_eq!(
            found.since.unwrap().into_keys().collect::<Vec<_>>(),
            [id(10)]
        );
    }

    #[test]
    fn more_commits_than_may_be_read_are_not_known() {
        let mut graph = Graph::default();
        for n in 0..50u8 {
            graph
                .0
                .insert(n, (n.checked_sub(1).into_iter().collect(), i64::from(n)));
        }
        let limits = |walked, since| HistoryLimits { walked, since };
        let far = between(&graph, id(0), id(49), limits(20, 100));
        assert!(matches!(far.stands, Stands::Unknown(_)) && far.since.is_err());
        let many = between(&graph, id(0), id(49), limits(100, 48));
        assert_eq!(many.stands, Stands::After);
        assert!(many.since.is_err());
        assert!(
            between(&graph, id(0), id(49), limits(100, 49))
                .since
                .is_ok()
        );
    }
}
