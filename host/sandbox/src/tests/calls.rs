//! What ends a call, and what a call gives.

use weir_core::fault::{Blame, Fault, Retry};
use weir_core::grant::{Bytes, Fuel, Millis};

use super::guests::{Bench, LIMITS, PARAMS, call, component, names, renderer_with, view};
use crate::{CallError, Failure, Level, Role, Severity};

const LOOP: &str = "(loop $again (br $again)) (unreachable)";

/// The message names the app, the plugin, its digest and all of these.
fn says(error: &CallError, words: &[&str]) {
    let text = error.to_string();
    let digest = error.digest.short();
    for word in ["app `shop`", "plugin `paint`", digest.as_str()]
        .iter()
        .chain(words)
    {
        assert!(text.contains(word), "{word:?} is missing in: {text}");
    }
}

#[tokio::test]
async fn an_answer_comes_with_what_it_cost() {
    let bench = Bench::renderer("(call $answer (i32.const 3000) (i32.const 1))");
    let (documents, usage) = bench.render().await.unwrap();
    assert_eq!(
        (documents[0].origin.as_str(), documents[0].body.as_slice()),
        ("a", &b"a"[..])
    );
    assert!(usage.fuel > 0 && usage.fuel < 10_000, "{usage:?}");
    assert!(usage.memory >= 2 * 65536, "{usage:?}");
    assert!(usage.micros > 0 && usage.host_calls == 0);
}

#[tokio::test]
async fn the_same_call_gives_the_same_bytes_for_the_same_fuel() {
    let bench = Bench::renderer(
        "(i32.store (i32.const 3000) (i32.add (i32.load (i32.const 3000)) (i32.const 1))) (call $answer (i32.const 3000) (i32.const 4))",
    );
    let (first, cost) = bench.render().await.unwrap();
    let (second, again) = bench.render().await.unwrap();
    assert_eq!(
        first[0].body, b"b\0\0\0",
        "nothing is left of the call before"
    );
    assert_eq!(first, second);
    assert_eq!(cost.fuel, again.fuel);
}

#[tokio::test]
async fn an_endless_loop_ends_with_its_fuel() {
    let bench = Bench::renderer(LOOP);
    let error = bench.render().await.unwrap_err();
    assert!(matches!(error.failure, Failure::Fuel), "{error}");
    says(&error, &["fuel", "100M", "raise limits.fuel", "weir.yaml"]);
    assert_eq!(
        (error.fault(), error.retry()),
        (Fault::Plugin, Retry::OnChange)
    );
    assert!(error.usage.fuel >= LIMITS.fuel.0 - 100);
}

#[tokio::test]
async fn an_endless_loop_with_fuel_for_years_ends_with_its_time() {
    let mut bench = Bench::renderer(LOOP);
    bench.limits.fuel = Fuel(u64::MAX / 2);
    bench.limits.time = Millis(50);
    let error = bench.render().await.unwrap_err();
    assert!(matches!(error.failure, Failure::Time), "{error}");
    says(&error, &["time", "50ms", "raise limits.time"]);
    assert_eq!(error.retry(), Retry::Backoff, "time is no verdict");
}

#[tokio::test]
async fn a_memory_bomb_is_told_no_and_blamed_for_memory_even_when_it_traps_later() {
    let bench = Bench::renderer(
        "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)",
    );
    let error = bench.render().await.unwrap_err();
    assert!(
        matches!(error.failure, Failure::Memory { wanted } if wanted > LIMITS.memory.0),
        "{error}"
    );
    says(&error, &["memory", "64Mi", "raise limits.memory"]);
    assert!(error.usage.memory <= LIMITS.memory.0);
}

#[tokio::test]
async fn a_plugin_that_needs_more_memory_to_start_than_it_may_have_is_told_so() {
    let mut bench = Bench::renderer("(call $answer (i32.const 3000) (i32.const 1))");
    bench.limits.memory = Bytes(65536);
    let error = bench.render().await.unwrap_err();
    assert!(
        matches!(error.failure, Failure::Memory { wanted: 131_072 }),
        "{error}"
    );
}

#[tokio::test]
async fn a_table_bomb_is_told_no() {
    let grow = "(loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 100000)) (i32.const -1)))) (unreachable)";
    let component = renderer_with("", grow, "(table $t 1 funcref)");
    let error = Bench::new(Role::Renderer, &component)
        .render()
        .await
        .unwrap_err();
    assert!(matches!(error.failure, Failure::Memory { .. }), "{error}");
}

#[tokio::test]
async fn output_over_the_limit_is_refused() {
    let mut bench = Bench::renderer("(call $answer (i32.const 0) (i32.const 100000))");
    bench.limits.output = Bytes(99_999);
    let error = bench.render().await.unwrap_err();
    assert!(matches!(error.failure, Failure::Output { .. }), "{error}");
    says(
        &error,
        &["output", "99999", "100001 bytes", "raise limits.output"],
    );
    bench.limits.output = Bytes(100_001);
    bench.render().await.unwrap();
}

#[tokio::test]
async fn huge_output_is_refused_before_the_host_makes_room_for_it() {
    let mut bench = Bench::renderer(
        "(drop (memory.grow (i32.const 900))) (call $answer (i32.const 0) (i32.const 50000000))",
    );
    bench.limits.output = Bytes(1000);
    let error = bench.render().await.unwrap_err();
    assert!(matches!(error.failure, Failure::Output { .. }), "{error}");
    says(&error, &["limit of 1k", "at once"]);
}

#[tokio::test]
async fn more_items_than_anybody_needs_are_refused() {
    let body = "(i32.store8 (i32.const 1024) (i32.const 0)) (i32.store (i32.const 1028) (i32.const 131072))
        (i32.store (i32.const 1032) (i32.const 100001)) (drop (memory.grow (i32.const 100))) (i32.const 1024)";
    let error = Bench::renderer(body).render().await.unwrap_err();
    says(&error, &["100001 items"]);
}

#[tokio::test]
async fn a_trap_is_the_plugins_fault_and_comes_with_a_backtrace() {
    let component = renderer_with(
        "",
        "(call $deep) (unreachable)",
        "(func $deep (unreachable))",
    );
    let error = Bench::new(Role::Renderer, &component)
        .render()
        .await
        .unwrap_err();
    assert!(matches!(error.failure, Failure::Trap { .. }), "{error}");
    says(&error, &["unreachable", "deep", "bug in the plugin"]);
    assert_eq!(error.fault(), Fault::Plugin);
}

#[tokio::test]
async fn endless_recursion_is_named() {
    let component = renderer_with(
        "",
        "(call $deep) (unreachable)",
        "(func $deep (call $deep) (call $deep))",
    );
    let error = Bench::new(Role::Renderer, &component)
        .render()
        .await
        .unwrap_err();
    says(&error, &["recursion is too deep"]);
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_bad_output() {
    let body = "(i32.store8 (i32.const 3000) (i32.const 255)) (call $answer (i32.const 3000) (i32.const 1))";
    let error = Bench::renderer(body).render().await.unwrap_err();
    assert!(
        matches!(error.failure, Failure::BadOutput { .. }),
        "{error}"
    );
    says(&error, &["UTF-8"]);
}

#[tokio::test]
async fn an_answer_outside_its_memory_is_the_plugins_fault() {
    for body in [
        "(call $answer (i32.const 200000) (i32.const 1))",
        "(i32.const 1)",
        "(i32.const -4)",
    ] {
        let error = Bench::renderer(body).render().await.unwrap_err();
        assert!(
            matches!(error.failure, Failure::Trap { .. }),
            "{body}: {error}"
        );
    }
}

#[tokio::test]
async fn a_plugin_says_itself_why_it_cannot_go_on() {
    // One diagnostic at 1040: level 1, code "a", message "a", path "a", line 7.
    let body =
        "(i32.store8 (i32.const 1024) (i32.const 1)) (i32.store (i32.const 1028) (i32.const 1040))
        (i32.store (i32.const 1032) (i32.const 1)) (i32.store8 (i32.const 1040) (i32.const 1))
        (i32.store (i32.const 1044) (i32.const 3000)) (i32.store (i32.const 1048) (i32.const 1))
        (i32.store (i32.const 1052) (i32.const 3000)) (i32.store (i32.const 1056) (i32.const 1))
        (i32.store8 (i32.const 1060) (i32.const 1)) (i32.store (i32.const 1064) (i32.const 3000))
        (i32.store (i32.const 1068) (i32.const 1)) (i32.store8 (i32.const 1072) (i32.const 1))
        (i32.store (i32.const 1076) (i32.const 7)) (i32.const 1024)";
    let error = Bench::renderer(body).render().await.unwrap_err();
    let Failure::Diagnostics(list) = &error.failure else {
        panic!("{error}")
    };
    assert_eq!((list[0].level, list[0].line), (Level::Warning, Some(7)));
    says(&error, &["could not go on: a:7: a (a)"]);
    assert_eq!(error.fault(), Fault::Repository);
}

#[tokio::test]
async fn log_lines_are_kept_up_to_a_budget_and_counted_past_it() {
    let import = r#"(import "weir:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
    let body = "(local $i i32)
        (loop $more
          (call $log (i32.const 2) (i32.const 65536) (i32.const 6000))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $more (i32.lt_u (local.get $i) (i32.const 600))))
        (call $answer (i32.const 3000) (i32.const 1))";
    let bench = Bench::new(Role::Renderer, &renderer_with(import, body, ""));
    let (_, usage) = bench.render().await.unwrap();
    assert_eq!(
        (usage.log.len(), usage.log_dropped, usage.host_calls),
        (500, 100, 600)
    );
    assert_eq!(
        (usage.log[0].severity, usage.log[0].message.len()),
        (Severity::Warn, 4096)
    );

    let mut bench = bench;
    bench.limits.host_calls = 599;
    let error = bench.render().await.unwrap_err();
    assert!(matches!(error.failure, Failure::HostCalls), "{error}");
    says(&error, &["599 times", "raise limits.hostCalls"]);
}

#[tokio::test]
async fn other_calls_go_on_while_one_loops_on_the_only_thread() {
    let mut looping = Bench::renderer(LOOP);
    looping.limits.fuel = Fuel(u64::MAX / 2);
    let quick = Bench::renderer("(call $answer (i32.const 3000) (i32.const 1))");
    let task = tokio::spawn(async move { looping.render().await });
    tokio::task::yield_now().await;
    for _ in 0..5 {
        quick.render().await.unwrap();
    }
    assert!(!task.is_finished());
    task.abort();
    assert!(
        task.await.unwrap_err().is_cancelled(),
        "dropping a call stops its guest"
    );
}

fn echo() -> Vec<u8> {
    let body = r#"(func (export "transform") (param $args i32) (result i32)
        (i32.store8 (i32.const 1024) (i32.const 0))
        (i32.store (i32.const 1028) (i32.load (local.get $args)))
        (i32.store (i32.const 1032) (i32.load offset=4 (local.get $args)))
        (i32.const 1024))"#;
    component(Role::Transformer, &[], "", "", body)
}

#[tokio::test]
async fn a_transformer_gets_objects_and_gives_objects() {
    let mut bench = Bench::new(Role::Transformer, &echo());
    let (app, plugin) = names();
    let objects = vec![b"{}".to_vec(), br#"{"kind":"Pod"}"#.to_vec(), Vec::new()];
    let call_with = |limits| call(&app, &plugin, limits);
    let (out, _, _) = bench
        .sandbox
        .transform(&bench.plugin, call_with(bench.limits), &objects, view(&[]))
        .await
        .unwrap();
    assert_eq!(out, objects);
    bench.limits.output = Bytes(10);
    let error = bench
        .sandbox
        .transform(&bench.plugin, call_with(bench.limits), &objects, view(&[]))
        .await
        .unwrap_err();
    says(&error, &["16 bytes"]);
}

/// A validator whose one finding is about the object with this index.
fn finds(object: u32) -> Vec<u8> {
    let body = format!(
        r#"(func (export "validate") (param i32) (result i32)
        (i32.store8 (i32.const 1024) (i32.const 0)) (i32.store (i32.const 1028) (i32.const 1040))
        (i32.store (i32.const 1032) (i32.const 1))
        (i32.store8 (i32.const 1040) (i32.const 0)) (i32.store (i32.const 1044) (i32.const 3000))
        (i32.store (i32.const 1048) (i32.const 1)) (i32.store (i32.const 1052) (i32.const 3000))
        (i32.store (i32.const 1056) (i32.const 1)) (i32.store8 (i32.const 1060) (i32.const 1))
        (i32.store (i32.const 1064) (i32.const {object})) (i32.const 1024))"#
    );
    component(Role::Validator, &[], "", "", &body)
}

#[tokio::test]
async fn a_validator_finds_things_about_objects_that_exist() {
    let (app, plugin) = names();
    let objects = vec![b"{}".to_vec()];
    let bench = Bench::new(Role::Validator, &finds(0));
    let (found, _, _) = bench
        .sandbox
        .validate(
            &bench.plugin,
            call(&app, &plugin, LIMITS),
            &objects,
            view(&[]),
        )
        .await
        .unwrap();
    assert_eq!(
        (found[0].level, found[0].object, found[0].code.as_str()),
        (Level::Error, Some(0), "a")
    );
    let bench = Bench::new(Role::Validator, &finds(1));
    let error = bench
        .sandbox
        .validate(
            &bench.plugin,
            call(&app, &plugin, LIMITS),
            &objects,
            view(&[]),
        )
        .await
        .unwrap_err();
    says(&error, &["a finding about object 1 of 1"]);
}

#[tokio::test]
async fn a_validator_that_could_not_look_is_an_error_and_never_an_empty_list() {
    let body = r#"(func (export "validate") (param i32) (result i32)
        (i32.store8 (i32.const 1024) (i32.const 1)) (i32.store (i32.const 1028) (i32.const 3000))
        (i32.store (i32.const 1032) (i32.const 1)) (i32.const 1024))"#;
    let bench = Bench::new(
        Role::Validator,
        &component(Role::Validator, &[], "", "", body),
    );
    let (app, plugin) = names();
    let error = bench
        .sandbox
        .validate(&bench.plugin, call(&app, &plugin, LIMITS), &[], view(&[]))
        .await
        .unwrap_err();
    says(&error, &["could not go on: a (could-not-look)"]);
}

#[tokio::test]
async fn a_plugin_is_only_called_in_its_role() {
    let bench = Bench::new(Role::Transformer, &echo());
    let error = bench.render().await.unwrap_err();
    says(
        &error,
        &["loaded as a transformer and called as a renderer"],
    );
    assert_eq!(error.fault(), Fault::Host);
    assert_eq!(PARAMS.matches("i32").count(), 15);
}
