//! A call comes to the same in a worker as in the host's own process: what it gives, what it spends, how it fails.

use libtest_mimic::Failed;
use weir_core::fault::Blame as _;
use weir_core::grant::{Bytes, Fuel, Limits};

use crate::guests::{LIMITS, PARAMS, call, component, names, renderer, renderer_with};
use crate::scene::{Scene, Way, told};
use crate::{Call, Named, Role, WorkerLimits};

pub(crate) const TRIALS: &[Named] = &[
    (
        "a_renderer_in_a_worker_gives_reads_and_spends_what_it_does_in_the_host",
        renders_the_same,
    ),
    (
        "a_transformer_and_a_validator_in_a_worker_give_what_they_do_in_the_host",
        objects_the_same,
    ),
    (
        "every_way_in_which_a_call_ends_has_the_same_words_in_a_worker",
        fails_the_same,
    ),
    (
        "a_component_that_does_not_fit_is_found_when_it_is_loaded",
        misfits,
    ),
    (
        "nothing_is_open_to_the_processes_that_compile_and_render",
        confined,
    ),
];

/// Where calls run, one after the other.
fn ways() -> [Way; 2] {
    [Way::InProcess, Way::Workers(WorkerLimits::HOST)]
}

const TREE: &str = r#"(import "weir:plugin/tree@0.1.0" "read" (func $read (param i32 i32 i32)))
    (import "weir:plugin/tree@0.1.0" "entries" (func $entries (param i32 i32 i32)))
    (import "weir:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;

/// Lists a folder, reads a file in it, one that is not there and a folder, logs, and returns the file.
fn reader() -> Vec<u8> {
    let body = "
        (call $entries (i32.const 3100) (i32.const 4) (i32.const 4000))
        (call $read (i32.const 3200) (i32.const 9) (i32.const 4016))
        (call $read (i32.const 3100) (i32.const 4) (i32.const 4016))
        (call $log (i32.const 1) (i32.const 3100) (i32.const 4))
        (call $read (i32.const 3100) (i32.const 11) (i32.const 4032))
        (call $answer (i32.load offset=4 (i32.const 4032)) (i32.load offset=8 (i32.const 4032)))";
    let data = r#"(data (i32.const 3100) "apps/a.yaml") (data (i32.const 3200) "apps/gone")"#;
    renderer_with(TREE, body, data)
}

fn renders_the_same() -> Result<(), Failed> {
    let mut done = Vec::new();
    for way in ways() {
        let scene = Scene::new(&way, Role::Renderer, &reader());
        let files = told(&[("apps/a.yaml", "kind: A"), ("apps/b.yaml", "")], |_| {});
        let (documents, reads, mut usage) = scene.render(LIMITS, files)?;
        usage.micros = 0;
        done.push(format!("{documents:?} {reads:?} {usage:?}"));
    }
    assert!(done[0].contains("[107, 105, 110, 100"), "{}", done[0]);
    assert_eq!(done[0], done[1]);
    Ok(())
}

fn objects_the_same() -> Result<(), Failed> {
    let echo = r#"(func (export "transform") (param $args i32) (result i32)
        (i32.store8 (i32.const 1024) (i32.const 0))
        (i32.store (i32.const 1028) (i32.load (local.get $args)))
        (i32.store (i32.const 1032) (i32.load offset=4 (local.get $args)))
        (i32.const 1024))"#;
    let finds = r#"(func (export "validate") (param i32) (result i32)
        (i32.store8 (i32.const 1024) (i32.const 0)) (i32.store (i32.const 1028) (i32.const 1040))
        (i32.store (i32.const 1032) (i32.const 1))
        (i32.store8 (i32.const 1040) (i32.const 2)) (i32.store (i32.const 1044) (i32.const 3000))
        (i32.store (i32.const 1048) (i32.const 1)) (i32.store (i32.const 1052) (i32.const 3000))
        (i32.store (i32.const 1056) (i32.const 1)) (i32.store8 (i32.const 1060) (i32.const 1))
        (i32.store (i32.const 1064) (i32.const 1)) (i32.const 1024))"#;
    let objects = vec![b"{}".to_vec(), vec![b'x'; 300_000], Vec::new()];
    let (app, name) = names();
    let mut done = Vec::new();
    for way in ways() {
        let scene = Scene::new(
            &way,
            Role::Transformer,
            &component(Role::Transformer, &[], "", "", echo),
        );
        let limits = Limits {
            memory: Bytes(64 << 20),
            ..LIMITS
        };
        let called = |limits| -> Call<'_> { call(&app, &name, limits) };
        let transformed =
            scene
                .sandbox
                .transform(&scene.plugin, called(limits), &objects, told(&[], |_| {}));
        let (given, _, _) = scene.runtime.block_on(transformed)?;
        assert_eq!(given, objects, "{way:?}");
        let validator = scene.load(
            Role::Validator,
            &component(Role::Validator, &[], "", "", finds),
        );
        let validated =
            scene
                .sandbox
                .validate(&validator, called(limits), &objects, told(&[], |_| {}));
        let (findings, _, usage) = scene.runtime.block_on(validated)?;
        done.push(format!("{findings:?} {}", usage.fuel));
    }
    assert_eq!(done[0], done[1]);
    Ok(())
}

fn fails_the_same() -> Result<(), Failed> {
    let says_no =
        "(i32.store8 (i32.const 1024) (i32.const 1)) (i32.store (i32.const 1028) (i32.const 1040))
        (i32.store (i32.const 1032) (i32.const 1)) (i32.store8 (i32.const 1040) (i32.const 1))
        (i32.store (i32.const 1044) (i32.const 3000)) (i32.store (i32.const 1048) (i32.const 1))
        (i32.store (i32.const 1052) (i32.const 3000)) (i32.store (i32.const 1056) (i32.const 1))
        (i32.const 1024)";
    let grows = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 100)) (i32.const -1)))) (unreachable)";
    let many = "(i32.store8 (i32.const 1024) (i32.const 0)) (i32.store (i32.const 1028) (i32.const 131072))
        (i32.store (i32.const 1032) (i32.const 100001)) (drop (memory.grow (i32.const 100))) (i32.const 1024)";
    let log = r#"(import "weir:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
    let flood = "(loop $more (call $log (i32.const 0) (i32.const 0) (i32.const 1)) (br $more)) (unreachable)";
    let guests = [
        (
            "ran out of fuel",
            renderer("(loop $more (br $more)) (unreachable)"),
        ),
        ("ran out of memory", renderer(grows)),
        (
            "output limit",
            renderer(
                "(drop (memory.grow (i32.const 40))) (call $answer (i32.const 0) (i32.const 2000000))",
            ),
        ),
        ("100001 items", renderer(many)),
        ("too often", renderer_with(log, flood, "")),
        ("trapped", renderer("(unreachable)")),
        (
            "recursion is too deep",
            renderer_with(
                "",
                "(call $deep) (unreachable)",
                "(func $deep (call $deep) (call $deep))",
            ),
        ),
        ("could not go on", renderer(says_no)),
        (
            "not UTF-8",
            renderer(
                "(i32.store8 (i32.const 3000) (i32.const 255)) (call $answer (i32.const 3000) (i32.const 1))",
            ),
        ),
        ("out of bounds", renderer("(i32.const -4)")),
        ("is a Git LFS pointer", reader()),
    ];
    let pointer = "version https://git-lfs.github.com/spec/v1\n";
    let mut said: Vec<Vec<String>> = Vec::new();
    for way in ways() {
        let scene = Scene::new(&way, Role::Renderer, &renderer("(unreachable)"));
        let mut errors = Vec::new();
        for (words, guest) in &guests {
            let plugin = scene.load(Role::Renderer, guest);
            let limits = Limits {
                fuel: Fuel(20_000_000),
                host_calls: 1000,
                ..LIMITS
            };
            let files = told(&[("apps/a.yaml", pointer)], |_| {});
            let error = scene
                .render_of("shop", &plugin, limits, files)
                .map(|_| ())
                .unwrap_err();
            let text = error.to_string();
            let digest = plugin.digest().short();
            for word in ["app `shop`", "plugin `paint`", &digest, words] {
                assert!(text.contains(word), "{way:?}: {word}: {text}");
            }
            errors.push(format!("{text} {:?} {:?}", error.fault(), error.retry()));
        }
        said.push(errors);
    }
    for (here, there) in said[0].iter().zip(&said[1]) {
        assert_eq!(addresses_aside(here), addresses_aside(there));
    }
    Ok(())
}

/// A backtrace without the places of the code in memory.
fn addresses_aside(text: &str) -> String {
    let words = text.split(' ').filter(|word| !word.starts_with("0x"));
    words.collect::<Vec<_>>().join(" ")
}

fn misfits() -> Result<(), Failed> {
    let guest = component(
        Role::Validator,
        &[],
        "",
        "",
        r#"(func (export "validate") (param i32) (result i32) (unreachable))"#,
    );
    for way in ways() {
        let scene = Scene::new(&way, Role::Renderer, &renderer("(unreachable)"));
        let digest = weir_core::digest::Digest::of(&guest);
        let error = scene
            .sandbox
            .load(digest, Role::Renderer, &guest, &|_| {})
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("is not a renderer of weir:plugin@0.1.0") && text.contains("`render`"),
            "{way:?}: {text}"
        );
    }
    assert_eq!(PARAMS.matches("i32").count(), 15);
    Ok(())
}

fn confined() -> Result<(), Failed> {
    let compile = crate::CompileMode::Child {
        program: std::env::current_exe()?,
        args: vec!["compile-worker".into()],
    };
    let (sandbox, _dir) = crate::scene::sandbox(&Way::Workers(WorkerLimits::HOST), compile);
    let tried = sandbox.confinement();
    assert_eq!(tried.len(), 2);
    for tried in tried {
        let attempts = tried.attempts?;
        let (missing, done) = (attempts.confinement.missing(), attempts.done());
        // Where the kernel lacks something it says so, and what is let through is no secret.
        if missing.is_empty() {
            assert!(done.is_empty(), "{:?}: {done:?}", tried.job);
        }
        assert_eq!(attempts.attempts.len(), 6);
        assert!(
            cfg!(not(target_os = "linux")) || attempts.confinement.filter,
            "{:?}: {}",
            tried.job,
            attempts.confinement
        );
    }
    Ok(())
}
