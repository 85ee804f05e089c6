//! A run that is stopped anywhere, started again, ends where an undisturbed run ends.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use super::*;

/// Stops the run at its n-th event.
struct Stop;

/// Syncs, stopped at event `n`; whether there was such an event.
fn sync_stopped_at(rig: &mut Rig, desired: &[Object], n: usize) -> bool {
    let target = rig.open();
    let staked = rig.staked(&target, desired);
    let seen = Cell::new(0);
    let on_event = |_| {
        if seen.replace(seen.get() + 1) == n {
            resume_unwind(Box::new(Stop));
        }
    };
    let run = catch_unwind(AssertUnwindSafe(|| {
        target.apply(staked, &mut |_| {}, &on_event)
    }));
    match run {
        Ok(_) => false,
        Err(payload) => {
            assert!(payload.is::<Stop>(), "stopped by something else");
            true
        }
    }
}

fn first() -> Vec<Object> {
    vec![
        map("a", "1"),
        map("b", "1"),
        map("c", "1"),
        object("Service", "s", "1"),
        object("Secret", "gone", "1"),
    ]
}

fn second() -> Vec<Object> {
    vec![
        map("a", "2"),
        map("b", "1"),
        map("d", "1"),
        object("Service", "s", "2"),
        object("Ingress", "i", "1"),
    ]
}

#[test]
fn stopped_at_any_event_and_started_again_it_ends_in_the_right_state() {
    let mut undisturbed = Rig::new();
    undisturbed.sync(&first());
    undisturbed.sync(&second());
    let expected = undisturbed.list();

    let mut stops = 0;
    while {
        let mut rig = Rig::new();
        rig.put("shop/configmap/README", "mine");
        rig.sync(&first());
        let stopped = sync_stopped_at(&mut rig, &second(), stops);
        // What was in memory is lost; the inventory, which is on the disk by then, is not.
        assert!(
            rig.sync(&second()).failure().is_none(),
            "after a stop at event {stops}"
        );
        std::fs::remove_file(rig.path("shop/configmap/README")).unwrap();
        assert_eq!(rig.list(), expected, "after a stop at event {stops}");
        for wanted in second() {
            let path = Place::of(wanted.id()).under(&rig.root());
            assert_eq!(std::fs::read_to_string(path).unwrap(), wanted.text());
        }
        assert_eq!(
            rig.inventory.len(),
            second().len(),
            "nothing is orphaned and nothing is forgotten"
        );
        stopped
    } {
        stops += 1;
    }
    // Three waves written, two new names and two replaced, two removed; one event each side, at least.
    assert!(stops > 10, "only {stops} events");
}

#[test]
fn a_first_sync_stopped_at_any_event_leaves_only_what_the_next_one_owns() {
    let mut stops = 0;
    while {
        let mut rig = Rig::new();
        let stopped = sync_stopped_at(&mut rig, &first(), stops);
        // The commit was reverted before the host came back.
        assert!(rig.sync(&[]).failure().is_none());
        assert!(
            rig.list().iter().all(|path| path.ends_with('/')),
            "after a stop at event {stops}: {:?}",
            rig.list()
        );
        assert!(rig.inventory.is_empty());
        stopped
    } {
        stops += 1;
    }
    assert!(stops > 10, "only {stops} events");
}

#[test]
fn temporary_files_of_a_killed_run_are_swept_and_no_others() {
    let mut rig = Rig::new();
    rig.sync(&[map("a", "1")]);
    let name = format!(".weir-tmp-{}", "0123456789abcdef".repeat(2));
    let short = ".weir-tmp-0123";
    rig.put(&format!("shop/configmap/{name}"), "half");
    rig.put(&format!("shop/configmap/{short}"), "mine");
    rig.put(&format!("shop/configmap/{name}.bak"), "mine");
    rig.put(&name, "mine: Weir writes nothing right below the root");
    rig.put(&format!("shop/{name}"), "mine");
    std::fs::create_dir_all(rig.path(&format!("shop/service/{name}"))).unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join(&name), "mine").unwrap();
    std::os::unix::fs::symlink(outside.path(), rig.path("shop/linked")).unwrap();
    let before = rig.list().len();
    rig.open();
    assert!(!rig.path(&format!("shop/configmap/{name}")).exists());
    assert_eq!(rig.list().len(), before - 1);
    assert!(outside.path().join(&name).exists());
}

#[test]
fn temporary_files_of_a_running_writer_are_left_alone() {
    let rig = Rig::new();
    let name = format!("shop/configmap/.weir-tmp-{}", "ab".repeat(16));
    rig.put(&name, "half");
    let first = Root::open(&rig.root(), 1 << 20).unwrap();
    let _lock = first.lock(Duration::ZERO).unwrap();
    rig.open();
    assert!(rig.path(&name).exists());
}
