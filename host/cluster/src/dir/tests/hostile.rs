//! What is not Weir's is never touched, and nothing outside the root is ever read or written.

use std::os::unix::fs::symlink;
use std::time::Duration;

use super::*;

/// Syncs one ConfigMap, with something happening before that makes its place unreadable: it must be refused
/// as unknown, and what is there must not change.
fn unknown(make: impl FnOnce(&Rig)) -> String {
    let mut rig = Rig::new();
    std::fs::create_dir_all(rig.root()).unwrap();
    make(&rig);
    let before = rig.list();
    let target = rig.open();
    let live = target.observe([map("a", "1").id()]);
    let Live::Unknown(why) = &live[map("a", "1").id()] else {
        panic!("{live:?} is not unknown")
    };
    let staked = rig.staked(&target, &[map("a", "1")]);
    assert_eq!(staked.get().refused().len(), 1);
    rig.apply(&target, staked, &|_| {});
    assert_eq!(rig.list(), before);
    why.clone()
}

#[test]
fn a_file_where_a_folder_should_be_is_unknown_and_not_absent() {
    let why = unknown(|rig| rig.put("shop", "mine"));
    assert!(
        why.contains("live/shop is a file or a symbolic link, expected a directory"),
        "{why}"
    );
    unknown(|rig| rig.put("shop/configmap", "mine"));
}

#[test]
fn a_folder_a_link_or_a_pipe_where_a_file_should_be_is_unknown() {
    let why = unknown(|rig| std::fs::create_dir_all(rig.path("shop/configmap/a.yaml")).unwrap());
    assert!(why.contains("a directory, expected a file"), "{why}");
    let why = unknown(|rig| {
        std::fs::create_dir_all(rig.path("shop/configmap")).unwrap();
        symlink("/etc/hostname", rig.path("shop/configmap/a.yaml")).unwrap();
    });
    assert!(why.contains("a symbolic link, expected a file"), "{why}");
    let why = unknown(|rig| {
        std::fs::create_dir_all(rig.path("shop/configmap")).unwrap();
        let mode = rustix::fs::Mode::from(0o600);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            rig.path("shop/configmap/a.yaml"),
            rustix::fs::FileType::Fifo,
            mode,
            0,
        )
        .unwrap();
    });
    assert!(why.contains("a pipe or a device"), "{why}");
}

#[test]
fn a_linked_folder_is_unknown_wherever_it_leads() {
    for part in ["shop", "shop/configmap"] {
        for inside in [true, false] {
            let outside = tempfile::tempdir().unwrap();
            unknown(|rig| {
                let to = if inside {
                    rig.path("elsewhere")
                } else {
                    outside.path().to_owned()
                };
                std::fs::create_dir_all(&to).unwrap();
                let link = rig.path(part);
                std::fs::create_dir_all(link.parent().unwrap()).unwrap();
                symlink(&to, &link).unwrap();
            });
            assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        }
    }
}

#[test]
fn a_folder_that_becomes_a_link_after_the_plan_leads_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    let mut rig = Rig::new();
    let swap = |rig: &Rig| symlink(outside.path(), rig.path("shop")).unwrap();
    let applied = rig.sync_while(&[map("a", "1")], swap);
    assert!(failure(&applied).contains("symbolic link"), "{applied:?}");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);

    // The same with a file to prune: one of that name outside must stay.
    let mut rig = Rig::new();
    rig.sync(&[map("a", "1")]);
    let swap = |rig: &Rig| {
        std::fs::rename(rig.path("shop/configmap"), outside.path().join("configmap")).unwrap();
        symlink(outside.path().join("configmap"), rig.path("shop/configmap")).unwrap();
    };
    let applied = rig.sync_while(&[], swap);
    assert!(failure(&applied).contains("symbolic link"), "{applied:?}");
    assert!(outside.path().join("configmap/a.yaml").exists());
}

#[test]
fn a_foreign_file_at_the_place_is_refused_and_untouched() {
    let mut rig = Rig::new();
    rig.put("shop/configmap/a.yaml", "mine");
    let applied = rig.sync(&[map("a", "1"), map("b", "1")]);
    assert_eq!(applied.outcomes.len(), 1, "the other object is written");
    assert_eq!(rig.text("shop/configmap/a.yaml"), "mine");
    rig.sync(&[]);
    assert_eq!(
        rig.list(),
        ["shop/", "shop/configmap/", "shop/configmap/a.yaml"]
    );
}

#[test]
fn a_file_that_appears_after_the_plan_is_not_replaced() {
    let mut rig = Rig::new();
    let applied = rig.sync_while(&[map("a", "1")], |rig| {
        rig.put("shop/configmap/a.yaml", "mine");
    });
    assert!(
        failure(&applied)
            .contains("shop/configmap/a.yaml was made by someone else in the meantime"),
        "{applied:?}"
    );
    assert_eq!(rig.text("shop/configmap/a.yaml"), "mine");
    assert_eq!(
        rig.list(),
        ["shop/", "shop/configmap/", "shop/configmap/a.yaml"],
        "no temporary file stays"
    );
    let target = rig.open();
    let refused = rig.staked(&target, &[map("a", "1")]).get().refused().len();
    assert_eq!(
        refused, 1,
        "having intended to write it does not make it ours"
    );
}

#[test]
fn a_link_that_appears_after_the_plan_is_neither_followed_nor_replaced() {
    let mut rig = Rig::new();
    rig.put("victim", "mine");
    let applied = rig.sync_while(&[map("a", "1")], |rig| {
        std::fs::create_dir_all(rig.path("shop/configmap")).unwrap();
        symlink(rig.path("victim"), rig.path("shop/configmap/a.yaml")).unwrap();
    });
    failure(&applied);
    assert_eq!(rig.text("victim"), "mine");
    assert!(rig.path("shop/configmap/a.yaml").is_symlink());
}

#[test]
fn an_edit_between_plan_and_apply_is_neither_overwritten_nor_pruned() {
    let mut rig = Rig::new();
    rig.sync(&[map("a", "1"), map("b", "1")]);
    let edit = |rig: &Rig| {
        rig.put("shop/configmap/a.yaml", "edited");
        rig.put("shop/configmap/b.yaml", "edited");
    };
    let applied = rig.sync_while(&[map("a", "2"), map("b", "1")], edit);
    assert!(
        failure(&applied).contains("was changed or removed in the meantime"),
        "{applied:?}"
    );
    assert_eq!(rig.text("shop/configmap/a.yaml"), "edited");

    let again = |rig: &Rig| rig.put("shop/configmap/a.yaml", "edited again");
    let applied = rig.sync_while(&[map("b", "1")], again);
    assert!(failure(&applied).contains("in the meantime"), "{applied:?}");
    assert_eq!(rig.text("shop/configmap/a.yaml"), "edited again");
    assert!(
        rig.inventory.get(map("a", "1").id()).is_some(),
        "what could not be pruned stays in the inventory"
    );
}

#[test]
fn a_file_removed_between_plan_and_apply_is_not_updated() {
    let mut rig = Rig::new();
    rig.sync(&[map("a", "1")]);
    let gone = |rig: &Rig| std::fs::remove_file(rig.path("shop/configmap/a.yaml")).unwrap();
    failure(&rig.sync_while(&[map("a", "2")], gone));
    assert_eq!(rig.list(), ["shop/", "shop/configmap/"]);
}

#[test]
fn after_a_failure_later_waves_and_prunes_are_skipped() {
    let mut rig = Rig::new();
    rig.sync(&[map("old", "1")]);
    // ConfigMaps come before Services.
    let desired = [map("a", "1"), map("b", "1"), object("Service", "s", "1")];
    let applied = rig.sync_while(&desired, |rig| rig.put("shop/configmap/a.yaml", "mine"));
    let ended = ended(&applied);
    assert!(matches!(ended[0], Ended::Failed(_)));
    assert!(
        matches!(ended[1], Ended::Created(_)),
        "the rest of the wave goes on"
    );
    assert_eq!(ended[2..], [&Ended::Skipped, &Ended::Skipped]);
    assert!(rig.path("shop/configmap/old.yaml").exists() && !rig.path("shop/service").exists());
}

#[test]
fn pruning_leaves_neighbours_alone() {
    let mut rig = Rig::new();
    rig.sync(&[map("a", "1"), object("Service", "s", "1")]);
    rig.put("shop/configmap/README", "mine");
    rig.put("shop/notes/a.yaml", "mine");
    std::fs::create_dir_all(rig.path("empty/one")).unwrap();
    rig.sync(&[]);
    let left = [
        "empty/",
        "empty/one/",
        "shop/",
        "shop/configmap/",
        "shop/configmap/README",
        "shop/notes/",
        "shop/notes/a.yaml",
    ];
    assert_eq!(rig.list(), left);
}

#[test]
fn a_file_that_is_too_large_to_compare_is_unknown() {
    let rig = Rig::new();
    rig.put("shop/configmap/a.yaml", "12345");
    let limits = DirLimits {
        file_bytes: 4,
        ..DirLimits::HOST
    };
    let live = DirTarget::open(&rig.root(), limits)
        .unwrap()
        .observe([map("a", "1").id()]);
    let Live::Unknown(why) = &live[map("a", "1").id()] else {
        panic!("{live:?}")
    };
    assert!(why.contains("5 bytes, and at most 4"), "{why}");
}

#[test]
fn two_writers_of_one_directory_exclude_each_other() {
    let mut rig = Rig::new();
    let limits = DirLimits {
        lock_wait: Duration::ZERO,
        ..DirLimits::HOST
    };
    let target = DirTarget::open(&rig.root(), limits).unwrap();
    let other = rig.open();
    let lock = other.root.lock(Duration::ZERO).unwrap();
    let staked = rig.staked(&target, &[map("a", "1")]);
    let applied = rig.apply(&target, staked, &|_| {});
    assert!(
        failure(&applied).contains("another process is writing"),
        "{applied:?}"
    );
    assert!(rig.list().is_empty());
    drop(lock);
    assert!(rig.sync(&[map("a", "1")]).failure().is_none());
}
