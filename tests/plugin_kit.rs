//! `weir plugin`, from an empty folder to a component that a host takes: in each language, with the author's real tools, and
//! with everything that an author may get wrong.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what is wrong by failing"
)]

#[path = "plugin_kit/calls.rs"]
mod calls;
#[path = "plugin_kit/folder.rs"]
mod folder;
#[path = "plugin_kit/guide.rs"]
mod guide;
#[path = "plugin_kit/mistakes.rs"]
mod mistakes;
#[path = "plugin_kit/shipped.rs"]
mod shipped;
#[path = "plugin_kit/toolchains.rs"]
mod toolchains;

use weir_sandbox::Role;
use weir_tests::plugin_project::Project;

/// All that an author does, in order, with a transformer: what is built says what plugin.yaml says, tests hold the code to
/// what is expected, and calls by hand and measurements show what they cost.
fn life(language: &str) {
    let mut project = Project::new(language, "transformer").unwrap();
    let built = project.weir(["build"]).unwrap().success().unwrap();
    let digest = built.trim().rsplit(' ').next().unwrap().to_owned();
    assert!(built.contains("transformer of"), "{built}");
    assert!(digest.starts_with("sha256:"), "{built}");

    let shown = project
        .json(["inspect", "team-labels.wasm", "-o", "json"])
        .unwrap();
    assert_eq!(shown["digest"], digest.as_str());
    assert_eq!(shown["roles"], serde_json::json!(["transformer"]));
    assert_eq!(shown["contradiction"], serde_json::Value::Null);
    let claims = &shown["claims"];
    assert_eq!(claims["name"], "team-labels");
    assert_eq!(claims["version"], "0.1.0");
    assert_eq!(claims["role"], "transformer");
    assert_eq!(claims["license"], "Apache-2.0");
    assert_eq!(claims["source"], "https://git.example/team-labels");
    let imports = shown["imports"].as_array().unwrap();
    assert!(
        imports.iter().any(|i| i["name"] == "weir:plugin/log@0.1.0"),
        "{shown}"
    );
    assert!(imports.iter().all(|i| i["allowed"] == true), "{shown}");

    // From here on nothing is built again: a component has no need of the tools that made it.
    project.leave_tools_behind();
    is_tested(&project);
    is_run(&project);
    is_measured(&project);
    shipped::is_shipped(&project);
}

/// Its cases hold, one that is otherwise is shown, and an update brings back what it gives.
fn is_tested(project: &Project) {
    let test = ["test", "--component", "team-labels.wasm"];
    let said = project.weir(test).unwrap().success().unwrap();
    assert_eq!(said, "ok      bad\nok      good\n");
    let golden = project.read("testdata/good/expected.yaml").unwrap();
    project
        .write(
            "testdata/good/expected.yaml",
            &golden.replace("team: shop", "team: other"),
        )
        .unwrap();
    let ran = project.weir(test).unwrap().code(1).unwrap();
    assert!(
        ran.stdout.contains("-    team: other\n+    team: shop\n"),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("1 of 2 cases failed"), "{}", ran.stderr);
    let updated = project.weir([&test[..], &["--update"]].concat()).unwrap();
    assert_eq!(updated.success().unwrap(), "ok      bad\nupdated good\n");
    assert_eq!(project.read("testdata/good/expected.yaml").unwrap(), golden);
}

/// A call by hand shows what comes out and what it cost.
fn is_run(project: &Project) {
    let ran = project
        .weir([
            "run",
            "team-labels.wasm",
            "--objects",
            "testdata/good/objects.yaml",
            "--config",
            r#"{"team":"red"}"#,
        ])
        .unwrap()
        .code(0)
        .unwrap();
    assert!(
        ran.stdout.contains("    team: red\n  name: web\n"),
        "{}",
        ran.stdout
    );
    for word in [
        "log info: 2 objects of team red",
        "fuel ",
        "peak memory ",
        " ms, ",
    ] {
        assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
    }
    let ran = project
        .weir([
            "run",
            "team-labels.wasm",
            "--objects",
            "testdata/good/objects.yaml",
            "--config",
            r#"{"taem":"red"}"#,
        ])
        .unwrap()
        .code(1)
        .unwrap();
    assert!(
        ran.stderr.contains("bad-config") && ran.stderr.contains("taem"),
        "{}",
        ran.stderr
    );
}

fn is_measured(project: &Project) {
    let measured = project
        .json([
            "bench",
            "team-labels.wasm",
            "--case",
            "testdata/good",
            "--runs",
            "5",
            "-o",
            "json",
        ])
        .unwrap();
    assert_eq!(measured["case"], "good");
    assert_eq!(measured["warmMicros"]["runs"], 5);
    for key in [
        "size",
        "compileMicros",
        "loadMicros",
        "firstMicros",
        "fuel",
        "memory",
    ] {
        assert!(measured[key].as_u64().unwrap() > 0, "{key}: {measured}");
    }
}

/// The templates of the other two roles do what their cases say.
fn others(language: &str) {
    for role in [Role::Renderer, Role::Validator] {
        let project = Project::new(language, role.as_str()).unwrap();
        let said = project.weir(["test"]).unwrap().success().unwrap();
        assert_eq!(said, "ok      bad\nok      good\n", "{role}");
    }
}

#[test]
fn a_transformer_in_rust_lives() {
    life("rust");
}

#[test]
fn a_renderer_and_a_validator_in_rust_do_what_their_cases_say() {
    others("rust");
}

#[test]
fn a_transformer_in_go_lives() {
    life("go");
}

#[test]
fn a_renderer_and_a_validator_in_go_do_what_their_cases_say() {
    others("go");
}

#[test]
fn a_transformer_in_javascript_lives() {
    life("js");
}

#[test]
fn a_renderer_and_a_validator_in_javascript_do_what_their_cases_say() {
    others("js");
}

#[test]
fn a_transformer_in_python_lives() {
    life("python");
}

#[test]
fn a_renderer_and_a_validator_in_python_do_what_their_cases_say() {
    others("python");
}
