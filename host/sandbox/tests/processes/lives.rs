//! Which worker runs what: one repository's each, replaced after anything odd; and what the end of one means.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use rustix::process::Signal;
use weir_core::fault::{Blame as _, Fault, Retry};
use weir_core::grant::{Bytes, Fuel, Limits, Millis};
use weir_sandbox::Failure;

use crate::guests::{LIMITS, renderer, renderer_with};
use crate::scene::{Scene, Watched, Way, spent, told};
use crate::{Named, Role, WorkerLimits};

pub(crate) const TRIALS: &[Named] = &[
    (
        "two_repositories_never_meet_in_one_worker",
        one_repository_each,
    ),
    (
        "a_worker_that_ran_into_a_limit_is_not_used_again",
        replaced_after_a_limit,
    ),
    ("a_worker_is_replaced_after_so_many_calls", replaced_by_age),
    (
        "a_worker_that_is_killed_in_mid_call_is_replaced_and_the_call_begins_once_more",
        killed_once,
    ),
    (
        "a_worker_that_is_killed_each_time_is_the_hosts_fault_and_names_app_and_plugin",
        killed_each_time,
    ),
    (
        "a_worker_that_says_nothing_any_more_is_ended_when_its_time_is_over",
        stands_still,
    ),
    (
        "a_call_that_nobody_waits_for_any_more_ends_with_its_worker",
        dropped,
    ),
    (
        "a_worker_over_its_processor_time_is_named_with_that_limit",
        processor_time,
    ),
    ("a_worker_over_its_memory_is_no_harm_to_its_host", memory),
    (
        "hundreds_of_calls_that_ran_out_of_time_and_then_a_good_one",
        timeouts,
    ),
];

const READ: &str = r#"(import "weir:plugin/tree@0.1.0" "read" (func $read (param i32 i32 i32)))"#;
const BURN: &str = "(local $i i32) (local.set $i (i32.const 100000000))
    (loop $more
      (local.set $i (i32.sub (local.get $i) (i32.const 1)))
      (br_if $more (local.get $i)))";
const ANSWER: &str = "(call $answer (i32.const 3000) (i32.const 1))";
const LOOP: &str = "(loop $more (br $more)) (unreachable)";

/// Reads a file, which tells whoever watches, and returns.
fn reads() -> Vec<u8> {
    let body = format!("(call $read (i32.const 3100) (i32.const 1) (i32.const 4000)) {ANSWER}");
    renderer_with(READ, &body, r#"(data (i32.const 3100) "f")"#)
}

fn workers() -> Way {
    Way::Workers(WorkerLimits::HOST)
}

/// The worker that has spent the most more since these figures.
fn busiest(watched: &Watched, before: &[(i32, u64)]) -> i32 {
    let since = |pid: i32| {
        let was = before
            .iter()
            .find(|(p, _)| *p == pid)
            .map_or(0, |(_, n)| *n);
        spent(pid).unwrap_or(0).saturating_sub(was)
    };
    let workers = watched.workers().into_iter();
    workers.max_by_key(|pid| since(*pid)).unwrap()
}

fn figures(watched: &Watched) -> Vec<(i32, u64)> {
    let workers = watched.workers().into_iter();
    workers.filter_map(|pid| Some((pid, spent(pid)?))).collect()
}

fn one_repository_each() -> Result<(), Failed> {
    let watched = Watched::from_now_on();
    let scene = Scene::new(
        &workers(),
        Role::Renderer,
        &renderer(&format!("{BURN} {ANSWER}")),
    );
    let limits = Limits {
        fuel: Fuel(10_000_000_000),
        ..LIMITS
    };
    let mut who = Vec::new();
    for repository in ["shop", "bank", "shop", "bank", "shop"] {
        let before = figures(&watched);
        scene.render_of(repository, &scene.plugin, limits, told(&[], |_| {}))?;
        who.push(busiest(&watched, &before));
    }
    assert_ne!(who[0], who[1], "{who:?}");
    assert_eq!(
        [who[0], who[1], who[0]],
        [who[2], who[3], who[4]],
        "{who:?}"
    );
    Ok(())
}

fn replaced_after_a_limit() -> Result<(), Failed> {
    let watched = Watched::from_now_on();
    let scene = Scene::new(
        &workers(),
        Role::Renderer,
        &renderer(&format!("{BURN} {ANSWER}")),
    );
    let limits = Limits {
        fuel: Fuel(10_000_000_000),
        ..LIMITS
    };
    let call = |limits| scene.render(limits, told(&[], |_| {}));
    let before = figures(&watched);
    call(limits)?;
    let first = busiest(&watched, &before);
    let error = call(Limits {
        fuel: Fuel(1_000_000),
        ..limits
    });
    assert!(matches!(error.unwrap_err().failure, Failure::Fuel));
    assert!(!watched.workers().contains(&first), "it is gone");
    call(limits)?;
    Ok(())
}

fn replaced_by_age() -> Result<(), Failed> {
    let watched = Watched::from_now_on();
    let limits = WorkerLimits {
        calls: 3,
        ..WorkerLimits::HOST
    };
    let scene = Scene::new(&Way::Workers(limits), Role::Renderer, &renderer(ANSWER));
    let mut seen: BTreeSet<i32> = BTreeSet::new();
    for _ in 0..12 {
        scene.quick()?;
        seen.extend(watched.workers());
    }
    // Four that each ran three calls, and whoever was started ahead of them.
    assert!(seen.len() >= 4, "{seen:?}");
    assert!(watched.workers().len() <= 3, "{:?}", watched.workers());
    Ok(())
}

fn killed_once() -> Result<(), Failed> {
    let watched = Arc::new(Watched::from_now_on());
    let scene = Scene::new(&workers(), Role::Renderer, &reads());
    let asked = Arc::new(AtomicU32::new(0));
    let (count, all) = (asked.clone(), watched);
    let files = told(&[("f", "text")], move |_| {
        // As the kernel does when there is no memory left.
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            all.kill();
        }
    });
    let (documents, reads, _) = scene.render(LIMITS, files)?;
    assert_eq!((documents.len(), reads.iter().count()), (1, 1));
    assert_eq!(asked.load(Ordering::Relaxed), 2, "it began once more");
    Ok(())
}

fn killed_each_time() -> Result<(), Failed> {
    let watched = Arc::new(Watched::from_now_on());
    let scene = Scene::new(&workers(), Role::Renderer, &reads());
    let files = told(&[("f", "text")], move |_| watched.signal(Signal::KILL));
    let error = scene.render(LIMITS, files).map(|_| ()).unwrap_err();
    assert_eq!(
        (error.fault(), error.retry()),
        (Fault::Host, Retry::Backoff)
    );
    let text = error.to_string();
    let digest = scene.plugin.digest().short();
    for word in ["app `shop`", "plugin `paint`", &digest, "SIGKILL", "memory"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    // And the next call finds another one.
    scene.render(LIMITS, told(&[("f", "text")], |_| {}))?;
    Ok(())
}

fn stands_still() -> Result<(), Failed> {
    let watched = Arc::new(Watched::from_now_on());
    let limits = WorkerLimits {
        grace: Duration::from_millis(200),
        ..WorkerLimits::HOST
    };
    let scene = Scene::new(&Way::Workers(limits), Role::Renderer, &reads());
    let files = told(&[("f", "text")], move |_| watched.signal(Signal::STOP));
    let time = Limits {
        time: Millis(300),
        ..LIMITS
    };
    let error = scene.render(time, files).map(|_| ()).unwrap_err();
    assert!(matches!(error.failure, Failure::Time), "{error}");
    assert!(error.to_string().contains("it may take 300ms"), "{error}");
    Ok(())
}

fn dropped() -> Result<(), Failed> {
    let watched = Watched::from_now_on();
    let scene = Arc::new(Scene::new(&workers(), Role::Renderer, &renderer(LOOP)));
    let before = figures(&watched);
    let limits = Limits {
        fuel: Fuel(u64::MAX / 2),
        ..LIMITS
    };
    let (sandbox, plugin) = (scene.sandbox.clone(), scene.plugin.clone());
    let task = scene.runtime.spawn(async move {
        let (app, name) = crate::guests::names();
        let call = crate::guests::call(&app, &name, limits);
        let rendered = sandbox.render(&plugin, call, told(&[], |_| {}));
        rendered.await.map(|_| ())
    });
    // Until it runs there.
    let runs = |pid: &i32| {
        let was = before.iter().find(|(p, _)| p == pid).map_or(0, |(_, n)| *n);
        spent(*pid).is_some_and(|now| now > was + 20)
    };
    let patience = Instant::now() + Duration::from_secs(60);
    let worker = loop {
        if let Some(pid) = watched.workers().into_iter().find(|pid| runs(pid)) {
            break pid;
        }
        assert!(Instant::now() < patience, "it never ran");
        std::thread::yield_now();
    };
    task.abort();
    assert!(scene.runtime.block_on(task).unwrap_err().is_cancelled());
    while spent(worker).is_some() {
        assert!(Instant::now() < patience, "its worker goes on");
        std::thread::yield_now();
    }
    Ok(())
}

fn processor_time() -> Result<(), Failed> {
    let limits = WorkerLimits {
        cpu_seconds: 1,
        ..WorkerLimits::HOST
    };
    let scene = Scene::new(&Way::Workers(limits), Role::Renderer, &renderer(LOOP));
    let endless = Limits {
        fuel: Fuel(u64::MAX / 2),
        ..LIMITS
    };
    let error = scene.render(endless, told(&[], |_| {}));
    let error = error.map(|_| ()).unwrap_err();
    let text = error.to_string();
    for word in [
        "app `shop`",
        "plugin `paint`",
        "processor time in seconds",
        "(1)",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert_eq!(error.fault(), Fault::Plugin);
    Ok(())
}

fn memory() -> Result<(), Failed> {
    let limits = WorkerLimits {
        data_bytes: 256 << 20,
        ..WorkerLimits::HOST
    };
    let grows = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 100)) (i32.const -1)))) (unreachable)";
    let scene = Scene::new(&Way::Workers(limits), Role::Renderer, &renderer(grows));
    let generous = Limits {
        memory: Bytes(2 << 30),
        fuel: Fuel(u64::MAX / 2),
        ..LIMITS
    };
    let error = scene.render(generous, told(&[], |_| {}));
    let error = error.map(|_| ()).unwrap_err();
    assert!(
        matches!(
            error.failure,
            Failure::Host { .. } | Failure::Process { .. }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("memory"), "{error}");
    assert_eq!(error.retry(), Retry::Backoff);
    let good = scene.load(Role::Renderer, &renderer(ANSWER));
    scene.render_of("shop", &good, LIMITS, told(&[], |_| {}))?;
    Ok(())
}

fn timeouts() -> Result<(), Failed> {
    for (way, times) in [(Way::InProcess, 500), (workers(), 60)] {
        let scene = Scene::new(&way, Role::Renderer, &renderer(LOOP));
        let good = scene.load(Role::Renderer, &renderer(ANSWER));
        let hurried = Limits {
            fuel: Fuel(u64::MAX / 2),
            time: Millis(1),
            ..LIMITS
        };
        for _ in 0..times {
            let error = scene.render(hurried, told(&[], |_| {}));
            let error = error.map(|_| ()).unwrap_err();
            assert!(matches!(error.failure, Failure::Time), "{way:?}: {error}");
        }
        scene.render_of("shop", &good, LIMITS, told(&[], |_| {}))?;
    }
    Ok(())
}
