//! What the author's tools may lack or do.

use std::os::unix::fs::PermissionsExt as _;

use weir_tests::plugin_project::Project;
use weir_tests::weir::Ran;

fn build(project: &Project) -> Ran {
    project.weir(["build"]).unwrap().code(1).unwrap()
}

/// A program that only says something, as the one program of the path.
fn only(project: &mut Project, name: &str, says: &str) {
    let folder = project.dir().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let program = folder.join(name);
    std::fs::write(&program, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    project.path(&folder);
}

#[test]
fn a_missing_tool_is_named_with_how_to_get_it() {
    for (language, tool, get) in [
        ("rust", "`rustc` does not start", "https://rustup.rs"),
        ("go", "`go` does not start", "https://go.dev/dl"),
        ("js", "`node` does not start", "https://nodejs.org"),
        ("python", "`python3` does not start", "python3-venv"),
    ] {
        let mut project = Project::new(language, "transformer").unwrap();
        project.leave_tools_behind();
        let ran = build(&project);
        for word in [tool, get] {
            assert!(ran.stderr.contains(word), "{language}: {}", ran.stderr);
        }
        assert!(
            !project.dir().join("team-labels.wasm").exists(),
            "{language}"
        );
    }
}

#[test]
fn a_rust_without_the_target_says_which_command_adds_it() {
    let mut project = Project::new("rust", "transformer").unwrap();
    only(&mut project, "rustc", "/nowhere/lib");
    let ran = build(&project);
    assert!(
        ran.stderr.contains("rustup target add wasm32-wasip2"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_node_or_python_that_is_too_old_is_named() {
    let mut project = Project::new("js", "transformer").unwrap();
    only(&mut project, "node", "v18.19.0");
    let ran = build(&project);
    assert!(
        ran.stderr
            .contains("v18.19.0: install Node.js 20.19, 22.12 or newer"),
        "{}",
        ran.stderr
    );
    let mut project = Project::new("python", "transformer").unwrap();
    only(&mut project, "python3", "3.9");
    let ran = build(&project);
    assert!(
        ran.stderr.contains("3.9: install Python 3.10 or newer"),
        "{}",
        ran.stderr
    );
}

#[test]
fn without_node_modules_npm_is_asked_and_named_where_it_is_missing() {
    let mut project = Project::new("js", "transformer").unwrap();
    std::fs::remove_file(project.dir().join("node_modules")).unwrap();
    only(&mut project, "node", "v20.20.0");
    let ran = build(&project);
    assert!(
        ran.stderr.contains("`npm` does not start"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_mistake_in_the_code_is_the_compilers_to_say() {
    let project = Project::new("go", "transformer").unwrap();
    project
        .exchange("main.go", "return objects, nil", "return nothing, nil")
        .unwrap();
    let ran = build(&project);
    assert!(ran.stderr.contains("undefined: nothing"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("`go` failed; it says why above"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_change_of_the_code_is_seen_by_the_test_in_rust_and_go() {
    for (language, file, from, to) in [
        (
            "rust",
            "src/lib.rs",
            "set_label(\"team\"",
            "set_label(\"squad\"",
        ),
        (
            "go",
            "main.go",
            "labels(object)[\"team\"]",
            "labels(object)[\"squad\"]",
        ),
    ] {
        let project = Project::new(language, "transformer").unwrap();
        project.exchange(file, from, to).unwrap();
        let ran = project.weir(["test"]).unwrap().code(1).unwrap();
        assert!(
            ran.stdout.contains("+    squad: shop"),
            "{language}: {}",
            ran.stdout
        );
        assert!(
            ran.stdout.contains("ok      bad"),
            "{language}: {}",
            ran.stdout
        );
    }
}

#[test]
fn what_imports_more_than_a_plugin_may_have_is_refused_with_the_imports_name() {
    let project = Project::new("rust", "transformer").unwrap();
    let connect = "let _ = std::net::TcpStream::connect(config.team.as_str());\n    for object in &mut objects {";
    project
        .exchange("src/lib.rs", "for object in &mut objects {", connect)
        .unwrap();
    let ran = build(&project);
    assert!(ran.stderr.contains("wasi:sockets/"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("which no plugin may have"),
        "{}",
        ran.stderr
    );
    assert!(!project.dir().join("team-labels.wasm").exists());
}

#[test]
fn the_role_in_plugin_yaml_has_to_be_the_one_that_was_built() {
    let project = Project::new("go", "transformer").unwrap();
    project
        .exchange("plugin.yaml", "role: transformer", "role: validator")
        .unwrap();
    let ran = build(&project);
    let said = "plugin.yaml says that it is a validator, and what was built is a transformer";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
}

#[test]
fn a_plugin_in_rust_or_go_has_the_same_bytes_in_another_folder() {
    for language in ["rust", "go"] {
        let digest = || {
            let project = Project::new(language, "validator").unwrap();
            let built = project.weir(["build"]).unwrap().success().unwrap();
            built.trim().rsplit(' ').next().unwrap().to_owned()
        };
        assert_eq!(digest(), digest(), "{language}");
    }
}
