//! The directory target against a real directory: what it writes, and above all what it leaves alone.

mod crash;
mod hostile;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::json;
use weir_core::digest::Digest;
use weir_core::inventory::Inventory;
use weir_core::live::Written;
use weir_core::name::{AppName, RepositoryName, TargetName};
use weir_core::object::{Object, Origin};
use weir_core::plan::{Others, plan};
use weir_core::stake::{Ended, Stake, StakeId, StakeLog, stake};

use super::*;

/// Where the tests keep stakes: the inventory itself.
struct Log;

impl StakeLog for Log {
    type Error = std::convert::Infallible;
    async fn append_stake(
        &self,
        _: &RepositoryName,
        _: &AppName,
        _: Stake,
    ) -> Result<StakeId, Self::Error> {
        Ok(StakeId(1))
    }
}

/// One app that lands in one directory.
struct Rig {
    dir: tempfile::TempDir,
    inventory: Inventory,
}

impl Rig {
    fn new() -> Rig {
        Rig {
            dir: tempfile::tempdir().unwrap(),
            inventory: Inventory::default(),
        }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("live")
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// Puts a file there that is not ours.
    fn put(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    fn open(&self) -> DirTarget {
        DirTarget::open(&self.root(), DirLimits::HOST).unwrap()
    }

    /// Plans and stakes.
    fn staked(&mut self, target: &DirTarget, desired: &[Object]) -> Staked<Plan> {
        let mut ids: BTreeSet<ResourceId> = desired.iter().map(|o| o.id().clone()).collect();
        ids.extend(self.inventory.iter().map(|(id, _)| id.clone()));
        let live = target.observe(&ids);
        let plan = plan(desired, &self.inventory, &live, &Others::default());
        for (id, digest) in
            Stake::of(&plan, &TargetName::default_target(), None, Digest::of(b"")).writes
        {
            self.inventory.stake(id, digest);
        }
        let (repository, app) = ("shop".parse().unwrap(), "web".parse().unwrap());
        let name = TargetName::default_target();
        let staked = pin!(stake(
            &Log,
            &repository,
            &app,
            plan,
            &name,
            None,
            Digest::of(b"")
        ));
        match staked.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(staked)) => staked,
            Poll::Ready(Err(never)) => match never {},
            Poll::Pending => panic!("the tests' log never waits"),
        }
    }

    /// Applies and settles.
    fn apply(
        &mut self,
        target: &DirTarget,
        staked: Staked<Plan>,
        on_event: &dyn Fn(ApplyEvent),
    ) -> Applied {
        let mut told = Vec::new();
        let applied = target.apply(staked, &mut |outcome| told.push(outcome.clone()), on_event);
        assert_eq!(told, applied.outcomes, "each step is told once, in order");
        for outcome in &applied.outcomes {
            match &outcome.ended {
                Ended::Created(written)
                | Ended::Updated(written)
                | Ended::Healed(written, _)
                | Ended::Confirmed(written) => {
                    self.inventory.confirm(outcome.id.clone(), written.clone());
                }
                Ended::Pruned | Ended::Forgotten => {
                    self.inventory.release(&outcome.id);
                }
                Ended::Failed(_) | Ended::Skipped => {}
            }
        }
        applied
    }

    /// The whole way, with something happening between the plan and its application.
    fn sync_while(&mut self, desired: &[Object], meanwhile: impl FnOnce(&Rig)) -> Applied {
        let target = self.open();
        let staked = self.staked(&target, desired);
        meanwhile(self);
        self.apply(&target, staked, &|_| {})
    }

    fn sync(&mut self, desired: &[Object]) -> Applied {
        self.sync_while(desired, |_| {})
    }

    /// All paths below the root, folders with a slash.
    fn list(&self) -> Vec<String> {
        let (mut found, mut left) = (Vec::new(), vec![self.root()]);
        while let Some(folder) = left.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let path = entry
                    .path()
                    .strip_prefix(self.root())
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                if entry.file_type().unwrap().is_dir() {
                    left.push(entry.path());
                    found.push(format!("{path}/"));
                } else {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

fn object(kind: &str, name: &str, value: &str) -> Object {
    let body = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "data": {"k": value}});
    Object::new(
        body,
        Origin {
            path: "a.yaml".into(),
            line: 1,
        },
    )
    .unwrap()
}

fn map(name: &str, value: &str) -> Object {
    object("ConfigMap", name, value)
}

fn many(count: usize, value: &str) -> Vec<Object> {
    (0..count)
        .map(|n| map(&format!("m{n:04}"), value))
        .collect()
}

fn ended(applied: &Applied) -> Vec<&Ended> {
    applied.outcomes.iter().map(|o| &o.ended).collect()
}

fn failure(applied: &Applied) -> String {
    applied.failure().expect("a step was to fail").1.why.clone()
}

/// What the write of a map leaves behind.
fn written(name: &str, value: &str) -> Written {
    Written::content(map(name, value).digest())
}

#[test]
fn an_object_becomes_one_file_with_its_canonical_text() {
    let mut rig = Rig::new();
    let applied = rig.sync(&[map("a", "1")]);
    assert_eq!(ended(&applied), [&Ended::Created(written("a", "1"))]);
    assert_eq!(
        rig.list(),
        ["shop/", "shop/configmap/", "shop/configmap/a.yaml"]
    );
    assert_eq!(rig.text("shop/configmap/a.yaml"), map("a", "1").text());
    let live = rig.open().observe([map("a", "1").id()]);
    let digest = map("a", "1").digest();
    assert_eq!(
        live[map("a", "1").id()],
        Live::Present(Seen {
            version: Version(digest.to_string()),
            mark: Mark::of_content(digest),
            owner: Owner::Unsaid,
            leaving: None,
            keep: false,
        })
    );
}

#[test]
fn a_second_sync_of_the_same_has_nothing_to_do() {
    let mut rig = Rig::new();
    rig.sync(&many(40, "1"));
    let target = rig.open();
    assert!(rig.staked(&target, &many(40, "1")).get().is_empty());
}

#[test]
fn a_change_replaces_the_file_and_a_removal_removes_it_with_its_empty_folders() {
    let mut rig = Rig::new();
    rig.sync(&[map("a", "1"), object("Service", "s", "1")]);
    let applied = rig.sync(&[map("a", "2")]);
    assert_eq!(
        ended(&applied),
        [&Ended::Updated(written("a", "2")), &Ended::Pruned]
    );
    assert_eq!(
        rig.list(),
        ["shop/", "shop/configmap/", "shop/configmap/a.yaml"]
    );
    assert_eq!(rig.text("shop/configmap/a.yaml"), map("a", "2").text());
    rig.sync(&[]);
    assert_eq!(rig.list(), [""; 0], "only the root is left");
    assert!(rig.root().is_dir() && rig.inventory.is_empty());
}

#[test]
fn more_files_than_are_synced_one_by_one_end_the_same() {
    let mut rig = Rig::new();
    assert!(rig.sync(&many(100, "1")).failure().is_none());
    assert!(rig.sync(&many(60, "2")).failure().is_none());
    assert_eq!(rig.list().len(), 62);
    assert_eq!(
        rig.text("shop/configmap/m0059.yaml"),
        map("m0059", "2").text()
    );
}

#[test]
fn a_file_that_was_edited_by_hand_is_put_right_from_what_was_seen() {
    let mut rig = Rig::new();
    rig.sync(&[map("a", "1")]);
    rig.put("shop/configmap/a.yaml", "edited");
    assert_eq!(
        ended(&rig.sync(&[map("a", "1")])),
        [&Ended::Updated(written("a", "1"))]
    );
    assert_eq!(rig.text("shop/configmap/a.yaml"), map("a", "1").text());
}

#[test]
fn a_file_that_was_removed_by_hand_comes_back() {
    let mut rig = Rig::new();
    rig.sync(&[map("a", "1")]);
    std::fs::remove_dir_all(rig.path("shop")).unwrap();
    assert_eq!(
        ended(&rig.sync(&[map("a", "1")])),
        [&Ended::Created(written("a", "1"))]
    );
}

#[test]
fn a_write_that_nobody_confirmed_is_confirmed_without_writing() {
    let mut rig = Rig::new();
    rig.put("shop/configmap/a.yaml", map("a", "1").text());
    rig.inventory
        .stake(map("a", "1").id().clone(), map("a", "1").digest());
    let before = std::fs::metadata(rig.path("shop/configmap/a.yaml"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(
        ended(&rig.sync(&[map("a", "1")])),
        [&Ended::Confirmed(written("a", "1"))]
    );
    assert_eq!(
        std::fs::metadata(rig.path("shop/configmap/a.yaml"))
            .unwrap()
            .modified()
            .unwrap(),
        before
    );
}

#[test]
fn a_file_to_prune_that_is_gone_is_forgotten() {
    let mut rig = Rig::new();
    rig.sync(&[map("a", "1")]);
    let gone = |rig: &Rig| std::fs::remove_file(rig.path("shop/configmap/a.yaml")).unwrap();
    assert_eq!(ended(&rig.sync_while(&[], gone)), [&Ended::Forgotten]);
}

#[test]
fn a_secret_is_for_the_owner_alone() {
    let mut rig = Rig::new();
    rig.sync(&[object("Secret", "s", "1")]);
    let mode = std::fs::metadata(rig.path("shop/secret/s.yaml"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0);
}

#[test]
fn a_root_that_is_missing_is_made_and_one_that_is_a_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a/b");
    DirTarget::open(&deep, DirLimits::HOST).unwrap();
    assert!(deep.is_dir());
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = DirTarget::open(&path, DirLimits::HOST)
            .err()
            .expect("a file is no target");
        assert!(matches!(error, TargetError::Root { .. }), "{error}");
        assert!(
            error.to_string().contains("expected a directory"),
            "{error}"
        );
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"");
}

#[test]
fn objects_whose_names_differ_in_odd_characters_do_not_meet() {
    let mut rig = Rig::new();
    let odd: Vec<_> = ["a:b", "a b", "A", "a", ".a", "é"]
        .iter()
        .map(|name| object("Role", name, name))
        .collect();
    assert!(rig.sync(&odd).failure().is_none());
    let target = rig.open();
    assert!(
        rig.staked(&target, &odd).get().is_empty(),
        "each one is found again where it was put"
    );
    assert_eq!(
        rig.list()
            .iter()
            .filter(|path| !path.ends_with('/'))
            .count(),
        odd.len()
    );
}

#[test]
fn kinds_that_differ_only_in_case_share_a_place_and_the_second_is_refused() {
    let mut rig = Rig::new();
    let applied = rig.sync(&[object("Thing", "a", "1"), object("THING", "a", "2")]);
    assert!(failure(&applied).contains("in the meantime"), "{applied:?}");
    assert_eq!(
        rig.text("shop/thing/a.yaml"),
        object("Thing", "a", "1").text()
    );
}

#[test]
fn a_file_says_that_it_is_kept_by_its_annotation_and_by_one_that_cannot_be_read() {
    let annotated = |value: &str| {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  annotations:\n    weir.dev/prune: {value}\n  name: a\n"
        );
        super::says_keep(text.as_bytes())
    };
    for (value, keeps) in [
        ("\"false\"", true),
        ("\"true\"", false),
        ("false", true),
        ("\"no\"", true),
        ("[", true),
    ] {
        assert_eq!(annotated(value), keeps, "{value}");
    }
    assert!(!super::says_keep(
        b"kind: ConfigMap\nmetadata: { name: weir.dev/other }\n"
    ));
    // In a value it says nothing.
    assert!(!super::says_keep(
        b"kind: ConfigMap\ndata: { a: weir.dev/prune }\n"
    ));
}
