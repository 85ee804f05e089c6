//! What an author may get wrong that no compiler sees.

use weir_sandbox::{Claims, with_claims};
use weir_tests::places;
use weir_tests::weir::text;

use super::folder::{Folder, LABELLED, MAP, labels};

#[test]
fn a_new_project_wants_a_known_role_and_language_and_a_good_name() {
    let folder = Folder::with("metadata");
    for (arguments, words) in [
        (
            ["new", "team", "--role", "helper", "--lang", "go"],
            ["renderer", "transformer"],
        ),
        (
            ["new", "team", "--role", "validator", "--lang", "perl"],
            ["rust", "python"],
        ),
        (
            ["new", "Team", "--role", "validator", "--lang", "go"],
            ["plugin name", "a-z, 0-9 and -"],
        ),
        (
            ["new", "1team", "--role", "validator", "--lang", "go"],
            ["plugin name", "a letter"],
        ),
        (
            ["new", "../team", "--role", "validator", "--lang", "go"],
            ["plugin name", "../team"],
        ),
        (
            [
                "new",
                "weir-plugin",
                "--role",
                "validator",
                "--lang",
                "rust",
            ],
            ["plugin name", "SDK"],
        ),
    ] {
        let ran = folder.weir(&arguments).code(2).unwrap();
        for word in words {
            assert!(ran.stderr.contains(word), "{arguments:?}: {}", ran.stderr);
        }
    }
    let mut there: Vec<_> = std::fs::read_dir(&folder.dir)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    there.sort();
    assert_eq!(there, ["plugin.wasm"], "nothing was written");
}

#[test]
fn a_new_project_takes_no_folder_that_holds_something() {
    let folder = Folder::with("metadata");
    let arguments = [
        "new",
        "team",
        "--role",
        "validator",
        "--lang",
        "go",
        "--dir",
    ];
    let into = |dir: &str| folder.weir(&[&arguments[..], &[dir]].concat());
    let ran = into(text(&folder.dir).unwrap()).code(2).unwrap();
    assert!(
        ran.stderr.contains("the folder is not empty"),
        "{}",
        ran.stderr
    );
    let ran = into("plugin.wasm").code(2).unwrap();
    assert!(ran.stderr.contains("plugin.wasm"), "{}", ran.stderr);
    std::fs::create_dir(folder.dir.join("empty")).unwrap();
    into("empty").success().unwrap();
    assert!(folder.dir.join("empty/plugin.yaml").is_file());
    into("empty").code(2).unwrap();
}

#[test]
fn a_folder_that_is_no_plugins_says_what_one_has() {
    let folder = Folder::with("metadata");
    let ran = folder.weir(&["build"]).code(2).unwrap();
    assert!(
        ran.stderr.contains("no Cargo.toml") && ran.stderr.contains("weir plugin new"),
        "{}",
        ran.stderr
    );
    let ran = folder.weir(&["build", "nowhere"]).code(2).unwrap();
    assert!(ran.stderr.contains("nowhere"), "{}", ran.stderr);
}

#[test]
fn a_plugin_yaml_that_is_wrong_is_an_error_with_its_line() {
    let folder = Folder::with("metadata");
    folder.write("main.go", "package main\n");
    folder.write(
        "plugin.yaml",
        "name: team\nversion: 1.0.0\nrole: validator\nauthor: me\n",
    );
    let ran = folder.weir(&["build"]).code(2).unwrap();
    assert!(ran.stderr.contains("plugin.yaml:4:1"), "{}", ran.stderr);
    assert!(ran.stderr.contains("author"), "{}", ran.stderr);
    std::fs::remove_file(folder.dir.join("main.go")).unwrap();
    std::fs::remove_file(folder.dir.join("plugin.yaml")).unwrap();
    folder.write("plugin.py", "");
    let ran = folder.weir(&["build"]).code(2).unwrap();
    assert!(
        ran.stderr
            .contains("there is no plugin.yaml, which says the role"),
        "{}",
        ran.stderr
    );
}

#[test]
fn what_is_no_component_is_told_apart() {
    let folder = Folder::with("metadata");
    folder.write("module.wasm", wat::parse_str("(module)").unwrap());
    folder.write("text.wasm", "not wasm at all");
    folder.write("nothing.wasm", "");
    folder.write("other.wasm", wat::parse_str("(component)").unwrap());
    for command in ["inspect", "run"] {
        for (file, words) in [
            ("module.wasm", "it is a core module"),
            ("text.wasm", "not a WebAssembly component"),
            ("nothing.wasm", "not a WebAssembly component"),
        ] {
            let ran = folder.weir(&[command, file]).code(1).unwrap();
            assert!(
                ran.stderr.contains(words),
                "{command} {file}: {}",
                ran.stderr
            );
        }
        let ran = folder.weir(&[command, "gone.wasm"]).code(2).unwrap();
        assert!(
            ran.stderr.contains("there is no such file"),
            "{command}: {}",
            ran.stderr
        );
    }
    let shown = folder.weir(&["inspect", "other.wasm"]).success().unwrap();
    assert!(shown.contains("none: it is no plugin"), "{shown}");
    let ran = folder.weir(&["run", "other.wasm"]).code(1).unwrap();
    assert!(
        ran.stderr
            .contains("exports none of `render`, `transform` and `validate`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_component_of_another_shape_or_with_other_imports_is_shown_as_what_it_is_and_not_run() {
    let folder = Folder::with("metadata");
    let shape = r#"(component
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func (export "render") (canon lift (core func $i "f"))))"#;
    folder.write("shape.wasm", wat::parse_str(shape).unwrap());
    let shown = folder.weir(&["inspect", "shape.wasm"]).success().unwrap();
    assert!(
        shown.contains("its export `render` is not the one of the world `renderer`"),
        "{shown}"
    );
    let ran = folder
        .weir(&["run", "shape.wasm", "--tree", "."])
        .code(1)
        .unwrap();
    assert!(
        ran.stderr.contains("its export `render` is not the one"),
        "{}",
        ran.stderr
    );
    let imports = r#"(component (import "wasi:sockets/network@0.2.0" (instance)))"#;
    folder.write("imports.wasm", wat::parse_str(imports).unwrap());
    let shown = folder.weir(&["inspect", "imports.wasm"]).success().unwrap();
    assert!(
        shown.contains("wasi:sockets/network@0.2.0   no plugin may have it"),
        "{shown}"
    );
    let ran = folder.weir(&["run", "imports.wasm"]).code(1).unwrap();
    assert!(
        ran.stderr.contains("wasi:sockets/network@0.2.0"),
        "{}",
        ran.stderr
    );
}

#[test]
fn claims_that_are_not_so_are_shown_as_that_and_decide_nothing() {
    let folder = labels();
    let bytes = places::bundled("metadata").unwrap();
    let lies = Claims {
        name: "trusted".into(),
        version: "99.0.0".into(),
        description: String::new(),
        license: String::new(),
        source: "https://weir.example/official".into(),
        role: "validator".into(),
    };
    folder.write("plugin.wasm", with_claims(&bytes, &lies));
    let shown = folder.weir(&["inspect", "plugin.wasm"]).success().unwrap();
    for words in [
        "roles    transformer",
        "which nobody has checked",
        "role         validator",
        "That is not so: it says that it is a validator, and is a transformer.",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert_eq!(folder.test(&[]).success().unwrap(), "ok      one\n");
    folder.write("plugin.wasm", &bytes);
    let shown = folder.weir(&["inspect", "plugin.wasm"]).success().unwrap();
    assert!(
        shown.contains("version      -\n"),
        "a claim that is not made is shown as none: {shown}"
    );
}

#[test]
fn without_cases_it_is_said_how_to_make_one() {
    let folder = Folder::with("metadata");
    for _ in 0..2 {
        let ran = folder.test(&[]).code(2).unwrap();
        assert!(
            ran.stderr.contains("there are no cases: make a folder"),
            "{}",
            ran.stderr
        );
        assert!(ran.stderr.contains("--update"), "{}", ran.stderr);
        std::fs::create_dir_all(folder.dir.join("testdata")).unwrap();
    }
    let ran = labels().test(&["--case", "two"]).code(2).unwrap();
    assert!(
        ran.stderr
            .contains("there is no case \"two\"; there are: one"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_case_that_is_not_whole_fails_and_says_what_it_lacks() {
    let folder = labels();
    folder.write("testdata/a-empty/notes.txt", "");
    folder.write("testdata/b-broken/case.yaml", "app: shop\nconfg: {}\n");
    folder.write("testdata/c-objectless/case.yaml", "");
    folder.write(
        "testdata/d-unsaid/case.yaml",
        "config: { labels: { team: a } }\n",
    );
    folder.write("testdata/d-unsaid/objects.yaml", MAP);
    folder.write(
        "testdata/e-both/case.yaml",
        "config: { labels: { team: a } }\n",
    );
    folder.write("testdata/e-both/objects.yaml", MAP);
    folder.write("testdata/e-both/expected.yaml", LABELLED);
    folder.write("testdata/e-both/expected-error.yaml", "failed: trap\n");
    folder.write("testdata/f-generous/case.yaml", "limits: { memory: 4Gi }\n");
    folder.write("testdata/f-generous/objects.yaml", MAP);
    folder.write("testdata/g-not-yaml/case.yaml", "");
    folder.write("testdata/g-not-yaml/objects.yaml", "a: [\n");
    let ran = folder.test(&[]).code(1).unwrap();
    for words in [
        "FAILED  a-empty: ./testdata/a-empty: there is no case.yaml",
        "FAILED  b-broken: ./testdata/b-broken/case.yaml:2:1",
        "FAILED  c-objectless: ./testdata/c-objectless/objects.yaml: there is no such file",
        "FAILED  d-unsaid: nothing says what is expected: run `weir plugin test --update`",
        "FAILED  e-both: it has both expected.yaml and expected-error.yaml",
        "4Gi is more than the 512Mi that a host allows",
        "FAILED  g-not-yaml: ./testdata/g-not-yaml/objects.yaml:",
        "ok      one",
    ] {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
    assert!(ran.stderr.contains("7 of 8 cases failed"), "{}", ran.stderr);
}

#[test]
fn an_expected_failure_that_does_not_come_fails_and_so_does_one_that_nobody_expects() {
    let folder = labels();
    std::fs::remove_file(folder.dir.join("testdata/one/expected.yaml")).unwrap();
    folder.write("testdata/one/expected-error.yaml", "failed: trap\n");
    let ran = folder.test(&[]).code(1).unwrap();
    assert!(
        ran.stdout.contains("it is to fail, and it gave"),
        "{}",
        ran.stdout
    );
    let folder = labels();
    folder.write("testdata/one/case.yaml", "config: { lables: {} }\n");
    let ran = folder.test(&[]).code(1).unwrap();
    assert!(
        ran.stdout.contains("and it failed: ") && ran.stdout.contains("lables"),
        "{}",
        ran.stdout
    );
}
