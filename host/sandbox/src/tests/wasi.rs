//! Clocks stand, nothing is random, nobody sleeps.

use super::guests::{Bench, INSTANT, PARAMS, component};
use crate::wasi::SHORT_WAIT;
use crate::{Failure, Role};

const RANDOM: &str =
    "package wasi:random@0.2.3; interface random { get-random-u64: func() -> u64; }
    interface insecure { get-insecure-random-u64: func() -> u64; }
    interface insecure-seed { insecure-seed: func() -> tuple<u64, u64>; }";
const POLL: &str = "package wasi:io@0.2.3; interface poll { resource pollable { block: func(); } }";
const CLOCKS: &str = "package wasi:clocks@0.2.3;
    interface monotonic-clock { use wasi:io/poll@0.2.3.{pollable};
        now: func() -> u64; subscribe-duration: func(when: u64) -> pollable; }
    interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }";

/// A renderer that imports an interface of WASI, with this body and more parts.
fn bench(interface: &str, core_import: &str, body: &str, rest: &str) -> Bench {
    let core_import = format!(r#"(import "wasi:{interface}@0.2.3" {core_import})"#);
    let core = format!(r#"(func (export "render") {PARAMS} (result i32) {body}) {rest}"#);
    let world = format!("import wasi:{interface}@0.2.3;");
    Bench::new(
        Role::Renderer,
        &component(
            Role::Renderer,
            &[RANDOM, POLL, CLOCKS],
            &world,
            &core_import,
            &core,
        ),
    )
}

async fn eight_bytes(bench: &Bench) -> u64 {
    let (documents, _) = bench.render().await.unwrap();
    u64::from_le_bytes(documents[0].body[..8].try_into().unwrap())
}

const ANSWER: &str = "(call $answer (i32.const 4000) (i32.const 16))";

#[tokio::test]
async fn random_is_refused_during_a_call_with_its_name_and_a_way_out() {
    for (interface, function) in [
        ("random/random", "get-random-u64"),
        ("random/insecure", "get-insecure-random-u64"),
    ] {
        let import = format!(r#""{function}" (func $random (result i64))"#);
        let body = format!("(i64.store (i32.const 4000) (call $random)) {ANSWER}");
        let error = bench(interface, &import, &body, "")
            .render()
            .await
            .unwrap_err();
        assert!(matches!(error.failure, Failure::Refused { .. }), "{error}");
        let text = error.to_string();
        for word in [
            "app `shop`",
            "plugin `paint`",
            &format!("wasi:{interface}.{function}"),
            "put it into the repository",
            "grants: { random: stable }",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}

#[tokio::test]
async fn a_call_that_is_given_random_bytes_gets_those_of_its_seed_from_either_import() {
    for (interface, function) in [
        ("random/random", "get-random-u64"),
        ("random/insecure", "get-insecure-random-u64"),
    ] {
        let import = format!(r#""{function}" (func $random (result i64))"#);
        let body = format!(
            "(i64.store (i32.const 4000) (call $random)) (i64.store (i32.const 4008) (call $random)) {ANSWER}"
        );
        let bench = bench(interface, &import, &body, "");
        let of = async |seed| {
            let (documents, read, usage) = bench.render_granted(seed).await.unwrap();
            assert!(usage.drew && read.is_empty());
            documents[0].body.clone()
        };
        let first = of(1).await;
        assert_eq!(first, of(1).await, "another instance, the same bytes");
        assert_ne!(first, of(2).await);
        assert_ne!(first[..8], first[8..16], "a stream, not one value");
    }
}

#[tokio::test]
async fn the_hash_seed_of_a_call_that_is_given_random_bytes_is_the_constant_all_the_same() {
    let import = r#""insecure-seed" (func $seed (param i32))"#;
    let body = format!("(call $seed (i32.const 4000)) {ANSWER}");
    let bench = bench("random/insecure-seed", import, &body, "");
    let (documents, _, usage) = bench.render_granted(1).await.unwrap();
    assert_eq!(
        documents[0].body[..8],
        0x7765_6972_7765_6972_u64.to_le_bytes()
    );
    assert!(!usage.drew);
}

#[tokio::test]
async fn random_is_a_constant_stream_while_a_component_starts() {
    let rest = r#"(func (export "_initialize")
        (i64.store (i32.const 4000) (call $random)) (i64.store (i32.const 4008) (call $random)))"#;
    let bench = bench(
        "random/random",
        r#""get-random-u64" (func $random (result i64))"#,
        ANSWER,
        rest,
    );
    let (first, _) = bench.render().await.unwrap();
    let (second, _) = bench.render().await.unwrap();
    assert_eq!(first, second);
    assert_ne!(
        first[0].body[..8],
        first[0].body[8..16],
        "a stream, not one value"
    );
}

#[tokio::test]
async fn the_hash_seed_is_a_constant() {
    let body = format!("(call $seed (i32.const 4000)) {ANSWER}");
    let bench = bench(
        "random/insecure-seed",
        r#""insecure-seed" (func $seed (param i32))"#,
        &body,
        "",
    );
    assert_eq!(eight_bytes(&bench).await, 0x7765_6972_7765_6972);
}

#[tokio::test]
async fn the_wall_clock_stands_at_the_instant_of_the_lock() {
    let body = format!("(call $now (i32.const 4000)) {ANSWER}");
    let bench = bench(
        "clocks/wall-clock",
        r#""now" (func $now (param i32))"#,
        &body,
        "",
    );
    assert_eq!(eight_bytes(&bench).await, INSTANT);
}

#[tokio::test]
async fn the_monotonic_clock_counts_looks_from_a_start_that_is_not_zero() {
    let import = r#""now" (func $now (result i64))"#;
    let once = bench(
        "clocks/monotonic-clock",
        import,
        &format!("(i64.store (i32.const 4000) (call $now)) {ANSWER}"),
        "",
    );
    let first = eight_bytes(&once).await;
    assert_eq!(first, eight_bytes(&once).await);
    assert!(first > 0);
    let body = format!("(drop (call $now)) (i64.store (i32.const 4000) (call $now)) {ANSWER}");
    assert_eq!(
        eight_bytes(&bench("clocks/monotonic-clock", import, &body, "")).await,
        first + 1_000_000
    );
}

#[tokio::test]
async fn a_sleep_is_refused_and_does_not_happen() {
    let import = r#""subscribe-duration" (func $sleep (param i64) (result i32))"#;
    let body = format!("(drop (call $sleep (i64.const 3600000000000))) {ANSWER}");
    let error = bench("clocks/monotonic-clock", import, &body, "")
        .render()
        .await
        .unwrap_err();
    assert!(matches!(error.failure, Failure::Refused { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("monotonic-clock.subscribe-duration (a sleep)"),
        "{error}"
    );
}

const SLEEP: &str = r#"(import "wasi:clocks/monotonic-clock@0.2.3" "now" (func $now (result i64)))
    (import "wasi:clocks/monotonic-clock@0.2.3" "subscribe-duration" (func $sleep (param i64) (result i32)))
    (import "wasi:io/poll@0.2.3" "[method]pollable.block" (func $block (param i32)))"#;

/// A renderer that may sleep, with this body and more parts.
fn sleeper(body: &str, rest: &str) -> Bench {
    let core = format!(r#"(func (export "render") {PARAMS} (result i32) {body}) {rest}"#);
    let world = "import wasi:clocks/monotonic-clock@0.2.3; import wasi:io/poll@0.2.3;";
    let bytes = component(Role::Renderer, &[POLL, CLOCKS], world, SLEEP, &core);
    Bench::new(Role::Renderer, &bytes)
}

#[tokio::test]
async fn a_sleep_while_a_component_starts_is_over_at_once_and_the_clock_has_moved_on() {
    let says_now = format!("(i64.store (i32.const 4000) (call $now)) {ANSWER}");
    let awake = eight_bytes(&sleeper(&says_now, "")).await;
    let starts =
        r#"(func (export "_initialize") (call $block (call $sleep (i64.const 3600000000000))))"#;
    let rested = sleeper(&says_now, starts);
    assert_eq!(eight_bytes(&rested).await, awake + 3_600_000_000_000);
    assert_eq!(eight_bytes(&rested).await, awake + 3_600_000_000_000);
}

#[tokio::test]
async fn a_short_wait_is_over_at_once_and_a_nanosecond_more_is_refused() {
    let waits = |time: u64| {
        sleeper(
            &format!("(call $block (call $sleep (i64.const {time}))) {ANSWER}"),
            "",
        )
    };
    waits(0).render().await.unwrap();
    waits(SHORT_WAIT).render().await.unwrap();
    let error = waits(SHORT_WAIT + 1).render().await.unwrap_err();
    assert!(matches!(error.failure, Failure::Refused { .. }), "{error}");
}

#[tokio::test]
async fn timers_that_nobody_drops_end_with_the_table_of_resources() {
    let starts = r#"(func (export "_initialize") (loop $more (drop (call $sleep (i64.const 0))) (br $more)))"#;
    let error = sleeper(ANSWER, starts).render().await.unwrap_err();
    assert!(
        matches!(error.failure, Failure::Handles { limit: 1000 }),
        "{error}"
    );
    assert!(error.to_string().contains("at most 1000"), "{error}");
}

const STDERR: &str = "package wasi:io@0.2.3; interface error { resource error; }
    interface streams { use error.{error};
        variant stream-error { last-operation-failed(error), closed }
        resource output-stream {
            blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
        } }";
const CLI: &str =
    "package wasi:cli@0.2.3; interface stderr { use wasi:io/streams@0.2.3.{output-stream};
    get-stderr: func() -> output-stream; }";

#[tokio::test]
async fn a_trap_comes_with_the_plugins_last_words_and_no_more_than_that() {
    let imports = r#"(import "wasi:cli/stderr@0.2.3" "get-stderr" (func $stderr (result i32)))
        (import "wasi:io/streams@0.2.3" "[method]output-stream.blocking-write-and-flush"
          (func $write (param i32 i32 i32 i32)))"#;
    let body = r#"(local $out i32) (local $i i32) (local.set $out (call $stderr))
        (loop $more
          (call $write (local.get $out) (i32.const 65536) (i32.const 4000) (i32.const 4000))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $more (i32.lt_u (local.get $i) (i32.const 900))))
        (call $write (local.get $out) (i32.const 3100) (i32.const 8) (i32.const 4000))
        (unreachable)"#;
    let core = format!(
        r#"(func (export "render") {PARAMS} (result i32) {body}) (data (i32.const 3100) "panicked")"#
    );
    let world = "import wasi:cli/stderr@0.2.3; import wasi:io/streams@0.2.3;";
    let bytes = component(Role::Renderer, &[STDERR, CLI], world, imports, &core);
    let error = Bench::new(Role::Renderer, &bytes)
        .render()
        .await
        .unwrap_err();
    let Failure::Trap { stderr, .. } = &error.failure else {
        panic!("{error}")
    };
    assert!(
        stderr.ends_with("panicked") && stderr.len() <= 8192,
        "{} bytes",
        stderr.len()
    );
    assert!(error.to_string().ends_with("panicked"));
}
